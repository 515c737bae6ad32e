// Package deployer tests package stacks as a library, as a service would use it:
// Deployers on the real Pulumi engine, against the stand-ins.
package deployer

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// place is a pretended cloud with a backend and a home of its own.
type place struct {
	cloud   *standin.Cloud
	servers *standin.Servers
	cfg     *stacks.Config
	options stacks.Options

	mutex  sync.Mutex
	events []stacks.Event
}

// newPlace is one for an environment of the project, with a configuration whose
// secrets are made up.
func newPlace(t testing.TB, stack string, sets ...string) *place {
	t.Helper()
	tree, err := config.LoadTree(filepath.Join(enginetest.Root(), "Pulumi."+stack+".yaml"))
	require.NoError(t, err)
	for i := 0; i+1 < len(sets); i += 2 {
		require.NoError(t, tree.Set(sets[i], sets[i+1]))
	}
	cfg, err := rehearsal.FilledConfig(stack, tree, enginetest.Root())
	require.NoError(t, err)
	p := &place{cfg: cfg}
	p.cloud, err = rehearsal.NewCloud(cfg)
	require.NoError(t, err)
	p.servers, err = p.cloud.Serve(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.servers.Close() })
	state := t.TempDir()
	p.options = stacks.Options{
		Config: cfg, Backend: "file://" + state, Home: t.TempDir(),
		SecretsProvider: "passphrase", Passphrase: stacks.NewSecret("canary-passphrase-1"),
		Pulumi: enginetest.Pulumi(t), PolicyPack: enginetest.PolicyPack(t), Providers: p.servers.Attach(),
		Events: func(e stacks.Event) {
			p.mutex.Lock()
			defer p.mutex.Unlock()
			p.events = append(p.events, e)
		},
	}
	return p
}

// deployer is a new Deployer of the place, as another process would have it.
func (p *place) deployer(t testing.TB, change ...func(*stacks.Options)) *stacks.Deployer {
	t.Helper()
	o := p.options
	for _, c := range change {
		c(&o)
	}
	d, err := stacks.New(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func (p *place) seen(kind stacks.EventKind) (found []stacks.Event) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, e := range p.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func soak() bool { return os.Getenv("SOAK") != "" }

func TestAnEnvironmentsLife(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "prod-omi")
	d := p.deployer(t)
	preview, err := d.Preview(t.Context(), stacks.PreviewOptions{})
	require.NoError(t, err)
	require.Positive(t, preview.Changes["create"])

	up, err := d.Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err)
	require.Equal(t, preview.Changes, up.Changes, "the preview foretells the update")
	require.Equal(t, "https://dg.omi.me", up.Outputs["apiUrl"])
	require.IsType(t, stacks.Secret{}, up.Outputs["kubeconfig"])

	again := p.deployer(t)
	up, err = again.Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err)
	require.Zero(t, up.Changed(), "%v", up.Changes)

	drift, err := again.Drift(t.Context())
	require.NoError(t, err, "nobody touched the cloud")
	require.Empty(t, drift.Differences)
}
