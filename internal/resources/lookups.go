package resources

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Tokens of the lookups, as the SDK calls them.
const (
	SecretVersionAccessToken = "gcp:secretmanager/getSecretVersionAccess:getSecretVersionAccess"
	SubnetworkLookupToken    = "gcp:compute/getSubnetwork:getSubnetwork"
	ProjectLookupToken       = "gcp:organizations/getProject:getProject"
)

// invokeOptions puts the pinned version before the caller's options.
func invokeOptions(opts []pulumi.InvokeOption) []pulumi.InvokeOption {
	return append([]pulumi.InvokeOption{pulumi.Version(GCPVersion)}, opts...)
}

// SecretVersionArgs name a version of a secret in Secret Manager.
type SecretVersionArgs struct {
	// Project is the secret's project. Required.
	Project string `pulumi:"project"`
	// Secret is the secret's name. Required.
	Secret string `pulumi:"secret"`
	// Version is a number, or "latest". Required.
	Version string `pulumi:"version"`
}

// SecretVersionData reads a secret's text from Secret Manager. The result is a
// secret. A failed read is an error of every resource that uses the result.
func SecretVersionData(ctx *pulumi.Context, args SecretVersionArgs, opts ...pulumi.InvokeOption) pulumi.StringOutput {
	out := ctx.InvokeOutput(SecretVersionAccessToken, args, pulumi.MapOutput{},
		pulumi.InvokeOutputOptions{InvokeOptions: invokeOptions(opts)}).(pulumi.MapOutput)
	data := out.ApplyT(func(m map[string]any) string {
		s, _ := m["secretData"].(string)
		return s
	})
	return pulumi.ToSecret(data).(pulumi.StringOutput)
}

// SubnetworkLookupArgs name a subnetwork.
type SubnetworkLookupArgs struct {
	// Project is the subnetwork's project. Required.
	Project string `pulumi:"project"`
	// Region is the subnetwork's region. Required.
	Region string `pulumi:"region"`
	// Name is the subnetwork's name. Required.
	Name string `pulumi:"name"`
}

// SubnetworkLookupResult is what is known of a subnetwork.
type SubnetworkLookupResult struct {
	IpCidrRange           string `pulumi:"ipCidrRange"`
	Network               string `pulumi:"network"`
	PrivateIpGoogleAccess bool   `pulumi:"privateIpGoogleAccess"`
	SelfLink              string `pulumi:"selfLink"`
}

// LookupSubnetwork reads a subnetwork that exists.
func LookupSubnetwork(
	ctx *pulumi.Context, args SubnetworkLookupArgs, opts ...pulumi.InvokeOption,
) (*SubnetworkLookupResult, error) {
	var r SubnetworkLookupResult
	if err := ctx.Invoke(SubnetworkLookupToken, &args, &r, invokeOptions(opts)...); err != nil {
		return nil, err
	}
	return &r, nil
}

// ProjectLookupArgs name a project.
type ProjectLookupArgs struct {
	// ProjectID is the project's id. Required.
	ProjectID string `pulumi:"projectId"`
}

// ProjectLookupResult is what is known of a project.
type ProjectLookupResult struct {
	// Number is the project's number, as text.
	Number string `pulumi:"number"`
}

// LookupProject reads a project's number.
func LookupProject(
	ctx *pulumi.Context, args ProjectLookupArgs, opts ...pulumi.InvokeOption,
) (*ProjectLookupResult, error) {
	var r ProjectLookupResult
	if err := ctx.Invoke(ProjectLookupToken, &args, &r, invokeOptions(opts)...); err != nil {
		return nil, err
	}
	return &r, nil
}
