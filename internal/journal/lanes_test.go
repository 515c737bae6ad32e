package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inLanes is a source without cluster that sends in lanes. Each lane goes through
// lane, which may spoil it.
func inLanes(path string, hashed Hashed, lane func(n int, r io.Reader) io.Reader) Open {
	return func(ctx context.Context, offset, size int64, _ bool, w io.Writer) error {
		open := func(n int, size int64) (io.ReadCloser, error) {
			pr, pw := io.Pipe()
			go func() {
				length := int64(-1)
				sent := &tally{}
				err := Cat(ctx, io.MultiWriter(pw, sent), CatOptions{
					Path: path, Offset: offset, Size: size, Lanes: laneCount, Lane: n, Hashed: hashed, Wait: time.Nanosecond,
					Length: func(n int64) { length = n },
				})
				if got := (*atomic.Int64)(sent).Load(); err == nil && offset <= size && length != got {
					err = fmt.Errorf("lane %d said %d bytes and sent %d", n, length, got)
				}
				pw.CloseWithError(err)
			}()
			return struct {
				io.Reader
				io.Closer
			}{lane(n, pr), pr}, nil
		}
		first, err := open(0, size)
		if err != nil {
			return err
		}
		m := newMerged(first, open)
		defer func() { _ = m.Close() }()
		_, err = io.Copy(w, m)
		return err
	}
}

func asItIs(_ int, r io.Reader) io.Reader { return r }

// TestLanes: whatever its size, where it begins and what was hashed before, a journal
// in lanes is the journal.
func TestLanes(t *testing.T) {
	t.Parallel()
	all := content(1, 60000)
	require.Greater(t, len(all), 3*laneCount*stripe)
	for _, size := range []int{0, 1, stripe, laneCount * stripe, laneCount*stripe + 1, (laneCount+1)*stripe - 1, 2*laneCount*stripe + 77, len(all)} {
		for _, begun := range []int{0, 1, stripe + 3, size} {
			for _, hashed := range []int{0, 1, stripe, 2*stripe + 5, size} {
				if begun > size || hashed > size {
					continue
				}
				t.Run(fmt.Sprintf("%d from %d, %d hashed", size, begun, hashed), func(t *testing.T) {
					t.Parallel()
					path := write(t, filepath.Join(t.TempDir(), "journal"), all[:size])
					before := ""
					if begun > 0 {
						before = write(t, filepath.Join(t.TempDir(), "before"), all[:begun])
					}
					early := Hashed{Size: int64(hashed), digest: sha256.New()}
					_, _ = early.digest.Write(all[:hashed])
					var got bytes.Buffer
					f, err := Fetch(t.Context(), inLanes(path, early, asItIs), &got, FetchOptions{Beginning: before, Tries: 1})
					require.NoError(t, err)
					require.True(t, bytes.Equal(all[:size], got.Bytes()))
					require.EqualValues(t, size, f.Size)
				})
			}
		}
	}
}

// TestALaneIsCut: the copy goes on after what all lanes have brought.
func TestALaneIsCut(t *testing.T) {
	t.Parallel()
	all := content(1, 60000)
	path := write(t, filepath.Join(t.TempDir(), "journal"), all)
	for lane := range laneCount {
		for _, after := range []int64{0, 1, 100, stripe, stripe + 1, 500_000} {
			t.Run(fmt.Sprintf("lane %d after %d", lane, after), func(t *testing.T) {
				t.Parallel()
				var cuts atomic.Int32
				cut := func(n int, r io.Reader) io.Reader {
					if n != lane || cuts.Add(1) > 3 {
						return r
					}
					return io.MultiReader(io.LimitReader(r, after), iotest.ErrReader(&lostError{}))
				}
				var got bytes.Buffer
				f, err := Fetch(t.Context(), inLanes(path, Hashed{}, cut), &got, FetchOptions{FirstWait: 1})
				require.NoError(t, err)
				require.True(t, bytes.Equal(all, got.Bytes()))
				require.Positive(t, f.Cuts)
			})
		}
	}
}

// TestALaneEndsEarly: what is missing in one lane is never taken for the end, nor is
// another lane's byte taken for it.
func TestALaneEndsEarly(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "journal"), content(1, 60000))
	for lane := range laneCount {
		short := func(n int, r io.Reader) io.Reader {
			if n != lane {
				return r
			}
			return io.LimitReader(r, 300_000)
		}
		_, err := Fetch(t.Context(), inLanes(path, Hashed{}, short), io.Discard, FetchOptions{FirstWait: 1, Tries: 1})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
	swapped := func(n int, r io.Reader) io.Reader {
		if n != 1 {
			return r
		}
		first := make([]byte, 1)
		_, _ = io.ReadFull(r, first)
		return io.MultiReader(bytes.NewReader([]byte{first[0] ^ 1}), r)
	}
	_, err := Fetch(t.Context(), inLanes(path, Hashed{}, swapped), io.Discard, FetchOptions{FirstWait: 1})
	require.ErrorContains(t, err, "digest of what arrived")
}

