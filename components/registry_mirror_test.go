package components

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRegistryCopiesImages(t *testing.T) {
	t.Parallel()
	rec := record(t, nil, func(ctx *pulumi.Context) error {
		args := registryArgs(settled(t, "acme"), RegistryMirror)
		args.Username, args.Password = pulumi.String("deepgram+acme"), pulumi.String("hush")
		args.Mirror = &Mirror{
			Release: "release-250331", ChartVersion: "0.42.0", Monitoring: true,
			Program: "/opt/deepgram gke/deepgram-ops", Lock: "/work/images.lock", LockDigest: "abc", OpsTag: "v1.0.0",
		}
		r, err := NewRegistry(ctx, "registry", args)
		require.NoError(t, err)
		assert.Len(t, r.Ready, 2, "what pulls waits for the copies")
		assert.Len(t, r.OpsReady, 1)
		assert.Equal(t, "us-central1-docker.pkg.dev/acme-speech/acme/deepgram-ops:v1.0.0", await[string](t, r.OpsImage))
		return nil
	})
	mirror := rec.reg(t, "registry-mirror")
	in := inputsOf(mirror)
	line := `"/opt/deepgram gke/deepgram-ops" images mirror --release release-250331 --to us-central1-docker.pkg.dev/acme-speech/acme ` +
		`--chart-version 0.42.0 --monitoring --no-license-proxy --lock /work/images.lock --progress 30s`
	assert.Equal(t, line, in["create"])
	assert.Equal(t, line, in["update"], "running it again is always right")
	assert.NotContains(t, in, "delete")
	assert.Contains(t, in["triggers"], "abc", "a changed pin is copied")
	assert.Equal(t, map[string]any{"DEEPGRAM_DIST_USERNAME": "deepgram+acme", "DEEPGRAM_DIST_PASSWORD": "hush"}, revealed(mirror.Inputs["environment"]))
	assert.True(t, mirror.Inputs["environment"].ContainsSecrets())
	assert.Subset(t, mirror.RegisterRPC.GetAdditionalSecretOutputs(), []string{"environment", "stdout", "stderr"})
	assert.Contains(t, dependsOn(mirror), "registry-repository")

	publish := inputsOf(rec.reg(t, "registry-ops-image"))
	assert.Equal(t, `"/opt/deepgram gke/deepgram-ops" images publish --to us-central1-docker.pkg.dev/acme-speech/acme --tag v1.0.0 --progress 30s`,
		publish["create"])
	assert.NotContains(t, publish, "environment", "it does not ask quay.io")
}

func TestMirrorReportsEveryMistake(t *testing.T) {
	t.Parallel()
	args := registryArgs(settled(t, "acme"), RegistryExisting)
	args.Username = pulumi.String("deepgram+acme")
	args.Mirror = &Mirror{Monitoring: true, Program: "ops; $(reboot)", OpsTag: "not a tag"}
	require.EqualError(t, args.Validate(), `Mirror: is for mode mirror only; the mode is "existing"
Username: and Password belong together; give both, or none
Mirror.Release: is required, such as "release-250331"
Mirror.OpsTag: "not a tag" is not an image tag
Mirror.ChartVersion: is required, such as "0.42.0"
Mirror.Program: "ops; $(reboot)" holds a character that a shell would read; use a path without quotes, $, %, ! and line ends`)
}
