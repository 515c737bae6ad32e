package kubernetes

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
)

// childVariable tells TestNothingStays that it is the run that another looks at,
// and how it is to end.
const childVariable = "KUBETEST_CHILD"

const (
	childEnds     = "ends"
	childIsKilled = "is killed"
	// What started it is killed, and can clear up nothing.
	childIsCutOff = "is cut off"
)

// TestNothingStays starts a cluster in a process of its own, which ends or is
// killed.
func TestNothingStays(t *testing.T) {
	t.Parallel()
	if end := os.Getenv(childVariable); end != "" {
		child(t, end)
		return
	}
	t.Run(childEnds, func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		out, err := runChild(t, dir, childEnds)
		require.NoError(t, err, out)
		assert.Empty(t, processesOf(t, dir))
		assertEmpty(t, dir)
	})
	t.Run(childIsKilled, func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		out, err := runChild(t, dir, childIsKilled)
		require.ErrorContains(t, err, "killed", out)
		assert.Empty(t, processesOf(t, dir))

		out, err = runChild(t, dir, childEnds)
		require.NoError(t, err, out)
		assertEmpty(t, dir) // the next run has removed what the killed one left
	})
}

func runChild(t *testing.T, dir, end string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingStays$", "-test.v")
	command.Env = append(os.Environ(), childVariable+"="+end, "TMPDIR="+dir)
	out, err := command.CombinedOutput()
	return string(out), err
}

func child(t *testing.T, end string) {
	t.Helper()
	c := kubetest.Start(t, kubetest.Options{Nodes: []kubetest.FakeNode{{Name: "node-0"}}})
	require.Len(t, processesOf(t, c.Dir()), 5, "otherwise nothing is proven")
	if end == childIsKilled {
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	}
}

func assertEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

// TestNothingStaysOfARealNode does the same with pods that run. The run makes
// namespaces of its own, in those that this test may be in itself.
func TestNothingStaysOfARealNode(t *testing.T) {
	t.Parallel()
	if end := os.Getenv(childVariable); end != "" {
		nodeChild(t, end)
		return
	}
	kubetest.RequireRealNode(t)
	for _, end := range []string{childEnds, childIsKilled, childIsCutOff} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			names, out := runNodeChild(t, dir, end)
			if end == childIsCutOff {
				left := append(groups(t, names[0]), groups(t, names[1])...)
				assert.NotEmpty(t, left, "nobody was there to remove them")
				next, _ := runNodeChild(t, dir, childEnds)
				require.NotContains(t, next, names[0], "the next run removes them")
			}
			assertEmpty(t, dir)
			assert.Empty(t, processesOf(t, dir), out)
			assert.NotContains(t, mounts(t), dir, "other tests mount, too")
			for _, name := range names {
				assert.Empty(t, groups(t, name))
			}
		})
	}
}

// runNodeChild runs nodeChild to its end. names are the folders that it used.
func runNodeChild(t *testing.T, dir, end string) (names []string, out string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingStaysOfARealNode$", "-test.v")
	command.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "KUBETEST_STAGE=") // it is a run like any other
	}), childVariable+"="+end, "TMPDIR="+dir)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	command.Stderr = command.Stdout
	require.NoError(t, command.Start())
	var text strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if states, found := strings.CutPrefix(lines.Text(), "states: "); found {
			names = strings.Fields(states)
			if end == childIsCutOff {
				require.NoError(t, command.Process.Kill())
			}
		}
	}
	err = command.Wait()
	require.Len(t, names, 2, text.String())
	switch end {
	case childEnds:
		require.NoError(t, err, text.String())
	case childIsKilled:
		require.Contains(t, text.String(), "ended by killed")
	case childIsCutOff:
		require.ErrorContains(t, err, "killed", text.String())
	}
	return names, text.String()
}

// nodeChild runs a pod, says where its files are, and ends with the pod running.
func nodeChild(t *testing.T, end string) {
	t.Helper()
	n, namespace := node(t)
	require.NoError(t, n.Apply(t.Context(), billing(namespace, "standard-rwo", "ReadWriteOnce", 1)))
	n.PodReady(t, namespace, "deepgram-billing-0")
	states, err := filepath.Glob(filepath.Join(filepath.Dir(n.Dir()), "kubetest-*"))
	require.NoError(t, err)
	require.Len(t, states, 2, "that of the namespaces, and that of the cluster")
	names := make([]string, 0, len(states))
	for _, state := range states {
		names = append(names, filepath.Base(state))
	}
	fmt.Fprintln(os.Stdout, "states: "+strings.Join(names, " "))
	switch end {
	case childIsKilled:
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	case childIsCutOff:
		select {} // until the one that started it is killed
	}
}

func mounts(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	return string(text)
}

// groups are the control groups of a name.
func groups(t *testing.T, name string) (found []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == name {
			found = append(found, path)
		}
		return nil // groups of others come and go
	}))
	return found
}

// processesOf are the processes that work in a folder; those that are about to
// end get a moment.
func processesOf(t *testing.T, dir string) (found []string) {
	t.Helper()
	for range 50 {
		found = nil
		entries, err := os.ReadDir("/proc")
		require.NoError(t, err)
		for _, entry := range entries {
			if _, err := strconv.Atoi(entry.Name()); err != nil {
				continue
			}
			cwd, err := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd"))
			if err == nil && strings.HasPrefix(cwd, dir) {
				found = append(found, entry.Name()+" in "+cwd)
			}
		}
		if len(found) == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return found
}

func clientFor(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	return client
}
