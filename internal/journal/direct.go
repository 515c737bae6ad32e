package journal

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// The short way of a journal: the helper answers HTTPS on a port of its own, and
// the API server passes the bytes through (pods/proxy). It is several times as
// fast as exec, whose bytes go through the container runtime and the kubelet too.
// Where the API server may not or cannot reach the port, exec is used.

const (
	directPort  = 8447
	directPath  = "/cat"
	tokenHeader = "X-Deepgram-Ops-Token"
	// directPatience is how long the first byte may take. The end of a line that
	// is being written is waited for 5 s.
	directPatience = 12 * time.Second
)

// Director reads from a port of a helper.
type Director interface {
	// Get answers with the body of a GET request; the caller closes it.
	Get(ctx context.Context, namespace, pod, path, token string, query map[string]string) (io.ReadCloser, error)
}

// newToken is what a helper wants to see before it answers. Only its digest is in
// the pod's description, which more people may read than journals.
func newToken() (token, digest string) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	token = hex.EncodeToString(b)
	return token, tokenDigest(token)
}

func tokenDigest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// ServeOptions set up Serve.
type ServeOptions struct {
	// Root is the folder whose journals may be read. Required.
	Root string
	// TokenSHA256 is the digest of the token that requests must carry, in hex.
	// Required.
	TokenSHA256 string
	// Ahead are journals that are read before they are asked for.
	Ahead []string
}

// Serve answers requests for journals until ctx ends. It runs in the helper pod.
// The certificate is made up: the API server does not check it, and the token,
// which nobody else knows, says whom to answer.
func Serve(ctx context.Context, l net.Listener, o ServeOptions) error {
	certificate, err := madeUp()
	if err != nil {
		return fmt.Errorf("serving journals: %w", err)
	}
	server := &http.Server{
		Handler: serveCat(o, readAhead(ctx, o.Ahead)), ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13},
		Protocols: new(http.Protocols), ConnContext: withBulk,
	}
	// The API server would take HTTP/2, which cuts a stream into small frames.
	server.Protocols.SetHTTP1(true)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.ServeTLS(bulkListener{l}, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving journals: %w", err)
	}
	return nil
}

// Listen opens the port on which a helper serves.
func Listen(ctx context.Context) (net.Listener, error) {
	var c net.ListenConfig
	return c.Listen(ctx, "tcp", ":"+strconv.Itoa(directPort))
}

func madeUp() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "billing-journal-helper"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func serveCat(o ServeOptions, early *ahead) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		digest := tokenDigest(r.Header.Get(tokenHeader))
		if o.TokenSHA256 == "" || subtle.ConstantTimeCompare([]byte(digest), []byte(o.TokenSHA256)) != 1 {
			http.Error(w, "the token is not this helper's", http.StatusForbidden)
			return
		}
		q := r.URL.Query()
		offset, err1 := strconv.ParseInt(q.Get("offset"), 10, 64)
		size, err2 := strconv.ParseInt(q.Get("size"), 10, 64)
		compress, err3 := strconv.ParseBool(q.Get("compress"))
		lanes, err4 := strconv.Atoi(cmp.Or(q.Get("lanes"), "1"))
		lane, err5 := strconv.Atoi(cmp.Or(q.Get("lane"), "0"))
		file := path.Clean(q.Get("file"))
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil || r.URL.Path != directPath ||
			!strings.HasPrefix(file, path.Clean(o.Root)+"/") {
			http.Error(w, "the request is not understood", http.StatusBadRequest)
			return
		}
		_ = inBulk(r, true) // nothing is sent yet
		defer func() { _ = inBulk(r, false) }()
		out := &counted{w: w, r: r}
		err := Cat(r.Context(), out, CatOptions{
			Path: file, Offset: offset, Size: size, Compress: compress, Lanes: lanes, Lane: lane,
			Hashed: early.take(file),
			// The API server passes on larger pieces of what it knows the length of.
			Length: func(bytes int64) {
				if out.n == 0 {
					w.Header().Set("Content-Length", strconv.FormatInt(bytes, 10))
				}
			},
		})
		switch {
		case err != nil && out.n == 0:
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		case err != nil:
			// The reader learns by the missing end that it is not complete.
			panic(http.ErrAbortHandler)
		}
	})
}

// counted counts what was written.
type counted struct {
	w http.ResponseWriter
	r *http.Request
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Flush sends what was written.
func (c *counted) Flush() error {
	return errors.Join(http.NewResponseController(c.w).Flush(), inBulk(c.r, true))
}

// notDirectError says that the short way is not there.
type notDirectError struct{ error }

func (e notDirectError) Unwrap() error { return e.error }

// direct copies a journal's stream by the short way. The error is an
// notDirectError where nothing was sent and exec has to be used.
func (h *helper) direct(ctx context.Context, w io.Writer, query map[string]string) error {
	if h.c.Direct == nil || h.closed.Load() {
		return notDirectError{errors.New("there is no direct way")}
	}
	opened, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(directPatience, func() { cancel(errSilent) })
	defer late.Stop()
	get := func(lane int, query map[string]string) (io.ReadCloser, error) {
		query = maps.Clone(query)
		if !h.narrow.Load() {
			query["lanes"], query["lane"] = strconv.Itoa(laneCount), strconv.Itoa(lane)
		}
		return h.c.Direct.Get(opened, h.c.Namespace, h.name, directPath, h.token, query)
	}
	body, err := get(0, query)
	for tries := 0; apierrors.IsServiceUnavailable(err) && tries < 15 && opened.Err() == nil; tries++ {
		// The helper runs, and listens a moment later.
		select {
		case <-opened.Done():
		case <-time.After(100 * time.Millisecond):
		}
		body, err = get(0, query)
	}
	if !late.Stop() && err == nil {
		_ = body.Close()
		err = errSilent
	}
	var status apierrors.APIStatus
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(context.Cause(opened), errSilent):
		return notDirectError{errSilent}
	case errors.As(err, &status) && !apierrors.IsNotFound(err):
		return notDirectError{err}
	default:
		return err // the API server was not reached, or the helper has gone
	}
	stream := newMerged(body, func(lane int, size int64) (io.ReadCloser, error) {
		same := maps.Clone(query)
		same["size"] = strconv.FormatInt(size, 10)
		more, err := get(lane, same)
		if err != nil {
			h.narrow.Store(true) // the next try does without
		}
		return more, err
	})
	defer func() { _ = stream.Close() }() // it was read, or has failed
	_, err = io.Copy(w, stream)
	return err
}

var errSilent = errors.New("no answer from its port")

// proxier goes through the API server.
type proxier struct{ rest rest.Interface }

func (p *proxier) Get(ctx context.Context, namespace, pod, path, token string, query map[string]string) (io.ReadCloser, error) {
	r := p.rest.Get().Namespace(namespace).Resource("pods").Name("https:"+pod+":"+strconv.Itoa(directPort)).
		SubResource("proxy").Suffix(path).SetHeader(tokenHeader, token).MaxRetries(0)
	for k, v := range query {
		r = r.Param(k, v)
	}
	return r.Stream(ctx)
}
