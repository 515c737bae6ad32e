package components

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-command/sdk/go/command/local"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/container"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// webhookPorts are where pods answer the control plane: prometheus-adapter
// (6443), admission webhooks (8443, 10250). GKE opens 443 and 10250 only, and
// older versions not even those to pods.
var webhookPorts = []string{"6443", "8443", "10250"}

// privateCluster keeps nodes, and the control plane if asked, off the internet.
func (c *gpuCluster) privateCluster(args *container.ClusterArgs) {
	p := c.args.Cluster.Private
	if p.Enabled {
		args.PrivateClusterConfig = &container.ClusterPrivateClusterConfigArgs{
			EnablePrivateNodes:    pulumi.Bool(true),
			EnablePrivateEndpoint: pulumi.Bool(p.PrivateEndpoint),
			MasterIpv4CidrBlock:   optionalString(p.ControlPlaneCidr),
		}
	}
	// A private endpoint needs the list even where it is empty.
	if len(p.AuthorizedNetworks) == 0 && !(p.Enabled && p.PrivateEndpoint) {
		return
	}
	blocks := container.ClusterMasterAuthorizedNetworksConfigCidrBlockArray{}
	for _, n := range p.AuthorizedNetworks {
		blocks = append(blocks, &container.ClusterMasterAuthorizedNetworksConfigCidrBlockArgs{
			CidrBlock:   pulumi.String(n.Cidr),
			DisplayName: optionalString(n.Name),
		})
	}
	args.MasterAuthorizedNetworksConfig = &container.ClusterMasterAuthorizedNetworksConfigArgs{
		CidrBlocks:                  blocks,
		GcpPublicCidrsAccessEnabled: pulumi.Bool(false),
	}
}

// privateNetwork gives private nodes a way out, and the control plane a way in.
func (c *gpuCluster) privateNetwork() error {
	a := c.args
	p := a.Cluster.Private
	if !p.Enabled {
		return nil
	}
	project := cmp.Or(a.Network.Project, a.Project)
	if project != a.Project {
		// GKE switches it on itself, but not in another project's network.
		if err := c.checkGoogleAccess(project); err != nil {
			return err
		}
	}
	if p.Egress != "existing" {
		if err := c.nat(project); err != nil {
			return err
		}
	}
	rule, err := resources.NewFirewall(c.ctx, c.name+"-control-plane-firewall", &resources.FirewallArgs{
		Project:      pulumi.String(project),
		Name:         pulumi.String(shorten(a.NamePrefix+"-control-plane", 63)),
		Description:  pulumi.String("Control plane to metrics adapter and webhooks"),
		Network:      pulumi.String(a.Network.Network),
		Direction:    pulumi.String("INGRESS"),
		Allows:       []resources.FirewallAllow{{Protocol: pulumi.String("tcp"), Ports: pulumi.ToStringArray(webhookPorts)}},
		SourceRanges: pulumi.ToStringArray([]string{p.ControlPlaneCidr}),
		TargetTags:   pulumi.ToStringArray([]string{a.nodeTag()}),
	}, c.options(c.enabled)...)
	if err != nil {
		return fmt.Errorf("firewall rule of the control plane: %w", err)
	}
	c.Ready = append(c.Ready, rule)
	return nil
}

// checkGoogleAccess warns where private nodes could not reach Artifact Registry.
func (c *gpuCluster) checkGoogleAccess(project string) error {
	n := c.args.Network
	subnet, err := resources.LookupSubnetwork(c.ctx, resources.SubnetworkLookupArgs{
		Project: project, Region: c.args.Region, Name: n.Subnetwork,
	}, pulumi.Parent(c.GpuCluster))
	if err != nil {
		return fmt.Errorf("Network.Subnetwork: looking up %q in region %s of project %s: %w",
			n.Subnetwork, c.args.Region, project, err)
	}
	if subnet.PrivateIpGoogleAccess {
		return nil
	}
	return c.ctx.Log.Warn(fmt.Sprintf("subnetwork %q of project %s has no Private Google Access: private nodes reach "+
		"Google APIs and Artifact Registry through NAT only; switch it on with "+
		"`gcloud compute networks subnets update %s --region=%s --project=%s --enable-private-ip-google-access`",
		n.Subnetwork, project, n.Subnetwork, c.args.Region, project), &pulumi.LogArgs{Resource: c.GpuCluster})
}

// nat lets private nodes out. It serves the cluster's subnetwork only, so that
// another subnetwork can have its own; a subnetwork that has one already is what
// Egress "existing" is for.
func (c *gpuCluster) nat(project string) error {
	a := c.args
	router, err := resources.NewRouter(c.ctx, c.name+"-router", &resources.RouterArgs{
		Project: pulumi.String(project),
		Region:  pulumi.String(a.Region),
		Name:    pulumi.String(shorten(a.NamePrefix+"-router", 63)),
		Network: pulumi.String(a.Network.Network),
	}, c.options(c.enabled)...)
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	subnetwork := "projects/" + project + "/regions/" + a.Region + "/subnetworks/" + a.Network.Subnetwork
	nat, err := resources.NewRouterNat(c.ctx, c.name+"-nat", &resources.RouterNatArgs{
		Project:                       pulumi.String(project),
		Region:                        pulumi.String(a.Region),
		Name:                          pulumi.String(shorten(a.NamePrefix+"-nat", 63)),
		Router:                        router.Name,
		NatIpAllocateOption:           pulumi.String("AUTO_ONLY"),
		SourceSubnetworkIpRangesToNat: pulumi.String("LIST_OF_SUBNETWORKS"),
		Subnetworks: []resources.RouterNatSubnetwork{{
			Name:                 pulumi.String(subnetwork),
			SourceIpRangesToNats: pulumi.ToStringArray([]string{"ALL_IP_RANGES"}),
		}},
		LogConfig: &resources.RouterNatLogConfig{Enable: pulumi.Bool(true), Filter: pulumi.String("ERRORS_ONLY")},
	}, c.options()...)
	if err != nil {
		return fmt.Errorf("NAT: %w", err)
	}
	c.egress = append(c.egress, nat)
	return nil
}

