package models

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

// storageEndpoint is the JSON API of Cloud Storage. It is asked with plain
// HTTP: its client library would double the size of the program.
const storageEndpoint = "https://storage.googleapis.com"

const storageScope = "https://www.googleapis.com/auth/devstorage.read_only"

// errStalled is a download in which nothing came for Options.Stall.
var errStalled = errors.New("nothing was received for too long")

// client asks servers for files, with silence bounded and links hidden.
type client struct {
	http     *http.Client
	endpoint string
	token    func(context.Context) (string, error)
	stall    time.Duration

	mu    sync.Mutex
	scrub scrubber
}

func newClient(o Options) *client {
	c := &client{endpoint: o.StorageEndpoint, token: o.Token, stall: o.Stall}
	if c.endpoint == "" {
		c.endpoint = storageEndpoint
	}
	if c.token == nil {
		c.token = defaultToken()
	}
	rt := o.Transport
	if rt == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.DialContext = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
		t.ResponseHeaderTimeout = o.Stall
		t.ReadBufferSize = 256 << 10
		t.MaxIdleConnsPerHost = 2 * o.Parallel
		// Ranges and sizes are those of the file itself, not of its gzip.
		t.DisableCompression = true
		// HTTP/2 would share one connection and its windows among all files.
		t.Protocols = &http.Protocols{}
		t.Protocols.SetHTTP1(true)
		t.ForceAttemptHTTP2 = false
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		// The copy offers HTTP/2 by itself, and would not understand the answer.
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
		rt = t
	}
	c.http = &http.Client{Transport: rt, CheckRedirect: c.redirect}
	return c
}

// defaultToken takes Google's application default credentials, looked up at the
// first gs:// source.
func defaultToken() func(context.Context) (string, error) {
	var once sync.Once
	var ts oauth2.TokenSource
	var err error
	return func(ctx context.Context) (string, error) {
		once.Do(func() { ts, err = google.DefaultTokenSource(context.WithoutCancel(ctx), storageScope) })
		if err != nil {
			return "", err
		}
		t, err := ts.Token()
		if err != nil {
			return "", err
		}
		return t.AccessToken, nil
	}
}

// redirect follows, but never from https to http, and without telling the next
// server the signed link it came from.
func (c *client) redirect(req *http.Request, via []*http.Request) error {
	c.hide(req.URL)
	req.Header.Del("Referer")
	if len(via) >= 10 {
		return &refusal{"redirected more than 10 times: the link runs in a circle"}
	}
	if req.URL.Scheme != "https" && !(req.URL.Scheme == "http" && loopback(req.URL.Hostname())) {
		return &refusal{"redirected from https to " + req.URL.Scheme + ", which would show the file to everybody on the way"}
	}
	return nil
}

func (c *client) hide(u *url.URL) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scrub.add(u)
}

func (c *client) clean(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scrub.clean(text)
}

// refusal is an answer that no repetition changes.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// get asks for the file from offset on. validator makes the server send all of
// it where it changed. The body's watchdog cancels the request in silence.
func (c *client) get(ctx context.Context, l Link, offset, last int64, validator string) (*http.Response, error) {
	u, err := l.parse()
	if err != nil {
		return nil, &refusal{err.Error()}
	}
	c.hide(u)
	var bearer string
	if u.Scheme == "gs" {
		object := strings.TrimPrefix(u.Path, "/")
		if bearer, err = c.token(ctx); err != nil {
			return nil, &refusal{"no Google credentials for gs://: in a cluster use Workload Identity, elsewhere gcloud auth application-default login: " + firstLine(err)}
		}
		address := c.endpoint + "/storage/v1/b/" + url.PathEscape(u.Host) + "/o/" + url.PathEscape(object) + "?alt=media"
		if u, err = url.Parse(address); err != nil {
			return nil, &refusal{"storage endpoint is not a URL"}
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	dog := time.AfterFunc(c.stall, func() { cancel(errStalled) })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		dog.Stop()
		cancel(nil)
		return nil, &refusal{"url: cannot be requested"}
	}
	req.Header.Set("User-Agent", "deepgram-ops")
	req.Header.Set("Accept-Encoding", "identity")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	switch {
	case last >= 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, last))
	case offset > 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		if validator != "" {
			req.Header.Set("If-Range", validator)
		}
	}
	resp, err := c.http.Do(req)
	dog.Stop()
	if err != nil {
		if context.Cause(ctx) == errStalled { //nolint:errorlint // the cause is that very value
			err = errStalled
		}
		cancel(nil)
		return nil, bare(err)
	}
	resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, cancel: cancel, dog: dog, stall: c.stall}
	return resp, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// bare takes the URL off an error.
