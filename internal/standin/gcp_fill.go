package standin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// masterVersion is the Kubernetes version of pretended clusters.
const masterVersion = "1.33.5-gke.1201000"

// autoModeRanges are the ranges that the network "default" has in some regions.
var autoModeRanges = map[string]string{
	"us-central1": "10.128.0.0/20", "europe-west1": "10.132.0.0/20", "us-west1": "10.138.0.0/20",
	"asia-east1": "10.140.0.0/20", "us-east1": "10.142.0.0/20", "us-east4": "10.150.0.0/20",
	"europe-west4": "10.164.0.0/20", "europe-west3": "10.156.0.0/20", "us-west4": "10.182.0.0/20",
	"asia-southeast1": "10.148.0.0/20", "europe-west2": "10.154.0.0/20",
}

// fill computes what the cloud decides and the id may depend on.
func (p *gcp) fill(e place, typ string, out props) {
	c := p.cloud
	def := func(path string, v any) { setDefault(out, path, resource.NewPropertyValue(v)) }
	if prefix := stringAt(out, "namePrefix"); prefix != "" {
		def("name", fmt.Sprintf("%s2026010100000000%010d", prefix, c.sequence+1))
	}
	switch typ {
	case typeServiceAccount:
		email := stringAt(out, "accountId") + "@" + stringAt(out, "project") + ".iam.gserviceaccount.com"
		def("email", email)
		def("member", "serviceAccount:"+email)
		def("name", "projects/"+stringAt(out, "project")+"/serviceAccounts/"+email)
		def("uniqueId", "1"+number(email, 19))
	case typeSecretVersion:
		n := 1
		for _, o := range c.ofType(typ) {
			if strings.HasPrefix(o.key.ID, stringAt(out, "secret")+"/versions/") {
				n++
			}
		}
		def("version", fmt.Sprint(n))
	case typeAddress, typeGlobalAddress:
		p.fillAddress(e, typ, out)
	case typeRouterNat:
		def("endpointTypes", []any{"ENDPOINT_TYPE_VM"})
		def("minPortsPerVm", 0)
		def("icmpIdleTimeoutSec", 30)
	case typeSubnetwork:
		def("purpose", "PRIVATE")
		def("stackType", "IPV4_ONLY")
		def("privateIpv6GoogleAccess", "DISABLE_GOOGLE_ACCESS")
		if r, err := netip.ParsePrefix(stringAt(out, "ipCidrRange")); err == nil {
			def("gatewayAddress", r.Masked().Addr().Next().String())
		}
		p.networkURL(out, "network")
	case typeNetwork:
		def("routingMode", "REGIONAL")
		def("mtu", 1460)
	case typeFirewall:
		def("direction", "INGRESS")
		p.networkURL(out, "network")
		shorten(out, "network")
	case typeRouter:
		p.networkURL(out, "network")
	case typeDisk:
		def("size", 500) // of a blank pd-standard disk without a size
		def("physicalBlockSizeBytes", 4096)
	case typeCertificate:
		def("certificateId", float64(c.sequence+1)+4e15)
		def("expireTime", expiry(stringAt(out, "certificate")))
	case typeBucket:
		setAt(out, "location", text(strings.ToUpper(stringAt(out, "location"))))
		def("url", "gs://"+stringAt(out, "name"))
		def("publicAccessPrevention", "inherited")
		def("softDeletePolicy", map[string]any{"effectiveTime": madeAt, "retentionDurationSeconds": 604800})
		def("selfLink", "https://www.googleapis.com/storage/v1/b/"+stringAt(out, "name"))
	case typeManagedZone:
		if stringAt(out, "visibility") == "private" {
			def("nameServers", []any{"ns-gcp-private.googledomains.com."})
		}
		def("nameServers", []any{"ns-cloud-a1.googledomains.com.", "ns-cloud-a2.googledomains.com.", "ns-cloud-a3.googledomains.com.", "ns-cloud-a4.googledomains.com."})
		def("cloudLoggingConfig.enableLogging", false)
	case typeFilestore:
		p.fillFilestore(out)
	case typeCluster:
		p.fillCluster(out)
	case typeNodePool:
		p.fillNodePool(out)
	}
}

