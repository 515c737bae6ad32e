package components

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/projects"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// The Google Cloud APIs that the components use.
const (
	apiCompute          = "compute.googleapis.com"
	apiContainer        = "container.googleapis.com"
	apiImageStreaming   = "containerfilesystem.googleapis.com"
	apiArtifactRegistry = "artifactregistry.googleapis.com"
	apiSecretManager    = "secretmanager.googleapis.com"
	apiDNS              = "dns.googleapis.com"
	apiStorage          = "storage.googleapis.com"
	apiFilestore        = "file.googleapis.com"
	apiBackup           = "gkebackup.googleapis.com"
	// Workload Identity asks it for the tokens of an account.
	apiCredentials = "iamcredentials.googleapis.com"
)

// enableServices switches on APIs of a project for a component and returns the
// option that makes a resource wait for them. They stay on when the component
// goes: others may use them. That an API is already on, or is asked for by two
// components, is no error.
func enableServices(
	ctx *pulumi.Context, parent pulumi.Resource, name, project string, apis ...string,
) (pulumi.ResourceOption, error) {
	on := make([]pulumi.Resource, 0, len(apis))
	for _, api := range apis {
		s, err := projects.NewService(ctx, name+"-api-"+strings.TrimSuffix(api, ".googleapis.com"), &projects.ServiceArgs{
			Project:          pulumi.String(project),
			Service:          pulumi.String(api),
			DisableOnDestroy: pulumi.Bool(false),
		}, pulumi.Parent(parent))
		if err != nil {
			return nil, fmt.Errorf("enabling %s: %w", api, err)
		}
		on = append(on, s)
	}
	return pulumi.DependsOn(on), nil
}
