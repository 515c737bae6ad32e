package components

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// podPort is the port of the API's pods. The proxies reach pods, not Services
// (network endpoint groups), so the rule names the pods' own port.
const podPort = "8080"

// dnsTTL is how long a record is cached, in seconds: short, because an address
// that changes is an outage for as long.
const dnsTTL = 300

// IngressNetwork is what stands around the two entrances before Kubernetes comes
// into it: the proxies' subnet and firewall rule, addresses, the API's
// certificate and DNS records (guide G-III to G-V).
type IngressNetwork struct {
	pulumi.ResourceState

	// ProxyRange is the range of the proxy-only subnet; empty without API.
	ProxyRange pulumi.StringOutput `pulumi:"proxyRange"`
	// Address is the API's internal IP address; empty without API.
	Address pulumi.StringOutput `pulumi:"address"`
	// AddressName is its name, for kubernetes.io/ingress.regional-static-ip-name.
	AddressName pulumi.StringOutput `pulumi:"addressName"`
	// CertificateNames are the API's certificates, separated by commas, the current
	// one first, for ingress.gcp.kubernetes.io/pre-shared-cert.
	CertificateNames pulumi.StringOutput `pulumi:"certificateNames"`
	// GrafanaAddress is Grafana's public IP address; empty without Grafana.
	GrafanaAddress pulumi.StringOutput `pulumi:"grafanaAddress"`
	// GrafanaAddressName is its name, for kubernetes.io/ingress.global-static-ip-name.
	GrafanaAddressName pulumi.StringOutput `pulumi:"grafanaAddressName"`
	// DNSRecords are the records to create by hand, where no zone is managed: a
	// list of {name, type, ttl, value}.
	DNSRecords pulumi.ArrayOutput `pulumi:"dnsRecords"`
	// Ready is what an Ingress has to wait for.
	Ready []pulumi.Resource
}

// IngressNetworkArgs says which entrances there are.
type IngressNetworkArgs struct {
	// Project is the Google Cloud project. Required.
	Project string
	// Region is the cluster's region. Required.
	Region string
	// NamePrefix starts the name of every object without a name of its own. Required.
	NamePrefix string
	// Network and Subnetwork are the cluster's. Required with API.
	Network    string
	Subnetwork string
	// NetworkProject is the network's project; "" means Project.
	NetworkProject string
	// ProxyOnlySubnet is created from Cidr and Name ("" means
	// "<prefix>-proxy-only"), or Existing is looked up. A region and network can
	// have one active.
	ProxyOnlySubnet config.ProxyOnlySubnet
	// ProxyRange is the range of a proxy-only subnet that the same program makes
	// elsewhere; ProxyOnlySubnet is then not read.
	ProxyRange pulumi.StringInput
	// TargetTags are the network tags of the cluster's nodes: only they are opened
	// to the proxies. Required with API, unless TargetRanges is given.
	TargetTags []string
	// TargetRanges are the ranges of the cluster's pods, for a cluster whose nodes
	// have no known tag.
	TargetRanges []string
	// API is the internal entrance to the API; nil makes none.
	API *APIEntrance
	// Grafana is the public entrance to Grafana; nil makes none.
	Grafana *GrafanaEntrance
	// SkipServices leaves the project's APIs as they are.
	SkipServices bool
	// Labels are put on every object that can carry labels.
	Labels map[string]string
}

// APIEntrance is the internal entrance to the API.
type APIEntrance struct {
	// Host is the name clients use. Required.
	Host string
	// Address is the internal IP address; "" lets Google choose.
	Address string
	// AddressName is its name; "" means "<prefix>-ilb-ip-address".
	AddressName string
	// Certificate is what the load balancer shows. Required.
	Certificate CertificateArgs
	// PreviousCertificate stays attached, second in the list, until it is left out.
	PreviousCertificate *CertificateArgs
	// DNSZone is the Cloud DNS zone that gets the host's record; "" makes none.
	DNSZone string
	// DNSProject is the zone's project; "" means Project.
	DNSProject string
}

// GrafanaEntrance is the public entrance to Grafana.
type GrafanaEntrance struct {
	// Host is its public name. Required.
	Host string
	// AddressName is the global address's name; "" means
	// "<prefix>-grafana-alb-ip-address".
	AddressName string
	// DNSZone is the Cloud DNS zone that gets the host's record; "" makes none.
	DNSZone string
	// DNSProject is the zone's project; "" means Project.
	DNSProject string
}

