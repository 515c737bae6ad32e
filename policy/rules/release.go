package rules

import (
	"fmt"
	"math"
	"path"
	"strings"

	"github.com/blang/semver"

	"github.com/deepgram-gke/deepgram-gke/internal/compat"
)

const (
	releaseType = "kubernetes:helm.sh/v3:Release"
	chartType   = "kubernetes:helm.sh/v4:Chart"
)

var releaseTypes = []string{releaseType, chartType}

// chartName is Deepgram's chart.
const chartName = "deepgram-self-hosted"

// release is a Helm release of Deepgram's chart.
type release struct {
	on     Resource
	what   string
	in     Value
	values Value
}

func (r release) resource() Resource { return r.on }

// release reads a resource as a release of Deepgram's chart.
func (j *Judge) release(r Resource) (release, bool) {
	in := j.Of(r)
	chart := in.Get("chart").Text()
	if chart == "" && r.Type == releaseType {
		chart = in.Get("name").Text()
	}
	base := path.Base(strings.TrimSuffix(chart, "/"))
	if base != chartName && !strings.HasPrefix(base, chartName+"-") {
		return release{}, false
	}
	return release{on: r, what: fmt.Sprintf("release %q", r.Name), in: in, values: in.Get("values")}, true
}

// deepgram judges each release of Deepgram's chart.
func deepgram(judge func(*Judge, release)) func(*Judge) {
	return func(j *Judge) {
		if r, ok := j.release(j.Resource); ok {
			judge(j, r)
		}
	}
}

// releases are the stack's releases of Deepgram's chart.
func (j *Judge) releases() []release {
	var all []release
	Each(j, j.All(releaseTypes...), func(r Resource) Resource { return r }, func(r Resource) {
		if d, ok := j.release(r); ok {
			all = append(all, d)
		}
	})
	return all
}

// eachRelease judges each release of the stack.
func eachRelease(judge func(*Judge, release)) func(*Judge) {
	return func(j *Judge) {
		Each(j, j.releases(), release.resource, func(r release) { judge(j, r) })
	}
}

// v is a value by its dotted path.
func (r release) v(path string) Value { return r.values.Get(strings.Split(path, ".")...) }

// on tells whether a switch of the chart is on. A template's "if" takes every
// text for on, also "false".
func (r release) enabled(path string) bool {
	v := r.v(path)
	if v.Present() && v.v.IsString() {
		return v.Text() != ""
	}
	return v.Flag(false)
}

// component is a workload of the chart: its key, its role and the chart's
// defaults (values.yaml of 0.42.0; cores and GiB).
type component struct {
	key, role  string
	title      string
	cpu, mem   float64
	lcpu, lmem float64
}

const gib = 1 << 30

var components = []component{
	{key: "api", role: roleAPI, title: "API", cpu: 2, mem: 4 * gib, lcpu: 4, lmem: 8 * gib},
	{key: "engine", role: roleEngine, title: "engine", cpu: 4, mem: 30 * gib, lcpu: 8, lmem: 40 * gib},
	{key: "licenseProxy", role: roleProxy, title: "licence proxy", cpu: 1, mem: gib, lcpu: 2, lmem: 8 * gib},
	{key: "billing", role: roleBilling, title: "billing", cpu: 1, mem: gib, lcpu: 2, lmem: 8 * gib},
}

// components are those that the release installs.
func (r release) components() []component {
	var all []component
	for _, c := range components {
		if c.key == "api" || c.key == "engine" || r.enabled(c.key+".enabled") {
			all = append(all, c)
		}
	}
	return all
}

// resources are requests and limits of a component's pod: cores, bytes, GPUs.
// A limit of 0 is none.
type resources struct{ cpu, mem, gpu, lcpu, lmem, lgpu float64 }

func (r release) resources(c component) resources {
	at := func(path string, absent float64) float64 { return r.v(c.key + ".resources." + path).Quantity(absent) }
	gpus := 0.0
	if c.key == "engine" {
		gpus = 1
	}
	return resources{
		cpu: at("requests.cpu", c.cpu), mem: at("requests.memory", c.mem), gpu: at("requests.gpu", gpus),
		lcpu: at("limits.cpu", c.lcpu), lmem: at("limits.memory", c.lmem), lgpu: at("limits.gpu", gpus),
	}
}

// replicas are the most pods of a component at a time, without a surge.
func (r release) replicas(c component) float64 {
	auto := r.enabled("scaling.auto.enabled")
	switch c.key {
	case "engine":
		if auto {
			return r.v("scaling.auto.engine.maxReplicas").Number(10)
		}
		return r.v("scaling.replicas.engine").Number(1)
	case "api":
		if auto {
			return math.Ceil(r.v("scaling.auto.engine.maxReplicas").Number(10) / max(1, r.ratio()))
		}
		return r.v("scaling.replicas.api").Number(1)
	case "licenseProxy":
		if r.v("licenseProxy.deploySecondReplica").Flag(false) {
			return 2
		}
		return 1
	default:
		return r.v("billing.replicas").Number(1)
	}
}

// ratio is the number of engines to one API pod that autoscaling aims at.
func (r release) ratio() float64 { return r.v("scaling.auto.api.metrics.engineToApiRatio").Number(4) }

// surge is how many pods more there are while a component is rolled out.
func (r release) surge(c component) float64 {
	if c.key == "billing" {
		return 0 // a StatefulSet replaces its pods
	}
	return r.v(c.key + ".updateStrategy.rollingUpdate.maxSurge").Number(1)
}

// version is the chart's version; ok is false where it is not exact.
func (r release) version() (v semver.Version, ok bool) {
	text := strings.TrimPrefix(r.in.Get("version").Text(), "v")
	if text == "" {
		// A packaged chart carries its version in its name.
		base := strings.TrimSuffix(path.Base(r.in.Get("chart").Text()), ".tgz")
		text = strings.TrimPrefix(base, chartName+"-")
	}
	v, err := semver.Parse(text)
	return v, err == nil
}

// tagOf is the tag of a component's image as written; "" is the chart's own.
func (r release) tagOf(c component) string {
	tag := r.v(c.key + ".image.tag").Text()
	tag, _, _ = strings.Cut(tag, "@")
	return tag
}

// tag is the release's tag: the engine's, or the chart's own where none is written.
func (r release) tag() string {
	if t := r.tagOf(components[1]); t != "" {
		return t
	}
	if v, ok := r.version(); ok {
		return compat.OwnTag(v.String())
	}
	return ""
}

func gigabytes(bytes float64) string { return number(math.Round(bytes/gib*100)/100) + " GiB" }
