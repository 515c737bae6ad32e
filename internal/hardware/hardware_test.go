package hardware

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMachineTypesMatchPublishedFigures holds the catalogue against figures
// written down from Google's own pages, at least two of each series.
func TestMachineTypesMatchPublishedFigures(t *testing.T) {
	t.Parallel()
	rows := strings.Fields(`
		n1-standard-1/1/3.75 n1-standard-8/8/30 n1-standard-96/96/360 n1-highmem-8/8/52 n1-highcpu-16/16/14.4 f1-micro/1/0.6 g1-small/1/1.7
		n2-standard-2/2/8 n2-standard-4/4/16 n2-standard-128/128/512 n2-highmem-8/8/64 n2-highmem-128/128/864 n2-highcpu-96/96/96
		n2d-standard-224/224/896 n2d-highmem-96/96/768 n2d-highcpu-224/224/224 n4-standard-80/80/320 n4-highcpu-2/2/4 n4-highmem-80/80/640
		n4d-standard-96/96/384 n4a-highmem-1/1/8 e2-micro/2/1 e2-medium/2/4 e2-standard-32/32/128 e2-highmem-16/16/128 e2-highcpu-2/2/2
		c2-standard-30/30/120 c2-standard-60/60/240 c2d-highcpu-56/56/112 c2d-highmem-112/112/896 c3-standard-22/22/88 c3-standard-4-lssd/4/16
		c3-highcpu-192-metal/192/512 c3-highmem-176/176/1408 c3d-highcpu-30/30/59 c3d-highcpu-360/360/708 c3d-standard-360-lssd/360/1440
		c4-standard-2/2/7 c4-standard-4/4/15 c4-highmem-4/4/31 c4-highmem-288/288/2232 c4-highcpu-24/24/48 c4-standard-24-lssd/24/90
		c4d-standard-8/8/31 c4d-highcpu-2/2/3 c4d-highmem-384/384/3024 c4d-standard-384-metal/384/1536 c4a-standard-72/72/288 c4a-highmem-96-metal/96/768
		t2d-standard-60/60/240 t2a-standard-48/48/192 h3-standard-88/88/352
		g2-standard-4/4/16/nvidia-l4/1 g2-standard-8/8/32/nvidia-l4/1 g2-standard-12/12/48/nvidia-l4/1 g2-standard-16/16/64/nvidia-l4/1
		g2-standard-24/24/96/nvidia-l4/2 g2-standard-32/32/128/nvidia-l4/1 g2-standard-48/48/192/nvidia-l4/4 g2-standard-96/96/384/nvidia-l4/8
		g4-standard-6/6/22/nvidia-rtx-pro-6000/1 g4-standard-48/48/180/nvidia-rtx-pro-6000/1 g4-standard-384/384/1440/nvidia-rtx-pro-6000/8
		a2-highgpu-1g/12/85/nvidia-tesla-a100/1 a2-megagpu-16g/96/1360/nvidia-tesla-a100/16 a2-ultragpu-8g/96/1360/nvidia-a100-80gb/8
		a3-highgpu-1g/26/234/nvidia-h100-80gb/1 a3-highgpu-8g/208/1872/nvidia-h100-80gb/8 a3-megagpu-8g/208/1872/nvidia-h100-mega-80gb/8
		a3-ultragpu-8g/224/2952/nvidia-h200-141gb/8 a4-highgpu-8g/224/3968/nvidia-b200/8 a4x-highgpu-4g/140/884/nvidia-gb200/4
		a4x-maxgpu-4g-metal/144/960/nvidia-gb300/4`)
	for _, row := range rows {
		want := strings.Split(row, "/")
		m, err := ParseMachineType(want[0])
		require.NoError(t, err)
		assert.Equal(t, want[1], fmt.Sprint(m.VCPUs), row)
		assert.InDelta(t, number(t, want[2]), m.MemoryGiB(), 0.001, row)
		if len(want) == 3 {
			assert.Zero(t, m.GPU, row)
			continue
		}
		assert.Equal(t, want[3], m.GPU.Type, row)
		assert.Equal(t, want[4], fmt.Sprint(m.GPU.Count), row)
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	var n float64
	_, err := fmt.Sscan(text, &n)
	require.NoError(t, err)
	return n
}

func TestEveryMachineTypeIsComplete(t *testing.T) {
	t.Parallel()
	all := MachineTypes()
	require.Greater(t, len(all), 300)
	seen := map[string]bool{}
	for _, m := range all {
		parsed, err := ParseMachineType("projects/p/zones/z/machineTypes/" + m.Name)
		require.NoError(t, err)
		assert.Equal(t, m, parsed)
		assert.False(t, m.Custom)
		seen[m.Family] = true

		cpu, memory := m.Allocatable()
		assert.Positive(t, cpu, m.Name)
		assert.Less(t, cpu, m.VCPUs*1000, m.Name)
		assert.Positive(t, memory, m.Name)
		assert.Less(t, memory, m.MemoryMiB, m.Name)
		assert.NotEmpty(t, m.DiskTypes(), m.Name)
		assert.True(t, m.CanAttach(m.DiskTypes()[0]), m.Name)
		assert.False(t, m.CanAttach("floppy"), m.Name)
		if m.GPU.Count > 0 {
			_, err := GPUFor(m.GPU.Type)
			assert.NoError(t, err, m.Name)
			assert.Equal(t, []int{m.GPU.Count}, m.AllowedCounts(m.GPU.Type), m.Name)
			assert.GreaterOrEqual(t, m.GPU.Fraction, 1, m.Name)
		}
	}
	for _, f := range Families() {
		assert.True(t, seen[f.Name], f.Name)
		assert.Contains(t, []string{X86, ARM}, f.Arch, f.Name)
		assert.Regexp(t, `^https://`, f.Source, f.Name)
	}
}

func TestGPUsMatchPublishedFigures(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"nvidia-tesla-k80": "12 3.7", "nvidia-tesla-p4": "8 6.1", "nvidia-tesla-p100": "16 6.0", "nvidia-tesla-v100": "16 7.0",
		"nvidia-tesla-t4": "16 7.5", "nvidia-l4": "24 8.9", "nvidia-tesla-a100": "40 8.0", "nvidia-a100-80gb": "80 8.0",
		"nvidia-h100-80gb": "80 9.0", "nvidia-h100-mega-80gb": "80 9.0", "nvidia-h200-141gb": "141 9.0", "nvidia-b200": "180 10.0",
		"nvidia-gb200": "186 10.0", "nvidia-gb300": "279 10.3", "nvidia-rtx-pro-6000": "96 12.0",
	}
	require.Len(t, GPUs(), len(want))
	for _, g := range GPUs() {
		assert.Equal(t, want[g.Type], fmt.Sprintf("%d %s", g.MemoryGiB, g.Capability), g.Type)
		for _, p := range g.Partitions {
			gib, err := PartitionGiB(p)
			require.NoError(t, err)
			assert.LessOrEqual(t, gib, g.MemoryGiB, p)
		}
	}
	vws, err := GPUFor("projects/p/zones/z/acceleratorTypes/nvidia-l4-vws")
	require.NoError(t, err)
	assert.Equal(t, 24, vws.MemoryGiB)
	_, err = GPUFor("nvidia-a10")
	assert.ErrorContains(t, err, `"nvidia-a10" is not in the catalogue`)
	var unknown *UnknownGPUError
	assert.ErrorAs(t, err, &unknown)
}

