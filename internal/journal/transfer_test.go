package journal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest/journalfile"
)

func TestSnapshot(t *testing.T) {
	t.Parallel()
	whole := content(1, 3)
	half := content(4, 1)
	take := func(t *testing.T, wait time.Duration, parts ...[]byte) Snapshot {
		f, err := os.Open(write(t, filepath.Join(t.TempDir(), "journal"), parts...))
		require.NoError(t, err)
		defer f.Close()
		s, err := TakeSnapshot(t.Context(), f, wait)
		require.NoError(t, err)
		return s
	}
	assert.Equal(t, Snapshot{Size: int64(len(whole))}, take(t, time.Hour, whole))
	assert.Equal(t, Snapshot{}, take(t, time.Hour))
	// Nobody ends the line: nothing is cut off, and it is said.
	assert.Equal(t, Snapshot{Size: int64(len(whole) + 9), Tail: 9}, take(t, time.Nanosecond, whole, half[:9]))
	assert.Equal(t, Snapshot{Size: 9, Tail: 9}, take(t, time.Nanosecond, half[:9]))
	long := bytes.Repeat([]byte("x"), 200<<10)
	assert.Equal(t, Snapshot{Size: int64(len(whole) + len(long)), Tail: int64(len(long))}, take(t, time.Nanosecond, whole, long))

	// The writer ends its line while the snapshot waits, and writes on.
	path := write(t, filepath.Join(t.TempDir(), "journal"), whole, half[:9])
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	go func() {
		time.Sleep(50 * time.Millisecond)
		g, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		_, _ = g.Write(append(bytes.Clone(half[9:]), content(5, 7)...))
		_ = g.Close()
	}()
	s, err := TakeSnapshot(t.Context(), f, time.Minute)
	require.NoError(t, err)
	assert.Equal(t, Snapshot{Size: int64(len(whole) + len(half))}, s)
}

// fromFile is a source without cluster: Cat in this process. cut is asked after
// how many bytes the connection is lost; negative never.
func fromFile(path string, cut func() int) Open {
	return func(ctx context.Context, offset, size int64, compress bool, w io.Writer) error {
		to := w
		if n := cut(); n >= 0 {
			to = &cutter{w: w, left: n}
		}
		err := Cat(ctx, to, CatOptions{Path: path, Offset: offset, Size: size, Wait: time.Second, Compress: compress})
		var lost *lostError
		if err != nil && !errors.As(err, &lost) && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, errDone) {
			return fatal{err}
		}
		return err
	}
}

type lostError struct{}

func (*lostError) Error() string { return "connection lost" }

type cutter struct {
	w    io.Writer
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) <= c.left {
		c.left -= len(p)
		return c.w.Write(p)
	}
	n, _ := c.w.Write(p[:c.left])
	c.left = 0
	return n, &lostError{}
}

func never() int { return -1 }

func TestFetch(t *testing.T) {
	t.Parallel()
	want := content(1, 50000)
	path := write(t, filepath.Join(t.TempDir(), "journal"), want)
	for name, compress := range map[string]bool{"plain": false, "compressed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(soak(20, 500)) {
				r := rand.New(rand.NewPCG(seed, 1))
				tries := 0
				cut := func() int {
					if tries++; r.IntN(8) == 0 {
						return -1
					}
					return r.IntN(len(want) / 2)
				}
				var got bytes.Buffer
				f, err := Fetch(t.Context(), fromFile(path, cut), &got, FetchOptions{Tries: 200, FirstWait: time.Nanosecond, Compress: compress})
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got.Bytes()), "seed %d", seed)
				assert.Equal(t, int64(50000), f.Lines)
				assert.Equal(t, tries-1, f.Cuts)
			}
		})
	}
}

