package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDirectIOThatIsRefused: what the disk does not take as it is goes the usual way,
// whole and once.
func TestDirectIOThatIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString("first")
	require.NoError(t, err)
	d := newDirectIO(f)
	p := bytes.Repeat([]byte("x"), chunkSize)
	n, there, err := d.write(f, p, 0) // it is at 5, which no disk takes
	require.NoError(t, err)
	require.Equal(t, len(p), n)
	require.False(t, there)
	require.True(t, d.not, "it is not tried again")
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, append([]byte("first"), p...), got)
}
