package components

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/container"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/projects"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/serviceaccount"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// Roles of the node pools: the values of the label NodeTypeLabel.
const (
	RoleSystem       = "system"
	RoleAPI          = "api"
	RoleEngine       = "engine"
	RoleLicenseProxy = "license-proxy"
	RoleBilling      = "billing"

	// NodeTypeLabel is what the chart's node affinity looks at (guide G-C.2).
	NodeTypeLabel = "k8s.deepgram.com/node-type"
)

// nodeRoles are all that a node may do in its project. Pulling images is granted
// on the one repository, by Registry.
var nodeRoles = []struct{ key, role string }{
	{"node", "roles/container.defaultNodeServiceAccount"},
	// Image streaming counts its use against the project (guide G-C.1).
	{"image-streaming", "roles/serviceusage.serviceUsageConsumer"},
}

// GpuCluster is the GKE cluster with a node pool for each role, their service
// account, and the provider to reach it (guide G-C). The cluster and its pools
// may exist already.
type GpuCluster struct {
	pulumi.ResourceState

	// Cluster is the cluster, for callers that must wait for it; nil where an
	// existing one is used.
	Cluster *container.Cluster
	// Pools are the node pools by role; empty where existing ones are used.
	Pools map[string]*container.NodePool
	// Provider reaches the cluster.
	Provider *kubernetes.Provider
	// NodeTags are the network tags of the nodes. For existing pools they are what
	// GKE tells, or what the arguments say; they may be empty.
	NodeTags []string
	// PodRanges are the ranges of the pods of an existing cluster, for a firewall
	// rule where its nodes have no tag of their own.
	PodRanges []string
	// Name is the cluster's name.
	Name pulumi.StringOutput `pulumi:"name"`
	// Location is the region or zone of the control plane.
	Location pulumi.StringOutput `pulumi:"location"`
	// Endpoint is the control plane's address.
	Endpoint pulumi.StringOutput `pulumi:"endpoint"`
	// CaCertificate is the control plane's CA certificate, base64.
	CaCertificate pulumi.StringOutput `pulumi:"caCertificate"`
	// Kubeconfig is a kubeconfig that signs in with gke-gcloud-auth-plugin. It is a
	// secret.
	Kubeconfig pulumi.StringOutput `pulumi:"kubeconfig"`
	// NodeServiceAccountEmail is the nodes' service account; empty where existing
	// pools are used and no account was given.
	NodeServiceAccountEmail pulumi.StringOutput `pulumi:"nodeServiceAccountEmail"`
	// Ready is what a workload has to wait for: the pools, what their account may
	// do, and the way in and out of private nodes.
	Ready []pulumi.Resource
}

// GpuClusterArgs says what cluster there is. Its plain structs have their derived
// fields settled, as config.Config.Complete does.
type GpuClusterArgs struct {
	// Project is the Google Cloud project. Required.
	Project string
	// Region is the region of network and cluster. Required.
	Region string
	// EngineZone is the one zone of the engines: the models disk's. Required
	// unless ExistingPools.
	EngineZone string
	// NamePrefix starts the names of service account, network tag, router and
	// firewall rule. Required.
	NamePrefix string
	// Cluster is the cluster: Name and Location, or Existing and Location.
	Cluster config.Cluster
	// Pools are the node pools by role.
	Pools config.Pools
	// Network is the cluster's network; its ProxyOnlySubnet is not read.
	Network config.Network
	// LicenseProxy makes the pool of the licence proxy.
	LicenseProxy bool
	// Billing makes the pool of the billing container.
	Billing bool
	// Filestore switches on the driver for shared volumes.
	Filestore bool
	// ManagedPrometheus switches on Google's own collection, of GPUs and pods too;
	// off because the chart brings Prometheus.
	ManagedPrometheus bool
	// BackupAgent switches on the agent of Backup for GKE.
	BackupAgent bool
	// NodeServiceAccount is the e-mail address of a service account to use for the
	// nodes instead of making one. It has to have its roles.
	NodeServiceAccount pulumi.StringInput
	// NodeTags are the network tags of existing pools; nil means those that GKE
	// tells of.
	NodeTags []string
	// SkipServices leaves the project's APIs as they are.
	SkipServices bool
	// Production protects the cluster from deletion and replacement.
	Production bool
	// Labels are put on the cluster, and by GKE on its nodes and disks.
	Labels map[string]string
}

