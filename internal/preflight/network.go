package preflight

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/container/v1"
)

// autoModeRange holds the subnets of every auto mode network, now and later.
var autoModeRange = netip.MustParsePrefix("10.128.0.0/9")

// proxyOnly tells that a subnet carries the regional load balancers' proxies.
func proxyOnly(s *compute.Subnetwork) bool {
	return s.Purpose == "REGIONAL_MANAGED_PROXY" || s.Purpose == "INTERNAL_HTTPS_LOAD_BALANCER"
}

func (r *run) proxyOnlySubnet(context.Context) verdict {
	if !r.c.Ingress.Enabled {
		return skipped("", "there is no ingress")
	}
	subnets, err := r.g.subnets()
	if err != nil {
		return r.unasked(err, "the subnets", computeAPI, roleNetwork, r.networkProject())
	}
	want, n := r.c.Network.ProxyOnlySubnet, r.c.Network
	where := fmt.Sprintf("network %s in %s", n.Network, r.c.GCP.Region)
	var active, named *compute.Subnetwork
	for _, s := range subnets {
		if last(s.Region) != r.c.GCP.Region {
			continue
		}
		if proxyOnly(s) && s.Role != "BACKUP" {
			active = s
		}
		if s.Name == want.Existing+want.Name && (want.Existing == "" || want.Name == "") {
			named = s
		}
	}
	use := "set network.proxyOnlySubnet.existing: "
	if want.Existing != "" {
		switch {
		case named == nil && active != nil:
			return failed(use+active.Name, "there is no subnet %s in %s; its proxy-only subnet is %s", want.Existing, where, active.Name)
		case named == nil:
			return failed("give network.proxyOnlySubnet.cidr instead, and it is made", "there is no subnet %s in %s", want.Existing, where)
		case !proxyOnly(named):
			return failed("use one with the purpose REGIONAL_MANAGED_PROXY", "the subnet %s has the purpose %s", named.Name, named.Purpose)
		case named != active:
			return failed("make it active with gcloud compute networks subnets update "+named.Name+" --role ACTIVE, or use the active one",
				"the proxy-only subnet %s is a backup, not active", named.Name)
		}
		return passed("%s (%s) is there and active", named.Name, named.IpCidrRange)
	}
	switch {
	case active != nil && active.Name == want.Name && active.IpCidrRange == want.Cidr:
		return passed("%s (%s) is this environment's", active.Name, active.IpCidrRange)
	case active != nil && active.Name == want.Name:
		return failed("give its range as network.proxyOnlySubnet.cidr, or plan its replacement: the load balancer stops meanwhile",
			"%s is there with the range %s, not %s", active.Name, active.IpCidrRange, want.Cidr)
	case active != nil:
		return failed(use+active.Name+" and leave out cidr", "there can be one active proxy-only subnet in %s, and it is %s (%s)",
			where, active.Name, active.IpCidrRange)
	case named != nil:
		return failed("give another network.proxyOnlySubnet.name", "the subnet %s in %s has the purpose %s", named.Name, where, named.Purpose)
	}
	return passed("%s has none, %s is made", where, want.Cidr)
}

func (r *run) address(ctx context.Context) verdict {
	in := r.c.Ingress
	if !in.Enabled {
		return skipped("", "there is no ingress")
	}
	s, err := r.g.compute()
	if err != nil {
		return r.unasked(err, "addresses", computeAPI, roleCompute, r.c.GCP.Project)
	}
	reserved, err := r.reserved(ctx, s)
	if err != nil {
		return r.unasked(err, "addresses", computeAPI, roleCompute, r.c.GCP.Project)
	}
	for _, a := range reserved {
		switch {
		case a.Name == in.AddressName && in.Address != "" && a.Address != in.Address:
			return failed("give "+a.Address+" as ingress.address, or leave it out", "%s is reserved as %s, not %s", a.Name, a.Address, in.Address)
		case a.Name == in.AddressName:
			return passed("%s is reserved for this environment (%s)", a.Address, a.Name)
		}
	}
	if in.Address == "" {
		return passed("Google chooses one")
	}
	for _, a := range reserved {
		if a.Address == in.Address {
			return failed("choose another, or leave it out and Google chooses", "%s is reserved by %s", in.Address, a.Name)
		}
	}
	return r.freeAddress(ctx, s)
}

