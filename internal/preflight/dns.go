package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// name is a DNS name and where it should lead.
type name struct {
	host, zone, key string
	// address finds what it should lead to; empty where nothing is reserved yet.
	address func(context.Context) (string, *verdict)
}

func (r *run) dnsAPI(ctx context.Context) verdict {
	in := r.c.Ingress
	if !in.Enabled {
		return skipped("", "there is no ingress")
	}
	return r.leads(ctx, name{in.Host, in.DNSZone, "ingress", func(ctx context.Context) (string, *verdict) {
		if in.Address != "" {
			return in.Address, nil
		}
		return r.reservedAs(in.AddressName, func(name string) (string, error) {
			s, err := r.g.compute()
			if err != nil {
				return "", err
			}
			a, err := s.Addresses.Get(r.c.GCP.Project, r.c.GCP.Region, name).Context(ctx).Do()
			if err != nil {
				return "", err
			}
			return a.Address, nil
		})
	}})
}

func (r *run) dnsGrafana(ctx context.Context) verdict {
	g := r.c.Grafana
	if !g.Enabled {
		return skipped("", "there is no Grafana")
	}
	return r.leads(ctx, name{g.Host, g.DNSZone, "grafana", func(ctx context.Context) (string, *verdict) {
		return r.reservedAs(g.AddressName, func(name string) (string, error) {
			s, err := r.g.compute()
			if err != nil {
				return "", err
			}
			a, err := s.GlobalAddresses.Get(r.c.GCP.Project, name).Context(ctx).Do()
			if err != nil {
				return "", err
			}
			return a.Address, nil
		})
	}})
}

// reservedAs is a reserved address; empty where it is not reserved yet.
func (r *run) reservedAs(name string, get func(string) (string, error)) (string, *verdict) {
	if _, err := r.signIn(); err != nil {
		v := skipped("", "not asked: there are no credentials, see credentials")
		return "", &v
	}
	address, err := get(name)
	if missing(err) {
		return "", nil
	}
	if err != nil {
		v := r.unasked(err, "the address "+name, computeAPI, roleCompute, r.c.GCP.Project)
		return "", &v
	}
	return address, nil
}

// leads compares what a name resolves to with what it should.
func (r *run) leads(ctx context.Context, n name) verdict {
	private := false
	if n.zone != "" {
		var v *verdict
		if private, v = r.zone(ctx, n); v != nil {
			return *v
		}
	}
	four, err := r.resolve(ctx, "ip4", n.host)
	if err != nil {
		return skipped("run it where the name can be resolved", "%s cannot be resolved here: %v", n.host, plain(err))
	}
	// An AAAA record leads clients with IPv6 past the load balancer, which has none.
	if six, err := r.resolve(ctx, "ip6", n.host); err == nil && len(six) > 0 {
		return failed("delete the AAAA record of "+n.host, "%s has the AAAA record %s: the load balancer has no IPv6 address", n.host, texts(six))
	}
	address, v := n.address(ctx)
	if v != nil {
		return *v
	}
	record := fmt.Sprintf("make the record: %s. A %s", n.host, address)
	switch {
	case address == "" && len(four) == 0:
		return skipped("make the record that pulumi up gives as output dnsRecords", "%s has no record yet, and no address is reserved", n.host)
	case address == "":
		return skipped("change it to the address that pulumi up gives as output dnsRecords", "%s leads to %s; no address is reserved yet", n.host, texts(four))
	case len(four) == 0 && private:
		return skipped("run it inside the network", "%s is in the private zone %s, which does not answer here", n.host, n.zone)
	case len(four) == 0 && n.zone != "":
		return skipped("run pulumi up", "%s has no record yet; pulumi up makes it in the zone %s", n.host, n.zone)
	case len(four) == 0:
		return failed(record, "%s has no record", n.host)
	case len(four) == 1 && four[0].String() == address:
		return passed("%s leads to %s", n.host, address)
	}
	return failed(record+", and no other", "%s leads to %s, not to %s", n.host, texts(four), address)
}

// resolve is nil where the name has no such record.
func (r *run) resolve(ctx context.Context, network, host string) ([]netip.Addr, error) {
	found, err := r.o.Lookup(ctx, network, host)
	var none *net.DNSError
	if errors.As(err, &none) && none.IsNotFound {
		return nil, nil
	}
	slices.SortFunc(found, netip.Addr.Compare)
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found, err
}

func texts(all []netip.Addr) string {
	words := make([]string, 0, len(all))
	for _, a := range all {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}

// zone checks the managed zone; private tells that it answers inside networks only.
func (r *run) zone(ctx context.Context, n name) (private bool, _ *verdict) {
	none := func(v verdict) (bool, *verdict) { return false, &v }
	if _, err := r.signIn(); err != nil {
		return none(skipped("", "not asked: there are no credentials, see credentials"))
	}
	s, err := r.g.dns()
	if err != nil {
		return none(r.unasked(err, "the zone "+n.zone, "dns.googleapis.com", roleDNS, r.c.GCP.Project))
	}
	z, err := s.ManagedZones.Get(r.c.GCP.Project, n.zone).Context(ctx).Do()
	switch {
	case missing(err):
		return none(failed("make it, or leave "+n.key+".dnsZone out and make the record by hand", "there is no zone %s", n.zone))
	case err != nil:
		return none(r.unasked(err, "the zone "+n.zone, "dns.googleapis.com", roleDNS, r.c.GCP.Project))
	case !strings.HasSuffix("."+n.host+".", "."+z.DnsName):
		return none(failed("give the zone of "+n.host+" as "+n.key+".dnsZone", "the zone %s is of %s, not of %s", n.zone, z.DnsName, n.host))
	}
	return z.Visibility == "private", nil
}