// TestFetchUnderAWriter copies a journal again and again while lines are
// appended in pieces, with cuts: every copy is whole, ends with a line and is a
// prefix of the next.
func TestFetchUnderAWriter(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "journal"))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return
		}
		defer f.Close()
		for n := 1; ctx.Err() == nil; n++ {
			line := journalfile.Line(pod0, n, 80)
			k := rand.IntN(len(line))
			_, _ = f.Write(line[:k])
			_, _ = f.Write(line[k:])
			if n%10 == 0 {
				time.Sleep(time.Millisecond) // faster than any billing, slower than a copy
			}
		}
	}()
	defer func() { stop(); <-done }()
	var last []byte
	for range soak(30, 300) {
		var got bytes.Buffer
		f, err := Fetch(ctx, fromFile(path, func() int { return rand.IntN(1 << 18) }), &got, FetchOptions{Tries: 1000, FirstWait: time.Nanosecond})
		require.NoError(t, err)
		lines, rest, err := journalfile.Check(bytes.NewReader(got.Bytes()), pod0)
		require.NoError(t, err)
		require.Empty(t, rest)
		require.Equal(t, int64(lines), f.Lines)
		require.True(t, bytes.HasPrefix(got.Bytes(), last))
		last = got.Bytes()
	}
	require.NotEmpty(t, last)
}

func TestFetchRefusesWhatIsNotWhole(t *testing.T) {
	t.Parallel()
	want := content(1, 1000)
	path := write(t, filepath.Join(t.TempDir(), "journal"), want)
	quick := FetchOptions{Tries: 3, FirstWait: time.Nanosecond}

	t.Run("cuts without end", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "copy")
		_, err := FetchFile(t.Context(), fromFile(path, func() int { return 60 }), file, quick)
		require.ErrorContains(t, err, "after 3 tries without progress")
		assert.Empty(t, files(t, filepath.Dir(file)), "nothing half is left")
	})
	t.Run("clean end too early", func(t *testing.T) {
		t.Parallel()
		// As kubectl cp takes it for complete: the stream just ends.
		var n atomic.Int32
		open := func(ctx context.Context, offset, size int64, _ bool, w io.Writer) error {
			if n.Add(1) > 1 {
				return errors.New("no pod")
			}
			_ = fromFile(path, func() int { return 5000 })(ctx, offset, size, false, w)
			return nil
		}
		_, err := Fetch(t.Context(), open, io.Discard, quick)
		require.ErrorContains(t, err, "no pod")
	})
	t.Run("changed on the way", func(t *testing.T) {
		t.Parallel()
		open := func(ctx context.Context, offset, size int64, _ bool, w io.Writer) error {
			var b bytes.Buffer
			if err := fromFile(path, never)(ctx, offset, size, false, &b); err != nil {
				return err
			}
			b.Bytes()[1000] ^= 1
			_, err := w.Write(b.Bytes())
			return err
		}
		_, err := Fetch(t.Context(), open, io.Discard, quick)
		require.ErrorContains(t, err, "digest of what arrived")
	})
	t.Run("journal replaced between two pieces", func(t *testing.T) {
		t.Parallel()
		p := write(t, filepath.Join(t.TempDir(), "journal"), want)
		first := true
		_, err := Fetch(t.Context(), fromFile(p, func() int {
			if first {
				first = false
				return 4000
			}
			write(t, p, content(5000, 1000))
			return -1
		}), io.Discard, quick)
		require.ErrorContains(t, err, "was changed while it was copied")
	})
	t.Run("journal shrank", func(t *testing.T) {
		t.Parallel()
		p := write(t, filepath.Join(t.TempDir(), "journal"), want)
		first := true
		_, err := Fetch(t.Context(), fromFile(p, func() int {
			if first {
				first = false
				return 4000
			}
			write(t, p, want[:5000])
			return -1
		}), io.Discard, quick)
		require.ErrorContains(t, err, "a journal never shrinks")
	})
	t.Run("silent", func(t *testing.T) {
		t.Parallel()
		open := func(ctx context.Context, _, _ int64, _ bool, _ io.Writer) error {
			<-ctx.Done()
			return ctx.Err()
		}
		o := quick
		o.Stall = 20 * time.Millisecond
		_, err := Fetch(t.Context(), open, io.Discard, o)
		require.ErrorContains(t, err, "no byte for 20ms")
	})
	t.Run("something else", func(t *testing.T) {
		t.Parallel()
		open := func(_ context.Context, _, _ int64, _ bool, w io.Writer) error {
			_, err := io.WriteString(w, "Hello from busybox\n")
			return err
		}
		_, err := Fetch(t.Context(), open, io.Discard, quick)
		require.ErrorContains(t, err, "answers something else than a journal")
	})
	t.Run("full disk", func(t *testing.T) {
		t.Parallel()
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip("this system has no /dev/full")
		}
		defer full.Close()
		_, err = Fetch(t.Context(), fromFile(path, never), full, quick)
		require.ErrorContains(t, err, "no space left on device")
	})
	t.Run("Ctrl-C", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		file := filepath.Join(t.TempDir(), "copy")
		_, err := FetchFile(ctx, fromFile(path, func() int { cancel(); return 100 }), file, quick)
		require.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, files(t, filepath.Dir(file)))
	})
}

