package hardware

// Processor architectures.
const (
	X86 = "x86_64"
	ARM = "arm64"
)

const (
	sourceGeneral     = "https://cloud.google.com/compute/docs/general-purpose-machines"
	sourceCompute     = "https://cloud.google.com/compute/docs/compute-optimized-machines"
	sourceAccelerator = "https://cloud.google.com/compute/docs/accelerator-optimized-machines"
	sourceCustom      = "https://cloud.google.com/compute/docs/instances/creating-instance-with-custom-machine-type"
)

// Family is a machine series and what holds for all its machine types.
type Family struct {
	// Name starts every machine type of the family, such as g2.
	Name string
	// Arch is X86 or ARM.
	Arch string
	// Disks are the disk types an instance can attach, first the usual one.
	Disks []string
	// RegionalDisks tells whether regional persistent disks can be attached.
	RegionalDisks bool
	// Source is where sizes and disks are published.
	Source string

	series     []series
	singles    []single
	custom     *customRule
	attachable []attachable
}

// series are the predefined sizes of one class: memory is perVCPU for each
// vCPU, unless mem lists it.
type series struct {
	class   string
	vcpus   []int
	perVCPU float64   // GiB
	mem     []float64 // GiB, instead of perVCPU
	lssd    int       // the smallest size that also exists with -lssd; 0: none
}

// single is a machine type outside a series.
type single struct {
	name     string
	vcpus    int
	gib      float64
	gpu      string
	gpus     int
	fraction int // the GPU is 1/fraction of a whole one; 0 is whole
	shared   bool
}

// customRule bounds the custom machine types of a family (sourceCustom).
type customRule struct {
	validVCPUs     func(int) bool
	vcpuRule       string
	minPer, maxPer float64 // GiB for each vCPU
	maxExtended    float64 // GiB in all, with -ext; 0: no extended memory
	maxTotal       float64 // GiB in all, without -ext; 0: vcpus × maxPer
	// ranges lists GiB by vCPUs where the family has fixed ranges (G2), with the GPUs.
	ranges map[int]gpuRange
}

type gpuRange struct {
	minGiB, maxGiB float64
	gpus           int
}

// attachable is a GPU that N1 can attach: for each count the most vCPUs and GiB.
type attachable struct {
	gpu    string
	limits map[int]limit
}

type limit struct {
	vcpus int
	gib   float64
}

var (
	pd          = []string{"pd-balanced", "pd-ssd", "pd-standard", "pd-extreme"}
	pdHyper     = []string{"pd-balanced", "pd-ssd", "pd-standard", "pd-extreme", "hyperdisk-throughput", "hyperdisk-extreme", "hyperdisk-balanced", "hyperdisk-balanced-high-availability", "hyperdisk-ml"}
	hyperOnly   = []string{"hyperdisk-balanced", "hyperdisk-throughput", "hyperdisk-balanced-high-availability", "hyperdisk-ml"}
	hyperFast   = []string{"hyperdisk-balanced", "hyperdisk-extreme", "hyperdisk-throughput", "hyperdisk-balanced-high-availability", "hyperdisk-ml"}
	acceleratHD = []string{"hyperdisk-balanced", "hyperdisk-extreme", "hyperdisk-ml"}
)

func even(most int) func(int) bool {
	return func(v int) bool { return v >= 2 && v <= most && v%2 == 0 }
}

