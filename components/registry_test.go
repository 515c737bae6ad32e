package components

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRegistryMirror(t *testing.T) {
	t.Parallel()
	bothModes(t, func(t *testing.T, mode pulumi.RunOption) {
		rec := record(t, nil, func(ctx *pulumi.Context) error {
			r, err := NewRegistry(ctx, "registry", &RegistryArgs{
				Mode: RegistryMirror, Project: "based-hardware", Location: "us-central1", Repository: "deepgram",
				Readers:    map[string]pulumi.StringInput{"nodes": pulumi.String("nodes@acme"), "ci": pulumi.String("ci@acme")},
				Production: true,
			})
			require.NoError(t, err)
			assert.Len(t, r.Ready, 3, "repository and two readers")
			assert.Equal(t, "us-central1-docker.pkg.dev/based-hardware/deepgram", await[string](t, r.Prefix))
			return nil
		}, mode)
		repository := rec.reg(t, "registry-repository")
		assert.Equal(t, "DOCKER", inputsOf(repository)["format"])
		assert.Equal(t, "STANDARD_REPOSITORY", inputsOf(repository)["mode"])
		assert.True(t, repository.RegisterRPC.GetProtect())
		assert.Equal(t, []string{"registry-api-artifactregistry"}, dependsOn(repository))
		assert.Equal(t, false, inputsOf(rec.reg(t, "registry-api-artifactregistry"))["disableOnDestroy"])
		assert.Equal(t, "serviceAccount:ci@acme", inputsOf(rec.reg(t, "registry-reader-ci"))["member"])
		assert.Empty(t, rec.names("gcp:secretmanager/secret:Secret"), "a mirror keeps no credentials")
	})
}

func TestRegistryPullThrough(t *testing.T) {
	t.Parallel()
	rec := record(t, &cloudRecorder{lookup: projectNumber}, func(ctx *pulumi.Context) error {
		args := registryArgs(settled(t, "acme"), RegistryPullThrough)
		args.Username, args.Password = pulumi.String("deepgram+acme"), pulumi.String("hush")
		r, err := NewRegistry(ctx, "registry", args)
		require.NoError(t, err)
		assert.Equal(t, "us-central1-docker.pkg.dev/acme-speech/acme/deepgram", await[string](t, r.Prefix))
		return nil
	})
	repository := rec.reg(t, "registry-repository")
	in := inputsOf(repository)
	assert.Equal(t, "REMOTE_REPOSITORY", in["mode"])
	assert.Equal(t, map[string]any{
		"description":      "quay.io",
		"dockerRepository": map[string]any{"customRepository": map[string]any{"uri": "https://quay.io"}},
		"upstreamCredentials": map[string]any{"usernamePasswordCredentials": map[string]any{
			"username": "deepgram+acme", "passwordSecretVersion": "registry-secret-id@computed",
		}},
	}, in["remoteRepositoryConfig"])
	assert.Subset(t, dependsOn(repository), []string{"registry-secret-access", "registry-secret-version"},
		"the repository is checked against quay.io when it is made")
	assert.Equal(t, "serviceAccount:service-1234567890@gcp-sa-artifactregistry.iam.gserviceaccount.com",
		inputsOf(rec.reg(t, "registry-secret-access"))["member"])
	version := rec.reg(t, "registry-secret-version")
	assert.True(t, version.Inputs["secretData"].IsSecret())
	assert.False(t, version.RegisterRPC.GetDeleteBeforeReplace(), "the old password stays until the new one is in use")
}

func TestRegistryExisting(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args   RegistryArgs
		prefix string
		made   []string
	}{
		"elsewhere": {
			RegistryArgs{Mode: RegistryExisting, URL: "registry.example.com:5000/deepgram/"},
			"registry.example.com:5000/deepgram",
			[]string{"registry"},
		},
		"Artifact Registry": {
			RegistryArgs{
				Mode: RegistryExisting, Project: "example.com:acme-speech", Location: "us", Repository: "deepgram",
				Readers: map[string]pulumi.StringInput{"nodes": pulumi.String("nodes@acme")},
			},
			"us-docker.pkg.dev/example.com/acme-speech/deepgram",
			[]string{"registry", "registry-reader-nodes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := record(t, nil, func(ctx *pulumi.Context) error {
				r, err := NewRegistry(ctx, "registry", &test.args)
				require.NoError(t, err)
				assert.Nil(t, r.Repository)
				assert.Equal(t, test.prefix, await[string](t, r.Prefix))
				return nil
			})
			assert.Equal(t, test.made, rec.names(""))
		})
	}
}

func TestRegistryReportsEveryMistake(t *testing.T) {
	t.Parallel()
	err := (&RegistryArgs{Mode: "pull-through", Project: "acme-speech", Location: "nowhere", Repository: "Deepgram"}).Validate()
	require.EqualError(t, err, `Location: "nowhere" is not a region or one of us, europe, asia
Repository: "Deepgram" is not a repository name (lower-case letters, digits and hyphens, a letter first)
NamePrefix: is required, such as "acme-deepgram"
Username: is required for mode pull-through: the distribution credentials of the Deepgram console
Password: is required for mode pull-through: the distribution credentials of the Deepgram console`)
	err = (&RegistryArgs{Mode: "copy", URL: "https://x", Readers: map[string]pulumi.StringInput{"a": nil}}).Validate()
	require.EqualError(t, err, `Mode: "copy" is not mirror, pull-through or existing
URL: "https://x" is for mode existing only; the mode is "copy"
URL: "https://x" is not an image prefix without scheme, such as "registry.example.com/deepgram"
Readers: cannot be granted at "https://x", which is not Artifact Registry; leave them out
Readers: "a" has no e-mail address`)
}
