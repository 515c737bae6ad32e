package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/deepgram-gke/deepgram-gke/internal/hardware"
)

// The engine's minimums (guide G-HW.engine).
const (
	engineGPUMemoryGiB = 16
	engineCores        = 4
	engineMemoryGiB    = 32
	engineStorageGB    = 48
)

var engineCapability = hardware.Capability{Major: 7, Minor: 0}

// engineNeed is what a machine for engines has at least.
var engineNeed = hardware.Need{
	VCPUs: engineCores, MemoryMiB: engineMemoryGiB * 1024, GPUs: 1, GPUMemoryGiB: engineGPUMemoryGiB, Capability: engineCapability,
}

var gpuRules = []Rule{
	{
		Name: "engine-gpu-is-present", Step: "G-HW.engine", Level: Mandatory,
		Summary:  "Nodes of an engine pool must have an NVIDIA GPU",
		Advice:   "Use a machine type with a GPU, for example g2-standard-12 with an L4.",
		Example:  `node pool "engine": n2-standard-8 has no GPU; needed: an NVIDIA GPU (guide G-HW.engine). Use a machine type with a GPU, for example g2-standard-12 with an L4.`,
		Types:    poolTypes,
		Resource: enginePools(gpuPresent),
	},
	{
		Name: "engine-gpu-has-memory", Step: "G-HW.engine", Level: Mandatory,
		Summary: "Each GPU must have at least 16 GB of memory, as the engine's pod sees it: MIG and sharing divide it",
		Advice:  "Use a GPU with more memory, for example an L4 (g2-standard-12), and give each engine a whole one.",
		Example: `node pool "engine": nvidia-tesla-p4 has 8 GB for each pod; needed: 16 GB (guide G-HW.engine). Use a GPU with more memory, for example an L4 (g2-standard-12), and give each engine a whole one.`,
		Types:   poolTypes,
		Settings: []Setting{{
			Name: "minMemoryGb", Default: float64(engineGPUMemoryGiB), Min: bound(1), Max: bound(1024),
			Help: "Least memory of a GPU in GB; nominal, as the vendor states it.",
		}},
		Resource: enginePools(gpuMemory),
	},
	{
		Name: "engine-gpu-has-compute-capability", Step: "G-HW.engine", Level: Mandatory,
		Summary:  "Each GPU must have compute capability 7.0 or higher",
		Advice:   "Use a newer GPU, for example an L4 (g2-standard-12, 8.9) or a T4 (7.5).",
		Example:  `node pool "engine": nvidia-tesla-p100 has compute capability 6.0; needed: 7.0 (guide G-HW.engine). Use a newer GPU, for example an L4 (g2-standard-12, 8.9) or a T4 (7.5).`,
		Types:    poolTypes,
		Resource: enginePools(gpuCapability),
	},
	{
		Name: "engine-gpu-is-whole", Step: "G-HW.engine", Level: Mandatory,
		Summary:  "An engine needs whole GPUs: Deepgram supports neither MIG partitions nor fractions",
		Advice:   "Leave out partition and sharing, and use a smaller machine instead.",
		Example:  `node pool "engine": nvidia-tesla-a100 is partitioned (3g.20gb); needed: a whole GPU for each engine (guide G-HW.engine). Leave out partition and sharing, and use a smaller machine instead.`,
		Types:    poolTypes,
		Resource: enginePools(gpuWhole),
	},
	{
		Name: "machine-type-is-known", Step: "G-C.2", Level: Mandatory,
		Summary: "The machine type of Deepgram's nodes must be in the catalogue, or nothing can be said about it",
		Advice:  "Correct it; if it is new or of another series, record an exemption.",
		Example: `node pool "engine": machine type "g2-standard-6": the g2 series has no such type; needed: a machine type of the catalogue (guide G-C.2). Correct it; if it is new or of another series, record an exemption. For engines g2-standard-8 would do.`,
		Types:   poolTypes,
		Resource: rolePools(func(p pool) bool { return p.role() != "" || !p.inline || p.isEngine() }, func(j *Judge, p pool) {
			name := p.node.Get("machineType").Text()
			if name == "" {
				return // GKE's default, which is known
			}
			if _, err := hardware.ParseMachineType(name); err != nil {
				j.Violate(Finding{
					On: p.on, What: p.what, Found: err.Error(), Need: "a machine type of the catalogue",
					Do: fmt.Sprintf("%s For engines %s would do.", j.rule.Advice, hardware.Suggest(engineNeed)),
				})
			}
		}),
	},
	{
		Name: "gpu-suits-machine", Step: "G-C.2", Level: Mandatory,
		Summary:  "A GPU and its number must be among those that Google offers for the machine type",
		Advice:   "Choose a pair that Google offers.",
		Example:  `node pool "engine": 2 × nvidia-l4 with g2-standard-12; needed: 1 × nvidia-l4 (guide G-C.2). Choose a pair that Google offers.`,
		Types:    poolTypes,
		Resource: rolePools(func(p pool) bool { return p.role() != "" || p.hasGPU() }, gpuSuitsMachine),
	},
}

func gpuPresent(j *Judge, p pool) {
	m, ok := p.machine()
	if ok && m.GPU.Count == 0 && len(p.accelerators()) == 0 {
		j.Violate(Finding{On: p.on, What: p.what, Found: m.Name + " has no GPU", Need: "an NVIDIA GPU"})
	}
}

