package opscmd

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endless is n bytes that nobody has to keep.
type endless struct{ at, n int64 }

var pattern = noise(77, 1<<20)

func (e *endless) Read(p []byte) (int, error) {
	if e.at >= e.n {
		return 0, io.EOF
	}
	from := e.at % int64(len(pattern))
	n := copy(p[:min(int64(len(p)), e.n-e.at)], pattern[from:])
	e.at += int64(n)
	return n, nil
}

// bigImage serves an image with one layer of size bytes, made as it is read.
func bigImage(t testing.TB, size int64) (host string, digest v1.Hash) {
	t.Helper()
	h := sha256.New()
	_, err := io.Copy(h, &endless{n: size})
	require.NoError(t, err)
	layer := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
	cfg := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["` + layer.String() + `"]}}`)
	cfgDigest := v1.Hash{Algorithm: "sha256", Hex: sum(cfg)}
	m, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.DockerManifestSchema2,
		Config: v1.Descriptor{MediaType: types.DockerConfigJSON, Size: int64(len(cfg)), Digest: cfgDigest},
		Layers: []v1.Descriptor{{MediaType: types.DockerLayer, Size: size, Digest: layer}},
	})
	require.NoError(t, err)
	digest = v1.Hash{Algorithm: "sha256", Hex: sum(m)}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v2/":
		case strings.HasSuffix(r.URL.Path, "/manifests/r1"), strings.HasSuffix(r.URL.Path, "/manifests/"+digest.String()):
			w.Header().Set("Content-Type", string(types.DockerManifestSchema2))
			w.Header().Set("Docker-Content-Digest", digest.String())
			w.Header().Set("Content-Length", fmt.Sprint(len(m)))
			if r.Method == http.MethodGet {
				w.Write(m) //nolint:errcheck // a test's server
			}
		case strings.HasSuffix(r.URL.Path, cfgDigest.String()):
			w.Write(cfg) //nolint:errcheck // a test's server
		case strings.HasSuffix(r.URL.Path, layer.String()):
			w.Header().Set("Content-Length", fmt.Sprint(size))
			io.Copy(w, &endless{n: size}) //nolint:errcheck // a test's server
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), digest
}

// dockerRegistry starts Debian's docker-registry on loopback.
func dockerRegistry(t testing.TB) string {
	t.Helper()
	bin, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("docker-registry is not installed, and CI=true allows no skipped test")
		}
		t.Skip("docker-registry is not installed (apt-get install docker-registry)")
	}
	probe := httptest.NewServer(nil)
	addr := strings.TrimPrefix(probe.URL, "http://")
	probe.Close()
	cfg := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(cfg, fmt.Appendf(nil, "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", t.TempDir(), addr), 0o600))
	cmd := exec.Command(bin, "serve", cfg)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may be gone
		cmd.Wait()         //nolint:errcheck // killed
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond)
	return addr
}

// Layers pass through: the size of a layer (2 GiB with SOAK=1) does
// not show in the program's memory.
func TestMemoryStaysFlatForALargeLayer(t *testing.T) {
	t.Parallel()
	size := int64(256 << 20)
	if os.Getenv("SOAK") == "1" {
		size = 2 << 30
	}
	dst := dockerRegistry(t)
	src, digest := bigImage(t, size)
	require.NotEmpty(t, digest)
	cmd := program(t, nil, "images", "mirror", "--image", src+"/deepgram/self-hosted-engine:r1="+dst+"/engine:r1")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// The kernel's own high-water mark, read while the program lives: what it
	// reports at the end includes the test's own memory at the fork.
	var peak int64
	for {
		select {
		case err := <-ended:
			require.NoError(t, err, "%s", &out)
		case <-time.After(10 * time.Millisecond):
			if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)); err == nil {
				for line := range strings.Lines(string(status)) {
					var kib int64
					if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
						peak = max(peak, kib)
					}
				}
			}
			continue
		}
		break
	}
	assert.Contains(t, out.String(), digest.String())
	require.Positive(t, peak)
	limit := int64(100 << 10)
	if raceDetector {
		limit = 160 << 10 // the detector keeps a shadow of the program's memory
	}
	assert.Less(t, peak, limit, "peak memory in KiB, for a layer of %d MiB", size>>20)
	t.Logf("layer of %d MiB: peak memory %d MiB", size>>20, peak>>10)
}
