package models

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLoadThenNothingToDo(t *testing.T) {
	t.Parallel()
	s, dir := newServer(t), t.TempDir()
	want := map[string][]byte{"a.dg": noise(1, 300_000), "b.dg": noise(2, 1_200_000), "empty.dg": {}}
	var list []Source
	for _, n := range []string{"a.dg", "b.dg", "empty.dg"} {
		list = append(list, s.add(n, want[n]))
	}
	results, err := load(t, dir, quick(nil), list...)
	require.NoError(t, err)
	for _, r := range results {
		assert.Equal(t, Loaded, r.Status)
		assert.EqualValues(t, len(want[r.Name]), r.Bytes)
	}
	clean(t, dir, want)
	s.requests()

	results, err = load(t, dir, quick(nil), list...)
	require.NoError(t, err)
	for _, r := range results {
		assert.Equal(t, Present, r.Status)
	}
	assert.Empty(t, s.requests(), "the manifest is enough")

	// A file that somebody changed is found, quickly by its time or by reading it.
	path := filepath.Join(dir, "a.dg")
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, noise(9, 300_000), 0o600))
	require.NoError(t, os.Chtimes(path, st.ModTime(), st.ModTime()))
	verified, err := Verify(t.Context(), dir, false)
	require.NoError(t, err)
	assert.Equal(t, Changed, verified[0].Status)
	o := quick(nil)
	o.Verify = true
	_, err = load(t, dir, o, list...)
	require.NoError(t, err)
	clean(t, dir, want)
}

func TestMisbehavingServers(t *testing.T) {
	t.Parallel()
	content := noise(3, 400_000)
	etag := `"` + sum(content)[:16] + `"`
	abort := func(w http.ResponseWriter, from, n int) {
		w.Header().Set("ETag", etag)
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
			w.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		}
		w.Write(content[from : from+n]) //nolint:errcheck // a test's server
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, tc := range map[string]struct {
		behave func(w http.ResponseWriter, r *http.Request, nth int) bool
		change func(*Source)
		says   string // an error; empty: the file arrives
		notes  string
	}{
		"truncates": {behave: func(w http.ResponseWriter, r *http.Request, nth int) bool {
			from := 0
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from) //nolint:errcheck // 0 without
			if nth > 1 && from+100_000 < len(content) {
				abort(w, from, 100_000)
			}
			return false
		}, notes: "retrying: m.dg at byte 100000"},
		"truncates always": {behave: func(w http.ResponseWriter, _ *http.Request, nth int) bool {
			if nth > 1 {
				abort(w, 0, 0)
			}
			return false
		}, says: "broke off again and again"},
		"corrupts once": {behave: func(w http.ResponseWriter, _ *http.Request, nth int) bool {
			if nth == 2 {
				w.Write(noise(4, len(content))) //nolint:errcheck // a test's server
			}
			return nth == 2
		}, notes: "damaged: m.dg does not match its digest"},
		"corrupts always": {behave: func(w http.ResponseWriter, _ *http.Request, nth int) bool {
			if nth > 1 {
				w.Write(noise(4, len(content))) //nolint:errcheck // a test's server
			}
			return nth > 1
		}, says: "must have sha256:" + sum(content)},
		"stalls": {behave: func(w http.ResponseWriter, r *http.Request, nth int) bool {
			if nth != 2 {
				return false
			}
			w.Header().Set("ETag", etag)
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			w.Write(content[:1000]) //nolint:errcheck // a test's server
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}, notes: "nothing was received for too long"},
		"redirects": {behave: func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.URL.Query().Get("there") != "" {
				if r.Header.Get("Referer") != "" {
					w.WriteHeader(http.StatusTeapot)
					return true
				}
				return false
			}
			http.Redirect(w, r, r.URL.Path+"?there=1&token=canary-token-0816", http.StatusFound)
			return true
		}},
		"redirects in a circle": {behave: func(w http.ResponseWriter, r *http.Request, _ int) bool {
			http.Redirect(w, r, r.URL.String(), http.StatusFound)
			return true
		}, says: "redirected more than 10 times"},
		"redirects to http elsewhere": {behave: func(w http.ResponseWriter, r *http.Request, _ int) bool {
			http.Redirect(w, r, "http://models.example.com/m.dg?token=canary-token-0816", http.StatusFound)
			return true
		}, says: "redirected from https to http"},
		"expired": {behave: func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(http.StatusForbidden)
			return true
		}, says: "refused the link (403): signed links expire"},
		"gone": {behave: func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(http.StatusGone)
			return true
		}, says: "refused the link (410)"},
		"not there": {behave: func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(http.StatusNotFound)
			return true
		}, says: "does not have the file (404)"},
		"ignores ranges": {behave: func(w http.ResponseWriter, r *http.Request, nth int) bool {
			r.Header.Del("Range")
			if nth == 2 {
				abort(w, 0, 150_000)
			}
			return false
		}, notes: "retrying: m.dg at byte 150000"},
		"503 for a while": {behave: func(w http.ResponseWriter, _ *http.Request, nth int) bool {
			if nth < 3 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return nth < 3
		}},
		"503 for long": {behave: func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Header().Set("Retry-After", "7200")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}, says: "asks to wait 2h0m0s"},
		"wrong size": {change: func(s *Source) { s.Size++ }, says: "the server's file has 400000 bytes, the list says 400001"},
		"wrong digest": {
			change: func(s *Source) { s.SHA256 = strings.Repeat("0", 64) },
			says:   "must have sha256:0000",
		},
		"chunked, no size": {behave: func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Write(content[:10]) //nolint:errcheck // a test's server
			w.(http.Flusher).Flush()
			w.Write(content[10:]) //nolint:errcheck // a test's server
			return true
		}, change: func(s *Source) { s.Size = 0 }, notes: "does not tell how large m.dg is"},
		"damaged by Cloud Storage's own checksum": {behave: func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			crc := binary.BigEndian.AppendUint32(nil, crc32.Checksum([]byte("other"), castagnoli))
			w.Header().Add("X-Goog-Hash", "crc32c="+base64.StdEncoding.EncodeToString(crc))
			return false
		}, change: func(s *Source) { s.SHA256 = "" }, says: "has the checksum crc32c:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir, n := newServer(t), t.TempDir(), &notes{}
			src := s.add("m.dg", content)
			if tc.change != nil {
				tc.change(&src)
			}
			s.misbehave(tc.behave)
			o := quick(n)
			if name == "stalls" {
				o.Stall = 200 * time.Millisecond
			}
			results, err := load(t, dir, o, src)
			everything := n.text() + fmt.Sprintf("%v %+v %#v %+v", err, err, err, results)
			assert.NotContains(t, everything, "canary")
			if tc.says == "" {
				require.NoError(t, err)
				clean(t, dir, map[string][]byte{"m.dg": content})
				assert.Contains(t, n.text(), tc.notes)
				return
			}
			require.ErrorContains(t, err, tc.says)
			assert.ErrorContains(t, err, "model m.dg")
			assert.Equal(t, Failed, results[0].Status)
			assert.NoFileExists(t, filepath.Join(dir, "m.dg"))
			// With the server well again and the right figures, the next run finishes.
			s.misbehave(nil)
			_, err = load(t, dir, quick(nil), s.add("m.dg", content))
			require.NoError(t, err)
			clean(t, dir, map[string][]byte{"m.dg": content})
		})
	}
}

