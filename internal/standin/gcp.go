package standin

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// gcp stands in for the gcp provider.
type gcp struct{ cloud *Cloud }

// place is where a resource lands that does not say so itself.
type place struct{ project, region, zone string }

func (p *gcp) name() string    { return "gcp" }
func (p *gcp) version() string { return GCPVersion }

func (p *gcp) environment(config props) place {
	e := place{p.cloud.settings.project, p.cloud.settings.region, p.cloud.settings.zone}
	for key, to := range map[string]*string{"project": &e.project, "region": &e.region, "zone": &e.zone} {
		if s := stringAt(config, key); s != "" {
			*to = s
		}
	}
	return e
}

func (p *gcp) checkConfig(config props, out *complaints) {
	region, zone := stringAt(config, "region"), stringAt(config, "zone")
	if region != "" && zone != "" && !strings.HasPrefix(zone, region+"-") {
		out.add("zone", "zone %q is not in region %q", zone, region)
	}
}

func (p *gcp) configure(props) error { return nil }

func (p *gcp) check(r *request, out *complaints) props {
	f, ok := gcpFacts()[r.typ]
	if !ok {
		out.add("", "the stand-in for the gcp provider has no facts about %s; it knows %s", r.typ, strings.Join(sortedKeys(gcpFacts()), ", "))
		return r.news
	}
	news := deepCopy(r.news)
	if n := f.fields["name"]; n != nil && !n.outputOnly && absent(news["name"]) && absent(news["namePrefix"]) {
		name, err := r.autoName(63)
		if err != nil {
			out.add("name", "%v", err)
		} else {
			news["name"] = name
			setAt(news, "__defaults", resource.NewProperty([]value{text("name")}))
		}
	}
	f.object().check("", resource.NewProperty(news), out)
	for path, v := range inputDefaults[r.typ] {
		if parent, _, nested := cutLast(path); nested && absent(at(news, parent)) {
			continue // the defaults of a block count only where the block is given
		}
		setDefault(news, path, v)
	}
	checkFormats(r.typ, news, out)
	return news
}

func cutLast(path string) (parent, last string, found bool) {
	if i := strings.LastIndex(path, "."); i >= 0 {
		return path[:i], path[i+1:], true
	}
	return "", path, false
}

func (p *gcp) diff(r *request) *pulumirpc.DiffResponse {
	f := gcpFacts()[r.typ]
	if f == nil {
		return (&differ{}).response(false)
	}
	d := &differ{changes: map[string]change{}, ignore: r.ignore, same: sameReference, sets: true}
	if r.typ == typeBucket {
		// Cloud Storage answers in capitals, and the provider knows.
		d.same = func(property, a, b string) bool {
			return property == "location" && strings.EqualFold(a, b) || sameReference(property, a, b)
		}
	}
	d.object("", r.oldInputs, r.news, r.olds, f.fields)
	if r.typ == typeNodePool {
		for _, path := range unwantedNodeConfig(r) {
			d.note(path, pulumirpc.PropertyDiff_DELETE, false)
		}
	}
	return d.response(f.deleteBeforeReplace || fixedName(f, r))
}

// fixedName says that the resource has a name that Pulumi would have chosen, but
// that was given and stays: the provider then deletes before it creates.
func fixedName(f *facts, r *request) bool {
	n := f.fields["name"]
	if n == nil || n.outputOnly || !absent(r.news["__defaults"]) {
		return false
	}
	return !absent(r.news["name"]) && equal(r.news["name"], r.oldInputs["name"])
}

// nodeConfigOfCloud is what GKE adds to every node pool and what the provider
// then wants to remove, which GKE answers with 400.
var nodeConfigOfCloud = []string{"nodeConfig.kubeletConfig", "nodeConfig.resourceLabels"}

func unwantedNodeConfig(r *request) []string {
	if absent(r.news["nodeConfig"]) {
		return nil
	}
	var out []string
	for _, path := range nodeConfigOfCloud {
		if !absent(at(r.olds, path)) && absent(at(r.news, path)) && !ignores(r.ignore, path) {
			out = append(out, path)
		}
	}
	return out
}