// identify computes what follows from the id.
func (p *gcp) identify(typ, id string, out props) {
	def := func(path string, v any) { setDefault(out, path, resource.NewPropertyValue(v)) }
	f := gcpFacts()[typ].fields
	for _, k := range []string{"creationTimestamp", "createTime", "creationTime", "updateTime"} {
		if f[k] != nil {
			def(k, madeAt)
		}
	}
	if f["selfLink"] != nil {
		def("selfLink", computePrefix+id)
	}
	for _, k := range []string{"fingerprint", "labelFingerprint", "etag"} {
		if f[k] != nil {
			def(k, fingerprint(id))
		}
	}
	for _, k := range []string{"numericId", "diskId", "uid"} {
		if f[k] != nil {
			def(k, number(id, 19))
		}
	}
	if f["managedZoneId"] != nil {
		def("managedZoneId", number(id, 15))
	}
	if f["projectNumber"] != nil {
		setAt(out, "projectNumber", resource.NewProperty(digits(p.cloud.settings.projectNumber)))
	}
	switch typ {
	case typeRepository:
		def("name", stringAt(out, "repositoryId"))
	case typeSecret, typeSecretVersion, "gcp:projects/iAMCustomRole:IAMCustomRole":
		def("name", id)
	case typeBucketIAM:
		setAt(out, "bucket", text("b/"+lastPart(stringAt(out, "bucket"))))
	case typeRepositoryIAM:
		setAt(out, "repository", text(strings.SplitN(id, "/roles/", 2)[0]))
	case typeSecretIAM:
		setAt(out, "secretId", text(strings.SplitN(id, "/roles/", 2)[0]))
	}
}

func digits(s string) float64 {
	n := 0.0
	for _, c := range s {
		if c >= '0' && c <= '9' {
			n = n*10 + float64(c-'0')
		}
	}
	return n
}

// networkURL turns the name of a network into the URL that the cloud answers.
func (p *gcp) networkURL(out props, key string) {
	n := stringAt(out, key)
	if n == "" || strings.HasPrefix(n, "https://") {
		return
	}
	if !strings.Contains(n, "/") {
		n = "projects/" + stringAt(out, "project") + "/global/networks/" + n
	}
	setAt(out, key, text(computePrefix+n))
}

// shorten cuts a URL to the partial one that some types answer.
func shorten(out props, key string) {
	if s := stringAt(out, key); s != "" {
		setAt(out, key, text(strings.TrimPrefix(s, computePrefix)))
	}
}

func (p *gcp) fillAddress(e place, typ string, out props) {
	def := func(path string, v any) { setDefault(out, path, resource.NewPropertyValue(v)) }
	def("networkTier", "PREMIUM")
	if stringAt(out, "addressType") != "INTERNAL" {
		def("address", p.external())
		return
	}
	if typ == typeAddress && stringAt(out, "purpose") == "" {
		setAt(out, "purpose", text("GCE_ENDPOINT"))
	}
	sub := p.subnetwork(e, stringAt(out, "subnetwork"), stringAt(out, "region"))
	if sub == nil {
		def("address", p.free(netip.MustParsePrefix("10.128.0.0/20")))
		return
	}
	setAt(out, "subnetwork", text(sub.key.ID))
	if r, err := netip.ParsePrefix(stringAt(sub.outputs, "ipCidrRange")); err == nil {
		def("address", p.free(r))
	}
}

// subnetwork finds a subnetwork by name or URL; "" is "default".
func (p *gcp) subnetwork(e place, ref, region string) *object {
	if ref == "" {
		ref = "default"
	}
	for _, o := range p.cloud.ofType(typeSubnetwork) {
		if lastPart(o.key.ID) == lastPart(ref) && segment(o.key.ID, "regions") == region {
			if pr := segment(ref, "projects"); pr == "" || pr == segment(o.key.ID, "projects") {
				return o
			}
		}
	}
	return nil
}

// free is the next address of a range that nothing holds. The first four of a
// subnetwork belong to the cloud.
func (p *gcp) free(r netip.Prefix) string {
	a := r.Masked().Addr()
	for range 4 {
		a = a.Next()
	}
	for ; r.Contains(a); a = a.Next() {
		if !p.taken(a.String()) {
			return a.String()
		}
	}
	return ""
}

