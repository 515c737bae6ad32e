package kubetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestVersionOne(t *testing.T) {
	t.Parallel()
	own := map[string]string{"cpu": "/a", "cpuacct": "/a", "name=systemd": "/b", "": "/c"}
	assert.Equal(t, []hierarchy{{dir: "/g/cpu", kind: "cgroup", options: "cpu,cpuacct", own: "/a"}},
		versionOne("/g/cpu", "rw,relatime,cpu,cpuacct", own))
	assert.Equal(t, []hierarchy{{dir: "/g/systemd", kind: "cgroup", options: "none,name=systemd", own: "/b"}},
		versionOne("/g/systemd", "rw,xattr,name=systemd", own))
	assert.Empty(t, versionOne("/g/rdma", "rw,rdma", own), "this process is not in it")
}

func TestGroupIsBelowOurOwn(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "/g/memory/a/b/run", hierarchy{dir: "/g/memory", kind: "cgroup", own: "/a/b"}.group("run"))
	assert.Equal(t, "/g/run", hierarchy{dir: "/g", kind: unified, own: "/a/b"}.group("run"))
}

// TestVersionTwo takes a group of the machine's tree of version 2 for the top of
// one. It moves this process, which changes nothing for it.
func TestVersionTwo(t *testing.T) {
	top := secondTree(t)
	own, err := ownGroups()
	require.NoError(t, err)
	home := filepath.Join(top, own[""])
	base, err := os.MkdirTemp(top, "kubetest-unit-") //nolint:usetesting // a group is no folder of files
	if err != nil {
		t.Skipf("needs the right to make a control group: %v", err)
	}
	t.Cleanup(func() {
		require.NoError(t, join(home))
		require.NoError(t, removeGroup(base))
		require.NoDirExists(t, base)
	})

	h := hierarchy{dir: base, kind: unified}
	require.NoError(t, h.enter("run"))
	assertIn(t, filepath.Join(filepath.Base(base), "run"))

	inside := hierarchy{dir: h.group("run"), kind: unified}
	require.NoError(t, inside.settle())
	assertIn(t, filepath.Join(filepath.Base(base), "run", "init"))
}

func secondTree(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); fields[2] == unified {
			return fields[1]
		}
	}
	t.Skip("needs control groups of version 2")
	return ""
}

func assertIn(t *testing.T, group string) {
	t.Helper()
	own, err := ownGroups()
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(own[""], "/"+group), "%s is not in %s", own[""], group)
}
