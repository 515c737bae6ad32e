package components

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

func loaderArgs() *ModelLoaderArgs {
	return &ModelLoaderArgs{
		Namespace: "acme-deepgram-models", Image: pulumi.String("registry.example.com/deepgram-ops:v1.0.0"),
		Project: "acme-speech", Buckets: []string{"acme-models"}, NodeRoles: []string{RoleSystem, RoleAPI},
	}
}

// loading is a program that fills one disk.
func loading(disk config.Disk) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		loader, err := NewModelLoader(ctx, "loader", loaderArgs())
		if err != nil {
			return err
		}
		_, err = NewModelVolume(ctx, "models", &ModelVolumeArgs{
			Project: "acme-speech", Zone: "us-central1-a", Disk: disk, Loader: loader, Hash: "1a2b3c4d",
			Files: []ModelSource{
				{URL: pulumi.String("https://m.example.com/a.dg?sig=canary"), SHA256: "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08"},
				{URL: pulumi.String("gs://acme-models/b"), Name: "b.dg"},
			},
		})
		return err
	}
}

// revealed is a map that is secret, or whose values are.
func revealed(v resource.PropertyValue) map[string]any {
	for v.IsSecret() {
		v = v.SecretValue().Element
	}
	m := map[string]any{}
	for key, value := range v.ObjectValue() {
		for value.IsSecret() {
			value = value.SecretValue().Element
		}
		m[string(key)] = value.Mappable()
	}
	return m
}

func TestModelVolumeLoader(t *testing.T) {
	t.Parallel()
	rec := record(t, &cloudRecorder{lookup: projectNumber}, loading(config.Disk{Name: "models-1a2b3c4d", SizeGb: 200, Type: "pd-ssd"}))

	secret := rec.reg(t, "models-sources")
	assert.True(t, secret.Inputs["stringData"].ContainsSecrets(), "links are credentials")
	sources := revealed(secret.Inputs["stringData"])["sources.json"]
	assert.JSONEq(t, `[
		{"url": "https://m.example.com/a.dg?sig=canary", "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		{"url": "gs://acme-models/b", "name": "b.dg"}]`, sources.(string))

	volume := inputsOf(rec.reg(t, "models-volume"))["spec"].(map[string]any)
	assert.Equal(t, []any{"ReadWriteOnce"}, volume["accessModes"])
	assert.Equal(t, "Retain", volume["persistentVolumeReclaimPolicy"])
	assert.Equal(t, map[string]any{
		"driver": "pd.csi.storage.gke.io", "fsType": "ext4",
		"volumeHandle": "projects/acme-speech/zones/us-central1-a/disks/models-1a2b3c4d",
	}, volume["csi"])

	job := rec.reg(t, "models-load")
	assert.Equal(t, []string{"spec", "metadata.labels"}, job.RegisterRPC.GetIgnoreChanges(), "once for a disk")
	assert.NotNil(t, job.RegisterRPC.GetReplacementTrigger(), "and again for another disk")
	assert.Equal(t, "22800s", job.RegisterRPC.GetCustomTimeouts().GetCreate(), "longer than the Job's own deadline")
	assert.NotContains(t, job.RegisterRPC.String(), "canary")
	pod := inputsOf(job)["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	assert.Equal(t, "models-loader", pod["serviceAccountName"])
	assert.Equal(t, true, pod["securityContext"].(map[string]any)["runAsNonRoot"])
	assert.EqualValues(t, 65532, pod["securityContext"].(map[string]any)["fsGroup"], "a new file system is root's")
	container := pod["containers"].([]any)[0].(map[string]any)
	assert.Equal(t, "registry.example.com/deepgram-ops:v1.0.0", container["image"])
	assert.Equal(t, []any{"models", "load", "--dir", "/models", "--sources", "/etc/models/sources.json", "--progress", "30s"}, container["args"])
	required := pod["affinity"].(map[string]any)["nodeAffinity"].(map[string]any)["requiredDuringSchedulingIgnoredDuringExecution"]
	assert.Equal(t, map[string]any{"nodeSelectorTerms": []any{map[string]any{"matchExpressions": []any{
		map[string]any{"key": "topology.kubernetes.io/zone", "operator": "In", "values": []any{"us-central1-a"}},
		map[string]any{"key": NodeTypeLabel, "operator": "In", "values": []any{RoleSystem, RoleAPI}},
	}}}}, required)

	grant := inputsOf(rec.reg(t, "loader-reads-acme-models"))
	assert.Equal(t, "roles/storage.objectViewer", grant["role"], "read, and nothing more")
	assert.Equal(t, "principal://iam.googleapis.com/projects/1234567890/locations/global/workloadIdentityPools/"+
		"acme-speech.svc.id.goog/subject/ns/acme-deepgram-models/sa/models-loader", grant["member"])
	assert.Empty(t, rec.names("command:local:Command"), "a persistent disk needs no access mode")
}

func TestHyperdiskIsSharedAfterTheLoad(t *testing.T) {
	t.Parallel()
	rec := record(t, &cloudRecorder{lookup: projectNumber}, loading(config.Disk{Name: "m", SizeGb: 200, Type: "hyperdisk-ml"}))
	share := rec.reg(t, "models-share")
	assert.Equal(t, "gcloud compute disks update m --zone=us-central1-a --project=acme-speech --access-mode=READ_ONLY_MANY --quiet",
		inputsOf(share)["create"])
	assert.Contains(t, dependsOn(share), "models-load")
}

func TestModelLoaderReportsEveryMistake(t *testing.T) {
	t.Parallel()
	err := (&ModelLoaderArgs{Namespace: "Models", Buckets: []string{"gs://b"}}).Validate()
	require.EqualError(t, err, `Namespace: "Models" is not a namespace (lower-case letters, digits and hyphens, at most 63 characters)
Image: is required: the image of deepgram-ops, such as Registry.OpsImage
Project: is required, such as "acme-speech"
Buckets: "gs://b" is not a bucket's name, without gs://`)
	err = (&ModelVolumeArgs{
		Project: "acme-speech", Zone: "us-central1-a", Disk: config.Disk{Existing: "old", SizeGb: 100}, Hash: "xyz",
		Files: []ModelSource{{SHA256: "12"}},
	}).Validate()
	require.EqualError(t, err, `Files: cannot be loaded onto the existing disk "old", which engines may be reading; make a new disk
Hash: "xyz" is not 8 hex digits
Loader: is required with Files
Files[0].URL: is required
Files[0].SHA256: "12" is not 64 hex digits`)
}