// NewGpuCluster registers a cluster with its pools, or refers to an existing one.
func NewGpuCluster(
	ctx *pulumi.Context, name string, args *GpuClusterArgs, opts ...pulumi.ResourceOption,
) (*GpuCluster, error) {
	if args == nil {
		args = &GpuClusterArgs{} // Validate tells what is missing
	}
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("gpu cluster %q: %w", name, err)
	}
	c, err := newGpuCluster(ctx, name, args, opts)
	if err != nil {
		return nil, fmt.Errorf("gpu cluster %q: %w", name, err)
	}
	return c, nil
}

// gpuCluster is a GpuCluster while it is made.
type gpuCluster struct {
	*GpuCluster
	ctx     *pulumi.Context
	name    string
	args    *GpuClusterArgs
	enabled pulumi.ResourceOption
	// account is the nodes' service account as the pools take it.
	account pulumi.StringPtrInput
	// egress is what private nodes need before they can start.
	egress []pulumi.Resource
}

func newGpuCluster(
	ctx *pulumi.Context, name string, a *GpuClusterArgs, opts []pulumi.ResourceOption,
) (*GpuCluster, error) {
	c := &gpuCluster{
		GpuCluster: &GpuCluster{
			Pools:                   map[string]*container.NodePool{},
			NodeTags:                a.NodeTags,
			NodeServiceAccountEmail: pulumi.String("").ToStringOutput(),
		},
		ctx: ctx, name: name, args: a, enabled: pulumi.DependsOn(nil),
	}
	err := ctx.RegisterComponentResourceV2("deepgram:index:GpuCluster", name, a.inputs(), c.GpuCluster, opts...)
	if err != nil {
		return nil, err
	}
	steps := []func() error{c.services, c.serviceAccount}
	if a.Cluster.Existing == "" {
		steps = append(steps, c.cluster, c.privateNetwork, c.dnsEndpoint)
	} else {
		steps = append(steps, c.existing)
	}
	steps = append(steps, c.pools, c.provider)
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c.GpuCluster, ctx.RegisterResourceOutputs(c.GpuCluster, pulumi.Map{
		"name":                    c.Name,
		"location":                c.Location,
		"endpoint":                c.Endpoint,
		"caCertificate":           c.CaCertificate,
		"kubeconfig":              c.Kubeconfig,
		"nodeServiceAccountEmail": c.NodeServiceAccountEmail,
		"nodeTags":                pulumi.ToStringArray(c.NodeTags),
	})
}

// inputs are what the state keeps of the arguments.
func (a *GpuClusterArgs) inputs() pulumi.Map {
	return pulumi.Map{
		"project":       pulumi.String(a.Project),
		"region":        pulumi.String(a.Region),
		"engineZone":    pulumi.String(a.EngineZone),
		"cluster":       pulumi.String(cmp.Or(a.Cluster.Existing, a.Cluster.Name)),
		"existing":      pulumi.Bool(a.Cluster.Existing != ""),
		"existingPools": pulumi.Bool(a.Cluster.ExistingPools),
		"location":      pulumi.String(a.Cluster.Location),
		"private":       pulumi.Bool(a.Cluster.Private.Enabled),
	}
}

func (c *gpuCluster) options(more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return childOptions(c.GpuCluster, more...)
}

// services switch on the APIs. Image streaming does nothing, and says nothing,
// without its own.
func (c *gpuCluster) services() error {
	if c.args.SkipServices {
		return nil
	}
	apis := []string{apiCompute, apiContainer}
	if c.args.Cluster.ImageStreaming {
		apis = append(apis, apiImageStreaming)
	}
	var err error
	c.enabled, err = enableServices(c.ctx, c.GpuCluster, c.name, c.args.Project, apis...)
	return err
}

