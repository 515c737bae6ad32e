package standin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// releaseFacts are the inputs of a Helm release.
var releaseFacts = func() *facts {
	f := &facts{fields: map[string]*fact{}}
	kinds := map[string]string{
		"string": "chart compat description keyring name namespace postrender version",
		"bool": "allowNullValues atomic cleanupOnFail createNamespace dependencyUpdate devel disableCRDHooks " +
			"disableOpenapiValidation disableWebhooks forceUpdate lint recreatePods renderSubchartNotes replace resetValues " +
			"reuseValues skipAwait skipCrds takeOwnership verify waitForJobs",
		"int": "maxHistory timeout",
		"any": "manifest resourceNames valueYamlFiles values",
	}
	for kind, names := range kinds {
		for _, n := range strings.Fields(names) {
			f.fields[n] = &fact{kind: kind}
		}
	}
	s := func() *fact { return &fact{kind: "string"} }
	f.fields["repositoryOpts"] = &fact{kind: "object", fields: map[string]*fact{
		"caFile": s(), "certFile": s(), "keyFile": s(), "password": s(), "repo": s(), "username": s(),
	}}
	f.fields["chart"].required = true
	f.fields["name"].replace = true
	f.fields["namespace"].replace = true
	f.fields["status"] = &fact{kind: "any", outputOnly: true}
	return f
}()

func (p *kubernetes) checkRelease(r *request, out *complaints) props {
	news := deepCopy(r.news)
	delete(news, "compat") // the SDK's marker that a release is meant, not a chart
	if absent(news["name"]) {
		old := bare(r.oldInputs["name"])
		if !old.IsString() {
			var err error
			if old, err = r.freshName(8, 53); err != nil {
				out.add("name", "%v", err)
			}
		}
		news["name"] = old
	}
	setDefault(news, "namespace", text("default"))
	releaseFacts.object().check("", resource.NewProperty(news), out)
	if v := bare(news["values"]); !v.IsNull() && !v.IsObject() && !v.IsComputed() {
		out.add("values", "must be an object, not %s", describe(v))
	}
	if name := stringAt(news, "name"); len(name) > 53 || name != "" && !dnsSubdomain.MatchString(name) {
		out.add("name", "%q is no release name: at most 53 lower-case letters, digits, '-' and '.'", name)
	}
	return news
}

func (p *kubernetes) diffRelease(r *request) *pulumirpc.DiffResponse {
	d := &differ{changes: map[string]change{}, ignore: r.ignore}
	d.object("", r.oldInputs, r.news, nil, releaseFacts.fields)
	same := equal(r.oldInputs["name"], r.news["name"]) && equal(r.oldInputs["namespace"], r.news["namespace"])
	return d.response(same)
}

func (p *kubernetes) createRelease(r *request, scope string) (string, props, error) {
	out := p.releaseOutputs(r, 1)
	if r.preview {
		return "", out, nil
	}
	id := stringAt(r.news, "namespace") + "/" + stringAt(r.news, "name")
	ns := stringAt(r.news, "namespace")
	if !boolAt(r.news, "createNamespace") {
		if err := p.needNamespace(scope, r.typ, ns); err != nil {
			return "", nil, fmt.Errorf("installation failed: %w", err)
		}
	}
	key := p.key(r, scope, id)
	if _, exists := p.cloud.objects[key]; exists {
		return "", nil, fmt.Errorf("cannot re-use a name that is still in use: release %s exists already", id)
	}
	if err := p.refuseRelease(r, scope, nil); err != nil {
		return "", nil, err
	}
	p.cloud.put(&object{key: key, provider: p.name(), inputs: r.news, outputs: out, createdBy: r.urn})
	return id, out, nil
}

func (p *kubernetes) updateRelease(r *request, scope string) (props, error) {
	key := p.key(r, scope, r.id)
	old := p.cloud.objects[key]
	revision := 1.0
	if n, ok := numberAt(r.olds, "status.revision"); ok {
		revision = n
	}
	if old != nil {
		if n, ok := numberAt(old.outputs, "status.revision"); ok {
			revision = n
		}
	}
	out := p.releaseOutputs(r, revision+1)
	if r.preview {
		return out, nil
	}
	if old == nil {
		return nil, fmt.Errorf("release %s not found: %q has no deployed releases", r.id, r.id)
	}
	if err := p.refuseRelease(r, scope, old); err != nil {
		return nil, err
	}
	p.cloud.put(&object{key: key, provider: p.name(), inputs: r.news, outputs: out, createdBy: old.createdBy})
	return out, nil
}

func (p *kubernetes) releaseOutputs(r *request, revision float64) props {
	out := deepCopy(r.news)
	if r.preview {
		out["status"], out["resourceNames"] = unknown(), unknown()
		return out
	}
	chart := stringAt(r.news, "chart")
	out["status"] = resource.NewPropertyValue(map[string]any{
		"status": "deployed", "revision": revision, "chart": lastPart(chart), "appVersion": "", "name": stringAt(r.news, "name"),
		"namespace": stringAt(r.news, "namespace"), "version": stringAt(r.news, "version"),
	})
	out["resourceNames"] = resource.NewProperty(props{})
	return out
}

// refuseRelease says why an installation or upgrade fails in the cluster.
func (p *kubernetes) refuseRelease(r *request, scope string, old *object) error {
	values := bare(r.news["values"])
	if !values.IsObject() {
		return nil
	}
	ns := stringAt(r.news, "namespace")
	var missing []string
	for _, name := range secretRefs(values.ObjectValue()) {
		if p.cloud.objects[objectKey{Type: typeK8sSecret, Scope: scope, ID: ns + "/" + name}] == nil && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("release %s: context deadline exceeded: pods do not become ready, secrets %q not found in namespace %s",
			stringAt(r.news, "name"), missing, ns)
	}
	mine := volumes(values.ObjectValue())
	if old != nil {
		for name, handle := range volumes(bare(old.inputs["values"]).ObjectValue()) {
			if now, ok := mine[name]; ok && now != handle {
				return fmt.Errorf("release %s: cannot patch %q with kind PersistentVolume: PersistentVolume %q is invalid: "+
					"spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation; rolled back",
					stringAt(r.news, "name"), name, name)
			}
		}
	}
	return nil
}

// secretRefs are the names of the secrets that the chart's values refer to.
func secretRefs(values props) []string {
	var out []string
	global := bare(values["global"])
	if !global.IsObject() {
		return nil
	}
	for _, k := range global.ObjectValue().StableKeys() {
		v := bare(global.ObjectValue()[k])
		if strings.HasSuffix(string(k), "SecretRef") && v.IsString() && v.StringValue() != "" {
			out = append(out, v.StringValue())
		}
	}
	return out
}

// volumes are the model volumes that the chart makes: name of the
// PersistentVolume to volume handle.
func volumes(values props) map[string]string {
	out := map[string]string{}
	gpd := bare(at(values, "engine.modelManager.volumes.gcp.gpd"))
	if !gpd.IsObject() || !boolAt(gpd.ObjectValue(), "enabled") {
		return out
	}
	prefix := stringAt(gpd.ObjectValue(), "namePrefix")
	if prefix == "" {
		prefix = "dg-models"
	}
	out[prefix+"-pv"] = stringAt(gpd.ObjectValue(), "volumeHandle")
	return out
}
