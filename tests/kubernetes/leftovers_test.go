package kubernetes

import (
	"os"
	"os/exec"
	"path/filepath"
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
