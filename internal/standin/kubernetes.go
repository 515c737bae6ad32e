package standin

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const (
	typeIngress   = "kubernetes:networking.k8s.io/v1:Ingress"
	typeNamespace = "kubernetes:core/v1:Namespace"
	typeK8sSecret = "kubernetes:core/v1:Secret"
	typeVolume    = "kubernetes:core/v1:PersistentVolume"
	typeRelease   = "kubernetes:helm.sh/v3:Release"
)

// kubernetes stands in for the kubernetes provider.
type kubernetes struct{ cloud *Cloud }

func (p *kubernetes) name() string    { return "kubernetes" }
func (p *kubernetes) version() string { return KubernetesVersion }

func (p *kubernetes) checkConfig(config props, out *complaints) {
	v := bare(config["kubeconfig"])
	if v.IsString() {
		if _, err := parseKubeconfig(v.StringValue()); err != nil {
			out.add("kubeconfig", "%v", err)
		}
	}
}

func (p *kubernetes) configure(props) error { return nil }

// scope is the id of the cluster that a provider instance talks to; known is
// false where the kubeconfig is not known yet, as in a preview that creates the
// cluster too.
func (p *kubernetes) scope(r *request) (cluster string, known bool, err error) {
	v := bare(r.config["kubeconfig"])
	switch {
	case v.IsComputed():
		return "", false, nil
	case !v.IsString() || v.StringValue() == "":
		return "", false, fmt.Errorf("the kubernetes provider has no kubeconfig: " +
			"the real one would use whatever the machine's current context is; give it one")
	}
	k, err := parseKubeconfig(v.StringValue())
	if err != nil {
		return "", false, fmt.Errorf("kubeconfig: %w", err)
	}
	for _, o := range p.cloud.ofType(typeCluster) {
		if k.reaches(o) {
			return o.key.ID, true, nil
		}
	}
	return "", true, fmt.Errorf("configured Kubernetes cluster is unreachable: no cluster in the pretended cloud has the endpoint %s "+
		"with this certificate authority", k.host)
}

func (p *kubernetes) key(r *request, scope, id string) objectKey {
	return objectKey{Type: r.typ, Scope: scope, ID: id}
}

func objectID(m props) string {
	ns, name := stringAt(m, "metadata.namespace"), stringAt(m, "metadata.name")
	if ns == "" {
		return name
	}
	return ns + "/" + name
}

func (p *kubernetes) check(r *request, out *complaints) props {
	if r.typ == typeRelease {
		return p.checkRelease(r, out)
	}
	news := deepCopy(r.news)
	kind := stringAt(news, "apiVersion") + "/" + stringAt(news, "kind")
	for _, k := range []string{"apiVersion", "kind"} {
		if stringAt(news, k) == "" {
			out.add(k, "is required and missing: the SDK adds it, a registration outside of the SDK must give it")
		}
	}
	if want := kindOf(r.typ); len(*out) == 0 && kind != want {
		out.add("kind", "%s does not fit the resource type %s", kind, r.typ)
	}
	if len(*out) > 0 {
		return news
	}
	f := kindFact(kind)
	f.check("", resource.NewProperty(news), out)
	if meta := bare(news["metadata"]); meta.IsNull() || meta.IsObject() {
		p.nameObject(r, kind, news, out)
	}
	checkNames(kind, news, out)
	return news
}

// nameObject gives a name and a namespace to what has none.
func (p *kubernetes) nameObject(r *request, kind string, news props, out *complaints) {
	if absent(at(news, "metadata.name")) && absent(at(news, "metadata.generateName")) {
		old := bare(at(r.oldInputs, "metadata.name"))
		if !old.IsString() || !autonamed(r.oldInputs) {
			var err error
			if old, err = r.freshName(8, 253); err != nil {
				out.add("metadata.name", "%v", err)
				return
			}
		}
		setAt(news, "metadata.name", old)
		annotations := bare(at(news, "metadata.annotations"))
		if !annotations.IsObject() {
			annotations = resource.NewProperty(props{})
		}
		annotations.ObjectValue()[autonamedAnnotation] = text("true")
		setAt(news, "metadata.annotations", annotations)
	}
	if clusterScoped(kind) {
		if stringAt(news, "metadata.namespace") != "" {
			out.add("metadata.namespace", "a %s has no namespace", kind)
		}
		return
	}
	ns := "default"
	if s := stringAt(r.config, "namespace"); s != "" {
		ns = s
	}
	setDefault(news, "metadata.namespace", text(ns))
}

const autonamedAnnotation = "pulumi.com/autonamed"

