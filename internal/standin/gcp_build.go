package standin

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

const (
	typeAddress        = "gcp:compute/address:Address"
	typeBucket         = "gcp:storage/bucket:Bucket"
	typeBucketIAM      = "gcp:storage/bucketIAMMember:BucketIAMMember"
	typeBucketObject   = "gcp:storage/bucketObject:BucketObject"
	typeCertificate    = "gcp:compute/regionSslCertificate:RegionSslCertificate"
	typeCluster        = "gcp:container/cluster:Cluster"
	typeDisk           = "gcp:compute/disk:Disk"
	typeFilestore      = "gcp:filestore/instance:Instance"
	typeFirewall       = "gcp:compute/firewall:Firewall"
	typeGlobalAddress  = "gcp:compute/globalAddress:GlobalAddress"
	typeManagedZone    = "gcp:dns/managedZone:ManagedZone"
	typeNetwork        = "gcp:compute/network:Network"
	typeNodePool       = "gcp:container/nodePool:NodePool"
	typeProjectIAM     = "gcp:projects/iAMMember:IAMMember"
	typeRecordSet      = "gcp:dns/recordSet:RecordSet"
	typeRepository     = "gcp:artifactregistry/repository:Repository"
	typeRepositoryIAM  = "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
	typeRouter         = "gcp:compute/router:Router"
	typeRouterNat      = "gcp:compute/routerNat:RouterNat"
	typeSecret         = "gcp:secretmanager/secret:Secret"
	typeSecretIAM      = "gcp:secretmanager/secretIamMember:SecretIamMember"
	typeSecretVersion  = "gcp:secretmanager/secretVersion:SecretVersion"
	typeService        = "gcp:projects/service:Service"
	typeServiceAccount = "gcp:serviceaccount/account:Account"
	typeAccountIAM     = "gcp:serviceaccount/iAMMember:IAMMember"
	typeSubnetwork     = "gcp:compute/subnetwork:Subnetwork"
)

// idForms are how the real provider builds ids. {x} is the last part of
// property x, {=x} the whole of it.
var idForms = map[string]string{
	typeAddress:        "projects/{project}/regions/{region}/addresses/{name}",
	typeBucket:         "{name}",
	typeBucketIAM:      "b/{bucket}/{=role}/{=member}",
	typeCertificate:    "projects/{project}/regions/{region}/sslCertificates/{name}",
	typeCluster:        "projects/{project}/locations/{location}/clusters/{name}",
	typeDisk:           "projects/{project}/zones/{zone}/disks/{name}",
	typeFilestore:      "projects/{project}/locations/{location}/instances/{name}",
	typeFirewall:       "projects/{project}/global/firewalls/{name}",
	typeGlobalAddress:  "projects/{project}/global/addresses/{name}",
	typeManagedZone:    "projects/{project}/managedZones/{name}",
	typeNetwork:        "projects/{project}/global/networks/{name}",
	typeNodePool:       "projects/{project}/locations/{location}/clusters/{cluster}/nodePools/{name}",
	typeProjectIAM:     "{project}/{=role}/{=member}",
	typeRecordSet:      "projects/{project}/managedZones/{managedZone}/rrsets/{name}/{type}",
	typeRepository:     "projects/{project}/locations/{location}/repositories/{repositoryId}",
	typeRepositoryIAM:  "projects/{project}/locations/{location}/repositories/{repository}/{=role}/{=member}",
	typeRouter:         "projects/{project}/regions/{region}/routers/{name}",
	typeRouterNat:      "{project}/{region}/{router}/{name}",
	typeSecret:         "projects/{project}/secrets/{secretId}",
	typeSecretIAM:      "projects/{project}/secrets/{secretId}/{=role}/{=member}",
	typeSecretVersion:  "{=secret}/versions/{version}",
	typeService:        "{project}/{service}",
	typeServiceAccount: "projects/{project}/serviceAccounts/{email}",
	typeAccountIAM:     "{=serviceAccountId}/{=role}/{=member}",
	typeSubnetwork:     "projects/{project}/regions/{region}/subnetworks/{name}",
	"gcp:compute/resourcePolicy:ResourcePolicy": "projects/{project}/regions/{region}/resourcePolicies/{name}",
	"gcp:compute/securityPolicy:SecurityPolicy": "projects/{project}/global/securityPolicies/{name}",
	"gcp:gkebackup/backupPlan:BackupPlan":       "projects/{project}/locations/{location}/backupPlans/{name}",
	"gcp:gkebackup/restorePlan:RestorePlan":     "projects/{project}/locations/{location}/restorePlans/{name}",
	"gcp:projects/iAMCustomRole:IAMCustomRole":  "projects/{project}/roles/{roleId}",
}

