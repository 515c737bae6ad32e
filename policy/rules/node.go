package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/deepgram-gke/deepgram-gke/internal/hardware"
)

// defaultBootDiskGB is what GKE takes where no size is given.
const defaultBootDiskGB = 100

// size is a minimum of a role's nodes.
type size struct {
	role, title, step string
	cores             float64
	memoryGiB         float64
}

var nodeRules = slices.Concat(
	sizeRules(size{
		role: roleEngine, title: "engine", step: "G-HW.engine", cores: engineCores, memoryGiB: engineMemoryGiB,
	}),
	sizeRules(size{role: roleAPI, title: "API", step: "G-HW.api", cores: 2, memoryGiB: 4}),
	sizeRules(size{role: roleProxy, title: "licence proxy", step: "G-HW.license-proxy", cores: 1, memoryGiB: 5}),
	[]Rule{
		{
			Name: "engine-node-has-storage", Step: "G-HW.engine", Level: Mandatory,
			Summary: "The boot disk of an engine node must have at least 48 GB",
			Advice:  "Raise diskSizeGb; more models need more.",
			Example: `node pool "engine": its boot disk has 40 GB; needed: 48 GB (guide G-HW.engine). Raise diskSizeGb; more models need more.`,
			Types:   poolTypes,
			Settings: []Setting{{
				Name: "minStorageGb", Default: float64(engineStorageGB), Min: bound(10), Max: bound(65536),
				Help: "Least size of the boot disk in GB.",
			}},
			Resource: enginePools(func(j *Judge, p pool) {
				if gb := p.node.Get("diskSizeGb").Number(defaultBootDiskGB); gb < j.Number("minStorageGb") {
					j.Violate(Finding{
						On: p.on, What: p.what, Found: fmt.Sprintf("its boot disk has %s GB", number(gb)),
						Need: number(j.Number("minStorageGb")) + " GB",
					})
				}
			}),
		},
		{
			Name: "engine-node-memory-is-ample", Step: "G-HW.engine", Level: Advisory,
			Summary: "A node of exactly 32 GB leaves too little for the chart's default request",
			Advice:  "GKE keeps about 3.7 GB of 32 GB, so the chart's default request (30Gi) never fits, and engines there were killed for lack of memory: use g2-standard-12, or request 24Gi at most.",
			Example: `node pool "engine": g2-standard-8 has exactly 32 GB, of which 28.3 are left for pods; needed: more, unless engines request less than the chart's default of 30Gi (guide G-HW.engine). GKE keeps about 3.7 GB of 32 GB, so the chart's default request (30Gi) never fits, and engines there were killed for lack of memory: use g2-standard-12, or request 24Gi at most.`,
			Types:   poolTypes,
			Resource: enginePools(func(j *Judge, p pool) {
				m, ok := p.machine()
				if !ok || m.MemoryMiB != engineMemoryGiB*1024 {
					return
				}
				_, memory := m.Allocatable()
				j.Violate(Finding{
					On: p.on, What: p.what,
					Found: fmt.Sprintf("%s has exactly 32 GB, of which %.1f are left for pods", m.Name, float64(memory)/1024),
					Need:  "more, unless engines request less than the chart's default of 30Gi",
				})
			}),
		},
		{
			Name: "engine-node-is-x86", Step: "G-OS", Level: Mandatory,
			Summary: "Deepgram's images are for x86-64 only",
			Advice:  "Use an x86 machine type, for example g2-standard-12 for engines or n2-standard-4 for the API.",
			Example: `node pool "api": c4a-standard-4 is arm64; needed: x86-64 (guide G-OS). Use an x86 machine type, for example g2-standard-12 for engines or n2-standard-4 for the API.`,
			Types:   poolTypes,
			Resource: rolePools(func(p pool) bool { return p.role() != "" || p.isEngine() }, func(j *Judge, p pool) {
				if m, ok := p.machine(); ok && m.Arch() != hardware.X86 {
					j.Violate(Finding{On: p.on, What: p.what, Found: fmt.Sprintf("%s is %s", m.Name, m.Arch()), Need: "x86-64"})
				}
			}),
		},
		{
			Name: "node-image-is-linux", Step: "G-OS", Level: Mandatory,
			Summary: "Node images must be Linux: Container-Optimized OS or Ubuntu",
			Advice:  "Set imageType to COS_CONTAINERD.",
			Example: `node pool "api": its image is WINDOWS_LTSC_CONTAINERD; needed: COS_CONTAINERD or UBUNTU_CONTAINERD (guide G-OS). Set imageType to COS_CONTAINERD.`,
			Types:   poolTypes,
			Resource: rolePools(func(p pool) bool { return p.role() != "" || p.isEngine() || !p.inline }, func(j *Judge, p pool) {
				image := strings.ToUpper(p.node.Get("imageType").Text())
				if image != "" && !strings.HasPrefix(image, "COS") && !strings.HasPrefix(image, "UBUNTU") {
					j.Violate(Finding{On: p.on, What: p.what, Found: "its image is " + image, Need: "COS_CONTAINERD or UBUNTU_CONTAINERD"})
				}
			}),
		},
		{
			Name: "engine-node-image-is-cos", Step: "G-OS", Level: Mandatory,
			Summary: "Engine nodes should run Container-Optimized OS, where GKE installs the GPU driver that the chart looks for",
			Advice:  "Set imageType to COS_CONTAINERD.",
			Example: `node pool "engine": its image is UBUNTU_CONTAINERD; needed: COS_CONTAINERD (guide G-OS). Set imageType to COS_CONTAINERD.`,
			Types:   poolTypes,
			Resource: enginePools(func(j *Judge, p pool) {
				image := strings.ToUpper(p.node.Get("imageType").Text())
				if strings.HasPrefix(image, "UBUNTU") {
					j.Violate(Finding{On: p.on, What: p.what, Found: "its image is " + image, Need: "COS_CONTAINERD"})
				}
			}),
		},
	},
)