func TestCapabilityOrder(t *testing.T) {
	t.Parallel()
	assert.True(t, Capability{6, 1}.Less(Capability{7, 0}))
	assert.False(t, Capability{7, 0}.Less(Capability{7, 0}))
	assert.True(t, Capability{9, 0}.Less(Capability{10, 0}), "10 is newer than 9, also as text")
	assert.True(t, Capability{8, 0}.Less(Capability{8, 9}))
}

func TestPartitionGiBRefusesOtherForms(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "1g", "1g.5", "0g.5gb", "1g.0gb", "1g.5gbx", "-1g.5gb", "g.gb", "all"} {
		_, err := PartitionGiB(bad)
		assert.Error(t, err, bad)
	}
}

func TestParseCustomMachineTypes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]MachineType{
		"custom-8-32768":         {Family: "n1", VCPUs: 8, MemoryMiB: 32768},
		"n1-custom-1-1024":       {Family: "n1", VCPUs: 1, MemoryMiB: 1024},
		"n1-custom-4-638976-ext": {Family: "n1", VCPUs: 4, MemoryMiB: 638976},
		"custom-4-65536-ext":     {Family: "n1", VCPUs: 4, MemoryMiB: 65536},
		"n2-custom-8-65536":      {Family: "n2", VCPUs: 8, MemoryMiB: 65536},
		"n2-custom-8-131072-ext": {Family: "n2", VCPUs: 8, MemoryMiB: 131072},
		"n2d-custom-48-98304":    {Family: "n2d", VCPUs: 48, MemoryMiB: 98304},
		"n4-custom-6-12288":      {Family: "n4", VCPUs: 6, MemoryMiB: 12288},
		"e2-custom-4-8192":       {Family: "e2", VCPUs: 4, MemoryMiB: 8192},
		"e2-custom-small-3072":   {Family: "e2", VCPUs: 2, MemoryMiB: 3072, SharedCore: true},
		"g2-custom-8-36864":      {Family: "g2", VCPUs: 8, MemoryMiB: 36864, GPU: BuiltIn{"nvidia-l4", 1, 1}},
		"g2-custom-24-98304":     {Family: "g2", VCPUs: 24, MemoryMiB: 98304, GPU: BuiltIn{"nvidia-l4", 2, 1}},
	} {
		want.Name, want.Custom = name, true
		got, err := ParseMachineType(name)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestParseRefusesWhatGoogleDoesNotOffer(t *testing.T) {
	t.Parallel()
	for name, reason := range map[string]string{
		"n2-standard-3":                      "has no such type",
		"g2-standard-6":                      "has no such type",
		"c3-standard-4-metal":                "has no such type",
		"n1-custom-3-8192":                   "1 or an even number",
		"n1-custom-8-81920":                  "memory must be 7.2 to 52 GB",
		"n2-custom-8-65537":                  "multiple of 256 MB",
		"n2-custom-34-65536":                 "multiple of 4",
		"n2-custom-8-2048":                   "memory must be 4 to 64 GB",
		"e2-custom-32-262144":                "memory must be 16 to 128 GB",
		"e2-custom-4-65536-ext":              "no extended memory",
		"c3-custom-4-16384":                  "no custom types",
		"g2-custom-10-36864":                 "vCPUs must be 4, 8, 12",
		"g2-custom-12-65536":                 "48 to 54 GB",
		"e2-custom-micro-4096":               "1024 to 2048 MB",
		"n2-custom-8-9999999999999999999999": "out of range",
	} {
		_, err := ParseMachineType(name)
		var invalid *InvalidTypeError
		require.ErrorAs(t, err, &invalid, name)
		assert.Contains(t, err.Error(), reason)
		assert.Contains(t, err.Error(), name)
	}
	for _, name := range []string{"", "m5.large", "z9-standard-4", "z9-custom-2-2048", "Standard_NC6", "g2", "-", "/"} {
		_, err := ParseMachineType(name)
		var unknown *UnknownFamilyError
		assert.ErrorAs(t, err, &unknown, name)
	}
}

// TestAllocatableMatchesPublishedTable uses the table that GKE's documentation
// printed for N1, whose memory column leaves out the eviction threshold and is
// rounded; TestAllocatableOfTheGuidesMachines is exact.
func TestAllocatableMatchesPublishedTable(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		cores, gib float64
	}{
		"n1-standard-1": {0.94, 2.7}, "n1-standard-2": {1.93, 5.7}, "n1-standard-4": {3.92, 12.3}, "n1-standard-8": {7.91, 26.6},
		"n1-standard-16": {15.89, 54.7}, "n1-standard-32": {31.85, 111.2}, "n1-standard-64": {63.77, 228.4}, "n1-standard-96": {95.69, 346.4},
	} {
		m, err := ParseMachineType(name)
		require.NoError(t, err)
		cpu, memory := m.Allocatable()
		assert.InDelta(t, want.cores*1000, cpu, 1, name)
		assert.InDelta(t, want.gib, float64(memory+100)/1024, 0.4, name)
	}
	f1, _ := ParseMachineType("f1-micro")
	_, memory := f1.Allocatable()
	assert.Equal(t, 614-255-100, memory, "255 MiB below 1 GiB")
	small, _ := ParseMachineType("e2-small")
	cpu, _ := small.Allocatable()
	assert.Equal(t, 940, cpu, "shared-core E2")
}

