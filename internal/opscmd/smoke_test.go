package opscmd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
	"github.com/deepgram-gke/deepgram-gke/internal/smoke/smoketest"
)

// smokeRun runs a command with variables, fast.
func smokeRun(ctx context.Context, env map[string]string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = Run(ctx, append([]string{"smoke-test"}, args...), Streams{
		In: strings.NewReader(""), Out: &o, Err: &e,
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
	return code, o.String(), e.String()
}

func smokeAPI(t *testing.T, api *smoketest.API) string {
	t.Helper()
	s := httptest.NewServer(api)
	t.Cleanup(s.Close)
	return s.URL
}

// tlsAPI serves with a certificate for names that ends at a time, and gives the
// authority's.
func tlsAPI(t *testing.T, api *smoketest.API, end time.Time, names ...string) (address, caFile string) {
	t.Helper()
	make1 := func(c, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		if signer == nil {
			signer = key
		}
		c.SerialNumber, c.NotBefore = big.NewInt(1), time.Now().Add(-time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
		require.NoError(t, err)
		return der, key
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, caKey := make1(ca, ca, nil)
	leafDER, key := make1(&x509.Certificate{Subject: pkix.Name{CommonName: "dg"}, NotAfter: end, DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, ca, caKey)
	s := httptest.NewUnstartedServer(api)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600))
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	return u.Host, caFile
}

func TestSmokePasses(t *testing.T) {
	t.Parallel()
	host, ca := tlsAPI(t, &smoketest.API{Key: "canary-key"}, time.Now().Add(time.Hour), "dg.example.com")
	_, port, err := net.SplitHostPort(host)
	require.NoError(t, err)
	junit := filepath.Join(t.TempDir(), "smoke.xml")
	keyFile := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(keyFile, []byte("canary-key\n"), 0o600))
	for name, row := range map[string]struct {
		args string
		env  map[string]string
	}{
		"resolve":     {"--url https://dg.example.com:" + port + " --resolve dg.example.com:" + port + ":127.0.0.1 --ca-file " + ca + " --junit " + junit, map[string]string{smokeKeyEnv: "canary-key"}},
		"host header": {"--url https://" + host + "/v1/ --host-header dg.example.com --api-key-file " + keyFile, map[string]string{smokeCAEnv: ca}},
		"environment": {"--resolve dg.example.com:" + port + ":127.0.0.1", map[string]string{smokeURLEnv: "https://dg.example.com:" + port, smokeCAEnv: ca, smokeKeyEnv: "canary-key", "KUBECONFIG": "/nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := smokeRun(t.Context(), row.env, append(strings.Fields(row.args), "--pace", "50", "--samples", "2", "--speak", "-o", "json")...)
			require.Equal(t, ExitDone, code, "%s%s", out, errs)
			var r smoke.Report
			require.NoError(t, json.Unmarshal([]byte(out), &r))
			assert.True(t, r.Passed)
			assert.Equal(t, 2, r.Latency["batch"].Count)
			for _, c := range r.Checks {
				want := smoke.Pass
				if c.Name == smoke.CheckGPU {
					want = smoke.Skip
				}
				assert.Equal(t, want, c.Outcome, "%+v", c)
			}
			assert.Contains(t, errs, "checking streaming", "progress is on stderr")
			assert.NotContains(t, out+errs, "canary")
			if strings.Contains(row.args, "--junit") {
				written, err := os.ReadFile(junit)
				require.NoError(t, err)
				assert.Contains(t, string(written), `tests="8" failures="0" skipped="1"`)
			}
		})
	}
}

// Exit codes, and what only a network shows: names, certificates, ports.
func TestSmokeFails(t *testing.T) {
	t.Parallel()
	api := &smoketest.API{}
	good := time.Now().Add(time.Hour)
	named, ca := tlsAPI(t, api, good, "dg.example.com")
	old, oldCA := tlsAPI(t, api, time.Now().Add(-time.Minute), "dg.example.com")
	plain := strings.TrimPrefix(smokeAPI(t, api), "http://")
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for name, row := range map[string]struct {
		url  string
		args string
		code int
		says string
		do   string
	}{
		"no such name":      {"https://dg.invalid", "", 1, "the name dg.invalid has no address here", "--resolve"},
		"nothing listens":   {"http://" + closed.Addr().String(), "", 1, "nothing listens at 127.0.0.1", "check address and port"},
		"unknown authority": {"https://" + named, "--host-header dg.example.com", 1, "signed by an authority that is not trusted here", "--ca-file"},
		"another name":      {"https://" + named, "--ca-file " + ca, 1, "the certificate is for dg.example.com, not for 127.0.0.1", "--host-header"},
		"expired":           {"https://" + old, "--host-header dg.example.com --ca-file " + oldCA, 1, "the certificate of dg.example.com has expired on 20", "previousCertificate"},
		"no TLS there":      {"https://" + plain, "", 1, "does not speak TLS", "http://"},
		"only TLS there":    {"http://" + named, "", 1, "speaks TLS only", "https://"},
		"over capacity":     {smokeAPI(t, &smoketest.API{Capacity: 1}), "", 1, "over capacity: /v1/listen answered 429", "maxReplicas"},
		"cut":               {smokeAPI(t, &smoketest.API{CutAfter: time.Second}), "", 1, "the stream was cut", "streamTimeoutSeconds"},
		"refused key":       {smokeAPI(t, &smoketest.API{Key: "other"}), "", 1, "refuses this API key", "DEEPGRAM_API_KEY"},
		"slow":              {smokeAPI(t, &smoketest.API{Delay: func(int) time.Duration { return 50 * time.Millisecond }}), "--max-batch-time 1ms", 1, "too slow: batch p50", "GPU"},
		"models":            {smokeAPI(t, api), "--expect-model nova-2-general", 1, "not loaded: nova-2-general", "models.files"},
		"no place":          {"", "", 2, "where is the API? give --url URL", ""},
		"no URL":            {"dg.example.com", "", 2, "must be http:// or https://", ""},
		"two ways":          {"http://x", "--port-forward", 2, "cannot be combined", ""},
		"in both":           {"", "--in-cluster --port-forward", 2, "cannot be combined", ""},
		"unknown check":     {"http://x", "--skip gpus", 2, `--skip "gpus": is no check; there are status, engine`, ""},
		"overlap":           {"http://x", "--min-overlap 2", 2, "at most 1", ""},
		"key in a URL":      {"https://u:canary-key@x", "", 2, "must have no user", ""},
		"no text":           {"http://x", "--audio f.wav", 2, "go together", ""},
		"no sound":          {"http://x", "--audio smoke_test.go --text hello", 2, "must be a WAV file", ""},
		"no certificates":   {"http://x", "--ca-file /nowhere", 2, "--ca-file", ""},
		"no cluster":        {"", "--port-forward --kubeconfig /nowhere", 2, "reaching the cluster", ""},
		"unknown command":   {"http://x", "loda", 2, "did you mean load?", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append(strings.Fields(row.args), "--pace", "50", "--samples", "3")
			if row.url != "" {
				args = append(args, "--url", row.url)
			}
			code, out, errs := smokeRun(t.Context(), map[string]string{smokeKeyEnv: "canary-key"}, args...)
			assert.Equal(t, row.code, code, "%s%s", out, errs)
			assert.NotContains(t, out+errs, "canary")
			if row.code == ExitUsage {
				assert.Contains(t, errs, row.says)
				assert.Empty(t, out)
				return
			}
			assert.Contains(t, out, "FAIL")
			assert.Contains(t, out, row.says)
			assert.Contains(t, out, row.do)
			assert.Contains(t, errs, "checks failed")
		})
	}
}

func TestSmokeIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	api := smokeAPI(t, &smoketest.API{Answer: func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v1/models" {
			cancel()
			<-r.Context().Done()
			return true
		}
		return false
	}})
	code, out, errs := smokeRun(ctx, nil, "--url", api, "-o", "json")
	assert.Equal(t, ExitInterrupted, code, errs)
	var r smoke.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	assert.Len(t, r.Checks, 2, "what was found is told")
	assert.False(t, r.Passed)
}