func TestReceive(t *testing.T) {
	t.Parallel()
	b := content(1, 1000)
	r, err := Scan(t.Context(), bytes.NewReader(b), nil)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "sub", "journal")
	err = Receive(t.Context(), bytes.NewReader(b[:100]), file, r.Size, r.SHA256)
	require.ErrorContains(t, err, "nothing is written")
	assert.Empty(t, files(t, filepath.Dir(file)))
	require.NoError(t, Receive(t.Context(), bytes.NewReader(b), file, r.Size, r.SHA256))
	require.ErrorIs(t, Receive(t.Context(), bytes.NewReader(b), file, r.Size, r.SHA256), ErrExists)
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, b, got)
}

// TestFetchFromTheOlderCopy: what is there is not sent again, and what is there
// is proved to be the journal's.
func TestFetchFromTheOlderCopy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, more := content(1, 20000), content(20001, 300)
	path := write(t, filepath.Join(dir, "journal"), old, more)
	want := append(bytes.Clone(old), more...)
	for name, compress := range map[string]bool{"plain": false, "compressed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, begins := range []int{0, 1, len(old) - 7, len(old), len(want)} {
				before := write(t, filepath.Join(t.TempDir(), "before"), want[:begins])
				var sent atomic.Int64
				open := func(ctx context.Context, offset, size int64, compress bool, w io.Writer) error {
					// A sign of life at every piece that is read and not sent.
					return Cat(ctx, io.MultiWriter(w, (*tally)(&sent)), CatOptions{
						Path: path, Offset: offset, Size: size, Compress: compress, LifeSign: time.Nanosecond,
					})
				}
				var got bytes.Buffer
				f, err := Fetch(t.Context(), open, &got, FetchOptions{Tries: 1, Compress: compress, Beginning: before})
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got.Bytes()), "from byte %d", begins)
				assert.Equal(t, int64(20300), f.Lines)
				assert.Equal(t, int64(begins), f.Resumed)
				assert.Less(t, sent.Load(), int64(len(want)-begins+500))
			}
		})
	}
	changed := bytes.Clone(old)
	changed[len(changed)/2] ^= 1
	for name, before := range map[string][]byte{
		"one bit":     changed,
		"longer":      append(bytes.Clone(want), more...),
		"another one": content(7, 20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := write(t, filepath.Join(t.TempDir(), "before"), before)
			_, err := Fetch(t.Context(), fromFile(path, never), io.Discard, FetchOptions{Beginning: before})
			require.ErrorIs(t, err, ErrBeginning)
			_, err = Fetch(t.Context(), fromFile(path, never), full{}, FetchOptions{Beginning: before})
			require.ErrorContains(t, err, "no space left")
			require.NotErrorIs(t, err, ErrBeginning, "a full disk is not the journal's fault")
			_, err = Fetch(t.Context(), fromFile(path+".gone", never), io.Discard, FetchOptions{Beginning: before})
			require.ErrorContains(t, err, "no such file")
			require.NotErrorIs(t, err, ErrBeginning, "nor is that it cannot be read")
		})
	}
}

type tally atomic.Int64

func (t *tally) Write(p []byte) (int, error) {
	(*atomic.Int64)(t).Add(int64(len(p)))
	return len(p), nil
}

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, unix.ENOSPC }
