package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScan(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		text  string
		lines int64
		// errors are all that is wrong, in order.
		errors []string
	}{
		"as in the guide":    {"{\"d\":\"...\",\"s\":\"...\"}\n{\"d\":\"...\",\"s\":\"...\"}\n", 2, nil},
		"other spelling":     {"{ \"s\": \"a\", \"d\": \"\\u0041\\\"\", \"t\": 1 }\n", 1, nil},
		"beyond ASCII":       {"{\"d\":\"äöü\",\"s\":\"✓\"}\n", 1, nil},
		"carriage return":    {"{\"d\":\"a\",\"s\":\"b\"}\r\n", 1, nil},
		"empty":              {"", 0, []string{"is empty"}},
		"no s":               {"{\"d\":\"a\"}\n", 1, []string{`line 1 (byte 0): has no "s"`}},
		"upper-case keys":    {"{\"D\":\"a\",\"S\":\"b\"}\n", 1, []string{`line 1 (byte 0): has no "d"`}},
		"s is a number":      {"{\"d\":\"a\",\"s\":1}\n", 1, []string{`line 1 (byte 0): has a "s" that is not a string`}},
		"s is null":          {"{\"d\":\"a\",\"s\":null}\n", 1, []string{`line 1 (byte 0): has a "s" that is not a string`}},
		"an array":           {"[]\n", 1, []string{"line 1 (byte 0): is not a JSON object"}},
		"null":               {"null\n", 1, []string{"line 1 (byte 0): is not a JSON object"}},
		"an empty line":      {"{\"d\":\"a\",\"s\":\"b\"}\n\n{\"d\":\"a\",\"s\":\"b\"}\n", 3, []string{"line 2 (byte 18): is empty"}},
		"control character":  {"{\"d\":\"a\tb\",\"s\":\"c\"}\n", 1, []string{"line 1 (byte 0): is not a JSON object"}},
		"two on one line":    {"{\"d\":\"a\",\"s\":\"b\"}{\"d\":\"a\",\"s\":\"b\"}\n", 1, []string{"line 1 (byte 0): is not a JSON object"}},
		"cut in the string":  {"{\"d\":\"a\",\"s\":\"b\"}\n{\"d\":\"a", 1, []string{"line 2 (byte 18): is not complete: 7 bytes without a line end"}},
		"only the end lacks": {"{\"d\":\"a\",\"s\":\"b\"}", 0, []string{"line 1 (byte 0): is not complete: 17 bytes without a line end"}},
		"cut and gone on":    {"{\"d\":\"a{\"d\":\"a\",\"s\":\"b\"}\n", 1, []string{"line 1 (byte 0): is not a JSON object"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// However the bytes come, the answer is the same.
			whole, err := Scan(t.Context(), strings.NewReader(row.text), nil)
			require.NoError(t, err)
			s := newSink()
			for i := range len(row.text) {
				_, _ = s.Write([]byte{row.text[i]})
			}
			for _, r := range []Report{whole, s.report()} {
				assert.Equal(t, int64(len(row.text)), r.Size)
				assert.Equal(t, row.lines, r.Lines)
				sum := sha256.Sum256([]byte(row.text))
				assert.Equal(t, hex.EncodeToString(sum[:]), r.SHA256)
				if row.errors == nil {
					assert.NoError(t, r.Err())
					continue
				}
				require.Error(t, r.Err())
				for _, want := range row.errors {
					assert.Contains(t, r.Err().Error(), want)
				}
				assert.Len(t, strings.Split(r.Err().Error(), "\n"), len(row.errors))
			}
		})
	}
}

// TestScanQuotesNothing: usage data belongs in no log.
func TestScanQuotesNothing(t *testing.T) {
	t.Parallel()
	r, err := Scan(t.Context(), strings.NewReader("{\"d\":\"CANARY\"}\nCANARY\n"), nil)
	require.NoError(t, err)
	assert.NotContains(t, r.Err().Error(), "CANARY")
}

func TestScanOfLongLines(t *testing.T) {
	t.Parallel()
	long := `{"d":"` + strings.Repeat("x", maxLine) + `","s":"y"}` + "\n"
	fits := `{"d":"` + strings.Repeat("x", 3*chunkSize) + `","s":"y"}` + "\n"
	r, err := Scan(t.Context(), strings.NewReader(fits+long+fits), nil)
	require.NoError(t, err)
	assert.Equal(t, int64(3), r.Lines)
	assert.Equal(t, int64(1), r.BadLines)
	require.Len(t, r.Problems, 1)
	assert.Equal(t, Problem{Line: 2, Offset: int64(len(fits)), Text: fmt.Sprintf("is longer than %d bytes", maxLine)}, r.Problems[0])
}