func TestAStoppedLoadIsContinued(t *testing.T) {
	t.Parallel()
	s, dir := newServer(t), t.TempDir()
	content := noise(5, 500_000)
	src := s.add("m.dg", content)
	s.misbehave(func(w http.ResponseWriter, r *http.Request, nth int) bool {
		switch nth {
		case 1:
			return false
		case 2:
			w.Header().Set("ETag", `"`+sum(content)[:16]+`"`)
			w.Header().Set("Content-Length", "500000")
			w.Write(content[:200_000]) //nolint:errcheck // a test's server
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusForbidden) // the link expired meanwhile
		return true
	})
	_, err := load(t, dir, quick(nil), src)
	require.ErrorContains(t, err, "what was downloaded is kept")
	s.misbehave(nil)
	s.requests()
	// A fresh link of the same file.
	src.URL = NewLink(s.URL + "/m.dg?X-Goog-Signature=canary-fresh-0817")
	results, err := load(t, dir, quick(nil), src)
	require.NoError(t, err)
	assert.EqualValues(t, 300_000, results[0].Bytes)
	assert.Equal(t, []string{"/m.dg bytes=0-0", "/m.dg bytes=200000-"}, s.requests())
	clean(t, dir, map[string][]byte{"m.dg": content})
}

func TestAChangedFileIsNotMixedWithTheOldOne(t *testing.T) {
	t.Parallel()
	for _, withDigest := range []bool{true, false} {
		s, dir := newServer(t), t.TempDir()
		before, after := noise(6, 300_000), noise(7, 300_000)
		src := s.add("m.dg", before)
		s.misbehave(func(w http.ResponseWriter, _ *http.Request, nth int) bool {
			if nth == 2 {
				w.Header().Set("ETag", `"`+sum(before)[:16]+`"`)
				w.Header().Set("Content-Length", "300000")
				w.Write(before[:100_000]) //nolint:errcheck // a test's server
				w.(http.Flusher).Flush()
				s.add("m.dg", after)
				panic(http.ErrAbortHandler)
			}
			return false
		})
		if withDigest {
			src.SHA256 = sum(after)
		} else {
			src.SHA256 = ""
		}
		_, err := load(t, dir, quick(nil), src)
		require.NoError(t, err)
		clean(t, dir, map[string][]byte{"m.dg": after})
	}
}

