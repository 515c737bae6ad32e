package policy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// goHost does what Pulumi's Go language host does with a policy pack: it compiles
// the folder that the engine names and runs what comes out.
type goHost struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	mu    sync.Mutex
	built []string // what was compiled, once for each time the engine starts the pack
}

func (h *goHost) Handshake(
	context.Context, *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *goHost) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "1.0.0"}, nil
}

func (h *goHost) RunPlugin(r *pulumirpc.RunPluginRequest, s grpc.ServerStreamingServer[pulumirpc.RunPluginResponse]) error {
	folder := filepath.Join(r.GetInfo().GetProgramDirectory(), r.GetInfo().GetEntryPoint())
	dir, err := os.MkdirTemp("", "deepgram-policy-folder")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "pack")
	build := exec.CommandContext(s.Context(), "go", "build", "-o", binary, ".")
	build.Dir = folder
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	h.mu.Lock()
	h.built = append(h.built, filepath.Clean(folder))
	h.mu.Unlock()

	run := exec.CommandContext(s.Context(), binary, r.GetArgs()...)
	run.Dir, run.Env, run.Stderr = r.GetPwd(), r.GetEnv(), os.Stderr
	out, err := run.StdoutPipe()
	if err != nil {
		return err
	}
	if err := run.Start(); err != nil {
		return err
	}
	buffer := make([]byte, 1024)
	for {
		n, err := out.Read(buffer)
		if n > 0 {
			sent := &pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Stdout{Stdout: buffer[:n]}}
			if err := s.Send(sent); err != nil {
				return errors.Join(err, run.Wait())
			}
		}
		if errors.Is(err, io.EOF) {
			return run.Wait()
		}
		if err != nil {
			return errors.Join(err, run.Wait())
		}
	}
}

// TestPackFolder gives the engine the folder alone, as it stands in the
// repository: the engine reads PulumiPolicy.yaml and has a language host build it.
func TestPackFolder(t *testing.T) {
	t.Parallel()
	host := &goHost{}
	server, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{Init: func(s *grpc.Server) error {
		pulumirpc.RegisterLanguageRuntimeServer(s, host)
		return nil
	}})
	require.NoError(t, err)

	// The engine looks for the host on PATH before it attaches to this one.
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pulumi-language-go"), []byte("#!/bin/sh\nexit 1\n"), 0o700))
	path := strings.Join([]string{dir, os.Getenv("PATH")}, string(os.PathListSeparator))
	w := newWorld(t, foreign(pulumi.String("g2-standard-4")), "PATH", path, "PULUMI_DEBUG_LANGUAGES", fmt.Sprintf("go:%d", server.Port))

	folder, err := filepath.Abs("../../policy")
	require.NoError(t, err)
	found, err := w.previewWith(t, folder)
	require.Error(t, err)
	assert.Equal(t, []string{"engine-node-has-memory"}, policies(found, "mandatory"), "%v", err)
	host.mu.Lock()
	defer host.mu.Unlock()
	assert.Contains(t, host.built, folder)
}
