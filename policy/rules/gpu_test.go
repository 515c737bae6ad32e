package rules

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/hardware"
)

func TestTheGuidesPoolsPass(t *testing.T) {
	t.Parallel()
	found := judged(t, Options{}, enginePool(nil), cpuPool(roleAPI, "n2-standard-4", nil), cpuPool(roleProxy, "n2-standard-2", nil),
		cpuPool("system", "n2-standard-2", nil))
	assert.Empty(t, found)
}

// TestEachMinimumAloneTripsItsRule breaks one minimum at a time, from either
// side: the rule that states it speaks, and no other.
func TestEachMinimumAloneTripsItsRule(t *testing.T) {
	t.Parallel()
	gpu := func(kind string, n int, more obj) []any {
		return []any{with(obj{"type": kind, "count": n}, more)}
	}
	for _, row := range []struct {
		name  string
		given given
		want  []string
		says  string
	}{
		{"T4 has a nominal 16 GB", enginePool(obj{"nodeConfig/machineType": "n1-standard-16", "nodeConfig/guestAccelerators": gpu("nvidia-tesla-t4", 1, nil)}), nil, ""},
		{"V100 has a nominal 16 GB and 7.0", enginePool(obj{"nodeConfig/machineType": "custom-12-40960", "nodeConfig/guestAccelerators": gpu("nvidia-tesla-v100", 1, nil)}), nil, ""},
		{
			"P100 is too old", enginePool(obj{"nodeConfig/machineType": "n1-standard-16", "nodeConfig/guestAccelerators": gpu("nvidia-tesla-p100", 1, nil)}),
			[]string{"engine-gpu-has-compute-capability"},
			"nvidia-tesla-p100 has compute capability 6.0; needed: 7.0",
		},
		{
			"P4 is too old and too small", enginePool(obj{"nodeConfig/machineType": "n1-standard-16", "nodeConfig/guestAccelerators": gpu("nvidia-tesla-p4", 1, nil)}),
			[]string{"engine-gpu-has-compute-capability", "engine-gpu-has-memory"},
			"compute capability 6.1",
		},
		{
			"K80", enginePool(obj{"nodeConfig/machineType": "custom-8-40960", "nodeConfig/guestAccelerators": gpu("nvidia-tesla-k80", 1, nil)}),
			[]string{"engine-gpu-has-compute-capability", "engine-gpu-has-memory"},
			"compute capability 3.7",
		},
		{"no GPU", enginePool(obj{"nodeConfig/machineType": "n2-standard-16", "nodeConfig/guestAccelerators": nil}), []string{"engine-gpu-is-present"}, "n2-standard-16 has no GPU"},
		{"built in and not listed", enginePool(obj{"nodeConfig/guestAccelerators": nil}), nil, ""},
		{"g2-standard-4", enginePool(obj{"nodeConfig/machineType": "g2-standard-4"}), []string{"engine-node-has-memory"}, "g2-standard-4 has 16 GB; needed: 32 GB"},
		{
			"n1-standard-8", enginePool(obj{"nodeConfig/machineType": "n1-standard-8", "nodeConfig/guestAccelerators": gpu("nvidia-tesla-t4", 1, nil)}),
			[]string{"engine-node-has-memory"},
			"n1-standard-8 has 30 GB; needed: 32 GB",
		},
		{
			"just below 32 GB", enginePool(obj{"nodeConfig/machineType": "custom-8-32512", "nodeConfig/guestAccelerators": gpu("nvidia-tesla-t4", 1, nil)}),
			[]string{"engine-node-has-memory"},
			"31.75 GB",
		},
		{"exactly 32 GB", enginePool(obj{"nodeConfig/machineType": "g2-standard-8"}), []string{"engine-node-memory-is-ample"}, "of which 28.3 are left"},
		{"just above 32 GB", enginePool(obj{"nodeConfig/machineType": "g2-custom-8-33792"}), nil, ""},
		{
			"2 cores", enginePool(obj{"nodeConfig/machineType": "custom-2-40960-ext", "nodeConfig/guestAccelerators": gpu("nvidia-tesla-t4", 1, nil)}),
			[]string{"engine-node-has-cores"},
			"has 2 vCPUs; needed: 4",
		},
		{"4 cores", enginePool(obj{"nodeConfig/machineType": "custom-4-40960-ext", "nodeConfig/guestAccelerators": gpu("nvidia-tesla-t4", 1, nil)}), nil, ""},
		{"47 GB boot disk", enginePool(obj{"nodeConfig/diskSizeGb": 47}), []string{"engine-node-has-storage"}, "47 GB; needed: 48 GB"},
		{"48 GB boot disk", enginePool(obj{"nodeConfig/diskSizeGb": 48}), nil, ""},
		{"boot disk of GKE's default size", enginePool(obj{"nodeConfig/diskSizeGb": nil}), nil, ""},
		{
			"MIG with enough memory", enginePool(obj{"nodeConfig/machineType": "a2-highgpu-1g", "nodeConfig/guestAccelerators": gpu("nvidia-tesla-a100", 1, obj{"gpuPartitionSize": "3g.20gb"})}),
			[]string{"engine-gpu-is-whole"},
			"partitioned (3g.20gb)",
		},
		{
			"MIG with little memory", enginePool(obj{"nodeConfig/machineType": "a2-highgpu-1g", "nodeConfig/guestAccelerators": gpu("nvidia-tesla-a100", 1, obj{"gpuPartitionSize": "1g.5gb"})}),
			[]string{"engine-gpu-has-memory", "engine-gpu-is-whole"},
			"nvidia-tesla-a100 has 5 GB for each pod",
		},
		{
			"shared by two", enginePool(obj{"nodeConfig/guestAccelerators": gpu("nvidia-l4", 1, obj{"gpuSharingConfig": obj{"gpuSharingStrategy": "TIME_SHARING", "maxSharedClientsPerGpu": 2}})}),
			[]string{"engine-gpu-has-memory", "engine-gpu-is-whole"},
			"nvidia-l4 has 12 GB for each pod: it is shared by 2 pods",
		},
		{
			"a fraction of a G4 GPU", enginePool(obj{"nodeConfig/machineType": "g4-standard-12", "nodeConfig/guestAccelerators": gpu("nvidia-rtx-pro-6000", 1, nil)}),
			[]string{"engine-gpu-is-whole"},
			"1/4 of one",
		},
		{"two L4 where one is built in", enginePool(obj{"nodeConfig/guestAccelerators": gpu("nvidia-l4", 2, nil)}), []string{"gpu-suits-machine"}, "2 × nvidia-l4 with g2-standard-12; needed: [1] × nvidia-l4"},
		{"T4 on G2", enginePool(obj{"nodeConfig/guestAccelerators": gpu("nvidia-tesla-t4", 1, nil)}), []string{"gpu-suits-machine"}, "1 × nvidia-l4, which is built in"},
		{"L4 on N2", enginePool(obj{"nodeConfig/machineType": "n2-standard-16"}), []string{"gpu-suits-machine"}, "no GPU with this machine type"},
		{"an AWS machine type", enginePool(obj{"nodeConfig/machineType": "g5.2xlarge"}), []string{"machine-type-is-known"}, "its series is not in the catalogue"},
		{"an AWS GPU", enginePool(obj{"nodeConfig/guestAccelerators": gpu("nvidia-a10g", 1, nil)}), []string{"gpu-suits-machine"}, `"nvidia-a10g" is not in the catalogue`},
		{"Windows", cpuPool(roleAPI, "n2-standard-4", obj{"nodeConfig/imageType": "WINDOWS_LTSC_CONTAINERD"}), []string{"node-image-is-linux"}, "WINDOWS_LTSC_CONTAINERD"},
		{"Ubuntu engines", enginePool(obj{"nodeConfig/imageType": "UBUNTU_CONTAINERD"}), []string{"engine-node-image-is-cos"}, "UBUNTU_CONTAINERD"},
		{"Ubuntu for the API", cpuPool(roleAPI, "n2-standard-4", obj{"nodeConfig/imageType": "UBUNTU_CONTAINERD"}), nil, ""},
		{"an Arm machine", cpuPool(roleAPI, "t2a-standard-4", nil), []string{"engine-node-is-x86"}, "t2a-standard-4 is arm64"},
		{"API with 1 core", cpuPool(roleAPI, "n1-custom-1-6656", nil), []string{"api-node-has-cores"}, "has 1 vCPUs; needed: 2"},
		{"API with 2 cores", cpuPool(roleAPI, "n2-standard-2", nil), nil, ""},
		{"API with 2 GB", cpuPool(roleAPI, "n2-highcpu-2", nil), []string{"api-node-has-memory"}, "has 2 GB; needed: 4 GB"},
		{"API with 4 GB", cpuPool(roleAPI, "n2-highcpu-4", nil), nil, ""},
		{"proxy with 4 GB", cpuPool(roleProxy, "n2-highcpu-4", nil), []string{"license-proxy-node-has-memory"}, "needed: 5 GB"},
		{"proxy with 5 GB", cpuPool(roleProxy, "n2-custom-2-5120", nil), nil, ""},
		{"proxy on a shared core", cpuPool(roleProxy, "e2-custom-medium-8192", nil), []string{"license-proxy-node-has-cores"}, "a fraction of a core"},
		{"proxy with 1 core", cpuPool(roleProxy, "n1-custom-1-5120", nil), nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			found := judged(t, Options{}, row.given)
			if row.want == nil {
				row.want = []string{}
			}
			assert.Equal(t, row.want, names(found))
			if row.says != "" {
				require.NotEmpty(t, found)
				text := ""
				for _, v := range found {
					text += v.message + "\n"
					assert.Equal(t, row.given.urn(), v.urn)
				}
				assert.Contains(t, text, row.says)
			}
		})
	}
}