func (r *run) reserved(ctx context.Context, s *compute.Service) (all []*compute.Address, err error) {
	err = s.Addresses.List(r.c.GCP.Project, r.c.GCP.Region).Pages(ctx, func(page *compute.AddressList) error {
		for _, a := range page.Items {
			if a.AddressType == "INTERNAL" {
				all = append(all, a)
			}
		}
		return nil
	})
	return all, err
}

// freeAddress looks whether the wanted address is in the subnetwork, and not in use
// without being reserved.
func (r *run) freeAddress(ctx context.Context, s *compute.Service) verdict {
	text, gcp := r.c.Ingress.Address, r.c.GCP
	address, err := netip.ParseAddr(text)
	if err != nil {
		return failed("give an IP address", "ingress.address %q is none", text)
	}
	const choose = "choose another, or leave it out and Google chooses"
	subnet, err := s.Subnetworks.Get(r.networkProject(), gcp.Region, r.c.Network.Subnetwork).Context(ctx).Do()
	if missing(err) {
		return failed("check network.subnetwork", "there is no subnetwork %s in %s", r.c.Network.Subnetwork, gcp.Region)
	}
	if err != nil {
		return r.unasked(err, "the subnetwork", computeAPI, roleNetwork, r.networkProject())
	}
	if p, err := netip.ParsePrefix(subnet.IpCidrRange); err == nil {
		if !p.Contains(address) {
			return failed("choose one of "+p.String(), "%s is not in the subnetwork %s (%s)", text, subnet.Name, p)
		}
		if googles(p, address) {
			return failed(choose, "%s is one of the four addresses of %s that Google keeps", text, p)
		}
	}
	instances, err := s.Instances.AggregatedList(gcp.Project).Filter(fmt.Sprintf("networkInterfaces.networkIP = %q", text)).Context(ctx).Do()
	if err != nil {
		return r.unasked(err, "instances", computeAPI, roleCompute, gcp.Project)
	}
	for _, scope := range instances.Items {
		for _, i := range scope.Instances {
			for _, n := range i.NetworkInterfaces {
				if last(n.Network) == r.c.Network.Network && n.NetworkIP == text {
					return failed(choose, "%s is in use by the instance %s", text, i.Name)
				}
			}
		}
	}
	rules, err := s.ForwardingRules.List(gcp.Project, gcp.Region).Context(ctx).Do()
	if err != nil {
		return r.unasked(err, "forwarding rules", computeAPI, roleCompute, gcp.Project)
	}
	for _, f := range rules.Items {
		if f.IPAddress == text {
			return failed(choose, "%s is in use by the forwarding rule %s", text, f.Name)
		}
	}
	return passed("%s is free", text)
}

// googles tells whether an address is the first, second, second to last or last of
// a subnet.
func googles(p netip.Prefix, a netip.Addr) bool {
	first := p.Masked().Addr()
	next := func(x netip.Addr) bool { return p.Contains(x) }
	return a == first || a == first.Next() || !next(a.Next()) || !next(a.Next().Next())
}

// taken is a range that somebody has.
type taken struct {
	prefix netip.Prefix
	by     string
}

func (r *run) ranges(ctx context.Context) verdict {
	n := r.c.Network
	var t tally
	network, err := r.g.network()
	if missing(err) {
		return failed("check network.network and network.project", "there is no network %s in %s", n.Network, r.networkProject())
	}
	if err != nil {
		return r.unasked(err, "the network", computeAPI, roleNetwork, r.networkProject())
	}
	subnets, err := r.g.subnets()
	if err != nil {
		return r.unasked(err, "the subnets", computeAPI, roleNetwork, r.networkProject())
	}
	others, err := r.clusters(ctx)
	if err != nil {
		t.skip(r.unasked(err, "the other clusters", containerAPI, roleCluster, r.c.GCP.Project))
	}
	r.namedRanges(&t, subnets)
	for _, w := range r.wantedRanges() {
		p, err := netip.ParsePrefix(w.cidr)
		if err != nil {
			continue // the configuration was refused for it
		}
		if network.AutoCreateSubnetworks && p.Overlaps(autoModeRange) {
			t.fail("choose a range outside 10.128.0.0/9", "%s %s overlaps 10.128.0.0/9, which the network %s in auto mode keeps", w.key, p, n.Network)
			continue
		}
		alone := true
		for _, o := range append(r.takenBy(subnets, w.own), others...) {
			if p.Overlaps(o.prefix) {
				alone = false
				t.fail("choose another "+w.key, "%s %s overlaps %s of %s", w.key, p, o.prefix, o.by)
			}
		}
		if alone {
			t.ok("%s %s", w.key, p)
		}
	}
	if len(t.bad)+len(t.good) == 0 && t.unseen == nil {
		return passed("none is given: GKE chooses")
	}
	return t.verdict()
}

