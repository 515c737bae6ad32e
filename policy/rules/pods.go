package rules

import (
	"fmt"
	"math"

	"github.com/deepgram-gke/deepgram-gke/internal/hardware"
)

// GKE's own DaemonSets (proxy, logging, metrics, disks, GPU device plugin) ask
// for about this much of every node; measured values vary with the cluster's options.
const (
	daemonMilli = 300
	daemonMiB   = 400
)

var daemonSettings = []Setting{
	{
		Name: "daemonSetCpuMilli", Default: float64(daemonMilli), Min: bound(0), Max: bound(64000),
		Help: "CPU that DaemonSets request on each node, in thousandths of a core.",
	},
	{
		Name: "daemonSetMemoryMi", Default: float64(daemonMiB), Min: bound(0), Max: bound(1048576),
		Help: "Memory that DaemonSets request on each node, in MiB.",
	},
}

// minimum is what a component's pod must be allowed to use.
type minimum struct {
	key, step  string
	cpu, bytes float64
}

var minimums = []minimum{
	{"api", "G-HW.api", 2, 4e9},
	{"engine", "G-HW.engine", engineCores, 16e9},
	{"licenseProxy", "G-HW.license-proxy", 1, 5e9},
}

var podRules = []Rule{
	{
		Name: "api-pod-has-room", Step: "G-HW.api", Level: Mandatory,
		Summary:  "The limits of an API pod must allow at least 2 cores and 4 GB",
		Advice:   "Raise api.resources.limits; the guide's are 4 CPU and 12Gi.",
		Example:  `release "deepgram": api.resources.limits.memory is 2 GiB; needed: 4 GB (guide G-HW.api). Raise api.resources.limits; the guide's are 4 CPU and 12Gi.`,
		Types:    releaseTypes,
		Resource: deepgram(roomFor(0)),
	},
	{
		Name: "engine-pod-has-room", Step: "G-HW.engine", Level: Mandatory,
		Summary:  "The limits of an engine pod must allow at least 4 cores and 16 GB",
		Advice:   "Raise engine.resources.limits; the guide's are 12 CPU and 40Gi.",
		Example:  `release "deepgram": engine.resources.limits.cpu is 2; needed: 4 cores (guide G-HW.engine). Raise engine.resources.limits; the guide's are 12 CPU and 40Gi.`,
		Types:    releaseTypes,
		Resource: deepgram(roomFor(1)),
	},
	{
		Name: "license-proxy-pod-has-room", Step: "G-HW.license-proxy", Level: Mandatory,
		Summary: "The limits of a licence proxy pod must allow at least 1 vCPU and 5 GB",
		Advice:  "Set licenseProxy.resources.limits to the guide's 2 CPU and 8Gi.",
		Example: `release "deepgram": licenseProxy.resources.limits.memory is 4 GiB; needed: 5 GB (guide G-HW.license-proxy). Set licenseProxy.resources.limits to the guide's 2 CPU and 8Gi.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			if r.enabled("licenseProxy.enabled") {
				roomFor(2)(j, r)
			}
		}),
	},
	{
		Name: "gpu-request-equals-limit", Step: "G-HW.engine", Level: Mandatory,
		Summary: "An engine pod must request at least one GPU, and its limit must be the same",
		Advice:  "Set engine.resources.requests.gpu and limits.gpu to the same number; without a GPU the engine runs on the CPU.",
		Example: `release "deepgram": engine requests 0 GPUs and is limited to 1; needed: the same number, 1 or more (guide G-HW.engine). Set engine.resources.requests.gpu and limits.gpu to the same number; without a GPU the engine runs on the CPU.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			if x := r.resources(components[1]); x.gpu != x.lgpu || x.gpu < 1 {
				j.Violate(Finding{
					What: r.what, Found: fmt.Sprintf("engine requests %s GPUs and is limited to %s", number(x.gpu), number(x.lgpu)),
					Need: "the same number, 1 or more",
				})
			}
		}),
	},
	{
		Name: "requests-fit-nodes", Step: "G-C.2", Level: Mandatory,
		Summary:  "What a pod requests must fit what GKE leaves of a node of its pool, or it stays pending forever",
		Advice:   "Lower the request or use a larger machine type.",
		Example:  `release "deepgram": engine requests 30 GiB, and g2-standard-8 of node pool "engine" leaves 27.95 GiB for it; needed: a request that fits a node (guide G-C.2). Lower the request or use a larger machine type. Smallest machine type that would do: g2-standard-12.`,
		Settings: daemonSettings,
		Stack:    eachRelease(requestsFit),
	},
	{
		Name: "limits-fit-nodes", Step: "G-C.2", Level: Advisory,
		Summary: "A limit above what the node leaves for pods is never reached: the node's own limit comes first",
		Advice:  "Lower the limit, so that it says what a pod can really use.",
		Example: `release "deepgram": engine is limited to 12 cores, and g2-standard-12 of node pool "engine" leaves 11.9; needed: a limit within the node (guide G-C.2). Lower the limit, so that it says what a pod can really use.`,
		Stack:   eachRelease(limitsFit),
	},
}

