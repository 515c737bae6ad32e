package smoke

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// Kinds of failure. They are stable: programs may compare them.
const (
	KindDNS          = "dns"
	KindRefused      = "connection-refused"
	KindTimeout      = "timeout"
	KindTLS          = "tls"
	KindScheme       = "scheme"
	KindRedirect     = "redirect"
	KindRequest      = "bad-request"
	KindUnauthorized = "unauthorized"
	KindForbidden    = "forbidden"
	KindNotFound     = "not-found"
	KindCapacity     = "over-capacity"
	KindUnavailable  = "unavailable"
	KindServer       = "server-error"
	KindAnswer       = "unexpected-answer"
	KindHealth       = "unhealthy"
	KindEngine       = "engine-not-connected"
	KindModels       = "models-missing"
	KindWords        = "wrong-words"
	KindInterim      = "no-interim-results"
	KindFinal        = "no-final-results"
	KindDisconnected = "disconnected"
	KindSlow         = "slow"
	KindSpeech       = "no-speech"
	KindCPU          = "no-gpu"
	KindConnection   = "connection"
	KindCluster      = "cluster"
)

// Failure is what went wrong in a sentence, and what to do about it.
type Failure struct { //nolint:errname // it is a finding first, and an error besides
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Do      string `json:"do"`
}

func (f *Failure) Error() string { return f.Message + ": " + f.Do }

func fail(kind, do, format string, args ...any) *Failure {
	return &Failure{Kind: kind, Message: fmt.Sprintf(format, args...), Do: do}
}

// everywhere tells that every other request would fail the same way.
func (f *Failure) everywhere() bool {
	switch f.Kind {
	case KindDNS, KindRefused, KindTimeout, KindTLS, KindScheme, KindRedirect, KindUnauthorized, KindForbidden, KindConnection:
		return true
	}
	return false
}

// stays tells that waiting does not help.
func (f *Failure) stays() bool {
	switch f.Kind {
	case KindTLS, KindScheme, KindRedirect, KindUnauthorized, KindForbidden:
		return true
	}
	return false
}

// transportFailure is the sentence of an error below HTTP.
func transportFailure(err error, t *Target, limit time.Duration) *Failure {
	var known *Failure
	if errors.As(err, &known) {
		return known
	}
	host := t.serverName()
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var network net.Error
	switch {
	case errors.As(err, &dns):
		return fail(KindDNS, "create the record that the stack's output dnsRecords names, run where the private zone is seen, or give --resolve HOST:PORT:ADDRESS with the output apiAddress",
			"the name %s has no address here (%s)", dns.Name, dns.Err)
	case errors.As(err, &authority):
		return fail(KindTLS, "give the authority's certificates with --ca-file; where the authority is a public one, ingress.certificate.bundle lacks the intermediate certificate",
			"the certificate of %s is signed by an authority that is not trusted here", host)
	case errors.As(err, &name):
		return fail(KindTLS, "reach it by a name of its certificate (--host-header NAME, --resolve), or set an ingress.certificate that covers the host",
			"the certificate is for %s, not for %s", strings.Join(namesOf(name.Certificate), ", "), name.Host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		what := "has expired on " + invalid.Cert.NotAfter.UTC().Format(time.DateOnly)
		if time.Now().Before(invalid.Cert.NotBefore) {
			what = "is not valid before " + invalid.Cert.NotBefore.UTC().Format(time.DateOnly)
		}
		return fail(KindTLS, "set a certificate that is valid today in ingress.certificate, with the old one as ingress.previousCertificate; or put this machine's clock right",
			"the certificate of %s %s", host, what)
	case errors.As(err, &invalid):
		return fail(KindTLS, "look at it with deepgram-ops cert check", "the certificate of %s is not valid: %v", host, invalid)
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return fail(KindScheme, "use http:// in --url, or the port of the load balancer's HTTPS", "%s does not speak TLS", t.URL)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail(KindRefused, "check address and port, and that the load balancer or the Service is there (kubectl get ingress,service,pods)",
			"nothing listens at %s", t.hostPort())
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return fail(KindTimeout, "run it inside the network (--in-cluster, --port-forward), check the firewall rules of the proxy-only subnet, or raise --timeout",
			"%s gave no answer within %s", t.hostPort(), limit)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fail(KindDisconnected, "look at the API's log at this time (kubectl logs -l app=deepgram-api): a pod that restarts or a proxy cuts connections",
			"%s cut the connection before the answer was complete", t.hostPort())
	case strings.Contains(err.Error(), "tls: "):
		return fail(KindTLS, "check what stands before the API: protocol, ciphers, client certificates", "TLS with %s failed: %v", host, root(err))
	}
	return fail(KindConnection, "check address, network and proxies (HTTPS_PROXY, NO_PROXY)", "%s cannot be reached: %v", t.hostPort(), root(err))
}

func namesOf(c *x509.Certificate) []string {
	if c == nil {
		return []string{"another name"}
	}
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = []string{c.Subject.CommonName}
	}
	return names
}