func bare(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return err
}

// body is a response's stream under a watchdog.
type body struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	dog    *time.Timer
	stall  time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	b.dog.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.dog.Stop()
	if err != nil && context.Cause(b.ctx) == errStalled { //nolint:errorlint // the cause is that very value
		err = errStalled
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.dog.Stop()
	b.cancel(nil)
	return err
}

// answer is an HTTP status that is no success.
type answer struct {
	code  int
	host  string
	after time.Duration
	gs    bool
}

func (a *answer) Error() string {
	switch a.code {
	case http.StatusForbidden, http.StatusGone, http.StatusUnauthorized, http.StatusBadRequest:
		if a.gs {
			return fmt.Sprintf("%s refused access (%d): grant roles/storage.objectViewer on the bucket to the loader's service account", a.host, a.code)
		}
		return fmt.Sprintf("%s refused the link (%d): signed links expire; ask Deepgram for a fresh one, put it into models.files, and run again: what was downloaded is kept", a.host, a.code)
	case http.StatusNotFound:
		return fmt.Sprintf("%s does not have the file (404): check the link", a.host)
	case http.StatusTooManyRequests:
		return fmt.Sprintf("%s limits the number of requests (429): run again later, or lower --parallel; what was downloaded is kept", a.host)
	}
	return fmt.Sprintf("%s answered %d %s: run again later; what was downloaded is kept", a.host, a.code, http.StatusText(a.code))
}

func (a *answer) temporary() bool {
	return a.code == http.StatusTooManyRequests || a.code == http.StatusRequestTimeout ||
		a.code >= 500 && a.code != http.StatusNotImplemented
}

func newAnswer(resp *http.Response, l Link) *answer {
	a := &answer{code: resp.StatusCode, host: resp.Request.URL.Host}
	if u, err := l.parse(); err == nil {
		a.gs = u.Scheme == "gs"
	}
	h := resp.Header.Get("Retry-After")
	if s, err := strconv.Atoi(h); err == nil {
		a.after = time.Duration(s) * time.Second
	} else if at, err := http.ParseTime(h); err == nil {
		a.after = time.Until(at)
	}
	return a
}

// again says whether another try can help, and how long to wait at least.
func again(err error) (bool, time.Duration) {
	var a *answer
	if errors.As(err, &a) {
		return a.temporary(), a.after
	}
	var r *refusal
	if errors.As(err, &r) || errors.Is(err, context.Canceled) {
		return false, 0
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return false, 0
	}
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return false, 0
	}
	for _, e := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO, syscall.EACCES, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, e) {
			return false, 0
		}
	}
	return true, 0
}

// wait sleeps before try number try (2 is the second).
func (l *loader) wait(ctx context.Context, try int, asked time.Duration) error {
	d := min(l.o.FirstWait<<min(max(try-2, 0), 16), time.Minute)
	d = max(d-time.Duration(rand.Int64N(int64(d)/4+1)), asked)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// origin identifies where a file comes from, without its query: a fresh
// signature of the same object is the same origin.
func origin(l Link) string {
	u, err := l.parse()
	if err != nil {
		return ""
	}
	h := sha256.Sum256([]byte(u.Scheme + "://" + u.Host + u.EscapedPath()))
	return hex.EncodeToString(h[:16])
}
