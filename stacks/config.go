package stacks

import "github.com/deepgram-gke/deepgram-gke/config"

// Config is the typed configuration of an environment, see package config.
type Config = config.Config

// Secret is a value that must not be seen, see package config.
type Secret = config.Secret

// DefaultConfig is a configuration with the guides' defaults and nothing that
// they leave to you.
func DefaultConfig() *Config { return config.Default() }

// NewSecret is a secret given as text.
func NewSecret(value string) Secret { return config.NewSecret(value) }

// ProviderConfig is the configuration that the gcp provider itself reads from a
// stack: gcp:project, gcp:region and gcp:zone.
func ProviderConfig(cfg *Config) map[string]string {
	return map[string]string{
		"gcp:project": cfg.GCP.Project, "gcp:region": cfg.GCP.Region, "gcp:zone": cfg.GCP.Zone,
	}
}