func autonamed(m props) bool {
	a := bare(at(m, "metadata.annotations"))
	return a.IsObject() && equal(a.ObjectValue()[autonamedAnnotation], text("true"))
}

func (p *kubernetes) diff(r *request) *pulumirpc.DiffResponse {
	if r.typ == typeRelease {
		return p.diffRelease(r)
	}
	d := &differ{changes: map[string]change{}, ignore: r.ignore}
	kind := kindOf(r.typ)
	d.object("", r.oldInputs, r.news, nil, kindFact(kind).fields)
	for path, c := range d.changes {
		c.replace = replacesObject(kind, path, r)
		d.changes[path] = c
	}
	replaceFailedJob(r, d)
	sameName := objectID(r.news) == objectID(r.oldInputs)
	return d.response(sameName && !autonamed(r.news))
}

func (p *kubernetes) create(r *request) (string, props, error) {
	scope, known, err := p.scope(r)
	if r.typ == typeRelease {
		if err != nil && !r.preview {
			return "", nil, err
		}
		return p.createRelease(r, scope)
	}
	out := p.outputs(r, nil)
	if r.preview {
		return "", out, nil
	}
	if err != nil {
		return "", nil, err
	}
	if !known {
		return "", nil, fmt.Errorf("the kubeconfig is unknown outside of a preview")
	}
	id := objectID(r.news)
	if generate := stringAt(r.news, "metadata.generateName"); stringAt(r.news, "metadata.name") == "" && generate != "" {
		name := generate + number(fmt.Sprint(p.cloud.sequence), 5)
		setAt(out, "metadata.name", text(name))
		id = objectID(out)
	}
	if err := p.needNamespace(scope, r.typ, stringAt(out, "metadata.namespace")); err != nil {
		return "", nil, err
	}
	key := p.key(r, scope, id)
	if _, exists := p.cloud.objects[key]; exists {
		return "", nil, fmt.Errorf("%s %q already exists (409 AlreadyExists): run pulumi import to take it over", plural(r.typ), id)
	}
	if err := p.refuse(r, scope, out); err != nil {
		return "", nil, err
	}
	p.cloud.put(&object{key: key, provider: p.name(), inputs: r.news, outputs: out, createdBy: r.urn})
	return id, out, nil
}

func plural(typ string) string { return strings.ToLower(shortType(typ)) + "s" }

// builtinNamespaces exist in every cluster.
var builtinNamespaces = []string{"default", "kube-system", "kube-public", "kube-node-lease", "gmp-public", "gmp-system"}

func (p *kubernetes) needNamespace(scope, typ, ns string) error {
	if ns == "" || typ == typeNamespace || slices.Contains(builtinNamespaces, ns) || slices.Contains(p.cloud.settings.namespaces, ns) {
		return nil
	}
	if p.cloud.objects[objectKey{Type: typeNamespace, Scope: scope, ID: ns}] == nil {
		return fmt.Errorf("namespaces %q not found (404 NotFound)", ns)
	}
	return nil
}

// refuse says why the API server does not accept an object.
func (p *kubernetes) refuse(r *request, scope string, out props) error {
	if r.typ == typeNamespace && slices.Contains(builtinNamespaces, stringAt(out, "metadata.name")) {
		return fmt.Errorf("namespaces %q already exists (409 AlreadyExists)", stringAt(out, "metadata.name"))
	}
	if r.typ == typeVolume && !absent(at(out, "spec.csi")) && stringAt(out, "spec.csi.volumeHandle") == "" {
		return fmt.Errorf("PersistentVolume %q is invalid: spec.csi.volumeHandle: Required value", stringAt(out, "metadata.name"))
	}
	if r.typ == typeJob && len(r.olds) == 0 { // what runs already is not started again
		return p.refuseJob(scope, out)
	}
	return nil
}

func (p *kubernetes) update(r *request) (props, error) {
	scope, _, err := p.scope(r)
	if err != nil && !r.preview {
		return nil, err
	}
	if r.typ == typeRelease {
		return p.updateRelease(r, scope)
	}
	key := p.key(r, scope, r.id)
	old := p.cloud.objects[key]
	out := p.outputs(r, old)
	if r.preview {
		return out, nil
	}
	if old == nil {
		return nil, fmt.Errorf("%s %q not found (404 NotFound)", plural(r.typ), r.id)
	}
	if err := p.refuse(r, scope, out); err != nil {
		return nil, err
	}
	p.cloud.put(&object{key: key, provider: p.name(), inputs: r.news, outputs: out, createdBy: old.createdBy})
	return out, nil
}

