package policy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

// cli finds the Pulumi command; the test is skipped where there is none.
func cli(t testing.TB) auto.PulumiCommand {
	t.Helper()
	binary := os.Getenv("PULUMI")
	if binary == "" {
		binary, _ = filepath.Abs("../../bin/pulumi")
	}
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("no Pulumi engine: build bin/pulumi with make or set PULUMI to one (%v)", err)
	}
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, "bin"), 0o755))
	require.NoError(t, os.Symlink(binary, filepath.Join(home, "bin", "pulumi")))
	cmd, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: home, SkipVersionCheck: true})
	require.NoError(t, err)
	return cmd
}

// world is a stack of plain resources against a stand-in cloud.
type world struct {
	cloud   *standin.Cloud
	program func(*pulumi.Context) error
	stack   auto.Stack
	env     map[string]string
}

func newWorld(t testing.TB, program func(*pulumi.Context) error, env ...string) *world {
	t.Helper()
	cmd := cli(t)
	w := &world{cloud: standin.NewCloud(), program: program}
	servers, err := w.cloud.Serve(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, servers.Close()) })
	w.env = map[string]string{
		"PULUMI_BACKEND_URL": "file://" + t.TempDir(), "PULUMI_CONFIG_PASSPHRASE": "test", "PULUMI_SKIP_UPDATE_CHECK": "true",
		"PULUMI_DEBUG_PROVIDERS": servers.Attach(), "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
	}
	for i := 0; i+1 < len(env); i += 2 {
		w.env[env[i]] = env[i+1]
	}
	home := t.TempDir()
	// Without the engine's own log, as in a rehearsal.
	require.NoError(t, os.WriteFile(filepath.Join(home, "logs"), nil, 0o600))
	w.stack, err = auto.UpsertStackInlineSource(t.Context(), "test", "foreign", func(ctx *pulumi.Context) error { return w.program(ctx) },
		auto.Pulumi(cmd), auto.WorkDir(t.TempDir()), auto.PulumiHome(home), auto.EnvVars(w.env))
	require.NoError(t, err)
	return w
}

// watch collects policy events. done is called after the operation: the
// channel is never closed when the engine fails before its stream begins.
func watch(found *[]apitype.PolicyEvent) (ch chan events.EngineEvent, done func()) {
	ch, quit, idle := make(chan events.EngineEvent), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(idle)
		for {
			select {
			case e, ok := <-ch:
				if !ok {
					return
				}
				if e.PolicyEvent != nil {
					*found = append(*found, *e.PolicyEvent)
				}
			case <-quit:
				return
			}
		}
	}()
	return ch, func() { close(quit); <-idle }
}

func (w *world) preview(t testing.TB, options ...optpreview.Option) ([]apitype.PolicyEvent, error) {
	t.Helper()
	return w.previewWith(t, pack, options...)
}

// previewWith previews with a pack given as a file or folder; "" is none.
func (w *world) previewWith(t testing.TB, pack string, options ...optpreview.Option) ([]apitype.PolicyEvent, error) {
	t.Helper()
	if pack != "" {
		options = append(options, optpreview.PolicyPacks(pack))
	}
	var found []apitype.PolicyEvent
	ch, done := watch(&found)
	options = append([]optpreview.Option{optpreview.EventStreams(ch), optpreview.SuppressProgress()}, options...)
	_, err := w.stack.Preview(t.Context(), options...)
	done()
	return found, err
}

func (w *world) up(t testing.TB, options ...optup.Option) ([]apitype.PolicyEvent, error) {
	t.Helper()
	var found []apitype.PolicyEvent
	ch, done := watch(&found)
	options = append([]optup.Option{optup.PolicyPacks(pack), optup.EventStreams(ch), optup.SuppressProgress()}, options...)
	_, err := w.stack.Up(t.Context(), options...)
	done()
	return found, err
}

func policies(found []apitype.PolicyEvent, level string) []string {
	all := []string{}
	for _, e := range found {
		if e.EnforcementLevel == level {
			all = append(all, e.PolicyName)
		}
	}
	return all
}

