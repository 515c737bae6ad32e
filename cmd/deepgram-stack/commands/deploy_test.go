package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/comment"
	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/smoke/smoketest"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

func TestDeployFlags(t *testing.T) {
	t.Parallel()
	var got *UpOptions
	cmd := newUp(Streams{}, func(_ context.Context, o *UpOptions) error { got = o; return nil })
	cmd.SetArgs([]string{
		"--stack", "prod", "--config", "c.yaml", "--set", "a=b", "--backend", "gs://b", "--secrets-provider", "gcpkms://k",
		"--acknowledge", "urn=why", "--refresh", "-y", "--smoke-test", "--message", "m", "--output", "json",
	})
	require.NoError(t, cmd.ExecuteContext(t.Context()))
	require.Equal(t, &UpOptions{
		Environment: Environment{
			Stack: "prod", Config: "c.yaml", Sets: []string{"a=b"}, Backend: "gs://b", SecretsProvider: "gcpkms://k",
		},
		Acknowledge: []string{"urn=why"}, Refresh: true, Yes: true, SmokeTest: true, Message: "m", Output: "json",
	}, got)

	var preview *PreviewOptions
	cmd = newPreview(Streams{}, func(_ context.Context, o *PreviewOptions) error { preview = o; return nil })
	cmd.SetArgs([]string{
		"--rehearse", "--comment", "--comment-mode", "hide-old", "--provider", "gitlab", "--pull-request", "7",
		"--repository", "a/b", "--report", "r.md", "--commit", "abc",
	})
	require.NoError(t, cmd.ExecuteContext(t.Context()))
	require.Equal(t, "prod-omi", preview.Stack)
	require.Equal(t, comment.Flags{Provider: comment.GitLab, Repository: "a/b", Number: 7}, preview.Request)
	require.True(t, preview.Rehearse && preview.Comment)
}

func TestDeployUsage(t *testing.T) { //nolint:paralleltest // it changes the working folder
	t.Chdir(t.TempDir())
	pack := filepath.Join(t.TempDir(), "pack")
	require.NoError(t, os.WriteFile(pack, nil, 0o600))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"up"}, "--stack is missing"},
		{[]string{"destroy"}, "--stack is missing"},
		{[]string{"up", "--stack", "dev"}, "no Pulumi.yaml"},
		{[]string{"up", "--stack", "dev", "--acknowledge", "urn:pulumi:x"}, "write it as URN=reason"},
		{[]string{"up", "--stack", "dev", "--output", "markdown"}, "allowed: text, json"},
		{[]string{"preview", "--comment-mode", "loud"}, "allowed: update, new, hide-old"},
		{[]string{"preview", "--prices", "/nowhere.yaml"}, "/nowhere.yaml"},
		{[]string{"preview", "--comment", "--repository", "a/b"}, "--pull-request"},
		{[]string{"preview", "--rehearse", "--stack", "nowhere", "--policy-pack", pack}, `for the environment "nowhere"`},
		{[]string{"drift", "prod"}, "takes no arguments"},
		{[]string{"values", "--output", "xml"}, "allowed: text, json"},
	} {
		code, stdout, stderr := run(t.Context(), c.args...)
		require.Equal(t, ExitUsage, code, "%v: %s", c.args, stderr)
		require.Contains(t, stderr, c.want, "%v", c.args)
		require.Empty(t, stdout)
	}
}

const canary = "canary-api-key-91d3a7"

