package components

import (
	"regexp"
	"slices"
	"strings"
)

var channelRule = regexp.MustCompile(`^(RAPID|REGULAR|STABLE)$`)

// Validate reports every mistake in the arguments.
func (a *GpuClusterArgs) Validate() error {
	var errs argumentErrors
	errs.project("Project", a.Project)
	errs.region("Region", a.Region)
	errs.name("NamePrefix", a.NamePrefix)
	a.validateCluster(&errs)
	if !a.Cluster.ExistingPools {
		a.validatePools(&errs)
	}
	for _, t := range a.NodeTags {
		errs.name("NodeTags", t)
	}
	return errs.err()
}

func (a *GpuClusterArgs) validateCluster(errs *argumentErrors) {
	c := a.Cluster
	errs.require("Cluster.Location", c.Location, "us-central1")
	if c.Location != "" && regionOf(c.Location) != a.Region {
		errs.addf("Cluster.Location", "%q is not in region %q", c.Location, a.Region)
	}
	if c.Existing != "" {
		errs.optionalName("Cluster.Existing", c.Existing)
		return
	}
	if c.ExistingPools {
		errs.addf("Cluster.ExistingPools", "needs Cluster.Existing: a new cluster has no pools")
	}
	errs.name("Cluster.Name", c.Name)
	if len(c.Name) > 40 {
		errs.addf("Cluster.Name", "%q has %d characters; GKE takes at most 40", c.Name, len(c.Name))
	}
	errs.name("Network.Network", a.Network.Network)
	errs.name("Network.Subnetwork", a.Network.Subnetwork)
	errs.require("Cluster.ReleaseChannel", c.ReleaseChannel, "REGULAR")
	errs.match("Cluster.ReleaseChannel", c.ReleaseChannel, channelRule,
		"a channel that the gcp provider 7.38.0 knows: RAPID, REGULAR or STABLE")
	errs.cidr("Network.PodsCidr", a.Network.PodsCidr)
	errs.cidr("Network.ServicesCidr", a.Network.ServicesCidr)
	if a.Network.PodsCidr != "" && a.Network.PodsRange != "" {
		errs.addf("Network.PodsCidr", "%q and PodsRange %q exclude each other", a.Network.PodsCidr, a.Network.PodsRange)
	}
	if a.Network.ServicesCidr != "" && a.Network.ServicesRange != "" {
		errs.addf("Network.ServicesCidr", "%q and ServicesRange %q exclude each other",
			a.Network.ServicesCidr, a.Network.ServicesRange)
	}
	a.validatePrivate(errs)
}

func (a *GpuClusterArgs) validatePrivate(errs *argumentErrors) {
	p := a.Cluster.Private
	for _, n := range p.AuthorizedNetworks {
		errs.require("Cluster.Private.AuthorizedNetworks", n.Cidr, "203.0.113.0/24")
		errs.cidr("Cluster.Private.AuthorizedNetworks", n.Cidr)
	}
	if !p.Enabled {
		if p.PrivateEndpoint {
			errs.addf("Cluster.Private.PrivateEndpoint", "needs Cluster.Private.Enabled")
		}
		return
	}
	errs.require("Cluster.Private.ControlPlaneCidr", p.ControlPlaneCidr, "172.16.0.0/28")
	errs.cidr("Cluster.Private.ControlPlaneCidr", p.ControlPlaneCidr)
	if p.ControlPlaneCidr != "" && !strings.HasSuffix(p.ControlPlaneCidr, "/28") {
		errs.addf("Cluster.Private.ControlPlaneCidr", "%q is not a /28 range", p.ControlPlaneCidr)
	}
	if e := p.Egress; e != "" && e != "nat" && e != "existing" {
		errs.addf("Cluster.Private.Egress", "%q is not nat or existing", e)
	}
}

func (a *GpuClusterArgs) validatePools(errs *argumentErrors) {
	errs.zone("EngineZone", a.EngineZone)
	zones := append([]string{a.EngineZone}, a.Cluster.NodeZones...)
	for _, z := range slices.Compact(zones) {
		if z != "" && regionOf(z) != a.Region {
			errs.addf("EngineZone and Cluster.NodeZones", "%q is not in region %q", z, a.Region)
		}
	}
	if len(a.Cluster.NodeZones) == 0 {
		errs.addf("Cluster.NodeZones", `is required, such as ["us-central1-a"]`)
	}
	names := map[string]string{}
	for _, p := range a.wantedPools() {
		errs.name(p.argument+".Name", p.Name)
		if len(p.Name) > 40 {
			errs.addf(p.argument+".Name", "%q has %d characters; GKE takes at most 40", p.Name, len(p.Name))
		}
		if other := names[p.Name]; other != "" && p.Name != "" {
			errs.addf(p.argument+".Name", "%q is also the name of %s", p.Name, other)
		}
		names[p.Name] = p.argument
		errs.require(p.argument+".MachineType", p.MachineType, "n2-standard-4")
		errs.require(p.argument+".ImageType", p.ImageType, "COS_CONTAINERD")
		errs.require(p.argument+".DiskType", p.DiskType, "pd-balanced")
		if p.DiskGb < 10 {
			errs.addf(p.argument+".DiskGb", "%d is less than 10", p.DiskGb)
		}
		if p.MinNodes < 0 || p.MaxNodes < 1 || p.MinNodes > p.MaxNodes {
			errs.addf(p.argument, "minNodes %d and maxNodes %d are no range; give 0 <= minNodes <= maxNodes, maxNodes >= 1",
				p.MinNodes, p.MaxNodes)
		}
		if p.Spot && p.Reservation != "" {
			errs.addf(p.argument, "spot and reservation %q exclude each other", p.Reservation)
		}
		p.validateGPU(errs)
		p.validateUpgrade(errs)
	}
}

func (p pool) validateGPU(errs *argumentErrors) {
	g := p.GPU
	if g == nil {
		if p.role == RoleEngine {
			errs.addf(p.argument+".GPU", "is required: an engine without a GPU does not start")
		}
		return
	}
	errs.require(p.argument+".GPU.Type", g.Type, "nvidia-l4")
	if g.Count < 1 {
		errs.addf(p.argument+".GPU.Count", "%d is less than 1", g.Count)
	}
	if !slices.Contains([]string{"LATEST", "DEFAULT", "DISABLED"}, g.Driver) {
		errs.addf(p.argument+".GPU.Driver", "%q is not LATEST, DEFAULT or DISABLED", g.Driver)
	}
	if g.Sharing != "" && g.MaxSharedClients < 2 {
		errs.addf(p.argument+".GPU.MaxSharedClients", "%d is less than 2, with sharing %q", g.MaxSharedClients, g.Sharing)
	}
}

func (p pool) validateUpgrade(errs *argumentErrors) {
	u := p.Upgrade
	switch u.Strategy {
	case "BLUE_GREEN":
	case "SURGE":
		if u.MaxSurge+u.MaxUnavailable < 1 {
			errs.addf(p.argument+".Upgrade", "maxSurge and maxUnavailable are both 0: no node could ever be replaced")
		}
	default:
		errs.addf(p.argument+".Upgrade.Strategy", "%q is not SURGE or BLUE_GREEN", u.Strategy)
	}
}
