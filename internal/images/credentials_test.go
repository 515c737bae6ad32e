package images

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func mustTag(t testing.TB, ref string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(ref)
	require.NoError(t, err)
	return tag
}

func env(pairs ...string) func(string) (string, bool) {
	return func(key string) (string, bool) {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == key {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// guard asks for a user and password.
func guard(user, password string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		u, p, _ := r.BasicAuth()
		if u == user && p == password {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

func TestCredentialsReachTheirRegistryAndNothingElse(t *testing.T) {
	t.Parallel()
	const distPassword, targetPassword = "canary-dist-4711", "canary-target-4712"
	src, dst := newServer(t), newServer(t)
	img := one(t, src, dst, 500)
	src.misbehave(guard("deepgram+acme", distPassword))
	dst.misbehave(guard("writer", targetPassword))
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(targetPassword+"\n"), 0o600))
	k, err := NewKeychain(env(EnvDistUsername, "deepgram+acme", EnvDistPassword, distPassword,
		EnvTargetUsername, "writer", EnvTargetPassword+"_FILE", file), src.host(), dst.host())
	require.NoError(t, err)
	_, err = quick(t, func(o *Options) { o.Keychain = k }).Mirror(background(), []Image{img}, nil)
	require.NoError(t, err)
	for _, shown := range []string{fmt.Sprint(k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k)} {
		assert.NotContains(t, shown, "canary")
	}

	auth := filepath.Join(t.TempDir(), "auth.json")
	require.NoError(t, os.WriteFile(auth, fmt.Appendf(nil, `{"auths": {%q: {"username": "deepgram+acme", "password": %q}, %q: {"username": "writer", "password": %q}}}`,
		src.host(), distPassword, dst.host(), targetPassword), 0o600))
	k, err = NewKeychain(env(EnvAuthFile, auth), src.host(), dst.host())
	require.NoError(t, err)
	results, err := quick(t, func(o *Options) { o.Keychain = k }).Verify(background(), []Image{img}, nil, true, false)
	require.NoError(t, err)
	assert.Equal(t, Equal, results[0].Status)

	k, err = NewKeychain(env(EnvDistUsername, "deepgram+acme", EnvDistPassword, "canary-wrong-4713"), src.host(), dst.host())
	require.NoError(t, err)
	_, err = quick(t, func(o *Options) { o.Keychain = k }).Mirror(background(), []Image{img}, nil)
	require.ErrorContains(t, err, "refused the credentials (401)")
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "canary")
}

func TestHalfCredentialsAreRefused(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "auth.json")
	require.NoError(t, os.WriteFile(broken, []byte(`{"auths": {"x": {"auth": "canary`), 0o600))
	_, err := NewKeychain(env(EnvDistPassword, "canary", EnvTargetUsername, "writer", EnvAuthFile, broken), "quay.io", "pkg.dev")
	require.Error(t, err)
	assert.ErrorContains(t, err, "DEEPGRAM_DIST_PASSWORD: is set, so set DEEPGRAM_DIST_USERNAME too")
	assert.ErrorContains(t, err, "DEEPGRAM_TARGET_USERNAME: is set, so set DEEPGRAM_TARGET_PASSWORD or DEEPGRAM_TARGET_PASSWORD_FILE too")
	assert.ErrorContains(t, err, "is not in the form of Docker's config.json")
	assert.NotContains(t, err.Error(), "canary")
	_, err = NewKeychain(env(EnvDistUsername, "u", EnvDistPassword+"_FILE", "/does/not/exist"), "quay.io", "")
	assert.ErrorContains(t, err, "DEEPGRAM_DIST_PASSWORD_FILE")
}
