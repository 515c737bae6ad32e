package preflight_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	containerregistry "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/compute/v1"
	"google.golang.org/api/option"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/certs/certtest"
	"github.com/deepgram-gke/deepgram-gke/internal/images"
	"github.com/deepgram-gke/deepgram-gke/internal/preflight"
	"github.com/deepgram-gke/deepgram-gke/internal/preflight/googletest"
)

var now = time.Now()

const keyCanary = "canary-api-key"

// world is an environment and everything around it.
type world struct {
	cfg   *config.Config
	cloud *googletest.Cloud
	pki   *certtest.PKI
	o     preflight.Options
	// records are the answers of the DNS by name.
	records map[string][]string
	// dnsBroken lets the DNS fail.
	dnsBroken bool
	// refuse lets the registry refuse the credentials.
	refuse *bool
	// cleanup runs a function at the end of the test.
	cleanup func(func())
	// charts is the index of the chart repository; empty answers 404.
	charts *string
}

const indexYAML = `apiVersion: v1
entries:
  deepgram-self-hosted:
    - {version: 0.42.0, kubeVersion: ">= 1.28.0-0"}
    - {version: 0.41.1, kubeVersion: ">=1.28.0-0"}
    - {version: 0.9.0}
`

// newWorld is a world in which everything is well before the first up, but for DNS,
// whose records are there already.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{cleanup: t.Cleanup, pki: certtest.New(t, now, "dg.example.com"), refuse: new(bool), charts: new(string)}
	*w.charts = indexYAML

	reg := httptest.NewServer(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if *w.refuse {
				rw.WriteHeader(http.StatusUnauthorized)
				return
			}
			h.ServeHTTP(rw, r)
		})
	}(registry.New(registry.Logger(log.New(io.Discard, "", 0)))))
	t.Cleanup(reg.Close)
	upstream := strings.TrimPrefix(reg.URL, "http://") + "/deepgram"
	for _, path := range []string{
		"self-hosted-api:release-260812", "self-hosted-engine:release-260812", "self-hosted-license-proxy:release-260812",
		"charts/deepgram-self-hosted:0.42.0",
	} {
		ref, err := containerregistry.NewTag(upstream + "/" + path)
		require.NoError(t, err)
		require.NoError(t, remote.Write(ref, empty.Image))
	}
	charts := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if *w.charts == "" {
			rw.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(rw, *w.charts)
	}))
	t.Cleanup(charts.Close)

	tree, err := config.ParseTree([]byte(fmt.Sprintf(`config:
  gcp:project: acme-prod
  gcp:region: us-central1
  gcp:zone: us-central1-a
  deepgram-stack:release: {tag: release-260812, apiKey: %s}
  deepgram-stack:registry: {distribution: {username: deepgram+acme, password: canary-password}}
  deepgram-stack:ingress:
    host: dg.example.com
    address: 10.128.0.50
    certificate: {bundle: %q, key: %q}
  deepgram-stack:grafana: {host: monitor.example.com, adminPassword: canary-grafana}
`, keyCanary, certtest.Bundle(w.pki.Host, w.pki.Intermediate), w.pki.Host.KeyPEM(t))))
	require.NoError(t, err)
	w.cfg, err = config.FromTree("dev", tree)
	require.NoError(t, err)
	w.cfg.Release.ChartRepository = charts.URL

	// The server of the licences wants a certificate of its clients.
	license, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: certtest.Pool(w.pki.Root),
		Certificates: []tls.Certificate{{Certificate: [][]byte{w.pki.Host.Cert.Raw}, PrivateKey: w.pki.Host.Key}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = license.Close() })
	go func() {
		for {
			conn, err := license.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = conn.(*tls.Conn).HandshakeContext(context.Background())
				_ = conn.Close()
			}()
		}
	}()

	network := "https://www.googleapis.com/compute/v1/projects/acme-prod/global/networks/default"
	region := "https://www.googleapis.com/compute/v1/projects/acme-prod/regions/us-central1"
	w.cloud = &googletest.Cloud{
		Projects: map[string]string{"acme-prod": "ACTIVE"},
		Off:      map[string]bool{},
		MachineTypes: map[string][]string{
			"us-central1-a": {"n2-standard-2", "n2-standard-4", "g2-standard-12"},
			"us-central1-b": {"n2-standard-2", "n2-standard-4", "g2-standard-16"},
			"us-east1-b":    {"g2-standard-16"},
		},
		Accelerators: map[string][]string{"us-central1-a": {"nvidia-l4"}},
		Quotas: map[string][2]float64{
			"NVIDIA_L4_GPUS": {16, 0}, "PREEMPTIBLE_NVIDIA_L4_GPUS": {0, 0}, "N2_CPUS": {200, 10}, "G2_CPUS": {200, 0}, "CPUS": {24, 0},
			"SSD_TOTAL_GB": {5000, 100}, "IN_USE_ADDRESSES": {100, 3},
		},
		GlobalQuotas: map[string][2]float64{"GPUS_ALL_REGIONS": {16, 0}, "CPUS_ALL_REGIONS": {500, 20}},
		Networks:     []*compute.Network{{Name: "default", AutoCreateSubnetworks: true}},
		Subnets: []*compute.Subnetwork{
			{Name: "default", Region: region, Network: network, IpCidrRange: "10.128.0.0/20", Purpose: "PRIVATE", SelfLink: "a"},
			{Name: "default", Region: strings.ReplaceAll(region, "us-central1", "us-east1"), Network: network, IpCidrRange: "10.142.0.0/20", SelfLink: "b"},
			{Name: "other", Region: region, Network: strings.ReplaceAll(network, "default", "theirs"), IpCidrRange: "192.168.100.0/24", SelfLink: "c"},
		},
		Channels: map[string]string{"REGULAR": "1.33.5-gke.1080000", "STABLE": "1.27.16-gke.1008000"},
	}
	w.records = map[string][]string{"dg.example.com": {"10.128.0.50"}, "monitor.example.com": {"203.0.113.7"}}
	w.cloud.Global = []*compute.Address{{Name: "dev-deepgram-grafana-alb-ip-address", Address: "203.0.113.7"}}

	client, err := images.NewClient(images.Options{Tries: 1})
	require.NoError(t, err)
	w.o = preflight.Options{
		Config: w.cfg, Endpoint: w.cloud.Serve(t), Google: []option.ClientOption{option.WithoutAuthentication()}, Images: client,
		Upstream: upstream, Distribution: true, License: license.Addr().String(), Roots: certtest.Pool(w.pki.Root), Now: now,
		Credentials: func(context.Context) (string, error) {
			return "serviceAccount:preflight@acme-prod.iam.gserviceaccount.com", nil
		},
		Lookup: func(_ context.Context, network, host string) ([]netip.Addr, error) {
			if w.dnsBroken {
				return nil, &net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: true}
			}
			var found []netip.Addr
			for _, text := range w.records[host] {
				if a := netip.MustParseAddr(text); a.Is4() == (network == "ip4") {
					found = append(found, a)
				}
			}
			if len(found) == 0 {
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			}
			return found, nil
		},
	}
	return w
}

