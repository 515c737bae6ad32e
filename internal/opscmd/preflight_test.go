package opscmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/compute/v1"

	"github.com/deepgram-gke/deepgram-gke/internal/certs/certtest"
	"github.com/deepgram-gke/deepgram-gke/internal/preflight"
	"github.com/deepgram-gke/deepgram-gke/internal/preflight/googletest"
)

// site is a folder with an environment, its certificate as files, and a stand-in of
// Google Cloud in which it can be.
type site struct {
	dir, endpoint string
	cloud         *googletest.Cloud
	pki           *certtest.PKI
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), pki: certtest.New(t, time.Now(), "dg.example.com")}
	s.write(t, "bundle.pem", certtest.Bundle(s.pki.Host, s.pki.Intermediate))
	s.write(t, "key.pem", s.pki.Host.KeyPEM(t))
	s.write(t, "ca.pem", s.pki.Root.PEM())
	s.write(t, "Pulumi.prod-omi.yaml", `config:
  gcp:project: acme-prod
  gcp:region: us-central1
  gcp:zone: us-central1-a
  deepgram-stack:release: {tag: release-260812, apiKey: {secure: canary}}
  deepgram-stack:registry: {distribution: {username: deepgram+acme, password: {secure: canary}}}
  deepgram-stack:ingress: {host: dg.example.com, certificate: {bundleFile: bundle.pem, keyFile: key.pem}}
  deepgram-stack:grafana: {host: monitor.example.com, adminPassword: {secure: canary}}
`)
	link := "https://www.googleapis.com/compute/v1/projects/acme-prod/"
	s.cloud = &googletest.Cloud{
		Projects:     map[string]string{"acme-prod": "ACTIVE"},
		MachineTypes: map[string][]string{"us-central1-a": {"n2-standard-2", "n2-standard-4", "g2-standard-12"}},
		Accelerators: map[string][]string{"us-central1-a": {"nvidia-l4"}},
		Quotas: map[string][2]float64{
			"NVIDIA_L4_GPUS": {16, 0}, "N2_CPUS": {200, 0}, "G2_CPUS": {200, 0}, "SSD_TOTAL_GB": {5000, 0}, "IN_USE_ADDRESSES": {64, 0},
		},
		GlobalQuotas: map[string][2]float64{"GPUS_ALL_REGIONS": {16, 0}},
		Networks:     []*compute.Network{{Name: "default", AutoCreateSubnetworks: true}},
		Subnets: []*compute.Subnetwork{{
			Name: "default", Region: link + "regions/us-central1", Network: link + "global/networks/default", IpCidrRange: "10.128.0.0/20",
		}},
		Channels: map[string]string{"REGULAR": "1.33.5-gke.1080000"},
	}
	s.endpoint = s.cloud.Serve(t)
	return s
}

func (s *site) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600))
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// preflight runs the checks that need no network.
func (s *site) preflight(t *testing.T, more ...string) (code int, out, errs string) {
	t.Helper()
	return run(t, append([]string{
		"preflight", "--stack", "prod-omi", "--config-dir", s.dir, "--google-endpoint", s.endpoint, "--roots", s.path("ca.pem"),
		"--skip", "dns-api,dns-grafana,registry,release-images,chart,license-endpoint,kubernetes-version",
	}, more...)...)
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code, out, errs := s.preflight(t)
	assert.Equal(t, ExitDone, code, out+errs)
	assert.Equal(t, "checking prod-omi in project acme-prod, zone us-central1-a; nothing is changed\n", errs)
	assert.Regexp(t, `(?m)^PASS  gpu-quota +NVIDIA_L4_GPUS in us-central1: 16 of 16 free, 12 needed`, out)
	assert.Regexp(t, `(?m)^PASS  certificate +certificate 1, "CN=host", expires on .*$`, out)
	assert.Contains(t, out, " 0 failed\n")
	assert.NotContains(t, out+errs, "canary")

	code, out, errs = s.preflight(t, "--strict")
	assert.Equal(t, ExitFailed, code, "what does not apply is skipped too")
	assert.Contains(t, errs, "were skipped, and --strict is given")
	assert.Contains(t, out, "SKIP  credentials")

	s.cloud.Quotas["NVIDIA_L4_GPUS"] = [2]float64{4, 0}
	code, out, errs = s.preflight(t)
	assert.Equal(t, ExitFailed, code)
	assert.Regexp(t, `(?m)^FAIL  gpu-quota +NVIDIA_L4_GPUS in us-central1: 12 needed.*\n +→ ask for NVIDIA_L4_GPUS of at least 12`, out)
	assert.Contains(t, errs, "error: preflight: 1 of 18 checks failed")

	// Another size, without changing the file.
	code, out, _ = s.preflight(t, "--set", "pools.engine.maxNodes=3", "--set", "scaling.engine.maxReplicas=2")
	assert.Equal(t, ExitDone, code, out)
}

func TestPreflightJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.cloud.Deny = "/acceleratorTypes/"
	code, out, _ := run(t, "preflight", "--config", s.path("Pulumi.prod-omi.yaml"), "--google-endpoint", s.endpoint,
		"--only", "accelerators,proxy-only-subnet", "--output", "json")
	assert.Equal(t, ExitDone, code)
	assert.JSONEq(t, `{
		"stack": "prod-omi", "project": "acme-prod", "region": "us-central1", "zone": "us-central1-a",
		"checks": [
			{"id": "accelerators", "title": "the GPUs are offered in the zone", "status": "SKIP", "message": "these credentials may not read accelerators",
			 "fix": "grant roles/compute.viewer on project acme-prod to the account that runs this", "role": "roles/compute.viewer"},
			{"id": "proxy-only-subnet", "title": "the proxy-only subnet is there or can be made", "status": "PASS",
			 "message": "network default in us-central1 has none, 192.168.100.0/23 is made"}
		],
		"passed": 1, "skipped": 1, "failed": 0}`, out)
}

func TestPreflightUsage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write(t, "other.yaml", "config: {}")
	s.write(t, "Pulumi.bad.yaml", "config:\n  gcp:project: acme-prod\n  gcp:region: us-central1\n  gcp:zone: us-east1-b\n")
	for args, says := range map[string]string{
		"preflight": "give --stack STACK or --config FILE",
		"preflight --stack none --config-dir " + s.dir:                                       "there is no file " + s.path("Pulumi.none.yaml"),
		"preflight --config " + s.path("other.yaml"):                                         "give --stack too",
		"preflight --stack bad --config-dir " + s.dir:                                        "is not in gcp:region us-central1",
		"preflight --stack prod-omi --only gpus --config-dir " + s.dir:                       `there is no check "gpus"`,
		"preflight --stack prod-omi --set x --config-dir " + s.dir:                           "must be path=value",
		"preflight --stack prod-omi --set pools.engin=1 --config-dir " + s.dir:               "pools.engin",
		"preflight --stack prod-omi --parallel 0 --config-dir " + s.dir:                      "--parallel must be at least 1",
		"preflight --stack prod-omi --roots /nowhere --config-dir " + s.dir:                  "--roots: ",
		"preflight --stack prod-omi --roots " + s.path("key.pem") + " --config-dir " + s.dir: "holds no certificate",
	} {
		code, out, errs := run(t, strings.Fields(args)...)
		assert.Equal(t, ExitUsage, code, "%s: %s", args, errs)
		assert.Contains(t, errs, says, args)
		assert.Empty(t, out, args)
	}
}

// TestPreflightInACluster is what a pod runs: no environment, one check.
func TestPreflightInACluster(t *testing.T) {
	t.Parallel()
	pki := certtest.New(t, time.Now(), "license.example.com")
	address, _ := certtest.Serve(t, pki.Host)
	code, out, errs := run(t, "preflight", "--only", "license-endpoint", "--license-server", address, "-o", "json")
	require.Equal(t, ExitDone, code, errs)
	var report preflight.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	assert.Equal(t, preflight.Pass, report.Checks[0].Status)
	code, _, _ = run(t, "preflight", "--only", "license-endpoint", "--license-server", "127.0.0.1:1")
	assert.Equal(t, ExitFailed, code)
}

