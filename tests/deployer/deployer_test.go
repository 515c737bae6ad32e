// Package deployer tests package stacks as a library, as a service would use it:
// Deployers on the real Pulumi engine, against the stand-ins.
package deployer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

const passphrase = "canary-passphrase-5d1e"

// place is a pretended cloud with a backend and a home of its own.
type place struct {
	cloud   *standin.Cloud
	cfg     *stacks.Config
	options stacks.Options

	mutex  sync.Mutex
	events []stacks.Event
	log    bytes.Buffer
}

// environment is a configuration of the project, with made-up secrets.
func environment(t testing.TB, stack string, sets ...string) *stacks.Config {
	t.Helper()
	tree, err := config.LoadTree(filepath.Join(enginetest.Root(), "Pulumi."+stack+".yaml"))
	require.NoError(t, err)
	for i := 0; i+1 < len(sets); i += 2 {
		require.NoError(t, tree.Set(sets[i], sets[i+1]))
	}
	cfg, err := rehearsal.FilledConfig(stack, tree, enginetest.Root())
	require.NoError(t, err)
	return cfg
}

func newPlace(t testing.TB, stack string, sets ...string) *place {
	t.Helper()
	p := &place{cfg: environment(t, stack, sets...)}
	var err error
	p.cloud, err = rehearsal.NewCloud(p.cfg)
	require.NoError(t, err)
	servers, err := p.cloud.Serve(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = servers.Close() })
	p.options = stacks.Options{
		Config: p.cfg, Backend: "file://" + t.TempDir(), Home: t.TempDir(),
		SecretsProvider: "passphrase", Passphrase: stacks.NewSecret(passphrase),
		Pulumi: enginetest.Pulumi(t), PolicyPack: enginetest.PolicyPack(t), Providers: servers.Attach(),
		Log: slog.New(slog.NewTextHandler(&p.log, nil)),
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

// seen are the events of a kind so far.
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

// hunt looks for secrets in what was returned, however it is printed.
func (p *place) hunt(t testing.TB, values ...any) {
	t.Helper()
	secrets := append(engine.Revealed(p.cfg), passphrase)
	require.GreaterOrEqual(t, len(secrets), 4)
	p.mutex.Lock()
	texts := []string{p.log.String()}
	values = append(values, slices.Clone(p.events))
	p.mutex.Unlock()
	for _, value := range values {
		texts = append(texts, fmt.Sprint(value), fmt.Sprintf("%+v", value), fmt.Sprintf("%#v", value))
		if text, err := json.Marshal(value); err == nil {
			texts = append(texts, string(text))
		}
		if err, is := value.(error); is {
			for ; err != nil; err = errors.Unwrap(err) {
				texts = append(texts, err.Error(), fmt.Sprintf("%+v %#v", err, err))
			}
		}
	}
	shown := engine.Redactor(secrets)
	for _, text := range texts {
		hidden := shown(text)
		if hidden != text {
			i := strings.Index(hidden, "[secret]")
			t.Fatalf("a secret is shown near: %s", hidden[max(0, i-200):min(len(hidden), i+200)])
		}
	}
}

func soak() bool { return os.Getenv("SOAK") != "" }

func TestTheLifeOfAnEnvironment(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "prod-omi")
	d := p.deployer(t)
	_, err := d.Drift(t.Context())
	require.ErrorIs(t, err, stacks.ErrNoStack, "a question makes no stack")

	preview, err := d.Preview(t.Context(), stacks.PreviewOptions{})
	require.NoError(t, err)
	require.Positive(t, preview.Changes["create"])
	up, err := d.Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err)
	require.Equal(t, preview.Changes, up.Changes, "the preview foretells the update")
	require.Equal(t, "https://dg.omi.me", up.Outputs["apiUrl"])
	require.IsType(t, stacks.Secret{}, up.Outputs["kubeconfig"])
	kubeconfig := up.Outputs["kubeconfig"].(stacks.Secret).Reveal()
	require.Contains(t, kubeconfig, "clusters")
	require.NotContains(t, fmt.Sprintf("%+v", up), "current-context")
	ends := p.seen(stacks.EventEnded)
	require.NotEmpty(t, ends)
	require.Equal(t, "up", ends[len(ends)-1].Operation)
	progress := p.seen(stacks.EventProgress)
	require.Equal(t, len(up.Resources), progress[len(progress)-1].Progress.Done, "every step is counted")

	// Another process, with nothing but the same options.
	again := p.deployer(t)
	second, err := again.Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err)
	require.Zero(t, second.Changed(), "%v", second.Changes)
	outputs, err := again.Outputs(t.Context())
	require.NoError(t, err)
	require.Equal(t, up.Outputs, outputs)
	quiet, err := again.Drift(t.Context())
	require.NoError(t, err, "nobody touched the cloud")
	require.Empty(t, quiet.Differences)
	state, err := again.Export(t.Context())
	require.NoError(t, err)
	p.hunt(t, d, preview, up, second, outputs, quiet, string(state))

	driftAndRepair(t, p, again)
	destroyInTwoSteps(t, p, again)
}

