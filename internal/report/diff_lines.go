package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pmezard/go-difflib/difflib"
	"sigs.k8s.io/yaml"
)

// A diff is written line by line, each with a mark that GitHub colours: + is new,
// - is old, ! is a resource, @@ a property with several lines. Every line begins
// with a mark or with four spaces, so that no foreign text can end the fence.

const (
	// longLine is where a line of a diff is shortened; the JSON report has all.
	longLine = 400
	// manyLines is where a single value is.
	manyLines = 200
	// context is how many unchanged lines stand around changed ones.
	context = 2
)

// pieces are the lines of one resource in the full diff: its own, and then those
// of its properties.
func (r *ResourceChange) pieces() []piece {
	head := "! " + word(r.Op, 2) + "  " + ShortType(r.Type) + "  " + r.Name
	if r.CloudName != "" {
		head += " (" + r.CloudName + ")"
	}
	if r.Component != "" {
		head += "  in " + r.Component
	}
	if len(r.Replaces) > 0 && r.Op == "replace" {
		head += "  forced by " + strings.Join(r.Replaces, ", ")
	}
	list := []piece{{escapeCode(cut(head, longLine)) + "\n", 1}}
	for _, f := range r.Fields {
		list = append(list, f.pieces()...)
	}
	return list
}

// pieces are the lines of one property. Small ones stay together.
func (f FieldChange) pieces() []piece {
	lines := f.lines()
	var list []piece
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line + "\n")
		if b.Len() > 2*longLine {
			list = append(list, piece{b.String(), 0})
			b.Reset()
		}
	}
	if b.Len() > 0 {
		list = append(list, piece{b.String(), 0})
	}
	return list
}

func (f FieldChange) lines() []string {
	path := escapeCode(cut(f.Path, longLine))
	if f.Forces {
		path += " (forces the replacement)"
	}
	old, next := valueLines(f.Old), valueLines(f.New)
	switch {
	case f.Old == nil && f.New == nil:
		return []string{"!     " + path}
	case len(old) <= 1 && len(next) <= 1 && !nested(f.Old) && !nested(f.New):
		var lines []string
		if f.Old != nil && f.Change != Added {
			lines = append(lines, "-     "+path+": "+one(old))
		}
		if f.New != nil && f.Change != Removed {
			lines = append(lines, "+     "+path+": "+one(next))
		}
		if f.Change == Changed && f.Old == Hidden && f.New == Hidden {
			return []string{"!     " + path + ": " + Hidden + " changes"}
		}
		return lines
	}
	lines := []string{"@@ " + path + " @@"}
	var body []string
	switch {
	case f.Old == nil || f.Change == Added:
		body = prefixed("+", next)
	case f.New == nil || f.Change == Removed:
		body = prefixed("-", old)
	default:
		body = lineDiff(old, next)
	}
	if len(body) > manyLines {
		rest := len(body) - manyLines
		body = append(body[:manyLines:manyLines], fmt.Sprintf("#     … %s more", plural(rest, "line")))
	}
	return append(lines, body...)
}

// nested tells whether a value is a map or list that holds something.
func nested(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return !empty(v)
	}
	return false
}

func one(lines []string) string {
	if len(lines) == 0 {
		return `""`
	}
	return lines[0]
}

func prefixed(mark string, lines []string) []string {
	list := make([]string, 0, min(len(lines), manyLines+1))
	for _, line := range lines {
		list = append(list, mark+"     "+line)
	}
	return list
}

// lineDiff compares texts of several lines.
func lineDiff(old, next []string) []string {
	var list []string
	groups := difflib.NewMatcherWithJunk(old, next, false, nil).GetGroupedOpCodes(context)
	for g, codes := range groups {
		if g > 0 {
			list = append(list, "#     …")
		}
		for _, c := range codes {
			if c.Tag == 'e' {
				for _, line := range old[c.I1:c.I2] {
					list = append(list, "      "+line)
				}
				continue
			}
			list = append(list, prefixed("-", old[c.I1:c.I2])...)
			list = append(list, prefixed("+", next[c.J1:c.J2])...)
		}
	}
	return list
}

// valueLines is a value as escaped lines, none too long.
func valueLines(v any) []string {
	lines := rawLines(v)
	for i, line := range lines {
		if len(line) > longLine {
			line = cut(line, longLine) + fmt.Sprintf(" (%d characters)", utf8.RuneCountInString(line))
		}
		lines[i] = escapeCode(line)
	}
	return lines
}

// rawLines is a value as lines: plain ones as they are, others as YAML.
func rawLines(v any) []string {
	if v == nil {
		return nil
	}
	text := scalar(v)
	if _, isText := v.(string); !isText && text == "" {
		out, err := yaml.Marshal(v)
		if err != nil {
			out = fmt.Append(nil, v)
		}
		text = string(out)
	}
	return strings.Split(strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), "\n")
}

// oneLine is a value as one short text, not escaped.
func oneLine(v any) string {
	lines := rawLines(v)
	switch len(lines) {
	case 0:
		return "(none)"
	case 1:
		if lines[0] == "" {
			return `""`
		}
		return lines[0]
	}
	return fmt.Sprintf("%s … (%s)", lines[0], plural(len(lines), "line"))
}
