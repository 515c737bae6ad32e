package rules

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// One API pod serves 1 to 16 engines (guide G-A).
const maxRatio = 16

// metricPaths are the chart's targets of the engines' autoscaler.
var metricPaths = []string{
	"requestCapacityRatio", "speechToText.batch.requestsPerPod", "speechToText.streaming.requestsPerPod", "textToSpeech.batch.requestsPerPod",
}

var scalingRules = []Rule{
	{
		Name: "engine-to-api-ratio-is-in-range", Step: "G-A", Level: Mandatory,
		Summary: "One API pod serves 1 to 16 engines",
		Advice:  "Set scaling.auto.api.metrics.engineToApiRatio, or the static replicas, within 1 to 16; 4 is usual.",
		Example: `release "deepgram": 20 engines for each API pod; needed: 1 to 16 (guide G-A). Set scaling.auto.api.metrics.engineToApiRatio, or the static replicas, within 1 to 16; 4 is usual.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			ratio := r.ratio()
			if !r.enabled("scaling.auto.enabled") {
				engines := r.v("scaling.replicas.engine")
				if engines.Present() && engines.v.IsMap() {
					return // one number for each kind of engine of the voice agent
				}
				api := r.v("scaling.replicas.api").Number(1)
				if api <= 0 || engines.Number(1) <= 0 {
					return // switched off
				}
				// Fewer engines than API pods is what one of each with a spare makes.
				ratio = max(1, engines.Number(1)/api)
			}
			if ratio < 1 || ratio > maxRatio {
				j.Violate(Finding{
					What: r.what, Found: fmt.Sprintf("%s engines for each API pod", number(ratio)),
					Need: fmt.Sprintf("1 to %d", maxRatio),
				})
			}
		}),
	},
	{
		Name: "autoscaling-has-metric", Step: "G-A", Level: Mandatory,
		Summary: "Autoscaling needs a target, and a share of the capacity needs the capacity",
		Advice:  "Set one of the targets under scaling.auto.engine.metrics.",
		Example: `release "deepgram": autoscaling is on without a target; needed: one target (guide G-A). Set one of the targets under scaling.auto.engine.metrics.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			if !r.enabled("scaling.auto.enabled") {
				return
			}
			n := len(r.v("scaling.auto.engine.metrics.custom").List())
			for _, path := range metricPaths {
				if r.v("scaling.auto.engine.metrics." + path).Present() {
					n++
				}
			}
			if n == 0 {
				j.Violate(Finding{What: r.what, Found: "autoscaling is on without a target", Need: "one target"})
			}
			if r.v("scaling.auto.engine.metrics.requestCapacityRatio").Present() && !r.v("engine.concurrencyLimit.activeRequests").Present() {
				j.Violate(Finding{
					What:  r.what,
					Found: "requestCapacityRatio is set without engine.concurrencyLimit.activeRequests, of which it is a share",
					Need:  "both", Do: "Set engine.concurrencyLimit.activeRequests.",
				})
			}
		}),
	},
	{
		Name: "autoscaling-bounds-are-ordered", Step: "G-A", Level: Mandatory,
		Summary: "The least number of engines must be 1 or more, and at most the greatest",
		Advice:  "Correct scaling.auto.engine.minReplicas and maxReplicas.",
		Example: `release "deepgram": 4 to 2 engines; needed: 1 ≤ least ≤ most (guide G-A). Correct scaling.auto.engine.minReplicas and maxReplicas.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			if !r.enabled("scaling.auto.enabled") {
				return
			}
			least, most := r.v("scaling.auto.engine.minReplicas").Number(1), r.v("scaling.auto.engine.maxReplicas").Number(10)
			if least < 1 || least > most {
				j.Violate(Finding{
					What: r.what, Found: fmt.Sprintf("%s to %s engines", number(least), number(most)), Need: "1 ≤ least ≤ most",
				})
			}
		}),
	},
	{
		Name: "autoscaling-keeps-chart-names", Step: "G-A", Level: Mandatory,
		Summary: "With autoscaling the name prefixes must be the chart's: its ratio metric has them written in",
		Advice:  "Leave api.namePrefix and engine.namePrefix out.",
		Example: `release "deepgram": api.namePrefix is speech-api; needed: deepgram-api (guide G-A). Leave api.namePrefix and engine.namePrefix out.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			if !r.enabled("scaling.auto.enabled") {
				return
			}
			for _, c := range components[:2] {
				if name := r.v(c.key + ".namePrefix").Text(); name != "" && name != "deepgram-"+c.role {
					j.Violate(Finding{What: r.what, Found: fmt.Sprintf("%s.namePrefix is %s", c.key, name), Need: "deepgram-" + c.role})
				}
			}
		}),
	},
	{
		Name: "replicas-fit-nodes", Step: "G-A", Level: Mandatory,
		Summary:  "The most pods of a component, with one more during an update, must fit the most nodes of its pools",
		Advice:   "Raise the pool's greatest number of nodes (and the GPU quota), or lower the greatest number of pods.",
		Example:  `release "deepgram": up to 20 engine pods and 1 more during an update, and its pools hold 8; needed: room for 21 (guide G-A). Raise the pool's greatest number of nodes (and the GPU quota), or lower the greatest number of pods.`,
		Settings: daemonSettings,
		Stack:    eachRelease(replicasFit),
	},
}

func replicasFit(j *Judge, r release) {
	for _, c := range r.components() {
		if c.key == "engine" && r.enabled("agent.enabled") {
			continue // three kinds of engines, of which each has its own number
		}
		pools := j.poolsFor(c)
		if len(pools) == 0 {
			continue // an existing cluster
		}
		x, room, judged := r.resources(c), 0.0, true
		for _, p := range pools {
			m, ok := p.machine()
			nodes := p.maxNodes(j.zoneCount(p))
			if !ok || nodes == 0 {
				judged = false
				continue
			}
			milli, bytes := left(j, m)
			perNode := fit(milli/1000, x.cpu, fit(bytes, x.mem, math.Inf(1)))
			if c.role == roleEngine {
				perNode = fit(float64(p.gpusPerNode()), x.gpu, perNode)
			}
			// A pod that fits no node is requests-fit-nodes; it is counted as one
			// here, so that one mistake has one message.
			room += max(1, perNode) * float64(nodes)
		}
		most, surge := r.replicas(c), r.surge(c)
		if judged && most+surge > room {
			j.Violate(Finding{
				On: r.on, What: r.what, Need: fmt.Sprintf("room for %s", number(most+surge)),
				Found: fmt.Sprintf("up to %s %s pods and %s more during an update, and its pools hold %s", number(most), c.title, number(surge), number(room)),
			})
		}
	}
}

// fit is how often a request fits into what there is, at most so often as before.
func fit(there, request, before float64) float64 {
	if request <= 0 {
		return before
	}
	return min(before, math.Floor(there/request+1e-9))
}

// zoneCount is the number of zones that a pool's per-zone figures count for.
func (j *Judge) zoneCount(p pool) int {
	zones := p.zones()
	if len(zones) == 0 {
		zones, _ = j.zonesOfCluster(p)
	}
	return max(1, len(zones))
}
