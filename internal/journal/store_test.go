package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest/journalfile"
)

// stores are the URLs of a target of each kind, on real servers. The
// environment is the test's own, so these tests run one after another.
func stores(t *testing.T, wrap func(http.Handler) http.Handler) map[string]string {
	t.Helper()
	if wrap == nil {
		wrap = func(h http.Handler) http.Handler { return h }
	}
	gs := httptest.NewUnstartedServer(nil)
	// Uploads in pieces are continued where the server says that it is.
	g, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, ExternalURL: "http://" + gs.Listener.Addr().String()})
	require.NoError(t, err)
	t.Cleanup(g.Stop)
	gs.Config.Handler = wrap(g.HTTPHandler())
	gs.Start()
	t.Cleanup(gs.Close)
	g.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "journals"})
	t.Setenv("STORAGE_EMULATOR_HOST", gs.URL)

	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("journals"))
	s := httptest.NewServer(wrap(gofakes3.New(backend).Server()))
	t.Cleanup(s.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "canary-key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return map[string]string{
		"gs":   "gs://journals/acme/prod",
		"s3":   "s3://journals/acme/prod?use_path_style=true&endpoint=" + s.URL,
		"file": "file://" + t.TempDir(),
	}
}

func open(t *testing.T, url string) Target {
	t.Helper()
	target, err := OpenTarget(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = target.Close() })
	return target
}

