package policy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// started is the compiled pack, started as the engine starts it.
func started(t testing.TB) pulumirpc.AnalyzerClient {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, pack)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	port, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	conn, err := grpc.NewClient("127.0.0.1:"+strings.TrimSpace(port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = conn.Close()
		cancel()
		_ = cmd.Wait()
	})
	return pulumirpc.NewAnalyzerClient(conn)
}

func properties(t testing.TB, v map[string]any) *structpb.Struct {
	t.Helper()
	s, err := plugin.MarshalProperties(resource.NewPropertyMapFromMap(v), plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, KeepResources: true, KeepOutputValues: true})
	require.NoError(t, err)
	return s
}

func poolOf(machine any) map[string]any {
	return map[string]any{
		"location": "us-central1-a", "nodeCount": 2,
		"nodeConfig": map[string]any{
			"machineType": machine, "serviceAccount": "nodes@p.iam.gserviceaccount.com",
			"labels": map[string]any{"k8s.deepgram.com/node-type": "engine"},
		},
	}
}

const poolURN = "urn:pulumi:test::foreign::gcp:container/nodePool:NodePool::speech"

func analyze(t testing.TB, client pulumirpc.AnalyzerClient, in map[string]any) []*pulumirpc.AnalyzeDiagnostic {
	t.Helper()
	answer, err := client.Analyze(t.Context(), &pulumirpc.AnalyzeRequest{
		Type: "gcp:container/nodePool:NodePool", Name: "speech", Urn: poolURN, Properties: properties(t, in),
	})
	require.NoError(t, err)
	return answer.GetDiagnostics()
}