// TestWholeCatalogue judges every machine type, with every GPU it can have,
// against the minimums written out here.
func TestWholeCatalogue(t *testing.T) {
	t.Parallel()
	memory := map[string]float64{"nvidia-tesla-k80": 12, "nvidia-tesla-p4": 8}
	old := []string{"nvidia-tesla-k80", "nvidia-tesla-p4", "nvidia-tesla-p100"}
	cases := 0
	for _, m := range hardware.MachineTypes() {
		for _, g := range hardware.GPUs() {
			for _, n := range m.AllowedCounts(g.Type) {
				cases++
				found := judged(t, Options{}, enginePool(obj{
					"nodeConfig/machineType": m.Name, "nodeConfig/guestAccelerators": []any{obj{"type": g.Type, "count": n}},
				}))
				want := []string{}
				if memory[g.Type] > 0 {
					want = append(want, "engine-gpu-has-memory")
				}
				if slices.Contains(old, g.Type) {
					want = append(want, "engine-gpu-has-compute-capability")
				}
				if m.GPU.Fraction > 1 {
					want = append(want, "engine-gpu-is-whole")
					if g.MemoryGiB/m.GPU.Fraction < 16 {
						want = append(want, "engine-gpu-has-memory")
					}
				}
				if m.VCPUs < 4 {
					want = append(want, "engine-node-has-cores")
				}
				if m.MemoryMiB < 32<<10 {
					want = append(want, "engine-node-has-memory")
				}
				if m.MemoryMiB == 32<<10 {
					want = append(want, "engine-node-memory-is-ample")
				}
				if m.Arch() == hardware.ARM {
					want = append(want, "engine-node-is-x86")
				}
				slices.Sort(want)
				assert.Equal(t, want, names(found), "%s with %d × %s", m.Name, n, g.Type)
			}
		}
	}
	assert.Greater(t, cases, 100)
}

