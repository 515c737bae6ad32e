package thread

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

// within is a string in a map that may be secret.
func within(m resource.PropertyMap, name, key string) string {
	v := m[resource.PropertyKey(name)]
	for v.IsSecret() {
		v = v.SecretValue().Element
	}
	if !v.IsObject() {
		return ""
	}
	v = v.ObjectValue()[resource.PropertyKey(key)]
	for v.IsSecret() {
		v = v.SecretValue().Element
	}
	if !v.IsString() {
		return ""
	}
	return v.StringValue()
}

// TestLinksAndPasswordsAppearNowhere: signed links and the registry's password go
// to the cloud and to deepgram-ops, and into nothing that is kept or told: not
// when all goes well, not when a link is signed again, not in a failure's words.
func TestLinksAndPasswordsAppearNowhere(t *testing.T) {
	t.Parallel()
	password, token, next := canary("password"), canary("token"), canary("next-token")
	canaries := []string{password, token, next}
	o := options(t, "prod-omi",
		"registry.distribution.username", "deepgram+acme", "registry.distribution.password", password,
		"models.files", files("nova-3", token))
	var told bytes.Buffer
	encoder := json.NewEncoder(&told)
	o.Sink = func(e events.EngineEvent) { _ = encoder.Encode(e.EngineEvent) }
	s, err := rehearsal.Open(t.Context(), o)
	require.NoError(t, err)
	defer s.Close()

	_, err = s.Preview(t.Context())
	require.NoError(t, err)
	s.Cloud.Inject(standin.Fault{
		Type: "command:local:Command", Method: "Create", Mode: standin.FailBefore, Message: "exit status 1: 401 for " + password,
	})
	_, err = s.Up(t.Context(), "registry refuses")
	require.Error(t, err)
	hunt(t, "the error", []byte(err.Error()), canaries)
	s.Cloud.Inject(standin.Fault{
		// The engine keeps these words in the state. The loader's own hold no link:
		// its tests see to that.
		Type: jobKind, Method: "Create", Mode: standin.FailPartial, Message: "Job failed: BackoffLimitExceeded",
	})
	_, err = s.Up(t.Context(), "link expired")
	require.Error(t, err)
	hunt(t, "the error", []byte(err.Error()), canaries)
	require.NoError(t, s.Configure(t.Context(), environment(t, "prod-omi",
		"registry.distribution.username", "deepgram+acme", "registry.distribution.password", password,
		"models.files", files("nova-3", next))))
	_, err = s.Preview(t.Context())
	require.NoError(t, err)
	_, err = s.Up(t.Context(), "signed again")
	require.NoError(t, err)

	// They did arrive: otherwise there would be nothing to find.
	var secret, command string
	for _, object := range s.Cloud.Objects() {
		switch {
		case object.Type == secretKind && within(object.Inputs, "stringData", "sources.json") != "":
			secret = within(object.Inputs, "stringData", "sources.json")
		case object.Type == "command:local:Command":
			command += within(object.Inputs, "environment", "DEEPGRAM_DIST_PASSWORD")
			for _, line := range []string{"create", "update"} {
				require.NotEmpty(t, text(object.Inputs, line))
				hunt(t, "a command line", []byte(text(object.Inputs, line)), canaries)
			}
			require.Empty(t, text(object.Inputs, "delete"), "images go with their repository, not before")
		case object.Type == jobKind:
			inputs, err := json.Marshal(object.Inputs.Mappable())
			require.NoError(t, err)
			hunt(t, "the Job", inputs, canaries)
		}
	}
	require.JSONEq(t, `[{"url": "https://models.example.com/nova-3.dg?signature=`+next+`", "name": "nova-3.dg"}]`, secret)
	require.Equal(t, password, command, "one command signs in at quay.io, by its environment")

	for _, diagnostic := range strings.Split(told.String(), "\n") {
		if strings.Contains(diagnostic, "exit status 1") || strings.Contains(diagnostic, "Job failed") {
			continue // the provider's own words; what we pass on of them is hunted above
		}
		hunt(t, "an event", []byte(diagnostic), canaries)
	}
	result, err := json.Marshal(s.Result())
	require.NoError(t, err)
	hunt(t, "the JSON output", result, canaries)
	manifests, err := json.Marshal(s.Result().Manifests())
	require.NoError(t, err)
	hunt(t, "a manifest", manifests, canaries)
	kept := 0
	require.NoError(t, filepath.WalkDir(s.Folder(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		kept++
		hunt(t, "the file "+strings.TrimPrefix(path, s.Folder()), content, canaries)
		return nil
	}))
	require.Greater(t, kept, 2, "the state was looked at")
}