func TestPackAnswersBeforeAStackIsConfigured(t *testing.T) {
	t.Parallel()
	client := started(t)
	info, err := client.GetAnalyzerInfo(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	assert.Equal(t, "deepgram", info.GetName())
	assert.Greater(t, len(info.GetPolicies()), 60)
	for _, p := range info.GetPolicies() {
		assert.Contains(t, []pulumirpc.EnforcementLevel{pulumirpc.EnforcementLevel_ADVISORY, pulumirpc.EnforcementLevel_MANDATORY}, p.GetEnforcementLevel(), p.GetName())
	}
	plugin, err := client.GetPluginInfo(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	assert.Equal(t, info.GetVersion(), plugin.GetVersion())
	found := analyze(t, client, poolOf("g2-standard-4"))
	require.Len(t, found, 1)
	assert.Equal(t, "engine-node-has-memory", found[0].GetPolicyName())
	assert.Equal(t, pulumirpc.EnforcementLevel_MANDATORY, found[0].GetEnforcementLevel())
	assert.Equal(t, poolURN, found[0].GetUrn())
}

func TestPackOverTheProtocol(t *testing.T) {
	t.Parallel()
	client := started(t)
	_, err := client.ConfigureStack(t.Context(), &pulumirpc.AnalyzerStackConfigureRequest{
		Stack: "test", Project: "foreign", DryRun: true,
		Config: map[string]string{"deepgram-stack:policy": `{"levels": {"engine-node-has-memory": "advisory"}}`},
	})
	require.NoError(t, err)
	found := analyze(t, client, poolOf("g2-standard-4"))
	require.Len(t, found, 1)
	assert.Equal(t, pulumirpc.EnforcementLevel_ADVISORY, found[0].GetEnforcementLevel())

	found = analyze(t, client, poolOf(resource.MakeComputed(resource.NewProperty(""))))
	require.NotEmpty(t, found)
	for _, d := range found {
		assert.Equal(t, "values-are-known", d.GetPolicyName())
		assert.Equal(t, pulumirpc.EnforcementLevel_ADVISORY, d.GetEnforcementLevel())
	}

	_, err = client.ConfigureStack(t.Context(), &pulumirpc.AnalyzerStackConfigureRequest{Stack: "test", Project: "foreign"})
	require.NoError(t, err)
	found = analyze(t, client, poolOf(resource.MakeComputed(resource.NewProperty(""))))
	blocked := false
	for _, d := range found {
		blocked = blocked || d.GetPolicyName() == "engine-node-has-memory" && d.GetEnforcementLevel() == pulumirpc.EnforcementLevel_MANDATORY
	}
	assert.True(t, blocked, "an update refuses what it cannot judge")

	for _, wild := range []any{nil, 3, true, []any{1}, map[string]any{"a": 1}, strings.Repeat("x", 1<<20), resource.MakeSecret(resource.NewProperty("g2-standard-4"))} {
		found = analyze(t, client, poolOf(wild))
		for _, d := range found {
			assert.NotContains(t, d.GetMessage(), "could not judge")
		}
	}
}

func TestSettingsReachPoliciesOverTheStack(t *testing.T) {
	t.Parallel()
	client := started(t)
	_, err := client.ConfigureStack(t.Context(), &pulumirpc.AnalyzerStackConfigureRequest{Stack: "test", Project: "foreign"})
	require.NoError(t, err)
	judge := func() (policies []string) {
		answer, err := client.AnalyzeStack(t.Context(), &pulumirpc.AnalyzeStackRequest{Resources: []*pulumirpc.AnalyzerResource{
			{Type: "kubernetes:core/v1:Service", Name: "api", Urn: "urn:pulumi:t::p::kubernetes:core/v1:Service::api", Properties: properties(t, map[string]any{
				"metadata": map[string]any{"annotations": map[string]any{"cloud.google.com/neg": "{}", "cloud.google.com/backend-config": `{"default": "b"}`}},
				"spec":     map[string]any{"selector": map[string]any{"app": "deepgram-api"}},
			})},
			{Type: "kubernetes:cloud.google.com/v1:BackendConfig", Name: "b", Urn: "urn:pulumi:t::p::kubernetes:cloud.google.com/v1:BackendConfig::b", Properties: properties(t, map[string]any{
				"metadata": map[string]any{"name": "b"}, "spec": map[string]any{"timeoutSec": 600},
			})},
		}})
		require.NoError(t, err)
		for _, d := range answer.GetDiagnostics() {
			policies = append(policies, d.GetPolicyName())
		}
		return policies
	}
	assert.Empty(t, judge())
	settings, err := structpb.NewStruct(map[string]any{"moreThanSeconds": 3600})
	require.NoError(t, err)
	_, err = client.Configure(t.Context(), &pulumirpc.ConfigureAnalyzerRequest{PolicyConfig: map[string]*pulumirpc.PolicyConfig{
		"stream-timeout-is-long": {EnforcementLevel: pulumirpc.EnforcementLevel_MANDATORY, Properties: settings},
	}})
	require.NoError(t, err)
	assert.Equal(t, []string{"stream-timeout-is-long"}, judge())
}

// TestAnalyzeAStateFile runs `pulumi policy analyze`, which needs no backend, no
// cloud and no program.
func TestAnalyzeAStateFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, foreign(pulumi.String("g2-standard-4")))
	setPolicy(t, w, map[string]any{"levels": map[string]any{"all": "advisory"}})
	_, err := w.up(t)
	require.NoError(t, err)
	exported, err := w.stack.Export(t.Context())
	require.NoError(t, err)
	text, err := json.Marshal(exported)
	require.NoError(t, err)
	state := filepath.Join(t.TempDir(), "state.json")
	require.NoError(t, os.WriteFile(state, text, 0o600))
	binary, err := filepath.Abs("../../bin/pulumi")
	require.NoError(t, err)
	if p := os.Getenv("PULUMI"); p != "" {
		binary = p
	}
	cmd := exec.CommandContext(t.Context(), binary, "policy", "analyze", "--file", state, "--policy-pack", pack)
	cmd.Env = append(os.Environ(), "PULUMI_HOME="+t.TempDir(), "PULUMI_SKIP_UPDATE_CHECK=true")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	assert.NotZero(t, exit.ExitCode())
	assert.Contains(t, string(out), "g2-standard-4 has 16 GB; needed: 32 GB")
}

// TestPackOnPath is the way for an engine that has the folder and the compiled
// pack, but neither Go nor Pulumi's Go language host. The third way, the folder
// alone, is TestPackFolder.
func TestPackOnPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Symlink(pack, filepath.Join(dir, "pulumi-analyzer-policy-go")))
	if _, err := exec.LookPath("pulumi-language-go"); err == nil {
		t.Skip("with pulumi-language-go on PATH the engine builds the folder")
	}
	w := newWorld(t, foreign(pulumi.String("g2-standard-4")), "PATH", dir+string(os.PathListSeparator)+"/usr/bin:/bin")
	folder, err := filepath.Abs("../../policy")
	require.NoError(t, err)
	found, err := w.previewWith(t, folder)
	require.Error(t, err)
	assert.Equal(t, []string{"engine-node-has-memory"}, policies(found, "mandatory"))
}

func TestPackLinksNoCloudSDK(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "../../policy").Output()
	require.NoError(t, err)
	for _, line := range strings.Fields(string(out)) {
		for _, heavy := range []string{"pulumi-gcp", "pulumi-kubernetes", "pulumi-command", "k8s.io/", "helm.sh/", "cloud.google.com/", "google.golang.org/api", "deepgram-gke/components"} {
			assert.NotContains(t, line, heavy)
		}
	}
}