func text(found []apitype.PolicyEvent, policy string) string {
	var all []string
	for _, e := range found {
		if e.PolicyName == policy {
			all = append(all, e.ResourceURN+" "+e.Message)
		}
	}
	return strings.Join(all, "\n")
}

type made struct{ pulumi.CustomResourceState }

func register(ctx *pulumi.Context, typ, name string, in pulumi.Map, opts ...pulumi.ResourceOption) (*made, error) {
	version := standin.GCPVersion
	if strings.HasPrefix(typ, "kubernetes:") {
		version = standin.KubernetesVersion
	}
	m := &made{}
	return m, ctx.RegisterResource(typ, name, in, m, append([]pulumi.ResourceOption{pulumi.Version(version)}, opts...)...)
}

// foreign is somebody else's program: a cluster and a pool for engines, with
// plain resources and none of our components.
func foreign(machine pulumi.StringInput) func(*pulumi.Context) error {
	return func(ctx *pulumi.Context) error {
		cluster, err := register(ctx, "gcp:container/cluster:Cluster", "theirs", pulumi.Map{
			"location": pulumi.String("us-central1-a"), "removeDefaultNodePool": pulumi.Bool(true), "initialNodeCount": pulumi.Int(1),
			"deletionProtection": pulumi.Bool(true),
		})
		if err != nil {
			return err
		}
		account, err := register(ctx, "gcp:serviceaccount/account:Account", "nodes", pulumi.Map{"accountId": pulumi.String("their-nodes")})
		if err != nil {
			return err
		}
		_, err = register(ctx, "gcp:container/nodePool:NodePool", "speech", pulumi.Map{
			"cluster": cluster.ID(), "location": pulumi.String("us-central1-a"), "nodeLocations": pulumi.ToStringArray([]string{"us-central1-a"}),
			"nodeCount": pulumi.Int(2),
			"nodeConfig": pulumi.Map{
				"machineType": machine, "imageType": pulumi.String("COS_CONTAINERD"), "diskSizeGb": pulumi.Int(100),
				"labels":         pulumi.StringMap{"k8s.deepgram.com/node-type": pulumi.String("engine")},
				"serviceAccount": account.ID().ToStringOutput().ApplyT(func(string) string { return "their-nodes@p.iam.gserviceaccount.com" }).(pulumi.StringOutput),
				"guestAccelerators": pulumi.Array{pulumi.Map{
					"type": pulumi.String("nvidia-l4"), "count": pulumi.Int(1),
					"gpuDriverInstallationConfig": pulumi.Map{"gpuDriverVersion": pulumi.String("LATEST")},
				}},
			},
		})
		return err
	}
}

func TestEngineRefusesAForeignStackInPreview(t *testing.T) {
	t.Parallel()
	w := newWorld(t, foreign(pulumi.String("g2-standard-4")))
	found, err := w.preview(t)
	require.Error(t, err)
	assert.Equal(t, []string{"engine-node-has-memory"}, policies(found, "mandatory"))
	message := text(found, "engine-node-has-memory")
	for _, part := range []string{"NodePool::speech", "g2-standard-4 has 16 GB", "needed: 32 GB", "guide G-HW.engine", "g2-standard-8"} {
		assert.Contains(t, message, part)
	}

	found, err = w.up(t)
	require.Error(t, err)
	assert.Equal(t, []string{"engine-node-has-memory"}, policies(found, "mandatory"))
	for _, o := range w.cloud.Objects() {
		assert.NotEqual(t, "gcp:container/nodePool:NodePool", o.Type, "an update stops before the resource")
	}
}

func TestEngineLetsAForeignStackPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t, foreign(pulumi.String("g2-standard-12")))
	found, err := w.preview(t)
	require.NoError(t, err)
	assert.Empty(t, policies(found, "mandatory"))
	found, err = w.up(t)
	require.NoError(t, err)
	assert.Empty(t, policies(found, "mandatory"), text(found, "values-are-known"))
}