// serviceAccount makes the nodes' account with the least that nodes need. The
// default account would be editor of the project.
func (c *gpuCluster) serviceAccount() error {
	a := c.args
	if a.NodeServiceAccount != nil {
		c.NodeServiceAccountEmail = a.NodeServiceAccount.ToStringOutput()
		c.account = c.NodeServiceAccountEmail.ToStringPtrOutput()
		return nil
	}
	if a.Cluster.ExistingPools {
		return nil
	}
	id := shorten(a.NamePrefix+"-nodes", 30) // all that an account's id may have
	account, err := serviceaccount.NewAccount(c.ctx, c.name+"-service-account", &serviceaccount.AccountArgs{
		Project:     pulumi.String(a.Project),
		AccountId:   pulumi.String(id),
		DisplayName: pulumi.String(shorten("Nodes of "+a.clusterName(), 100)),
	}, c.options(c.enabled)...)
	if err != nil {
		return fmt.Errorf("service account: %w", err)
	}
	// The address follows from the id, so that a preview shows it and policies can
	// judge it; the URN, which a preview knows too, makes it wait for the account.
	c.NodeServiceAccountEmail = account.URN().ApplyT(func(pulumi.URN) string {
		return serviceAccountEmail(id, a.Project)
	}).(pulumi.StringOutput)
	c.account = c.NodeServiceAccountEmail.ToStringPtrOutput()
	for _, r := range nodeRoles {
		if r.key == "image-streaming" && !a.Cluster.ImageStreaming {
			continue
		}
		member, err := projects.NewIAMMember(c.ctx, c.name+"-role-"+r.key, &projects.IAMMemberArgs{
			Project: pulumi.String(a.Project),
			Role:    pulumi.String(r.role),
			Member:  pulumi.Sprintf("serviceAccount:%s", c.NodeServiceAccountEmail),
		}, c.options()...)
		if err != nil {
			return fmt.Errorf("role %s: %w", r.role, err)
		}
		c.Ready = append(c.Ready, member)
	}
	return nil
}

// serviceAccountEmail is the address of a service account. The id of a project
// that belongs to a domain is "example.com:project".
func serviceAccountEmail(id, project string) string {
	if domain, name, scoped := strings.Cut(project, ":"); scoped {
		project = name + "." + domain
	}
	return id + "@" + project + ".iam.gserviceaccount.com"
}

// nodeTag is on this cluster's nodes and on no others.
func (a *GpuClusterArgs) nodeTag() string { return shorten(a.NamePrefix+"-nodes", 63) }

func (a *GpuClusterArgs) clusterName() string { return cmp.Or(a.Cluster.Existing, a.Cluster.Name) }

