package images

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// errStalled is a transfer in which nothing moved for Options.Stall.
var errStalled = errors.New("nothing was received or taken for too long")

// commitTimeout bounds the answer to the end of an upload: registries on object
// storage put gigabytes together before they answer.
const commitTimeout = 10 * time.Minute

// network carries every request of a Client. It waits and tries again where
// that can help (429 with Retry-After, 5xx, broken connections), bounds silence,
// goes on with a broken download where it broke, and asks a registry only once
// how it wants to be spoken to.
type network struct {
	base    http.RoundTripper
	tries   int
	first   time.Duration
	stall   time.Duration
	maxWait time.Duration
	note    func(string)

	mu    sync.Mutex
	pings map[string]*ping
}

type ping struct {
	once   sync.Once
	status int
	header http.Header
	err    error
}

// failure travels in the context of a response's request, so that whoever
// explains the error knows how long the registry asked to wait and how often
// it was tried.
type failure struct {
	tries      int
	retryAfter time.Duration
	// waited is set where the wait is over, but the request cannot be repeated
	// here: an upload.
	waited bool
}

type failureKey struct{}

func newTransport(o Options) *network {
	base := o.Transport
	if base == nil {
		t := remote.DefaultTransport.(*http.Transport).Clone()
		t.TLSHandshakeTimeout = o.Stall
		// Layers are large: fewer, larger reads and writes.
		t.ReadBufferSize, t.WriteBufferSize = 128<<10, 128<<10
		base = t
	}
	return &network{
		base: base, tries: o.Tries, first: o.FirstWait, stall: o.Stall, maxWait: o.MaxWait,
		note: o.Progress.Note, pings: map[string]*ping{},
	}
}

// RoundTrip implements http.RoundTripper.
func (t *network) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet && req.URL.Path == "/v2/" {
		return t.ping(req)
	}
	return t.retry(req)
}

// ping answers from memory what a registry said to the first GET /v2/: the
// library asks once a repository, and with nothing to copy that would double
// the number of requests.
func (t *network) ping(req *http.Request) (*http.Response, error) {
	key := req.URL.Scheme + "://" + req.URL.Host
	t.mu.Lock()
	p, ok := t.pings[key]
	if !ok {
		p = &ping{}
		t.pings[key] = p
	}
	t.mu.Unlock()
	p.once.Do(func() {
		resp, err := t.retry(req)
		if err != nil {
			p.err = err
			return
		}
		resp.Body.Close()
		p.status, p.header = resp.StatusCode, resp.Header
	})
	// Only an answer, or the certainty that the scheme is wrong, is worth
	// keeping.
	var wrongScheme tls.RecordHeaderError
	keep := p.status == http.StatusOK || p.status == http.StatusUnauthorized ||
		errors.As(p.err, &wrongScheme) || plainHTTP(p.err)
	if !keep {
		t.mu.Lock()
		if t.pings[key] == p {
			delete(t.pings, key)
		}
		t.mu.Unlock()
	}
	if p.err != nil {
		return nil, p.err
	}
	return &http.Response{
		Status: strconv.Itoa(p.status) + " " + http.StatusText(p.status), StatusCode: p.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: p.header.Clone(), Body: http.NoBody, Request: req,
	}, nil
}