// CertificateArgs is a self-managed certificate (guide G-IV).
type CertificateArgs struct {
	// Bundle is the PEM chain, the host's certificate first.
	Bundle string
	// Key is the PEM private key; it becomes a secret.
	Key pulumi.StringInput
	// Name is the certificate's name; "" means "<prefix>-ilb-cert-" and 8 hex
	// digits of the certificate. Where it is given, a renewal needs another one: a
	// certificate in use can neither change nor be made twice.
	Name string
	// Existing is the name of a regional certificate that is there; nothing else is
	// read then.
	Existing string
}

// Validate reports every mistake in the arguments.
func (a *IngressNetworkArgs) Validate() error {
	var errs argumentErrors
	errs.project("Project", a.Project)
	errs.region("Region", a.Region)
	errs.name("NamePrefix", a.NamePrefix)
	errs.match("NetworkProject", a.NetworkProject, projectRule, "a project id")
	if a.API != nil {
		a.validateAPI(&errs)
	}
	if a.Grafana != nil {
		errs.host("Grafana.Host", a.Grafana.Host)
		errs.optionalName("Grafana.AddressName", a.Grafana.AddressName)
		errs.optionalName("Grafana.DNSZone", a.Grafana.DNSZone)
	}
	return errs.err()
}

func (a *IngressNetworkArgs) validateAPI(errs *argumentErrors) {
	errs.name("Network", a.Network)
	errs.name("Subnetwork", a.Subnetwork)
	if a.ProxyRange == nil {
		switch p := a.ProxyOnlySubnet; {
		case p.Existing != "":
			errs.optionalName("ProxyOnlySubnet.Existing", p.Existing)
		case p.Cidr == "":
			errs.addf("ProxyOnlySubnet", "needs a cidr to create one, or existing for one that is there")
		default:
			errs.cidr("ProxyOnlySubnet.Cidr", p.Cidr)
			errs.optionalName("ProxyOnlySubnet.Name", p.Name)
			if r, err := netip.ParsePrefix(p.Cidr); err == nil && r.Bits() > 26 {
				errs.addf("ProxyOnlySubnet.Cidr", "%q is too small for proxies; give /26 or larger", p.Cidr)
			}
		}
	}
	switch {
	case len(a.TargetTags) == 0 && len(a.TargetRanges) == 0:
		errs.addf("TargetTags", "is required: without it the rule would open every machine of network %q", a.Network)
	case len(a.TargetTags) > 0 && len(a.TargetRanges) > 0:
		errs.addf("TargetTags", "and TargetRanges exclude each other; give one")
	}
	for _, t := range a.TargetTags {
		errs.name("TargetTags", t)
	}
	for _, r := range a.TargetRanges {
		errs.cidr("TargetRanges", r)
	}
	errs.host("API.Host", a.API.Host)
	errs.optionalName("API.AddressName", a.API.AddressName)
	errs.optionalName("API.DNSZone", a.API.DNSZone)
	if a.API.Address != "" {
		if ip, err := netip.ParseAddr(a.API.Address); err != nil || !ip.Is4() {
			errs.addf("API.Address", "%q is not an IPv4 address", a.API.Address)
		}
	}
	a.API.Certificate.validate(errs, "API.Certificate")
	if p := a.API.PreviousCertificate; p != nil {
		p.validate(errs, "API.PreviousCertificate")
		if current := a.API.Certificate.name(a.NamePrefix); current != "" && current == p.name(a.NamePrefix) {
			errs.addf("API.PreviousCertificate", "is %q, the same as API.Certificate; leave it out", current)
		}
	}
}

func (c *CertificateArgs) validate(errs *argumentErrors, argument string) {
	if c.Existing != "" {
		errs.optionalName(argument+".Existing", c.Existing)
		if c.Bundle != "" || c.Key != nil {
			errs.addf(argument, "has a bundle or key beside existing %q; give one or the other", c.Existing)
		}
		return
	}
	if c.Bundle == "" {
		errs.addf(argument+".Bundle", "is required: the PEM chain, or existing for a certificate that is there")
	}
	if c.Key == nil {
		errs.addf(argument+".Key", "is required: the private key of the bundle")
	}
	errs.optionalName(argument+".Name", c.Name)
}