func (p *kubernetes) remove(r *request) error {
	scope, _, err := p.scope(r)
	if err != nil {
		if boolAt(r.config, "deleteUnreachable") {
			return nil
		}
		return err
	}
	key := p.key(r, scope, r.id)
	if r.typ == typeNamespace {
		for k := range p.cloud.objects {
			if k.Scope == scope && strings.HasPrefix(k.ID, r.id+"/") {
				delete(p.cloud.objects, k)
			}
		}
	}
	delete(p.cloud.objects, key)
	return nil
}

func (p *kubernetes) read(r *request) (string, props, props, bool, error) {
	scope, known, err := p.scope(r)
	if err != nil {
		return "", nil, nil, false, err
	}
	if !known {
		return r.id, r.oldInputs, r.olds, true, nil
	}
	o := p.cloud.objects[p.key(r, scope, r.id)]
	if o == nil {
		return "", nil, nil, false, nil
	}
	in := r.oldInputs
	if len(in) == 0 {
		in = o.inputs
	}
	fields := releaseFacts.fields
	if r.typ != typeRelease {
		fields = kindFact(kindOf(r.typ)).fields
	}
	return r.id, driftedInputs(fields, in, o.outputs), o.outputs, true, nil
}

// outputs are what the API server answers: the object and what it adds.
func (p *kubernetes) outputs(r *request, old *object) props {
	out := deepCopy(r.news)
	in := plainMap(r.news)
	add := func(path string, v value) {
		if r.preview && old == nil {
			v = unknown()
		}
		setDefault(out, path, v)
	}
	generation := 1.0
	if old != nil {
		if n, ok := numberAt(old.outputs, "metadata.generation"); ok {
			generation = n + 1
		}
	}
	seed := r.typ + objectID(in)
	if old != nil {
		setDefault(out, "metadata.uid", bare(at(old.outputs, "metadata.uid")))
	}
	add("metadata.uid", text(fmt.Sprintf("%s-0000-4000-8000-%s", number(seed, 8), number(seed+"uid", 12))))
	add("metadata.creationTimestamp", text("2026-01-01T00:00:00Z"))
	add("metadata.resourceVersion", text(fmt.Sprint(p.cloud.sequence+1000)))
	setAt(out, "metadata.generation", resource.NewProperty(generation))
	switch r.typ {
	case typeK8sSecret:
		secretData(out)
	case "kubernetes:core/v1:Service":
		setDefault(out, "spec.type", text("ClusterIP"))
		add("spec.clusterIP", text("34.118.224."+number(seed, 2)))
	case typeIngress:
		p.ingressStatus(r, in, add)
	case typeNamespace:
		add("status.phase", text("Active"))
	case typeVolume:
		setDefault(out, "spec.persistentVolumeReclaimPolicy", text("Retain"))
		add("status.phase", text("Available"))
	case typeClaim:
		add("status.phase", text("Bound"))
	case typeJob:
		add("status", jobStatus(r.partial))
	}
	return out
}

// secretData adds the strings to the data, as the API server does, and keeps
// both secret.
func secretData(out props) {
	data := bare(out["data"])
	if !data.IsObject() {
		data = resource.NewProperty(props{})
	}
	merged := plainMap(data.ObjectValue())
	if s := bare(out["stringData"]); s.IsObject() {
		for k, v := range s.ObjectValue() {
			if v = bare(v); v.IsString() {
				merged[k] = text(base64.StdEncoding.EncodeToString([]byte(v.StringValue())))
			} else {
				merged[k] = v
			}
		}
		out["stringData"] = secret(plain(out["stringData"]))
	}
	setDefault(out, "type", text("Opaque"))
	out["data"] = secret(resource.NewProperty(merged))
}

// ingressStatus is the address that the load balancer gets: the reserved one
// where the annotation names one.
func (p *kubernetes) ingressStatus(r *request, in props, add func(string, value)) {
	ip := "203.0.113.250"
	for _, o := range append(p.cloud.ofType(typeAddress), p.cloud.ofType(typeGlobalAddress)...) {
		u := &object{key: objectKey{Type: typeIngress}, outputs: in}
		if usesByAnnotation(u, o.key.Type, lastPart(o.key.ID)) {
			ip = stringAt(o.outputs, "address")
		}
	}
	add("status", resource.NewPropertyValue(map[string]any{
		"loadBalancer": map[string]any{"ingress": []any{map[string]any{"ip": ip}}},
	}))
}

func (p *kubernetes) invoke(r *request) (props, error) {
	return nil, fmt.Errorf("invoke %s: the stand-in for the kubernetes provider has no functions", r.typ)
}
