package standin

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestFactsAreWhole catches a type whose facts or id form were forgotten.
func TestFactsAreWhole(t *testing.T) {
	t.Parallel()
	assert.Len(t, gcpFacts(), 30)
	for typ, f := range gcpFacts() {
		form := idForms[typ]
		assert.NotEmpty(t, form, typ)
		for _, m := range placeholder.FindAllString(form, -1) {
			name := m[1 : len(m)-1]
			if name[0] == '=' {
				name = name[1:]
			}
			assert.Contains(t, f.fields, name, "%s: the id form names a property without facts", typ)
		}
		for path := range inputDefaults[typ] {
			assert.Contains(t, f.fields, topOf(path), typ)
		}
	}
	assert.Greater(t, len(kinds().kinds), 20)
	for kind, f := range kinds().kinds {
		assert.Contains(t, f.fields, "metadata", kind)
	}
}
