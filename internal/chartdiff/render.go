package chartdiff

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// rendering is what one chart makes of one set of values.
type rendering struct {
	objects map[objectKey]object
	// crds are the definitions in the chart's crds folder, by name.
	crds  map[string]string
	notes []string
}

// objectKey is what makes two objects the same one. Its version may change.
type objectKey struct{ kind, group, namespace, name string }

type object struct {
	content map[string]any
	hook    string
}

// KubeVersion is what charts are told where the cluster's version is not known:
// that of the Kubernetes libraries of this program.
const KubeVersion = "v1.34.0"

// renderer renders one side of a comparison.
type renderer struct {
	in         *Input
	values     map[string]any
	postRender func([]byte) ([]byte, error)
	// strict refuses values that the chart's schema refuses, as an installation
	// would; what is installed already is past that.
	strict bool
}

// hiddenToken stands for a secret while templates run: "[secret]" would be a list
// to YAML.
const hiddenToken = "HIDDEN-5d0c2f1e-SECRET"

func (r *renderer) render(f *found) (*rendering, error) {
	c, err := f.load()
	if err != nil {
		return nil, err
	}
	out := &rendering{objects: map[objectKey]object{}, crds: map[string]string{}}
	values, _ := swap(chartutil.Values(r.values).AsMap(), report.Hidden, hiddenToken).(map[string]any)
	if err := chartutil.ProcessDependenciesWithMerge(c, values); err != nil {
		return nil, fmt.Errorf("subcharts: %w", err)
	}
	if missing := missing(c); len(missing) > 0 {
		return nil, fmt.Errorf("subcharts are missing: %s; run helm dependency build", strings.Join(missing, ", "))
	}
	capabilities, err := r.capabilities(c, out)
	if err != nil {
		return nil, err
	}
	if c.Metadata.KubeVersion != "" && !chartutil.IsCompatibleRange(c.Metadata.KubeVersion, capabilities.KubeVersion.String()) {
		out.notes = append(out.notes, fmt.Sprintf("%s %s asks for Kubernetes %s; this was rendered for %s",
			c.Metadata.Name, c.Metadata.Version, c.Metadata.KubeVersion, capabilities.KubeVersion.String()))
	}
	options := chartutil.ReleaseOptions{
		Name: r.in.Release, Namespace: r.in.Namespace, Revision: 1,
		// The same on both sides: otherwise every template that asks would differ.
		IsInstall: r.in.OldChart == nil, IsUpgrade: r.in.OldChart != nil,
	}
	input, err := chartutil.ToRenderValuesWithSchemaValidation(c, values, options, capabilities, !r.strict)
	if err != nil && r.strict {
		out.notes = append(out.notes, fmt.Sprintf("%s %s refuses these values: %s", c.Metadata.Name, c.Metadata.Version, reason(err)))
		input, err = chartutil.ToRenderValuesWithSchemaValidation(c, values, options, capabilities, true)
	}
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, input)
	if err != nil {
		return nil, err
	}
	for name := range files {
		if strings.HasSuffix(name, "NOTES.txt") || strings.HasPrefix(path.Base(name), "_") {
			delete(files, name)
		}
	}
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	if err := out.manifests(manifests, r); err != nil {
		return nil, err
	}
	return out, out.hooks(hooks, r.in.Namespace)
}

// capabilities are what templates can ask of the cluster: its version, and the
// kinds that the chart itself defines, which are there before its objects.
func (r *renderer) capabilities(c *chart.Chart, out *rendering) (*chartutil.Capabilities, error) {
	capabilities := chartutil.DefaultCapabilities.Copy()
	version, err := chartutil.ParseKubeVersion(cmp.Or(r.in.KubeVersion, KubeVersion))
	if err != nil {
		return nil, fmt.Errorf("kubernetes version %q: %w", r.in.KubeVersion, err)
	}
	capabilities.KubeVersion = *version
	versions := slices.Concat(capabilities.APIVersions, r.in.APIVersions)
	for _, crd := range c.CRDObjects() {
		var definition struct {
			Metadata struct{ Name string }
			Spec     struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct{ Name string }
			}
		}
		if err := yaml.Unmarshal(crd.File.Data, &definition); err != nil {
			continue // a file in crds that is none
		}
		out.crds[definition.Metadata.Name] = string(crd.File.Data)
		for _, v := range definition.Spec.Versions {
			group := definition.Spec.Group + "/" + v.Name
			versions = append(versions, group, group+"/"+definition.Spec.Names.Kind)
		}
	}
	capabilities.APIVersions = versions
	return capabilities, nil
}

// missing are subcharts that are wanted and not there.
func missing(c *chart.Chart) (names []string) {
	for _, want := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.Dependencies(), func(have *chart.Chart) bool { return have.Name() == want.Name }) {
			names = append(names, want.Name)
		}
	}
	for _, sub := range c.Dependencies() {
		names = append(names, missing(sub)...)
	}
	return names
}

// manifests takes ordinary objects, after the post-renderer had them.
func (out *rendering) manifests(list []releaseutil.Manifest, r *renderer) error {
	var all strings.Builder
	for _, m := range list {
		all.WriteString("---\n" + m.Content + "\n")
	}
	text := all.String()
	if r.postRender != nil {
		rendered, err := r.postRender([]byte(text))
		if err != nil {
			return fmt.Errorf("post-renderer: %w", err)
		}
		text = string(rendered)
	}
	for _, document := range releaseutil.SplitManifests(text) {
		if err := out.add(document, "", r.in.Namespace); err != nil {
			return err
		}
	}
	return nil
}

// hooks takes what Helm runs before and after; tests it runs only when asked.
func (out *rendering) hooks(list []*release.Hook, namespace string) error {
	for _, h := range list {
		var events []string
		for _, e := range h.Events {
			if e != release.HookTest {
				events = append(events, string(e))
			}
		}
		if len(events) == 0 {
			continue
		}
		if err := out.add(h.Manifest, strings.Join(events, ", "), namespace); err != nil {
			return err
		}
	}
	return nil
}

func (out *rendering) add(document, hook, namespace string) error {
	var content map[string]any
	if err := yaml.Unmarshal([]byte(document), &content); err != nil {
		return fmt.Errorf("a rendered document is no YAML: %w", err)
	}
	if len(content) == 0 {
		return nil
	}
	out.insert(content, hook, namespace)
	return nil
}

func (out *rendering) insert(content map[string]any, hook, namespace string) {
	if items, ok := content["items"].([]any); ok && strings.HasSuffix(text(content, "kind"), "List") {
		for _, item := range items {
			if m, ok := item.(map[string]any); ok {
				out.insert(m, hook, namespace)
			}
		}
		return
	}
	content, _ = swap(content, hiddenToken, report.Hidden).(map[string]any)
	group, _, _ := strings.Cut(text(content, "apiVersion"), "/")
	if !strings.Contains(text(content, "apiVersion"), "/") {
		group = ""
	}
	key := objectKey{text(content, "kind"), group, text(content, "metadata", "namespace"), text(content, "metadata", "name")}
	if key.namespace == namespace {
		key.namespace = "" // said or not, it is the release's
	}
	out.objects[key] = object{content, hook}
}

// text is a text inside an object; empty where there is none.
func text(v any, keys ...string) string {
	for _, key := range keys {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	s, _ := v.(string)
	return s
}

// swap puts one text in the place of another, everywhere. It copies.
func swap(v any, from, to string) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, from, to)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = swap(item, from, to)
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, item := range v {
			m[key] = swap(item, from, to)
		}
		return m
	}
	return v
}