// driftAndRepair lets somebody change the cloud by hand.
func driftAndRepair(t *testing.T, p *place, d *stacks.Deployer) {
	t.Helper()
	var pool, firewall standin.Object
	for _, object := range p.cloud.Objects() {
		switch object.Type {
		case "gcp:container/nodePool:NodePool":
			pool = object
		case "gcp:compute/firewall:Firewall":
			firewall = object
		}
	}
	require.NotEmpty(t, pool.ID)
	require.NotEmpty(t, firewall.ID)
	require.NoError(t, p.cloud.Mutate(pool.ID, func(outputs resource.PropertyMap) {
		node := outputs["nodeConfig"].ObjectValue().Copy()
		node["machineType"] = resource.NewProperty("n2-standard-96")
		outputs["nodeConfig"] = resource.NewProperty(node)
	}))
	require.NoError(t, p.cloud.Remove(firewall.ID))

	before, err := d.Export(t.Context())
	require.NoError(t, err)
	result, err := d.Drift(t.Context())
	var differs *stacks.ChangesError
	require.ErrorAs(t, err, &differs)
	require.Len(t, result.Differences, 2, "%v", result.Differences)
	text := err.Error()
	require.Contains(t, text, "nodeConfig.machineType")
	require.Contains(t, text, "n2-standard-96")
	require.Contains(t, text, "is gone")
	after, err := d.Export(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, string(before), string(after), "a comparison changes nothing")
	p.hunt(t, result, text)

	_, err = d.Refresh(t.Context(), stacks.RefreshOptions{})
	require.NoError(t, err)
	up, err := d.Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err)
	require.Equal(t, 1, up.Changes["create"], "%v", up.Changes)
	_, err = d.Drift(t.Context())
	require.NoError(t, err, "put right")
}

// destroyInTwoSteps lists first, and destroys what was acknowledged.
func destroyInTwoSteps(t *testing.T, p *place, d *stacks.Deployer) {
	t.Helper()
	objects := len(p.cloud.Objects())
	_, err := d.Destroy(t.Context(), stacks.DestroyOptions{})
	var gate *stacks.GateError
	require.ErrorAs(t, err, &gate)
	require.Contains(t, err.Error(), "--acknowledge 'urn:pulumi:prod-omi")
	require.Len(t, p.cloud.Objects(), objects, "nothing was touched")
	acknowledged := map[string]string{}
	for _, refused := range gate.Refused {
		acknowledged[refused.URN] = "the test is over"
	}
	one := map[string]string{gate.Refused[0].URN: "only this"}
	_, err = d.Destroy(t.Context(), stacks.DestroyOptions{Acknowledge: one})
	require.ErrorAs(t, err, &gate)
	require.Len(t, gate.Refused, len(acknowledged)-1, "one is not all")
	_, err = d.Destroy(t.Context(), stacks.DestroyOptions{
		Acknowledge: acknowledged, Confirm: func(*stacks.Teardown) bool { return false },
	})
	require.ErrorIs(t, err, stacks.ErrDeclined)

	p.cloud.ResetCalls()
	down, err := d.Destroy(t.Context(), stacks.DestroyOptions{Acknowledge: acknowledged})
	require.NoError(t, err)
	require.Len(t, down.Retained, 1)
	require.Contains(t, down.Retained[0], "models-disk")
	for _, object := range p.cloud.Objects() {
		if object.CreatedBy != "" {
			require.Contains(t, object.CreatedBy, "models-disk", "only what is retained is left")
		}
	}
	requireOrder(t, p.cloud.Calls(),
		"kubernetes:networking.k8s.io/v1:Ingress", "kubernetes:core/v1:Service", "kubernetes:core/v1:Namespace",
		"gcp:container/nodePool:NodePool", "gcp:container/cluster:Cluster")
	requireOrder(t, p.cloud.Calls(), "kubernetes:helm.sh/v3:Release", "kubernetes:core/v1:Namespace")
	p.hunt(t, down)
}

// deletion is the provider's method of that name.
const deletion = "Delete"

// requireOrder wants every deletion of a type done before the first of the next.
func requireOrder(t *testing.T, calls []standin.Call, types ...string) {
	t.Helper()
	first, last := map[string]int{}, map[string]int{}
	for i, call := range calls {
		if call.Method != deletion {
			continue
		}
		if _, seen := first[call.Type]; !seen {
			first[call.Type] = i
		}
		last[call.Type] = i
	}
	for i, kind := range types {
		require.Contains(t, first, kind)
		if i > 0 {
			require.Less(t, last[types[i-1]], first[kind], "%s before %s", types[i-1], kind)
		}
	}
}
