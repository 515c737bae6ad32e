package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Everything that comes from a resource, a policy or an error is foreign text. In
// Markdown it must not begin or end anything, call people (@name), refer to issues
// (#1), make links, or hide what it says. Two escapes are enough: escapeInline for
// a line, a table's cell or <code>, and escapeCode for a line inside a fence.

// breaker stands between characters that mean something only together.
const breaker = "\u200b"

// escapeInline is foreign text as one line of Markdown, that shows what it says.
func escapeInline(text string) string {
	if plainInline(text) {
		return text
	}
	var b strings.Builder
	b.Grow(len(text) + 16)
	leading := true // nothing but digits so far: "1." would begin a list
	for i, r := range text {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			b.WriteByte(' ')
		case invisible(r):
			fmt.Fprintf(&b, `&#92;u%04x`, r)
		case r == '@':
			b.WriteString("&#64;" + breaker)
		case r == '#' || r == '!' || r == '$' || r == '%' || r == '^':
			fmt.Fprintf(&b, "&#%d;%s", r, breaker)
		case strings.ContainsRune("&<>|`*_~[]{}\\", r), leading && strings.ContainsRune("-+=.)", r):
			fmt.Fprintf(&b, "&#%d;", r)
		case r == ':' && strings.HasPrefix(text[i:], "://"):
			b.WriteString(":" + breaker)
		case (r == 'w' || r == 'W') && strings.HasPrefix(strings.ToLower(text[i:min(i+4, len(text))]), "www."):
			b.WriteRune(r)
			b.WriteString(breaker)
		case r == '-' && i >= 2 && strings.EqualFold(text[i-2:i], "gh"):
			b.WriteString("-" + breaker) // GH-1 is an issue
		default:
			b.WriteRune(r)
		}
		leading = leading && (unicode.IsDigit(r) || r == ' ')
	}
	return b.String()
}

// plainInline tells that a text needs no escape; most do not.
func plainInline(text string) bool {
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z' && c != 'w', c >= 'A' && c <= 'G', c >= 'I' && c <= 'Z' && c != 'W', c == ' ', c == ',', c == '/':
		case i > 0 && c >= '0' && c <= '9':
		default:
			return false
		}
	}
	return true
}

// escapeCode is foreign text as one line inside a fence. It must not stand at the
// beginning of the line.
func escapeCode(text string) string {
	clean := true
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '`' || c == '<' {
			clean = false
			break
		}
	}
	if clean {
		return text
	}
	var b strings.Builder
	b.Grow(len(text) + 16)
	ticks := 0
	for i, r := range text {
		switch {
		case r == '\t':
			b.WriteString("    ")
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case invisible(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		case r == '`':
			if ticks++; ticks%3 == 0 {
				b.WriteString(breaker)
			}
			b.WriteRune(r)
			continue
		case r == '<' && tag(text[i+1:]):
			b.WriteString("<" + breaker)
		default:
			b.WriteRune(r)
		}
		ticks = 0
	}
	return b.String()
}

// tag tells whether what follows < is a tag or comment that the report itself
// uses. Inside a fence it would be text to a browser; not so to simpler readers.
func tag(rest string) bool {
	rest = strings.TrimPrefix(rest, "/")
	for _, name := range []string{"details", "summary", "!--", "code", "table", "sub"} {
		if len(rest) >= len(name) && strings.EqualFold(rest[:len(name)], name) {
			return true
		}
	}
	return false
}

// invisible are characters that show nothing, or change how others show.
func invisible(r rune) bool {
	switch {
	case r == utf8.RuneError, r < ' ', r == 0x7f:
		return true
	case r < 0x80:
		return false
	}
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
		unicode.Is(unicode.Co, r)
}

// code is foreign text in the type of code.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "<code>" + escapeInline(text) + "</code>"
}

// cut shortens a text to at most n bytes, and never inside a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	const mark = "…"
	if n < len(mark) {
		return ""
	}
	n -= len(mark)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + mark
}