func TestScanCountsBeyondWhatItNames(t *testing.T) {
	t.Parallel()
	r, err := Scan(t.Context(), strings.NewReader(strings.Repeat("x\n", 1000)), nil)
	require.NoError(t, err)
	assert.Equal(t, int64(1000), r.BadLines)
	assert.Len(t, r.Problems, maxProblems)
	assert.Contains(t, r.Err().Error(), "and 980 more lines")
}

func TestScanTellsTheReadersError(t *testing.T) {
	t.Parallel()
	_, err := Scan(t.Context(), iotest.TimeoutReader(bytes.NewReader(content(1, 100000))), nil)
	assert.ErrorIs(t, err, iotest.ErrTimeout)
}

func TestMarks(t *testing.T) {
	t.Parallel()
	b := content(1, 40000)
	marks := []int64{int64(len(b)), 0, 1, chunkSize, chunkSize + 1, 2*chunkSize - 1, 7, int64(len(b)) + 1}
	r, err := Scan(t.Context(), bytes.NewReader(b), marks)
	require.NoError(t, err)
	for _, m := range marks {
		got, ok := r.Prefix(m)
		if m > int64(len(b)) {
			assert.False(t, ok)
			continue
		}
		sum := sha256.Sum256(b[:m])
		require.True(t, ok, "mark %d", m)
		assert.Equal(t, hex.EncodeToString(sum[:]), got, "mark %d", m)
	}
}

// FuzzLine: the quick look at a line never disagrees with encoding/json.
func FuzzLine(f *testing.F) {
	f.Add([]byte(`{"d":"a","s":"b"}`))
	f.Add([]byte(`{"d":"\u0000","s":"b"}`))
	f.Add([]byte("{\"d\":\"12345678\x1f\",\"s\":\"b\"}"))
	f.Add([]byte("{\"d\":\"1234567\x7f8\",\"s\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if usual(b) {
			var m map[string]string
			require.NoError(t, json.Unmarshal(b, &m))
			require.Len(t, m, 2)
			require.Empty(t, unusual(b))
		}
	})
}

// TestPlain compares the eight-at-a-time search with the plain one.
func TestPlain(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b := make([]byte, r.IntN(40))
		for i := range b {
			b[i] = byte(' ' + r.IntN(95))
			if b[i] == '"' || b[i] == '\\' {
				b[i] = 'x'
			}
		}
		if len(b) > 0 && r.IntN(3) > 0 {
			b[r.IntN(len(b))] = byte(r.IntN(256))
		}
		want := bytes.IndexFunc(b, func(c rune) bool { return c < 0x20 || c >= 0x80 || c == '"' || c == '\\' })
		if want < 0 {
			want = len(b)
		}
		require.Equal(t, want, plain(b), "%q", b)
	}
}

func TestVerifyWithPrevious(t *testing.T) {
	t.Parallel()
	b := content(1, 30000)
	changed := bytes.Clone(b)
	changed[chunkSize+5] ^= 1
	for name, row := range map[string]struct {
		old  []byte
		want string
	}{
		"the same":        {b, ""},
		"a prefix":        {b[:len(b)/2], ""},
		"nothing":         {nil, ""},
		"one byte less":   {b[:len(b)-1], ""},
		"a changed byte":  {changed, fmt.Sprintf("differ at byte %d", chunkSize+5)},
		"longer":          {append(bytes.Clone(b), content(30001, 1)...), "is longer than the newer one"},
		"another journal": {content(2, 10), "differ at byte"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r, p, err := Verify(t.Context(), write(t, filepath.Join(dir, "new"), b), write(t, filepath.Join(dir, "old"), row.old))
			require.NoError(t, err)
			require.NoError(t, r.Err())
			require.NotNil(t, p)
			if row.want == "" {
				assert.NoError(t, p.Err())
				return
			}
			require.Error(t, p.Err())
			assert.Contains(t, p.Err().Error(), row.want)
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	var buf bytes.Buffer
	for buf.Len() < 256<<20 {
		buf.Write(content(1, 1000))
	}
	file := write(b, filepath.Join(dir, "journal"), buf.Bytes())
	old := write(b, filepath.Join(dir, "old"), buf.Bytes()[:buf.Len()-1000])
	for name, previous := range map[string]string{"alone": "", "previous": old} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(buf.Len()))
			for b.Loop() {
				r, _, err := Verify(b.Context(), file, previous)
				require.NoError(b, err)
				require.NoError(b, r.Err())
			}
		})
	}
	b.Run("sha256-only", func(b *testing.B) {
		b.SetBytes(int64(buf.Len()))
		for b.Loop() {
			_ = sha256.Sum256(buf.Bytes())
		}
	})
}