// name is the certificate's name in the cloud; empty where nothing is given.
func (c *CertificateArgs) name(prefix string) string {
	switch {
	case c.Existing != "":
		return c.Existing
	case c.Name != "":
		return c.Name
	case c.Bundle == "":
		return ""
	}
	return prefix + "-ilb-cert-" + certificateHash(c.Bundle)
}

// NewIngressNetwork registers subnet, firewall rule, addresses, certificates and
// records.
func NewIngressNetwork(
	ctx *pulumi.Context, name string, args *IngressNetworkArgs, opts ...pulumi.ResourceOption,
) (*IngressNetwork, error) {
	if args == nil {
		args = &IngressNetworkArgs{} // Validate tells what is missing
	}
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("ingress network %q: %w", name, err)
	}
	n, err := newIngressNetwork(ctx, name, args, opts)
	if err != nil {
		return nil, fmt.Errorf("ingress network %q: %w", name, err)
	}
	return n, nil
}

// ingressNetwork is an IngressNetwork while it is made.
type ingressNetwork struct {
	*IngressNetwork
	ctx     *pulumi.Context
	name    string
	args    *IngressNetworkArgs
	enabled pulumi.ResourceOption
	byHand  pulumi.Array
}

func newIngressNetwork(
	ctx *pulumi.Context, name string, a *IngressNetworkArgs, opts []pulumi.ResourceOption,
) (*IngressNetwork, error) {
	none := pulumi.String("").ToStringOutput()
	n := &ingressNetwork{
		IngressNetwork: &IngressNetwork{
			ProxyRange: none, Address: none, AddressName: none, CertificateNames: none,
			GrafanaAddress: none, GrafanaAddressName: none,
		},
		ctx: ctx, name: name, args: a, enabled: pulumi.DependsOn(nil), byHand: pulumi.Array{},
	}
	err := ctx.RegisterComponentResourceV2("deepgram:index:IngressNetwork", name, a.inputs(), n.IngressNetwork, opts...)
	if err != nil {
		return nil, err
	}
	if !a.SkipServices {
		apis := []string{apiCompute}
		if a.usesDNS() {
			apis = append(apis, apiDNS)
		}
		if n.enabled, err = enableServices(ctx, n.IngressNetwork, name, a.Project, apis...); err != nil {
			return nil, err
		}
	}
	if a.API != nil {
		for _, step := range []func() error{n.proxies, n.apiAddress, n.certificates} {
			if err := step(); err != nil {
				return nil, err
			}
		}
	}
	if a.Grafana != nil {
		if err := n.grafana(); err != nil {
			return nil, err
		}
	}
	n.DNSRecords = n.byHand.ToArrayOutput()
	return n.IngressNetwork, ctx.RegisterResourceOutputs(n.IngressNetwork, pulumi.Map{
		"proxyRange":         n.ProxyRange,
		"address":            n.Address,
		"addressName":        n.AddressName,
		"certificateNames":   n.CertificateNames,
		"grafanaAddress":     n.GrafanaAddress,
		"grafanaAddressName": n.GrafanaAddressName,
		"dnsRecords":         n.DNSRecords,
	})
}

func (a *IngressNetworkArgs) usesDNS() bool {
	return a.API != nil && a.API.DNSZone != "" || a.Grafana != nil && a.Grafana.DNSZone != ""
}

// inputs are what the state keeps of the arguments: no key, and of a certificate
// only its name.
func (a *IngressNetworkArgs) inputs() pulumi.Map {
	m := pulumi.Map{
		"project":    pulumi.String(a.Project),
		"region":     pulumi.String(a.Region),
		"namePrefix": pulumi.String(a.NamePrefix),
		"network":    pulumi.String(a.Network),
		"subnetwork": pulumi.String(a.Subnetwork),
		"targetTags": pulumi.ToStringArray(a.TargetTags),
	}
	if a.API != nil {
		api := pulumi.Map{
			"host":        pulumi.String(a.API.Host),
			"address":     pulumi.String(a.API.Address),
			"certificate": pulumi.String(a.API.Certificate.name(a.NamePrefix)),
			"dnsZone":     pulumi.String(a.API.DNSZone),
		}
		if a.API.PreviousCertificate != nil {
			api["previousCertificate"] = pulumi.String(a.API.PreviousCertificate.name(a.NamePrefix))
		}
		m["api"] = api
	}
	if a.Grafana != nil {
		m["grafana"] = pulumi.Map{
			"host":    pulumi.String(a.Grafana.Host),
			"dnsZone": pulumi.String(a.Grafana.DNSZone),
		}
	}
	return m
}