// TestTargets: the promises of Target, kept by each kind.
func TestTargets(t *testing.T) {
	for name, url := range stores(t, nil) {
		t.Run(name, func(t *testing.T) {
			ctx, target := t.Context(), open(t, url)
			big := content(1, 200000) // more than one piece of an upload
			for object, data := range map[string][]byte{"a/one": []byte("1"), "a/big": big, "b/empty": nil} {
				require.NoError(t, target.Put(ctx, object, bytes.NewReader(data)), object)
				r, err := target.Get(ctx, object)
				require.NoError(t, err)
				got, err := io.ReadAll(r)
				require.NoError(t, err)
				require.NoError(t, r.Close())
				assert.True(t, bytes.Equal(data, got), object)
				require.ErrorIs(t, target.Put(ctx, object, strings.NewReader("other")), ErrExists, object)
			}
			_, err := target.Get(ctx, "a/none")
			require.ErrorIs(t, err, ErrNotFound)
			list, err := target.List(ctx, "a/")
			require.NoError(t, err)
			require.Len(t, list, 2)
			assert.Equal(t, "a/big", list[0].Name)
			assert.Equal(t, int64(len(big)), list[0].Size)

			// A source that fails leaves nothing.
			broken := errors.New("disk on fire")
			err = target.Put(ctx, "a/broken", io.MultiReader(bytes.NewReader(big), &failing{broken}))
			require.ErrorIs(t, err, broken)
			_, err = target.Get(ctx, "a/broken")
			require.ErrorIs(t, err, ErrNotFound)

			require.NoError(t, target.Delete(ctx, "a/one"))
			require.ErrorIs(t, target.Delete(ctx, "a/one"), ErrNotFound)
			assert.NotContains(t, target.String(), "canary")
		})
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestBadTargets(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                             "no known scheme",
		"/backup":                      "no known scheme",
		"file://backup/x":              "three slashes",
		"gs://":                        "has no bucket",
		"ftp://x":                      "no known scheme",
		"s3://key:CANARY@bucket":       "never from the URL",
		"s3://bucket?endpiont=http://": "endpiont",
		"gs://%zz:CANARY@b":            "is not a URL",
	} {
		_, err := OpenTarget(t.Context(), url)
		require.ErrorContains(t, err, want, url)
		assert.NotContains(t, err.Error(), "CANARY")
	}
	_, err := ReadBook(t.Context(), open(t, "file:///no/such/folder"), "")
	require.ErrorContains(t, err, "mount the volume")
	require.ErrorContains(t, open(t, "file://"+t.TempDir()).Put(t.Context(), "../x", strings.NewReader("")), "not a name inside")
}

// TestLife is a journal's life in each kind of target: backups, nothing new,
// delivery, pruning, restore.
func TestLife(t *testing.T) {
	for name, url := range stores(t, nil) {
		t.Run(name, func(t *testing.T) {
			ctx, target := t.Context(), open(t, url)
			journal := write(t, filepath.Join(t.TempDir(), "journal-"+pod0, "journal"), content(1, 100))
			now := time.Date(2026, 1, 1, 2, 0, 0, 0, time.UTC)
			clock := func() time.Time { return now }
			o := BackupOptions{Now: clock, Program: "v1"}
			first, err := Store(ctx, target, pod0, journal, o)
			require.NoError(t, err)
			assert.Nil(t, first.Proof)
			assert.Equal(t, pod0+"/20260101T020000.000Z-"+first.SHA256+".journal", first.Object)

			add(t, journal, content(101, 50))
			now = now.AddDate(0, 0, 1)
			second, err := Store(ctx, target, pod0, journal, o)
			require.NoError(t, err)
			require.NotNil(t, second.Proof)
			assert.Equal(t, Proof{Previous: first.Object, Size: first.Size, AppendOnly: true, Differs: -1}, *second.Proof)
			assert.Equal(t, int64(150), second.Lines)

			// Nothing new, and a clock that was set back: a record, no second copy,
			// and still the newest.
			now = now.AddDate(0, 0, -1)
			third, err := Store(ctx, target, pod0, journal, o)
			require.NoError(t, err)
			assert.Equal(t, second.Object, third.Object)
			assert.Greater(t, third.Name, second.Name)
			book, err := ReadBook(ctx, target, "")
			require.NoError(t, err)
			assert.Len(t, book.copies, 2)
			assert.Len(t, book.Backups[pod0], 3)
			assert.Empty(t, book.Missing())

			now = now.AddDate(2, 0, 0)
			prune := PruneOptions{Now: clock}
			gone := func(list []Pruned) (names []string) {
				for _, p := range list {
					if p.Deleted {
						names = append(names, p.Object)
					}
				}
				return names
			}
			list, err := Prune(ctx, target, prune)
			require.NoError(t, err)
			assert.Empty(t, gone(list), "nothing was delivered")

			_, err = Deliver(ctx, target, DeliverOptions{Pod: pod0, By: "ana", Kind: Confirmed, Now: clock})
			require.ErrorContains(t, err, "was not delivered")
			other := write(t, filepath.Join(t.TempDir(), "other"), content(7, 3))
			_, err = Deliver(ctx, target, DeliverOptions{Pod: pod0, By: "ana", File: other, Now: clock})
			require.ErrorContains(t, err, "is not the journal of")
			// A file that was retrieved later covers both backups.
			add(t, journal, content(151, 5))
			d, err := Deliver(ctx, target, DeliverOptions{By: "ana", File: journal, Now: clock})
			require.NoError(t, err)
			assert.Equal(t, pod0, d.Pod)
			assert.ElementsMatch(t, []string{first.SHA256, second.SHA256}, d.Covers)

			require.NoError(t, Release(ctx, target, d))

			young := prune
			young.OlderThan = 10 * 365 * 24 * time.Hour
			list, err = Prune(ctx, target, young)
			require.NoError(t, err)
			assert.Empty(t, gone(list))
			dry := prune
			dry.DryRun = true
			list, err = Prune(ctx, target, dry)
			require.NoError(t, err)
			assert.Equal(t, []string{first.Object}, gone(list))
			list, err = Prune(ctx, target, prune)
			require.NoError(t, err)
			assert.Equal(t, []string{first.Object}, gone(list), "the newest stays")
			_, err = target.Get(ctx, first.Object)
			require.ErrorIs(t, err, ErrNotFound)
			book, err = ReadBook(ctx, target, "")
			require.NoError(t, err)
			assert.Empty(t, book.Missing(), "what was pruned is on the books")

			// The line of proofs goes on after pruning.
			fourth, err := Store(ctx, target, pod0, journal, o)
			require.NoError(t, err)
			assert.True(t, fourth.Proof.AppendOnly)
			now = now.Add(time.Second)
			_, err = Deliver(ctx, target, DeliverOptions{Pod: pod0, By: "ana", Now: clock})
			require.NoError(t, err)
			now = now.Add(time.Second)
			_, err = Deliver(ctx, target, DeliverOptions{Pod: pod0, By: "Deepgram", Kind: Confirmed, Now: clock})
			require.NoError(t, err)

			_, err = FindCopy(ctx, target, pod0, first.Object)
			require.ErrorContains(t, err, "pruned")
			k, err := FindCopy(ctx, target, pod0, "")
			require.NoError(t, err)
			dir := t.TempDir()
			r, err := RestoreTo(ctx, k, dir)
			require.NoError(t, err)
			assert.True(t, r.Equal)
			want, err := os.ReadFile(journal)
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join(dir, "journal-"+pod0, "journal"))
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got))
			_, err = RestoreTo(ctx, k, dir)
			require.ErrorIs(t, err, ErrExists)
		})
	}
}