// external is an address of the ranges that are reserved for documentation.
func (p *gcp) external() string { return p.free(netip.MustParsePrefix("203.0.113.0/24")) }

func (p *gcp) taken(address string) bool {
	for _, o := range p.cloud.objects {
		if o.provider == "gcp" && (stringAt(o.outputs, "address") == address || stringAt(o.outputs, "endpoint") == address) {
			return true
		}
	}
	return false
}

func (p *gcp) fillFilestore(out props) {
	list := bare(out["networks"])
	if !list.IsArray() {
		return
	}
	var networks []value
	for _, n := range list.ArrayValue() {
		m := props{}
		if n.IsObject() {
			m = deepCopy(n.ObjectValue())
		}
		setDefault(m, "connectMode", text("DIRECT_PEERING"))
		setDefault(m, "reservedIpRange", text("10.200.0.0/29"))
		r, err := netip.ParsePrefix(stringAt(m, "reservedIpRange"))
		if err == nil {
			setDefault(m, "ipAddresses", resource.NewPropertyValue([]any{r.Masked().Addr().Next().Next().String()}))
		}
		networks = append(networks, resource.NewProperty(m))
	}
	out["networks"] = resource.NewProperty(networks)
}

func (p *gcp) fillCluster(out props) {
	def := func(path string, v any) { setDefault(out, path, resource.NewPropertyValue(v)) }
	project, location := stringAt(out, "project"), stringAt(out, "location")
	def("endpoint", p.external())
	def("masterAuth", map[string]any{
		"clientCertificate": "", "clientKey": "",
		"clientCertificateConfig": map[string]any{"issueClientCertificate": false},
		"clusterCaCertificate":    authority(stringAt(out, "name")),
	})
	if m := out["masterAuth"]; m.IsObject() {
		inner := m.ObjectValue()
		setDefault(inner, "clusterCaCertificate", text(authority(stringAt(out, "name"))))
		inner["clientKey"] = secret(inner["clientKey"])
	}
	def("masterVersion", masterVersion)
	def("nodeVersion", masterVersion)
	def("clusterIpv4Cidr", "10.92.0.0/14")
	def("servicesIpv4Cidr", "34.118.224.0/20")
	def("defaultMaxPodsPerNode", 110)
	def("networkingMode", "VPC_NATIVE")
	def("loggingService", "logging.googleapis.com/kubernetes")
	def("monitoringService", "monitoring.googleapis.com/kubernetes")
	def("releaseChannel", map[string]any{"channel": "REGULAR"})
	def("subnetwork", "default")
	if n := stringAt(out, "network"); n != "" && !strings.Contains(n, "/") {
		out["network"] = text("projects/" + project + "/global/networks/" + n)
	}
	region := location
	if isZone(location) {
		region = location[:len(location)-2]
	} else {
		def("nodeLocations", []any{location + "-a", location + "-b", location + "-c"})
	}
	if s := stringAt(out, "subnetwork"); s != "" && !strings.Contains(s, "/") {
		out["subnetwork"] = text("projects/" + project + "/regions/" + region + "/subnetworks/" + s)
	}
	shorten(out, "network")
	shorten(out, "subnetwork")
	setDefault(out, "ipAllocationPolicy", resource.NewProperty(props{}))
	def("ipAllocationPolicy.clusterIpv4CidrBlock", "10.92.0.0/14")
	def("ipAllocationPolicy.servicesIpv4CidrBlock", "34.118.224.0/20")
	def("privateClusterConfig", map[string]any{})
	def("privateClusterConfig.privateEndpoint", "10.128.0.2")
	def("privateClusterConfig.publicEndpoint", stringAt(out, "endpoint"))
	kind := "locations"
	if isZone(location) {
		kind = "zones"
	}
	def("selfLink", fmt.Sprintf("https://container.googleapis.com/v1beta1/projects/%s/%s/%s/clusters/%s", project, kind, location, stringAt(out, "name")))
	def("labelFingerprint", fingerprint(stringAt(out, "name")))
}

