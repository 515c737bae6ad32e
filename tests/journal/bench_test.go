package journal

import (
	"bufio"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/journal"
	"github.com/deepgram-gke/deepgram-gke/internal/kubetest/journalfile"
)

// benchSize is the journal of BenchmarkRetrieve, 1 GB.
const benchSize = 1 << 30

// BenchmarkRetrieve copies a journal of 1 GB out of a billing pod's volume: with
// `journal retrieve`, which starts a helper pod, hashes and checks, and with
// `kubectl cp` from billing's own pod, which does neither. Interleaved, so that both
// meet the same noise; -count repeats.
func BenchmarkRetrieve(b *testing.B) {
	s := newSiteWith(b, "standard-rwo", "ReadWriteOnce", 1, "{name: FIRST, value: '100'}, {name: LIMIT, value: '100'}, {name: SIZE, value: '1000'}")
	const pod = set + "-0"
	grow(b, s.source(b.Context(), pod), pod)
	want, err := os.Stat(s.source(b.Context(), pod))
	require.NoError(b, err)

	for name, copyTo := range map[string]func(b *testing.B, dir string) string{
		"journal retrieve": func(b *testing.B, dir string) string {
			var r journal.Retrieval
			s.must(b, &r, "retrieve", "--to", dir)
			require.Len(b, r.Journals, 1)
			return r.Journals[0].File
		},
		"kubectl cp": func(b *testing.B, dir string) string {
			file := filepath.Join(dir, "journal")
			s.Kubectl(b, "-n", s.namespace, "cp", pod+":/journal/journal", file)
			return file
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(want.Size())
			for b.Loop() {
				dir, err := os.MkdirTemp(b.TempDir(), "")
				require.NoError(b, err)
				got, err := os.Stat(copyTo(b, dir))
				require.NoError(b, err)
				require.Equal(b, want.Size(), got.Size(), "it is complete")
				require.NoError(b, os.RemoveAll(dir))
			}
		})
	}
}

// grow appends lines to a journal until it has benchSize bytes.
func grow(b *testing.B, file, owner string) {
	b.Helper()
	out, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(b, err)
	defer out.Close()
	info, err := out.Stat()
	require.NoError(b, err)
	w := bufio.NewWriterSize(out, 1<<20)
	size := info.Size()
	for n := 101; size < benchSize; n++ {
		written, err := w.Write(journalfile.Line(owner, n, 1000))
		require.NoError(b, err)
		size += int64(written)
	}
	require.NoError(b, w.Flush())
	require.NoError(b, out.Sync())
}