// idempotent are the types for which a second creation is no conflict.
var idempotent = map[string]bool{
	typeBucketIAM: true, typeProjectIAM: true, typeRepositoryIAM: true, typeSecretIAM: true, typeAccountIAM: true, typeService: true,
}

// inputDefaults are what the provider adds to inputs that are not given.
var inputDefaults = map[string]map[string]value{
	typeAddress:       {"addressType": text("EXTERNAL")},
	typeGlobalAddress: {"addressType": text("EXTERNAL")},
	typeBucket:        {"forceDestroy": resource.NewProperty(false), "storageClass": text("STANDARD")},
	typeCluster: {
		"deletionProtection": resource.NewProperty(true), "enableShieldedNodes": resource.NewProperty(true),
		"enableLegacyAbac": resource.NewProperty(false), "enableKubernetesAlpha": resource.NewProperty(false),
		"enableL4IlbSubsetting": resource.NewProperty(false), "network": text("default"),
		"ipAllocationPolicy.stackType": text("IPV4"),
	},
	typeDisk:           {"type": text("pd-standard")},
	typeFilestore:      {"protocol": text("NFS_V3")},
	typeFirewall:       {"priority": resource.NewProperty(1000.0)},
	typeManagedZone:    {"description": text("Managed by Pulumi"), "forceDestroy": resource.NewProperty(false), "visibility": text("public")},
	typeNetwork:        {"autoCreateSubnetworks": resource.NewProperty(true), "deleteDefaultRoutesOnCreate": resource.NewProperty(false), "networkFirewallPolicyEnforcementOrder": text("AFTER_CLASSIC_FIREWALL")},
	typeNodePool:       {"nodeConfig.preemptible": resource.NewProperty(false), "nodeConfig.spot": resource.NewProperty(false)},
	typeRepository:     {"mode": text("STANDARD_REPOSITORY")},
	typeSecretVersion:  {"deletionPolicy": text("DELETE"), "enabled": resource.NewProperty(true)},
	typeServiceAccount: {"disabled": resource.NewProperty(false)},
}

// madeAt is when everything in the pretended world was made: constant, so that
// two runs give the same outputs.
const madeAt = "2026-01-01T00:00:00.000-07:00"

// build computes the id and the outputs of a resource from its inputs. In a
// preview, what only the cloud can know is unknown.
func (p *gcp) build(e place, typ string, in props, preview bool) (string, props, error) {
	f, ok := gcpFacts()[typ]
	if !ok {
		return "", nil, fmt.Errorf("the stand-in for the gcp provider has no facts about %s", typ)
	}
	given := plainMap(in)
	out := props{}
	for k, v := range given {
		if !v.IsNull() && !strings.HasPrefix(string(k), "__") {
			out[k] = v
		}
	}
	p.settle(e, typ, f, out)
	if preview {
		for name, n := range f.fields {
			if _, given := out[resource.PropertyKey(name)]; !given && (n.computed || n.outputOnly) {
				out[resource.PropertyKey(name)] = unknown()
			}
		}
		p.labels(f, out)
		return "", p.marked(f, out, in), nil
	}
	if err := knownOnly(out); err != nil {
		return "", nil, err
	}
	p.fill(e, typ, out)
	id := expand(idForms[typ], out)
	p.identify(typ, id, out)
	for name, n := range f.fields {
		if _, set := out[resource.PropertyKey(name)]; !set && (n.computed || n.outputOnly) {
			out[resource.PropertyKey(name)] = zero(n)
		}
	}
	p.labels(f, out)
	out["id"] = text(id)
	return id, p.marked(f, out, in), nil
}

func knownOnly(out props) error {
	for _, k := range out.StableKeys() {
		if hasUnknown(out[k]) {
			return fmt.Errorf("%s is unknown outside of a preview", k)
		}
	}
	return nil
}