func TestSixteenGbOnlyWithDeepgramsWord(t *testing.T) {
	t.Parallel()
	sixteen := enginePool(obj{"nodeConfig/machineType": "g2-standard-4"})
	agreed := Config{Settings: map[string]map[string]any{"engine-node-has-memory": {"agreedSixteenGb": "ticket 4711"}}}
	assert.Empty(t, judged(t, Options{Config: agreed}, sixteen))
	fifteen := enginePool(obj{"nodeConfig/machineType": "n1-standard-4", "nodeConfig/guestAccelerators": []any{obj{"type": "nvidia-tesla-t4", "count": 1}}})
	found := judged(t, Options{Config: agreed}, fifteen)
	assert.Contains(t, messages(found, "engine-node-has-memory"), "n1-standard-4 has 15 GB; needed: 16 GB")
	blank := Config{Settings: map[string]map[string]any{"engine-node-has-memory": {"agreedSixteenGb": "  "}}}
	assert.Contains(t, names(judged(t, Options{Config: blank}, sixteen)), "engine-node-has-memory")
}

func TestMessageNamesResourceFiguresAndMachine(t *testing.T) {
	t.Parallel()
	found := judged(t, Options{}, enginePool(obj{"nodeConfig/machineType": "g2-standard-4"}))
	require.Len(t, found, 1)
	assert.Equal(t, `node pool "engine": g2-standard-4 has 16 GB; needed: 32 GB (guide G-HW.engine). `+
		`Use a larger machine type. Smallest machine type that would do: g2-standard-8; better, with room for the chart's default request: g2-standard-12.`, found[0].message)
}

