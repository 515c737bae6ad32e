package standin

import (
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"gopkg.in/yaml.v3"
)

//go:embed data/kubernetes.json
var kubernetesData []byte

type kindData struct {
	kinds map[string]*fact // by apiVersion/kind
}

// kinds reads the structure of the known kinds.
var kinds = sync.OnceValue(func() *kindData {
	var raw struct {
		Kinds, Types map[string]map[string]string
	}
	if err := json.Unmarshal(kubernetesData, &raw); err != nil {
		panic(fmt.Sprintf("data/kubernetes.json: %v", err)) // embedded; a test reads it
	}
	named := map[string]*fact{}
	for n := range raw.Types {
		named[n] = &fact{kind: "object"} // first the names: types refer to each other
	}
	var parse func(spec string) *fact
	parse = func(spec string) *fact {
		spec, required := strings.CutSuffix(spec, "!")
		f := &fact{kind: spec}
		switch {
		case strings.HasPrefix(spec, "[]"):
			f = &fact{kind: "list", elem: parse(spec[2:])}
		case strings.HasPrefix(spec, "{}"):
			f = &fact{kind: "map", elem: parse(spec[2:])}
		case named[spec] != nil:
			f = &fact{kind: "object", fields: named[spec].fields}
		}
		f.required = required
		return f
	}
	for n := range raw.Types {
		named[n].fields = map[string]*fact{}
	}
	for n, fields := range raw.Types {
		for k, spec := range fields {
			named[n].fields[k] = parse(spec)
		}
	}
	out := &kindData{kinds: map[string]*fact{}}
	for kind, fields := range raw.Kinds {
		f := &fact{kind: "object", fields: map[string]*fact{}}
		for k, spec := range fields {
			f.fields[k] = parse(spec)
		}
		out.kinds[kind] = f
	}
	return out
})

// kindFact is the structure of a kind; of an unknown one only that it is an
// object with metadata is known.
func kindFact(kind string) *fact {
	if f := kinds().kinds[kind]; f != nil {
		return f
	}
	return &fact{kind: "object"}
}

// kindOf is the apiVersion/kind of a Pulumi type.
func kindOf(typ string) string {
	_, rest, _ := strings.Cut(typ, ":")
	version, kind, _ := strings.Cut(rest, ":")
	return strings.TrimPrefix(version, "core/") + "/" + kind
}

var clusterScopedKinds = []string{
	"Namespace", "PersistentVolume", "ClusterRole", "ClusterRoleBinding", "StorageClass", "PriorityClass",
	"ClusterRules", "GlobalRules", "CustomResourceDefinition", "ClusterPodMonitoring", "Node", "RuntimeClass", "IngressClass",
	"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "APIService", "CSIDriver",
}

func clusterScoped(kind string) bool {
	return slices.Contains(clusterScopedKinds, kind[strings.LastIndex(kind, "/")+1:])
}

// replacements are the properties for which the kubernetes provider replaces an
// object, besides its name and namespace.
var replacements = map[string][]string{
	"v1/ConfigMap":             {"binaryData", "data"},
	"v1/Secret":                {"type", "stringData", "data"},
	"v1/Service":               {"spec.clusterIP"},
	"v1/ResourceQuota":         {"spec.scopes"},
	"v1/PersistentVolumeClaim": {"spec"},
	"v1/PersistentVolume": {
		"spec.awsElasticBlockStore", "spec.csi", "spec.gcePersistentDisk", "spec.hostPath", "spec.local", "spec.nfs",
	},
	"v1/Pod":                                          {"spec"},
	"apps/v1/Deployment":                              {"spec.selector"},
	"apps/v1/DaemonSet":                               {"spec.selector"},
	"apps/v1/StatefulSet":                             {"spec.podManagementPolicy", "spec.revisionHistoryLimit", "spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"},
	"batch/v1/Job":                                    {"spec.completions", "spec.parallelism", "spec.selector", "spec.template"},
	"storage.k8s.io/v1/StorageClass":                  {"parameters", "provisioner"},
	"rbac.authorization.k8s.io/v1/RoleBinding":        {"roleRef"},
	"rbac.authorization.k8s.io/v1/ClusterRoleBinding": {"roleRef"},
}

func replacesObject(kind, path string, r *request) bool {
	if path == "metadata" || path == "apiVersion" || path == "kind" {
		return true
	}
	for _, key := range []string{"enableConfigMapMutable:v1/ConfigMap", "enableSecretMutable:v1/Secret"} {
		option, of, _ := strings.Cut(key, ":")
		if kind == of && path != "type" && boolAt(r.config, option) && !boolAt(r.oldInputs, "immutable") {
			return ignores([]string{"metadata.name", "metadata.namespace"}, path)
		}
	}
	return ignores(append([]string{"metadata.name", "metadata.namespace"}, replacements[kind]...), path)
}