// TestJournalThatIsNotAppendOnly: both copies are kept, and it is said.
func TestJournalThatIsNotAppendOnly(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		second []byte
		want   string
	}{
		"replaced":    {content(500, 200), "differ at byte"},
		"shrunk":      {content(1, 50), "a journal never shrinks"},
		"broken line": {append(content(1, 100), "half a li{\"d\":\"a\",\"s\":\"b\"}\n"...), "line 101"},
		"half a line": {append(content(1, 100), "{\"d\":\"x"...), "is not complete: 7 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, target := t.Context(), open(t, "file://"+t.TempDir())
			journal := write(t, filepath.Join(t.TempDir(), "journal"), content(1, 100))
			_, err := Store(ctx, target, pod0, journal, BackupOptions{})
			require.NoError(t, err)
			write(t, journal, row.second)
			r, err := Store(ctx, target, pod0, journal, BackupOptions{Wait: time.Nanosecond})
			var alarm *Alarm
			require.ErrorAs(t, err, &alarm)
			require.ErrorContains(t, err, row.want)
			in, err := target.Get(ctx, r.Object)
			require.NoError(t, err)
			got, err := io.ReadAll(in)
			require.NoError(t, err)
			assert.Equal(t, row.second, got, "kept as it is")
			book, err := ReadBook(ctx, target, "")
			require.NoError(t, err)
			assert.Len(t, book.copies, 2)
		})
	}
}

// TestDeliveryCoversOnlyWhatItProves: after a broken proof the older copies are
// not covered by a delivery of the newer one.
func TestDeliveryCoversOnlyWhatItProves(t *testing.T) {
	t.Parallel()
	ctx, target := t.Context(), open(t, "file://"+t.TempDir())
	journal := write(t, filepath.Join(t.TempDir(), "journal"), content(1, 100))
	first, err := Store(ctx, target, pod0, journal, BackupOptions{})
	require.NoError(t, err)
	write(t, journal, content(500, 200))
	_, err = Store(ctx, target, pod0, journal, BackupOptions{})
	require.Error(t, err)
	add(t, journal, content(700, 1))
	_, err = Store(ctx, target, pod0, journal, BackupOptions{})
	require.NoError(t, err)
	d, err := Deliver(ctx, target, DeliverOptions{Pod: pod0, By: "ana"})
	require.NoError(t, err)
	assert.NotContains(t, d.Covers, first.SHA256)
	list, err := Prune(ctx, target, PruneOptions{Now: func() time.Time { return time.Now().AddDate(5, 0, 0) }})
	require.NoError(t, err)
	for _, p := range list {
		assert.Equal(t, p.Deleted, p.Object != first.Object && p.Why[:9] == "delivered", p.Object)
	}
	_, err = target.Get(ctx, first.Object)
	require.NoError(t, err)
}

// TestStoresThatFail: an upload that is refused or cut is an error or is tried
// again, never a backup.
func TestStoresThatFail(t *testing.T) {
	var refuse atomic.Int32
	wrap := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if (r.Method == http.MethodPut || r.Method == http.MethodPost) && refuse.Load() > 0 {
				refuse.Add(-1)
				_, _ = io.Copy(io.Discard, r.Body)
				http.Error(w, "insufficient storage", http.StatusInsufficientStorage)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	for name, url := range stores(t, wrap) {
		if name == "file" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			ctx, target := t.Context(), open(t, url)
			journal := write(t, filepath.Join(t.TempDir(), "journal"), content(1, 100))
			// gofakes3's client and Google's each try on their own, a few times.
			refuse.Store(1 << 20)
			cut, cancel := context.WithTimeout(ctx, 3*time.Second)
			_, err := Store(cut, target, pod0, journal, BackupOptions{Tries: 1})
			cancel()
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "canary")
			book, err := ReadBook(ctx, target, "")
			require.NoError(t, err)
			assert.Empty(t, book.Pods())
			refuse.Store(1)
			r, err := Store(ctx, target, pod0, journal, BackupOptions{FirstWait: time.Millisecond})
			require.NoError(t, err)
			assert.Equal(t, int64(100), r.Lines)
		})
	}
}