// families lists every series that can carry GPUs or Deepgram's CPU roles.
// Sizes and disks: the row's source (read 2026); custom types: sourceCustom.
var families = []Family{
	{
		Name: "n1", Arch: X86, Source: sourceGeneral, RegionalDisks: true,
		Disks: []string{"pd-balanced", "pd-ssd", "pd-standard", "pd-extreme", "hyperdisk-balanced", "hyperdisk-throughput"},
		series: []series{
			{class: "standard", vcpus: []int{1, 2, 4, 8, 16, 32, 64, 96}, perVCPU: 3.75},
			{class: "highmem", vcpus: []int{2, 4, 8, 16, 32, 64, 96}, perVCPU: 6.5},
			{class: "highcpu", vcpus: []int{2, 4, 8, 16, 32, 64, 96}, perVCPU: 0.9},
		},
		singles: []single{{name: "f1-micro", vcpus: 1, gib: 0.6, shared: true}, {name: "g1-small", vcpus: 1, gib: 1.7, shared: true}},
		custom: &customRule{
			validVCPUs: func(v int) bool { return v == 1 || even(96)(v) }, vcpuRule: "1 or an even number up to 96",
			minPer: 0.9, maxPer: 6.5, maxExtended: 624,
		},
		// https://cloud.google.com/compute/docs/gpus#n1-gpus
		attachable: []attachable{
			{gpu: "nvidia-tesla-t4", limits: map[int]limit{1: {48, 312}, 2: {48, 312}, 4: {96, 624}}},
			{gpu: "nvidia-tesla-p4", limits: map[int]limit{1: {24, 156}, 2: {48, 312}, 4: {96, 624}}},
			{gpu: "nvidia-tesla-v100", limits: map[int]limit{1: {12, 78}, 2: {24, 156}, 4: {48, 312}, 8: {96, 624}}},
			{gpu: "nvidia-tesla-p100", limits: map[int]limit{1: {16, 104}, 2: {32, 208}, 4: {96, 624}}},
			{gpu: "nvidia-tesla-k80", limits: map[int]limit{1: {8, 52}, 2: {16, 104}, 4: {32, 208}, 8: {64, 416}}},
		},
	},
	{
		Name: "n2", Arch: X86, Source: sourceGeneral, RegionalDisks: true, Disks: pdHyper,
		series: []series{
			{class: "standard", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80, 96, 128}, perVCPU: 4},
			{class: "highmem", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80, 96, 128}, mem: []float64{16, 32, 64, 128, 256, 384, 512, 640, 768, 864}},
			{class: "highcpu", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80, 96}, perVCPU: 1},
		},
		custom: &customRule{
			validVCPUs: func(v int) bool { return even(30)(v) || v >= 32 && v <= 128 && v%4 == 0 },
			vcpuRule:   "even up to 30, then a multiple of 4 up to 128", minPer: 0.5, maxPer: 8, maxExtended: 864,
		},
	},
	{
		Name: "n2d", Arch: X86, Source: sourceGeneral, RegionalDisks: true,
		Disks: []string{"pd-balanced", "pd-ssd", "pd-standard", "pd-extreme", "hyperdisk-balanced", "hyperdisk-throughput", "hyperdisk-ml"},
		series: []series{
			{class: "standard", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224}, perVCPU: 4},
			{class: "highmem", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80, 96}, perVCPU: 8},
			{class: "highcpu", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224}, perVCPU: 1},
		},
		custom: &customRule{
			validVCPUs: func(v int) bool { return v == 2 || v == 4 || v == 8 || v >= 16 && v <= 96 && v%16 == 0 },
			vcpuRule:   "2, 4, 8 or a multiple of 16 up to 96", minPer: 0.5, maxPer: 8, maxExtended: 768,
		},
	},
	{
		Name: "n4", Arch: X86, Source: sourceGeneral, Disks: hyperOnly,
		series: []series{
			{class: "standard", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80}, perVCPU: 4},
			{class: "highmem", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80}, perVCPU: 8},
			{class: "highcpu", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80}, perVCPU: 2},
		},
		custom: &customRule{validVCPUs: even(80), vcpuRule: "even up to 80", minPer: 2, maxPer: 8, maxExtended: 640},
	},
	{
		Name: "n4d", Arch: X86, Source: sourceGeneral, Disks: hyperOnly,
		series: []series{
			{class: "standard", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80, 96}, perVCPU: 4},
			{class: "highmem", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80, 96}, perVCPU: 8},
			{class: "highcpu", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 80, 96}, perVCPU: 2},
		},
		custom: &customRule{validVCPUs: even(96), vcpuRule: "even up to 96", minPer: 2, maxPer: 8, maxExtended: 768},
	},
	{
		Name: "n4a", Arch: ARM, Source: sourceGeneral, Disks: hyperOnly,
		series: []series{
			{class: "standard", vcpus: []int{1, 2, 4, 8, 16, 32, 48, 64}, perVCPU: 4},
			{class: "highmem", vcpus: []int{1, 2, 4, 8, 16, 32, 48, 64}, perVCPU: 8},
			{class: "highcpu", vcpus: []int{1, 2, 4, 8, 16, 32, 48, 64}, perVCPU: 2},
		},
		custom: &customRule{
			validVCPUs: func(v int) bool { return v == 1 || even(64)(v) }, vcpuRule: "1 or even up to 64",
			minPer: 2, maxPer: 8, maxExtended: 512,
		},
	},
	{
		Name: "e2", Arch: X86, Source: sourceGeneral, RegionalDisks: true, Disks: pd,
		series: []series{
			{class: "standard", vcpus: []int{2, 4, 8, 16, 32}, perVCPU: 4},
			{class: "highmem", vcpus: []int{2, 4, 8, 16}, perVCPU: 8},
			{class: "highcpu", vcpus: []int{2, 4, 8, 16, 32}, perVCPU: 1},
		},
		singles: []single{
			{name: "e2-micro", vcpus: 2, gib: 1, shared: true},
			{name: "e2-small", vcpus: 2, gib: 2, shared: true},
			{name: "e2-medium", vcpus: 2, gib: 4, shared: true},
		},
		custom: &customRule{validVCPUs: even(32), vcpuRule: "even up to 32", minPer: 0.5, maxPer: 8, maxTotal: 128},
	},
	{
		Name: "c2", Arch: X86, Source: sourceCompute, RegionalDisks: true, Disks: pd,
		series: []series{{class: "standard", vcpus: []int{4, 8, 16, 30, 60}, perVCPU: 4}},
	},
	{
		Name: "c2d", Arch: X86, Source: sourceCompute, RegionalDisks: true, Disks: pd,
		series: []series{
			{class: "standard", vcpus: []int{2, 4, 8, 16, 32, 56, 112}, perVCPU: 4},
			{class: "highmem", vcpus: []int{2, 4, 8, 16, 32, 56, 112}, perVCPU: 8},
			{class: "highcpu", vcpus: []int{2, 4, 8, 16, 32, 56, 112}, perVCPU: 2},
		},
	},
	{
		Name: "c3", Arch: X86, Source: sourceGeneral,
		Disks: []string{"pd-balanced", "pd-ssd", "hyperdisk-balanced", "hyperdisk-extreme", "hyperdisk-throughput", "hyperdisk-balanced-high-availability", "hyperdisk-ml"},
		series: []series{
			{class: "standard", vcpus: []int{4, 8, 22, 44, 88, 176}, perVCPU: 4, lssd: 4},
			{class: "highmem", vcpus: []int{4, 8, 22, 44, 88, 176}, perVCPU: 8},
			{class: "highcpu", vcpus: []int{4, 8, 22, 44, 88, 176}, perVCPU: 2},
		},
		singles: []single{
			{name: "c3-highcpu-192-metal", vcpus: 192, gib: 512},
			{name: "c3-standard-192-metal", vcpus: 192, gib: 768},
			{name: "c3-highmem-192-metal", vcpus: 192, gib: 1536},
		},
	},
	{
		Name: "c3d", Arch: X86, Source: sourceGeneral,
		Disks: []string{"pd-balanced", "pd-ssd", "hyperdisk-balanced", "hyperdisk-throughput", "hyperdisk-balanced-high-availability", "hyperdisk-ml"},
		series: []series{
			{class: "standard", vcpus: []int{4, 8, 16, 30, 60, 90, 180, 360}, perVCPU: 4, lssd: 8},
			{class: "highmem", vcpus: []int{4, 8, 16, 30, 60, 90, 180, 360}, perVCPU: 8, lssd: 8},
			{class: "highcpu", vcpus: []int{4, 8, 16, 30, 60, 90, 180, 360}, mem: []float64{8, 16, 32, 59, 118, 177, 354, 708}},
		},
	},
	{
		Name: "c4", Arch: X86, Source: sourceGeneral, Disks: hyperFast,
		series: []series{
			{class: "standard", vcpus: []int{2, 4, 8, 16, 24, 32, 48, 96, 144, 192, 288}, mem: []float64{7, 15, 30, 60, 90, 120, 180, 360, 540, 720, 1080}, lssd: 4},
			{class: "highmem", vcpus: []int{2, 4, 8, 16, 24, 32, 48, 96, 144, 192, 288}, mem: []float64{15, 31, 62, 124, 186, 248, 372, 744, 1116, 1488, 2232}, lssd: 4},
			{class: "highcpu", vcpus: []int{2, 4, 8, 16, 24, 32, 48, 96, 144, 192, 288}, perVCPU: 2},
		},
	},
	{
		Name: "c4d", Arch: X86, Source: sourceGeneral, Disks: []string{"hyperdisk-balanced", "hyperdisk-extreme"},
		series: []series{
			{class: "standard", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 96, 192, 384}, mem: []float64{7, 15, 31, 62, 124, 186, 248, 372, 744, 1488}, lssd: 8},
			{class: "highmem", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 96, 192, 384}, mem: []float64{15, 31, 63, 126, 252, 378, 504, 756, 1512, 3024}, lssd: 8},
			{class: "highcpu", vcpus: []int{2, 4, 8, 16, 32, 48, 64, 96, 192, 384}, mem: []float64{3, 7, 15, 30, 60, 90, 120, 180, 360, 720}},
		},
		singles: []single{
			{name: "c4d-standard-384-metal", vcpus: 384, gib: 1536},
			{name: "c4d-highcpu-384-metal", vcpus: 384, gib: 768},
			{name: "c4d-highmem-384-metal", vcpus: 384, gib: 3072},
		},
	},
	{
		Name: "c4a", Arch: ARM, Source: sourceGeneral, Disks: hyperFast,
		series: []series{
			{class: "standard", vcpus: []int{1, 2, 4, 8, 16, 32, 48, 64, 72}, perVCPU: 4, lssd: 4},
			{class: "highmem", vcpus: []int{1, 2, 4, 8, 16, 32, 48, 64, 72}, perVCPU: 8, lssd: 4},
			{class: "highcpu", vcpus: []int{1, 2, 4, 8, 16, 32, 48, 64, 72}, perVCPU: 2},
		},
		singles: []single{{name: "c4a-standard-96-metal", vcpus: 96, gib: 384}, {name: "c4a-highmem-96-metal", vcpus: 96, gib: 768}},
	},
	{
		Name: "t2d", Arch: X86, Source: sourceGeneral, RegionalDisks: true, Disks: []string{"pd-balanced", "pd-ssd", "pd-standard"},
		series: []series{{class: "standard", vcpus: []int{1, 2, 4, 8, 16, 32, 48, 60}, perVCPU: 4}},
	},
	{
		Name: "t2a", Arch: ARM, Source: sourceGeneral, RegionalDisks: true, Disks: []string{"pd-balanced", "pd-ssd", "pd-standard"},
		series: []series{{class: "standard", vcpus: []int{1, 2, 4, 8, 16, 32, 48}, perVCPU: 4}},
	},
	{
		Name: "h3", Arch: X86, Source: sourceCompute, Disks: []string{"pd-balanced", "hyperdisk-balanced", "hyperdisk-throughput"},
		singles: []single{{name: "h3-standard-88", vcpus: 88, gib: 352}},
	},
	{
		// Regional persistent disks and pd-standard are not for G2.
		Name: "g2", Arch: X86, Source: sourceAccelerator,
		Disks: []string{"pd-balanced", "pd-ssd", "hyperdisk-ml", "hyperdisk-throughput"},
		singles: []single{
			{name: "g2-standard-4", vcpus: 4, gib: 16, gpu: "nvidia-l4", gpus: 1},
			{name: "g2-standard-8", vcpus: 8, gib: 32, gpu: "nvidia-l4", gpus: 1},
			{name: "g2-standard-12", vcpus: 12, gib: 48, gpu: "nvidia-l4", gpus: 1},
			{name: "g2-standard-16", vcpus: 16, gib: 64, gpu: "nvidia-l4", gpus: 1},
			{name: "g2-standard-24", vcpus: 24, gib: 96, gpu: "nvidia-l4", gpus: 2},
			{name: "g2-standard-32", vcpus: 32, gib: 128, gpu: "nvidia-l4", gpus: 1},
			{name: "g2-standard-48", vcpus: 48, gib: 192, gpu: "nvidia-l4", gpus: 4},
			{name: "g2-standard-96", vcpus: 96, gib: 384, gpu: "nvidia-l4", gpus: 8},
		},
		custom: &customRule{ranges: map[int]gpuRange{
			4: {16, 32, 1}, 8: {32, 54, 1}, 12: {48, 54, 1}, 16: {54, 64, 1}, 24: {96, 108, 2},
			32: {96, 128, 1}, 48: {192, 216, 4}, 96: {384, 432, 8},
		}, vcpuRule: "4, 8, 12, 16, 24, 32, 48 or 96"},
	},
	{
		// The three smallest sizes carry a fraction of a GPU (a MIG-backed vGPU).
		Name: "g4", Arch: X86, Source: sourceAccelerator,
		Disks: []string{"hyperdisk-balanced", "hyperdisk-balanced-high-availability", "hyperdisk-extreme", "hyperdisk-throughput"},
		singles: []single{
			{name: "g4-standard-6", vcpus: 6, gib: 22, gpu: "nvidia-rtx-pro-6000", gpus: 1, fraction: 8},
			{name: "g4-standard-12", vcpus: 12, gib: 45, gpu: "nvidia-rtx-pro-6000", gpus: 1, fraction: 4},
			{name: "g4-standard-24", vcpus: 24, gib: 90, gpu: "nvidia-rtx-pro-6000", gpus: 1, fraction: 2},
			{name: "g4-standard-48", vcpus: 48, gib: 180, gpu: "nvidia-rtx-pro-6000", gpus: 1},
			{name: "g4-standard-96", vcpus: 96, gib: 360, gpu: "nvidia-rtx-pro-6000", gpus: 2},
			{name: "g4-standard-192", vcpus: 192, gib: 720, gpu: "nvidia-rtx-pro-6000", gpus: 4},
			{name: "g4-standard-384", vcpus: 384, gib: 1440, gpu: "nvidia-rtx-pro-6000", gpus: 8},
		},
	},
	{
		Name: "a2", Arch: X86, Source: sourceAccelerator, RegionalDisks: true,
		Disks: []string{"pd-balanced", "pd-ssd", "pd-standard", "hyperdisk-ml"},
		singles: []single{
			{name: "a2-highgpu-1g", vcpus: 12, gib: 85, gpu: "nvidia-tesla-a100", gpus: 1},
			{name: "a2-highgpu-2g", vcpus: 24, gib: 170, gpu: "nvidia-tesla-a100", gpus: 2},
			{name: "a2-highgpu-4g", vcpus: 48, gib: 340, gpu: "nvidia-tesla-a100", gpus: 4},
			{name: "a2-highgpu-8g", vcpus: 96, gib: 680, gpu: "nvidia-tesla-a100", gpus: 8},
			{name: "a2-megagpu-16g", vcpus: 96, gib: 1360, gpu: "nvidia-tesla-a100", gpus: 16},
			{name: "a2-ultragpu-1g", vcpus: 12, gib: 170, gpu: "nvidia-a100-80gb", gpus: 1},
			{name: "a2-ultragpu-2g", vcpus: 24, gib: 340, gpu: "nvidia-a100-80gb", gpus: 2},
			{name: "a2-ultragpu-4g", vcpus: 48, gib: 680, gpu: "nvidia-a100-80gb", gpus: 4},
			{name: "a2-ultragpu-8g", vcpus: 96, gib: 1360, gpu: "nvidia-a100-80gb", gpus: 8},
		},
	},
	{
		Name: "a3", Arch: X86, Source: sourceAccelerator,
		Disks: []string{"pd-balanced", "pd-ssd", "hyperdisk-balanced", "hyperdisk-extreme", "hyperdisk-throughput", "hyperdisk-ml"},
		singles: []single{
			{name: "a3-highgpu-1g", vcpus: 26, gib: 234, gpu: "nvidia-h100-80gb", gpus: 1},
			{name: "a3-highgpu-2g", vcpus: 52, gib: 468, gpu: "nvidia-h100-80gb", gpus: 2},
			{name: "a3-highgpu-4g", vcpus: 104, gib: 936, gpu: "nvidia-h100-80gb", gpus: 4},
			{name: "a3-highgpu-8g", vcpus: 208, gib: 1872, gpu: "nvidia-h100-80gb", gpus: 8},
			{name: "a3-edgegpu-8g", vcpus: 208, gib: 1872, gpu: "nvidia-h100-80gb", gpus: 8},
			{name: "a3-megagpu-8g", vcpus: 208, gib: 1872, gpu: "nvidia-h100-mega-80gb", gpus: 8},
			{name: "a3-ultragpu-8g", vcpus: 224, gib: 2952, gpu: "nvidia-h200-141gb", gpus: 8},
		},
	},
	{
		Name: "a4", Arch: X86, Source: sourceAccelerator, Disks: acceleratHD,
		singles: []single{{name: "a4-highgpu-8g", vcpus: 224, gib: 3968, gpu: "nvidia-b200", gpus: 8}},
	},
	{
		Name: "a4x", Arch: ARM, Source: sourceAccelerator, Disks: acceleratHD,
		singles: []single{
			{name: "a4x-highgpu-4g", vcpus: 140, gib: 884, gpu: "nvidia-gb200", gpus: 4},
			{name: "a4x-maxgpu-4g-metal", vcpus: 144, gib: 960, gpu: "nvidia-gb300", gpus: 4},
		},
	},
}