// project is a folder as a person has it, with a stack's file whose secrets are
// there, one of them encrypted, and with a CLI that is logged in.
func project(t *testing.T) (cloud *standin.Cloud, cfg *config.Config) {
	t.Helper()
	tree, err := config.LoadTree(filepath.Join(enginetest.Root(), "Pulumi.dev.yaml"))
	require.NoError(t, err)
	cfg, err = rehearsal.FilledConfig("dev", tree, enginetest.Root())
	require.NoError(t, err)
	cloud, err = rehearsal.NewCloud(cfg)
	require.NoError(t, err)
	servers, err := cloud.Serve(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = servers.Close() })

	dir := t.TempDir()
	filled, err := cfg.Tree(nil)
	require.NoError(t, err)
	text, err := yaml.Marshal(map[string]any{"config": map[string]any(filled)})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.dev.yaml"), text, 0o600))
	settings := "name: speech\nruntime: go\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte(settings), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "below"), 0o700))
	t.Chdir(filepath.Join(dir, "below"))
	for name, value := range map[string]string{
		"PULUMI_BACKEND_URL": "file://" + t.TempDir(), "PULUMI_HOME": t.TempDir(), "PULUMI_CONFIG_PASSPHRASE": "a-passphrase",
		"PULUMI_DEBUG_PROVIDERS": servers.Attach(), "PULUMI": enginetest.Pulumi(t), "DEEPGRAM_POLICY_PACK": enginetest.PolicyPack(t),
		"PULUMI_SKIP_UPDATE_CHECK": "true",
	} {
		t.Setenv(name, value)
	}
	for _, args := range [][]string{
		{"stack", "init", "dev", "--secrets-provider", "passphrase"},
		{"config", "set", "--stack", "dev", "--secret", "--path", "deepgram-stack:release.apiKey", canary},
	} {
		out, err := exec.CommandContext(t.Context(), enginetest.Pulumi(t), append(args, "--non-interactive")...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	text, err = os.ReadFile(filepath.Join(dir, "Pulumi.dev.yaml"))
	require.NoError(t, err)
	require.NotContains(t, string(text), canary, "it is encrypted")
	return cloud, cfg
}

// TestAPersonInAProjectFolder runs the commands one after the other, as somebody
// would who is logged in.
func TestAPersonInAProjectFolder(t *testing.T) { //nolint:paralleltest // it changes the working folder
	cloud, cfg := project(t)
	hide := engine.Redactor(append(engine.Revealed(cfg), canary))
	deepgram := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := run(t.Context(), args...)
		require.Equal(t, want, code, "%v\n%s\n%s", args, stdout, stderr)
		require.Equal(t, stdout+stderr, hide(stdout+stderr), "a secret is shown")
		return stdout, stderr
	}
	file := filepath.Join(t.TempDir(), "report.md")
	stdout, _ := deepgram(ExitDone, "preview", "--stack", "dev", "--offline", "--report", file)
	require.Contains(t, stdout, "to create")
	markdown, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(markdown), "dev")
	require.Equal(t, string(markdown), hide(string(markdown)))

	stdout, stderr := deepgram(ExitDone, "up", "--stack", "dev")
	require.Contains(t, stdout, "https://dg.dev.example.com")
	require.Contains(t, stdout, "kubeconfig")
	require.Contains(t, stderr, "up …", "progress")
	stdout, _ = deepgram(ExitDone, "up", "--stack", "dev", "--output", "json", "--message", "again")
	var up outcome
	require.NoError(t, json.Unmarshal([]byte(stdout), &up))
	require.Len(t, up.Changes, 1)
	require.Positive(t, up.Changes["same"], "a second up changes nothing")
	require.Equal(t, "[secret]", up.Outputs["kubeconfig"])

	deepgram(ExitPolicy, "up", "--stack", "dev", "--set", "pools.engine.machineType=g2-standard-4")
	deepgram(ExitUsage, "up", "--stack", "dev", "--set", "pools.engine.maxNodez=4")
	stdout, _ = deepgram(ExitPolicy, "up", "--stack", "dev", "--set", "models.disk.type=pd-balanced", "--output", "json")
	var refused outcome
	require.NoError(t, json.Unmarshal([]byte(stdout), &refused))
	require.Len(t, refused.Refused, 1)
	acknowledge := refused.Refused[0].URN + "=it is empty"
	stdout, _ = deepgram(ExitDone, "preview", "--stack", "dev", "--offline", "--set", "models.disk.type=pd-balanced",
		"--acknowledge", acknowledge, "--output", "json")
	require.True(t, json.Valid([]byte(stdout)))

	deepgram(ExitDone, "drift", "--stack", "dev")
	for _, object := range cloud.Objects() {
		if object.Type == "gcp:container/nodePool:NodePool" {
			require.NoError(t, cloud.Mutate(object.ID, func(outputs resource.PropertyMap) {
				node := outputs["nodeConfig"].ObjectValue().Copy()
				node["machineType"] = resource.NewProperty("by-hand-1")
				outputs["nodeConfig"] = resource.NewProperty(node)
			}))
		}
	}
	stdout, _ = deepgram(ExitChanges, "drift", "--stack", "dev")
	require.Contains(t, stdout, "by-hand-1")
	require.Contains(t, stdout, "by hand are not seen", "the blind spot is named")

	stdout, stderr = deepgram(ExitPolicy, "destroy", "--stack", "dev", "--output", "json")
	require.Contains(t, stderr, "--acknowledge 'urn:pulumi:dev::speech::")
	require.NoError(t, json.Unmarshal([]byte(stdout), &refused))
	args := []string{"destroy", "--stack", "dev"}
	for _, r := range refused.Refused {
		args = append(args, "--acknowledge", r.URN+"=over")
	}
	_, stderr = deepgram(ExitUsage, args...)
	require.Contains(t, stderr, "--yes")
	deepgram(ExitDone, append(args, "--yes")...)
	for _, object := range cloud.Objects() {
		require.Empty(t, object.CreatedBy, object.ID)
	}
	_, stderr = deepgram(ExitFailed, "drift", "--stack", "staging", "--config", "../Pulumi.dev.yaml")
	require.Contains(t, stderr, "does not exist")
}

