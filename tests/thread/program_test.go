package thread

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
)

// languageHost does what Pulumi's Go language host does with a prebuilt program:
// it starts the file with the variables that tell it where the engine is.
type languageHost struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	binary string
}

func (h *languageHost) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "1.0.0"}, nil
}

func (h *languageHost) GetRequiredPlugins(
	context.Context, *pulumirpc.GetRequiredPluginsRequest,
) (*pulumirpc.GetRequiredPluginsResponse, error) {
	return &pulumirpc.GetRequiredPluginsResponse{}, nil
}

func (h *languageHost) Run(ctx context.Context, r *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	values, err := json.Marshal(r.GetConfig())
	if err != nil {
		return nil, err
	}
	secrets, err := json.Marshal(r.GetConfigSecretKeys())
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, h.binary)
	cmd.Dir = r.GetPwd()
	cmd.Env = append(os.Environ(),
		"PULUMI_PROJECT="+r.GetProject(), "PULUMI_STACK="+r.GetStack(), "PULUMI_ORGANIZATION="+r.GetOrganization(),
		"PULUMI_CONFIG="+string(values), "PULUMI_CONFIG_SECRET_KEYS="+string(secrets),
		"PULUMI_DRY_RUN="+strconv.FormatBool(r.GetDryRun()), "PULUMI_PARALLEL="+strconv.Itoa(int(r.GetParallel())),
		"PULUMI_MONITOR="+r.GetMonitorAddress(), "PULUMI_ENGINE="+r.GetArgs()[0],
		"PULUMI_ROOT_DIRECTORY="+r.GetPwd(),
	)
	if out, err := cmd.CombinedOutput(); err != nil {
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("%v: %s", err, out)}, nil
	}
	return &pulumirpc.RunResponse{}, nil
}

// pulumiCLI runs the CLI as a person would, with the program started as a process
// of its own.
func pulumiCLI(t *testing.T, s *rehearsal.Session, args ...string) (string, error) {
	t.Helper()
	return pulumiCLIWith(t, s, nil, args...)
}

// pulumiCLIWith does so with further variables.
func pulumiCLIWith(t *testing.T, s *rehearsal.Session, env []string, args ...string) (string, error) {
	t.Helper()
	binary := filepath.Join(enginetest.Root(), "bin", "deepgram-stack")
	if _, err := os.Stat(binary); err != nil {
		enginetest.Missing(t, "bin/deepgram-stack; run `make build`")
	}
	host, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{Init: func(server *grpc.Server) error {
		pulumirpc.RegisterLanguageRuntimeServer(server, &languageHost{binary: binary})
		return nil
	}})
	require.NoError(t, err)
	args = append(args, "--stack", s.Stack, "--non-interactive", "--color", "never",
		fmt.Sprintf("--client=127.0.0.1:%d", host.Port), "--exec-kind=auto.inline")
	cmd := exec.CommandContext(t.Context(), enginetest.Pulumi(t), args...)
	cmd.Dir = s.Project()
	cmd.Env = append(os.Environ(), env...)
	for k, v := range s.Environ() {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// TestPulumiUpRunsTheProgram deploys with the Pulumi CLI itself and the built
// program, as people do, and compares with the rehearsal's inline program.
func TestPulumiUpRunsTheProgram(t *testing.T) {
	t.Parallel()
	s, err := rehearsal.Open(t.Context(), options(t, "prod-omi"))
	require.NoError(t, err)
	defer s.Close()

	out, err := pulumiCLI(t, s, "preview")
	require.NoError(t, err, out)
	require.Contains(t, out, "deepgram:index:GpuCluster")

	out, err = pulumiCLI(t, s, "up", "--yes", "--skip-preview")
	require.NoError(t, err, out)
	require.Contains(t, out, "https://dg.omi.me")

	again, err := s.Up(t.Context(), "inline")
	require.NoError(t, err)
	for _, r := range again.Resources() {
		// The copy of the images names deepgram-ops by its path, which is beside the
		// program where there is one.
		if r.Type != "command:local:Command" {
			require.Equal(t, "same", r.Op, "the program is the same, however it is started: %s", r.URN)
		}
	}
}

// TestPulumiUpRefusesUnknownKeys misspells a key where only the program itself can
// see it.
func TestPulumiUpRefusesUnknownKeys(t *testing.T) {
	t.Parallel()
	s, err := rehearsal.Open(t.Context(), options(t, "prod-omi"))
	require.NoError(t, err)
	defer s.Close()
	file := filepath.Join(s.Project(), "Pulumi."+s.Stack+".yaml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	misspelt := bytes.Replace(text, []byte("config:\n"), []byte("config:\n  deepgram-stack:skaling: {auto: false}\n"), 1)
	require.NotEqual(t, text, misspelt)
	text = misspelt
	require.NoError(t, os.WriteFile(file, text, 0o600))

	out, err := pulumiCLI(t, s, "up", "--yes", "--skip-preview")
	require.Error(t, err)
	require.Contains(t, out, "deepgram-stack:skaling")
	require.Contains(t, out, "scaling")
	for _, call := range s.Cloud.Calls() {
		require.Zero(t, call.N, "nothing was created")
	}
}

// TestACopyOfProductionWorks copies the file of production to another stack and
// changes what the comments in it say.
func TestACopyOfProductionWorks(t *testing.T) {
	t.Parallel()
	o := options(t, "prod-omi", "gcp:project", "acme-speech", "release.tag", "release-260812",
		"ingress.host", "dg.acme.example", "grafana.host", "dg-monitor.acme.example")
	o.Stack = "acme"
	result := rehearse(t, o)
	require.Equal(t, "projects/acme-speech/zones/us-central1-a/disks/acme-deepgram-model-storage", result.Outputs["modelVolume"])
	require.Equal(t, "https://dg.acme.example", result.Outputs["apiUrl"])
	for _, r := range result.Resources {
		require.NotContains(t, r.URN, "omi")
		require.NotContains(t, fmt.Sprint(r.Inputs["name"]), "omi")
	}
}