func plainHTTP(err error) bool {
	return err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

func (t *network) retry(req *http.Request) (*http.Response, error) {
	// An upload's stream is consumed by the first try; the blob is then tried
	// again as a whole, one floor up.
	replayable := req.Method != http.MethodPatch && (req.Body == nil || req.Body == http.NoBody || req.GetBody != nil)
	var waited time.Duration
	for try := 1; ; try++ {
		attempt := req
		if try > 1 && req.GetBody != nil {
			body, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			attempt = req.Clone(req.Context())
			attempt.Body = body
		}
		resp, err := t.once(attempt)
		again, asked := t.retryable(resp, err)
		if !again {
			return resp, err
		}
		wait := asked
		if wait == 0 {
			wait = backoff(t.first, try)
		}
		f := failure{tries: try, retryAfter: asked}
		if try >= t.tries || waited+wait > t.maxWait || req.Context().Err() != nil {
			return mark(resp, f), err
		}
		what := "connection failed"
		if resp != nil {
			what = fmt.Sprintf("answered %d", resp.StatusCode)
		}
		if wait >= time.Second {
			t.note(fmt.Sprintf("waiting ≤ %s: %s %s, try %d of %d", wait.Round(time.Second), req.URL.Host, what, try, t.tries))
		}
		if serr := sleep(req.Context(), wait); serr != nil {
			return mark(resp, f), err
		}
		waited += wait
		if !replayable {
			f.waited = true
			return mark(resp, f), err
		}
		if resp != nil {
			io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) //nolint:errcheck // only to reuse the connection
			resp.Body.Close()
		}
	}
}

func mark(resp *http.Response, f failure) *http.Response {
	if resp != nil && resp.Request != nil {
		resp.Request = resp.Request.WithContext(context.WithValue(resp.Request.Context(), failureKey{}, f))
	}
	return resp
}