// one runs one check.
func (w *world) one(t *testing.T, id string) preflight.Result {
	t.Helper()
	w.o.Only = []string{id}
	report, err := preflight.Run(t.Context(), w.o)
	require.NoError(t, err)
	require.Len(t, report.Checks, 1)
	return report.Checks[0]
}

func TestEverythingIsWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	report, err := preflight.Run(t.Context(), w.o)
	require.NoError(t, err)
	for _, c := range report.Checks {
		if c.ID == "previous-certificate" || c.ID == "filestore" {
			assert.Equal(t, preflight.Skip, c.Status, "%s does not apply", c.ID)
			continue
		}
		assert.Equal(t, preflight.Pass, c.Status, "%s: %s", c.ID, c.Message)
		assert.NotEmpty(t, c.Message, c.ID)
	}
	assert.Equal(t, len(preflight.IDs()), report.Passed+report.Skipped)
	assert.Zero(t, report.Failed)
	for _, request := range w.cloud.Asked() {
		assert.True(t, strings.HasPrefix(request, "GET "), "only reads: %s", request)
	}
	text, err := json.Marshal(report)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "canary")

	// The same again, one after another, is the same.
	w.o.Parallel = 1
	again, err := preflight.Run(t.Context(), w.o)
	require.NoError(t, err)
	assert.Equal(t, report, again)
}

func TestChecks(t *testing.T) {
	t.Parallel()
	for _, test := range cases() {
		t.Run(test.id+": "+test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if test.change != nil {
				test.change(w)
			}
			got := w.one(t, test.id)
			assert.Equal(t, test.want, got.Status, got.Message)
			assert.Contains(t, got.Message, test.message)
			assert.Contains(t, got.Fix, test.fix)
			assert.Equal(t, test.role, got.Role)
			if test.want == preflight.Fail {
				assert.NotEmpty(t, got.Fix, "what to do")
			}
			if test.role != "" {
				assert.Contains(t, got.Fix, "grant "+test.role+" on project acme-prod to serviceAccount:preflight@acme-prod.iam.gserviceaccount.com")
			}
		})
	}
}

// TestEveryCheckIsTried wants each check to pass or not apply, to fail, and, where
// Google is asked, to lack permission.
func TestEveryCheckIsTried(t *testing.T) {
	t.Parallel()
	failing, denied := map[string]bool{}, map[string]bool{}
	for _, c := range cases() {
		failing[c.id] = failing[c.id] || c.want == preflight.Fail
		denied[c.id] = denied[c.id] || c.role != ""
	}
	for _, id := range preflight.IDs() {
		assert.True(t, failing[id], "%s never fails in a test", id)
		if preflight.AsksGoogle(id) {
			assert.True(t, denied[id], "%s never lacks permission in a test", id)
		}
	}
}

func TestWithoutCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.o.Credentials = func(context.Context) (string, error) { return "", errors.New("could not find default credentials") }
	report, err := preflight.Run(t.Context(), w.o)
	require.NoError(t, err)
	status := map[string]preflight.Status{}
	for _, c := range report.Checks {
		status[c.ID] = c.Status
		if preflight.AsksGoogle(c.ID) {
			assert.Equal(t, preflight.Skip, c.Status, c.ID)
		}
	}
	assert.Equal(t, preflight.Fail, status["credentials"])
	assert.Equal(t, preflight.Pass, status["certificate"], "what needs no credentials is checked")
	assert.Equal(t, preflight.Pass, status["chart"])
	assert.Empty(t, w.cloud.Asked())
}

func TestSlowAnswersAreSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.o.Timeout = 50 * time.Millisecond
	w.o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	got := w.one(t, "license-endpoint")
	assert.Equal(t, preflight.Skip, got.Status)
	assert.Contains(t, got.Message, "no answer within 50ms")
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := preflight.Run(ctx, w.o)
	require.ErrorIs(t, err, context.Canceled)
}

func TestUnknownCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.o.Skip = []string{"gpu"}
	_, err := preflight.Run(t.Context(), w.o)
	require.ErrorContains(t, err, `there is no check "gpu"; there are configuration, credentials`)
}