func TestCertCheck(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	other := certtest.New(t, time.Now(), "dg.example.com")
	s.write(t, "other.pem", other.Host.KeyPEM(t))
	s.write(t, "reversed.pem", certtest.Bundle(s.pki.Intermediate, s.pki.Host))
	s.write(t, "soon.pem", certtest.Bundle(certtest.Make(t, time.Now(), s.pki.Intermediate, certtest.Spec{
		Name: "host", Hosts: []string{"dg.example.com"}, To: 20*24*time.Hour + time.Hour,
	}), s.pki.Intermediate))
	address, _ := certtest.Serve(t, s.pki.Host, s.pki.Intermediate)
	stale, _ := certtest.Serve(t, other.Host, other.Intermediate, other.Root)
	bundle, key, ca := s.path("bundle.pem"), s.path("key.pem"), s.path("ca.pem")
	stack := "--stack prod-omi --config-dir " + s.dir
	for _, test := range []struct {
		args string
		code int
		out  string
	}{
		{"--bundle " + bundle + " --key " + key + " --host dg.example.com --roots " + ca, ExitDone, "OK    key         the key belongs to the first certificate"},
		{"--bundle " + bundle + " --key " + key + " --host api.example.com --roots " + ca, ExitFailed, "which does not cover api.example.com"},
		{"--bundle " + bundle + " --key " + s.path("other.pem") + " --roots " + ca, ExitFailed, "FAIL  key         the key does not belong"},
		{"--bundle " + s.path("reversed.pem") + " --key " + key + " --roots " + ca, ExitFailed, `→ put them in this order: "CN=host", "CN=Intermediate"`},
		{"--bundle " + s.path("soon.pem") + " --roots " + ca, ExitDone, "WARN  validity    certificate 1"},
		{"--host dg.example.com --connect " + address + " --roots " + ca, ExitDone, "dg.example.com at " + address},
		{"--host " + address + " --roots " + ca, ExitFailed, "which does not cover 127.0.0.1"},
		{"--host dg.example.com --connect 127.0.0.1:1", ExitFailed, "FAIL  reachable"},
		{stack + " --roots " + ca, ExitDone, "ingress.certificate\n  1  CN=host"},
		{stack + " --connect " + address + " --roots " + ca, ExitDone, "OK    configured  shows the configured certificate"},
		{stack + " --connect " + stale + " --roots " + ca, ExitFailed, "FAIL  configured"},
		{"--bundle " + bundle + " --host dg.example.com --connect " + stale + " --roots " + ca, ExitFailed, "FAIL  configured"},
	} {
		code, out, errs := run(t, append([]string{"cert", "check"}, strings.Fields(test.args)...)...)
		assert.Equal(t, test.code, code, "%s\n%s%s", test.args, out, errs)
		assert.Contains(t, out, test.out, test.args)
	}
	for args, says := range map[string]string{
		"":                                  "give --bundle FILE, --host NAME, or --stack STACK",
		"--key x":                           "--key needs --bundle",
		"--bundle " + s.path("none"):        "no such file",
		"--bundle " + bundle + " --live":    "--live needs --host NAME",
		"--stack prod-omi --host x":         "cannot be combined",
		"--host dg.example.com --connect x": "must be ADDRESS:PORT",
		stack + " --set ingress.certificate.keyFile=none.pem":  "cannot be read",
		stack + " --set ingress.certificate={existing:theirs}": "existing",
	} {
		code, out, errs := run(t, append([]string{"cert", "check"}, strings.Fields(args)...)...)
		assert.Equal(t, ExitUsage, code, "%s: %s%s", args, out, errs)
		assert.Contains(t, errs, says, args)
	}
	code, out, _ := run(t, "cert", "check", "--bundle", bundle, "--key", key, "--roots", ca, "-o", "json")
	assert.Equal(t, ExitDone, code)
	var got struct {
		Chains []struct {
			Source       string
			Certificates []struct {
				Subject string
				Days    int
			}
			Findings []struct{ Check, Level string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Len(t, got.Chains, 1)
	assert.Equal(t, bundle, got.Chains[0].Source)
	assert.Equal(t, 364, got.Chains[0].Certificates[0].Days)
	var checks []string
	for _, f := range got.Chains[0].Findings {
		checks = append(checks, f.Check+" "+f.Level)
	}
	assert.Equal(t, []string{"order ok", "chain ok", "key ok", "strength ok", "validity ok"}, checks)
}
