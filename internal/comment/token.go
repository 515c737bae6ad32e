package comment

import (
	"fmt"
	"strings"
)

// Token is the credential of the API. Printing it in any way shows "[secret]".
type Token struct{ value string }

// NewToken is a token given as text.
func NewToken(value string) Token { return Token{value: strings.TrimSpace(value)} }

// IsZero tells that there is none.
func (t Token) IsZero() bool { return t.value == "" }

// String never shows the text.
func (t Token) String() string {
	if t.IsZero() {
		return ""
	}
	return "[secret]"
}

// Format never shows the text, whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// MarshalJSON never shows the text.
func (t Token) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", t.String()), nil }

// scrub takes the token out of a text that came from elsewhere.
func (t Token) scrub(text string) string {
	if t.IsZero() {
		return text
	}
	return strings.ReplaceAll(text, t.value, "[secret]")
}
