package rules

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func certificate(t *testing.T, ends time.Time, host string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: ends.AddDate(-1, 0, 0), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func ingress(class string, annotations obj) given {
	return given{kind: ingressType, name: "api", in: obj{
		"metadata": obj{"name": "api", "annotations": with(obj{
			"kubernetes.io/ingress.class": class, "kubernetes.io/ingress.allow-http": "false", "ingress.gcp.kubernetes.io/pre-shared-cert": "cert",
		}, annotations)},
		"spec": obj{"rules": []any{obj{"host": "dg.example.com", "http": obj{"paths": []any{obj{"path": "/", "backend": obj{"service": obj{"name": "front"}}}}}}}},
	}}
}

func apiService(annotations obj) given {
	return given{kind: serviceType, name: "front", in: obj{
		"metadata": obj{"name": "front", "annotations": with(obj{"cloud.google.com/neg": `{"ingress": true}`, "cloud.google.com/backend-config": `{"default": "back"}`}, annotations)},
		"spec":     obj{"type": "ClusterIP", "selector": obj{"app": "deepgram-api"}},
	}}
}

func backend(seconds any) given {
	return given{kind: backendConfigType, name: "back", in: with(obj{"metadata": obj{"name": "back"}, "spec": obj{"healthCheck": obj{"requestPath": "/health"}}}, obj{"spec/timeoutSec": seconds})}
}

func TestEntrances(t *testing.T) {
	t.Parallel()
	// A key with a slash cannot be written as a path.
	change := func(g given, key string, v any) given {
		g.in = deepCopy(g.in).(obj)
		notes := g.in["metadata"].(obj)["annotations"].(obj)
		if v == nil {
			delete(notes, key)
		} else {
			notes[key] = v
		}
		return g
	}
	const preShared = "ingress.gcp.kubernetes.io/pre-shared-cert"
	for _, row := range []struct {
		name string
		with []given
		want []string
	}{
		{"as it should be", []given{ingress("gce-internal", nil), apiService(nil), backend(86400)}, []string{}},
		{"no certificate", []given{change(ingress("gce-internal", nil), preShared, nil)}, []string{"ingress-has-tls"}},
		{"managed certificate", []given{change(change(ingress("gce-internal", nil), preShared, nil), "networking.gke.io/managed-certificates", "m")}, []string{}},
		{"plain HTTP too", []given{change(ingress("gce-internal", nil), "kubernetes.io/ingress.allow-http", nil)}, []string{"ingress-has-tls"}},
		{"public API", []given{ingress("gce", nil), apiService(nil), backend(86400)}, []string{"api-ingress-is-internal"}},
		{"public API by default", []given{change(ingress("gce", nil), "kubernetes.io/ingress.class", nil), apiService(nil), backend(86400)}, []string{"api-ingress-is-internal"}},
		{"something else public", []given{ingress("gce", nil)}, []string{}},
		{"30 s", []given{apiService(nil), backend(30)}, []string{"stream-timeout-is-long"}},
		{"31 s", []given{apiService(nil), backend(31)}, []string{}},
		{"no timeout", []given{apiService(nil), backend(nil)}, []string{"stream-timeout-is-long"}},
		{"no backend settings", []given{change(apiService(nil), "cloud.google.com/backend-config", nil)}, []string{"stream-timeout-is-long"}},
		{"somebody else's backend settings", []given{backend(30)}, []string{}},
		{"load balancer for everybody", []given{{kind: serviceType, name: "s", in: obj{"spec": obj{"type": "LoadBalancer"}}}}, []string{"load-balancer-has-source-ranges"}},
		{"load balancer with 0.0.0.0/0", []given{{kind: serviceType, name: "s", in: obj{"spec": obj{"type": "LoadBalancer", "loadBalancerSourceRanges": []any{"0.0.0.0/0"}}}}}, []string{"load-balancer-has-source-ranges"}},
		{"load balancer for some", []given{{kind: serviceType, name: "s", in: obj{"spec": obj{"type": "LoadBalancer", "loadBalancerSourceRanges": []any{"10.0.0.0/8"}}}}}, []string{}},
		{"internal load balancer", []given{{kind: serviceType, name: "s", in: obj{
			"metadata": obj{"annotations": obj{"networking.gke.io/load-balancer-type": "Internal"}}, "spec": obj{"type": "LoadBalancer"},
		}}}, []string{}},
		{"open firewall", []given{{kind: firewallType, name: "f", in: obj{"allows": []any{obj{"protocol": "tcp"}}, "sourceRanges": []any{"10.0.0.0/8", "0.0.0.0/0"}}}}, []string{"firewall-is-not-open"}},
		{"firewall open to IPv6", []given{{kind: firewallType, name: "f", in: obj{"allows": []any{obj{"protocol": "tcp"}}, "sourceRanges": []any{"::/0"}}}}, []string{"firewall-is-not-open"}},
		{"firewall without source", []given{{kind: firewallType, name: "f", in: obj{"allows": []any{obj{"protocol": "tcp"}}}}}, []string{"firewall-is-not-open"}},
		{"firewall with a range", []given{{kind: firewallType, name: "f", in: obj{"allows": []any{obj{"protocol": "tcp"}}, "sourceRanges": []any{"192.168.100.0/23"}}}}, []string{}},
		{"firewall that denies", []given{{kind: firewallType, name: "f", in: obj{"denies": []any{obj{"protocol": "tcp"}}, "sourceRanges": []any{"0.0.0.0/0"}}}}, []string{}},
		{"firewall for the way out", []given{{kind: firewallType, name: "f", in: obj{"direction": "EGRESS", "allows": []any{obj{"protocol": "tcp"}}}}}, []string{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			found := judged(t, Options{}, row.with...)
			assert.Equal(t, row.want, names(found), fmt.Sprint(found))
		})
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	cert := func(name string, left time.Duration) given {
		return given{kind: certificateTypes[0], name: name, in: obj{"certificate": secret{certificate(t, today.Add(left), "dg.example.com")}}}
	}
	for _, row := range []struct {
		name string
		with []given
		want []string
	}{
		{"a year", []given{cert("c", 365*day)}, []string{}},
		{"31 days", []given{cert("c", 31*day)}, []string{}},
		{"30 days", []given{cert("c", 30*day)}, []string{"certificate-is-fresh"}},
		{"8 days", []given{cert("c", 8*day)}, []string{"certificate-is-fresh"}},
		{"7 days", []given{cert("c", 7*day)}, []string{"certificate-is-not-about-to-expire"}},
		{"yesterday", []given{cert("c", -day)}, []string{"certificate-is-not-about-to-expire"}},
		{"renewal", []given{cert("new", 365*day), cert("old", 2*day)}, []string{}},
		{"short chain", []given{{kind: certificateTypes[0], name: "c", in: obj{
			"certificate": certificate(t, today.Add(365*day), "dg.example.com") + certificate(t, today.Add(3*day), "ca"),
		}}}, []string{"certificate-is-not-about-to-expire"}},
		{
			"no certificate at all",
			[]given{{kind: certificateTypes[0], name: "c", in: obj{"certificate": "hello"}}},
			[]string{"certificate-is-fresh", "certificate-is-not-about-to-expire"},
		},
	} {
		found := judged(t, Options{}, row.with...)
		assert.Equal(t, row.want, names(found), row.name)
		for _, v := range found {
			assert.NotContains(t, v.message, "hello")
		}
	}
	found := judged(t, Options{}, cert("c", 4*day))
	assert.Contains(t, messages(found, "certificate-is-not-about-to-expire"), "it expires on 2026-06-19, in 4 days; needed: 7 days")
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	member := func(role, who string) given {
		return given{kind: "gcp:projects/iAMMember:IAMMember", name: "m", in: obj{"role": role, "member": who}}
	}
	nodes := "serviceAccount:nodes@p.iam.gserviceaccount.com"
	for _, row := range []struct {
		name  string
		given given
		want  []string
	}{
		{"a node's role", member("roles/container.defaultNodeServiceAccount", nodes), []string{}},
		{"editor", member("roles/editor", nodes), []string{"roles-are-not-basic"}},
		{"viewer for a person", member("roles/viewer", "user:a@b.c"), []string{"roles-are-not-basic"}},
		{"administrator", member("roles/storage.admin", nodes), []string{"service-account-is-narrow"}},
		{"object administrator", member("roles/storage.objectAdmin", nodes), []string{"service-account-is-narrow"}},
		{"acts as others", member("roles/iam.serviceAccountTokenCreator", nodes), []string{"service-account-is-narrow"}},
		{"a person who administers", member("roles/storage.admin", "user:a@b.c"), []string{}},
		{"everybody", member("roles/run.invoker", "allUsers"), []string{"access-is-not-public"}},
		{"everybody in a bucket", given{kind: "gcp:storage/bucketIAMBinding:BucketIAMBinding", name: "b", in: obj{"role": "roles/storage.objectViewer", "members": []any{"allAuthenticatedUsers"}}}, []string{"access-is-not-public"}},
		{"a key", given{kind: "gcp:serviceaccount/key:Key", name: "k", in: obj{}}, []string{"service-account-has-no-key"}},
		{"a key in a Secret", given{kind: secretType, name: "k", in: obj{"stringData": secret{obj{"key.json": `{"private_key_id": "1"}`}}}}, []string{"service-account-has-no-key"}},
		{"a key in base64", given{kind: secretType, name: "k", in: obj{"data": secret{obj{"key.json": "eyJwcml2YXRlX2tleV9pZCI6IDF9"}}}}, []string{"service-account-has-no-key"}},
		{"a Secret in plain", given{kind: secretType, name: "k", in: obj{"stringData": obj{"DEEPGRAM_API_KEY": "abc"}}}, []string{"secrets-are-marked"}},
		{"a Secret's field is marked", given{kind: secretType, name: "k", in: obj{"stringData": obj{"DEEPGRAM_API_KEY": secret{"abc"}}}}, []string{}},
		{"a licence key with a pipe", given{kind: secretType, name: "k", in: obj{"stringData": secret{obj{"DEEPGRAM_LICENSE_KEY": "ab|c"}}}}, []string{"license-key-is-plain-text"}},
		{"a password in a ConfigMap", given{kind: configMapType, name: "c", in: obj{"data": obj{"dbPassword": "x"}}}, []string{"values-hold-no-plain-secret"}},
		{"a token in a CronJob", given{kind: cronJobType, name: "c", in: obj{"spec": obj{"jobTemplate": obj{"spec": obj{"template": obj{"spec": obj{
			"containers": []any{obj{"env": []any{obj{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}}}},
		}}}}}}}, []string{"values-hold-no-plain-secret"}},
		{"a reference in a Job", given{kind: "kubernetes:batch/v1:Job", name: "j", in: obj{"spec": obj{"template": obj{"spec": obj{
			"containers": []any{obj{"env": []any{
				obj{"name": "API_KEY", "valueFrom": obj{"secretKeyRef": obj{"name": "s"}}},
				obj{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/var/key"},
				obj{"name": "LOG_LEVEL", "value": "debug"},
			}}},
		}}}}}, []string{}},
		{"default service account", enginePool(obj{"nodeConfig/serviceAccount": nil}), []string{"node-service-account-is-own"}},
		{"named default", enginePool(obj{"nodeConfig/serviceAccount": "default"}), []string{"node-service-account-is-own"}},
		{"Compute Engine's", enginePool(obj{"nodeConfig/serviceAccount": "123-compute@developer.gserviceaccount.com"}), []string{"node-service-account-is-own"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, row.want, names(judged(t, Options{}, row.given)))
		})
	}
	allowed := Config{Settings: map[string]map[string]any{"service-account-is-narrow": {"allowedRoles": []any{"roles/storage.admin"}}}}
	assert.Empty(t, judged(t, Options{Config: allowed}, member("roles/storage.admin", nodes)))
}

func TestProtection(t *testing.T) {
	t.Parallel()
	production := Options{Config: Config{Production: true}}
	for _, row := range []struct {
		given given
		want  bool
	}{
		{given{kind: diskType, name: "d", in: obj{}}, true},
		{given{kind: diskType, name: "d", in: obj{}, protect: true}, false},
		{given{kind: bucketType, name: "b", in: obj{}}, true},
		{given{kind: filestoreType, name: "f", in: obj{}}, true},
		{given{kind: claimType, name: "journal", in: obj{}}, true},
		{given{kind: claimType, name: "loader", in: obj{}}, false},
		{given{kind: clusterType, name: "c", in: obj{"removeDefaultNodePool": true, "deletionProtection": false}}, true},
		{given{kind: clusterType, name: "c", in: obj{"removeDefaultNodePool": true}}, false},
	} {
		got := contains(names(judged(t, production, row.given)), "stateful-is-protected")
		assert.Equal(t, row.want, got, "%s %v", row.given.kind, row.given.in)
		assert.NotContains(t, names(judged(t, Options{}, row.given)), "stateful-is-protected", "only in production")
	}
}

func TestADiskWhoseDayOfRemovalHasComeNeedsNoProtection(t *testing.T) {
	t.Parallel()
	volume := given{kind: modelVolumeType, name: "old", in: obj{"retired": true}}
	disk := given{kind: diskType, name: "old-disk", in: obj{}, under: volume.urn()}
	production := Options{Config: Config{Production: true}}
	assert.NotContains(t, names(judged(t, production, volume, disk)), "stateful-is-protected")
	volume.in["retired"] = false
	assert.Contains(t, names(judged(t, production, volume, disk)), "stateful-is-protected")
}

func TestJudgePlan(t *testing.T) {
	t.Parallel()
	operation := Operation{Op: "replace", URN: "urn:pulumi:s::p::gcp:compute/disk:Disk::models", Type: diskType, Name: "models", Because: []string{"zone"}}
	found := JudgePlan([]Operation{operation, {Op: "delete-replaced", URN: operation.URN, Type: diskType, Name: "models"}}, Config{}, today)
	require.Len(t, found, 1, "once for each resource")
	assert.Equal(t, Mandatory, found[0].Level)
	assert.Contains(t, found[0].Message, `Disk "models": the plan replaces it, because zone changes; needed: an acknowledgement`)

	acknowledged := Config{Exemptions: exempt("stateful-is-kept", operation.URN, "2026-12-31")}
	assert.Empty(t, JudgePlan([]Operation{operation}, acknowledged, today))
	late := Config{Exemptions: exempt("stateful-is-kept", operation.URN, "2026-06-14")}
	assert.Len(t, JudgePlan([]Operation{operation}, late, today), 1)

	shrink := Operation{Op: "update", URN: operation.URN, Type: diskType, Name: "models", OldSizeGB: 200, NewSizeGB: 100}
	found = JudgePlan([]Operation{shrink}, Config{}, today)
	require.Len(t, found, 1)
	assert.Equal(t, "disk-never-shrinks", found[0].Policy)
	grow := shrink
	grow.NewSizeGB = 201
	assert.Empty(t, JudgePlan([]Operation{grow}, Config{}, today))
	for _, op := range []string{"create", "update", "same", "refresh"} {
		assert.Empty(t, JudgePlan([]Operation{{Op: op, URN: "u", Type: clusterType, Name: "c"}}, Config{}, today), op)
	}
	assert.Empty(t, JudgePlan([]Operation{{Op: "delete", URN: "u", Type: claimType, Name: "loader"}}, Config{}, today))
	assert.Len(t, JudgePlan([]Operation{{Op: "delete", URN: "u", Type: claimType, Name: "billing-journal"}}, Config{}, today), 1)
	assert.Empty(t, JudgePlan([]Operation{operation}, Config{Levels: map[string]string{"all": "disabled"}}, today))
}