func TestEngineNotesWhatIsNotKnownYetAndRefusesItInUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(ctx *pulumi.Context) error {
		address, err := register(ctx, "gcp:compute/address:Address", "later", pulumi.Map{"region": pulumi.String("us-central1")})
		if err != nil {
			return err
		}
		// Known only after the address is made, and then too small.
		machine := address.ID().ToStringOutput().ApplyT(func(string) string { return "g2-standard-4" }).(pulumi.StringOutput)
		return foreign(machine)(ctx)
	})
	found, err := w.preview(t)
	require.NoError(t, err)
	assert.Empty(t, policies(found, "mandatory"))
	message := text(found, "values-are-known")
	assert.Contains(t, message, "nodeConfig.machineType is not known yet")
	assert.Contains(t, message, "engine-node-has-memory")

	found, err = w.up(t)
	require.Error(t, err)
	assert.Contains(t, policies(found, "mandatory"), "engine-node-has-memory")
}

func setPolicy(t testing.TB, w *world, policy map[string]any) {
	t.Helper()
	text, err := json.Marshal(policy)
	require.NoError(t, err)
	require.NoError(t, w.stack.SetConfig(t.Context(), "deepgram-stack:policy", auto.ConfigValue{Value: string(text)}))
}

func TestEngineAppliesExemptionsLevelsAndSettingsOfTheStack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, foreign(pulumi.String("g2-standard-4")))
	exemption := map[string]any{
		"policy": "engine-node-has-memory", "urn": "gcp:container/nodePool:NodePool::speech", "reason": "one small model", "owner": "ops", "expires": "2999-12-31",
	}
	setPolicy(t, w, map[string]any{"exemptions": []any{exemption}})
	found, err := w.preview(t)
	require.NoError(t, err)
	assert.Empty(t, text(found, "engine-node-has-memory"))

	exemption["expires"] = "2020-01-31"
	setPolicy(t, w, map[string]any{"exemptions": []any{exemption}})
	found, err = w.preview(t)
	require.Error(t, err)
	assert.Contains(t, text(found, "engine-node-has-memory"), "An exemption of ops expired on 2020-01-31.")
	assert.Contains(t, policies(found, "advisory"), "exemptions-are-current")

	setPolicy(t, w, map[string]any{"levels": map[string]any{"engine-node-has-memory": "advisory"}})
	found, err = w.preview(t)
	require.NoError(t, err)
	assert.Contains(t, policies(found, "advisory"), "engine-node-has-memory")

	setPolicy(t, w, map[string]any{"settings": map[string]any{"engine-node-has-memory": map[string]any{"agreedSixteenGb": "ticket 4711"}}})
	found, err = w.preview(t)
	require.NoError(t, err)
	assert.Empty(t, text(found, "engine-node-has-memory"))

	setPolicy(t, w, map[string]any{"levels": map[string]any{"engine-node-has-memroy": "advisory"}})
	found, err = w.preview(t)
	require.Error(t, err)
	assert.Contains(t, text(found, "policy-configuration-is-valid"), "did you mean engine-node-has-memory?")
}

func TestEngineAppliesThePackConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, foreign(pulumi.String("g2-standard-4")))
	for content, want := range map[string]string{
		`{"engine-node-has-memory": "advisory"}`:                                                          "advisory",
		`{"engine-node-has-memory": {"enforcementLevel": "disabled"}}`:                                    "",
		`{"engine-node-has-memory": {"enforcementLevel": "mandatory", "agreedSixteenGb": "ticket 4711"}}`: "",
		`{"engine-node-has-cores": {"enforcementLevel": "mandatory", "minCores": 4}}`:                     "mandatory",
	} {
		file := filepath.Join(t.TempDir(), "config.json")
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		found, err := w.preview(t, optpreview.PolicyPackConfigs(file))
		level := ""
		for _, e := range found {
			if e.PolicyName == "engine-node-has-memory" {
				level = e.EnforcementLevel
			}
		}
		assert.Equal(t, want, level, content)
		assert.Equal(t, want == "mandatory", err != nil, content)
	}
}
