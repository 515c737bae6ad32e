package journal

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNewFileHoldsWhatWasWritten: in pieces of every kind, on a disk and in memory.
func TestNewFileHoldsWhatWasWritten(t *testing.T) {
	t.Parallel()
	for name, pieces := range map[string][]int{
		"large":             {chunkSize, chunkSize, chunkSize},
		"a small end":       {chunkSize, 2 * chunkSize, 17},
		"small first":       {5, chunkSize, chunkSize},
		"mixed":             {chunkSize, 4096, chunkSize, 1, chunkSize - 1, chunkSize, 4095, chunkSize},
		"nothing":           {},
		"more than is kept": {writeBehind, writeBehind - 1, 1, writeBehind, 7},
	} {
		for _, dir := range []string{"", "/dev/shm"} {
			t.Run(name+" "+dir, func(t *testing.T) {
				t.Parallel()
				if dir != "" {
					if _, err := os.Stat(dir); err != nil {
						t.Skip(dir + " is not there")
					}
				}
				tmp, err := os.MkdirTemp(dir, "journal") //nolint:usetesting // one of them in memory
				require.NoError(t, err)
				t.Cleanup(func() { _ = os.RemoveAll(tmp) })
				path := filepath.Join(tmp, "file")
				f, err := createNew(path)
				require.NoError(t, err)
				defer f.discard()
				var want bytes.Buffer
				random := rand.NewChaCha8([32]byte{})
				for _, n := range pieces {
					p := make([]byte, n)
					_, _ = random.Read(p)
					_, _ = want.Write(p)
					got, err := f.Write(p)
					require.NoError(t, err)
					require.Equal(t, n, got)
				}
				require.NoError(t, f.commit(0o640))
				got, err := os.ReadFile(path)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want.Bytes(), got))
			})
		}
	}
}

// TestNewFileOfAClosedFile: an error is an error, and nothing appears.
func TestNewFileOfAClosedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	f, err := createNew(path)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = f.Write(make([]byte, chunkSize))
	require.ErrorIs(t, err, os.ErrClosed)
	require.Error(t, f.commit(0o640))
	_, err = os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}