// TestLanesAreOptional: an older helper does not know of them, and one of another
// mind is not believed.
func TestLanesAreOptional(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "journal"), content(1, 60000))
	var old bytes.Buffer
	require.NoError(t, Cat(t.Context(), &old, CatOptions{Path: path}))
	for name, stream := range map[string]string{
		"an older helper's": old.String(),
		"no journal":        "by port",
		"nothing":           "",
		"signs of life":     "\n\n" + old.String(),
	} {
		m := newMerged(io.NopCloser(bytes.NewReader([]byte(stream))), func(int, int64) (io.ReadCloser, error) {
			return nil, errors.New("another lane was opened")
		})
		got, err := io.ReadAll(iotest.OneByteReader(m))
		require.NoError(t, err, name)
		require.Equal(t, stream, string(got), name)
		require.NoError(t, m.Close())
	}
	for _, impossible := range []string{`{"size":1,"offset":5,"lanes":2}` + "\n", `{"size":1,"offset":-5,"lanes":2}` + "\n"} {
		got, err := io.ReadAll(newMerged(io.NopCloser(strings.NewReader(impossible)), nil))
		require.NoError(t, err)
		require.Equal(t, impossible, string(got), "who reads it says so")
	}
	m := newMerged(io.NopCloser(bytes.NewReader([]byte(`{"size":9,"offset":0,"lanes":99}`+"\n"))), nil)
	_, err := io.ReadAll(m)
	require.ErrorContains(t, err, "99 lanes")
	for _, o := range []CatOptions{{Lane: 1}, {Lane: -1}, {Lane: 1, Lanes: 2}, {Lane: 2, Lanes: 2, Size: 5 << 20}, {Lane: 1, Lanes: 2, Size: 10}} {
		o.Path = path
		require.ErrorContains(t, Cat(t.Context(), io.Discard, o), "lane")
	}
}

// TestReadAhead: what was hashed before anybody asked is used, and a journal that was
// changed after that is not taken for the one that was hashed.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	all := content(1, 60000)
	path := write(t, filepath.Join(t.TempDir(), "journal"), all)
	a := readAhead(t.Context(), []string{path, path + ".gone"})
	a.done.Wait()
	require.Zero(t, a.take(path+".gone"))
	require.Zero(t, a.take("another"))
	got := a.take(path)
	require.EqualValues(t, len(all), got.Size)

	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.Write(content(60001, 5000))
	require.NoError(t, errors.Join(err, f.Close()))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for range 2 { // a transfer that is cut asks again
		var copied bytes.Buffer
		_, err = Fetch(t.Context(), inLanes(path, a.take(path), asItIs), &copied, FetchOptions{Tries: 1})
		require.NoError(t, err)
		assert.True(t, bytes.Equal(whole, copied.Bytes()))
	}

	whole[stripe*3] ^= 1
	require.NoError(t, os.WriteFile(path, whole, 0o600))
	_, err = Fetch(t.Context(), inLanes(path, a.take(path), asItIs), io.Discard, FetchOptions{Tries: 1})
	require.ErrorContains(t, err, "was changed while it was copied")
	require.NoError(t, os.WriteFile(path, all[:5000], 0o600))
	_, err = Fetch(t.Context(), inLanes(path, a.take(path), asItIs), io.Discard, FetchOptions{Tries: 1})
	require.NoError(t, err, "what was hashed of a longer one is of no use")
}

func TestReadAheadEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := write(t, filepath.Join(t.TempDir(), "journal"), content(1, 10))
	a := readAhead(ctx, []string{path})
	require.Zero(t, a.take(path), "not begun")
}

func TestAheadByEnvironment(t *testing.T) {
	require.Empty(t, aheadEnv(nil))
	env := aheadEnv([]string{"/volume/journal-a/journal", "/volume/journal-b/journal"})
	require.Len(t, env, 1)
	t.Setenv(env[0].Name, env[0].Value)
	require.Equal(t, []string{"/volume/journal-a/journal", "/volume/journal-b/journal"}, AheadFromEnv())
}