// podGPU is a GPU as a pod sees it.
type podGPU struct {
	hardware.GPU
	memoryGiB float64
	divided   string // how it is divided; "" is whole
}

// podGPUs are the GPUs of a pool as pods see them.
func (p pool) podGPUs() []podGPU {
	m, ok := p.machine()
	if !ok {
		return nil
	}
	list := p.accelerators()
	if len(list) == 0 && m.GPU.Count > 0 {
		list = []accelerator{{gpuType: m.GPU.Type, count: m.GPU.Count}}
	}
	var all []podGPU
	for _, a := range list {
		g, err := hardware.GPUFor(a.gpuType)
		if err != nil {
			continue // gpu-suits-machine refuses it, for all rules
		}
		pod := podGPU{GPU: g, memoryGiB: float64(g.MemoryGiB)}
		if m.GPU.Fraction > 1 {
			pod.memoryGiB /= float64(m.GPU.Fraction)
			pod.divided = fmt.Sprintf("1/%d of one on %s", m.GPU.Fraction, m.Name)
		}
		if a.partition != "" {
			gib, err := hardware.PartitionGiB(a.partition)
			pod.divided = fmt.Sprintf("partitioned (%s)", a.partition)
			if err == nil {
				pod.memoryGiB = float64(gib)
			}
		}
		// GKE lets two pods share where a strategy is set without a number.
		clients := a.clients
		if a.sharing != "" && a.sharing != "GPU_SHARING_STRATEGY_UNSPECIFIED" {
			clients = max(clients, 2)
		}
		if clients > 1 {
			pod.memoryGiB /= float64(clients)
			pod.divided = fmt.Sprintf("shared by %d pods (%s)", clients, a.sharing)
		}
		all = append(all, pod)
	}
	return all
}

func gpuMemory(j *Judge, p pool) {
	least := j.Number("minMemoryGb")
	for _, g := range p.podGPUs() {
		if g.memoryGiB < least {
			found := fmt.Sprintf("%s has %s GB for each pod", g.Type, number(g.memoryGiB))
			if g.divided != "" {
				found += ": it is " + g.divided
			}
			need := engineNeed
			need.GPUMemoryGiB = int(least)
			j.Violate(Finding{On: p.on, What: p.what, Found: found, Need: number(least) + " GB", Do: adviceMachine(j, need)})
		}
	}
}

// adviceMachine is the rule's advice, with a machine type that would do where
// the need is another than the usual.
func adviceMachine(j *Judge, need hardware.Need) string {
	name := hardware.Suggest(need)
	if name == "" {
		return j.rule.Advice
	}
	advice := fmt.Sprintf("%s Smallest machine type that would do: %s", j.rule.Advice, name)
	if m, err := hardware.ParseMachineType(name); err == nil && m.MemoryMiB == engineMemoryGiB*1024 && need.GPUs > 0 {
		// The smallest leaves too little for the chart's default request.
		need.MemoryMiB = m.MemoryMiB + 1
		if ample := hardware.Suggest(need); ample != "" {
			advice += "; better, with room for the chart's default request: " + ample
		}
	}
	return advice + "."
}

func gpuCapability(j *Judge, p pool) {
	for _, g := range p.podGPUs() {
		if g.Capability.Less(engineCapability) {
			j.Violate(Finding{
				On: p.on, What: p.what, Found: fmt.Sprintf("%s has compute capability %s", g.Type, g.Capability),
				Need: engineCapability.String(), Do: adviceMachine(j, engineNeed),
			})
		}
	}
}

func gpuWhole(j *Judge, p pool) {
	for _, g := range p.podGPUs() {
		if g.divided != "" {
			j.Violate(Finding{
				On: p.on, What: p.what, Found: fmt.Sprintf("%s is %s", g.Type, g.divided), Need: "a whole GPU for each engine",
			})
		}
	}
}

func gpuSuitsMachine(j *Judge, p pool) {
	list := p.accelerators()
	if len(list) == 0 {
		return
	}
	m, ok := p.machine()
	if !ok {
		return
	}
	for _, a := range list {
		if _, err := hardware.GPUFor(a.gpuType); err != nil {
			j.Violate(Finding{On: p.on, What: p.what, Found: err.Error(), Need: "an accelerator type of Google Cloud"})
			continue
		}
		counts := m.AllowedCounts(a.gpuType)
		if !slices.Contains(counts, a.count) {
			j.Violate(Finding{
				On: p.on, What: p.what, Found: fmt.Sprintf("%d × %s with %s", a.count, a.gpuType, m.Name),
				Need: offered(m, a.gpuType, counts),
			})
		}
	}
}

func offered(m hardware.MachineType, gpu string, counts []int) string {
	switch {
	case len(counts) > 0:
		return fmt.Sprintf("%v × %s", counts, gpu)
	case m.GPU.Count > 0:
		return fmt.Sprintf("%d × %s, which is built in", m.GPU.Count, m.GPU.Type)
	}
	if list := m.AttachableGPUs(); len(list) > 0 {
		return "one of " + strings.Join(list, ", ")
	}
	return "no GPU with this machine type"
}
