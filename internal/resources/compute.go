package resources

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// The labels that a gcp resource computes hold the provider's default labels
// too; the SDK keeps both maps secret.
var labelSecrets = []string{"effectiveLabels", "pulumiLabels"}

// Kinds of gcp/compute and gcp/dns as the SDK registers them.
var (
	AddressKind              = Kind{Token: "gcp:compute/address:Address", Version: GCPVersion, SecretOutputs: labelSecrets}
	GlobalAddressKind        = Kind{Token: "gcp:compute/globalAddress:GlobalAddress", Version: GCPVersion, SecretOutputs: labelSecrets}
	DiskKind                 = Kind{Token: "gcp:compute/disk:Disk", Version: GCPVersion, SecretOutputs: labelSecrets}
	FirewallKind             = Kind{Token: "gcp:compute/firewall:Firewall", Version: GCPVersion}
	RegionSslCertificateKind = Kind{
		Token: "gcp:compute/regionSslCertificate:RegionSslCertificate", Version: GCPVersion,
		SecretOutputs: []string{"certificate", "privateKey"},
		SecretInputs:  []string{"certificate", "privateKey"},
	}
	SubnetworkKind = Kind{Token: "gcp:compute/subnetwork:Subnetwork", Version: GCPVersion}
	RouterKind     = Kind{Token: "gcp:compute/router:Router", Version: GCPVersion}
	RouterNatKind  = Kind{Token: "gcp:compute/routerNat:RouterNat", Version: GCPVersion}
	RecordSetKind  = Kind{Token: "gcp:dns/recordSet:RecordSet", Version: GCPVersion}
)

// AddressArgs are the arguments of a regional address.
type AddressArgs struct {
	Project     pulumi.StringInput    `pulumi:"project"`
	Region      pulumi.StringInput    `pulumi:"region"`
	Name        pulumi.StringInput    `pulumi:"name"`
	Description pulumi.StringInput    `pulumi:"description"`
	AddressType pulumi.StringInput    `pulumi:"addressType"`
	Address     pulumi.StringInput    `pulumi:"address"`
	Subnetwork  pulumi.StringInput    `pulumi:"subnetwork"`
	Purpose     pulumi.StringInput    `pulumi:"purpose"`
	Labels      pulumi.StringMapInput `pulumi:"labels"`
}

// Address is a regional IP address.
type Address struct {
	pulumi.CustomResourceState

	Address  pulumi.StringOutput `pulumi:"address"`
	Name     pulumi.StringOutput `pulumi:"name"`
	SelfLink pulumi.StringOutput `pulumi:"selfLink"`
}