func TestPreviewRehearsedAndValues(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := run(t.Context(), engineArgs(t, "preview", "--rehearse", "--offline", "--output", "markdown")...)
	require.Equal(t, ExitDone, code, stderr)
	require.Contains(t, stdout, "ehears", "the report says that it is no preview of the real stack")

	code, stdout, stderr = run(t.Context(), "values", "--pulumi", enginetest.Pulumi(t), "--output", "json",
		"--config", filepath.Join(enginetest.Root(), "Pulumi.prod-omi.yaml"), "--set", "scaling.auto=false")
	require.Equal(t, ExitDone, code, stderr)
	var values struct {
		Scaling struct {
			Auto struct{ Enabled bool }
		}
		Engine map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &values))
	require.False(t, values.Scaling.Auto.Enabled)
	require.NotEmpty(t, values.Engine)
}

// TestAsking has a person at the terminal.
func TestAsking(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"yes\n": true, "Y\n": true, "no\n": false, "\n": false, "": false} {
		var out bytes.Buffer
		s := Streams{In: bytes.NewBufferString(answer), Err: &out}
		require.Equal(t, want, s.ask("deploy?"), "%q", answer)
		require.Contains(t, out.String(), "deploy?")
	}
}

func TestSmokeTestGetsWhatWasDeployed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, seen := filepath.Join(dir, "deepgram-ops"), filepath.Join(dir, "seen")
	script := "#!/bin/sh\n" +
		`echo "$@ $DEEPGRAM_API_URL $DEEPGRAM_NAMESPACE $(cat "$KUBECONFIG")" > ` + seen + "\necho tested\n[ \"$4\" != --fail ]\n"
	require.NoError(t, os.WriteFile(program, []byte(script), 0o700))
	outputs := stacks.Outputs{
		"apiUrl": "https://dg.example.com", "namespace": "deepgram", "kubeconfig": stacks.NewSecret("the-cluster"),
	}
	var progress bytes.Buffer
	require.NoError(t, smokeTest(t.Context(), program, []string{"--port-forward"}, outputs, &progress))
	require.Equal(t, "tested\n", progress.String())
	text, err := os.ReadFile(seen)
	require.NoError(t, err)
	require.Equal(t, "smoke-test --wait 15m --port-forward https://dg.example.com deepgram the-cluster\n", string(text))
	err = smokeTest(t.Context(), program, []string{"--fail"}, outputs, &progress)
	require.ErrorContains(t, err, "smoke test: ")
}

// TestSmokeTestWithTheRealProgram asks an API that works, and one that hears
// nothing.
func TestSmokeTestWithTheRealProgram(t *testing.T) {
	t.Parallel()
	program := enginetest.Ops(t)
	for name, row := range map[string]struct {
		api  *smoketest.API
		fail string
	}{
		"works": {api: &smoketest.API{}},
		"deaf":  {api: &smoketest.API{Deaf: true}, fail: "smoke test: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(row.api)
			defer server.Close()
			outputs := stacks.Outputs{"apiUrl": server.URL, "namespace": "deepgram"}
			var progress bytes.Buffer
			err := smokeTest(t.Context(), program, []string{"--wait", "0s"}, outputs, &progress)
			if row.fail == "" {
				require.NoError(t, err, "%s", &progress)
				return
			}
			require.ErrorContains(t, err, row.fail)
			require.NotEmpty(t, progress.String())
		})
	}
}

// TestAnInterruptedSmokeTestCleansUp: the program hears of it and has its time.
func TestAnInterruptedSmokeTestCleansUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, clean := filepath.Join(dir, "deepgram-ops"), filepath.Join(dir, "clean")
	script := "#!/bin/sh\ntrap 'sleep 0.2; touch " + clean + "; exit 130' INT\ntouch " + clean + ".begun\nwhile :; do sleep 0.05; done\n"
	require.NoError(t, os.WriteFile(program, []byte(script), 0o700))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if _, err := os.Stat(clean + ".begun"); err == nil {
				cancel()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	require.Error(t, smokeTest(ctx, program, nil, stacks.Outputs{}, &bytes.Buffer{}))
	require.FileExists(t, clean)
}
