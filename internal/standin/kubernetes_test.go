package standin_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

const (
	namespace = "kubernetes:core/v1:Namespace"
	secrets   = "kubernetes:core/v1:Secret"
	ingress   = "kubernetes:networking.k8s.io/v1:Ingress"
	job       = "kubernetes:batch/v1:Job"
	release   = "kubernetes:helm.sh/v3:Release"
)

// inCluster is a client of the kubernetes stand-in for a cluster that exists.
func inCluster(t *testing.T, cloud *standin.Cloud) *client {
	t.Helper()
	_, err := cloud.Seed(gke, in{"name": "gke", "location": "us-central1"})
	require.NoError(t, err)
	o, ok := cloud.Object(gke, "projects/rehearsal/locations/us-central1/clusters/gke")
	require.True(t, ok)
	c := dial(t, cloud, "kubernetes")
	ca := o.Outputs["masterAuth"].ObjectValue()["clusterCaCertificate"].StringValue()
	config := `{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u"}],` +
		`"clusters":[{"name":"c","cluster":{"server":"https://` + o.Outputs["endpoint"].StringValue() + `","certificate-authority-data":"` + ca + `"}}]}`
	checked, err := c.CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: c.encode(in{"version": standin.KubernetesVersion, "kubeconfig": config})})
	require.NoError(t, err)
	require.Empty(t, checked.GetFailures())
	_, err = c.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: checked.GetInputs()})
	require.NoError(t, err)
	return c
}

func object(version, kind, ns, name string, more in) in {
	meta := in{"name": name}
	if ns != "" {
		meta["namespace"] = ns
	}
	o := in{"apiVersion": version, "kind": kind, "metadata": meta}
	for k, v := range more {
		o[k] = v
	}
	return o
}

func TestKubernetesCheck(t *testing.T) {
	t.Parallel()
	c := dial(t, standin.NewCloud(), "kubernetes")
	for _, row := range []struct {
		name, typ, property string
		inputs              in
	}{
		{"no apiVersion", namespace, "apiVersion", in{"kind": "Namespace"}},
		{"another kind", namespace, "kind", object("v1", "Pod", "", "a", nil)},
		{"misspelt", job, "spec.template.spec.containers[0].imagePullPolice", object("batch/v1", "Job", "a", "a", in{
			"spec": in{"template": in{"spec": in{"containers": []any{in{"name": "c", "imagePullPolice": "Always"}}}}},
		})},
		{"missing", job, "spec.template.spec.containers", object("batch/v1", "Job", "a", "a", in{"spec": in{"template": in{"spec": in{}}}})},
		{"number for a string", "kubernetes:core/v1:ConfigMap", "data.a", object("v1", "ConfigMap", "a", "a", in{"data": in{"a": 1}})},
		{"not base64", secrets, "data", object("v1", "Secret", "a", "a", in{"data": in{"a": "plain text"}})},
		{"namespace of a cluster-wide kind", namespace, "metadata.namespace", object("v1", "Namespace", "a", "a", nil)},
		{
			"back-end configuration", "kubernetes:cloud.google.com/v1:BackendConfig", "spec.timeoutSecs",
			object("cloud.google.com/v1", "BackendConfig", "a", "a", in{"spec": in{"timeoutSecs": 1}}),
		},
		{"release", release, "chartVersion", in{"chart": "c", "chartVersion": "1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := &client{c.ResourceProviderClient, t}
			_, failures := c.check(row.typ, row.inputs)
			assert.Contains(t, failures, row.property)
			assert.Len(t, failures, 1)
		})
	}
	news, failures := c.check(secrets, in{"apiVersion": "v1", "kind": "Secret"})
	assert.Empty(t, failures)
	meta := news["metadata"].ObjectValue()
	assert.Regexp(t, `^thing-[0-9a-f]{8}$`, meta["name"].StringValue())
	assert.Equal(t, "default", meta["namespace"].StringValue())
}

func TestKubernetesDiff(t *testing.T) {
	t.Parallel()
	c := dial(t, standin.NewCloud(), "kubernetes")
	spec := func(image string, backoff int) in {
		return object("batch/v1", "Job", "a", "a", in{"spec": in{
			"backoffLimit": backoff, "template": in{"spec": in{"containers": []any{in{"name": "c", "image": image}}}},
		}})
	}
	got := c.diff(job, spec("a", 1), spec("a", 2))
	assert.Equal(t, pulumirpc.DiffResponse_DIFF_SOME, got.GetChanges())
	assert.Empty(t, got.GetReplaces())
	got = c.diff(job, spec("a", 1), spec("b", 1))
	assert.Equal(t, pulumirpc.PropertyDiff_UPDATE_REPLACE, got.GetDetailedDiff()["spec.template.spec.containers[0].image"].GetKind())
	assert.True(t, got.GetDeleteBeforeReplace(), "the name is fixed")
	got = c.diff(release, in{"chart": "c", "namespace": "a", "name": "a", "version": "1"}, in{"chart": "c", "namespace": "a", "name": "a", "version": "2"})
	assert.Empty(t, got.GetReplaces())
	got = c.diff(release, in{"chart": "c", "namespace": "a", "name": "a"}, in{"chart": "c", "namespace": "b", "name": "a"})
	assert.Equal(t, []string{"namespace"}, got.GetReplaces())
}