// cluster makes the cluster (guide G-C.1). The guide's cluster starts with a pool
// of n2-standard-2; here that is the system pool, a resource of its own, because
// a pool inside the cluster's resource cannot change without the cluster. The
// first pool that GKE insists on is removed at once.
func (c *gpuCluster) cluster() error {
	a := c.args
	cl := a.Cluster
	args := &container.ClusterArgs{
		Project:               pulumi.String(a.Project),
		Name:                  pulumi.String(cl.Name),
		Location:              pulumi.String(cl.Location),
		NodeLocations:         a.clusterZones(),
		Description:           pulumi.String("Deepgram"),
		Network:               pulumi.String(networkPath(a.Project, a.Network.Project, a.Network.Network)),
		Subnetwork:            pulumi.String(subnetworkPath(a.Project, a.Network.Project, a.Region, a.Network.Subnetwork)),
		NetworkingMode:        pulumi.String("VPC_NATIVE"), // internal Ingresses reach pods directly
		IpAllocationPolicy:    a.ipAllocation(),
		RemoveDefaultNodePool: pulumi.Bool(true),
		InitialNodeCount:      pulumi.Int(1),
		NodeConfig: &container.ClusterNodeConfigArgs{
			// Also for the minutes that the first pool lives: an organisation may
			// forbid the default account and machines without Secure Boot.
			ServiceAccount: c.account,
			OauthScopes:    pulumi.StringArray{pulumi.String("https://www.googleapis.com/auth/cloud-platform")},
			ShieldedInstanceConfig: &container.ClusterNodeConfigShieldedInstanceConfigArgs{
				EnableSecureBoot:          pulumi.Bool(true),
				EnableIntegrityMonitoring: pulumi.Bool(true),
			},
		},
		AddonsConfig: &container.ClusterAddonsConfigArgs{
			GcePersistentDiskCsiDriverConfig: &container.ClusterAddonsConfigGcePersistentDiskCsiDriverConfigArgs{
				Enabled: pulumi.Bool(true),
			},
			HttpLoadBalancing: &container.ClusterAddonsConfigHttpLoadBalancingArgs{Disabled: pulumi.Bool(false)},
			GcpFilestoreCsiDriverConfig: &container.ClusterAddonsConfigGcpFilestoreCsiDriverConfigArgs{
				Enabled: pulumi.Bool(a.Filestore),
			},
		},
		WorkloadIdentityConfig: &container.ClusterWorkloadIdentityConfigArgs{
			WorkloadPool: pulumi.String(a.Project + ".svc.id.goog"),
		},
		EnableShieldedNodes: pulumi.Bool(true),
		ReleaseChannel:      &container.ClusterReleaseChannelArgs{Channel: pulumi.String(cl.ReleaseChannel)},
		MaintenancePolicy:   maintenance(cl.Maintenance),
		LoggingConfig: &container.ClusterLoggingConfigArgs{
			EnableComponents: pulumi.ToStringArray([]string{"SYSTEM_COMPONENTS", "WORKLOADS"}),
		},
		MonitoringConfig: &container.ClusterMonitoringConfigArgs{
			EnableComponents: pulumi.ToStringArray(a.measured()),
			// GKE switches it on by itself: two Prometheus would scrape every engine.
			ManagedPrometheus: &container.ClusterMonitoringConfigManagedPrometheusArgs{
				Enabled: pulumi.Bool(a.ManagedPrometheus),
			},
		},
		DeletionProtection: pulumi.Bool(a.deletionProtection()),
		ResourceLabels:     stringMap(a.Labels),
	}
	if a.BackupAgent {
		addons := args.AddonsConfig.(*container.ClusterAddonsConfigArgs)
		addons.GkeBackupAgentConfig = &container.ClusterAddonsConfigGkeBackupAgentConfigArgs{
			Enabled: pulumi.Bool(true),
		}
	}
	c.privateCluster(args)
	cluster, err := container.NewCluster(c.ctx, c.name+"-cluster", args, c.options(
		c.enabled,
		pulumi.Protect(a.Production),
		// nodeConfig and initialNodeCount are those of the pool that was removed.
		pulumi.IgnoreChanges([]string{"nodeConfig", "initialNodeCount"}),
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "60m", Update: "90m", Delete: "60m"}),
	)...)
	if err != nil {
		return fmt.Errorf("cluster %q: %w", cl.Name, err)
	}
	c.Cluster = cluster
	c.Name, c.Location, c.Endpoint = cluster.Name, cluster.Location, cluster.Endpoint
	c.CaCertificate = cluster.MasterAuth.ClusterCaCertificate().Elem()
	c.NodeTags = []string{a.nodeTag()}
	return nil
}

func (a *GpuClusterArgs) deletionProtection() bool {
	if p := a.Cluster.DeletionProtection; p != nil {
		return *p
	}
	return a.Production
}

// clusterZones are the zones of new pools. A zonal cluster's own zone must not be
// in the list.
func (a *GpuClusterArgs) clusterZones() pulumi.StringArrayInput {
	var zones pulumi.StringArray
	for _, z := range a.Cluster.NodeZones {
		if z != a.Cluster.Location {
			zones = append(zones, pulumi.String(z))
		}
	}
	if len(zones) == 0 {
		return nil
	}
	return zones
}

// ipAllocation is where pods and services get their addresses from.
func (a *GpuClusterArgs) ipAllocation() *container.ClusterIpAllocationPolicyArgs {
	n := a.Network
	return &container.ClusterIpAllocationPolicyArgs{
		ClusterIpv4CidrBlock:       optionalString(n.PodsCidr),
		ServicesIpv4CidrBlock:      optionalString(n.ServicesCidr),
		ClusterSecondaryRangeName:  optionalString(n.PodsRange),
		ServicesSecondaryRangeName: optionalString(n.ServicesRange),
	}
}

