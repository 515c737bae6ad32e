package comment

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMarkerNeedsTheWholeLine(t *testing.T) {
	t.Parallel()
	m := marker{key: Key{"p", "prod", "preview"}, part: 1, run: newRun(), state: current}
	line := m.String()
	for name, body := range map[string]string{
		"quoted":        "> " + line,
		"second line":   "\n" + line,
		"indented":      " " + line,
		"in code":       "```\n" + line + "\n```",
		"more after":    line + " x",
		"cut":           line[:len(line)-1],
		"other state":   strings.Replace(line, "state=current", "state=done", 1),
		"no state":      strings.Replace(line, " state=current", "", 1),
		"part 0":        strings.Replace(line, "part=1", "part=0", 1),
		"part 01":       strings.Replace(line, "part=1", "part=01", 1),
		"another order": strings.Replace(line, "part=1 run="+m.run, "run="+m.run+" part=1", 1),
		"twice":         strings.Replace(line, "part=1", "part=1 part=1", 1),
		"odd run":       strings.Replace(line, m.run, "zz", 1),
		"other version": strings.Replace(line, ":v1 ", ":v2 ", 1),
		"odd escape":    strings.Replace(line, "stack=prod", "stack=%70rod", 1),
		"no stack":      strings.Replace(line, "stack=prod", "stack=", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEqual(t, line, body)
			_, rest, ok := parseMarker(body)
			assert.False(t, ok)
			assert.Equal(t, body, rest)
		})
	}
	for _, body := range []string{line + "\ntext", line + "\r\ntext"} {
		got, rest, ok := parseMarker(body)
		assert.True(t, ok)
		assert.Equal(t, m, got)
		assert.Equal(t, "text", rest)
	}
}

// Any body either holds a marker that is written in our one way, or none.
func FuzzParseMarker(f *testing.F) {
	line := marker{key: Key{"p", "prod-omi", "preview"}, part: 2, run: "0123456789abcdef", state: stale}.String()
	for _, body := range []string{"", line, line + "\r\nx", "> " + line, line[:20], markerOpen + markerClose, line + line, "<!-- deepgram-stack:report:v1 project=%ZZ -->"} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		m, rest, ok := parseMarker(body)
		if !ok {
			require.Equal(t, body, rest)
			require.Equal(t, marker{}, m)
			return
		}
		first, _, _ := strings.Cut(body, "\n")
		require.Equal(t, m.String(), strings.TrimSuffix(first, "\r"))
		require.True(t, strings.HasSuffix(body, rest))
		again, restAgain, ok := parseMarker(render(m, rest))
		require.True(t, ok)
		require.Equal(t, m, again)
		require.Equal(t, rest, restAgain)
	})
}

// Any key comes back from its marker, whatever stands around it, and the marker
// stays one HTML comment on one line.
func FuzzMarker(f *testing.F) {
	f.Add("deepgram-stack", "prod", "preview", "body", "reason")
	f.Add("p", "a --> b", "<!--", markerOpen, "--> <!-- \n")
	f.Add("ü", "🦻 --!>", "a\nb", "", "")
	f.Fuzz(func(t *testing.T, project, stack, command, body, reason string) {
		key := Key{project, stack, command}
		if key.validate() != nil {
			return
		}
		m := marker{key: key, part: 3, run: newRun(), state: current}
		line := m.String()
		require.Equal(t, 1, strings.Count(line, "-->"))
		require.NotContains(t, strings.TrimPrefix(line, "<!"), "<!")
		require.NotContains(t, strings.TrimSuffix(line, markerClose)[len(markerOpen):], "--")
		require.NotContains(t, line, "\n")
		got, rest, ok := parseMarker(render(m, body))
		require.True(t, ok)
		require.Equal(t, m, got)
		require.Equal(t, body, rest)

		// Notes of later runs fit into the reserve, and keep the key.
		for _, fold := range []bool{false, true} {
			text := outdated(m, body, reason, fold)
			got, _, ok := parseMarker(text)
			require.True(t, ok)
			require.Equal(t, key, got.key)
			require.NotEqual(t, current, got.state)
			require.LessOrEqual(t, utf8.RuneCountInString(text), utf8.RuneCountInString(body)+reserve)
		}
	})
}
