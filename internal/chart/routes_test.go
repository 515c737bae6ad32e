package chart

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestBypassesProxy(t *testing.T) {
	t.Parallel()
	for version, bypasses := range map[string]bool{
		"0.27.0": false, // no billing yet
		"0.27.1": true, "0.42.0": true, "0.46.0": true,
		"0.46.1": false, "0.47.0": false, "1.0.0": false, "nonsense": false,
	} {
		assert.Equal(t, bypasses, BypassesProxy(version), version)
	}
	for _, version := range Versions() {
		assert.True(t, BypassesProxy(version), "%s is newer than the last that was looked at: render it, and see where API and Engine ask", version)
	}
}
