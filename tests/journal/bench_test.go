package journal

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/deepgram-gke/deepgram-gke/internal/journal"
)

// benchSize is the journal of BenchmarkRetrieve, 1 GB.
const benchSize = 1 << 30

// BenchmarkRetrieve copies a journal of 1 GB out of a billing pod's volume: with
// `journal retrieve`, which starts a helper pod, hashes and checks, and with
// `kubectl cp` from billing's own pod, which does neither. Each round takes all ways
// in turn, so that they meet the same noise; -benchtime 5x makes five rounds, whose
// medians are reported in seconds.
func BenchmarkRetrieve(b *testing.B) {
	s := newSiteWith(b, "standard-rwo", "ReadWriteOnce", 1, "{name: FIRST, value: '100'}, {name: LIMIT, value: '100'}, {name: SIZE, value: '1000'}")
	const pod = set + "-0"
	grow(b, s.source(b.Context(), pod))
	want, err := os.Stat(s.source(b.Context(), pod))
	require.NoError(b, err)

	retrieve := func(dir string, more ...string) string {
		var r journal.Retrieval
		s.must(b, &r, append([]string{"retrieve", "--to", dir}, more...)...)
		require.Len(b, r.Journals, 1)
		return r.Journals[0].File
	}
	// What somebody has who retrieved the journal when it had nine tenths of its
	// lines.
	older := filepath.Join(b.TempDir(), pod+"-20260101T000000.000Z.journal")
	part(b, s.source(b.Context(), pod), older, want.Size()/10*9)
	ways := []struct {
		unit   string
		copyTo func(dir string) string
	}{
		{"cp-s", func(dir string) string {
			file := filepath.Join(dir, "journal")
			s.Kubectl(b, "-n", s.namespace, "cp", pod+":/journal/journal", file)
			return file
		}},
		{"retrieve-s", func(dir string) string { return retrieve(dir) }},
		{"packed-s", func(dir string) string { return retrieve(dir, "--compress") }},
		{"beside-older-s", func(dir string) string {
			require.NoError(b, os.Link(older, filepath.Join(dir, filepath.Base(older))))
			return retrieve(dir)
		}},
	}
	took := make([][]float64, len(ways))
	for b.Loop() {
		for i, way := range ways {
			dir := b.TempDir()
			unix.Sync()
			began := time.Now()
			file := way.copyTo(dir)
			took[i] = append(took[i], time.Since(began).Seconds())
			got, err := os.Stat(file)
			require.NoError(b, err)
			require.Equal(b, want.Size(), got.Size(), "it is complete")
			require.NoError(b, os.RemoveAll(dir)) // each is a gigabyte
			b.Logf("%s %.2f", way.unit, took[i][len(took[i])-1])
		}
	}
	median := func(all []float64) float64 {
		slices.Sort(all)
		return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	}
	for i, way := range ways {
		b.ReportMetric(median(took[i]), way.unit)
	}
	b.ReportMetric(median(took[0])/median(took[1]), "times-as-fast")
}

// part copies the beginning of a journal.
func part(b *testing.B, from, to string, size int64) {
	b.Helper()
	in, err := os.Open(from)
	require.NoError(b, err)
	defer in.Close()
	out, err := os.Create(to)
	require.NoError(b, err)
	defer out.Close()
	_, err = io.CopyN(out, in, size)
	require.NoError(b, err)
}

// grow appends lines to a journal until it has benchSize bytes. What they say is
// random, as what is encrypted or signed looks: it packs to three quarters.
func grow(b *testing.B, file string) {
	b.Helper()
	out, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(b, err)
	defer out.Close()
	info, err := out.Stat()
	require.NoError(b, err)
	w := bufio.NewWriterSize(out, 1<<20)
	random, said := rand.NewChaCha8([32]byte{}), make([]byte, 750)
	for size := info.Size(); size < benchSize; {
		_, _ = random.Read(said) // never fails
		written, err := fmt.Fprintf(w, "{\"d\":\"%s\",\"s\":\"%x\"}\n", base64.StdEncoding.EncodeToString(said), said[:32])
		require.NoError(b, err)
		size += int64(written)
	}
	require.NoError(b, w.Flush())
	require.NoError(b, out.Sync())
}
