package cloudid

import (
	"regexp"
	"strings"
)

// forms are how the gcp provider 7.38 builds ids. {x} is the last part of input x,
// {=x} the whole of it. Where an input is not given, the provider's own project,
// region or zone stands in.
var forms = map[string]string{
	"gcp:artifactregistry/repository:Repository":            "projects/{project}/locations/{location}/repositories/{repositoryId}",
	"gcp:compute/address:Address":                           "projects/{project}/regions/{region}/addresses/{name}",
	"gcp:compute/disk:Disk":                                 "projects/{project}/zones/{zone}/disks/{name}",
	"gcp:compute/firewall:Firewall":                         "projects/{project}/global/firewalls/{name}",
	"gcp:compute/globalAddress:GlobalAddress":               "projects/{project}/global/addresses/{name}",
	"gcp:compute/network:Network":                           "projects/{project}/global/networks/{name}",
	"gcp:compute/regionSslCertificate:RegionSslCertificate": "projects/{project}/regions/{region}/sslCertificates/{name}",
	"gcp:compute/router:Router":                             "projects/{project}/regions/{region}/routers/{name}",
	"gcp:compute/routerNat:RouterNat":                       "{project}/{region}/{router}/{name}",
	"gcp:compute/subnetwork:Subnetwork":                     "projects/{project}/regions/{region}/subnetworks/{name}",
	"gcp:container/cluster:Cluster":                         "projects/{project}/locations/{location}/clusters/{name}",
	"gcp:container/nodePool:NodePool":                       "projects/{project}/locations/{location}/clusters/{cluster}/nodePools/{name}",
	"gcp:dns/managedZone:ManagedZone":                       "projects/{project}/managedZones/{name}",
	"gcp:dns/recordSet:RecordSet":                           "projects/{project}/managedZones/{managedZone}/rrsets/{name}/{type}",
	"gcp:filestore/instance:Instance":                       "projects/{project}/locations/{location}/instances/{name}",
	"gcp:secretmanager/secret:Secret":                       "projects/{project}/secrets/{secretId}",
	"gcp:serviceaccount/account:Account":                    "projects/{project}/serviceAccounts/{accountId}@{=serviceAccountProject}.iam.gserviceaccount.com",
	"gcp:storage/bucket:Bucket":                             "{name}",
	"gcp:gkebackup/backupPlan:BackupPlan":                   "projects/{project}/locations/{location}/backupPlans/{name}",
	"gcp:projects/iAMCustomRole:IAMCustomRole":              "projects/{project}/roles/{roleId}",
}

// repeatable are types of which a second creation is none: they say that something
// shall be so, and the cloud answers that it is.
var repeatable = map[string]bool{
	"gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": true,
	"gcp:projects/iAMMember:IAMMember":                             true,
	"gcp:projects/service:Service":                                 true,
	"gcp:secretmanager/secretIamMember:SecretIamMember":            true,
	"gcp:serviceaccount/iAMMember:IAMMember":                       true,
	"gcp:storage/bucketIAMMember:BucketIAMMember":                  true,
}

// Repeatable tells whether creating a resource of this type a second time makes no
// second one and is no error: roles of members, and services that are switched on.
func Repeatable(typ string) bool { return repeatable[typ] }

const release = "kubernetes:helm.sh/v3:Release"

// Of is the id that the provider gives to a resource with these inputs, and false
// where it cannot be known before: the cloud numbers it, or an input is missing,
// unknown or secret. provider are the inputs of the provider that makes it; of
// them project, region, zone and namespace count.
func Of(typ string, inputs, provider map[string]any) (string, bool) {
	if strings.HasPrefix(typ, "kubernetes:") {
		return kubernetesID(typ, inputs, provider)
	}
	form, known := forms[typ]
	if !known {
		return "", false
	}
	ok := true
	id := placeholder.ReplaceAllStringFunc(form, func(name string) string {
		name = strings.Trim(name, "{}")
		name, whole := strings.CutPrefix(name, "=")
		value := input(typ, name, inputs, provider)
		if value == "" {
			ok = false
		}
		if !whole && name != "accountId" {
			value = value[strings.LastIndex(value, "/")+1:]
		}
		return value
	})
	if !ok {
		return "", false
	}
	return id, true
}

var placeholder = regexp.MustCompile(`\{=?\w+\}`)

// input is what an input comes to: given, or the provider's.
func input(typ, name string, inputs, provider map[string]any) string {
	if name == "serviceAccountProject" {
		// Projects of a domain are "example.com:name".
		project := input(typ, "project", inputs, provider)
		if domain, scoped, found := strings.Cut(project, ":"); found {
			return scoped + "." + domain
		}
		return project
	}
	if value := text(inputs[name]); value != "" {
		return value
	}
	switch name {
	case "project", "region", "zone":
		return text(provider[name])
	case "location":
		if strings.HasPrefix(typ, "gcp:container/") || strings.HasPrefix(typ, "gcp:filestore/") {
			if zone := text(provider["zone"]); zone != "" {
				return zone
			}
		}
		return text(provider["region"])
	}
	return ""
}

func kubernetesID(typ string, inputs, provider map[string]any) (string, bool) {
	where := inputs
	if typ != release {
		where, _ = inputs["metadata"].(map[string]any)
	}
	name, namespace := text(where["name"]), text(where["namespace"])
	switch {
	case name == "":
		return "", false
	case Global(typ):
		return name, true
	case namespace == "":
		if namespace = text(provider["namespace"]); namespace == "" {
			namespace = "default"
		}
	}
	return namespace + "/" + name, true
}

// global are the kinds of Kubernetes objects that live in no namespace, as far as
// programs around Deepgram make them.
var global = map[string]bool{
	"kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition": true,
	"kubernetes:core/v1:Namespace":                                true,
	"kubernetes:core/v1:PersistentVolume":                         true,
	"kubernetes:rbac.authorization.k8s.io/v1:ClusterRole":         true,
	"kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding":  true,
	"kubernetes:scheduling.k8s.io/v1:PriorityClass":               true,
	"kubernetes:storage.k8s.io/v1:StorageClass":                   true,
}

// Global tells whether objects of this Kubernetes type live in no namespace.
func Global(typ string) bool { return global[typ] }

// text is a plain text: a secret or an unknown is none.
func text(value any) string {
	s, _ := value.(string)
	if s == unknown {
		return ""
	}
	return s
}

// unknown stands in a preview for a text that is not known yet.
const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
