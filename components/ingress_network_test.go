package components

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// prodOmi is the network of the guide's production environment.
func prodOmi(t *testing.T) *IngressNetworkArgs {
	args := networkArgs(settled(t, "prod-omi-deepgram"))
	args.API.Host, args.Grafana.Host = "dg.omi.me", "dg-monitor.omi.me"
	args.Labels = map[string]string{"team": "voice"}
	return args
}

func TestIngressNetwork(t *testing.T) {
	t.Parallel()
	bothModes(t, func(t *testing.T, mode pulumi.RunOption) {
		args := prodOmi(t)
		certificate := "prod-omi-deepgram-ilb-cert-" + certificateHash(args.API.Certificate.Bundle)
		rec := record(t, nil, func(ctx *pulumi.Context) error {
			n, err := NewIngressNetwork(ctx, "net", args)
			require.NoError(t, err)
			assert.Equal(t, "prod-omi-deepgram-ilb-ip-address", await[string](t, n.AddressName))
			assert.Equal(t, "prod-omi-deepgram-grafana-alb-ip-address", await[string](t, n.GrafanaAddressName))
			assert.Equal(t, certificate, await[string](t, n.CertificateNames))
			assert.Equal(t, "192.168.100.0/23", await[string](t, n.ProxyRange))
			assert.Equal(t, []any{
				map[string]any{"name": "dg.omi.me", "type": "A", "ttl": 300, "value": "10.128.0.50"},
				map[string]any{"name": "dg-monitor.omi.me", "type": "A", "ttl": 300, "value": "203.0.113.7"},
			}, await[[]any](t, n.DNSRecords), "what is left to do by hand")
			assert.Len(t, n.Ready, 5)
			return nil
		}, mode)
		assert.Equal(t, map[string]any{
			"project": "acme-speech", "region": "us-central1", "name": "prod-omi-deepgram-proxy-only", "network": "default",
			"description": "Proxies of internal application load balancers",
			"ipCidrRange": "192.168.100.0/23", "purpose": "REGIONAL_MANAGED_PROXY", "role": "ACTIVE",
		}, inputsOf(rec.reg(t, "net-proxy-subnet")))
		assert.Equal(t, map[string]any{
			"project": "acme-speech", "name": "prod-omi-deepgram-proxies-to-api", "network": "default", "direction": "INGRESS",
			"description":  "Load balancer proxies to the Deepgram API's pods",
			"allows":       []any{map[string]any{"protocol": "tcp", "ports": []any{"8080"}}},
			"sourceRanges": []any{"192.168.100.0/23"}, "targetTags": []any{"prod-omi-deepgram-nodes"},
		}, inputsOf(rec.reg(t, "net-proxy-firewall")))
		assert.Equal(t, map[string]any{
			"project": "acme-speech", "region": "us-central1", "name": "prod-omi-deepgram-ilb-ip-address",
			"description": "Deepgram API", "addressType": "INTERNAL", "address": "10.128.0.50", "subnetwork": "default",
			"labels": map[string]any{"team": "voice"},
		}, inputsOf(rec.reg(t, "net-address")))
		cert := rec.reg(t, "net-certificate-"+certificateHash(args.API.Certificate.Bundle))
		assert.Equal(t, certificate, inputsOf(cert)["name"])
		assert.True(t, cert.Inputs["privateKey"].IsSecret())
		assert.Empty(t, rec.names("gcp:dns/recordSet:RecordSet"))
	})
}

// TestCertificateRenewal: a new certificate is another resource, and the old one
// is not touched while it stays attached.
func TestCertificateRenewal(t *testing.T) {
	t.Parallel()
	certificate := func(bundle string) CertificateArgs {
		return CertificateArgs{Bundle: bundle, Key: pulumi.String("key of " + bundle)}
	}
	run := func(current CertificateArgs, previous *CertificateArgs) (rec *cloudRecorder, list string) {
		args := prodOmi(t)
		args.API.Certificate, args.API.PreviousCertificate = current, previous
		rec = record(t, nil, func(ctx *pulumi.Context) error {
			n, err := NewIngressNetwork(ctx, "net", args)
			require.NoError(t, err)
			list = await[string](t, n.CertificateNames)
			return nil
		})
		return rec, list
	}
	const kind = "gcp:compute/regionSslCertificate:RegionSslCertificate"
	old := certificate("old")
	before, first := run(old, nil)
	during, both := run(certificate("new"), &old)
	after, last := run(certificate("new"), nil)

	assert.Len(t, during.names(kind), 2)
	assert.Subset(t, during.names(kind), before.names(kind), "the old certificate is the same resource")
	assert.Subset(t, during.names(kind), after.names(kind))
	assert.Equal(t, inputsOf(before.reg(t, before.names(kind)[0])), inputsOf(during.reg(t, before.names(kind)[0])))
	assert.Equal(t, last+","+first, both, "the new one first: clients that name no host get it")
}

