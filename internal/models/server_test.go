package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server serves files and misbehaves where told to.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	// log holds "path range" of each request.
	log []string
	// broken answers itself where it returns true.
	broken func(w http.ResponseWriter, r *http.Request, nth int) bool
	count  map[string]int
}

func newServer(t testing.TB) *server {
	t.Helper()
	s := &server{files: map[string][]byte{}, count: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.log = append(s.log, r.URL.Path+" "+r.Header.Get("Range"))
	s.count[r.URL.Path]++
	nth, broken := s.count[r.URL.Path], s.broken
	b, ok := s.files[strings.TrimPrefix(r.URL.Path, "/")]
	s.mu.Unlock()
	if broken != nil && broken(w, r, nth) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", `"`+sum(b)[:16]+`"`)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(b)))
}

// add puts a file on the server and returns its source, with a signed link.
func (s *server) add(name string, b []byte) Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[name] = b
	return Source{URL: NewLink(s.URL + "/" + name + "?X-Goog-Signature=canary-signature-0815"), SHA256: sum(b), Size: int64(len(b)), Name: name}
}

func (s *server) misbehave(f func(w http.ResponseWriter, r *http.Request, nth int) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = f
}

func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.log
	s.log = nil
	return l
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func noise(seed byte, size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(b) //nolint:errcheck // never fails
	return b
}

// notes collects what is told.
type notes struct {
	NoProgress
	mu    sync.Mutex
	lines []string
}

func (n *notes) Note(l string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, l)
}

func (n *notes) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines, "\n")
}

func quick(n *notes) Options {
	o := Options{FirstWait: time.Millisecond, Stall: 5 * time.Second, MaxWait: time.Second, Tries: 3}
	if n != nil {
		o.Progress = n
	}
	return o
}

func load(t *testing.T, dir string, o Options, sources ...Source) ([]Result, error) {
	t.Helper()
	return Load(context.Background(), dir, sources, o)
}

// clean checks that the disk has exactly the given files, each whole, and
// nothing that is half done.
func clean(t testing.TB, dir string, want map[string][]byte) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() == stateDir || e.Name() == "lost+found" {
			continue
		}
		require.Contains(t, want, e.Name())
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		require.Equal(t, sum(want[e.Name()]), sum(b), e.Name())
	}
	for name := range want {
		require.FileExists(t, filepath.Join(dir, name))
	}
	left, err := os.ReadDir(filepath.Join(dir, stateDir, "partial"))
	require.NoError(t, err)
	require.Empty(t, left, "no leftovers")
	results, err := Verify(context.Background(), dir, false)
	require.NoError(t, err)
	require.Len(t, results, len(want))
	for _, r := range results {
		require.Equal(t, Good, r.Status, fmt.Sprint(r))
	}
}

func tokenOf(t string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return t, nil }
}
