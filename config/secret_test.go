package config

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	cfg := Default()
	cfg.Release.APIKey = NewSecret("canary-value")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%t"} {
		require.NotContains(t, fmt.Sprintf(verb, cfg.Release.APIKey), "canary", verb)
		require.NotContains(t, fmt.Sprintf(verb, *cfg), "canary", verb)
		require.NotContains(t, fmt.Sprintf(verb, cfg.Release), "63616e617279", verb)
	}
	text, err := json.Marshal(cfg)
	require.NoError(t, err)
	require.NotContains(t, string(text), "canary")
	require.Contains(t, string(text), `"apiKey":"[secret]"`)
}
