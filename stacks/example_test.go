package stacks_test

import (
	"context"
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"

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

	stack, err := auto.UpsertStackInlineSource(ctx, cfg.Stack, "deepgram-stack", stacks.Program(cfg))
	if err != nil {
		fmt.Println(err)
		return
	}
	for key, value := range stacks.ProviderConfig(cfg) {
		if err := stack.SetConfig(ctx, key, auto.ConfigValue{Value: value}); err != nil {
			fmt.Println(err)
			return
		}
	}
	result, err := stack.Up(ctx, optup.SuppressOutputs())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Outputs["apiUrl"].Value)
}
