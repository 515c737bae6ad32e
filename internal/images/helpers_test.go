package images

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"
)

// server is a registry on loopback that records requests and can be told to
// misbehave.
type server struct {
	*httptest.Server
	mu sync.Mutex
	// log holds "METHOD path" of each request.
	log []string
	// break answers a request itself where it returns true.
	broken func(w http.ResponseWriter, r *http.Request) bool
}

func newServer(t testing.TB, opts ...registry.Option) *server {
	t.Helper()
	opts = append([]registry.Option{registry.Logger(log.New(io.Discard, "", 0))}, opts...)
	h := registry.New(opts...)
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.log = append(s.log, r.Method+" "+r.URL.Path)
		broken := s.broken
		s.mu.Unlock()
		if broken != nil && broken(w, r) {
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) host() string { return strings.TrimPrefix(s.URL, "http://") }

func (s *server) misbehave(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = f
}

// requests returns the log and empties it.
func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.log
	s.log = nil
	return l
}

func count(log []string, prefixes ...string) int {
	n := 0
	for _, l := range log {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(l, p) }) {
			n++
		}
	}
	return n
}

// noise is size bytes that do not repeat between seeds.
func noise(seed uint64, size int) []byte {
	b := make([]byte, size)
	rnd := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	rnd.Read(b) //nolint:errcheck // never fails
	return b
}

// image is an image with layers of the given sizes.
func image(t testing.TB, seed uint64, sizes ...int) v1.Image {
	t.Helper()
	img := empty.Image
	for i, size := range sizes {
		var err error
		img, err = mutate.AppendLayers(img, static.NewLayer(noise(seed+uint64(i), size), types.DockerLayer))
		require.NoError(t, err)
	}
	return img
}

func push(t testing.TB, ref string, what remote.Taggable) v1.Hash {
	t.Helper()
	r, err := name.ParseReference(ref)
	require.NoError(t, err)
	switch w := what.(type) {
	case v1.Image:
		require.NoError(t, remote.Write(r, w))
	case v1.ImageIndex:
		require.NoError(t, remote.WriteIndex(r, w))
	}
	return digestOf(t, ref)
}

func digestOf(t testing.TB, ref string) v1.Hash {
	t.Helper()
	r, err := name.ParseReference(ref)
	require.NoError(t, err)
	d, err := remote.Head(r)
	require.NoError(t, err)
	return d.Digest
}

// index is an index of one image for each platform.
func index(t testing.TB, platforms ...string) v1.ImageIndex {
	t.Helper()
	idx := v1.ImageIndex(empty.Index)
	for i, p := range platforms {
		platform, err := v1.ParsePlatform(p)
		require.NoError(t, err)
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{
			Add:        image(t, uint64(1000+i*10), 2000+i, 3000),
			Descriptor: v1.Descriptor{Platform: platform},
		})
	}
	return idx
}

// quick is a client that does not wait long.
func quick(t testing.TB, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{FirstWait: time.Millisecond, MaxWait: 2 * time.Second, Stall: 5 * time.Second, Tries: 3}
	for _, f := range change {
		f(&o)
	}
	c, err := NewClient(o)
	require.NoError(t, err)
	return c
}

// whole pulls an image with everything in it and checks each byte.
func whole(t testing.TB, ref string) {
	t.Helper()
	r, err := name.ParseReference(ref)
	require.NoError(t, err)
	d, err := remote.Get(r)
	require.NoError(t, err)
	var imgs []v1.Image
	if d.MediaType.IsIndex() {
		idx, err := d.ImageIndex()
		require.NoError(t, err)
		m, err := idx.IndexManifest()
		require.NoError(t, err)
		for _, c := range m.Manifests {
			img, err := idx.Image(c.Digest)
			require.NoError(t, err)
			imgs = append(imgs, img)
		}
	} else {
		img, err := d.Image()
		require.NoError(t, err)
		imgs = append(imgs, img)
	}
	for _, img := range imgs {
		_, err := img.RawConfigFile()
		require.NoError(t, err)
		layers, err := img.Layers()
		require.NoError(t, err)
		for _, l := range layers {
			rc, err := l.Compressed()
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, rc)
			require.NoError(t, err)
			require.NoError(t, rc.Close())
		}
	}
}

// dockerRegistry starts Debian's docker-registry on loopback, storing into dir.
func dockerRegistry(t testing.TB, dir string) string {
	t.Helper()
	bin, err := exec.LookPath("docker-registry")
	if err != nil {
		missingTool(t, "docker-registry is not installed (apt-get install docker-registry)")
	}
	probe := httptest.NewServer(nil)
	addr := strings.TrimPrefix(probe.URL, "http://")
	probe.Close()
	cfg := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(cfg, fmt.Appendf(nil, `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}
http: {addr: %s}
`, dir, addr), 0o600))
	var out bytes.Buffer
	cmd := exec.Command(bin, "serve", cfg)
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may be gone
		cmd.Wait()         //nolint:errcheck // killed
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, 20*time.Second, 20*time.Millisecond, "docker-registry: %s", &out)
	return addr
}

// missingTool skips, except where everything must run.
func missingTool(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, and CI=true allows no skipped test", what)
	}
	t.Skip(what)
}

func background() context.Context { return context.Background() }

// dstRemove deletes a blob from the folder of the library's registry.
func dstRemove(dir string, d v1.Hash) error {
	return os.Remove(filepath.Join(dir, d.Algorithm, d.Hex))
}