func (n *ingressNetwork) options(more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return childOptions(n.IngressNetwork, append([]pulumi.ResourceOption{n.enabled}, more...)...)
}

// proxies make or adopt the proxies' subnet (guide G-III.1) and let the proxies
// reach the pods (G-III.2). GKE makes the rule for health checks itself.
func (n *ingressNetwork) proxies() error {
	a := n.args
	networkProject := cmp.Or(a.NetworkProject, a.Project)
	switch p := a.ProxyOnlySubnet; {
	case a.ProxyRange != nil:
		n.ProxyRange = a.ProxyRange.ToStringOutput()
	case p.Existing != "":
		subnet, err := resources.LookupSubnetwork(n.ctx, resources.SubnetworkLookupArgs{
			Project: networkProject, Region: a.Region, Name: p.Existing,
		}, pulumi.Parent(n.IngressNetwork))
		if err != nil {
			return fmt.Errorf("ProxyOnlySubnet.Existing: looking up %q in region %s of project %s: %w",
				p.Existing, a.Region, networkProject, err)
		}
		if subnet.IpCidrRange == "" {
			return fmt.Errorf("ProxyOnlySubnet.Existing: %q has no range in region %s of project %s",
				p.Existing, a.Region, networkProject)
		}
		n.ProxyRange = pulumi.String(subnet.IpCidrRange).ToStringOutput()
	default:
		subnet, err := resources.NewSubnetwork(n.ctx, n.name+"-proxy-subnet", &resources.SubnetworkArgs{
			Project:     pulumi.String(networkProject),
			Region:      pulumi.String(a.Region),
			Name:        pulumi.String(cmp.Or(p.Name, shorten(a.NamePrefix+"-proxy-only", 63))),
			Description: pulumi.String("Proxies of internal application load balancers"),
			Network:     pulumi.String(a.Network),
			IpCidrRange: pulumi.String(p.Cidr),
			Purpose:     pulumi.String("REGIONAL_MANAGED_PROXY"),
			Role:        pulumi.String("ACTIVE"),
		}, n.options(keptDescription)...)
		if err != nil {
			return fmt.Errorf("proxy-only subnet: %w", err)
		}
		n.ProxyRange = subnet.IpCidrRange
		n.Ready = append(n.Ready, subnet)
	}

	args := &resources.FirewallArgs{
		Project:      pulumi.String(networkProject),
		Name:         pulumi.String(shorten(a.NamePrefix+"-proxies-to-api", 63)),
		Description:  pulumi.String("Load balancer proxies to the Deepgram API's pods"),
		Network:      pulumi.String(a.Network),
		Direction:    pulumi.String("INGRESS"),
		Allows:       []resources.FirewallAllow{{Protocol: pulumi.String("tcp"), Ports: pulumi.ToStringArray([]string{podPort})}},
		SourceRanges: pulumi.StringArray{n.ProxyRange},
	}
	if len(a.TargetTags) > 0 {
		args.TargetTags = pulumi.ToStringArray(a.TargetTags)
	} else {
		args.DestinationRanges = pulumi.ToStringArray(a.TargetRanges)
	}
	rule, err := resources.NewFirewall(n.ctx, n.name+"-proxy-firewall", args, n.options()...)
	if err != nil {
		return fmt.Errorf("firewall rule: %w", err)
	}
	n.Ready = append(n.Ready, rule)
	return nil
}