// TestAllocatableOfTheGuidesMachines states the figures that matter: the
// chart's default request (30Gi) does not fit g2-standard-8, the guide's 24Gi does.
func TestAllocatableOfTheGuidesMachines(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]int{
		"g2-standard-8": {7910, 29022}, "g2-standard-12": {11900, 44423}, "n2-standard-4": {3920, 13621}, "n2-standard-2": {1930, 6248},
	} {
		m, err := ParseMachineType(name)
		require.NoError(t, err)
		cpu, memory := m.Allocatable()
		assert.Equal(t, want, [2]int{cpu, memory}, name)
	}
}

func TestAllowedCounts(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		machine, gpu string
		want         []int
	}{
		{"n1-standard-8", "nvidia-tesla-t4", []int{1, 2, 4}},
		{"n1-standard-64", "nvidia-tesla-t4", []int{4}},
		{"n1-standard-16", "nvidia-tesla-v100", []int{2, 4, 8}},
		{"n1-standard-16", "nvidia-tesla-p100", []int{1, 2, 4}},
		{"n1-highmem-8", "nvidia-tesla-k80", []int{1, 2, 4, 8}},
		{"n1-custom-8-65536-ext", "nvidia-tesla-k80", []int{2, 4, 8}},
		{"n1-standard-8", "nvidia-l4", nil},
		{"f1-micro", "nvidia-tesla-t4", nil},
		{"n2-standard-8", "nvidia-tesla-t4", nil},
		{"g2-standard-24", "nvidia-l4", []int{2}},
		{"g2-standard-24", "nvidia-l4-vws", []int{2}},
		{"g2-standard-24", "nvidia-tesla-t4", nil},
		{"a2-ultragpu-1g", "nvidia-tesla-a100", nil},
		{"g2-standard-4", "nvidia-a10", nil},
	} {
		m, err := ParseMachineType(row.machine)
		require.NoError(t, err)
		assert.Equal(t, row.want, m.AllowedCounts(row.gpu), "%s %s", row.machine, row.gpu)
	}
}

