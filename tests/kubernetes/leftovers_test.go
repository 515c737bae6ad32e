package kubernetes

import (
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

// TestNothingStays starts a cluster in a process of its own, which ends or is
// killed.
func TestNothingStays(t *testing.T) {
	t.Parallel()
	if end := os.Getenv(childVariable); end != "" {
		child(t, end)
		return
	}
	t.Run("ends", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		out, err := runChild(t, dir, "ends")
		require.NoError(t, err, out)
		assert.Empty(t, processesOf(t, dir))
		assertEmpty(t, dir)
	})
	t.Run("is killed", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		out, err := runChild(t, dir, "is killed")
		require.ErrorContains(t, err, "killed", out)
		assert.Empty(t, processesOf(t, dir))

		out, err = runChild(t, dir, "ends")
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
	if end == "is killed" {
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
	for _, end := range []string{"ends", "is killed"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			before := mounts(t)
			run := func(end string) (string, error) {
				command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingStaysOfARealNode$", "-test.v")
				command.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
					return strings.HasPrefix(v, "KUBETEST_STAGE=") // it is a run like any other
				}), childVariable+"="+end, "TMPDIR="+dir)
				out, err := command.CombinedOutput()
				return string(out), err
			}
			out, err := run(end)
			names := strings.Fields(textBetween(out, "states: ", "\n"))
			require.NotEmpty(t, names, out)
			if end == "ends" {
				require.NoError(t, err, out)
			} else {
				require.Error(t, err)
				require.Contains(t, out, "ended by killed")
			}
			assertEmpty(t, dir)
			assert.Empty(t, processesOf(t, dir), out)
			assert.Equal(t, before, mounts(t))
			for _, name := range names {
				assert.Empty(t, groups(t, name))
			}
		})
	}
}

// nodeChild runs a pod, says where its files are, and ends with the pod running.
func nodeChild(t *testing.T, end string) {
	t.Helper()
	n, namespace := node(t)
	require.NoError(t, n.Apply(t.Context(), billing(namespace, "standard-rwo", "ReadWriteOnce", 1)))
	n.PodReady(t, namespace, "deepgram-billing-0")
	states, err := filepath.Glob(filepath.Join(os.TempDir(), "kubetest-*"))
	require.NoError(t, err)
	require.Len(t, states, 2, "that of the namespaces, and that of the cluster")
	names := make([]string, 0, len(states))
	for _, state := range states {
		names = append(names, filepath.Base(state))
	}
	fmt.Printf("states: %s\n", strings.Join(names, " "))
	if end == "is killed" {
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	}
}

func textBetween(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
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
