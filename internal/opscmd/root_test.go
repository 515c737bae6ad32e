package opscmd

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"go/build"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Run(t.Context(), args, Streams{In: strings.NewReader(""), Out: &o, Err: &e, LookupEnv: func(string) (string, bool) { return "", false }})
	return code, o.String(), e.String()
}

func TestEveryCommandHelps(t *testing.T) {
	t.Parallel()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			return
		}
		assert.NotEmpty(t, c.Short, c.CommandPath())
		assert.Contains(t, c.Example, "deepgram-ops", c.CommandPath())
		if !c.HasSubCommands() {
			assert.NotNil(t, c.Flags().Lookup("output"), "%s --output", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
		code, out, _ := run(t, append(strings.Fields(c.CommandPath())[1:], "--help")...)
		assert.Equal(t, ExitDone, code)
		assert.Contains(t, out, "Examples:")
	}
	walk(New(System()))
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for args, says := range map[string]string{
		"imagess":                           "did you mean images?",
		"images mirorr":                     "did you mean mirror?",
		"images list --frobnicate":          "unknown flag: --frobnicate",
		"models load":                       "--dir and --sources are required",
		"images list --image x --release r": "cannot be combined",
		"images mirror --release r --to h.io/x --parallel 0":     "must be at least 1",
		"images mirror --release r --to h.io/x --platform amd64": "must be os/architecture",
		"images mirror --release r --to h/x":                     "is not a reference registry/path:tag",
		"images publish":                                         "give --stack STACK or --to PREFIX",
		"images publish --to h.io/x --binary /etc/passwd":        "is not a Linux program",
	} {
		code, out, errs := run(t, strings.Fields(args)...)
		want := ExitUsage
		if strings.Contains(args, "--binary") {
			want = ExitFailed
		}
		assert.Equal(t, want, code, args)
		assert.Contains(t, errs, says, args)
		if want == ExitUsage {
			assert.Empty(t, out, args)
		}
	}
}

// No Pulumi and no chart in the command; and what the loader runs needs no
// cloud client library.
func TestNoHeavyDependencies(t *testing.T) {
	t.Parallel()
	const module = "github.com/deepgram-gke/deepgram-gke"
	for pkg, heavy := range map[string][]string{
		"/cmd/deepgram-ops": {"github.com/pulumi/", "helm.sh/", module + "/components", module + "/stacks"},
		"/internal/images":  {"github.com/pulumi/", "k8s.io/", "google.golang.org/grpc", "cloud.google.com/go/storage"},
		"/internal/models":  {"github.com/pulumi/", "k8s.io/", "google.golang.org/grpc", "cloud.google.com/go/storage"},
	} {
		out, err := exec.Command("go", "list", "-deps", module+pkg).Output()
		if err != nil {
			t.Skipf("go list: %v", err)
		}
		for dep := range strings.Lines(string(out)) {
			for _, h := range heavy {
				assert.False(t, strings.HasPrefix(dep, h), "%s needs %s", pkg, dep)
			}
		}
	}
}

func TestPublishIsReproducibleAndNotRoot(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "deepgram-ops")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", bin, "github.com/deepgram-gke/deepgram-gke/cmd/deepgram-ops")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("go build: %s", out)
	}
	st, err := os.Stat(bin)
	require.NoError(t, err)
	// Half of it are the client libraries of object stores and of the APIs that
	// preflight asks.
	assert.Less(t, st.Size(), int64(100<<20), "the program is small")
	dst := newRegistry(t, "")
	pem := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(pem, []byte("-----BEGIN CERTIFICATE-----\n"), 0o600))
	var digests []string
	for _, want := range []string{"copied", "present"} {
		code, out, errs := run(t, "images", "publish", "--to", dst+"/acme", "--tag", "v1", "--binary", bin, "--certificates", pem, "-o", "json")
		require.Equal(t, ExitDone, code, errs)
		var got struct {
			Images []struct{ Status, Digest, Target string }
		}
		require.NoError(t, json.Unmarshal([]byte(out), &got))
		assert.Equal(t, want, got.Images[0].Status)
		assert.Equal(t, dst+"/acme/deepgram-ops:v1", got.Images[0].Target)
		digests = append(digests, got.Images[0].Digest)
	}
	assert.Equal(t, digests[0], digests[1])
	ref, err := name.ParseReference(dst + "/acme/deepgram-ops:v1")
	require.NoError(t, err)
	img, err := remote.Image(ref)
	require.NoError(t, err)
	cf, err := img.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, "65532:65532", cf.Config.User)
	assert.Equal(t, []string{"/deepgram-ops"}, cf.Config.Entrypoint)
	assert.Equal(t, "linux", cf.OS)
	assert.Equal(t, build.Default.GOARCH, cf.Architecture)
	pullWhole(t, dst+"/acme/deepgram-ops:v1")

	// A program that needs a loader would not start in an empty image.
	for _, dynamic := range []string{"/usr/bin/curl", "/bin/sh"} {
		if f, err := elf.Open(dynamic); err == nil {
			f.Close()
			code, _, errs := run(t, "images", "publish", "--to", dst+"/acme", "--binary", dynamic)
			assert.Equal(t, ExitFailed, code)
			assert.Contains(t, errs, "is linked dynamically")
		}
	}
}
