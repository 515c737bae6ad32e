package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/google"
)

// Environment variables of credentials. Each password may instead be in the
// file that <NAME>_FILE names, as a mounted Secret is.
const (
	// EnvDistUsername and EnvDistPassword are the distribution credentials of
	// the Deepgram console (guide G-I), used for the registry of Deepgram's images.
	EnvDistUsername = "DEEPGRAM_DIST_USERNAME"
	EnvDistPassword = "DEEPGRAM_DIST_PASSWORD"
	// EnvTargetUsername and EnvTargetPassword are used for the target registry.
	EnvTargetUsername = "DEEPGRAM_TARGET_USERNAME"
	EnvTargetPassword = "DEEPGRAM_TARGET_PASSWORD"
	// EnvAuthFile names a file in the form of Docker's config.json.
	EnvAuthFile = "DEEPGRAM_REGISTRY_AUTH_FILE"
)

// Keychain finds credentials for a registry: those given for it, a file in
// Docker's form, Docker's own configuration and helpers, Google's application
// default credentials (for Artifact Registry), or none.
type Keychain struct {
	given map[string]authn.AuthConfig
	file  *configfile.ConfigFile
	rest  authn.Keychain
}

// NewKeychain reads the environment. dist and target are the registries that
// the two pairs belong to, such as quay.io; either may be empty.
func NewKeychain(lookup func(string) (string, bool), dist, target string) (*Keychain, error) {
	k := &Keychain{given: map[string]authn.AuthConfig{}, rest: authn.NewMultiKeychain(authn.DefaultKeychain, google.Keychain)}
	var errs []error
	for _, p := range []struct{ registry, user, password string }{
		{dist, EnvDistUsername, EnvDistPassword},
		{target, EnvTargetUsername, EnvTargetPassword},
	} {
		user, _ := lookup(p.user)
		password, err := valueOrFile(lookup, p.password)
		errs = append(errs, err)
		switch {
		case err != nil || p.registry == "" || user == "" && password == "":
		case user == "":
			errs = append(errs, fmt.Errorf("%s: is set, so set %s too", p.password, p.user))
		case password == "":
			errs = append(errs, fmt.Errorf("%s: is set, so set %s or %s_FILE too", p.user, p.password, p.password))
		default:
			k.given[p.registry] = authn.AuthConfig{Username: user, Password: password}
		}
	}
	if path, ok := lookup(EnvAuthFile); ok && path != "" {
		f, err := os.Open(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", EnvAuthFile, err))
		} else {
			defer f.Close()
			if k.file, err = config.LoadFromReader(f); err != nil {
				// The parser's words may quote the file.
				errs = append(errs, fmt.Errorf("%s: %s is not in the form of Docker's config.json", EnvAuthFile, path))
			}
		}
	}
	return k, errors.Join(errs...)
}

func valueOrFile(lookup func(string) (string, bool), key string) (string, error) {
	if v, ok := lookup(key); ok && v != "" {
		return v, nil
	}
	path, ok := lookup(key + "_FILE")
	if !ok || path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s_FILE: %w", key, err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// Resolve implements authn.Keychain.
func (k *Keychain) Resolve(r authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), r)
}

// ResolveContext implements authn.ContextKeychain.
func (k *Keychain) ResolveContext(ctx context.Context, r authn.Resource) (authn.Authenticator, error) {
	if c, ok := k.given[r.RegistryStr()]; ok {
		return authn.FromConfig(c), nil
	}
	if k.file != nil {
		key := r.RegistryStr()
		if key == name.DefaultRegistry {
			key = authn.DefaultAuthKey
		}
		c, err := k.file.GetAuthConfig(key)
		if err != nil {
			return nil, fmt.Errorf("credentials of %s: reading %s failed", key, EnvAuthFile)
		}
		a := authn.AuthConfig{
			Username: c.Username, Password: c.Password, Auth: c.Auth, IdentityToken: c.IdentityToken,
			RegistryToken: c.RegistryToken,
		}
		if a != (authn.AuthConfig{}) {
			return authn.FromConfig(a), nil
		}
	}
	return authn.Resolve(ctx, k.rest, r)
}

// String hides what is inside.
func (k *Keychain) String() string { return "[credentials]" }

// GoString hides what is inside.
func (k *Keychain) GoString() string { return k.String() }
