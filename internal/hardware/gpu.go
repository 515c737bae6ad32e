package hardware

import (
	"fmt"
	"slices"
	"strings"
)

// Capability is a CUDA compute capability, such as 8.9.
type Capability struct{ Major, Minor int }

// Less tells whether c is older than o.
func (c Capability) Less(o Capability) bool {
	return c.Major < o.Major || c.Major == o.Major && c.Minor < o.Minor
}

// String is the form NVIDIA writes, such as "8.9".
func (c Capability) String() string { return fmt.Sprintf("%d.%d", c.Major, c.Minor) }

// GPU is one accelerator type of Compute Engine.
type GPU struct {
	// Type is the accelerator type, such as nvidia-l4.
	Type string
	// Model is the name people use, such as L4.
	Model string
	// MemoryGiB is the nominal memory of one GPU.
	MemoryGiB int
	// Capability is the compute capability.
	Capability Capability
	// Partitions are the MIG partition sizes that GKE accepts for it.
	Partitions []string
	// Source is where memory and capability are published.
	Source string
}

const (
	sourceGPUs       = "https://cloud.google.com/compute/docs/gpus"
	sourceCapability = "https://developer.nvidia.com/cuda-gpus"
	sourceLegacy     = "https://developer.nvidia.com/cuda-legacy-gpus"
	sourceMIG        = "https://cloud.google.com/kubernetes-engine/docs/how-to/gpus-multi"
)

// gpus lists one row for each accelerator type. Memory: sourceGPUs; capability:
// the row's source; partitions: sourceMIG.
var gpus = []GPU{
	{Type: "nvidia-tesla-k80", Model: "K80", MemoryGiB: 12, Capability: Capability{3, 7}, Source: sourceLegacy},
	{Type: "nvidia-tesla-p4", Model: "P4", MemoryGiB: 8, Capability: Capability{6, 1}, Source: sourceLegacy},
	{Type: "nvidia-tesla-p100", Model: "P100", MemoryGiB: 16, Capability: Capability{6, 0}, Source: sourceLegacy},
	{Type: "nvidia-tesla-v100", Model: "V100", MemoryGiB: 16, Capability: Capability{7, 0}, Source: sourceLegacy},
	{Type: "nvidia-tesla-t4", Model: "T4", MemoryGiB: 16, Capability: Capability{7, 5}, Source: sourceCapability},
	{Type: "nvidia-l4", Model: "L4", MemoryGiB: 24, Capability: Capability{8, 9}, Source: sourceCapability},
	{
		Type: "nvidia-tesla-a100", Model: "A100 40GB", MemoryGiB: 40, Capability: Capability{8, 0}, Source: sourceCapability,
		Partitions: []string{"1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"},
	},
	{
		Type: "nvidia-a100-80gb", Model: "A100 80GB", MemoryGiB: 80, Capability: Capability{8, 0}, Source: sourceCapability,
		Partitions: []string{"1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"},
	},
	{
		Type: "nvidia-h100-80gb", Model: "H100 80GB", MemoryGiB: 80, Capability: Capability{9, 0}, Source: sourceCapability,
		Partitions: []string{"1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"},
	},
	{
		Type: "nvidia-h100-mega-80gb", Model: "H100 80GB Mega", MemoryGiB: 80, Capability: Capability{9, 0}, Source: sourceCapability,
		Partitions: []string{"1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"},
	},
	{
		Type: "nvidia-h200-141gb", Model: "H200 141GB", MemoryGiB: 141, Capability: Capability{9, 0}, Source: sourceCapability,
		Partitions: []string{"1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"},
	},
	{
		Type: "nvidia-b200", Model: "B200 180GB", MemoryGiB: 180, Capability: Capability{10, 0}, Source: sourceCapability,
		Partitions: []string{"1g.23gb", "1g.45gb", "2g.45gb", "3g.90gb", "4g.90gb", "7g.180gb"},
	},
	{
		Type: "nvidia-gb200", Model: "GB200 186GB", MemoryGiB: 186, Capability: Capability{10, 0}, Source: sourceCapability,
		Partitions: []string{"1g.23gb", "1g.47gb", "2g.47gb", "3g.93gb", "4g.93gb", "7g.186gb"},
	},
	{Type: "nvidia-gb300", Model: "GB300 279GB", MemoryGiB: 279, Capability: Capability{10, 3}, Source: sourceCapability},
	{Type: "nvidia-rtx-pro-6000", Model: "RTX PRO 6000", MemoryGiB: 96, Capability: Capability{12, 0}, Source: sourceCapability},
}

// GPUFor is the GPU of an accelerator type; virtual workstation types
// ("nvidia-l4-vws") are the same hardware. It also takes the path form
// "projects/…/acceleratorTypes/nvidia-l4".
func GPUFor(accelerator string) (GPU, error) {
	name := accelerator[strings.LastIndex(accelerator, "/")+1:]
	name = strings.TrimSuffix(name, "-vws")
	for _, g := range gpus {
		if g.Type == name {
			return g, nil
		}
	}
	return GPU{}, &UnknownGPUError{Accelerator: accelerator}
}

// GPUs are all accelerator types of the catalogue.
func GPUs() []GPU { return slices.Clone(gpus) }

// PartitionGiB is the memory of a MIG partition, read from its size ("1g.5gb" is 5).
func PartitionGiB(size string) (int, error) {
	var part, memory int
	if _, err := fmt.Sscanf(size, "%dg.%dgb", &part, &memory); err != nil || part < 1 || memory < 1 ||
		fmt.Sprintf("%dg.%dgb", part, memory) != size {
		return 0, fmt.Errorf("partition size %q: want the form 1g.5gb", size)
	}
	return memory, nil
}

// UnknownGPUError says that an accelerator type is not in the catalogue.
type UnknownGPUError struct{ Accelerator string }

func (e *UnknownGPUError) Error() string {
	return fmt.Sprintf("accelerator type %q is not in the catalogue", e.Accelerator)
}