func TestPruneAndUnknownFiles(t *testing.T) {
	t.Parallel()
	s, dir := newServer(t), t.TempDir()
	a := s.add("a.dg", noise(1, 100))
	_, err := load(t, dir, quick(nil), a, s.add("old.dg", noise(2, 100)))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine.txt"), []byte("x"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, stateDir, "partial", "forgotten.dg"), []byte("x"), 0o600))
	_, err = load(t, dir, quick(nil), a)
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(dir, "mine.txt"))
	assert.FileExists(t, filepath.Join(dir, "old.dg"))
	assert.NoFileExists(t, filepath.Join(dir, stateDir, "partial", "forgotten.dg"))
	o := quick(nil)
	o.Prune = true
	results, err := load(t, dir, o, a)
	require.NoError(t, err)
	assert.Equal(t, []Result{{Name: "mine.txt", Status: Removed}, {Name: "old.dg", Status: Removed}}, results[1:])
	assert.DirExists(t, filepath.Join(dir, "lost+found"))
	clean(t, dir, map[string][]byte{"a.dg": noise(1, 100)})
}

func TestADiskThatIsTooSmallIsFoundBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), 0
	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("Content-Range", "bytes 0-0/9000000000000000")
		w.WriteHeader(http.StatusPartialContent)
		w.Write([]byte{0}) //nolint:errcheck // a test's server
	}))
	t.Cleanup(huge.Close)
	_, err := load(t, dir, quick(nil), Source{URL: NewLink(huge.URL + "/m.dg")})
	var small *TooSmallError
	require.ErrorAs(t, err, &small)
	assert.ErrorContains(t, err, "raise models.disk.sizeGb by at least")
	assert.Equal(t, 1, n)
}

func TestTwoLoadersKeepOutOfEachOthersWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release, err := open(dir)
	require.NoError(t, err)
	_, err = load(t, dir, quick(nil))
	require.ErrorContains(t, err, "another models load is running")
	release()
	_, err = load(t, dir, quick(nil))
	assert.NoError(t, err)
}

func TestCloudStorage(t *testing.T) {
	t.Parallel()
	content := noise(8, 200_000)
	s := newServer(t)
	s.files["storage/v1/b/acme-models/o/nova/m.dg"] = content
	s.misbehave(func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Header.Get("Authorization") != "Bearer canary-bearer-0818" || r.URL.Query().Get("alt") != "media" ||
			r.URL.EscapedPath() != "/storage/v1/b/acme-models/o/nova%2Fm.dg" {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	dir, o := t.TempDir(), quick(nil)
	o.StorageEndpoint = s.URL
	o.Token = tokenOf("canary-bearer-0818")
	_, err := load(t, dir, o, Source{URL: NewLink("gs://acme-models/nova/m.dg")})
	require.NoError(t, err)
	clean(t, dir, map[string][]byte{"m.dg": content})
	o.Token = tokenOf("canary-other-0819")
	_, err = load(t, t.TempDir(), o, Source{URL: NewLink("gs://acme-models/nova/m.dg")})
	require.ErrorContains(t, err, "grant roles/storage.objectViewer on the bucket")
	assert.NotContains(t, err.Error(), "canary")
}

func TestReadSources(t *testing.T) {
	t.Parallel()
	list, err := ReadSources(strings.NewReader(`{"files": [{"url": "https://host/dir/nova-3.dg?sig=canary"}, {"url": "gs://bucket/x", "name": "y.dg", "size": 5}]}`))
	require.NoError(t, err)
	assert.Equal(t, "nova-3.dg", list[0].Name)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", list, list, list, list[0].URL), "canary")

	_, err = ReadSources(strings.NewReader(`[
		{"url": "http://models.example.com/canary.dg?canary"}, {"url": ""}, {"url": "ftp://h/canary"}, {"url": "https://h/canary/"},
		{"url": "https://h/a.dg"}, {"url": "https://h/b/a.dg"}, {"url": "https://h/c", "name": "../../etc/passwd"},
		{"url": "https://h/d", "sha256": "abc"}, {"url": "gs://bucket", "name": "z"}, {"url": "https://h/e", "size": -1}, {"url": "https://h/%zz canary"}]`))
	for _, says := range []string{
		"sources[0]: url: http:// would show the link", "sources[1]: url: required", "sources[2]: url: scheme must be https or gs",
		`sources[5]: name "a.dg": is also the name of sources[4]`, `sources[6]: name "../../etc/passwd": must be a file name`,
		"sources[7]: sha256: must be 64 hex digits", "sources[8]: url: gs:// needs a bucket and an object", "sources[9]: size -1",
		"sources[10]: url: is not a URL",
	} {
		assert.ErrorContains(t, err, says)
	}
	for _, text := range []string{`[{"url": "https://canary`, `[{"url": ["canary"]}]`, `[{"link": "canary"}]`, ``} {
		_, err = ReadSources(strings.NewReader(text))
		require.Error(t, err, text)
		assert.NotContains(t, err.Error(), "canary")
	}
}
