package smoke

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Key is an API key. It shows itself in no output.
type Key string

// Format hides the key from every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// Target is where the API is.
type Target struct {
	// URL is the API's address, such as https://dg.example.com. Required.
	URL string `json:"url"`
	// Key is sent with every request where it is not empty. Deepgram self-hosted
	// asks for none.
	Key Key `json:"-"`
	// CA are certificates (PEM) of authorities that are trusted besides the
	// system's.
	CA []byte `json:"ca,omitempty"`
	// Host overrides the host that is asked for, in HTTP and in TLS.
	Host string `json:"host,omitempty"`
	// Resolve are HOST:PORT:ADDRESS: connections to HOST:PORT go to ADDRESS.
	Resolve []string `json:"resolve,omitempty"`
	// Dial replaces the network; nil means the real one.
	Dial func(ctx context.Context, network, address string) (net.Conn, error) `json:"-"`

	base    *url.URL
	resolve map[string]string
	client  *http.Client
}

// maxAnswer is more than any answer has, 64 MB: a speech of half an hour.
const maxAnswer = 64 << 20

// prepare reads the fields and makes the client.
func (t *Target) prepare() error {
	if t.client != nil {
		return nil
	}
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("--url %q: must be http:// or https:// and a host, such as https://dg.example.com", t.URL)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("--url: must have no user, query or fragment; a key goes into DEEPGRAM_API_KEY or --api-key-file")
	}
	// Both https://host and https://host/v1 are meant the same.
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/v1")
	t.base = u
	t.resolve = map[string]string{}
	for _, r := range t.Resolve {
		parts := strings.SplitN(r, ":", 3)
		if len(parts) != 3 || parts[0] == "" || net.ParseIP(strings.Trim(parts[2], "[]")) == nil {
			return fmt.Errorf("--resolve %q: must be HOST:PORT:ADDRESS, such as dg.example.com:443:10.128.0.50", r)
		}
		t.resolve[strings.ToLower(parts[0])+":"+parts[1]] = net.JoinHostPort(strings.Trim(parts[2], "[]"), parts[1])
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: hostOnly(t.Host)}
	if len(t.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(t.CA) {
			return errors.New("--ca-file: holds no certificate in PEM form")
		}
		config.RootCAs = pool
	}
	dial := t.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	t.client = &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, TLSHandshakeTimeout: 10 * time.Second,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if to, ok := t.resolve[strings.ToLower(address)]; ok {
					address = to
				}
				return dial(ctx, network, address)
			},
			// Many streams start at a time, and each is a connection of its own.
			MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// Check says what is wrong with the target.
func (t *Target) Check() error { return t.prepare() }

// close ends connections that are kept for later.
func (t *Target) close() {
	if t.client != nil {
		t.client.CloseIdleConnections()
	}
}

func hostOnly(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return hostport
}

// serverName is the host that the certificate must cover.
func (t *Target) serverName() string {
	if t.Host != "" {
		return hostOnly(t.Host)
	}
	return t.base.Hostname()
}

// hostPort is where connections go.
func (t *Target) hostPort() string {
	port := t.base.Port()
	if port == "" {
		if port = "80"; t.base.Scheme == "https" {
			port = "443"
		}
	}
	address := net.JoinHostPort(t.base.Hostname(), port)
	if to, ok := t.resolve[strings.ToLower(address)]; ok {
		return address + " (" + to + ")"
	}
	return address
}

// address is the URL of a path.
func (t *Target) address(path string, query url.Values) string {
	u := *t.base
	u.Path += path
	u.RawQuery = query.Encode()
	return u.String()
}

func (t *Target) header() http.Header {
	h := http.Header{"User-Agent": {"deepgram-ops smoke-test"}}
	if t.Key != "" {
		h.Set("Authorization", "Token "+string(t.Key))
	}
	return h
}

// do sends a request within a time and reads the whole answer. Answers that are not
// 200 are failures.
func (t *Target) do(
	ctx context.Context, limit time.Duration, method, path string, query url.Values, kind string, body []byte,
) (http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, t.address(path, query), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header, req.Host = t.header(), t.Host
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := t.client.Do(req)
	if err != nil {
		return nil, nil, transportFailure(err, t, limit)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, nil, transportFailure(err, t, limit)
	}
	if res.StatusCode != http.StatusOK {
		return nil, nil, answerFailure(t, path, res.StatusCode, res.Header, answer)
	}
	return res.Header, answer, nil
}

// get reads JSON.
func (t *Target) get(ctx context.Context, limit time.Duration, path string, into any) error {
	_, body, err := t.do(ctx, limit, http.MethodGet, path, nil, "", nil)
	if err != nil {
		return err
	}
	return t.decode(path, body, into)
}

func (t *Target) decode(path string, body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fail(KindAnswer, "check that --url is Deepgram's API and not something before it", "%s is not answered in Deepgram's JSON: %s", path, short(string(body), 80))
	}
	return nil
}
