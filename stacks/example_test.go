package stacks_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// A Go service that deploys an environment from a configuration at hand, without
// any YAML. The Pulumi CLI must be on PATH; the gcp provider takes its
// credentials from where it always does.
func Example() {
	ctx := context.Background()
	cfg := stacks.DefaultConfig()
	cfg.Stack = "staging"
	cfg.GCP.Project, cfg.GCP.Region, cfg.GCP.Zone = "acme-speech", "us-central1", "us-central1-a"
	cfg.Release.Tag = "release-260812"
	cfg.Release.APIKey = stacks.NewSecret(os.Getenv("DEEPGRAM_API_KEY"))
	cfg.Registry.Mode, cfg.Registry.Repository = "existing", "deepgram"
	cfg.Ingress.Host = "dg.staging.acme.example"
	cfg.Ingress.Certificate.Existing = "staging-certificate"
	cfg.Grafana.Enabled = false

	d, err := stacks.New(ctx, stacks.Options{Config: cfg, Backend: "gs://acme-pulumi-state", PolicyPack: "bin/deepgram-policy"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	result, err := d.Up(ctx, stacks.UpOptions{})
	var refused *stacks.PolicyError
	switch {
	case errors.As(err, &refused):
		fmt.Println(refused.Violations)
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println(result.Outputs["apiUrl"])
	}
}
