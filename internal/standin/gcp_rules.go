package standin

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

var (
	nameForm    = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	bucketForm  = regexp.MustCompile(`^[a-z0-9][-_.a-z0-9]{1,61}[a-z0-9]$`)
	clusterForm = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$`)
	accountForm = regexp.MustCompile(`^[a-z][-a-z0-9]{4,28}[a-z0-9]$`)
	secretForm  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	repoForm    = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	machineForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)
	memberForm  = regexp.MustCompile(`^(serviceAccount|user|group|domain|principal|principalSet|projectOwner|projectEditor|projectViewer):.+|^allUsers$|^allAuthenticatedUsers$`)
)

// checkFormats refuses values of a form that the provider refuses before it
// asks the cloud.
func checkFormats(typ string, in props, out *complaints) {
	form := func(path string, re *regexp.Regexp, rule string) {
		if s := stringAt(in, path); s != "" && !re.MatchString(s) {
			out.add(path, "%q does not match %s (%s)", s, re, rule)
		}
	}
	switch typ {
	case typeAddress, typeGlobalAddress, typeCertificate, typeDisk, typeFirewall, typeNetwork, typeRouter, typeRouterNat,
		typeSubnetwork, typeManagedZone:
		form("name", nameForm, "1 to 63 lower-case letters, digits and hyphens, beginning with a letter")
	case typeFilestore:
		form("name", nameForm, "1 to 63 lower-case letters, digits and hyphens, beginning with a letter")
	case typeCluster, typeNodePool:
		form("name", clusterForm, "1 to 40 lower-case letters, digits and hyphens, beginning with a letter")
	case typeBucket:
		form("name", bucketForm, "3 to 63 lower-case letters, digits, hyphens, dots")
	case typeServiceAccount:
		form("accountId", accountForm, "6 to 30 lower-case letters, digits and hyphens")
	case typeSecret:
		form("secretId", secretForm, "letters, digits, hyphens and underscores")
	case typeRepository:
		form("repositoryId", repoForm, "lower-case letters, digits and hyphens")
	case typeRecordSet:
		if s := stringAt(in, "name"); s != "" && !strings.HasSuffix(s, ".") {
			out.add("name", "%q must end with a dot", s)
		}
	}
	form("nodeConfig.machineType", machineForm, "such as n2-standard-4")
	if _, ok := in["role"]; ok && strings.Contains(typ, "IamMember") || strings.Contains(typ, "IAMMember") {
		form("member", memberForm, "such as serviceAccount:NAME@PROJECT.iam.gserviceaccount.com")
	}
	for _, key := range []string{"ipCidrRange"} {
		if s := stringAt(in, key); s != "" {
			if pr, err := netip.ParsePrefix(s); err != nil || pr.Masked() != pr {
				out.add(key, "%q is not a range such as 10.0.0.0/20 with no bits behind the prefix", s)
			}
		}
	}
}

func refusal(code int, format string, args ...any) error {
	return fmt.Errorf("googleapi: Error %d: %s", code, fmt.Sprintf(format, args...))
}

// refuse says why the cloud does not accept a resource. old is the state before
// an update and nil at a creation.
func (p *gcp) refuse(typ, id string, out, old props) error {
	switch typ {
	case typeSubnetwork:
		return p.refuseSubnetwork(id, out)
	case typeAddress:
		return p.refuseAddress(id, out)
	case typeDisk:
		return refuseDisk(out, old)
	case typeCertificate:
		return refuseCertificate(out)
	case typeCluster:
		return p.refuseCluster(out)
	case typeNodePool:
		return p.refuseNodePool(out)
	case typeFilestore:
		return refuseFilestore(out, old)
	case typeRouter, typeFirewall:
		return p.needNetwork(stringAt(out, "network"), stringAt(out, "project"))
	case typeRouterNat:
		id := fmt.Sprintf("projects/%s/regions/%s/routers/%s", stringAt(out, "project"), stringAt(out, "region"), lastPart(stringAt(out, "router")))
		return p.need(typeRouter, id)
	case typeRecordSet:
		return p.refuseRecord(out)
	case typeSecretVersion:
		return p.need(typeSecret, stringAt(out, "secret"))
	case typeSecretIAM:
		return p.need(typeSecret, stringAt(out, "secretId"))
	case typeRepositoryIAM:
		return p.need(typeRepository, stringAt(out, "repository"))
	case typeBucketIAM:
		return p.need(typeBucket, lastPart(stringAt(out, "bucket")))
	}
	return nil
}

// need refuses a reference to something that does not exist. References to
// other projects are not judged: the cloud holds one project.
func (p *gcp) need(typ, id string) error {
	id = strings.TrimPrefix(id, computePrefix)
	if pr := segment(id, "projects"); pr != "" && pr != p.cloud.settings.project && !p.holdsProject(pr) {
		return nil
	}
	if p.cloud.objects[objectKey{Type: typ, ID: id}] == nil {
		return refusal(404, "the resource '%s' was not found, notFound", id)
	}
	return nil
}

func (p *gcp) holdsProject(project string) bool {
	for k := range p.cloud.objects {
		if k.Type == typeNetwork && segment(k.ID, "projects") == project {
			return true
		}
	}
	return false
}

func (p *gcp) needNetwork(ref, project string) error {
	if ref == "" {
		return nil
	}
	if !strings.Contains(ref, "/") {
		ref = "projects/" + project + "/global/networks/" + ref
	}
	return p.need(typeNetwork, ref)
}

// autoModeRange is where networks in automatic mode place their subnetworks.
var autoModeRange = netip.MustParsePrefix("10.128.0.0/9")

func (p *gcp) refuseSubnetwork(id string, out props) error {
	network := stringAt(out, "network")
	if err := p.needNetwork(network, stringAt(out, "project")); err != nil {
		return err
	}
	mine, err := netip.ParsePrefix(stringAt(out, "ipCidrRange"))
	if err != nil {
		return refusal(400, "invalid value for field 'resource.ipCidrRange': '%s'", stringAt(out, "ipCidrRange"))
	}
	if n := p.cloud.objects[objectKey{Type: typeNetwork, ID: strings.TrimPrefix(network, computePrefix)}]; n != nil &&
		boolAt(n.outputs, "autoCreateSubnetworks") && autoModeRange.Overlaps(mine) {
		return refusal(400, "invalid IPCidrRange: %s conflicts with reserved range %s of automatic network %s", mine, autoModeRange, lastPart(network))
	}
	proxyOnly := func(m props) bool {
		return stringAt(m, "purpose") == "REGIONAL_MANAGED_PROXY" && stringAt(m, "role") == "ACTIVE"
	}
	if stringAt(out, "purpose") == "REGIONAL_MANAGED_PROXY" && stringAt(out, "role") == "" {
		return refusal(400, "a subnetwork with purpose REGIONAL_MANAGED_PROXY must have role ACTIVE or BACKUP")
	}
	for _, o := range p.cloud.ofType(typeSubnetwork) {
		if o.key.ID == id || !sameReference("network", stringAt(o.outputs, "network"), network) {
			continue
		}
		for _, theirs := range ranges(o.outputs) {
			for _, r := range ranges(out) {
				if r.Overlaps(theirs) {
					return refusal(400, "invalid IPCidrRange: %s conflicts with existing subnetwork '%s' in region '%s'",
						r, lastPart(o.key.ID), segment(o.key.ID, "regions"))
				}
			}
		}
		if proxyOnly(out) && proxyOnly(o.outputs) && segment(o.key.ID, "regions") == segment(id, "regions") {
			return refusal(400, "only one active proxy-only subnetwork is allowed in region '%s' of network '%s'; '%s' is active",
				segment(id, "regions"), lastPart(network), lastPart(o.key.ID))
		}
	}
	return nil
}

// ranges are the primary and secondary ranges of a subnetwork.
func ranges(out props) []netip.Prefix {
	texts := []string{stringAt(out, "ipCidrRange")}
	if l := bare(out["secondaryIpRanges"]); l.IsArray() {
		for _, e := range l.ArrayValue() {
			if e = bare(e); e.IsObject() {
				texts = append(texts, stringAt(e.ObjectValue(), "ipCidrRange"))
			}
		}
	}
	var all []netip.Prefix
	for _, t := range texts {
		if r, err := netip.ParsePrefix(t); err == nil {
			all = append(all, r)
		}
	}
	return all
}

func (p *gcp) refuseAddress(id string, out props) error {
	address := stringAt(out, "address")
	if stringAt(out, "addressType") != "INTERNAL" {
		return nil
	}
	region := stringAt(out, "region")
	sub := p.subnetwork(place{}, stringAt(out, "subnetwork"), region)
	if sub == nil {
		return refusal(404, "the subnetwork '%s' in region '%s' was not found, notFound", lastPart(stringAt(out, "subnetwork")), region)
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return refusal(400, "invalid value for field 'resource.address': '%s'", address)
	}
	if r, err := netip.ParsePrefix(stringAt(sub.outputs, "ipCidrRange")); err == nil && !r.Contains(a) {
		return refusal(400, "invalid value for field 'resource.address': '%s' is not in range %s of subnetwork '%s'", a, r, lastPart(sub.key.ID))
	}
	for _, o := range p.cloud.ofType(typeAddress) {
		if o.key.ID != id && stringAt(o.outputs, "address") == address && stringAt(o.outputs, "subnetwork") == stringAt(out, "subnetwork") {
			return refusal(409, "address %s is already reserved by '%s'", address, o.key.ID)
		}
	}
	return nil
}

func refuseDisk(out, old props) error {
	size, _ := numberAt(out, "size")
	if before, ok := numberAt(old, "size"); ok && size < before {
		return refusal(400, "a disk cannot shrink: size %g GB is below the present %g GB", size, before)
	}
	if zone := stringAt(out, "zone"); !isZone(lastPart(zone)) {
		return refusal(400, "invalid value for field 'zone': '%s'", zone)
	}
	return nil
}

func refuseCertificate(out props) error {
	if _, err := tls.X509KeyPair([]byte(stringAt(out, "certificate")), []byte(stringAt(out, "privateKey"))); err != nil {
		return refusal(400, "the certificate and its private key are not usable: %v", err)
	}
	return nil
}

func (p *gcp) refuseCluster(out props) error {
	location, project := stringAt(out, "location"), stringAt(out, "project")
	region := location
	if isZone(location) {
		region = location[:len(location)-2]
	}
	if l := bare(out["nodeLocations"]); l.IsArray() {
		for _, z := range l.ArrayValue() {
			if s := bare(z); s.IsString() && !strings.HasPrefix(s.StringValue(), region+"-") {
				return refusal(400, "node location %q is not in region %q of the cluster", s.StringValue(), region)
			}
		}
	}
	if err := p.needNetwork(stringAt(out, "network"), project); err != nil {
		return err
	}
	return p.need(typeSubnetwork, stringAt(out, "subnetwork"))
}

func (p *gcp) refuseNodePool(out props) error {
	project, location := stringAt(out, "project"), stringAt(out, "location")
	cl := p.cluster(project, location, stringAt(out, "cluster"))
	if cl == nil {
		return refusal(404, "not found: projects/%s/locations/%s/clusters/%s", project, location, lastPart(stringAt(out, "cluster")))
	}
	region := segment(cl.key.ID, "locations")
	if isZone(region) {
		region = region[:len(region)-2]
	}
	if l := bare(out["nodeLocations"]); l.IsArray() {
		for _, z := range l.ArrayValue() {
			if s := bare(z); s.IsString() && !strings.HasPrefix(s.StringValue(), region+"-") {
				return refusal(400, "node location %q is not in region %q of the cluster", s.StringValue(), region)
			}
		}
	}
	lo, hasMin := numberAt(out, "autoscaling.minNodeCount")
	hi, hasMax := numberAt(out, "autoscaling.maxNodeCount")
	if hasMin && hasMax && lo > hi {
		return refusal(400, "autoscaling minNodeCount %g is above maxNodeCount %g", lo, hi)
	}
	return nil
}

// filestoreMinimum is the least capacity in GiB by tier, from Google's
// documentation of service tiers.
var filestoreMinimum = map[string]float64{
	"STANDARD": 1024, "BASIC_HDD": 1024, "PREMIUM": 2560, "BASIC_SSD": 2560,
	"HIGH_SCALE_SSD": 10240, "ZONAL": 1024, "REGIONAL": 1024, "ENTERPRISE": 1024,
}

func refuseFilestore(out, old props) error {
	tier := stringAt(out, "tier")
	least, known := filestoreMinimum[tier]
	if !known {
		return refusal(400, "unknown tier '%s', known are %s", tier, strings.Join(sortedKeys(filestoreMinimum), ", "))
	}
	size, _ := numberAt(out, "fileShares.capacityGb")
	if size < least {
		return refusal(400, "capacity %g GiB is below the minimum of tier %s, %g GiB", size, tier, least)
	}
	if before, ok := numberAt(old, "fileShares.capacityGb"); ok && size < before && strings.HasPrefix(tier, "BASIC") {
		return refusal(400, "instances of tier %s cannot shrink: %g GiB is below the present %g GiB", tier, size, before)
	}
	return nil
}

func (p *gcp) refuseRecord(out props) error {
	id := fmt.Sprintf("projects/%s/managedZones/%s", stringAt(out, "project"), lastPart(stringAt(out, "managedZone")))
	if err := p.need(typeManagedZone, id); err != nil {
		return err
	}
	zone := p.cloud.objects[objectKey{Type: typeManagedZone, ID: id}]
	if zone == nil {
		return nil
	}
	dns, name := stringAt(zone.outputs, "dnsName"), stringAt(out, "name")
	if name != dns && !strings.HasSuffix(name, "."+dns) {
		return refusal(400, "record '%s' is not in zone '%s' (%s)", name, lastPart(id), dns)
	}
	return nil
}

// refuseRemoval says why the cloud does not delete something.
func (p *gcp) refuseRemoval(o *object, state props) error {
	switch o.key.Type {
	case typeCluster:
		if boolAt(state, "deletionProtection") {
			return fmt.Errorf("cannot destroy cluster because deletionProtection is set to true: set it to false and run pulumi up first")
		}
	case typeBucket:
		if !boolAt(state, "forceDestroy") && p.holds(typeBucketObject, o.key.ID+"/") {
			return refusal(409, "the bucket '%s' is not empty and forceDestroy is not set", o.key.ID)
		}
		for k := range p.cloud.objects {
			if k.Type == typeBucketObject && strings.HasPrefix(k.ID, o.key.ID+"/") {
				delete(p.cloud.objects, k)
			}
		}
	case typeManagedZone:
		if !boolAt(state, "forceDestroy") && p.holds(typeRecordSet, o.key.ID+"/") {
			return refusal(400, "the zone '%s' still has records, containerNotEmpty", o.key.ID)
		}
	}
	if users := p.users(o); len(users) > 0 {
		return refusal(400, "the resource '%s' is already being used by '%s', resourceInUseByAnotherResource", o.key.ID, strings.Join(users, "', '"))
	}
	return nil
}

func (p *gcp) holds(typ, prefix string) bool {
	for k := range p.cloud.objects {
		if k.Type == typ && strings.HasPrefix(k.ID, prefix) {
			return true
		}
	}
	return false
}

// users are the ids of what the cloud says is using something.
func (p *gcp) users(o *object) []string {
	var out []string
	for _, u := range p.cloud.sorted() {
		if u != o && uses(u, o) {
			out = append(out, u.key.ID)
		}
	}
	return out
}

func uses(u, o *object) bool {
	name := lastPart(o.key.ID)
	refers := func(path string) bool {
		return sameReference("network", stringAt(u.outputs, path), o.key.ID) && stringAt(u.outputs, path) != ""
	}
	switch o.key.Type {
	case typeNetwork:
		return u.provider == "gcp" && (u.createdBy != "" || u.key.Type != typeSubnetwork) && refers("network")
	case typeSubnetwork:
		return (u.key.Type == typeCluster || u.key.Type == typeAddress) && refers("subnetwork")
	case typeAddress, typeGlobalAddress, typeCertificate:
		return usesByAnnotation(u, o.key.Type, name)
	case typeDisk:
		return u.provider == "kubernetes" && mentions(resource.NewProperty(u.outputs), o.key.ID)
	}
	return false
}

func usesByAnnotation(u *object, typ, name string) bool {
	annotations := bare(at(u.outputs, "metadata.annotations"))
	if u.key.Type != typeIngress || !annotations.IsObject() {
		return false
	}
	get := func(key resource.PropertyKey) string {
		if v := bare(annotations.ObjectValue()[key]); v.IsString() {
			return v.StringValue()
		}
		return ""
	}
	switch typ {
	case typeAddress:
		return get("kubernetes.io/ingress.regional-static-ip-name") == name
	case typeGlobalAddress:
		return get("kubernetes.io/ingress.global-static-ip-name") == name
	}
	for _, c := range strings.Split(get("ingress.gcp.kubernetes.io/pre-shared-cert"), ",") {
		if strings.TrimSpace(c) == name {
			return true
		}
	}
	return false
}

// mentions says whether a volume handle anywhere in v names the disk.
func mentions(v value, id string) bool {
	v = bare(v)
	switch {
	case v.IsObject():
		for k, e := range v.ObjectValue() {
			if k == "volumeHandle" && bare(e).IsString() && bare(e).StringValue() == id || mentions(e, id) {
				return true
			}
		}
	case v.IsArray():
		for _, e := range v.ArrayValue() {
			if mentions(e, id) {
				return true
			}
		}
	}
	return false
}
