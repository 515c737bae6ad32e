package hardware

// GKE keeps a part of each node for kubelet, container runtime and system
// (https://cloud.google.com/kubernetes-engine/docs/concepts/plan-node-sizes).
const (
	// evictionMiB is what kubelet keeps free before it evicts pods.
	evictionMiB = 100
	// smallReservedMiB is kept on machines with less than 1 GiB.
	smallReservedMiB = 255
	// sharedReservedMilli is kept on shared-core E2 machines.
	sharedReservedMilli = 1060
)

// Allocatable is what GKE leaves for pods: CPU in thousandths of a core, memory
// in MiB. DaemonSets take their requests from it.
func (m MachineType) Allocatable() (cpuMilli, memoryMiB int) {
	return m.VCPUs*1000 - m.reservedMilli(), max(0, m.MemoryMiB-reservedMiB(m.MemoryMiB)-evictionMiB)
}

// reservedMilli: 6 % of the first core, 1 % of the second, 0.5 % of the next
// two, 0.25 % of all others; rounded up.
func (m MachineType) reservedMilli() int {
	if m.SharedCore && m.Family == "e2" {
		return sharedReservedMilli
	}
	quarters := 0 // in quarters of a thousandth
	for core := 1; core <= m.VCPUs; core++ {
		switch {
		case core == 1:
			quarters += 240
		case core == 2:
			quarters += 40
		case core <= 4:
			quarters += 20
		default:
			quarters += 10
		}
	}
	return (quarters + 3) / 4
}

// reservedMiB: 25 % of the first 4 GiB, 20 % of the next 4, 10 % of the next 8,
// 6 % of the next 112, 2 % of all above; rounded up.
func reservedMiB(memory int) int {
	if memory < 1024 {
		return smallReservedMiB
	}
	hundredths := 0
	for _, step := range []struct{ mib, percent int }{
		{4 * 1024, 25}, {4 * 1024, 20}, {8 * 1024, 10}, {112 * 1024, 6}, {memory, 2},
	} {
		part := min(memory, step.mib)
		hundredths += part * step.percent
		memory -= part
	}
	return (hundredths + 99) / 100
}