// TestKilledBackups kills a backup at any time, again and again, while lines are
// added. Whatever is left, the next one works, and what the records promise is
// there.
func TestKilledBackups(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := open(t, "file://"+dir)
	journal := write(t, filepath.Join(t.TempDir(), "journal"), content(1, 20000))
	next := 20001
	killed := 0
	for range soak(12, 300) {
		add(t, journal, content(next, 100))
		next += 100
		cmd := storeCommand(t, "file://"+dir, pod0, journal)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, _ := bufio.NewReader(out).ReadString('\n')
		require.Equal(t, "ready\n", line)
		time.Sleep(time.Duration(rand.Int64N(int64(30 * time.Millisecond))))
		_ = cmd.Process.Kill()
		if cmd.Wait() != nil {
			killed++
		}
		checkBook(t, target)
	}
	assert.Positive(t, killed)
	_, err := Store(t.Context(), target, pod0, journal, BackupOptions{})
	require.NoError(t, err)
	book := checkBook(t, target)
	assert.Equal(t, int64(next-1), book.Last(pod0).Lines)
	for _, f := range files(t, dir) {
		assert.NotContains(t, f, partSuffix, "the next backup removes what a killed one left")
	}
}

// checkBook proves every record of a target from the copies themselves.
func checkBook(t *testing.T, target Target) *Book {
	t.Helper()
	book, err := ReadBook(t.Context(), target, "")
	require.NoError(t, err)
	require.Empty(t, book.Missing())
	for _, r := range book.Backups[pod0] {
		in, err := target.Get(t.Context(), r.Object)
		require.NoError(t, err)
		lines, rest, err := journalfile.Check(in, pod0)
		require.NoError(t, err)
		require.NoError(t, in.Close())
		require.Empty(t, rest)
		require.Equal(t, r.Lines, int64(lines))
		if r.Proof != nil {
			require.NoError(t, r.Proof.Err())
		}
	}
	return book
}

// TestAdoption: a copy whose record was never written is not stored twice.
func TestAdoption(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	target := open(t, "file://"+dir)
	journal := write(t, filepath.Join(t.TempDir(), "journal"), content(1, 100))
	r, err := Store(ctx, target, pod0, journal, BackupOptions{})
	require.NoError(t, err)
	require.NoError(t, target.Delete(ctx, r.Name+recordSuffix))
	book, err := ReadBook(ctx, target, "")
	require.NoError(t, err)
	assert.Len(t, book.Unconfirmed[pod0], 1)
	assert.Nil(t, book.Last(pod0))
	again, err := Store(ctx, target, pod0, journal, BackupOptions{})
	require.NoError(t, err)
	assert.Equal(t, r.Object, again.Object)

	// One that is damaged is not adopted.
	path := filepath.Join(dir, filepath.FromSlash(r.Object))
	require.NoError(t, os.Chmod(path, 0o600))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[10] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	fresh, err := Store(ctx, target, pod0, journal, BackupOptions{})
	require.NoError(t, err)
	assert.NotEqual(t, r.Object, fresh.Object)
}

func TestFindLocal(t *testing.T) {
	t.Parallel()
	shared, own := t.TempDir(), t.TempDir()
	write(t, filepath.Join(shared, "journal-deepgram-billing-0", "journal"), content(1, 1))
	write(t, filepath.Join(shared, "journal-deepgram-billing-1", "journal"), content(1, 1))
	write(t, filepath.Join(shared, "journals", "journal"))
	write(t, filepath.Join(own, "journal"), content(1, 1))
	found, err := FindLocal([]string{shared, "x-2=" + own})
	require.NoError(t, err)
	assert.Equal(t, []Local{
		{"deepgram-billing-0", filepath.Join(shared, "journal-deepgram-billing-0", "journal")},
		{"deepgram-billing-1", filepath.Join(shared, "journal-deepgram-billing-1", "journal")},
		{"x-2", filepath.Join(own, "journal")},
	}, found)
	_, err = FindLocal([]string{own})
	require.ErrorContains(t, err, "name it, as POD=DIR")
	_, err = FindLocal([]string{t.TempDir()})
	require.ErrorContains(t, err, "another volume mounted")
	_, err = FindLocal([]string{shared, "deepgram-billing-1=" + own})
	require.ErrorContains(t, err, "has two journals")
	_, err = FindLocal([]string{"../x=" + own})
	require.ErrorContains(t, err, "POD=DIR")
}
