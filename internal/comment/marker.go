package comment

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// state says what a report on the request is worth.
type state string

const (
	current state = "current"
	stale   state = "stale"
	// folded is stale and folded up, where the service cannot hide a comment.
	folded state = "folded"
)

// marker is the first line of every comment of ours. GitHub and GitLab show
// nothing of it.
type marker struct {
	key   Key
	part  int    // 1 for the first
	run   string // the same for all parts of one report
	state state
}

const (
	markerOpen  = "<!-- deepgram-stack:report:v1 "
	markerClose = " -->"
	// longestMarker leaves half of the reserve to notes.
	longestMarker = 1024
)

// String is the line, without its end.
func (m marker) String() string {
	return fmt.Sprintf("%sproject=%s stack=%s command=%s part=%d run=%s state=%s%s", markerOpen,
		escape(m.key.Project), escape(m.key.Stack), escape(m.key.Command), m.part, m.run, m.state, markerClose)
}

// escape makes one word of any text that cannot end the HTML comment.
func escape(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "-", "%2D")
}

// parseMarker reads the marker of a comment's body; ok is false for all that we
// did not write. Only the first line counts: a marker further down was quoted.
func parseMarker(body string) (m marker, rest string, ok bool) {
	line, rest, _ := strings.Cut(body, "\n")
	line = strings.TrimSuffix(line, "\r") // a comment edited in a browser
	inner, ok := strings.CutPrefix(line, markerOpen)
	if !ok {
		return marker{}, body, false
	}
	inner, ok = strings.CutSuffix(inner, markerClose)
	if !ok {
		return marker{}, body, false
	}
	for _, word := range strings.Split(inner, " ") {
		name, value, _ := strings.Cut(word, "=")
		text, err := url.QueryUnescape(value)
		if err != nil {
			return marker{}, body, false
		}
		switch name {
		case "project":
			m.key.Project = text
		case "stack":
			m.key.Stack = text
		case "command":
			m.key.Command = text
		case "part":
			m.part, _ = strconv.Atoi(text)
		case "run":
			m.run = text
		case "state":
			m.state = state(text)
		}
	}
	// There is one way to write each marker: anything else is not ours.
	known := m.state == current || m.state == stale || m.state == folded
	if !known || m.part < 1 || !isRun(m.run) || m.key.validate() != nil || m.String() != line {
		return marker{}, body, false
	}
	return m, rest, true
}

// validate tells everything that is wrong with the key.
func (k Key) validate() error {
	var errs []error
	for _, f := range []struct{ name, value string }{{"project", k.Project}, {"stack", k.Stack}, {"command", k.Command}} {
		switch {
		case f.value == "":
			errs = append(errs, fmt.Errorf("key: %s is missing", f.name))
		case !utf8.ValidString(f.value):
			errs = append(errs, fmt.Errorf("key: %s is not UTF-8", f.name))
		}
	}
	if n := len(marker{key: k, part: 1000, run: strings.Repeat("0", runDigits), state: current}.String()); n > longestMarker {
		errs = append(errs, fmt.Errorf("key: project, stack and command take %d characters in the comment's marker, of %d", n, longestMarker))
	}
	return errors.Join(errs...)
}

const runDigits = 16

// newRun names one report.
func newRun() string {
	var b [runDigits / 2]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func isRun(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && len(text) == runDigits
}

// render is the whole comment.
func render(m marker, body string) string { return m.String() + "\n" + body }

// outdated is the comment with the note that it is out of date; fold also folds
// up what it says.
func outdated(m marker, body, reason string, fold bool) string {
	note := "**Out of date.** " + oneLine(reason, 300)
	if m.state == current {
		m.state = stale
		body = "> [!WARNING]\n> " + note + "\n\n" + body
	}
	if fold {
		m.state = folded
		body = "<details><summary>Out of date</summary>\n\n" + body + "\n\n</details>"
	}
	return render(m, body)
}