func TestSmokeLoad(t *testing.T) {
	t.Parallel()
	api := &smoketest.API{Capacity: 3}
	load := []string{"load", "--url", smokeAPI(t, api), "--pace", "20", "--step-duration", "500ms", "--settle", "10ms", "--target-p99", "1m", "--engines", "1", "--headroom", "1"}
	code, out, errs := smokeRun(t.Context(), nil, append(load, "-o", "json")...)
	require.Equal(t, ExitDone, code, errs)
	var r smoke.LoadReport
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	assert.Equal(t, 3, r.Streams)
	assert.Equal(t, 3, r.StreamsPerPod)
	assert.Equal(t, smoke.LimitCapacity, r.Limit)
	assert.Equal(t, 3, api.Most())

	code, out, _ = smokeRun(t.Context(), nil, append(load, "--max-streams", "2")...)
	assert.Equal(t, ExitDone, code)
	assert.Contains(t, out, "Set scaling.engine.streamsPerPod: 2 (the chart's scaling.auto.engine.metrics.speechToText.streaming.requestsPerPod).")
	assert.Contains(t, out, "more were not tried (--max-streams)")

	late := &smoketest.API{Delay: func(int) time.Duration { return 50 * time.Millisecond }}
	code, out, errs = smokeRun(t.Context(), nil, append(load, "--url", smokeAPI(t, late), "--target-p99", "20ms")...)
	assert.Equal(t, ExitFailed, code, "not a stream holds it")
	assert.NotContains(t, out, "Set scaling")
	assert.Contains(t, errs, "not a single stream holds")

	for args, says := range map[string]string{
		"--start 0":                  "must be at least 1",
		"--headroom 2":               "up to 1",
		"--target-p99 0s":            "must be more than 0",
		"--start 9 --max-streams 3":  "from --start",
		"--step-duration 1s --start": "needs an argument",
	} {
		code, _, errs := smokeRun(t.Context(), nil, append([]string{"load", "--url", "http://x"}, strings.Fields(args)...)...)
		assert.Equal(t, ExitUsage, code, args)
		assert.Contains(t, errs, says, args)
	}

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	code, out, _ = smokeRun(ctx, nil, append(load, "--step-duration", "1h", "-o", "json")...)
	assert.Equal(t, ExitInterrupted, code)
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	assert.Equal(t, smoke.LimitInterrupted, r.Limit)
	assert.Eventually(t, func() bool { return api.Active() == 0 }, 10*time.Second, 10*time.Millisecond)
}

// A configuration says where the API is and which models its files are of.
func TestSmokeStack(t *testing.T) {
	t.Parallel()
	c, err := loadStack("../..", "prod-omi")
	require.NoError(t, err)
	f := smokeTarget{stack: "prod-omi"}
	require.NoError(t, f.fromStack(c, &reached{}))
	assert.Equal(t, "https://dg.omi.me", f.url)
	assert.Equal(t, "deepgram", f.namespace)
	assert.Contains(t, f.image, "/deepgram-ops:")

	file := func(url string) config.ModelFile { return config.ModelFile{URL: config.NewSecret(url)} }
	assert.Equal(t, []string{"nova-3-general", "aura-2-thalia-en"}, expectedModels(&config.Models{Files: []config.ModelFile{
		file("https://models.example/a/nova-3-general.en.formatted.streaming.a12b345.dg?sig=canary"),
		file("gs://models/diarizer.batch.0a1b2c3d.dg"), file("gs://models/aura-2-thalia-en.dg"),
		{URL: config.EncryptedSecret()},
	}}))
}
