package thread

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
)

// canary is a secret that is easy to find again.
func canary(path string) string {
	return "canary-" + strings.NewReplacer(".", "-", "[", "-", "]", "").Replace(path) + "-2f6c1b7e"
}

// hunt fails when a canary stands in a text, plain, as base64 or in hex.
func hunt(t *testing.T, where string, text []byte, canaries []string) {
	t.Helper()
	for _, c := range canaries {
		for _, form := range []string{c, base64.StdEncoding.EncodeToString([]byte(c)), fmt.Sprintf("%x", c)} {
			if i := bytes.Index(text, []byte(form)); i >= 0 {
				t.Errorf("%s holds %q: …%s…", where, c, text[max(0, i-60):min(len(text), i+60)])
			}
		}
	}
}

// TestSecretsAppearNowhere puts a canary into every secret of the configuration
// and looks for them in everything that a rehearsal leaves or tells: state, its
// backups, events, messages, JSON, values, manifests.
func TestSecretsAppearNowhere(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"mirror", "pull-through"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			o := options(t, "prod-omi", "registry.mode", mode)
			cfg, err := config.FromTree(o.Stack, o.Tree, config.AllowMissingSecrets())
			require.NoError(t, err)
			var canaries []string
			for _, field := range cfg.Secrets() {
				if strings.HasPrefix(field.Path, "billing.") || strings.Contains(field.Path, "ertificate") {
					continue // the certificate's key is made up in PEM; see below
				}
				require.NoError(t, o.Tree.Set(field.Path, canary(field.Path)))
				canaries = append(canaries, canary(field.Path))
			}
			require.NoError(t, o.Tree.Set("registry.distribution.username", "deepgram+rehearsal"))
			require.GreaterOrEqual(t, len(canaries), 3)

			var told bytes.Buffer
			encoder := json.NewEncoder(&told)
			o.Sink = func(e events.EngineEvent) { _ = encoder.Encode(e.EngineEvent) }
			s, err := rehearsal.Open(t.Context(), o)
			require.NoError(t, err)
			defer s.Close()
			_, err = s.Preview(t.Context())
			require.NoError(t, err)
			_, err = s.Up(t.Context(), rehearsal.StepUp)
			require.NoError(t, err)

			hunt(t, "an event", told.Bytes(), canaries)
			result, err := json.Marshal(s.Result())
			require.NoError(t, err)
			hunt(t, "the JSON output", result, canaries)
			require.NotContains(t, string(result), "PRIVATE KEY")
			values, err := s.Result().ValuesYAML()
			require.NoError(t, err)
			hunt(t, "the values file", values, canaries)
			manifests, err := json.Marshal(s.Result().Manifests())
			require.NoError(t, err)
			hunt(t, "a manifest", manifests, canaries)

			files := 0
			require.NoError(t, filepath.WalkDir(s.Folder(), func(path string, entry fs.DirEntry, err error) error {
				if err != nil || !entry.Type().IsRegular() {
					return err
				}
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				files++
				hunt(t, "the file "+strings.TrimPrefix(path, s.Folder()), text, canaries)
				require.NotContains(t, string(text), "PRIVATE KEY", path)
				return nil
			}))
			require.Greater(t, files, 2, "the state was looked at")
		})
	}
}

// TestErrorsHoldNoSecret lets a resource that carries a secret fail with a message
// that repeats it, as a careless provider would.
func TestErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	secret := canary("release.apiKey")
	o := options(t, "prod-omi", "release.apiKey", secret)
	s, err := rehearsal.Open(t.Context(), o)
	require.NoError(t, err)
	defer s.Close()
	s.Cloud.Inject(failing("kubernetes:core/v1:Secret", "refused: "+secret))
	_, err = s.Up(t.Context(), rehearsal.StepUp)
	require.ErrorContains(t, err, "refused: [secret]")
	hunt(t, "the error", fmt.Appendf(nil, "%v %+v %#v", err, err, err.Error()), []string{secret})
}