// wanted is a range that the environment takes.
type wanted struct {
	key, cidr string
	// own is the name of the subnet that has it where it is there already.
	own string
}

func (r *run) wantedRanges() (list []wanted) {
	n := r.c.Network
	if r.c.Ingress.Enabled && n.ProxyOnlySubnet.Existing == "" {
		list = append(list, wanted{"network.proxyOnlySubnet.cidr", n.ProxyOnlySubnet.Cidr, n.ProxyOnlySubnet.Name})
	}
	if r.c.Cluster.Existing != "" {
		return list
	}
	for key, cidr := range map[string]string{"network.podsCidr": n.PodsCidr, "network.servicesCidr": n.ServicesCidr} {
		if cidr != "" {
			list = append(list, wanted{key: key, cidr: cidr})
		}
	}
	if p := r.c.Cluster.Private; p.Enabled {
		list = append(list, wanted{key: "cluster.private.controlPlaneCidr", cidr: p.ControlPlaneCidr})
	}
	return list
}

// takenBy are the ranges of the network's subnets, but for the subnet own and what
// GKE added for this cluster.
func (r *run) takenBy(subnets []*compute.Subnetwork, own string) (list []taken) {
	add := func(cidr, by string) {
		if p, err := netip.ParsePrefix(cidr); err == nil {
			list = append(list, taken{p, by})
		}
	}
	for _, s := range subnets {
		if own == "" || s.Name != own || last(s.Region) != r.c.GCP.Region {
			add(s.IpCidrRange, fmt.Sprintf("the subnet %s in %s", s.Name, last(s.Region)))
		}
		for _, second := range s.SecondaryIpRanges {
			if !strings.HasPrefix(second.RangeName, "gke-"+r.clusterName()+"-") {
				add(second.IpCidrRange, fmt.Sprintf("the secondary range %s of the subnet %s", second.RangeName, s.Name))
			}
		}
	}
	return list
}

const containerAPI = "container.googleapis.com"

// clusters are the ranges of the other clusters of the network: those of their
// control planes are in no subnet.
func (r *run) clusters(ctx context.Context) (list []taken, err error) {
	s, err := r.g.container()
	if err != nil {
		return nil, err
	}
	answer, err := s.Projects.Locations.Clusters.List("projects/" + r.c.GCP.Project + "/locations/-").Context(ctx).Do()
	if err != nil {
		return nil, err
	}
	for _, k := range answer.Clusters {
		if k.Network != r.c.Network.Network || k.Name == r.clusterName() {
			continue
		}
		for what, cidr := range clusterRanges(k) {
			if p, err := netip.ParsePrefix(cidr); err == nil {
				list = append(list, taken{p, fmt.Sprintf("the %s of the cluster %s", what, k.Name)})
			}
		}
	}
	return list, nil
}

func clusterRanges(k *container.Cluster) map[string]string {
	all := map[string]string{"pods": k.ClusterIpv4Cidr, "services": k.ServicesIpv4Cidr}
	if k.PrivateClusterConfig != nil {
		all["control plane"] = k.PrivateClusterConfig.MasterIpv4CidrBlock
	}
	return all
}

// namedRanges checks the secondary ranges that are named.
func (r *run) namedRanges(t *tally, subnets []*compute.Subnetwork) {
	n := r.c.Network
	for key, name := range map[string]string{"network.podsRange": n.PodsRange, "network.servicesRange": n.ServicesRange} {
		if name == "" || r.c.Cluster.Existing != "" {
			continue
		}
		found := false
		for _, s := range subnets {
			if s.Name != n.Subnetwork || last(s.Region) != r.c.GCP.Region {
				continue
			}
			for _, second := range s.SecondaryIpRanges {
				found = found || second.RangeName == name
			}
		}
		if !found {
			t.fail("add it to the subnetwork, or give cidrs", "%s: the subnetwork %s has no secondary range %s", key, n.Subnetwork, name)
			continue
		}
		t.ok("%s %s", key, name)
	}
}
