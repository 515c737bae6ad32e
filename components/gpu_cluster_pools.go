package components

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/container"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// ignoredPoolChanges are what GKE and the autoscaler own. The provider wants to
// remove the first two at every update, and GKE answers 400 to that.
var ignoredPoolChanges = []string{
	"nodeConfig.kubeletConfig", "nodeConfig.resourceLabels", "nodeCount", "initialNodeCount",
}

// pool is a node pool that is wanted.
type pool struct {
	role, argument string
	zones          []string
	config.Pool
}

// wantedPools are the pools to make, in a fixed order.
func (a *GpuClusterArgs) wantedPools() []pool {
	if a.Cluster.ExistingPools {
		return nil
	}
	zones := a.Cluster.NodeZones
	pools := []pool{
		{RoleSystem, "Pools.System", zones, a.Pools.System},
		{RoleAPI, "Pools.API", zones, a.Pools.API},
		// One zone: the models disk can be read in its own zone only.
		{RoleEngine, "Pools.Engine", []string{a.EngineZone}, a.Pools.Engine},
	}
	if a.LicenseProxy {
		pools = append(pools, pool{RoleLicenseProxy, "Pools.LicenseProxy", zones, a.Pools.LicenseProxy})
	}
	if a.Billing {
		pools = append(pools, pool{RoleBilling, "Pools.Billing", zones, a.Pools.Billing})
	}
	return pools
}

// pools makes the node pools (guide G-C.2), all at the same time.
func (c *gpuCluster) pools() error {
	for _, p := range c.args.wantedPools() {
		made, err := container.NewNodePool(c.ctx, c.name+"-pool-"+p.role, c.poolArgs(p), c.options(
			pulumi.DependsOn(c.egress),
			pulumi.IgnoreChanges(ignoredPoolChanges),
			// A stock-out of GPUs holds a pool's creation for 35 minutes before it fails.
			pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "45m", Update: "90m", Delete: "45m"}),
		)...)
		if err != nil {
			return fmt.Errorf("%s: %w", p.argument, err)
		}
		c.Pools[p.role] = made
		c.Ready = append(c.Ready, made)
	}
	return nil
}

func (c *gpuCluster) poolArgs(p pool) *container.NodePoolArgs {
	a := c.args
	locationPolicy := "BALANCED"
	if p.Spot || p.Reservation != "" {
		locationPolicy = "ANY" // takes the zone that has machines
	}
	args := &container.NodePoolArgs{
		Project:          pulumi.String(a.Project),
		Location:         c.Location.ToStringPtrOutput(),
		Cluster:          c.Name,
		Name:             pulumi.String(p.Name),
		NodeLocations:    pulumi.ToStringArray(p.zones),
		InitialNodeCount: pulumi.Int(initialNodes(p.MinNodes, p.MaxNodes, len(p.zones))),
		Autoscaling: &container.NodePoolAutoscalingArgs{
			// Totals, because the figures are over all zones.
			TotalMinNodeCount: pulumi.Int(p.MinNodes),
			TotalMaxNodeCount: pulumi.Int(p.MaxNodes),
			LocationPolicy:    pulumi.String(locationPolicy),
		},
		Management: &container.NodePoolManagementArgs{
			AutoRepair:  pulumi.Bool(true),
			AutoUpgrade: pulumi.Bool(true), // a release channel demands it
		},
		UpgradeSettings: upgradeSettings(p.Upgrade),
		NodeConfig:      c.nodeConfig(p),
	}
	if a.Cluster.Private.Enabled {
		args.NetworkConfig = &container.NodePoolNetworkConfigArgs{EnablePrivateNodes: pulumi.Bool(true)}
	}
	return args
}

// initialNodes is how many nodes each zone starts with: enough for the least,
// and never more than the most.
func initialNodes(least, most, zones int) int {
	n := (least + zones - 1) / zones
	if n*zones > most {
		n = least / zones
	}
	return n
}

