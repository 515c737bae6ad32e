package comment

import (
	"bytes"
	"context"
	"encoding/json"
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
	"time"
)

const (
	// attempts for one request that the service fails to answer.
	attempts = 5
	// oneAttempt bounds each of them: a page of 100 long comments is 26 MB.
	oneAttempt = time.Minute
	// largest answer that is read.
	largest = 64 << 20
)

// courier carries requests to one API: with the token, to no other host, again
// when it failed, and slower when the service asks for it. What it returns is a
// success whose JSON is whole, a redirection, an *Error, or the context's error.
type courier struct {
	base   http.RoundTripper
	target Target
	host   string
	// header sets the token.
	header   func(http.Header, string)
	progress func(format string, args ...any)
	sleep    func(context.Context, time.Duration) error
	now      func() time.Time

	mutex sync.Mutex
	left  time.Duration // of the waits allowed
}

type onceKey struct{}

// once asks the courier not to repeat a request that may have been done.
func once(ctx context.Context) context.Context { return context.WithValue(ctx, onceKey{}, true) }

// unsureError is the failure of a request, sent once, that may have been done.
type unsureError struct{ cause *Error }

func (e *unsureError) Error() string { return e.cause.Error() }
func (e *unsureError) Unwrap() error { return e.cause }

// RoundTrip carries one request.
func (c *courier) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	only := ctx.Value(onceKey{}) != nil
	for attempt := 1; ; attempt++ {
		resp, err := c.try(req)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			return resp, nil
		}
		var e *answerError
		if !errors.As(err, &e) {
			return nil, err
		}
		switch kind := e.cause.Kind; {
		case kind == RateLimited:
			// The service did not do it, so that it may always be sent again.
			if e.wait == 0 {
				// GitHub asks for a minute at least where it names no time.
				e.wait = time.Minute << min(attempt-1, 4)
			}
		case kind == Unavailable && only:
			return nil, &unsureError{e.cause}
		case kind == Unavailable && attempt < attempts:
			e.wait = max(e.wait, backoff(attempt))
		default:
			return nil, e.cause
		}
		if err := c.wait(ctx, e); err != nil {
			return nil, err
		}
	}
}

// backoff is 1 s, 2 s, 4 s …, with some jitter: jobs of a matrix fail together
// and should not come back together.
func backoff(attempt int) time.Duration {
	d := time.Second << (attempt - 1)
	return d + rand.N(d/2)
}

// wait waits as the failure asks, within what is left.
func (c *courier) wait(ctx context.Context, e *answerError) error {
	c.mutex.Lock()
	enough := e.wait <= c.left
	if enough {
		c.left -= e.wait
	}
	c.mutex.Unlock()
	name := c.target.Provider.title()
	length := e.wait.Round(time.Second)
	if !enough {
		if e.cause.Kind == RateLimited {
			e.cause.Message = fmt.Sprintf("%s allows no more requests for %s (until %s), longer than we may wait: run again later, or use a token of its own",
				name, length, c.now().Add(e.wait).UTC().Format("15:04:05 UTC"))
		}
		return e.cause
	}
	if e.cause.Kind == RateLimited {
		c.progress("%s limits the rate of requests: waiting %s", name, length)
	} else {
		c.progress("%s: again in %s", e.cause.Message, length)
	}
	return c.sleep(ctx, e.wait)
}

// answerError is a failed attempt.
type answerError struct {
	cause *Error
	// wait is how long the service asks to wait; 0 where it does not say.
	wait time.Duration
}

func (e *answerError) Error() string { return e.cause.Error() }
func (e *answerError) Unwrap() error { return e.cause }

// try sends the request once and reads the answer to its end.
func (c *courier) try(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), oneAttempt)
	defer cancel()
	sent := req.Clone(ctx)
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		sent.Body = body
	}
	// A redirection must not carry the token elsewhere.
	if sent.URL.Host == c.host {
		c.header(sent.Header, c.target.Token.value)
	}
	name := c.target.Provider.title()
	unavailable := func(status int, format string, args ...any) error {
		return &answerError{cause: &Error{Kind: Unavailable, Status: status, Message: fmt.Sprintf(format, args...)}}
	}
	resp, err := c.base.RoundTrip(sent)
	if err != nil {
		var lookup *net.DNSError
		if errors.As(err, &lookup) && lookup.IsNotFound {
			return nil, &Error{Kind: Unavailable, Message: fmt.Sprintf("there is no host %s: check the address of the API", oneLine(sent.URL.Host, 100))}
		}
		return nil, unavailable(0, "%s at %s cannot be reached: %s", name, sent.URL.Host, c.clean(err.Error()))
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, largest+1))
	switch {
	case err != nil:
		return nil, unavailable(resp.StatusCode, "%s's answer broke off: %s", name, c.clean(err.Error()))
	case len(data) > largest:
		return nil, &Error{Kind: Unavailable, Status: resp.StatusCode, Message: fmt.Sprintf("%s's answer is over %d MB", name, largest>>20)}
	}
	resp.Body = io.NopCloser(bytes.NewReader(data))
	resp.Request = req
	status := resp.StatusCode
	if status >= 200 && status < 300 {
		if len(data) > 0 && !json.Valid(data) {
			return nil, unavailable(status, "%s's answer to %s is not JSON (%s): check the address of the API, and proxies before it",
				name, sent.URL.Path, oneLine(resp.Header.Get("Content-Type"), 60))
		}
		if !limitedGraphQL(resp, data) {
			return resp, nil
		}
	} else if status >= 300 && status < 400 {
		return resp, nil
	}
	return nil, c.judge(resp, data)
}

