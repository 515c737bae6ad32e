package rehearsal

import (
	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

// NewCloud is a pretended world that holds what the configuration takes for
// granted: the project, what it names as existing, and the secrets it refers to.
func NewCloud(cfg *config.Config) *standin.Cloud {
	options := []standin.Option{
		standin.Project(cfg.GCP.Project, "100000000001"),
		standin.Location(cfg.GCP.Region, cfg.GCP.Zone),
	}
	for _, field := range cfg.Secrets() {
		if reference := field.Secret.Reference(); reference != "" {
			value, err := madeUp(field.Path)
			if err == nil {
				options = append(options, standin.SecretValue(reference, value))
			}
		}
	}
	return standin.NewCloud(options...)
}

// keep takes over the secrets of before where cfg has none that can be read, so
// that a change of another key does not look like a rotation.
func keep(cfg, before *config.Config) {
	known := map[string]config.Secret{}
	for _, field := range before.Secrets() {
		known[field.Path] = *field.Secret
	}
	for _, field := range cfg.Secrets() {
		if old, found := known[field.Path]; found && field.Secret.Reveal() == "" && field.Secret.Reference() == "" {
			*field.Secret = old
		}
	}
	certificate, old := &cfg.Ingress.Certificate, before.Ingress.Certificate
	if certificate.Bundle == "" && certificate.Existing == "" && cfg.Ingress.Host == before.Ingress.Host {
		certificate.Bundle, certificate.Key = old.Bundle, old.Key
	}
}
