package components

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

// TestComponentsOnTheEngine runs two of everything on the real engine against a
// stand-in cloud: what unit tests cannot see is refused inputs, names that
// clash, and what a second update would change.
func TestComponentsOnTheEngine(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, "bin"), 0o755))
	require.NoError(t, os.Symlink(enginetest.Pulumi(t), filepath.Join(home, "bin", "pulumi")))
	command, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: home, SkipVersionCheck: true})
	require.NoError(t, err)
	cloud := standin.NewCloud(standin.Project("acme-speech", "1234567890"), standin.Location("us-central1", "us-central1-a"))
	servers, err := cloud.Serve(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, servers.Close()) })
	backend := t.TempDir()
	stack, err := auto.UpsertStackInlineSource(t.Context(), "test", "components", twoOfEverything(t),
		auto.Pulumi(command), auto.WorkDir(t.TempDir()), auto.PulumiHome(t.TempDir()),
		auto.EnvVars(map[string]string{
			"PULUMI_BACKEND_URL": "file://" + backend, "PULUMI_CONFIG_PASSPHRASE": "test",
			"PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_DEBUG_PROVIDERS": servers.Attach(),
		}))
	require.NoError(t, err)

	first, err := stack.Up(t.Context(), optup.SuppressProgress())
	require.NoError(t, err)
	assert.Greater(t, (*first.Summary.ResourceChanges)["create"], 50)
	second, err := stack.Up(t.Context(), optup.SuppressProgress(), optup.ExpectNoChanges())
	require.NoError(t, err)
	assert.Zero(t, (*second.Summary.ResourceChanges)["update"])

	// The files, not an export: that one decrypts.
	require.NoError(t, filepath.WalkDir(backend, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, secret := range []string{"canary-password", "PRIVATE KEY", "gke-gcloud-auth-plugin"} {
			assert.NotContains(t, string(text), secret, "%s is in plain text in %s", secret, path)
		}
		return err
	}))

	_, err = stack.Destroy(t.Context(), optdestroy.SuppressProgress())
	require.NoError(t, err)
}
