package kubetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
)

const pauseImage = "localhost/kubetest/pause:1"

// images are those that the node has.
type images struct {
	sync.Mutex
	loaded []string
}

// Image builds a Go program of this project, such as "./cmd/deepgram-ops", into an
// image of nothing but it and gives it to the node under a reference, such as
// "quay.io/deepgram/self-hosted-billing:release-250331". It is started as /bin/
// and the name of its folder; more programs lie beside it. Pods need the pull
// policy IfNotPresent.
func (n *Node) Image(t testing.TB, reference, program string, more ...string) {
	t.Helper()
	require.NoError(t, n.images.load(t.Context(), n.Cluster, program, reference, more...))
}

// Give gives an image that a test has made to the node, under a reference.
func (n *Node) Give(t testing.TB, reference string, image v1.Image) {
	t.Helper()
	n.images.Lock()
	defer n.images.Unlock()
	if slices.Contains(n.images.loaded, reference) {
		return
	}
	require.NoError(t, n.images.give(t.Context(), n.Cluster, reference, image))
}

// give imports an image.
func (i *images) give(ctx context.Context, c *Cluster, reference string, image v1.Image) error {
	tag, err := name.NewTag(reference)
	if err != nil {
		return fmt.Errorf("image %q: %w", reference, err)
	}
	file := filepath.Join(c.state.dir, fmt.Sprintf("image-%d.tar", len(i.loaded)))
	defer os.Remove(file)
	if err := tarball.WriteToFile(file, tag, image); err != nil {
		return fmt.Errorf("image %s: %w", reference, err)
	}
	if err := c.ctr(ctx, "images", "import", file); err != nil {
		return fmt.Errorf("image %s: %w", reference, err)
	}
	i.loaded = append(i.loaded, reference)
	return nil
}

// load builds and imports an image once.
func (i *images) load(ctx context.Context, c *Cluster, program, reference string, more ...string) error {
	i.Lock()
	defer i.Unlock()
	if slices.Contains(i.loaded, reference) {
		return nil
	}
	work, err := os.MkdirTemp(c.state.dir, "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	image, err := build(ctx, work, append([]string{program}, more...))
	if err != nil {
		return fmt.Errorf("image %s: %w", reference, err)
	}
	return i.give(ctx, c, reference, image)
}

// ctr runs the client of containerd; it waits for containerd to start.
func (c *Cluster) ctr(ctx context.Context, args ...string) error {
	args = append([]string{"--address=" + socketPath, "--namespace=k8s.io", "--connect-timeout=60s"}, args...)
	out, err := exec.CommandContext(ctx, "ctr", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr %v: %w: %s", args, err, out)
	}
	return nil
}

// build compiles programs and puts them into an image of one layer.
func build(ctx context.Context, work string, programs []string) (v1.Image, error) {
	root := filepath.Join(work, "root")
	bin := filepath.Join(root, "bin") + string(filepath.Separator)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, "go", append([]string{"build", "-ldflags=-s -w", "-o", bin}, programs...)...)
	command.Dir = enginetest.Root()
	command.Env = append(os.Environ(), "CGO_ENABLED=0") // there is no libc in the image
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building %v: %w: %s", programs, err, out)
	}
	// Programs write into /tmp and read the system's time.
	if err := os.Mkdir(filepath.Join(root, "tmp"), 0o755); err != nil {
		return nil, err
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky); err != nil {
		return nil, err
	}
	layer, err := folderLayer(root)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH, Created: v1.Time{Time: time.Unix(0, 0)},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: diffIDs(image)},
		Config: v1.Config{Env: []string{"PATH=/bin"}, Entrypoint: []string{"/bin/" + path.Base(programs[0])}},
	})
}