// sizeRules are the two rules about cores and memory of a role's nodes.
func sizeRules(s size) []Rule {
	need := hardware.Need{VCPUs: int(s.cores), MemoryMiB: int(s.memoryGiB * 1024)}
	if s.role == roleEngine {
		need = engineNeed
	}
	chosen := func(p pool) bool { return p.role() == s.role }
	if s.role == roleEngine {
		chosen = pool.isEngine
	}
	prefix := s.role + "-node-has-"
	memorySettings := []Setting{{
		Name: "minMemoryGb", Default: s.memoryGiB, Min: bound(1), Max: bound(65536), Help: "Least memory of a node in GB.",
	}}
	if s.role == roleEngine {
		memorySettings = []Setting{{
			Name: "agreedSixteenGb", Default: "",
			Help: "Deepgram's word that 16 GB are enough for this environment (a ticket, a date): with it the least memory is 16 GB.",
		}}
	}
	smallest := hardware.Suggest(need)
	if s.role == roleEngine {
		smallest += "; better, with room for the chart's default request: g2-standard-12"
	}
	return []Rule{
		{
			Name: prefix + "cores", Step: s.step, Level: Mandatory,
			Summary: fmt.Sprintf("Nodes of the %s must have at least %s cores", s.title, number(s.cores)),
			Advice:  "Use a larger machine type.",
			Example: fmt.Sprintf(`node pool "%s": f1-micro has 1 vCPU, a fraction of a core; needed: %s (guide %s). Use a larger machine type. Smallest machine type that would do: %s.`,
				s.role, number(s.cores), s.step, smallest),
			Types: poolTypes,
			Settings: []Setting{{
				Name: "minCores", Default: s.cores, Min: bound(1), Max: bound(512), Help: "Least number of vCPUs of a node.",
			}},
			Resource: rolePools(chosen, func(j *Judge, p pool) {
				m, ok := p.machine()
				least := j.Number("minCores")
				if !ok || float64(m.VCPUs) >= least && !m.SharedCore {
					return
				}
				found := fmt.Sprintf("%s has %d vCPUs", m.Name, m.VCPUs)
				if m.SharedCore {
					found = fmt.Sprintf("%s has %d vCPU, a fraction of a core", m.Name, m.VCPUs)
				}
				n := need
				n.VCPUs = int(least)
				j.Violate(Finding{On: p.on, What: p.what, Found: found, Need: number(least), Do: adviceMachine(j, n)})
			}),
		},
		{
			Name: prefix + "memory", Step: s.step, Level: Mandatory,
			Summary: fmt.Sprintf("Nodes of the %s must have at least %s GB of memory", s.title, number(s.memoryGiB)),
			Advice:  "Use a larger machine type.",
			Example: fmt.Sprintf(`node pool "%s": e2-small has 2 GB; needed: %s GB (guide %s). Use a larger machine type. Smallest machine type that would do: %s.`,
				s.role, number(s.memoryGiB), s.step, smallest),
			Types:    poolTypes,
			Settings: memorySettings,
			Resource: rolePools(chosen, func(j *Judge, p pool) {
				m, ok := p.machine()
				least := s.memoryGiB
				if s.role != roleEngine {
					least = j.Number("minMemoryGb")
				} else if strings.TrimSpace(j.Text("agreedSixteenGb")) != "" {
					least = 16
				}
				if !ok || m.MemoryGiB() >= least {
					return
				}
				n := need
				n.MemoryMiB = int(least * 1024)
				j.Violate(Finding{
					On: p.on, What: p.what, Found: fmt.Sprintf("%s has %s GB", m.Name, number(m.MemoryGiB())),
					Need: number(least) + " GB", Do: adviceMachine(j, n),
				})
			}),
		},
	}
}
