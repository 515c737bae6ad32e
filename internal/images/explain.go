package images

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// side says where something went wrong.
type side struct {
	place   string
	reading bool
	err     error
}

func (s *side) Error() string { return s.err.Error() }
func (s *side) Unwrap() error { return s.err }

func from(s source, err error) error { return at(s.String(), true, err) }
func to(s sink, err error) error     { return at(s.String(), false, err) }

func at(place string, reading bool, err error) error {
	var known *side
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &side{place: place, reading: reading, err: err}
}

// Error is one image that could not be copied or compared, told in one sentence.
type Error struct {
	// Image is the image's name and reference.
	Image string
	// Place is the repository or folder where it failed.
	Place string
	// Status is the HTTP status that ended it; 0 where there was none.
	Status int
	text   string
	err    error
}

func (e *Error) Error() string { return fmt.Sprintf("image %s: %s: %s", e.Image, e.Place, e.text) }

// Unwrap is the cause; its own text may be long, but holds no credentials.
func (e *Error) Unwrap() error { return e.err }

// explain turns what a copy returned into one sentence that names image,
// registry and remedy.
func explain(i Image, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	ref := i.Source
	if ref == "" {
		ref = i.Target
	}
	e := &Error{Image: fmt.Sprintf("%s (%s)", i.Name, ref), Place: "registry", Status: status(err), err: err}
	reading := true
	var s *side
	if errors.As(err, &s) {
		e.Place, reading = s.place, s.reading
	}
	e.text = sentence(err, e.Status, reading)
	return e
}

func sentence(err error, code int, reading bool) string {
	var cut *truncated
	f := failed(err)
	switch {
	case errors.Is(err, syscall.ENOSPC), code == http.StatusInsufficientStorage, strings.Contains(err.Error(), "no space left"):
		if reading {
			return "its disk is full"
		}
		return "its disk is full: free or enlarge it, then run again; what was copied is kept"
	case code == http.StatusUnauthorized && reading:
		return fmt.Sprintf("refused the credentials (401): set %s and %s to the distribution credentials of the Deepgram console, or log in with docker login", EnvDistUsername, EnvDistPassword)
	case code == http.StatusUnauthorized:
		return fmt.Sprintf("refused the credentials (401): set %s and %s, or log in with gcloud auth application-default login or docker login", EnvTargetUsername, EnvTargetPassword)
	case code == http.StatusForbidden && reading:
		return "these credentials may not read it (403): ask Deepgram to enable the image for your distribution credentials, or check that they are the right ones"
	case code == http.StatusForbidden:
		return "these credentials may not write to it (403): grant them roles/artifactregistry.writer on the repository"
	case notFound(err) && reading:
		return "does not have it (404): check release.tag and the image's name upstream"
	case notFound(err):
		return "does not exist (404): create the repository first (the Registry component does)"
	case code == http.StatusTooManyRequests && f.retryAfter > 0:
		return fmt.Sprintf("limits the number of requests (429) and asks to wait %s: run again after that, or lower --parallel; what was copied is kept", f.retryAfter.Round(1e9))
	case code == http.StatusTooManyRequests:
		return fmt.Sprintf("limits the number of requests (429, tried %d times): run again later, or lower --parallel; what was copied is kept", max(1, f.tries))
	case code >= 500:
		return fmt.Sprintf("failed (%d %s, tried %d times): its own trouble; run again later, what was copied is kept", code, http.StatusText(code), max(1, f.tries))
	case errors.As(err, &cut):
		return fmt.Sprintf("broke off a download after %d of %d bytes, again and again: run again, whole blobs are kept", cut.read, cut.size)
	case errors.Is(err, errStalled):
		return "was silent for too long: check the network (proxy, firewall), raise --stall, and run again; what was copied is kept"
	case wrongDigest(err):
		return "sent content that does not match its digest: nothing of it was kept; run again, and if it stays so, the registry or a proxy before it is damaged"
	case errors.Is(err, fs.ErrPermission):
		return "may not be written: " + plain(err)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fmt.Sprintf("the name %s cannot be resolved: check spelling, DNS and proxy", dns.Name)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "did not answer in time: check the network (proxy, firewall) and run again; what was copied is kept"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "refuses connections: check host, port and proxy"
	}
	if code == 0 && temporary(err) {
		return "broke the connection again and again: run again; what was copied is kept"
	}
	if code != 0 {
		return fmt.Sprintf("answered %d %s: %s", code, http.StatusText(code), plain(err))
	}
	return plain(err)
}

// plain is an error's text without the address, whose query may hold a token.
func plain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return plain(u.Err)
	}
	var t *transport.Error
	if errors.As(err, &t) {
		var words []string
		for _, d := range t.Errors {
			words = append(words, strings.TrimSpace(string(d.Code)+" "+d.Message))
		}
		if len(words) == 0 {
			return http.StatusText(t.StatusCode)
		}
		return strings.Join(words, "; ")
	}
	return err.Error()
}

// status is the HTTP status of an error of the library; 0 where there is none.
func status(err error) int {
	var t *transport.Error
	if errors.As(err, &t) {
		return t.StatusCode
	}
	return 0
}

func failed(err error) failure {
	var t *transport.Error
	if errors.As(err, &t) && t.Request != nil {
		if f, ok := t.Request.Context().Value(failureKey{}).(failure); ok {
			return f
		}
	}
	return failure{}
}

func notFound(err error) bool {
	if status(err) == http.StatusNotFound {
		return true
	}
	var lost *missing
	return errors.As(err, &lost)
}

// missing is what a folder does not have.
type missing struct{ what string }

func (m *missing) Error() string { return m.what + " is not there" }

func wrongDigest(err error) bool {
	text := err.Error()
	return strings.Contains(text, "error verifying") || strings.Contains(text, "does not match requested digest") ||
		strings.Contains(text, "DIGEST_INVALID") || strings.Contains(text, "does not match expected size")
}

// uploadAgain says whether uploading a blob again can help.
func uploadAgain(err error) bool {
	switch code := status(err); {
	case code == http.StatusNotFound:
		// The upload's session is gone: the registry was restarted.
		var t *transport.Error
		return errors.As(err, &t) && t.Request != nil && (t.Request.Method == http.MethodPatch || t.Request.Method == http.MethodPut)
	case code == http.StatusTooManyRequests || code >= 500:
		// The transport has waited, and could not repeat the request itself.
		return failed(err).waited && code != http.StatusInsufficientStorage && !strings.Contains(err.Error(), "no space left")
	case code == http.StatusBadRequest:
		// DIGEST_INVALID and the like: a stream that was damaged on its way.
		return wrongDigest(err)
	case code != 0:
		return false
	}
	var cut *truncated
	return temporary(err) || errors.As(err, &cut) || wrongDigest(err)
}
