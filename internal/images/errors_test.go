package images

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// one pushes one image with a layer of size bytes and returns it, mirrored to dst.
func one(t testing.TB, src, dst *server, size int) Image {
	t.Helper()
	img := Image{Name: "api", Source: src.host() + "/deepgram/self-hosted-api:r1", Target: dst.host() + "/m/self-hosted-api:r1"}
	push(t, img.Source, image(t, 42, size))
	src.requests()
	return img
}

func isBlob(r *http.Request) bool     { return strings.Contains(r.URL.Path, "/blobs/sha256:") }
func isManifest(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }

func answerWith(code int, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"errors":[{"code":"X","message":"m"}]}`)
	}
}

func TestEachErrorEndsInOneClearSentence(t *testing.T) {
	t.Parallel()
	type side string
	const source, target = side("source"), side("target")
	for name, tc := range map[string]struct {
		at     side
		when   func(*http.Request) bool
		answer func(http.ResponseWriter)
		says   []string
		status int
	}{
		"401 source": {source, isManifest, answerWith(401), []string{"refused the credentials (401)", "DEEPGRAM_DIST_USERNAME"}, 401},
		"401 target": {target, isManifest, answerWith(401), []string{"refused the credentials (401)", "DEEPGRAM_TARGET_USERNAME"}, 401},
		"403 source": {source, isManifest, answerWith(403), []string{"may not read it (403)", "ask Deepgram"}, 403},
		"403 target": {target, func(r *http.Request) bool { return r.Method == http.MethodPost }, answerWith(403), []string{"may not write to it (403)", "roles/artifactregistry.writer"}, 403},
		"404 source": {source, isManifest, answerWith(404), []string{"does not have it (404)", "check release.tag"}, 0},
		"404 target": {target, func(r *http.Request) bool { return r.Method == http.MethodPost }, answerWith(404), []string{"does not exist (404)", "create the repository"}, 404},
		"429 long":   {source, isManifest, answerWith(429, "Retry-After", "3600"), []string{"limits the number of requests (429)", "asks to wait 1h0m0s"}, 429},
		"429 always": {source, isManifest, answerWith(429), []string{"limits the number of requests (429, tried 3 times)"}, 429},
		"500":        {source, isManifest, answerWith(500), []string{"failed (500 Internal Server Error, tried 3 times)"}, 500},
		"503 upload": {target, func(r *http.Request) bool { return r.Method == http.MethodPatch }, answerWith(503), []string{"failed (503 Service Unavailable"}, 503},
		"507":        {target, func(r *http.Request) bool { return r.Method == http.MethodPatch }, answerWith(507), []string{"its disk is full", "free or enlarge"}, 507},
		"truncated": {source, isBlob, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "60000")
			w.Write(noise(1, 10)) //nolint:errcheck // a test's server
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, []string{"broke off a download after 10 of 60000 bytes", "run again"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst := newServer(t), newServer(t)
			img := one(t, src, dst, 60_000)
			bad := src
			if tc.at == target {
				bad = dst
			}
			bad.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/v2/" || !tc.when(r) {
					return false
				}
				if r.Method == http.MethodPatch {
					io.Copy(io.Discard, r.Body) //nolint:errcheck // a test's server
				}
				tc.answer(w)
				return true
			})
			results, err := quick(t).Mirror(background(), []Image{img}, nil)
			var e *Error
			require.ErrorAs(t, err, &e)
			for _, s := range append(tc.says, "image api ("+img.Source+")", bad.host()) {
				assert.Contains(t, err.Error(), s)
			}
			assert.NotContains(t, err.Error(), "\n", "one sentence")
			assert.Equal(t, tc.status, e.Status)
			assert.Equal(t, Failed, results[0].Status)
			assert.Equal(t, err.Error(), results[0].Error)
			// As soon as the registry is well again, a second run does the rest.
			bad.misbehave(nil)
			_, err = quick(t).Mirror(background(), []Image{img}, nil)
			require.NoError(t, err)
			whole(t, img.Target)
		})
	}
}

func TestUnreachableRegistryIsNamed(t *testing.T) {
	t.Parallel()
	src, dst := newServer(t), newServer(t)
	img := one(t, src, dst, 100)
	dst.Close()
	_, err := quick(t).Mirror(background(), []Image{img}, nil)
	assert.ErrorContains(t, err, dst.host()+"/m/self-hosted-api: refuses connections: check host, port and proxy")
}

func TestTemporaryTroubleIsWaitedOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		source bool
		method string
		answer func(http.ResponseWriter)
	}{
		"429 with Retry-After": {true, http.MethodGet, answerWith(429, "Retry-After", "0")},
		"503 at the source":    {true, http.MethodGet, answerWith(503)},
		"502 at an upload":     {false, http.MethodPatch, answerWith(502)},
		"500 at a commit":      {false, http.MethodPut, answerWith(500)},
		"connection dropped":   {false, http.MethodPost, func(http.ResponseWriter) { panic(http.ErrAbortHandler) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst := newServer(t), newServer(t)
			img := one(t, src, dst, 200_000)
			bad := dst
			if tc.source {
				bad = src
			}
			var times atomic.Int32
			bad.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == "/v2/" || r.Method != tc.method || times.Add(1) > 2 {
					return false
				}
				tc.answer(w)
				return true
			})
			_, err := quick(t, func(o *Options) { o.Tries = 5 }).Mirror(background(), []Image{img}, nil)
			require.NoError(t, err)
			assert.GreaterOrEqual(t, times.Load(), int32(2))
			whole(t, img.Target)
		})
	}
}

// cutter serves blobs from b, but breaks off after a few bytes each time.
func cutter(b []byte, piece int, ranges bool, served *atomic.Int64) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !isBlob(r) || r.Method != http.MethodGet {
			return false
		}
		if sum(b).String() != filepath.Base(r.URL.Path) {
			return false // the image's configuration
		}
		start := 0
		if h := r.Header.Get("Range"); ranges && h != "" {
			fmt.Sscanf(h, "bytes=%d-", &start) //nolint:errcheck // ours
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(b)-1, len(b)))
			w.Header().Set("Content-Length", strconv.Itoa(len(b)-start))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		}
		n := min(piece, len(b)-start)
		served.Add(int64(n))
		w.Write(b[start : start+n]) //nolint:errcheck // a test's server
		w.(http.Flusher).Flush()
		if start+n < len(b) {
			panic(http.ErrAbortHandler)
		}
		return true
	}
}

func TestABrokenDownloadGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	src, dst := newServer(t), newServer(t)
	img := one(t, src, dst, 1_000_000)
	var served atomic.Int64
	src.misbehave(cutter(noise(42, 1_000_000), 100_000, true, &served))
	_, err := quick(t).Mirror(background(), []Image{img}, nil)
	require.NoError(t, err)
	assert.EqualValues(t, 1_000_000, served.Load(), "no byte twice")
	whole(t, img.Target)
}

func TestASilentRegistryIsNotWaitedForForever(t *testing.T) {
	t.Parallel()
	src, dst := newServer(t), newServer(t)
	img := one(t, src, dst, 60_000)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	src.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if !isBlob(r) {
			return false
		}
		w.Header().Set("Content-Length", "60000")
		w.Write(noise(1, 5)) //nolint:errcheck // a test's server
		w.(http.Flusher).Flush()
		select {
		case <-stop:
		case <-r.Context().Done():
		}
		return true
	})
	_, err := quick(t, func(o *Options) { o.Stall = 100 * time.Millisecond; o.Tries = 2 }).Mirror(background(), []Image{img}, nil)
	assert.ErrorContains(t, err, "broke off a download after 5 of 60000 bytes")
}

func TestDamagedContentNeverArrives(t *testing.T) {
	t.Parallel()
	t.Run("blob", func(t *testing.T) {
		t.Parallel()
		src, dst := newServer(t), newServer(t)
		img := one(t, src, dst, 60_000)
		src.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if !isBlob(r) || r.Method != http.MethodGet || filepath.Base(r.URL.Path) != sum(noise(42, 60_000)).String() {
				return false
			}
			w.Header().Set("Content-Length", "60000")
			w.Write(noise(43, 60_000)) //nolint:errcheck // a test's server
			return true
		})
		_, err := quick(t).Mirror(background(), []Image{img}, nil)
		assert.ErrorContains(t, err, "sent content that does not match its digest")
		assert.ErrorContains(t, err, src.host())
		_, found, err := quick(t).head(background(), mustTag(t, img.Target))
		require.NoError(t, err)
		assert.False(t, found, "no tag for an image that is not whole")
	})
	t.Run("manifest of another digest", func(t *testing.T) {
		t.Parallel()
		src, dst := newServer(t), newServer(t)
		img := one(t, src, dst, 60_000)
		src.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/manifests/sha256:") {
				return false
			}
			w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
			fmt.Fprint(w, `{"schemaVersion":2}`)
			return true
		})
		_, err := quick(t).Mirror(background(), []Image{img}, nil)
		assert.ErrorContains(t, err, "sent content that does not match its digest")
	})
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		src, dst := newServer(t), newServer(t)
		img := one(t, src, dst, 60_000)
		dir := t.TempDir()
		l, err := OpenLayout(dir, true)
		require.NoError(t, err)
		_, err = quick(t).Export(background(), []Image{img}, l, nil)
		require.NoError(t, err)
		blob := filepath.Join(dir, "blobs", "sha256", sum(noise(42, 60_000)).Hex)
		require.NoError(t, os.WriteFile(blob, noise(43, 60_000), 0o600))
		_, err = quick(t).Import(background(), []Image{img}, l)
		assert.ErrorContains(t, err, "sent content that does not match its digest")
		require.NoError(t, os.Remove(blob))
		_, err = quick(t).Export(background(), []Image{img}, l, nil)
		require.NoError(t, err, "export repairs what is missing")
		_, err = quick(t).Import(background(), []Image{img}, l)
		require.NoError(t, err)
		whole(t, img.Target)
	})
}

func TestOneBrokenImageDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	src, dst := newServer(t), newServer(t)
	list := release(t, src, dst.host())
	src.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "self-hosted-engine") {
			return false
		}
		answerWith(403)(w)
		return true
	})
	results, err := quick(t).Mirror(background(), list, nil)
	require.ErrorContains(t, err, "image engine")
	for _, r := range results {
		want := Copied
		if r.Name == "engine" {
			want = Failed
		}
		assert.Equal(t, want, r.Status, r.Name)
	}
}

func TestACancelledMirrorEndsAtOnceAndLeavesNoTag(t *testing.T) {
	t.Parallel()
	src, dst := newServer(t), newServer(t)
	img := one(t, src, dst, 60_000)
	ctx, cancel := context.WithCancel(background())
	dst.misbehave(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		cancel()
		io.Copy(io.Discard, r.Body) //nolint:errcheck // it ends with the client
		return true
	})
	_, err := quick(t).Mirror(ctx, []Image{img}, nil)
	require.ErrorIs(t, err, context.Canceled)
	dst.misbehave(nil)
	_, found, err := quick(t).head(background(), mustTag(t, img.Target))
	require.NoError(t, err)
	assert.False(t, found)
}
