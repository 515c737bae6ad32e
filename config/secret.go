package config

import "fmt"

// Secret is a value that must not be seen: given as text, encrypted in a stack
// file ("secure"), or as a reference into Google Secret Manager. Printing one
// in any way shows "[secret]".
type Secret struct {
	value     string
	encrypted bool
	reference string
}

// NewSecret is a secret given as text.
func NewSecret(value string) Secret { return Secret{value: value} }

// EncryptedSecret is a secret whose text is not known here: the stack file
// holds it encrypted.
func EncryptedSecret() Secret { return Secret{encrypted: true} }

// SecretReference is a secret in Google Secret Manager:
// projects/P/secrets/S/versions/V.
func SecretReference(name string) Secret { return Secret{reference: name} }

// IsZero tells that nothing was given.
func (s Secret) IsZero() bool { return s == Secret{} }

// Encrypted tells that it was given, but encrypted, so that Reveal is empty.
func (s Secret) Encrypted() bool { return s.encrypted }

// Reference is the version's name in Secret Manager, or empty.
func (s Secret) Reference() string { return s.reference }

// Reveal is the text; empty for an encrypted secret and for a reference.
func (s Secret) Reveal() string { return s.value }

// String never shows the text.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "[secret]"
}

// Format never shows the text, whatever the verb: without it %d would.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	_, _ = f.Write([]byte(text))
}

// GoString never shows the text.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// MarshalJSON never shows the text; it is there so that a Config can be printed.
func (s Secret) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", s.String()), nil }

// Quantity is a Kubernetes resource quantity, such as 2, 500m or 4Gi.
type Quantity string