// NewAddress registers a regional address.
func NewAddress(ctx *pulumi.Context, name string, args *AddressArgs, opts ...pulumi.ResourceOption) (*Address, error) {
	r := &Address{}
	if err := register(ctx, AddressKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// GlobalAddressArgs are the arguments of a global address.
type GlobalAddressArgs struct {
	Project     pulumi.StringInput    `pulumi:"project"`
	Name        pulumi.StringInput    `pulumi:"name"`
	Description pulumi.StringInput    `pulumi:"description"`
	AddressType pulumi.StringInput    `pulumi:"addressType"`
	IpVersion   pulumi.StringInput    `pulumi:"ipVersion"`
	Labels      pulumi.StringMapInput `pulumi:"labels"`
}

// GlobalAddress is a global IP address.
type GlobalAddress struct {
	pulumi.CustomResourceState

	Address  pulumi.StringOutput `pulumi:"address"`
	Name     pulumi.StringOutput `pulumi:"name"`
	SelfLink pulumi.StringOutput `pulumi:"selfLink"`
}

// NewGlobalAddress registers a global address.
func NewGlobalAddress(
	ctx *pulumi.Context, name string, args *GlobalAddressArgs, opts ...pulumi.ResourceOption,
) (*GlobalAddress, error) {
	r := &GlobalAddress{}
	if err := register(ctx, GlobalAddressKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// DiskArgs are the arguments of a zonal disk. Size is in GB.
type DiskArgs struct {
	Project     pulumi.StringInput    `pulumi:"project"`
	Zone        pulumi.StringInput    `pulumi:"zone"`
	Name        pulumi.StringInput    `pulumi:"name"`
	Description pulumi.StringInput    `pulumi:"description"`
	Type        pulumi.StringInput    `pulumi:"type"`
	Size        pulumi.IntInput       `pulumi:"size"`
	AccessMode  pulumi.StringInput    `pulumi:"accessMode"`
	Snapshot    pulumi.StringInput    `pulumi:"snapshot"`
	Image       pulumi.StringInput    `pulumi:"image"`
	Labels      pulumi.StringMapInput `pulumi:"labels"`
}

// Disk is a zonal disk.
type Disk struct {
	pulumi.CustomResourceState

	Name     pulumi.StringOutput `pulumi:"name"`
	Project  pulumi.StringOutput `pulumi:"project"`
	Zone     pulumi.StringOutput `pulumi:"zone"`
	Size     pulumi.IntOutput    `pulumi:"size"`
	SelfLink pulumi.StringOutput `pulumi:"selfLink"`
	// CreationTimestamp tells a disk from a later one of the same name.
	CreationTimestamp pulumi.StringOutput `pulumi:"creationTimestamp"`
}

// NewDisk registers a zonal disk.
func NewDisk(ctx *pulumi.Context, name string, args *DiskArgs, opts ...pulumi.ResourceOption) (*Disk, error) {
	r := &Disk{}
	if err := register(ctx, DiskKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// FirewallAllow is one thing that a firewall rule lets through.
type FirewallAllow struct {
	Protocol pulumi.StringInput      `pulumi:"protocol"`
	Ports    pulumi.StringArrayInput `pulumi:"ports"`
}

// FirewallArgs are the arguments of a firewall rule.
type FirewallArgs struct {
	Project      pulumi.StringInput      `pulumi:"project"`
	Name         pulumi.StringInput      `pulumi:"name"`
	Description  pulumi.StringInput      `pulumi:"description"`
	Network      pulumi.StringInput      `pulumi:"network"`
	Direction    pulumi.StringInput      `pulumi:"direction"`
	Priority     pulumi.IntInput         `pulumi:"priority"`
	Allows       []FirewallAllow         `pulumi:"allows"`
	SourceRanges pulumi.StringArrayInput `pulumi:"sourceRanges"`
	TargetTags   pulumi.StringArrayInput `pulumi:"targetTags"`
	// DestinationRanges limit the rule to addresses instead of tags.
	DestinationRanges pulumi.StringArrayInput `pulumi:"destinationRanges"`
}

// Firewall is a firewall rule.
type Firewall struct {
	pulumi.CustomResourceState

	Name     pulumi.StringOutput `pulumi:"name"`
	SelfLink pulumi.StringOutput `pulumi:"selfLink"`
}

// NewFirewall registers a firewall rule.
func NewFirewall(ctx *pulumi.Context, name string, args *FirewallArgs, opts ...pulumi.ResourceOption) (*Firewall, error) {
	if args == nil || args.Network == nil {
		return nil, missing("Network")
	}
	r := &Firewall{}
	if err := register(ctx, FirewallKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// RegionSslCertificateArgs are the arguments of a regional certificate.
type RegionSslCertificateArgs struct {
	Project     pulumi.StringInput `pulumi:"project"`
	Region      pulumi.StringInput `pulumi:"region"`
	Name        pulumi.StringInput `pulumi:"name"`
	Description pulumi.StringInput `pulumi:"description"`
	Certificate pulumi.StringInput `pulumi:"certificate"`
	PrivateKey  pulumi.StringInput `pulumi:"privateKey"`
}

// RegionSslCertificate is a self-managed certificate of one region.
type RegionSslCertificate struct {
	pulumi.CustomResourceState

	Name       pulumi.StringOutput `pulumi:"name"`
	ExpireTime pulumi.StringOutput `pulumi:"expireTime"`
	SelfLink   pulumi.StringOutput `pulumi:"selfLink"`
}

// NewRegionSslCertificate registers a regional certificate. Certificate and key
// become secrets, as in the SDK.
func NewRegionSslCertificate(
	ctx *pulumi.Context, name string, args *RegionSslCertificateArgs, opts ...pulumi.ResourceOption,
) (*RegionSslCertificate, error) {
	switch {
	case args == nil || args.Certificate == nil:
		return nil, missing("Certificate")
	case args.PrivateKey == nil:
		return nil, missing("PrivateKey")
	}
	r := &RegionSslCertificate{}
	if err := register(ctx, RegionSslCertificateKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// SubnetworkArgs are the arguments of a subnetwork.
type SubnetworkArgs struct {
	Project     pulumi.StringInput `pulumi:"project"`
	Region      pulumi.StringInput `pulumi:"region"`
	Name        pulumi.StringInput `pulumi:"name"`
	Description pulumi.StringInput `pulumi:"description"`
	Network     pulumi.StringInput `pulumi:"network"`
	IpCidrRange pulumi.StringInput `pulumi:"ipCidrRange"`
	Purpose     pulumi.StringInput `pulumi:"purpose"`
	Role        pulumi.StringInput `pulumi:"role"`
}

// Subnetwork is a subnetwork.
type Subnetwork struct {
	pulumi.CustomResourceState

	Name        pulumi.StringOutput `pulumi:"name"`
	IpCidrRange pulumi.StringOutput `pulumi:"ipCidrRange"`
	SelfLink    pulumi.StringOutput `pulumi:"selfLink"`
}

// NewSubnetwork registers a subnetwork.
func NewSubnetwork(
	ctx *pulumi.Context, name string, args *SubnetworkArgs, opts ...pulumi.ResourceOption,
) (*Subnetwork, error) {
	switch {
	case args == nil || args.IpCidrRange == nil:
		return nil, missing("IpCidrRange")
	case args.Network == nil:
		return nil, missing("Network")
	}
	r := &Subnetwork{}
	if err := register(ctx, SubnetworkKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// RouterArgs are the arguments of a Cloud Router.
type RouterArgs struct {
	Project     pulumi.StringInput `pulumi:"project"`
	Region      pulumi.StringInput `pulumi:"region"`
	Name        pulumi.StringInput `pulumi:"name"`
	Description pulumi.StringInput `pulumi:"description"`
	Network     pulumi.StringInput `pulumi:"network"`
}

// Router is a Cloud Router.
type Router struct {
	pulumi.CustomResourceState

	Name     pulumi.StringOutput `pulumi:"name"`
	SelfLink pulumi.StringOutput `pulumi:"selfLink"`
}

// NewRouter registers a Cloud Router.
func NewRouter(ctx *pulumi.Context, name string, args *RouterArgs, opts ...pulumi.ResourceOption) (*Router, error) {
	if args == nil || args.Network == nil {
		return nil, missing("Network")
	}
	r := &Router{}
	if err := register(ctx, RouterKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// RouterNatLogConfig says what a NAT logs.
type RouterNatLogConfig struct {
	Enable pulumi.BoolInput   `pulumi:"enable"`
	Filter pulumi.StringInput `pulumi:"filter"`
}

// RouterNatSubnetwork is a subnetwork that a NAT serves.
type RouterNatSubnetwork struct {
	Name                 pulumi.StringInput      `pulumi:"name"`
	SourceIpRangesToNats pulumi.StringArrayInput `pulumi:"sourceIpRangesToNats"`
}

// RouterNatArgs are the arguments of a Cloud NAT.
type RouterNatArgs struct {
	Project                       pulumi.StringInput    `pulumi:"project"`
	Region                        pulumi.StringInput    `pulumi:"region"`
	Name                          pulumi.StringInput    `pulumi:"name"`
	Router                        pulumi.StringInput    `pulumi:"router"`
	NatIpAllocateOption           pulumi.StringInput    `pulumi:"natIpAllocateOption"`
	SourceSubnetworkIpRangesToNat pulumi.StringInput    `pulumi:"sourceSubnetworkIpRangesToNat"`
	Subnetworks                   []RouterNatSubnetwork `pulumi:"subnetworks"`
	LogConfig                     *RouterNatLogConfig   `pulumi:"logConfig"`
}

// RouterNat is a Cloud NAT.
type RouterNat struct {
	pulumi.CustomResourceState

	Name pulumi.StringOutput `pulumi:"name"`
}

// NewRouterNat registers a Cloud NAT.
func NewRouterNat(
	ctx *pulumi.Context, name string, args *RouterNatArgs, opts ...pulumi.ResourceOption,
) (*RouterNat, error) {
	switch {
	case args == nil || args.Router == nil:
		return nil, missing("Router")
	case args.SourceSubnetworkIpRangesToNat == nil:
		return nil, missing("SourceSubnetworkIpRangesToNat")
	}
	r := &RouterNat{}
	if err := register(ctx, RouterNatKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// RecordSetArgs are the arguments of a Cloud DNS record. Name ends with a dot.
type RecordSetArgs struct {
	Project     pulumi.StringInput      `pulumi:"project"`
	ManagedZone pulumi.StringInput      `pulumi:"managedZone"`
	Name        pulumi.StringInput      `pulumi:"name"`
	Type        pulumi.StringInput      `pulumi:"type"`
	Ttl         pulumi.IntInput         `pulumi:"ttl"`
	Rrdatas     pulumi.StringArrayInput `pulumi:"rrdatas"`
}

// RecordSet is a Cloud DNS record.
type RecordSet struct {
	pulumi.CustomResourceState

	Name pulumi.StringOutput `pulumi:"name"`
}

// NewRecordSet registers a Cloud DNS record.
func NewRecordSet(
	ctx *pulumi.Context, name string, args *RecordSetArgs, opts ...pulumi.ResourceOption,
) (*RecordSet, error) {
	switch {
	case args == nil || args.ManagedZone == nil:
		return nil, missing("ManagedZone")
	case args.Name == nil:
		return nil, missing("Name")
	case args.Type == nil:
		return nil, missing("Type")
	}
	r := &RecordSet{}
	if err := register(ctx, RecordSetKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}
