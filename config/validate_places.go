package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// places checks that regions, zones and locations agree.
func (v *validator) places() {
	c := v.c
	region := c.GCP.Region
	if region == "" || v.has("gcp:region") {
		return
	}
	if zone := c.GCP.Zone; zone != "" && !v.has("gcp:zone") && zoneRegion(zone) != region {
		v.add(Problem{Key: "gcp:zone", Value: quote(zone), Message: "is not in gcp:region " + region, Allowed: "a zone of " + region + ", such as " + region + "-a"})
	}
	seen := map[string]bool{}
	for i, zone := range c.Cluster.NodeZones {
		path := fmt.Sprintf("cluster.nodeZones[%d]", i)
		switch {
		case v.has(path):
		case zoneRegion(zone) != region:
			// A wrong gcp:zone, from which this is derived, is told already.
			if zone != c.GCP.Zone {
				v.problem(path, quote(zone), "is not in gcp:region "+region, "a zone of "+region+", such as "+region+"-a", "")
			}
		case seen[zone]:
			v.problem(path, quote(zone), "is given twice", "", "remove one")
		}
		seen[zone] = true
	}
	if at := c.Cluster.Location; at != region && zoneRegion(at) != region {
		v.problem("cluster.location", quote(at), "is not in gcp:region "+region, region+" or one of its zones", "")
	}
	if at := c.Registry.Location; at != "" && !v.has("registry.location") && formats["zone"].valid(at) {
		v.problem("registry.location", quote(at), "is a zone", "a region such as us-central1, or a multi-region: us, europe, asia", "")
	}
}

// zoneRegion is the region of a zone.
func zoneRegion(zone string) string {
	if i := strings.LastIndexByte(zone, '-'); i > 0 {
		return zone[:i]
	}
	return ""
}

// autoModeRange holds the subnets of every auto mode network, now and later.
var autoModeRange = netip.MustParsePrefix("10.128.0.0/9")

// ranges checks the IP ranges and the address.
func (v *validator) ranges() {
	n, c := v.c.Network, v.c.Cluster
	type named struct {
		path  string
		value string
	}
	candidates := []named{{"network.podsCidr", n.PodsCidr}, {"network.servicesCidr", n.ServicesCidr}}
	if n.ProxyOnlySubnet.Existing == "" && v.c.Ingress.Enabled {
		candidates = append(candidates, named{"network.proxyOnlySubnet.cidr", n.ProxyOnlySubnet.Cidr})
	}
	if c.Private.Enabled {
		candidates = append(candidates, named{"cluster.private.controlPlaneCidr", c.Private.ControlPlaneCidr})
	}
	var paths []string
	var prefixes []netip.Prefix
	for _, candidate := range candidates {
		p, problem := parseCIDR(candidate.value)
		if candidate.value == "" || problem != "" {
			continue
		}
		v.size(candidate.path, p)
		if n.Network == "default" && p.Overlaps(autoModeRange) {
			v.problem(candidate.path, p.String(), "overlaps 10.128.0.0/9, which the network default keeps for its own subnets",
				"a range outside 10.128.0.0/9", "")
		}
		for i, other := range prefixes {
			if p.Overlaps(other) {
				v.problem(candidate.path, p.String(), fmt.Sprintf("overlaps %s %s", paths[i], other), "ranges that do not overlap", "")
			}
		}
		paths, prefixes = append(paths, candidate.path), append(prefixes, p)
	}
	v.address(prefixes, paths)
	v.excludes(n.PodsCidr != "" && n.PodsRange != "", "network.podsRange", "network.podsCidr")
	v.excludes(n.ServicesCidr != "" && n.ServicesRange != "", "network.servicesRange", "network.servicesCidr")
	v.excludes(n.ProxyOnlySubnet.Existing != "" && n.ProxyOnlySubnet.Name != "", "network.proxyOnlySubnet.existing", "network.proxyOnlySubnet.name")
	if (n.PodsRange == "") != (n.ServicesRange == "") {
		missing, given := "network.servicesRange", "network.podsRange"
		if n.PodsRange == "" {
			missing, given = given, missing
		}
		v.problem(missing, "", "is missing, but "+given+" is given", "both or none", setCommand(Namespace+":"+missing))
	}
}

// size checks how large a range must be.
func (v *validator) size(path string, p netip.Prefix) {
	low, high, why := 0, 32, ""
	switch path {
	case "network.proxyOnlySubnet.cidr":
		high, why = 26, "/26 or larger, better /23: each proxy needs an address"
	case "network.podsCidr":
		low, high, why = 9, 24, "/9 to /24"
	case "network.servicesCidr":
		low, high, why = 16, 28, "/16 to /28"
	case "cluster.private.controlPlaneCidr":
		low, high, why = 28, 28, "a /28"
	}
	switch {
	case p.Bits() > high:
		v.problem(path, p.String(), "is too small", why, "")
	case p.Bits() < low:
		v.problem(path, p.String(), "is too large", why, "")
	case path == "network.podsCidr" && v.c.Cluster.Existing == "":
		// GKE gives each node a /24 of it.
		nodes := 0
		for _, pool := range v.c.usedPools() {
			nodes += pool.pool.MaxNodes
		}
		if room := 1 << (24 - p.Bits()); nodes > room {
			v.problem(path, p.String(), fmt.Sprintf("has room for %d nodes, and the pools may grow to %d", room, nodes),
				"a larger range: every node takes a /24", "")
		}
	}
	if path == "cluster.private.controlPlaneCidr" && !isPrivate(p) {
		v.problem(path, p.String(), "is not private", "a /28 in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16", "")
	}
}

// address checks the internal address of the API.
func (v *validator) address(prefixes []netip.Prefix, paths []string) {
	address, err := netip.ParseAddr(v.c.Ingress.Address)
	if err != nil || v.has("ingress.address") {
		return
	}
	for i, p := range prefixes {
		if p.Contains(address) {
			v.problem("ingress.address", address.String(), fmt.Sprintf("lies in %s %s", paths[i], p),
				"an address of the subnetwork "+v.c.Network.Subnetwork, "choose another, or leave it out and Google chooses")
		}
	}
	if v.c.Network.Network == "default" && v.c.Network.Subnetwork == "default" && !autoModeRange.Contains(address) {
		v.problem("ingress.address", address.String(), "is not in the subnetwork default", "an address in 10.128.0.0/9, in the range of the region",
			"choose another, or leave it out and Google chooses")
	}
}

// usedPools are the pools that this configuration makes or needs.
func (c *Config) usedPools() []rolePool {
	var out []rolePool
	for _, p := range c.Pools.byRole() {
		if p.role == "billing" && !c.Billing.Enabled || p.role == "license-proxy" && !c.LicenseProxy.Enabled {
			continue
		}
		out = append(out, p)
	}
	return out
}
