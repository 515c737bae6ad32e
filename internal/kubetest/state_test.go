package kubetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStateNeedsAShortName(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 60))
	require.NoError(t, os.Mkdir(long, 0o755))
	t.Setenv("TMPDIR", long)
	_, err := newState()
	require.ErrorContains(t, err, "bytes shorter")
	entries, err := os.ReadDir(long)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestStateIsLockedUntilRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	alive, err := newState()
	require.NoError(t, err)
	dead, err := newState()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dead.dir, "file"), nil, 0o600))
	require.NoError(t, dead.lock.Close(), "as the end of its process does")

	next, err := newState()
	require.NoError(t, err)
	assert.DirExists(t, alive.dir)
	assert.NoDirExists(t, dead.dir)

	require.NoError(t, alive.remove())
	require.NoError(t, next.remove())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}