func TestPoolsInsideAClusterAreJudged(t *testing.T) {
	t.Parallel()
	engine := enginePool(obj{"nodeConfig/machineType": "g2-standard-4"})
	api := cpuPool(roleAPI, "n2-highcpu-2", nil)
	cluster := given{kind: clusterType, name: "c", in: obj{"name": "c", "location": "us-central1-a", "deletionProtection": true, "nodePools": []any{engine.in, api.in}}}
	found := judged(t, Options{}, cluster)
	assert.Equal(t, []string{"api-node-has-memory", "engine-node-has-memory"}, names(found))
	assert.Contains(t, messages(found, "engine-node-has-memory"), `node pool "engine" of cluster "c"`)

	single := given{kind: clusterType, name: "c", in: obj{"name": "c", "deletionProtection": true, "location": "us-central1-a", "nodeConfig": engine.in["nodeConfig"]}}
	found = judged(t, Options{}, single)
	assert.Equal(t, []string{"engine-node-has-memory"}, names(found))
	assert.Contains(t, messages(found, "engine-node-has-memory"), `default node pool of cluster "c"`)

	single.in["removeDefaultNodePool"] = true
	assert.Empty(t, judged(t, Options{}, single), "a pool that is removed runs nothing")
}

func TestGPUPoolWithoutLabelIsAnEnginePool(t *testing.T) {
	t.Parallel()
	found := judged(t, Options{}, enginePool(obj{"nodeConfig/labels": nil, "nodeConfig/machineType": "g2-standard-4"}))
	assert.Equal(t, []string{"engine-node-has-memory"}, names(found))
	training := enginePool(obj{"nodeConfig/labels": obj{roleLabel: "training"}, "nodeConfig/machineType": "g2-standard-4"})
	assert.Empty(t, judged(t, Options{}, training), "a label for another use is no engine pool")
}

// TestPoolsThatAClusterListsAreNotCountedTwice has what a real cluster's outputs
// look like: they list the pools that are resources of their own.
func TestPoolsThatAClusterListsAreNotCountedTwice(t *testing.T) {
	t.Parallel()
	engine := enginePool(obj{"autoscaling/totalMaxNodeCount": 10})
	cluster := given{kind: clusterType, name: "c", in: obj{
		"name": "c", "location": "us-central1", "removeDefaultNodePool": true, "deletionProtection": true,
		"nodePools": []any{engine.in}, "nodeConfig": engine.in["nodeConfig"],
	}}
	found := broken(t, Options{}, cluster, engine)
	assert.Equal(t, []string{"replicas-fit-nodes"}, names(found))
	assert.Contains(t, messages(found, "replicas-fit-nodes"), "its pools hold 10; needed: room for 11")

	cluster.in["nodePools"], cluster.in["nodeConfig"] = unknown{}, unknown{}
	cluster.in = with(cluster.in, nil)
	preview := judged(t, Options{DryRun: true}, goodStack(cluster)...)
	assert.Empty(t, messages(preview, "values-of-the-stack-are-known"))
}