// retryable says whether another try can help, and how long the server asked
// to wait before it.
func (t *network) retryable(resp *http.Response, err error) (bool, time.Duration) {
	if err != nil {
		return temporary(err), 0
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return false, 0
}

// temporary says whether the network may do better next time.
func temporary(err error) bool {
	if errors.Is(err, context.Canceled) && !errors.Is(err, errStalled) {
		return false
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsTemporary || dns.IsTimeout
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return true
	}
	for _, e := range []error{
		errStalled, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNREFUSED, syscall.ECONNABORTED,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return strings.Contains(err.Error(), "http2:") || strings.Contains(err.Error(), "server closed idle connection")
}

// retryAfter reads the header in both its forms; 0 where there is none.
func retryAfter(h string, now time.Time) time.Duration {
	if h == "" {
		return 0
	}
	if s, err := strconv.Atoi(h); err == nil && s >= 0 {
		return max(time.Duration(s)*time.Second, time.Millisecond)
	}
	if at, err := http.ParseTime(h); err == nil {
		return max(at.Sub(now), time.Millisecond)
	}
	return 0
}

// backoff doubles from first, at most 30 s, with a quarter of jitter so that
// several transfers do not knock at the same moment.
func backoff(first time.Duration, try int) time.Duration {
	d := min(first<<min(try-1, 16), 30*time.Second)
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once sends the request with silence bounded, and hands back a body that goes
// on where it broke.
func (t *network) once(req *http.Request) (*http.Response, error) {
	resp, dog, err := t.send(req)
	if err != nil {
		return nil, err
	}
	if req.Method == http.MethodGet && resp.StatusCode == http.StatusOK && resp.ContentLength > 0 {
		resp.Body = &resuming{t: t, req: req, body: resp.Body, dog: dog, size: resp.ContentLength}
		return resp, nil
	}
	resp.Body = &watched{ReadCloser: resp.Body, dog: dog}
	return resp, nil
}

// send sends the request once. The watchdog cancels it when nothing moves; it
// is asleep while a caller is not waiting for the network.
func (t *network) send(req *http.Request) (*http.Response, *watchdog, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	dog := &watchdog{limit: t.stall, bite: func() { cancel(errStalled) }, stop: func() { cancel(context.Canceled) }}
	req = req.WithContext(ctx)
	switch {
	case req.Body != nil && req.Body != http.NoBody && req.Method == http.MethodPatch:
		req.Body = &upload{ReadCloser: req.Body, dog: dog}
		dog.wake(t.stall)
	case req.Method == http.MethodPut:
		dog.wake(max(t.stall, commitTimeout))
	default:
		dog.wake(t.stall)
	}
	resp, err := t.base.RoundTrip(req)
	dog.sleep()
	if err != nil {
		if context.Cause(ctx) == errStalled { //nolint:errorlint // the cause is that very value
			err = fmt.Errorf("%w (%s)", errStalled, t.stall)
		}
		dog.close()
		return nil, nil, err
	}
	return resp, dog, nil
}

// watchdog cancels a request in which nothing moves.
type watchdog struct {
	limit time.Duration
	bite  func()
	stop  func()

	mu    sync.Mutex
	timer *time.Timer
}

func (d *watchdog) wake(limit time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer == nil {
		d.timer = time.AfterFunc(limit, d.bite)
		return
	}
	d.timer.Reset(limit)
}

func (d *watchdog) sleep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}

func (d *watchdog) close() {
	d.sleep()
	d.stop()
}

// upload is a request's stream: the watchdog watches the receiver, so it sleeps
// while the stream itself is being read from its source.
type upload struct {
	io.ReadCloser
	dog *watchdog
}

func (u *upload) Read(p []byte) (int, error) {
	u.dog.sleep()
	n, err := u.ReadCloser.Read(p)
	limit := u.dog.limit
	if err != nil {
		limit = max(limit, commitTimeout)
	}
	u.dog.wake(limit)
	return n, err
}

// watched is a response's body with its watchdog.
type watched struct {
	io.ReadCloser
	dog *watchdog
}

func (w *watched) Read(p []byte) (int, error) {
	w.dog.wake(w.dog.limit)
	n, err := w.ReadCloser.Read(p)
	w.dog.sleep()
	return n, err
}

func (w *watched) Close() error {
	err := w.ReadCloser.Close()
	w.dog.close()
	return err
}

// resuming is a download of known size that asks for the rest where it breaks.
type resuming struct {
	t          *network
	req        *http.Request
	body       io.ReadCloser
	dog        *watchdog
	size, read int64
	fails      int
	err        error
}

func (r *resuming) Read(p []byte) (int, error) {
	for {
		if r.err != nil {
			return 0, r.err
		}
		r.dog.wake(r.dog.limit)
		n, err := r.body.Read(p)
		r.dog.sleep()
		r.read += int64(n)
		if n > 0 {
			r.fails = 0
			if err == nil || r.read >= r.size {
				return n, nil
			}
		}
		switch {
		case err == nil:
			return n, nil
		case r.read >= r.size:
			r.err = io.EOF
		default:
			r.err = r.reopen(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// reopen replaces the broken body by one that starts where it broke.
func (r *resuming) reopen(cause error) error {
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF
	}
	cause = &truncated{read: r.read, size: r.size, err: cause}
	r.body.Close()
	r.dog.close()
	r.fails++
	if ctxErr := r.req.Context().Err(); ctxErr != nil {
		return ctxErr
	}
	if r.fails >= r.t.tries {
		return cause
	}
	if err := sleep(r.req.Context(), backoff(r.t.first, r.fails)); err != nil {
		return err
	}
	req := r.req.Clone(r.req.Context())
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", r.read))
	resp, dog, err := r.t.send(req) //nolint:bodyclose // the reader takes the body over and closes it
	if err != nil {
		if !temporary(err) {
			return cause
		}
		r.body, r.dog = errBody{err}, &watchdog{limit: r.t.stall, bite: func() {}, stop: func() {}}
		return nil // counts as one more failure at the next Read
	}
	r.body, r.dog = resp.Body, dog
	switch {
	case resp.StatusCode == http.StatusPartialContent &&
		strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", r.read)):
		return nil
	case resp.StatusCode == http.StatusOK:
		// The server knows no ranges: skip what is there already.
		if _, err := io.CopyN(io.Discard, resp.Body, r.read); err != nil {
			return cause
		}
		return nil
	}
	return cause
}

func (r *resuming) Close() error {
	err := r.body.Close()
	r.dog.close()
	return err
}

type errBody struct{ err error }

func (b errBody) Read([]byte) (int, error) { return 0, b.err }
func (b errBody) Close() error             { return nil }

// truncated is a download that ended early and could not be continued.
type truncated struct {
	read, size int64
	err        error
}

func (t *truncated) Error() string {
	return fmt.Sprintf("broke off after %d of %d bytes: %v", t.read, t.size, t.err)
}
func (t *truncated) Unwrap() error { return t.err }