// settle adds what is known even in a preview: where the resource is.
func (p *gcp) settle(e place, typ string, f *facts, out props) {
	for name, v := range map[string]string{"project": e.project, "region": e.region, "zone": e.zone} {
		if n := f.fields[name]; n != nil && n.computed && v != "" {
			setDefault(out, name, text(v))
		}
	}
	if n := f.fields["location"]; n != nil && n.computed {
		where := e.region
		if typ == typeCluster || typ == typeNodePool || typ == typeFilestore {
			where = e.zone
		}
		setDefault(out, "location", text(where))
	}
}

// labels sets the two outputs that show which labels apply.
func (p *gcp) labels(f *facts, out props) {
	if f.fields["effectiveLabels"] == nil {
		return
	}
	l := out["labels"]
	if !bare(l).IsObject() && !bare(l).IsComputed() {
		l = resource.NewProperty(props{})
	}
	out["pulumiLabels"], out["effectiveLabels"] = l, l
}

// marked makes secret what was given as secret and what the facts call secret.
func (p *gcp) marked(f *facts, out, in props) props {
	out = markMapLike(out, in)
	markFacts(f.fields, out)
	for _, k := range []resource.PropertyKey{"effectiveLabels", "pulumiLabels"} {
		if v, ok := out[k]; ok {
			out[k] = secret(v)
		}
	}
	return out
}

func markFacts(fields map[string]*fact, m props) {
	for name, n := range fields {
		k := resource.PropertyKey(name)
		v, ok := m[k]
		switch {
		case !ok || v.IsNull():
		case n.secret:
			m[k] = secret(v)
		case n.kind == "object" && v.IsObject() && n.fields != nil:
			inner := v.ObjectValue().Copy()
			markFacts(n.fields, inner)
			m[k] = resource.NewProperty(inner)
		}
	}
}

// merge computes the outputs after an update: the state, over it the inputs,
// without what is no longer given and not kept by the cloud.
func (p *gcp) merge(typ string, state, oldInputs, news props) props {
	f := gcpFacts()[typ]
	out := plainMap(state)
	mergeFields(f.fields, out, plainMap(oldInputs), plainMap(news))
	p.labels(f, out)
	return p.marked(f, out, news)
}

func mergeFields(fields map[string]*fact, out, old, now props) {
	for k := range old {
		n := fields[string(k)]
		if _, still := now[k]; !still && n != nil && !n.computed {
			delete(out, k)
		}
	}
	for k, v := range now {
		n := fields[string(k)]
		if v.IsNull() || n == nil {
			continue
		}
		cur := out[k]
		if n.kind == "object" && n.fields != nil && v.IsObject() && cur.IsObject() {
			inner := cur.ObjectValue().Copy()
			o := props{}
			if old[k].IsObject() {
				o = old[k].ObjectValue()
			}
			mergeFields(n.fields, inner, o, v.ObjectValue())
			out[k] = resource.NewProperty(inner)
			continue
		}
		if n.kind == "list" && n.elem.kind == "object" && equal(old[k], v) {
			continue // unchanged: keep what the cloud has filled in
		}
		out[k] = v
	}
}

func zero(n *fact) value {
	switch n.kind {
	case "string":
		return text("")
	case "bool":
		return resource.NewProperty(false)
	case "int", "number":
		return resource.NewProperty(0.0)
	case "list":
		return resource.NewProperty([]value{})
	}
	return resource.NewNullProperty()
}

var placeholder = regexp.MustCompile(`\{=?\w+\}`)

func expand(form string, out props) string {
	return placeholder.ReplaceAllStringFunc(form, func(m string) string {
		m = strings.Trim(m, "{}")
		if whole, ok := strings.CutPrefix(m, "="); ok {
			return stringAt(out, whole)
		}
		s := stringAt(out, m)
		if m == "name" && !strings.Contains(s, "/") {
			return s
		}
		return lastPart(s)
	})
}

// number is a stable number of some digits for a text.
func number(seed string, digits int) string {
	sum := sha256.Sum256([]byte(seed))
	n := uint64(0)
	for _, b := range sum[:8] {
		n = n<<8 | uint64(b)
	}
	s := strconv.FormatUint(n, 10)
	for len(s) < digits {
		s += "0"
	}
	return s[:digits]
}

func fingerprint(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return base64.StdEncoding.EncodeToString(sum[:8])
}
