package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
)

// run runs a command in-process and gives its exit code and what it wrote.
func run(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Run(ctx, args, Streams{Out: &out, Err: &err})
	return code, out.String(), err.String()
}

// engineArgs are the flags that tests of the real engine need.
func engineArgs(t *testing.T, args ...string) []string {
	t.Helper()
	return append(args, "--pulumi", enginetest.Pulumi(t), "--policy-pack", enginetest.PolicyPack(t),
		"--config", filepath.Join(enginetest.Root(), "Pulumi.prod-omi.yaml"))
}

func TestRehearseFlags(t *testing.T) {
	t.Parallel()
	var got *RehearseOptions
	cmd := newRehearse(Streams{}, func(_ context.Context, o *RehearseOptions) error { got = o; return nil })
	cmd.SetArgs([]string{
		"--stack", "dev", "--set", "a.b=1", "--set", "gcp:zone=x", "--destroy", "--output", "json",
		"--values", "v.yaml", "--manifests", "m", "--config", "c.yaml",
	})
	require.NoError(t, cmd.ExecuteContext(t.Context()))
	require.Equal(t, &RehearseOptions{
		Stack: "dev", Sets: []string{"a.b=1", "gcp:zone=x"}, Destroy: true, Output: "json",
		Values: "v.yaml", Manifests: "m", Config: "c.yaml",
	}, got)

	cmd = newRehearse(Streams{}, func(_ context.Context, o *RehearseOptions) error { got = o; return nil })
	cmd.SetArgs(nil)
	require.NoError(t, cmd.ExecuteContext(t.Context()))
	require.Equal(t, &RehearseOptions{Stack: "prod-omi", Output: "text"}, got, "the defaults")
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	pack := filepath.Join(t.TempDir(), "pack")
	require.NoError(t, os.WriteFile(pack, nil, 0o600))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"rehaerse"}, `unknown command "rehaerse"`},
		{[]string{"rehearse", "--stak", "dev"}, "unknown flag: --stak; see `deepgram-stack rehearse --help`"},
		{[]string{"rehearse", "dev"}, `takes no arguments, only flags, and got "dev"`},
		{[]string{"rehearse", "--output", "xml"}, `--output "xml" is not known; allowed: text, json`},
		{[]string{"rehearse", "--stack", "nowhere"}, `for the environment "nowhere"`},
		{[]string{"rehearse", "--config", "/nowhere.yaml"}, "there is no file /nowhere.yaml"},
		{[]string{"rehearse", "--set", "pools"}, `--set "pools" has no =`},
		{[]string{"rehearse", "--set", "pools.engine.maxNodes=[", "--policy-pack", pack}, "--set pools.engine.maxNodes"},
		{[]string{"rehearse", "--policy-pack", "/nowhere"}, `the policy pack "/nowhere"`},
	} {
		code, stdout, stderr := run(t.Context(), c.args...)
		require.Equal(t, ExitUsage, code, "%v: %s", c.args, stderr)
		require.Contains(t, stderr, c.want)
		require.Empty(t, stdout, "errors go to stderr")
	}
}

func TestHelpShowsAnExample(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"rehearse", "--help"}, {"config", "schema", "--help"}} {
		code, stdout, _ := run(t.Context(), args...)
		require.Equal(t, ExitDone, code)
		require.Contains(t, stdout, "deepgram-stack")
	}
	_, stdout, _ := run(t.Context(), "rehearse", "--help")
	require.Contains(t, stdout, "Examples:")
}

func TestConfigSchemaIsJSON(t *testing.T) {
	t.Parallel()
	code, stdout, _ := run(t.Context(), "config", "schema")
	require.Equal(t, ExitDone, code)
	require.True(t, json.Valid([]byte(stdout)))
}

func TestBadConfigurationIsExitTwoAndNamesEveryKey(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := run(t.Context(), engineArgs(t, "rehearse", "--output", "json",
		"--set", "gcp:zone=us-east1-b", "--set", "scaling.engine.minReplicas=20", "--set", "grafana.hostt=x")...)
	require.Equal(t, ExitUsage, code)
	require.Empty(t, stdout)
	for _, key := range []string{"gcp:zone", "deepgram-stack:scaling.engine.minReplicas", "deepgram-stack:grafana.hostt"} {
		require.Contains(t, stderr, key)
	}
}

func TestRehearseWritesJSONValuesAndManifests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	values, manifests := filepath.Join(dir, "values.yaml"), filepath.Join(dir, "deep", "manifests")
	code, stdout, stderr := run(t.Context(), engineArgs(t, "rehearse", "--output", "json",
		"--values", values, "--manifests", manifests)...)
	require.Equal(t, ExitDone, code, stderr)
	var result struct {
		Stack     string
		Steps     []struct{ Name string }
		Resources []struct{ URN, Type, Name, Parent string }
		Outputs   map[string]any
		Policy    struct{ Violations []map[string]string }
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	require.Equal(t, "prod-omi", result.Stack)
	require.Len(t, result.Steps, 3)
	require.NotEmpty(t, result.Resources)
	require.NotNil(t, result.Policy.Violations)
	require.Contains(t, stdout, rehearsal.Note)
	require.Contains(t, stderr, "no cloud is touched")

	text, err := os.ReadFile(values)
	require.NoError(t, err)
	var parsed map[string]any
	require.NoError(t, yaml.Unmarshal(text, &parsed))
	require.Contains(t, parsed, "engine")
	files, err := os.ReadDir(manifests)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(manifests, file.Name()))
		require.NoError(t, err)
		var object map[string]any
		require.NoError(t, yaml.Unmarshal(text, &object), file.Name())
		require.NotEmpty(t, object["apiVersion"], file.Name())
		require.NotEmpty(t, object["kind"], file.Name())
		require.True(t, strings.HasPrefix(file.Name(), strings.ToLower(object["kind"].(string))+"-"), file.Name())
	}
}

func TestRehearseForPeople(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := run(t.Context(), engineArgs(t, "rehearse", "--destroy")...)
	require.Equal(t, ExitDone, code, stderr)
	for _, want := range []string{
		"GpuCluster", "prod-omi-deepgram-model-storage", "Helm Release", "outputs", "https://dg.omi.me",
		"second-up", "nothing to change", "kept on purpose", rehearsal.Note,
	} {
		require.Contains(t, stdout, want)
	}
	require.NotContains(t, stdout, "\x1b[", "no colours where nobody asked for them")
}

func TestPolicyViolationIsExitThreeWithTheJSON(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := run(t.Context(), engineArgs(t, "rehearse", "--output", "json",
		"--set", "pools.engine.machineType=g2-standard-4")...)
	require.Equal(t, ExitPolicy, code, stderr)
	var result rehearsal.Result
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	require.NotEmpty(t, result.Policy.Violations)
	require.Len(t, result.Steps, 1, "refused in the preview")
	require.Contains(t, stderr, "g2-standard-4")
}

func TestInterruptedLeavesNothingBehind(t *testing.T) {
	// TMPDIR is the process's: this test cannot run beside others.
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(2500*time.Millisecond, cancel)
	code, _, stderr := run(ctx, engineArgs(t, "rehearse")...)
	require.Equal(t, ExitInterrupted, code, stderr)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range left {
		require.NotContains(t, entry.Name(), "deepgram-stack", "a folder of the rehearsal was left")
	}
}
