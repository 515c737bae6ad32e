// Package recovering kills updates in the middle, as a crashed machine does, and
// wants the same deployment in the end as if nothing had happened.
package recovering

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// childVariable makes of this test program one that runs an update and nothing
// else: something that can be killed.
const childVariable = "DEEPGRAM_TEST_UP_OF"

func TestMain(m *testing.M) {
	if stack := os.Getenv(childVariable); stack != "" {
		os.Exit(child(stack))
	}
	os.Exit(m.Run())
}

// child is a process of its own that deploys the project in its folder.
func child(stack string) int {
	ctx := context.Background()
	d, err := stacks.New(ctx, stacks.Options{Stack: stack, Dir: "."})
	if err == nil {
		_, err = d.Up(ctx, stacks.UpOptions{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func soak() bool { return os.Getenv("SOAK") != "" }

// world is a stack with its pretended cloud, kept in a file.
type world struct {
	*rehearsal.Session
	stack string
	env   map[string]string
}

func newWorld(t *testing.T, stack string, more ...standin.Option) *world {
	t.Helper()
	if runtime.GOOS != "linux" {
		enginetest.Missing(t, "Linux, to find what a process has started")
	}
	tree, err := config.LoadTree(filepath.Join(enginetest.Root(), "Pulumi."+stack+".yaml"))
	require.NoError(t, err)
	cfg, err := rehearsal.FilledConfig(stack, tree, enginetest.Root())
	require.NoError(t, err)
	cloud, err := rehearsal.NewCloud(cfg, append(more, standin.File(filepath.Join(t.TempDir(), "cloud.json")))...)
	require.NoError(t, err)
	s, err := rehearsal.Open(t.Context(), rehearsal.Options{
		Program: stacks.Run, Stack: stack, Tree: tree, Dir: enginetest.Root(), Pulumi: enginetest.Pulumi(t), Cloud: cloud,
	})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return &world{Session: s, stack: stack, env: s.Environ()}
}

// up runs an update in a process of its own. Where faults strike that kill it, it
// ends as a process does that was killed, and up answers true.
func (w *world) up(t *testing.T, faults ...standin.Fault) bool {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Dir, cmd.Stdout, cmd.Stderr = w.Project(), &output, &output
	cmd.Env = append(os.Environ(), childVariable+"="+w.stack, "PULUMI="+enginetest.Pulumi(t))
	for name, value := range w.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.WaitDelay = time.Minute
	var once sync.Once
	var struck atomic.Bool
	started := make(chan struct{})
	for i := range faults {
		faults[i].Func = func() {
			once.Do(func() {
				<-started
				struck.Store(true)
				killAll(cmd.Process.Pid)
			})
		}
	}
	w.Cloud.Inject(faults...)
	defer w.Cloud.ClearFaults()
	require.NoError(t, cmd.Start())
	close(started)
	err := cmd.Wait()
	if !struck.Load() {
		require.NoError(t, err, "%s", &output)
		return false
	}
	// What was sent takes effect although nobody waits for the answer.
	for before := -1; before != len(w.Cloud.Objects()); time.Sleep(500 * time.Millisecond) {
		before = len(w.Cloud.Objects())
	}
	status, is := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, is && status.Signaled() && status.Signal() == syscall.SIGKILL, "%v\n%s", err, &output)
	return true
}

// killAll kills a process and everything that it started. All are stopped first, so
// that nobody has the time to say that a parent or a child is gone.
func killAll(pid int) {
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		_ = syscall.Kill(all[i], syscall.SIGSTOP)
		all = append(all, childrenOf(all[i])...)
	}
	for _, p := range all {
		_ = syscall.Kill(p, syscall.SIGKILL)
	}
}

func childrenOf(pid int) (found []int) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range threads {
		text, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				found = append(found, child)
			}
		}
	}
	return found
}

// deployer works on the stack from this process.
func (w *world) deployer(t *testing.T) *stacks.Deployer {
	t.Helper()
	d, err := stacks.New(t.Context(), stacks.Options{
		Stack: w.stack, Dir: w.Project(), Pulumi: enginetest.Pulumi(t), Env: w.env, Home: w.env["PULUMI_HOME"],
		Backend: w.env["PULUMI_BACKEND_URL"],
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// recover recovers, and checks what every recovery must be.
func (w *world) recover(t *testing.T) *stacks.Recovery {
	t.Helper()
	file := filepath.Join(t.TempDir(), "state.json")
	before := w.inventory()
	done, err := w.deployer(t).Recover(t.Context(), stacks.RecoverOptions{Export: file})
	require.NoError(t, err)
	require.Equal(t, file, done.Export)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	requireSame(t, before, w.inventory(), "recovering changes nothing in the cloud")
	return done
}

// certificateHash is in the names of made-up certificates, and differs from
// rehearsal to rehearsal.
var certificateHash = regexp.MustCompile(`(cert|certificate)-[0-9a-f]{8}`)

func stable(text string) string { return certificateHash.ReplaceAllString(text, "$1-hash") }

// inventory is what exists in the pretended cloud. A command leaves nothing of its
// own there, and one that ran without anybody hearing of it runs again.
func (w *world) inventory() (list []string) {
	for _, o := range w.Cloud.Objects() {
		if strings.HasPrefix(o.Type, "command:") {
			continue
		}
		list = append(list, stable(o.Type+" "+o.ID))
	}
	sort.Strings(list)
	return list
}

// requireSame compares two lists and shows only where they differ.
func requireSame(t *testing.T, want, got []string, what string) {
	t.Helper()
	require.Empty(t, without(want, got), "missing: %s", what)
	require.Empty(t, without(got, want), "too many: %s", what)
	require.Len(t, got, len(want), what)
}

func without(list, others []string) (rest []string) {
	for _, item := range list {
		if !slices.Contains(others, item) {
			rest = append(rest, item)
		}
	}
	return rest
}
