package hardware

import (
	"cmp"
	"slices"
)

// Need is what a machine must have; zero values ask for nothing.
type Need struct {
	// VCPUs and MemoryMiB are the size of the machine itself.
	VCPUs, MemoryMiB int
	// CPUMilli and AllocatableMiB are what must be left for pods.
	CPUMilli, AllocatableMiB int
	// GPUs is the number of whole GPUs.
	GPUs int
	// GPUMemoryGiB and Capability are what each GPU must have.
	GPUMemoryGiB int
	Capability   Capability
	// DiskType must be attachable.
	DiskType string
}

// usual are the series to suggest from, best choice first: L4 machines for
// GPUs (the guide's recommendation), N2 for everything else.
var usual = map[bool][]string{true: {"g2", "a2", "g4", "a3"}, false: {"n2", "n4"}}

// Suggest is the smallest usual x86 machine type that has what is needed, or "".
func Suggest(n Need) string {
	for _, family := range usual[n.GPUs > 0] {
		var fit []MachineType
		for _, m := range predefined {
			if m.Family == family && m.satisfies(n) {
				fit = append(fit, m)
			}
		}
		if len(fit) > 0 {
			return slices.MinFunc(fit, func(a, b MachineType) int {
				return cmp.Or(cmp.Compare(a.GPU.Count, b.GPU.Count), cmp.Compare(a.MemoryMiB, b.MemoryMiB),
					cmp.Compare(a.VCPUs, b.VCPUs), cmp.Compare(a.Name, b.Name))
			}).Name
		}
	}
	return ""
}

func (m MachineType) satisfies(n Need) bool {
	cpu, memory := m.Allocatable()
	if m.SharedCore || m.Arch() != X86 || m.VCPUs < n.VCPUs || m.MemoryMiB < n.MemoryMiB ||
		cpu < n.CPUMilli || memory < n.AllocatableMiB || n.DiskType != "" && !m.CanAttach(n.DiskType) {
		return false
	}
	if n.GPUs == 0 {
		return m.GPU.Count == 0
	}
	g, err := GPUFor(m.GPU.Type)
	return err == nil && m.GPU.Count >= n.GPUs && m.GPU.Fraction == 1 && g.MemoryGiB >= n.GPUMemoryGiB && !g.Capability.Less(n.Capability)
}