// limitedGraphQL tells a rate limit that GitHub reports with status 200.
func limitedGraphQL(resp *http.Response, data []byte) bool {
	return strings.HasSuffix(resp.Request.URL.Path, "/graphql") && bytes.Contains(data, []byte(`"RATE_LIMITED"`))
}

// judge makes an error of an answer that is none of 2xx and 3xx.
func (c *courier) judge(resp *http.Response, data []byte) error {
	said := c.said(data)
	lower := strings.ToLower(said)
	e, wait := &Error{Status: resp.StatusCode}, c.asked(resp.Header)
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests, status < 300,
		status == http.StatusForbidden && (wait > 0 || strings.Contains(lower, "rate limit")):
		e.Kind = RateLimited
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e.Kind = Permission
	case status == http.StatusNotFound, status == http.StatusGone:
		e.Kind = NotFound
	case status == http.StatusRequestEntityTooLarge, status < 500 && strings.Contains(lower, "too long"):
		e.Kind = TooLong
	case status >= 500 && status != http.StatusNotImplemented:
		e.Kind = Unavailable
	default:
		e.Kind = Invalid
	}
	e.Message = c.target.advise(e.Kind, resp.StatusCode, said)
	return &answerError{cause: e, wait: wait}
}

// asked is how long an answer asks to wait; 0 where it does not say.
func (c *courier) asked(h http.Header) time.Duration {
	if after := h.Get("Retry-After"); after != "" {
		if seconds, err := strconv.ParseInt(after, 10, 32); err == nil {
			return time.Duration(max(seconds, 1)) * time.Second
		}
		if at, err := http.ParseTime(after); err == nil {
			return max(at.Sub(c.now()), time.Second)
		}
	}
	for _, prefix := range []string{"X-RateLimit-", "RateLimit-"} { // GitHub, GitLab
		if h.Get(prefix+"Remaining") != "0" {
			continue
		}
		if at, err := strconv.ParseInt(h.Get(prefix+"Reset"), 10, 64); err == nil {
			// One second more: clocks differ, and the time is rounded down.
			return max(time.Unix(at, 0).Sub(c.now()), 0) + time.Second
		}
	}
	return 0
}

// said is the message of an error's body.
func (c *courier) said(data []byte) string {
	var body struct {
		Message json.RawMessage `json:"message"`
		Error   json.RawMessage `json:"error"`
		Errors  json.RawMessage `json:"errors"`
	}
	if json.Unmarshal(data, &body) != nil {
		return ""
	}
	var parts []string
	for _, raw := range []json.RawMessage{body.Message, body.Error, body.Errors} {
		if text := plain(raw); text != "" {
			parts = append(parts, text)
		}
	}
	return c.clean(strings.Join(parts, ": "))
}

// plain is the text in a part of an error's body, whatever its form is: the
// services use texts, lists and objects.
func plain(raw json.RawMessage) string {
	var value any
	if len(raw) == 0 || json.Unmarshal(raw, &value) != nil {
		return ""
	}
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		var all []string
		for _, one := range v {
			if m, ok := one.(map[string]any); ok && m["message"] != nil {
				one = m["message"]
			}
			all = append(all, fmt.Sprint(one))
		}
		return strings.Join(all, ", ")
	case map[string]any:
		var all []string
		for name, one := range v {
			all = append(all, fmt.Sprintf("%s %v", name, one))
		}
		return strings.Join(all, ", ")
	}
	return fmt.Sprint(value)
}

func (c *courier) clean(text string) string { return oneLine(c.target.Token.scrub(text), 300) }

// explain finds our error in what an HTTP client made of it, and says what was
// being done.
func (c *courier) explain(step string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", step, contextCause(err))
	}
	var e *Error
	var unsure *unsureError
	switch {
	case errors.As(err, &unsure):
		copied := *unsure.cause
		copied.Step = step
		return &unsureError{&copied}
	case errors.As(err, &e):
		copied := *e
		copied.Step = step
		return &copied
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	// What decodes, but not to what was asked for.
	return &Error{Kind: Unavailable, Step: step, Message: fmt.Sprintf("%s's answer cannot be read: %s", c.target.Provider.title(), c.clean(err.Error()))}
}

func contextCause(err error) error {
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	return context.DeadlineExceeded
}
