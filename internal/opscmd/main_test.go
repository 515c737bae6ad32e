package opscmd

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
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
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// asProgram makes the test binary behave as deepgram-ops: tests kill it, and
// look at it from outside.
const asProgram = "DEEPGRAM_OPS_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Main(os.Args[1:], System()))
	}
	testscript.Main(m, map[string]func(){"deepgram-ops": func() { os.Exit(Main(os.Args[1:], System())) }})
}

// program is deepgram-ops as a process of its own.
func program(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(append(os.Environ(), asProgram+"=1", "HOME="+t.TempDir()), env...)
	return cmd
}

func noise(seed byte, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(b) //nolint:errcheck // never fails
	return b
}

// newRegistry is a registry on loopback; its blobs are in memory unless dir is given.
func newRegistry(t testing.TB, dir string, wrap ...func(http.Handler) http.Handler) string {
	t.Helper()
	opts := []registry.Option{registry.Logger(log.New(io.Discard, "", 0))}
	if dir != "" {
		opts = append(opts, registry.WithBlobHandler(registry.NewDiskBlobHandler(dir)))
	}
	h := registry.New(opts...)
	for _, w := range wrap {
		h = w(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func pushImage(t testing.TB, ref string, seed byte, sizes ...int) v1.Hash {
	t.Helper()
	img := empty.Image
	for i, size := range sizes {
		var err error
		img, err = mutate.AppendLayers(img, static.NewLayer(noise(seed+byte(i), size), types.DockerLayer))
		require.NoError(t, err)
	}
	r, err := name.ParseReference(ref)
	require.NoError(t, err)
	require.NoError(t, remote.Write(r, img))
	d, err := img.Digest()
	require.NoError(t, err)
	return d
}

// pullWhole reads every byte of an image, which checks it.
func pullWhole(t testing.TB, ref string) v1.Hash {
	t.Helper()
	r, err := name.ParseReference(ref)
	require.NoError(t, err)
	img, err := remote.Image(r)
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
	d, err := img.Digest()
	require.NoError(t, err)
	return d
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// slowly serves bodies piece by piece, so that there is time to be killed.
func slowly(pause time.Duration) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(&slowWriter{w, pause}, r)
		})
	}
}

type slowWriter struct {
	http.ResponseWriter
	pause time.Duration
}

func (s *slowWriter) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		n, err := s.ResponseWriter.Write(b[:min(len(b), 32<<10)])
		written += n
		if err != nil {
			return written, err
		}
		b = b[n:]
		time.Sleep(s.pause) // after each piece: most writers bring just one
	}
	return written, nil
}

// files serves files by name with ranges and ETags.
func files(t testing.TB, content map[string][]byte, wrap ...func(http.Handler) http.Handler) string {
	t.Helper()
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, ok := content[strings.TrimPrefix(r.URL.Path, "/")]
		switch {
		case r.URL.Query().Get("X-Goog-Signature") == "canary-expired":
			w.WriteHeader(http.StatusForbidden)
		case !ok:
			http.NotFound(w, r)
		default:
			w.Header().Set("ETag", strconv.Quote(sum(b)[:16]))
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(b)))
		}
	})
	for _, w := range wrap {
		h = w(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			src, dst := newRegistry(t, ""), newRegistry(t, "")
			d := pushImage(t, src+"/deepgram/self-hosted-api:release-250331", 1, 20_000, 300)
			pushImage(t, src+"/deepgram/self-hosted-engine:release-250331", 3, 30_000)
			pushImage(t, src+"/deepgram/self-hosted-license-proxy:release-250331", 5, 10_000)
			models := files(t, map[string][]byte{"nova-3.dg": noise(1, 100_000), "nova-2.dg": noise(2, 50_000)})
			e.Setenv("SRC", src)
			e.Setenv("DST", dst)
			e.Setenv("API_DIGEST", d.String())
			e.Setenv("MODELS", models)
			e.Setenv("SHA_NOVA_3", sum(noise(1, 100_000)))
			e.Setenv("HOME", e.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// exits runs deepgram-ops and checks its exit code.
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				err := ts.Exec("deepgram-ops", args[1:]...)
				code := 0
				if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // as testscript returns it
					code = exit.ExitCode()
				} else if err != nil {
					ts.Fatalf("%v", err)
				}
				if strconv.Itoa(code) != args[0] {
					ts.Fatalf("exit code %d, want %s", code, args[0])
				}
			},
			// expand replaces $VAR in files.
			"expand": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, f := range args {
					p := ts.MkAbs(f)
					b, err := os.ReadFile(p)
					ts.Check(err)
					ts.Check(os.WriteFile(p, []byte(os.Expand(string(b), ts.Getenv)), 0o600))
				}
			},
			// move gives the upstream tag of the engine another image.
			"move": func(ts *testscript.TestScript, _ bool, _ []string) {
				pushImage(t, ts.Getenv("SRC")+"/deepgram/self-hosted-engine:release-250331", 9, 30_000)
			},
			// damage changes a byte of a file and keeps its time.
			"damage": func(ts *testscript.TestScript, _ bool, args []string) {
				p := ts.MkAbs(args[0])
				st, err := os.Stat(p)
				ts.Check(err)
				b, err := os.ReadFile(p)
				ts.Check(err)
				b[len(b)/2] ^= 1
				ts.Check(os.WriteFile(p, b, 0o600))
				ts.Check(os.Chtimes(p, st.ModTime(), st.ModTime()))
			},
		},
	})
}