func (p *gcp) create(r *request) (string, props, error) {
	e := p.environment(r.config)
	id, out, err := p.build(e, r.typ, r.news, r.preview)
	if err != nil {
		return "", nil, err
	}
	if r.preview {
		return "", out, nil
	}
	key := objectKey{Type: r.typ, ID: id}
	if _, exists := p.cloud.objects[key]; exists && !idempotent[r.typ] &&
		!(r.typ == typeServiceAccount && boolAt(r.news, "createIgnoreAlreadyExists")) {
		return "", nil, fmt.Errorf("error creating %s: googleapi: Error 409: the resource '%s' already exists, alreadyExists", shortType(r.typ), id)
	}
	if err := p.refuse(r.typ, id, out, nil); err != nil {
		return "", nil, fmt.Errorf("error creating %s: %w", shortType(r.typ), err)
	}
	if before := p.cloud.gone[key]; before > 0 && r.typ == typeDisk {
		// A program can tell a disk from one of the same name that was there before.
		setAt(out, "creationTimestamp", text(strings.Replace(madeAt, "T00:00", fmt.Sprintf("T00:%02d", before%60), 1)))
	}
	p.cloud.put(&object{key: key, provider: p.name(), inputs: r.news, outputs: out, createdBy: r.urn})
	return id, out, nil
}

func (p *gcp) update(r *request) (props, error) {
	key := objectKey{Type: r.typ, ID: r.id}
	old := p.cloud.objects[key]
	state := r.olds
	if old != nil {
		state = old.outputs
	}
	out := p.merge(r.typ, state, r.oldInputs, r.news)
	p.identify(r.typ, r.id, out) // a reference given by its short name stays what the cloud made of it
	if r.preview {
		return out, nil
	}
	if old == nil {
		return nil, fmt.Errorf("error updating %s: googleapi: Error 404: the resource '%s' was not found, notFound", shortType(r.typ), r.id)
	}
	if r.typ == typeNodePool {
		if paths := unwantedNodeConfig(r); len(paths) > 0 {
			return nil, fmt.Errorf("error updating NodePool: googleapi: Error 400: at least one of "+
				"node_version, image_type, … must be specified; removing %s is not possible: put both in ignoreChanges",
				strings.Join(paths, " and "))
		}
	}
	if err := p.refuse(r.typ, r.id, out, state); err != nil {
		return nil, fmt.Errorf("error updating %s: %w", shortType(r.typ), err)
	}
	p.cloud.put(&object{key: key, provider: p.name(), inputs: r.news, outputs: out, createdBy: old.createdBy})
	return out, nil
}

func (p *gcp) remove(r *request) error {
	key := objectKey{Type: r.typ, ID: r.id}
	o := p.cloud.objects[key]
	if o == nil {
		return nil
	}
	if err := p.refuseRemoval(o, r.olds); err != nil {
		return fmt.Errorf("error deleting %s: %w", shortType(r.typ), err)
	}
	if r.typ == typeCluster {
		p.removeCluster(key.ID)
	}
	p.cloud.drop(key)
	return nil
}

// removeCluster takes the node pools and everything in the cluster with it.
func (p *gcp) removeCluster(id string) {
	for k := range p.cloud.objects {
		if k.Scope == id || k.Type == typeNodePool && strings.HasPrefix(k.ID, id+"/") {
			delete(p.cloud.objects, k)
		}
	}
}

func (p *gcp) read(r *request) (string, props, props, bool, error) {
	o := p.find(p.environment(r.config), r.typ, r.id)
	if o == nil {
		return "", nil, nil, false, nil
	}
	f := gcpFacts()[r.typ]
	if f == nil {
		return "", nil, nil, false, fmt.Errorf("the stand-in for the gcp provider has no facts about %s", r.typ)
	}
	in := r.oldInputs
	if len(in) == 0 {
		in = importedInputs(f, o)
	} else {
		in = driftedInputs(f.fields, in, o.outputs)
	}
	return o.key.ID, in, o.outputs, true, nil
}

