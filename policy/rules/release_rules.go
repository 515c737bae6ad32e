package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/blang/semver"

	"github.com/deepgram-gke/deepgram-gke/internal/compat"
)

const (
	minChart          = "0.41.1"
	minReleaseSeconds = 3600
	registryType      = "gcp:artifactregistry/repository:Repository"
)

var releaseRules = []Rule{
	{
		Name: "chart-is-pinned", Step: "G-D.1", Level: Mandatory,
		Summary: "The chart's version must be given exactly, and be 0.41.1 or newer",
		Advice:  "Set version to a tested one, for example 0.42.0.",
		Example: `release "deepgram": the chart's version is ">=0.40"; needed: an exact version, 0.41.1 or newer (guide G-D.1). Set version to a tested one, for example 0.42.0.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			v, ok := r.version()
			switch {
			case !ok:
				j.Violate(Finding{
					What: r.what, Found: fmt.Sprintf("the chart's version is %q", r.in.Get("version").Text()),
					Need: "an exact version, " + minChart + " or newer",
				})
			case v.LT(semver.MustParse(minChart)):
				j.Violate(Finding{
					What: r.what, Found: "the chart's version is " + v.String(), Need: minChart + " or newer, which works on GKE",
				})
			}
		}),
	},
	{
		Name: "chart-suits-images", Step: "G-M.product", Level: Mandatory,
		Summary: "Chart and images must not be a pair that is known not to work",
		Advice:  "Change chart or images together.",
		Example: `release "deepgram": chart 0.42.0 with release-260812-fips: readiness probes fail in -fips images, so API and licence proxy never become ready (self-hosted-resources #184); needed: a pair that works (guide G-M.product). Use chart 0.43.0 or newer, or images without -fips.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			v, ok := r.version()
			if !ok {
				return // chart-is-pinned
			}
			seen := map[string]bool{}
			for _, c := range r.components() {
				tag := r.tagOf(c)
				if p, isBad := compat.Bad(v, tag); isBad && !seen[tag] {
					seen[tag] = true
					j.Violate(Finding{
						What: r.what, Found: fmt.Sprintf("chart %s with %s: %s (%s)", v, tag, p.Why, p.Source), Need: "a pair that works",
						Do: strings.ToUpper(p.Fix[:1]) + p.Fix[1:] + ".",
					})
				}
			}
		}),
	},
	{
		Name: "chart-and-images-are-tested-together", Step: "G-M.product", Level: Advisory,
		Summary: "Deepgram publishes each chart with one release; of other pairs it is not known whether they work",
		Advice:  "Test the pair before production, or use the release that the chart carries.",
		Example: `release "deepgram": chart 0.42.0 with release-250331, of which nothing is known; needed: release-260812, which this chart was published with (guide G-M.product). Test the pair before production, or use the release that the chart carries.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			v, ok := r.version()
			tag := r.tag()
			if !ok || tag == "" || compat.OwnTag(v.String()) == tag {
				return
			}
			if _, isBad := compat.Bad(v, tag); isBad {
				return // chart-suits-images
			}
			need := "a pair that Deepgram published"
			if own := compat.OwnTag(v.String()); own != "" {
				need = own + ", which this chart was published with"
			}
			j.Violate(Finding{What: r.what, Found: fmt.Sprintf("chart %s with %s, of which nothing is known", v, tag), Need: need})
		}),
	},
	{
		Name: "driver-suits-images", Step: "G-M.product", Level: Mandatory,
		Summary: "Engine images from release-260915 need driver 580, which GKE's default driver may not be",
		Advice:  "Set gpuDriverVersion to LATEST on the engine pool, and check the driver on a node.",
		Example: `node pool "engine": its GPU driver is DEFAULT, and release-260915 needs 580 with open kernel modules; needed: LATEST (guide G-M.product). Set gpuDriverVersion to LATEST on the engine pool, and check the driver on a node.`,
		Stack:   eachRelease(func(j *Judge, r release) { drivers(j, r, true) }),
	},
	{
		Name: "driver-is-checked", Step: "G-M.product", Level: Advisory,
		Summary: "Which driver a GKE version brings is not known here: it must be checked against what the engine image needs",
		Advice:  "Run nvidia-smi on a node of the pool after an upgrade of GKE or of the release.",
		Example: `node pool "engine": release-260812 needs driver 570.172.08 or newer, and its GPU driver is LATEST, whose version depends on the GKE version; needed: a driver that is new enough (guide G-M.product). Run nvidia-smi on a node of the pool after an upgrade of GKE or of the release.`,
		Stack:   eachRelease(func(j *Judge, r release) { drivers(j, r, false) }),
	},
	{
		Name: "image-tags-are-one", Step: "G-M.product", Level: Mandatory,
		Summary:  "All Deepgram images must have the same tag, and not latest",
		Advice:   "Write the same release tag for every component.",
		Example:  `release "deepgram": its image tags are release-260812 (API), release-250331 (engine); needed: one release tag for all (guide G-M.product). Write the same release tag for every component.`,
		Types:    releaseTypes,
		Resource: deepgram(tagsAreOne),
	},
	{
		Name: "images-come-from-private-registry", Step: "G-II.5", Level: Mandatory,
		Summary: "Where there is a private registry, Deepgram's images come from it; in an airgapped deployment every image does",
		Advice:  "Point the image paths at the private registry.",
		Example: `release "deepgram": the image of engine is quay.io/deepgram/self-hosted-engine; needed: an image of the private registry (guide G-II.5). Point the image paths at the private registry.`,
		Settings: []Setting{{
			Name: "registry", Default: "",
			Help: "Image prefix of the private registry; empty finds out from the stack's repositories and image paths.",
		}},
		Stack: eachRelease(imagesArePrivate),
	},
	{
		Name: "release-is-atomic", Step: "G-D.1", Level: Mandatory,
		Summary: "The release must be atomic with a timeout of at least one hour: nodes, images and models take long",
		Advice:  "Set atomic to true and timeout to 3600.",
		Example: `release "deepgram": its timeout is 300 s; needed: 3600 s (guide G-D.1). Set atomic to true and timeout to 3600.`,
		Types:   []string{releaseType},
		Settings: []Setting{{
			Name: "minTimeoutSeconds", Default: float64(minReleaseSeconds), Min: bound(60), Max: bound(86400),
			Help: "Least timeout in seconds.",
		}},
		Resource: deepgram(func(j *Judge, r release) {
			if !r.in.Get("atomic").Flag(false) {
				j.Violate(Finding{What: r.what, Found: "it is not atomic", Need: "atomic: true, so that a failed upgrade goes back"})
			}
			// The provider's default is 300 s.
			if s := r.in.Get("timeout").Number(300); s < j.Number("minTimeoutSeconds") {
				j.Violate(Finding{
					What: r.what, Found: fmt.Sprintf("its timeout is %s s", number(s)),
					Need: number(j.Number("minTimeoutSeconds")) + " s",
				})
			}
		}),
	},
	{
		Name: "chart-booleans-are-booleans", Step: "G-D.1", Level: Mandatory,
		Summary:  `Switches of the chart must be true or false: its templates take every text for on, also "false"`,
		Advice:   "Parse the value before it is passed to the chart.",
		Example:  `release "deepgram": values.billing.enabled is the text "false"; needed: true or false (guide G-D.1). Parse the value before it is passed to the chart.`,
		Types:    releaseTypes,
		Resource: deepgram(func(j *Judge, r release) { textSwitches(j, r, r.values, 0) }),
	},
	{
		Name: "pdb-allows-eviction", Step: "G-D.1", Level: Mandatory,
		Summary: "A disruption budget must leave room for an eviction: the chart drops 0, and then nothing may be evicted at all",
		Advice:  "Set pdb.maxUnavailable to 1, and leave out minAvailable.",
		Example: `release "deepgram": engine.pdb.minAvailable is 0; needed: 1 or more, of one of the two (guide G-D.1). Set pdb.maxUnavailable to 1, and leave out minAvailable.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			for _, c := range components {
				if !r.enabled(c.key + ".pdb.enabled") {
					continue
				}
				for _, key := range []string{"minAvailable", "maxUnavailable"} {
					v := r.v(c.key + ".pdb." + key)
					if v.Present() && (v.v.IsNumber() && v.Number(1) <= 0 || v.v.IsString() && strings.Trim(v.Text(), "0%") == "") {
						j.Violate(Finding{
							What: r.what, Found: fmt.Sprintf("%s.pdb.%s is 0", c.key, key), Need: "1 or more, of one of the two",
						})
					}
				}
			}
		}),
	},
	{
		Name: "engine-gpu-is-required", Step: "G-D.1", Level: Mandatory,
		Summary: "An engine must refuse to start without a GPU: it would else work on the CPU, far too slowly",
		Advice:  "Set engine.health.gpuRequired to true.",
		Example: `release "deepgram": engine.health.gpuRequired is false; needed: true (guide G-D.1). Set engine.health.gpuRequired to true.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			if !r.v("engine.health.gpuRequired").Flag(false) {
				j.Violate(Finding{What: r.what, Found: "engine.health.gpuRequired is false", Need: "true"})
			}
		}),
	},
	{
		Name: "gpu-operator-is-off", Step: "G-D.1", Level: Mandatory,
		Summary: "GKE installs the GPU driver itself; NVIDIA's operator, which the chart has on by default, would do it again",
		Advice:  "Set gpu-operator.enabled to false.",
		Example: `release "deepgram": gpu-operator.enabled is true; needed: false on GKE (guide G-D.1). Set gpu-operator.enabled to false.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			if v := r.v("gpu-operator.enabled"); v.Flag(true) {
				j.Violate(Finding{What: r.what, Found: "gpu-operator.enabled is true", Need: "false on GKE"})
			}
		}),
	},
	{
		Name: "license-key-is-plain-text", Step: "A-PRE", Level: Mandatory,
		Summary: `The licence key must not hold |, & or \: the chart writes it with sed, which these break`,
		Advice:  "Check the key for a mistake in copying, or ask Deepgram for another one.",
		Example: `Secret "license": DEEPGRAM_LICENSE_KEY holds one of | & \; needed: a key without them (guide A-PRE). Check the key for a mistake in copying, or ask Deepgram for another one.`,
		Types:   []string{secretType},
		Resource: func(j *Judge) {
			key := secretText(j.In(), "DEEPGRAM_LICENSE_KEY")
			if strings.ContainsAny(key, `|&\`) {
				j.Violate(Finding{Found: `DEEPGRAM_LICENSE_KEY holds one of | & \`, Need: "a key without them"})
			}
		},
	},
}

func drivers(j *Judge, r release, refuse bool) {
	tag := r.tag()
	floor, ok := compat.DriverFor(tag)
	if !ok {
		return
	}
	Each(j, j.stackPools(pool.isEngine), pool.resource, func(p pool) {
		for _, a := range p.accelerators() {
			driver := a.driver
			if driver == "" || driver == "GPU_DRIVER_VERSION_UNSPECIFIED" {
				driver = "DEFAULT"
			}
			switch {
			case refuse && floor.LatestOnly && driver == "DEFAULT":
				j.Violate(Finding{
					On: p.on, What: p.what, Found: fmt.Sprintf("its GPU driver is DEFAULT, and %s needs %s", tag, floor.Version),
					Need: "LATEST",
				})
			case !refuse && (!floor.LatestOnly || driver != "DEFAULT"):
				j.Violate(Finding{
					On: p.on, What: p.what,
					Found: fmt.Sprintf("%s needs driver %s or newer, and its GPU driver is %s, whose version depends on the GKE version", tag, floor.Version, driver),
					Need:  "a driver that is new enough",
				})
			}
		}
	})
}

func tagsAreOne(j *Judge, r release) {
	own := ""
	if v, ok := r.version(); ok {
		own = compat.OwnTag(v.String())
	}
	var tags, shown []string
	for _, c := range r.components() {
		tag := r.tagOf(c)
		if tag == "" && r.v(c.key+".image.tag").Present() {
			j.Violate(Finding{What: r.what, Found: c.key + ".image.tag is empty", Need: "one release tag for all"})
		}
		if tag == "" {
			tag = own
			if own == "" {
				tag = "the chart's own"
			}
		}
		if tag == "latest" {
			j.Violate(Finding{What: r.what, Found: c.key + ".image.tag is latest", Need: "a release tag, such as release-260812"})
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
		shown = append(shown, fmt.Sprintf("%s (%s)", tag, c.title))
	}
	if len(tags) > 1 {
		j.Violate(Finding{What: r.what, Found: "its image tags are " + strings.Join(shown, ", "), Need: "one release tag for all"})
	}
}

// public tells whether an image path is of a public registry.
func public(path string) bool {
	first, _, more := strings.Cut(path, "/")
	if !more || !strings.ContainsAny(first, ".:") {
		return true // Docker Hub's short form
	}
	return slices.Contains([]string{"quay.io", "docker.io", "index.docker.io", "registry.k8s.io", "ghcr.io", "gcr.io"}, first)
}

func imagesArePrivate(j *Judge, r release) {
	airgapped := r.enabled("billing.enabled")
	prefix := strings.TrimSuffix(j.Text("registry"), "/")
	private := prefix != "" || airgapped || len(j.All(registryType)) > 0
	paths := map[string]string{}
	for _, c := range r.components() {
		path := r.v(c.key + ".image.path").Text()
		if path == "" {
			path = "quay.io/deepgram/self-hosted-" + c.role
		}
		paths[c.title] = path
		private = private || !public(path)
	}
	if !private {
		return
	}
	if airgapped {
		registry := r.v("global.initContainer.image.registry").Text()
		if registry == "" {
			registry = "docker.io"
		}
		paths["init container"] = registry + "/" + r.v("global.initContainer.image.repository").Text()
		auto := r.enabled("scaling.auto.enabled")
		if included(r, "kube-prometheus-stack", auto) {
			paths["monitoring"] = r.v("kube-prometheus-stack.global.imageRegistry").Text() + "/"
		}
		if included(r, "prometheus-adapter", auto) {
			paths["metrics adapter"] = r.v("prometheus-adapter.image.repository").Text()
		}
	}
	for _, title := range sortedKeys(paths) {
		path := paths[title]
		if public(path) || prefix != "" && !strings.HasPrefix(path, prefix+"/") {
			shown := path
			if strings.Trim(path, "/") == "" {
				shown = "the chart's own, of a public registry"
			}
			j.Violate(Finding{
				On: r.on, What: r.what, Found: fmt.Sprintf("the image of %s is %s", title, shown),
				Need: "an image of the private registry",
			})
		}
	}
}

// included tells whether the release brings a subchart.
func included(r release, subchart string, auto bool) bool {
	v := r.v(subchart + ".includeDependency")
	if v.Present() && v.v.IsBool() {
		return v.Flag(false)
	}
	return auto
}

// switches are keys that the chart reads as a switch wherever they stand.
var switches = []string{
	"enabled", "includeDependency", "gpuRequired", "deploySecondReplica", "keepUpstreamServerAsBackup", "create",
	"useNvidiaDevicePlugin", "listenV2", "speakV2", "speakV2Streaming", "entityDetection", "entityRedaction",
	"formatEntityTags", "redactUsage",
	"streamingNer", "useV2LanguageDetection", "allowNonpublicEndpoints", "allowInsecureEndpoints",
}

const deepest = 40

func textSwitches(j *Judge, r release, v Value, depth int) {
	if depth > deepest || !v.Known() {
		return
	}
	switch {
	case v.v.IsMap():
		for _, f := range v.Fields() {
			if slices.Contains(switches, f.Name) && f.Value.Known() && f.Value.v.IsString() {
				j.Violate(Finding{
					What: r.what, Found: fmt.Sprintf("%s is the text %q", f.Value.path, f.Value.Text()), Need: "true or false",
				})
			}
			textSwitches(j, r, f.Value, depth+1)
		}
	case v.v.IsArray():
		for _, e := range v.List() {
			textSwitches(j, r, e, depth+1)
		}
	}
}