var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$`)
	labelValue   = regexp.MustCompile(`^([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$`)
)

// checkNames refuses names and labels that the API server refuses.
func checkNames(kind string, in props, out *complaints) {
	name := stringAt(in, "metadata.name")
	form := dnsSubdomain
	switch kind {
	case "v1/Namespace", "v1/Service":
		form = dnsLabel
	}
	// Names of roles and bindings may hold colons.
	if name != "" && !strings.HasPrefix(kind, "rbac.") && !form.MatchString(name) {
		out.add("metadata.name", "%q does not match %s", name, form)
	}
	if labels := bare(at(in, "metadata.labels")); labels.IsObject() {
		for _, k := range labels.ObjectValue().StableKeys() {
			if v := bare(labels.ObjectValue()[k]); v.IsString() && !labelValue.MatchString(v.StringValue()) {
				out.add("metadata.labels", "%s: %q is not a label value: at most 63 letters, digits, '-', '_' and '.'", k, v.StringValue())
			}
		}
	}
	if kind == "v1/Secret" || kind == "v1/ConfigMap" {
		checkData(kind, in, out)
	}
}

func checkData(kind string, in props, out *complaints) {
	data := bare(in["data"])
	if kind != "v1/Secret" || !data.IsObject() {
		return
	}
	for _, k := range data.ObjectValue().StableKeys() {
		if v := bare(data.ObjectValue()[k]); v.IsString() {
			if _, err := base64.StdEncoding.DecodeString(v.StringValue()); err != nil {
				out.add("data", "%s is not base64; plain text belongs in stringData", k)
			}
		}
	}
	need := map[string][]string{
		"kubernetes.io/tls": {"tls.crt", "tls.key"}, "kubernetes.io/dockerconfigjson": {".dockerconfigjson"},
	}
	for _, k := range need[stringAt(in, "type")] {
		text := bare(in["stringData"])
		if _, ok := data.ObjectValue()[resource.PropertyKey(k)]; !ok &&
			(!text.IsObject() || absent(text.ObjectValue()[resource.PropertyKey(k)])) {
			out.add("data", "a Secret of type %s needs the key %s", stringAt(in, "type"), k)
		}
	}
}

// kubeconfig is what matters of one: where it leads.
type kubeconfig struct {
	host      string
	authority string // base64 of PEM
}

// parseKubeconfig reads a kubeconfig as YAML or JSON. Errors never show values.
func parseKubeconfig(content string) (*kubeconfig, error) {
	var doc struct {
		CurrentContext string `yaml:"current-context"`
		Contexts       []struct {
			Name    string
			Context struct{ Cluster, User string }
		}
		Clusters []struct {
			Name    string
			Cluster struct {
				Server    string
				Authority string `yaml:"certificate-authority-data"`
			}
		}
		Users []struct{ Name string }
	}
	if err := yaml.Unmarshal([]byte(content), &doc); err != nil {
		return nil, errors.New("is neither YAML nor JSON")
	}
	if doc.CurrentContext == "" {
		return nil, errors.New("has no current-context")
	}
	for _, c := range doc.Contexts {
		if c.Name != doc.CurrentContext {
			continue
		}
		if !slices.ContainsFunc(doc.Users, func(u struct{ Name string }) bool { return u.Name == c.Context.User }) {
			return nil, fmt.Errorf("has no user %q, which its current context names", c.Context.User)
		}
		for _, cl := range doc.Clusters {
			if cl.Name != c.Context.Cluster {
				continue
			}
			u, err := url.Parse(cl.Cluster.Server)
			if err != nil || u.Hostname() == "" || u.Scheme != "https" {
				return nil, errors.New("has a server that is no https URL")
			}
			if err := checkAuthority(cl.Cluster.Authority); err != nil {
				return nil, err
			}
			return &kubeconfig{host: u.Hostname(), authority: cl.Cluster.Authority}, nil
		}
		return nil, fmt.Errorf("has no cluster %q, which its current context names", c.Context.Cluster)
	}
	return nil, fmt.Errorf("has no context %q, which is its current one", doc.CurrentContext)
}

func checkAuthority(data string) error {
	if data == "" {
		return nil // the system's authorities are used, as with a DNS endpoint
	}
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return errors.New("has a certificate-authority-data that is not base64")
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return errors.New("has a certificate-authority-data that is no PEM")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return errors.New("has a certificate-authority-data that is no certificate")
	}
	return nil
}

// reaches says whether a kubeconfig leads to a cluster.
func (k *kubeconfig) reaches(o *object) bool {
	if k.authority != "" && k.authority != stringAt(o.outputs, "masterAuth.clusterCaCertificate") {
		return false
	}
	for _, path := range []string{"endpoint", "privateClusterConfig.privateEndpoint", "privateClusterConfig.publicEndpoint"} {
		if stringAt(o.outputs, path) == k.host {
			return true
		}
	}
	return false
}