// find looks a thing up by its id; for an import the shorter forms that the real
// provider takes are good too, such as "region/name" or the bare name.
func (p *gcp) find(e place, typ, id string) *object {
	if o := p.cloud.objects[objectKey{Type: typ, ID: id}]; o != nil {
		return o
	}
	var found *object
	for _, o := range p.cloud.ofType(typ) {
		if o.key.ID == strings.TrimPrefix(id, computePrefix) {
			return o
		}
		if shortID(o.key.ID) == id || shortID(o.key.ID) == e.project+"/"+id || lastPart(o.key.ID) == id && found == nil {
			found = o
		}
	}
	return found
}

var collections = regexp.MustCompile(`(^|/)(projects|regions|zones|locations|global|addresses|disks|subnetworks|networks|clusters|nodePools|` +
	`repositories|sslCertificates|firewalls|routers|instances|secrets|managedZones|serviceAccounts)(/|$)`)

func shortID(id string) string {
	for {
		next := collections.ReplaceAllString(id, "$1")
		if next == id {
			return strings.Trim(id, "/")
		}
		id = next
	}
}

// importedInputs are the inputs of something that was not made by this program:
// what it was made with, or what of its state can be an input.
func importedInputs(f *facts, o *object) props {
	if len(o.inputs) > 0 {
		in := driftedInputs(f.fields, o.inputs, o.outputs)
		delete(in, "__defaults")
		for k, n := range f.fields {
			if v := o.outputs[resource.PropertyKey(k)]; n.computed && n.replace && n.kind == "string" && !empty(v) {
				in[resource.PropertyKey(k)] = v // such as the project and the region
			}
		}
		return in
	}
	in := props{}
	for k, n := range f.fields {
		if v := o.outputs[resource.PropertyKey(k)]; !n.outputOnly && !empty(v) {
			in[resource.PropertyKey(k)] = v
		}
	}
	return in
}

// driftedInputs are the given inputs with the values that the cloud has now.
func driftedInputs(fields map[string]*fact, in, out props) props {
	now := make(props, len(in))
	for k, v := range in {
		now[k] = v
		cur, ok := out[k]
		if !ok || strings.HasPrefix(string(k), "__") {
			continue
		}
		f := fields[string(k)]
		if f != nil && f.kind == "object" && bare(v).IsObject() && bare(cur).IsObject() {
			inner := resource.NewProperty(driftedInputs(f.fields, bare(v).ObjectValue(), bare(cur).ObjectValue()))
			now[k] = markLike(inner, v)
			continue
		}
		if f != nil && f.kind == "list" && f.elem.kind == "object" {
			continue // the cloud fills in the elements; comparing them would show a change that is none
		}
		a, b := bare(v), bare(cur)
		same := equal(a, b) || a.IsString() && b.IsString() && sameReference(string(k), a.StringValue(), b.StringValue()) ||
			a.IsArray() && b.IsArray() && sameSet(a.ArrayValue(), b.ArrayValue())
		if !same {
			now[k] = markLike(plain(cur), v)
		}
	}
	return now
}

func empty(v value) bool {
	v = bare(v)
	switch {
	case v.IsNull():
		return true
	case v.IsString():
		return v.StringValue() == ""
	case v.IsBool():
		return !v.BoolValue()
	case v.IsNumber():
		return v.NumberValue() == 0
	case v.IsArray():
		return len(v.ArrayValue()) == 0
	case v.IsObject():
		for _, e := range v.ObjectValue() {
			if !empty(e) {
				return false
			}
		}
		return true
	}
	return false
}

const computePrefix = "https://www.googleapis.com/compute/v1/"

// references are properties in which a name, a partial and a full URL of the
// same thing mean the same.
var references = map[string]bool{
	"network": true, "subnetwork": true, "region": true, "zone": true, "networkUrl": true,
	"repository": true, "bucket": true, "secretId": true, "secret": true, "type": true,
}

func sameReference(property, a, b string) bool {
	if !references[property] {
		return false
	}
	a, b = strings.TrimPrefix(a, computePrefix), strings.TrimPrefix(b, computePrefix)
	return a == b || strings.HasSuffix(a, "/"+b) || strings.HasSuffix(b, "/"+a)
}

func shortType(typ string) string { return typ[strings.LastIndex(typ, ":")+1:] }