func TestIngressNetworkAdoptsTheProxyOnlySubnet(t *testing.T) {
	t.Parallel()
	args := prodOmi(t)
	args.NetworkProject = "shared-vpc"
	args.ProxyOnlySubnet = config.ProxyOnlySubnet{Existing: "proxies", Cidr: "192.168.100.0/23"}
	found := map[string]map[string]any{"gcp:compute/getSubnetwork:getSubnetwork": {"ipCidrRange": "10.200.0.0/23"}}
	rec := record(t, &cloudRecorder{lookup: found}, func(ctx *pulumi.Context) error {
		_, err := NewIngressNetwork(ctx, "net", args)
		return err
	})
	assert.Empty(t, rec.names("gcp:compute/subnetwork:Subnetwork"))
	require.Len(t, rec.calls, 1)
	assert.Equal(t, map[string]any{"project": "shared-vpc", "region": "us-central1", "name": "proxies"}, rec.calls[0].Args.Mappable())
	rule := inputsOf(rec.reg(t, "net-proxy-firewall"))
	assert.Equal(t, []any{"10.200.0.0/23"}, rule["sourceRanges"], "its own range, not the configured one")
	assert.Equal(t, "shared-vpc", rule["project"])
	assert.Equal(t, "projects/shared-vpc/regions/us-central1/subnetworks/default", inputsOf(rec.reg(t, "net-address"))["subnetwork"])
	assert.Equal(t, "acme-speech", inputsOf(rec.reg(t, "net-address"))["project"])

	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		_, err := NewIngressNetwork(ctx, "net", args)
		return err
	}, pulumi.WithMocks("deepgram", "test", &cloudRecorder{}))
	require.ErrorContains(t, err,
		`ingress network "net": ProxyOnlySubnet.Existing: "proxies" has no range in region us-central1 of project shared-vpc`)
}

func TestIngressNetworkVariants(t *testing.T) {
	t.Parallel()
	recorded := func(change func(*IngressNetworkArgs)) *cloudRecorder {
		args := prodOmi(t)
		change(args)
		return record(t, nil, func(ctx *pulumi.Context) error {
			_, err := NewIngressNetwork(ctx, "net", args)
			return err
		})
	}
	t.Run("managed zones", func(t *testing.T) {
		t.Parallel()
		rec := recorded(func(a *IngressNetworkArgs) {
			a.API.DNSZone, a.Grafana.DNSZone, a.Grafana.DNSProject = "omi-me", "omi-me", "dns-project"
		})
		assert.Equal(t, map[string]any{
			"project": "acme-speech", "managedZone": "omi-me", "name": "dg.omi.me.", "type": "A", "ttl": 300.0,
			"rrdatas": []any{"10.128.0.50"},
		}, inputsOf(rec.reg(t, "net-record")))
		assert.Equal(t, "dns-project", inputsOf(rec.reg(t, "net-grafana-record"))["project"])
		assert.Contains(t, rec.names(""), "net-api-dns")
		assert.Empty(t, inputsOf(rec.reg(t, "net"))["dnsRecords"])
	})
	t.Run("no Grafana", func(t *testing.T) {
		t.Parallel()
		rec := recorded(func(a *IngressNetworkArgs) { a.Grafana = nil })
		assert.Empty(t, rec.names("gcp:compute/globalAddress:GlobalAddress"))
	})
	t.Run("no API", func(t *testing.T) {
		t.Parallel()
		rec := recorded(func(a *IngressNetworkArgs) { a.API = nil })
		assert.Equal(t, []string{"net", "net-api-compute", "net-grafana-address"}, rec.names(""))
	})
	t.Run("pods by range", func(t *testing.T) {
		t.Parallel()
		rec := recorded(func(a *IngressNetworkArgs) { a.TargetTags, a.TargetRanges = nil, []string{"10.4.0.0/14"} })
		rule := inputsOf(rec.reg(t, "net-proxy-firewall"))
		assert.Equal(t, []any{"10.4.0.0/14"}, rule["destinationRanges"])
		assert.NotContains(t, rule, "targetTags")
	})
	t.Run("existing certificate and services", func(t *testing.T) {
		t.Parallel()
		rec := recorded(func(a *IngressNetworkArgs) {
			a.API.Certificate, a.SkipServices = CertificateArgs{Existing: "there"}, true
		})
		assert.Empty(t, rec.names("gcp:compute/regionSslCertificate:RegionSslCertificate"))
		assert.Empty(t, rec.names("gcp:projects/service:Service"))
	})
	t.Run("certificate named by hand", func(t *testing.T) {
		t.Parallel()
		rec := recorded(func(a *IngressNetworkArgs) { a.API.Certificate.Name = "prod-omi-deepgram-ilb-cert" })
		assert.Equal(t, "prod-omi-deepgram-ilb-cert",
			inputsOf(rec.reg(t, "net-certificate-prod-omi-deepgram-ilb-cert"))["name"])
	})
}

func TestIngressNetworkReportsEveryMistake(t *testing.T) {
	t.Parallel()
	err := (&IngressNetworkArgs{
		Project: "acme-speech", Region: "us-central1-a", NamePrefix: "acme", Network: "default", Subnetwork: "default",
		ProxyOnlySubnet: config.ProxyOnlySubnet{Cidr: "192.168.100.1/27"},
		API: &APIEntrance{
			Host: "localhost", Address: "10.128.0.300",
			Certificate:         CertificateArgs{Existing: "there", Bundle: "x"},
			PreviousCertificate: &CertificateArgs{Existing: "there"},
		},
		Grafana: &GrafanaEntrance{},
	}).Validate()
	require.EqualError(t, err, `Region: "us-central1-a" is not a region, such as "us-central1"
ProxyOnlySubnet.Cidr: "192.168.100.1/27" has bits set behind its prefix; did you mean "192.168.100.0/27"?
ProxyOnlySubnet.Cidr: "192.168.100.1/27" is too small for proxies; give /26 or larger
TargetTags: is required: without it the rule would open every machine of network "default"
API.Host: "localhost" is not a lower-case DNS name with a dot, such as "api.example.com"
API.Address: "10.128.0.300" is not an IPv4 address
API.Certificate: has a bundle or key beside existing "there"; give one or the other
API.PreviousCertificate: is "there", the same as API.Certificate; leave it out
Grafana.Host: is required, such as "api.example.com"`)
	require.ErrorContains(t, (&IngressNetworkArgs{API: &APIEntrance{}}).Validate(), "API.Certificate.Key: is required")
}