func isZone(location string) bool {
	i := strings.LastIndex(location, "-")
	return i > 0 && len(location)-i == 2 && strings.Count(location, "-") == 2
}

func (p *gcp) fillNodePool(out props) {
	def := func(path string, v any) { setDefault(out, path, resource.NewPropertyValue(v)) }
	for k, v := range map[string]any{
		"machineType": "e2-medium", "diskSizeGb": 100, "diskType": "pd-balanced", "imageType": "COS_CONTAINERD",
		"loggingVariant": "DEFAULT", "serviceAccount": "default", "localSsdCount": 0, "minCpuPlatform": "",
		"metadata":               map[string]any{"disable-legacy-endpoints": "true"},
		"shieldedInstanceConfig": map[string]any{"enableIntegrityMonitoring": true, "enableSecureBoot": false},
		"oauthScopes": []any{
			"https://www.googleapis.com/auth/devstorage.read_only", "https://www.googleapis.com/auth/logging.write",
			"https://www.googleapis.com/auth/monitoring",
		},
		"kubeletConfig": map[string]any{"cpuCfsQuota": false, "cpuCfsQuotaPeriod": "", "cpuManagerPolicy": "", "podPidsLimit": 0},
	} {
		def("nodeConfig."+k, v)
	}
	model := "on-demand"
	if boolAt(out, "nodeConfig.spot") {
		model = "spot"
	}
	def("nodeConfig.resourceLabels", map[string]any{"goog-gke-node-pool-provisioning-model": model})
	def("nodeConfig.effectiveTaints", []any{})
	if t := bare(at(out, "nodeConfig.taints")); t.IsArray() {
		setAt(out, "nodeConfig.effectiveTaints", t)
	}
	count := 3.0
	if n, ok := numberAt(out, "nodeCount"); ok {
		count = n
	} else if n, ok := numberAt(out, "initialNodeCount"); ok {
		count = n
	} else if n, ok := numberAt(out, "autoscaling.minNodeCount"); ok {
		count = n
	}
	def("nodeCount", count)
	def("initialNodeCount", count)
	def("management", map[string]any{"autoRepair": true, "autoUpgrade": true})
	def("maxPodsPerNode", 110)
	def("version", masterVersion)
	def("upgradeSettings", map[string]any{"maxSurge": 1, "maxUnavailable": 0, "strategy": "SURGE"})
	def("networkConfig", map[string]any{"createPodRange": false, "enablePrivateNodes": false, "podIpv4CidrBlock": "10.92.0.0/14"})
	location, name := stringAt(out, "location"), stringAt(out, "name")
	if cl := p.cluster(stringAt(out, "project"), location, stringAt(out, "cluster")); cl != nil {
		if zones := at(cl.outputs, "nodeLocations"); bare(zones).IsArray() {
			setDefault(out, "nodeLocations", zones)
		}
	}
	group := fmt.Sprintf("%sprojects/%s/zones/%s/instanceGroupManagers/gke-%s-%s-grp", computePrefix, stringAt(out, "project"), location, lastPart(stringAt(out, "cluster")), name)
	def("instanceGroupUrls", []any{group})
	def("managedInstanceGroupUrls", []any{strings.Replace(group, "instanceGroupManagers", "instanceGroups", 1)})
}

// cluster finds a cluster by name or id.
func (p *gcp) cluster(project, location, ref string) *object {
	if o := p.cloud.objects[objectKey{Type: typeCluster, ID: ref}]; o != nil {
		return o
	}
	return p.cloud.objects[objectKey{Type: typeCluster, ID: fmt.Sprintf("projects/%s/locations/%s/clusters/%s", project, location, lastPart(ref))}]
}

// authority makes a certificate authority, as base64 of PEM, that parses but has
// signed nothing.
func authority(name string) string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // the system has no random numbers
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rehearsal " + name}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err) // the template is a constant
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// expiry is when the first certificate of a bundle ends, as the cloud says it.
func expiry(bundle string) string {
	block, _ := pem.Decode([]byte(bundle))
	if block == nil {
		return ""
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	return cert.NotAfter.UTC().Format(time.RFC3339)
}
