package rehearsal

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/require"
)

// secretOf is a secret as an exported state holds it.
func secretOf(t *testing.T, value any) map[string]any {
	t.Helper()
	plaintext, err := json.Marshal(value)
	require.NoError(t, err)
	return map[string]any{signatureKey: secretSignature, "plaintext": string(plaintext)}
}

func exported(t *testing.T, resources ...map[string]any) apitype.UntypedDeployment {
	t.Helper()
	text, err := json.Marshal(map[string]any{"manifest": map[string]any{"time": "2026-01-01T00:00:00Z"}, "resources": resources})
	require.NoError(t, err)
	return apitype.UntypedDeployment{Version: 3, Deployment: text}
}

func TestReadStateHidesSecretsAndKeepsShapes(t *testing.T) {
	t.Parallel()
	registry := `{"auths":{"quay.io":{"username":"canary-user","password":"canary-password"}}}`
	resources, outputs, err := readState(exported(t,
		map[string]any{
			"urn": "urn:pulumi:dev::deepgram-stack::pulumi:pulumi:Stack::deepgram-stack-dev", "type": "pulumi:pulumi:Stack",
			"outputs": map[string]any{"kubeconfig": secretOf(t, "canary-kubeconfig"), "apiUrl": "https://dg.example.com"},
		},
		map[string]any{
			"urn": "urn:pulumi:dev::deepgram-stack::kubernetes:core/v1:Secret::s", "type": "kubernetes:core/v1:Secret", "custom": true,
			"inputs": map[string]any{
				"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "dg-regcred", "namespace": "deepgram"},
				"stringData": secretOf(t, map[string]any{".dockerconfigjson": registry, "plain": "canary-plain"}),
				"data":       map[string]any{"key": secretOf(t, base64.StdEncoding.EncodeToString([]byte("canary-data")))},
			},
		}))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"kubeconfig": hidden, "apiUrl": "https://dg.example.com"}, outputs)

	text, err := json.Marshal(resources)
	require.NoError(t, err)
	require.NotContains(t, string(text), "canary")

	object := manifests(resources)["secret-deepgram-dg-regcred.yaml"]
	require.NotNil(t, object)
	config := object["stringData"].(map[string]any)[".dockerconfigjson"].(string)
	require.JSONEq(t, `{"auths":{"quay.io":{"username":"[secret]","password":"[secret]"}}}`, config)
	decoded, err := base64.StdEncoding.DecodeString(object["data"].(map[string]any)["key"].(string))
	require.NoError(t, err, "an API server wants base64 in data")
	require.Equal(t, hidden, string(decoded))
}

func TestManifestsLeaveOutTheChartAndTheCloud(t *testing.T) {
	t.Parallel()
	resources, _, err := readState(exported(t,
		map[string]any{"urn": "urn:pulumi:dev::p::gcp:compute/disk:Disk::d", "type": "gcp:compute/disk:Disk", "custom": true},
		map[string]any{
			"urn": "urn:pulumi:dev::p::kubernetes:helm.sh/v3:Release::r", "type": "kubernetes:helm.sh/v3:Release", "custom": true,
			"inputs": map[string]any{"values": map[string]any{"api": map[string]any{"namePrefix": "deepgram-api"}}},
		},
		map[string]any{
			"urn": "urn:pulumi:dev::p::kubernetes:core/v1:Namespace::n", "type": "kubernetes:core/v1:Namespace", "custom": true,
			"inputs": map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "deepgram"}},
		}))
	require.NoError(t, err)
	require.Equal(t, []string{"namespace-cluster-deepgram.yaml"}, keys(manifests(resources)))
	values, err := (&Result{Resources: resources}).ValuesYAML()
	require.NoError(t, err)
	require.Equal(t, "api:\n  namePrefix: deepgram-api\n", string(values))
}

func keys[V any](m map[string]V) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	return list
}
