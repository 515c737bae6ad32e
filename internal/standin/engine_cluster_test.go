package standin_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

type cluster struct {
	pulumi.CustomResourceState

	Endpoint   pulumi.StringOutput `pulumi:"endpoint"`
	MasterAuth pulumi.MapOutput    `pulumi:"masterAuth"`
}

func kubeconfig(c *cluster) pulumi.StringOutput {
	return pulumi.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],`+
		`"clusters":[{"name":"c","cluster":{"server":"https://%s","certificate-authority-data":"%s"}}],"users":[{"name":"u","user":{"token":"t"}}]}`,
		c.Endpoint, c.MasterAuth.ApplyT(func(m map[string]any) string { return fmt.Sprint(m["clusterCaCertificate"]) }))
}

func TestEngineCluster(t *testing.T) {
	t.Parallel()
	cloud := standin.NewCloud()
	w := engine(t, cloud)
	cert, key := chain(t, "dg.example.com")
	ignore := []string{"nodeConfig.kubeletConfig", "nodeConfig.resourceLabels"}
	protection, prefix, handle := true, "models-a", "projects/rehearsal/zones/us-central1-a/disks/a"
	w.program = func(ctx *pulumi.Context) error {
		c := &cluster{}
		if err := ctx.RegisterResource("gcp:container/cluster:Cluster", "gke", pulumi.Map{
			"name": pulumi.String("gke"), "location": pulumi.String("us-central1"), "initialNodeCount": pulumi.Int(1),
			"deletionProtection": pulumi.Bool(protection),
		}, c, pulumi.Version(standin.GCPVersion)); err != nil {
			return err
		}
		if _, err := register(ctx, "gcp:container/nodePool:NodePool", "engine", pulumi.Map{
			"name": pulumi.String("engine"), "cluster": c.ID(), "location": pulumi.String("us-central1"),
			"nodeConfig": pulumi.Map{"machineType": pulumi.String("g2-standard-12")},
		}, pulumi.IgnoreChanges(ignore)); err != nil {
			return err
		}
		_, err := register(ctx, "gcp:compute/regionSslCertificate:RegionSslCertificate", "crt", pulumi.Map{
			"namePrefix": pulumi.String("crt-"), "certificate": pulumi.String(cert), "privateKey": pulumi.ToSecret(pulumi.String(key)),
		})
		if err != nil {
			return err
		}
		var k8s struct{ pulumi.ProviderResourceState }
		if err := ctx.RegisterResource("pulumi:providers:kubernetes", "k8s", pulumi.Map{"kubeconfig": pulumi.ToSecret(kubeconfig(c))}, &k8s,
			pulumi.Version(standin.KubernetesVersion)); err != nil {
			return err
		}
		on := pulumi.Provider(&k8s)
		ns, err := register(ctx, "kubernetes:core/v1:Namespace", "deepgram", pulumi.Map{
			"apiVersion": pulumi.String("v1"), "kind": pulumi.String("Namespace"), "metadata": pulumi.Map{"name": pulumi.String("deepgram")},
		}, on)
		if err != nil {
			return err
		}
		api, err := register(ctx, "kubernetes:core/v1:Secret", "key", pulumi.Map{
			"apiVersion": pulumi.String("v1"), "kind": pulumi.String("Secret"),
			"metadata":   pulumi.Map{"namespace": pulumi.String("deepgram")},
			"stringData": pulumi.Map{"DEEPGRAM_API_KEY": pulumi.ToSecret(pulumi.String("hush-hush"))},
		}, on, pulumi.DependsOn([]pulumi.Resource{ns}))
		if err != nil {
			return err
		}
		_, err = register(ctx, "kubernetes:helm.sh/v3:Release", "chart", pulumi.Map{
			"name": pulumi.String("deepgram"), "namespace": pulumi.String("deepgram"), "chart": pulumi.String("deepgram-self-hosted"),
			"version": pulumi.String("0.42.0"), "atomic": pulumi.Bool(true),
			"values": pulumi.Map{
				"global": pulumi.Map{"deepgramSecretRef": api.ID().ApplyT(func(id pulumi.ID) string { return strings.TrimPrefix(string(id), "deepgram/") }).(pulumi.StringOutput)},
				"engine": pulumi.Map{"modelManager": pulumi.Map{"volumes": pulumi.Map{"gcp": pulumi.Map{"gpd": pulumi.Map{
					"enabled": pulumi.Bool(true), "namePrefix": pulumi.String(prefix), "volumeHandle": pulumi.String(handle),
				}}}}},
			},
		}, on)
		return err
	}
	_, err := w.stack.Preview(t.Context())
	require.NoError(t, err, "a preview knows no endpoint and no kubeconfig")
	created := w.up(t)["create"]
	assert.Equal(t, 8, created)
	assert.Equal(t, map[string]int{"same": created}, w.up(t))

	state, err := os.ReadFile(filepath.Join(w.backend, ".pulumi", "stacks", "standin", "test.json"))
	require.NoError(t, err)
	require.Contains(t, string(state), "deepgram-self-hosted")
	for _, hidden := range []string{"hush-hush", "aHVzaC1odXNo", "BEGIN EC PRIVATE KEY"} {
		assert.NotContains(t, string(state), hidden, "in plain")
	}

	handle = strings.Replace(handle, "/a", "/b", 1)
	assert.Contains(t, w.upErr(t), "immutable")
	prefix = "models-b"
	assert.Equal(t, 1, w.up(t)["update"])
	release, ok := cloud.Object("kubernetes:helm.sh/v3:Release", "deepgram/deepgram")
	require.True(t, ok)
	status, err := json.Marshal(release.Outputs["status"].Mappable())
	require.NoError(t, err)
	assert.JSONEq(t, `{"status":"deployed","revision":2,"chart":"deepgram-self-hosted","appVersion":"","name":"deepgram","namespace":"deepgram","version":"0.42.0"}`, string(status))

	ignore = nil
	assert.Contains(t, w.upErr(t), "ignoreChanges", "GKE answers 400 to what every update of a node pool wants")
	ignore = []string{"nodeConfig.kubeletConfig", "nodeConfig.resourceLabels"}

	_, err = w.stack.Destroy(t.Context(), optdestroy.SuppressProgress())
	require.ErrorContains(t, err, "deletionProtection")
	protection = false
	w.up(t)
	_, err = w.stack.Destroy(t.Context(), optdestroy.SuppressProgress())
	require.NoError(t, err)
	for _, o := range cloud.Objects() {
		assert.Empty(t, o.CreatedBy, o.ID)
	}
}