// root is the innermost error: those around it repeat the request.
func root(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// answerFailure is the sentence of an HTTP answer that is not the wanted one.
func answerFailure(t *Target, path string, code int, header http.Header, body []byte) *Failure {
	said := saying(header, body)
	what := fmt.Sprintf("%s answered %d%s", path, code, said)
	switch {
	case code >= 300 && code < 400:
		return fail(KindRedirect, "give that address as --url", "%s redirects to %s", t.URL, header.Get("Location"))
	case code == http.StatusUnauthorized:
		key := "asks for an API key and got none"
		if t.Key != "" {
			key = "refuses this API key"
		}
		return fail(KindUnauthorized, "put the right key into DEEPGRAM_API_KEY or a file for --api-key-file; Deepgram self-hosted itself asks for none, so this is what stands before it",
			"the entrance %s: %s", key, what)
	case code == http.StatusForbidden:
		return fail(KindForbidden, "check the key's rights, and what stands before the API: source ranges, Cloud Armor, IAP, a proxy", "access is refused: %s", what)
	case code == http.StatusNotFound:
		return fail(KindNotFound, "check host and path of --url and --host-header (an Ingress answers 404 to a host that it does not know), and that the feature is switched on (api.features)",
			"there is nothing at this path: %s", what)
	case code == http.StatusTooManyRequests:
		return fail(KindCapacity, "try again at a quieter time, or add engines: raise scaling.engine.maxReplicas and the pool's maxNodes, or engine.activeRequests where the GPU has room",
			"the engines are over capacity: %s", what)
	case code == http.StatusServiceUnavailable && strings.Contains(strings.ToLower(said), "capacity"):
		return fail(KindCapacity, "try again at a quieter time, or add engines: raise scaling.engine.maxReplicas and the pool's maxNodes, or engine.activeRequests where the GPU has room",
			"the engines are over capacity: %s", what)
	case code == http.StatusServiceUnavailable:
		return fail(KindUnavailable, "see whether engines are ready (kubectl get pods -l app=deepgram-engine) and licensed; before a load balancer: whether its backends are healthy",
			"no engine takes the request: %s", what)
	case code == http.StatusBadGateway, code == http.StatusGatewayTimeout:
		return fail(KindUnavailable, "see whether API pods are ready, whether the load balancer's health check asks /v1/status on port 8080, and whether the firewall lets the proxy-only subnet in",
			"the proxy before the API has no answer from it: %s", what)
	case code == http.StatusBadRequest && strings.Contains(said, "HTTPS server"):
		return fail(KindScheme, "use https:// in --url", "%s speaks TLS only", t.URL)
	case code >= 500:
		return fail(KindServer, "read the logs of API and Engine at this time (kubectl logs -l app=deepgram-engine)", "%s", what)
	case code >= 400:
		return fail(KindRequest, "check that a model for this language, batch or streaming, is loaded (--model chooses another)", "the request is refused: %s", what)
	}
	return fail(KindAnswer, "check that --url is Deepgram's API and not something before it", "%s", what)
}

// saying is what the answer says of itself, for the sentence.
func saying(header http.Header, body []byte) string {
	var v struct {
		Code    string `json:"err_code"`
		Message string `json:"err_msg"`
		Reason  string `json:"reason"`
		Details string `json:"details"`
	}
	text := header.Get("Dg-Error")
	if text == "" && json.Unmarshal(body, &v) == nil {
		text = v.Message
		for _, other := range []string{v.Details, v.Reason, v.Code} {
			if text == "" {
				text = other
			}
		}
	}
	if text == "" && !strings.Contains(string(body), "<") {
		text = string(body)
	}
	if text = short(text, 200); text == "" {
		return ""
	}
	return " (" + text + ")"
}

// short is one line of text that may be printed.
func short(text string, limit int) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if r := []rune(text); len(r) > limit {
		text = string(r[:limit]) + "…"
	}
	return text
}

// cutFailure is the sentence of a stream that ended too early.
func cutFailure(err error, sent, whole time.Duration) *Failure {
	how := "without a word"
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		how = fmt.Sprintf("with close code %d %s", closed.Code, short(closed.Reason, 200))
	}
	switch {
	case errors.As(err, &closed) && closed.Code == websocket.StatusTryAgainLater:
		return fail(KindCapacity, "try again at a quieter time, or add engines: raise scaling.engine.maxReplicas and the pool's maxNodes",
			"the engines are over capacity: the stream was ended %s", strings.TrimSpace(how))
	default:
		return fail(KindDisconnected, "read the logs of API and Engine at this time; where it is always the same time, it is a proxy's limit (ingress.streamTimeoutSeconds)",
			"the stream was cut %s after %s of %s of sound, before its last result", strings.TrimSpace(how), sent.Round(100*time.Millisecond), whole.Round(100*time.Millisecond))
	}
}