func roomFor(i int) func(*Judge, release) {
	return func(j *Judge, r release) {
		m := minimums[i]
		for _, c := range components {
			if c.key != m.key {
				continue
			}
			x := r.resources(c)
			if x.lcpu < m.cpu {
				j.Violate(Finding{
					What: r.what, Found: fmt.Sprintf("%s.resources.limits.cpu is %s", c.key, number(x.lcpu)),
					Need: number(m.cpu) + " cores",
				})
			}
			if x.lmem < m.bytes {
				j.Violate(Finding{
					What: r.what, Found: fmt.Sprintf("%s.resources.limits.memory is %s", c.key, gigabytes(x.lmem)),
					Need: number(m.bytes/1e9) + " GB",
				})
			}
		}
	}
}

// poolsFor are the stack's pools on which a component's pods run.
func (j *Judge) poolsFor(c component) []pool {
	return j.stackPools(func(p pool) bool {
		if c.role == roleEngine {
			return p.isEngine()
		}
		return p.role() == c.role
	})
}

// left is what a node leaves for one component's pods.
func left(j *Judge, m hardware.MachineType) (milli, bytes float64) {
	cpu, mib := m.Allocatable()
	return float64(cpu) - j.Number("daemonSetCpuMilli"), (float64(mib) - j.Number("daemonSetMemoryMi")) * (1 << 20)
}

// requestsFit wants each component to fit at least one of its pools.
func requestsFit(j *Judge, r release) {
	for _, c := range r.components() {
		pools := j.poolsFor(c)
		x := r.resources(c)
		var first *Finding
		fits := len(pools) == 0
		for _, p := range pools {
			m, ok := p.machine()
			if !ok {
				fits = true // machine-type-is-known refuses it
				continue
			}
			f := misfit(j, r, c, x, p, m)
			if f == nil {
				fits = true
				continue
			}
			if first == nil {
				first = f
			}
		}
		if !fits && first != nil {
			j.Violate(*first)
		}
	}
}

func misfit(j *Judge, r release, c component, x resources, p pool, m hardware.MachineType) *Finding {
	milli, bytes := left(j, m)
	f := Finding{On: r.on, What: r.what, Need: "a request that fits a node"}
	need := hardware.Need{
		CPUMilli:       int(math.Ceil(clamp(x.cpu*1000 + j.Number("daemonSetCpuMilli")))),
		AllocatableMiB: int(math.Ceil(clamp(x.mem/(1<<20) + j.Number("daemonSetMemoryMi")))),
	}
	if c.role == roleEngine {
		need.GPUs, need.GPUMemoryGiB, need.Capability = int(max(1, clamp(x.gpu))), engineGPUMemoryGiB, engineCapability
	}
	f.Do = adviceMachine(j, need)
	at := fmt.Sprintf("%s of %s leaves", m.Name, p.what)
	switch {
	case x.mem > bytes:
		f.Found = fmt.Sprintf("%s requests %s, and %s %s for it", c.title, gigabytes(x.mem), at, gigabytes(max(0, bytes)))
	case x.cpu*1000 > milli:
		f.Found = fmt.Sprintf("%s requests %s cores, and %s %s for it", c.title, number(x.cpu), at, number(max(0, milli)/1000))
	case c.role == roleEngine && p.hasGPU() && x.gpu > float64(p.gpusPerNode()):
		f.Found = fmt.Sprintf("%s requests %s GPUs, and a node of %s has %d", c.title, number(x.gpu), p.what, p.gpusPerNode())
	default:
		return nil
	}
	return &f
}

func limitsFit(j *Judge, r release) {
	for _, c := range r.components() {
		x := r.resources(c)
		for _, p := range j.poolsFor(c) {
			m, ok := p.machine()
			if !ok {
				continue
			}
			cpu, mib := m.Allocatable()
			at := fmt.Sprintf("%s of %s leaves", m.Name, p.what)
			if x.lcpu*1000 > float64(cpu) {
				j.Violate(Finding{
					On: r.on, What: r.what,
					Found: fmt.Sprintf("%s is limited to %s cores, and %s %s", c.title, number(x.lcpu), at, number(float64(cpu)/1000)),
					Need:  "a limit within the node",
				})
			}
			if x.lmem > float64(mib)*(1<<20) {
				j.Violate(Finding{
					On: r.on, What: r.what,
					Found: fmt.Sprintf("%s is limited to %s, and %s %s", c.title, gigabytes(x.lmem), at, gigabytes(float64(mib)*(1<<20))),
					Need:  "a limit within the node",
				})
			}
		}
	}
}
