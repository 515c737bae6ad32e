package journal

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/journal"
)

// cutter is a proxy that cuts every connection after some bytes.
type cutter struct {
	url  string
	cuts atomic.Int64
}

// newCutter is a proxy before a server, by its https address.
func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	to, err := url.Parse(server)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	c := &cutter{url: "https://" + listener.Addr().String()}
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			go c.serve(in.(*net.TCPConn), to.Host)
		}
	}()
	return c
}

func (c *cutter) serve(in *net.TCPConn, to string) {
	defer func() { _ = in.Close() }()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	out := server.(*net.TCPConn)
	defer func() { _ = out.Close() }()
	// From the middle of the handshake to some transfers that get through.
	left := rand.Int64N(2 << 20)
	if rand.IntN(6) == 0 {
		left = rand.Int64N(8 << 10)
	}
	done := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(out, in)
		done <- struct{}{}
	}()
	go func() {
		n, _ := io.CopyN(in, out, left)
		if n == left {
			// With a reset, as from a router that has forgotten the connection.
			c.cuts.Add(1)
			_ = in.SetLinger(0)
			_ = out.SetLinger(0)
		}
		done <- struct{}{}
	}()
	<-done
}

// store is an object store on loopback that may refuse.
type store struct {
	kind, url string
	env       []string
	faulty    atomic.Bool
	// slow takes its time for whatever is longer than a note, and says in uploading
	// when it has begun to come.
	slow      atomic.Bool
	uploading chan struct{}
}

// newStore is a store with the bucket journals; always refuses every upload.
func newStore(t *testing.T, kind string, always bool) *store {
	t.Helper()
	s := &store{kind: kind, uploading: make(chan struct{}, 100)}
	s.faulty.Store(true)
	server := httptest.NewUnstartedServer(nil)
	address := "http://" + server.Listener.Addr().String()
	var inner http.Handler
	switch kind {
	case "gs":
		g, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, ExternalURL: address})
		require.NoError(t, err)
		t.Cleanup(g.Stop)
		g.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "journals"})
		inner = g.HTTPHandler()
		s.url, s.env = "gs://journals/site", []string{"STORAGE_EMULATOR_HOST=" + address}
	case "s3":
		backend := s3mem.New()
		require.NoError(t, backend.CreateBucket("journals"))
		inner = gofakes3.New(backend).Server()
		s.url = "s3://journals/site?use_path_style=true&region=eu-central-1&endpoint=" + address
		s.env = []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true"}
	}
	server.Config.Handler = s.moody(inner, always)
	server.Start()
	t.Cleanup(server.Close)
	return s
}

// moody refuses, cuts and answers at random.
func (s *store) moody(inner http.Handler, always bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.slow.Load() && r.Body != nil {
			r.Body = &slowBody{ReadCloser: r.Body, s: s, done: r.Context().Done()}
		}
		mood := rand.IntN(12)
		upload := r.Method == http.MethodPut || r.Method == http.MethodPost
		switch {
		case !s.faulty.Load():
		case always && upload:
			w.WriteHeader(http.StatusForbidden)
			return
		case mood == 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case mood == 1 && upload:
			w.WriteHeader(http.StatusForbidden)
			return
		case mood == 2 && upload:
			// It is cut while it is sent.
			_, _ = io.CopyN(io.Discard, r.Body, rand.Int64N(1<<20))
			panic(http.ErrAbortHandler)
		case mood == 3:
			// The answer is lost after the work was done.
			inner.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		inner.ServeHTTP(w, r)
	})
}

// slowBody is an upload over a line of some 4 MB/s.
type slowBody struct {
	io.ReadCloser
	s    *store
	n    int
	done <-chan struct{}
}

func (b *slowBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p[:min(len(p), 32<<10)])
	if before := b.n; n > 0 {
		b.n += n
		if before <= 32<<10 && b.n > 32<<10 {
			b.s.uploading <- struct{}{}
		}
	}
	if b.n > 32<<10 {
		select {
		case <-time.After(8 * time.Millisecond):
		case <-b.done:
		}
	}
	return n, err
}

// openMu guards the environment, which a target reads when it is opened.
var openMu sync.Mutex

// open is the store as the commands see it.
func (s *store) open(t *testing.T) journal.Target {
	t.Helper()
	openMu.Lock()
	defer openMu.Unlock()
	for _, pair := range s.env {
		key, value, _ := strings.Cut(pair, "=")
		require.NoError(t, os.Setenv(key, value)) //nolint:usetesting // t.Setenv does not go with parallel tests
	}
	target, err := journal.OpenTarget(t.Context(), s.url)
	require.NoError(t, err)
	return target
}
