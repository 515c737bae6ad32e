package report

// NameOf is the last part of a URN.
func NameOf(urn string) string { return nameOf(urn) }

// Plain takes the colour marks of the engine out of a text.
func Plain(text string) string { return plain(text) }