func TestAttachableGPUs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"n1-standard-16": {"nvidia-tesla-t4", "nvidia-tesla-p4", "nvidia-tesla-v100", "nvidia-tesla-p100", "nvidia-tesla-k80"},
		"n1-highmem-96":  {"nvidia-tesla-t4", "nvidia-tesla-p4", "nvidia-tesla-v100", "nvidia-tesla-p100"},
		"g2-standard-12": nil, "n2-standard-4": nil,
	} {
		m, err := ParseMachineType(name)
		require.NoError(t, err)
		assert.Equal(t, want, m.AttachableGPUs(), name)
	}
}

func TestDisksOfTheGPUFamilies(t *testing.T) {
	t.Parallel()
	g2, _ := ParseMachineType("g2-standard-12")
	assert.True(t, g2.CanAttach("pd-ssd"))
	assert.False(t, g2.CanAttach("pd-standard"))
	assert.False(t, g2.CanAttachRegional())
	g4, _ := ParseMachineType("g4-standard-48")
	assert.False(t, g4.CanAttach("pd-ssd"))
	n1, _ := ParseMachineType("n1-standard-8")
	assert.True(t, n1.CanAttachRegional())
	assert.Equal(t, ARM, func() string { m, _ := ParseMachineType("t2a-standard-4"); return m.Arch() }())
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	seven := Capability{7, 0}
	for want, need := range map[string]Need{
		"g2-standard-8":  {VCPUs: 4, MemoryMiB: 32 * 1024, GPUs: 1, GPUMemoryGiB: 16, Capability: seven},
		"g2-standard-12": {VCPUs: 4, AllocatableMiB: 30 * 1024, GPUs: 1, GPUMemoryGiB: 16, Capability: seven},
		"g2-standard-24": {VCPUs: 4, MemoryMiB: 32 * 1024, GPUs: 2, GPUMemoryGiB: 16},
		"a2-highgpu-1g":  {GPUs: 1, GPUMemoryGiB: 40},
		"g4-standard-48": {GPUs: 1, DiskType: "hyperdisk-balanced"},
		"n2-standard-2":  {VCPUs: 2, MemoryMiB: 5 * 1024},
		"n2-highcpu-4":   {VCPUs: 2, MemoryMiB: 4 * 1024},
		"":               {GPUs: 99},
	} {
		assert.Equal(t, want, Suggest(need), "%+v", need)
	}
}

func FuzzParseMachineType(f *testing.F) {
	for _, seed := range []string{"g2-standard-12", "custom-8-32768", "n2-custom-8-65536-ext", "e2-custom-micro-1024", "", "-custom-1-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		m, err := ParseMachineType(name)
		if err != nil {
			return
		}
		cpu, memory := m.Allocatable()
		if m.VCPUs < 1 || m.MemoryMiB < 512 || cpu < 1 || memory < 1 || m.Arch() == "" {
			t.Errorf("%q gives %+v, allocatable %d/%d", name, m, cpu, memory)
		}
	})
}