// apiAddress reserves the internal address (guide G-III.3) and names it (G-IV.3).
// Its purpose stays the default: one forwarding rule, HTTPS only.
func (n *ingressNetwork) apiAddress() error {
	a := n.args
	args := &resources.AddressArgs{
		Project:     pulumi.String(a.Project),
		Region:      pulumi.String(a.Region),
		Name:        pulumi.String(cmp.Or(a.API.AddressName, shorten(a.NamePrefix+"-ilb-ip-address", 63))),
		Description: pulumi.String("Deepgram API"),
		AddressType: pulumi.String("INTERNAL"),
		Subnetwork:  pulumi.String(subnetworkPath(a.Project, a.NetworkProject, a.Region, a.Subnetwork)),
		Labels:      stringMap(a.Labels),
	}
	if a.API.Address != "" {
		args.Address = pulumi.String(a.API.Address)
	}
	address, err := resources.NewAddress(n.ctx, n.name+"-address", args, n.options(keptDescription)...)
	if err != nil {
		return fmt.Errorf("internal address: %w", err)
	}
	n.Address, n.AddressName = address.Address, address.Name
	n.Ready = append(n.Ready, address)
	return n.record("record", a.API.Host, a.API.DNSZone, a.API.DNSProject, address.Address)
}

// certificates upload the API's certificates (guide G-IV.1). A certificate's
// logical name comes from its content, so that a renewal is another resource: it
// is made first, and what moved to PreviousCertificate is not touched.
func (n *ingressNetwork) certificates() error {
	a := n.args
	list := []CertificateArgs{a.API.Certificate}
	if a.API.PreviousCertificate != nil {
		list = append(list, *a.API.PreviousCertificate)
	}
	var names pulumi.StringArray
	for _, c := range list {
		cloudName := c.name(a.NamePrefix)
		if c.Existing != "" {
			names = append(names, pulumi.String(cloudName))
			continue
		}
		key := strings.TrimPrefix(cloudName, a.NamePrefix+"-ilb-cert-")
		certificate, err := resources.NewRegionSslCertificate(n.ctx, n.name+"-certificate-"+key,
			&resources.RegionSslCertificateArgs{
				Project:     pulumi.String(a.Project),
				Region:      pulumi.String(a.Region),
				Name:        pulumi.String(cloudName),
				Description: pulumi.String("Deepgram API at " + a.API.Host),
				Certificate: pulumi.String(c.Bundle),
				PrivateKey:  c.Key,
			}, n.options()...)
		if err != nil {
			return fmt.Errorf("certificate %q: %w", cloudName, err)
		}
		names = append(names, certificate.Name)
		n.Ready = append(n.Ready, certificate)
	}
	n.CertificateNames = names.ToStringArrayOutput().ApplyT(func(list []string) string {
		return strings.Join(list, ",")
	}).(pulumi.StringOutput)
	return nil
}

// grafana reserves the public address (guide G-V.1) and names it (G-V.3).
func (n *ingressNetwork) grafana() error {
	a := n.args
	address, err := resources.NewGlobalAddress(n.ctx, n.name+"-grafana-address", &resources.GlobalAddressArgs{
		Project:     pulumi.String(a.Project),
		Name:        pulumi.String(cmp.Or(a.Grafana.AddressName, shorten(a.NamePrefix+"-grafana-alb-ip-address", 63))),
		Description: pulumi.String("Deepgram dashboards"),
		AddressType: pulumi.String("EXTERNAL"),
		Labels:      stringMap(a.Labels),
	}, n.options(keptDescription)...)
	if err != nil {
		return fmt.Errorf("public address of Grafana: %w", err)
	}
	n.GrafanaAddress, n.GrafanaAddressName = address.Address, address.Name
	n.Ready = append(n.Ready, address)
	return n.record("grafana-record", a.Grafana.Host, a.Grafana.DNSZone, a.Grafana.DNSProject, address.Address)
}

// record makes a host's A record in its zone, or adds it to what is left to do
// by hand.
func (n *ingressNetwork) record(role, host, zone, project string, address pulumi.StringOutput) error {
	if zone == "" {
		n.byHand = append(n.byHand, pulumi.Map{
			"name": pulumi.String(host), "type": pulumi.String("A"), "ttl": pulumi.Int(dnsTTL), "value": address,
		})
		return nil
	}
	_, err := resources.NewRecordSet(n.ctx, n.name+"-"+role, &resources.RecordSetArgs{
		Project:     pulumi.String(cmp.Or(project, n.args.Project)),
		ManagedZone: pulumi.String(zone),
		Name:        pulumi.String(host + "."),
		Type:        pulumi.String("A"),
		Ttl:         pulumi.Int(dnsTTL),
		Rrdatas:     pulumi.StringArray{address},
	}, n.options()...)
	if err != nil {
		return fmt.Errorf("DNS record of %s: %w", host, err)
	}
	return nil
}