// dnsEndpoint opens the control plane's DNS endpoint and uses it. The gcp
// provider 7 cannot, so gcloud does; the kubeconfig needs gcloud's plugin anyway.
// Nothing is undone when the cluster goes, since the endpoint goes with it.
func (c *gpuCluster) dnsEndpoint() error {
	a := c.args
	if !a.Cluster.Private.DNSEndpoint {
		return nil
	}
	which := fmt.Sprintf("%s --location=%s --project=%s", a.Cluster.Name, a.Cluster.Location, a.Project)
	open, err := local.NewCommand(c.ctx, c.name+"-dns-endpoint", &local.CommandArgs{
		Create: pulumi.String("gcloud container clusters update " + which + " --enable-dns-access --quiet >&2 && " +
			"gcloud container clusters describe " + which +
			" --format='value(controlPlaneEndpointsConfig.dnsEndpointConfig.endpoint)'"),
		Triggers: pulumi.Array{c.Cluster.Endpoint},
	}, c.options(pulumi.DependsOn([]pulumi.Resource{c.Cluster}))...)
	if err != nil {
		return fmt.Errorf("DNS endpoint: %w", err)
	}
	c.Endpoint = pulumi.All(open.Stdout, c.Cluster.Endpoint).ApplyT(func(v []any) string {
		if host := strings.TrimSpace(v[0].(string)); host != "" {
			return host
		}
		return v[1].(string)
	}).(pulumi.StringOutput)
	// Its certificate is a public one; the cluster's own CA would not match.
	c.CaCertificate = pulumi.All(open.Stdout, c.CaCertificate).ApplyT(func(v []any) string {
		if strings.TrimSpace(v[0].(string)) != "" {
			return ""
		}
		return v[1].(string)
	}).(pulumi.StringOutput)
	// A cluster takes one change at a time; gcloud does not queue behind the provider.
	c.egress = append(c.egress, open)
	return nil
}

// provider makes the way into the cluster.
func (c *gpuCluster) provider() error {
	a := c.args
	server := c.Endpoint
	c.Kubeconfig = pulumi.ToSecret(pulumi.All(server, c.CaCertificate).ApplyT(func(v []any) (string, error) {
		return kubeconfig(a.clusterName(), v[0].(string), v[1].(string))
	})).(pulumi.StringOutput)
	options := c.options()
	if c.Cluster != nil {
		// With a fixed identity, below, a new cluster of the same name would pass for
		// the old one.
		options = append(options, pulumi.ReplaceWith([]pulumi.Resource{c.Cluster}))
	}
	provider, err := kubernetes.NewProvider(c.ctx, c.name+"-kubernetes", &kubernetes.ProviderArgs{
		Kubeconfig: c.Kubeconfig,
		// Otherwise another address of the same cluster (a private or DNS endpoint)
		// would replace everything in it.
		ClusterIdentifier: pulumi.String("projects/" + a.Project + "/locations/" + a.Cluster.Location +
			"/clusters/" + a.clusterName()),
		EnableServerSideApply: pulumi.Bool(true),
		// A rotated Secret changes in place; otherwise it would be gone for a moment,
		// and pods that start just then would fail.
		EnableSecretMutable:      pulumi.Bool(true),
		EnableConfigMapMutable:   pulumi.Bool(true),
		SuppressHelmHookWarnings: pulumi.Bool(true),
	}, options...)
	if err != nil {
		return fmt.Errorf("kubernetes provider: %w", err)
	}
	c.Provider = provider
	return nil
}

// kubeconfig signs in with whoever runs it, through gcloud's plugin; it holds no
// credentials. It is JSON, which every reader of YAML takes.
func kubeconfig(name, server, ca string) (string, error) {
	type object = map[string]any
	cluster := object{"server": "https://" + server}
	if ca != "" {
		cluster["certificate-authority-data"] = ca
	}
	text, err := json.MarshalIndent(object{
		"apiVersion":      "v1",
		"kind":            "Config",
		"current-context": name,
		"clusters":        []object{{"name": name, "cluster": cluster}},
		"contexts":        []object{{"name": name, "context": object{"cluster": name, "user": name}}},
		"users": []object{{"name": name, "user": object{"exec": object{
			"apiVersion":         "client.authentication.k8s.io/v1beta1",
			"command":            "gke-gcloud-auth-plugin",
			"installHint":        "install it with: gcloud components install gke-gcloud-auth-plugin",
			"provideClusterInfo": true,
			"interactiveMode":    "Never",
		}}}},
	}, "", "  ")
	return string(text), err
}