// maintenance is when Google may upgrade; nil without a window.
func maintenance(m config.Maintenance) container.ClusterMaintenancePolicyPtrInput {
	if m.Start == "" {
		return nil
	}
	exclusions := make(container.ClusterMaintenancePolicyMaintenanceExclusionArray, 0, len(m.Exclusions))
	for _, e := range m.Exclusions {
		exclusions = append(exclusions, &container.ClusterMaintenancePolicyMaintenanceExclusionArgs{
			ExclusionName: pulumi.String(e.Name),
			StartTime:     pulumi.String(e.Start),
			EndTime:       pulumi.String(e.End),
			ExclusionOptions: &container.ClusterMaintenancePolicyMaintenanceExclusionExclusionOptionsArgs{
				Scope: pulumi.String(cmp.Or(e.Scope, "NO_MINOR_UPGRADES")),
			},
		})
	}
	policy := &container.ClusterMaintenancePolicyArgs{
		RecurringWindow: &container.ClusterMaintenancePolicyRecurringWindowArgs{
			StartTime:  pulumi.String(m.Start),
			EndTime:    pulumi.String(m.End),
			Recurrence: pulumi.String(m.Recurrence),
		},
	}
	if len(exclusions) > 0 {
		policy.MaintenanceExclusions = exclusions
	}
	return policy
}

// existing refers to a cluster that is there.
func (c *gpuCluster) existing() error {
	a := c.args
	name, location := a.Cluster.Existing, a.Cluster.Location
	found, err := container.LookupCluster(c.ctx, &container.LookupClusterArgs{
		Project: &a.Project, Location: &location, Name: name,
	}, pulumi.Parent(c.GpuCluster))
	if err != nil {
		return fmt.Errorf("Cluster.Existing: looking up %q in %s of project %s: %w", name, location, a.Project, err)
	}
	if found.Endpoint == "" || len(found.MasterAuths) == 0 {
		return fmt.Errorf("Cluster.Existing: %q has no control plane in %s of project %s; check name and location",
			name, location, a.Project)
	}
	c.Name = pulumi.String(name).ToStringOutput()
	c.Location = pulumi.String(location).ToStringOutput()
	c.Endpoint = pulumi.String(found.Endpoint).ToStringOutput()
	c.CaCertificate = pulumi.String(found.MasterAuths[0].ClusterCaCertificate).ToStringOutput()
	if found.ClusterIpv4Cidr != "" {
		c.PodRanges = []string{found.ClusterIpv4Cidr}
	}
	switch {
	case !a.Cluster.ExistingPools:
		c.NodeTags = []string{a.nodeTag()}
	case a.NodeTags == nil:
		c.NodeTags = tagsOf(found.NodePools)
	}
	return nil
}

// tagsOf are network tags that together open every node pool; nil where a pool
// has none. A tag that other machines carry too opens those as well: NodeTags of
// the arguments then say better.
func tagsOf(pools []container.GetClusterNodePool) []string {
	var tags []string
	seen := map[string]bool{}
	for _, p := range pools {
		if len(p.NodeConfigs) == 0 || len(p.NodeConfigs[0].Tags) == 0 {
			return nil // a pool without a tag would stay closed
		}
		if tag := strings.TrimSpace(p.NodeConfigs[0].Tags[0]); !seen[tag] {
			seen[tag] = true
			tags = append(tags, tag)
		}
	}
	return tags
}

// measured are the parts that GKE measures: with its own Prometheus also what the
// alerts ask of pods and autoscalers, and the GPUs.
func (a *GpuClusterArgs) measured() []string {
	parts := []string{"SYSTEM_COMPONENTS"}
	if a.ManagedPrometheus {
		parts = append(parts, "POD", "DEPLOYMENT", "STATEFULSET", "HPA", "DCGM")
	}
	return parts
}
