package opscmd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
	"github.com/deepgram-gke/deepgram-gke/internal/smoke/smoketest"
)

// The commands of docs/smoke-test.md: those by URL are run against the stand-in,
// those that need a cluster or a stack are read by the command.
func TestSmokeDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/smoke-test.md")
	require.NoError(t, err)
	dir := t.TempDir()
	_, ca := tlsAPI(t, &smoketest.API{}, time.Now().Add(time.Hour), "dg.example.com")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hola.wav"), smoke.Sample().WAV, 0o600))
	spanish := smoketest.General
	spanish.Languages = []string{"es"}
	english, other := smokeAPI(t, &smoketest.API{}), smokeAPI(t, &smoketest.API{Models: []smoketest.Model{spanish}, Words: "Buenos días."})

	run, read := 0, 0
	for line := range strings.Lines(string(text)) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "deepgram-ops smoke-test ")
		if !ok {
			continue
		}
		api := english
		if strings.Contains(line, "hola.wav") {
			api = other
		}
		args := words(strings.NewReplacer("https://dg.example.com", api, "https://10.128.0.50", api,
			"ca.pem", ca, "hola.wav", filepath.Join(dir, "hola.wav"), "smoke.xml", filepath.Join(dir, "smoke.xml")).Replace(line))
		if strings.Contains(line, "--url") {
			code, out, errs := smokeRun(t.Context(), nil, append(args, "--pace", "50")...)
			assert.Equal(t, ExitDone, code, "%s\n%s%s", line, out, errs)
			run++
			continue
		}
		s := Streams{In: strings.NewReader(""), LookupEnv: func(string) (string, bool) { return "", false }}
		called := false
		c := newSmokeCmd(s, func(context.Context, *smokeOptions) error { called = true; return nil })
		if args[0] == "load" {
			c = newSmokeLoadCmd(s, func(context.Context, *smokeLoadOptions) error { called = true; return nil })
			args = args[1:]
		}
		c.SetArgs(args)
		require.NoError(t, c.ExecuteContext(t.Context()), line)
		assert.True(t, called, line)
		read++
	}
	assert.GreaterOrEqual(t, run, 4)
	assert.GreaterOrEqual(t, read, 4)
}

// words are those of a shell's line, of which some are quoted.
func words(line string) []string {
	var list []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		list = append(list, strings.Fields(part)...)
	}
	return list
}