func TestKubernetesLife(t *testing.T) {
	t.Parallel()
	cloud := standin.NewCloud()
	c := inCluster(t, cloud)
	key := object("v1", "Secret", "deepgram", "key", in{"stringData": in{"a": "b"}})
	_, _, err := c.create(secrets, key, false)
	require.ErrorContains(t, err, `namespaces "deepgram" not found`)
	c.make(namespace, object("v1", "Namespace", "", "deepgram", nil))
	id, out := c.make(secrets, key)
	assert.Equal(t, "deepgram/key", id)
	assert.True(t, out["stringData"].IsSecret())
	assert.Equal(t, "Yg==", out["data"].SecretValue().Element.ObjectValue()["a"].StringValue())
	_, _, err = c.create(secrets, key, false)
	require.ErrorContains(t, err, "AlreadyExists")

	_, _, err = c.create(release, in{"name": "d", "namespace": "deepgram", "chart": "c", "values": in{"global": in{"deepgramSecretRef": "other"}}}, false)
	require.ErrorContains(t, err, `"other"`)
	c.make(release, in{"name": "d", "namespace": "deepgram", "chart": "c", "values": in{"global": in{"deepgramSecretRef": "key"}}})

	_, err = c.Delete(t.Context(), &pulumirpc.DeleteRequest{Urn: urn(namespace), Id: "deepgram"})
	require.NoError(t, err)
	_, ok := cloud.Object(secrets, "deepgram/key")
	assert.False(t, ok, "what is in a namespace goes with it")
}

func TestIngressHoldsItsAddressAndCertificate(t *testing.T) {
	t.Parallel()
	cloud := standin.NewCloud()
	_, err := cloud.Seed(address, in{"name": "ilb", "addressType": "INTERNAL", "address": "10.128.0.50"})
	require.NoError(t, err)
	c := inCluster(t, cloud)
	meta := resource.NewPropertyMapFromMap(in{"name": "api", "namespace": "default", "annotations": in{
		"kubernetes.io/ingress.regional-static-ip-name": "ilb",
	}})
	_, out := c.make(ingress, resource.PropertyMap{
		"apiVersion": resource.NewProperty("networking.k8s.io/v1"), "kind": resource.NewProperty("Ingress"), "metadata": resource.NewProperty(meta),
	})
	entry := out["status"].ObjectValue()["loadBalancer"].ObjectValue()["ingress"].ArrayValue()[0].ObjectValue()
	assert.Equal(t, "10.128.0.50", entry["ip"].StringValue())

	g := dial(t, cloud, "gcp")
	_, err = g.Delete(t.Context(), &pulumirpc.DeleteRequest{Urn: urn(address), Id: "projects/rehearsal/regions/us-central1/addresses/ilb"})
	require.ErrorContains(t, err, "already being used by 'default/api'")
}

func TestKubeconfigMustBeUsable(t *testing.T) {
	t.Parallel()
	c := dial(t, standin.NewCloud(), "kubernetes")
	for name, config := range map[string]string{
		"garbage":    "{",
		"no context": `{"clusters":[]}`,
		"no user":    `{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}]}`,
		"no https":   `{"current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u"}],"clusters":[{"name":"c","cluster":{"server":"1.2.3.4"}}]}`,
	} {
		res, err := c.CheckConfig(t.Context(), &pulumirpc.CheckRequest{News: c.encode(in{"version": standin.KubernetesVersion, "kubeconfig": config})})
		require.NoError(t, err)
		assert.Len(t, res.GetFailures(), 1, name)
	}
	_, _, err := c.create(namespace, object("v1", "Namespace", "", "a", nil), false)
	require.ErrorContains(t, err, "no kubeconfig")
}

func TestCommandRunsNothing(t *testing.T) {
	t.Parallel()
	c := dial(t, standin.NewCloud(), "command")
	const local = "command:local:Command"
	_, failures := c.check(local, in{"create": "touch x", "creates": "y"})
	assert.Len(t, failures, 1)
	marker := t.TempDir() + "/ran"
	_, out := c.make(local, resource.PropertyMap{
		"create":      resource.NewProperty("touch " + marker),
		"environment": resource.MakeSecret(resource.NewProperty(resource.PropertyMap{"A": resource.NewProperty("b")})),
	})
	assert.NoFileExists(t, marker)
	assert.Empty(t, out["stdout"].StringValue())
	assert.True(t, out["environment"].IsSecret())
	got := c.diff(local, in{"create": "a", "triggers": []any{1}}, in{"create": "a", "triggers": []any{2}})
	assert.Equal(t, []string{"triggers"}, got.GetReplaces())
}