func (c *gpuCluster) nodeConfig(p pool) *container.NodePoolNodeConfigArgs {
	node := &container.NodePoolNodeConfigArgs{
		MachineType:    pulumi.String(p.MachineType),
		ImageType:      pulumi.String(p.ImageType),
		DiskSizeGb:     pulumi.Int(p.DiskGb),
		DiskType:       pulumi.String(p.DiskType),
		Spot:           pulumi.Bool(p.Spot),
		Labels:         pulumi.StringMap{NodeTypeLabel: pulumi.String(p.role)},
		Tags:           pulumi.ToStringArray([]string{c.args.nodeTag()}),
		ServiceAccount: c.account,
		// Scopes are the old way to limit a node; the account's roles do it.
		OauthScopes: pulumi.ToStringArray([]string{"https://www.googleapis.com/auth/cloud-platform"}),
		GcfsConfig: &container.NodePoolNodeConfigGcfsConfigArgs{
			// Said in both cases: left out would mean whatever GKE's default becomes.
			Enabled: pulumi.Bool(c.args.Cluster.ImageStreaming && strings.HasPrefix(p.ImageType, "COS")),
		},
		ShieldedInstanceConfig: &container.NodePoolNodeConfigShieldedInstanceConfigArgs{
			// Secure Boot loads signed modules only, and not every GPU driver that GKE
			// or a person installs is signed.
			EnableSecureBoot:          pulumi.Bool(p.GPU == nil),
			EnableIntegrityMonitoring: pulumi.Bool(true),
		},
		WorkloadMetadataConfig: &container.NodePoolNodeConfigWorkloadMetadataConfigArgs{
			Mode: pulumi.String("GKE_METADATA"), // Workload Identity; hides the node's account
		},
		Metadata: pulumi.StringMap{"disable-legacy-endpoints": pulumi.String("true")},
	}
	if p.GPU != nil {
		node.GuestAccelerators = container.NodePoolNodeConfigGuestAcceleratorArray{accelerator(p.GPU)}
	}
	if p.Reservation != "" {
		node.ReservationAffinity = &container.NodePoolNodeConfigReservationAffinityArgs{
			ConsumeReservationType: pulumi.String("SPECIFIC_RESERVATION"),
			Key:                    pulumi.String("compute.googleapis.com/reservation-name"),
			Values:                 pulumi.ToStringArray([]string{p.Reservation}),
		}
	}
	return node
}

func accelerator(gpu *config.GPU) *container.NodePoolNodeConfigGuestAcceleratorArgs {
	driver := gpu.Driver
	if driver == "DISABLED" {
		driver = "INSTALLATION_DISABLED"
	}
	args := &container.NodePoolNodeConfigGuestAcceleratorArgs{
		Type:             pulumi.String(gpu.Type),
		Count:            pulumi.Int(gpu.Count),
		GpuPartitionSize: optionalString(gpu.Partition),
		GpuDriverInstallationConfig: &container.NodePoolNodeConfigGuestAcceleratorGpuDriverInstallationConfigArgs{
			GpuDriverVersion: pulumi.String(driver),
		},
	}
	if gpu.Sharing != "" {
		args.GpuSharingConfig = &container.NodePoolNodeConfigGuestAcceleratorGpuSharingConfigArgs{
			GpuSharingStrategy:     pulumi.String(gpu.Sharing),
			MaxSharedClientsPerGpu: pulumi.Int(gpu.MaxSharedClients),
		}
	}
	return args
}

// upgradeSettings says how nodes are replaced. Blue-green needs as many GPUs
// again for as long as it lasts; surge needs MaxSurge more.
func upgradeSettings(u config.Upgrade) *container.NodePoolUpgradeSettingsArgs {
	if u.Strategy == "BLUE_GREEN" {
		return &container.NodePoolUpgradeSettingsArgs{
			Strategy: pulumi.String("BLUE_GREEN"),
			BlueGreenSettings: &container.NodePoolUpgradeSettingsBlueGreenSettingsArgs{
				StandardRolloutPolicy: &container.NodePoolUpgradeSettingsBlueGreenSettingsStandardRolloutPolicyArgs{
					BatchNodeCount:    pulumi.Int(1),
					BatchSoakDuration: pulumi.String("60s"),
				},
				NodePoolSoakDuration: pulumi.String("1800s"), // as long as a stream may drain
			},
		}
	}
	return &container.NodePoolUpgradeSettingsArgs{
		Strategy:       pulumi.String("SURGE"),
		MaxSurge:       pulumi.Int(u.MaxSurge),
		MaxUnavailable: pulumi.Int(u.MaxUnavailable),
	}
}
