package capacity

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

type m = map[string]any

func pool(op, machine string, least, most int, more m) report.Resource {
	in := m{
		"name": "engine-pool", "location": "us-central1", "nodeLocations": []any{"us-central1-a"},
		"autoscaling": m{"totalMinNodeCount": float64(least), "totalMaxNodeCount": float64(most)},
		"nodeConfig":  m{"machineType": machine, "diskSizeGb": 100.0, "diskType": "pd-balanced"},
	}
	for k, v := range more {
		in["nodeConfig"].(m)[k] = v
	}
	r := report.Resource{Type: poolType, Op: op, Name: "pool"}
	if op != "create" {
		r.Old = in
	}
	if op != "delete" {
		r.New = in
	}
	return r
}

func release(old, next m) report.Resource {
	wrap := func(v m) m {
		if v == nil {
			return nil
		}
		return m{"values": m{"scaling": v}}
	}
	return report.Resource{Type: releaseType, Op: "update", Old: wrap(old), New: wrap(next)}
}

func auto(least, most, streams float64) m {
	return m{"auto": m{"enabled": true, "engine": m{
		"minReplicas": least, "maxReplicas": most, "metrics": m{"speechToText": m{"streaming": m{"requestsPerPod": streams}}},
	}}}
}

func TestListPricesAreReadAndGiveGooglesSums(t *testing.T) {
	t.Parallel()
	p := ListPrices()
	require.NoError(t, p.validate())
	for machine, want := range map[string]float64{ // US dollars an hour, as Google lists machines
		"n2-standard-2": 0.0971, "n2-standard-4": 0.1942, "e2-standard-4": 0.1340, "g2-standard-4": 0.7068, "g2-standard-12": 1.0004,
		"g2-standard-24": 2.0009, "a2-highgpu-1g": 3.6734, "n1-standard-8": 0.3800, "e2-medium": 0.0335, "a2-ultragpu-1g": 5.0688,
	} {
		gpu, gpus := poolGPUs(nil, machine)
		got, known := p.node(machine, gpu, gpus, false)
		require.True(t, known, machine)
		require.InDelta(t, want, got, 0.001, machine)
	}
	t4, known := p.node("n1-standard-8", "nvidia-tesla-t4", 1, false)
	require.True(t, known)
	require.InDelta(t, 0.73, t4, 0.001)
	_, known = p.node("a3-highgpu-8g", "nvidia-h100-80gb", 8, false)
	require.False(t, known)
}

func TestCapacityBeforeAndAfter(t *testing.T) {
	t.Parallel()
	grown := pool("update", "g2-standard-12", 1, 11, nil)
	grown.New = pool("create", "g2-standard-12", 2, 21, nil).New
	c := FromResources([]report.Resource{
		grown, release(auto(2, 10, 30), auto(2, 20, 25)),
		{Type: diskType, Op: "same", Name: "d", Old: m{"name": "models", "size": 200.0, "type": "pd-ssd"}},
		{Type: clusterType, Op: "same", Name: "c", New: m{"name": "cluster"}},
		{Type: filestoreType, Op: "create", Name: "f", New: m{"tier": "STANDARD", "fileShares": m{"capacityGb": 1024.0}}},
		{Type: "kubernetes:core/v1:Secret", Op: "create", New: m{}},
	}, nil)
	require.Equal(t, report.Range{Min: 2, Max: 10}, c.Old.Engines)
	require.Equal(t, report.Range{Min: 2, Max: 20}, c.New.Engines)
	require.Equal(t, report.Range{Min: 60, Max: 300}, c.Old.Streams)
	require.Equal(t, report.Range{Min: 50, Max: 500}, c.New.Streams)
	require.Equal(t, report.Range{Min: 1, Max: 11}, c.Old.GPUs)
	require.Equal(t, report.Range{Min: 2, Max: 21}, c.New.Nodes)
	require.Equal(t, []string{"nvidia-l4"}, c.New.GPUTypes)
	node := 1.000392*730 + 10
	require.InDelta(t, node+34+73, c.Old.MonthlyMin, 0.1)
	require.InDelta(t, 21*node+34+73+163.84, c.New.MonthlyMax, 0.5)
	require.Equal(t, "2026-06-22", c.Prices.Date)
	require.Equal(t, "engine-pool", c.New.Items[0].Name, "the dearest first")
	require.Empty(t, c.Notes)
}

func TestWhatIsNotCountedIsSaid(t *testing.T) {
	t.Parallel()
	spot := pool("create", "g2-standard-8", 1, 1, m{"spot": true})
	odd := pool("create", "a3-highgpu-8g", 1, 2, nil)
	odd.New["name"] = "odd-pool"
	far := pool("create", "n2-standard-2", 1, 1, nil)
	far.New["name"], far.New["location"] = "far-pool", "europe-west4"
	kept := report.Resource{Type: diskType, Op: "delete", Retain: true, Old: m{"name": "old-models", "size": 100.0, "type": "pd-ssd"}}
	c := FromResources([]report.Resource{spot, odd, far, kept}, nil)
	require.Equal(t, []string{
		"spot machines count with the price on demand, because theirs changes: the cost of engine-pool is lower",
		"the price table has no price for a3-highgpu-8g: odd-pool is not in the sum",
		"the prices are those of us-central1; far-pool is in europe-west4, where they differ",
	}, c.Notes)
	require.Equal(t, report.Range{Min: 9, Max: 17}, c.New.GPUs)
	require.Contains(t, c.New.Items[len(c.New.Items)-2].What+c.New.Items[len(c.New.Items)-1].What+c.New.Items[1].What+c.New.Items[2].What, "kept in the cloud")
	require.InDelta(t, 17, c.Old.MonthlyMin, 0.01)
}

func TestFixedReplicasAndNothing(t *testing.T) {
	t.Parallel()
	c := FromResources([]report.Resource{release(nil, m{"auto": m{"enabled": false}, "replicas": m{"engine": 3.0}})}, nil)
	require.Nil(t, c.Old)
	require.Equal(t, report.Range{Min: 3, Max: 3}, c.New.Engines)
	require.Nil(t, FromResources([]report.Resource{{Type: "x", New: m{}}}, nil))
	require.Nil(t, FromResources([]report.Resource{{Type: releaseType, Op: "create", New: m{"values": m{}}}}, nil), "another chart")
}

func TestPriceTablesOfOthers(t *testing.T) {
	t.Parallel()
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "prices.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return file
	}
	p, err := LoadPrices(write("date: 2026-10-01\nregion: europe-west4\nvcpuHour: {n2: 1}\nspotShare: {g2: 0.5}\n"))
	require.NoError(t, err)
	require.Equal(t, "europe-west4", p.Region)
	require.InDelta(t, 1, p.VCPUHour["n2"], 0)
	require.InDelta(t, ListPrices().VCPUHour["e2"], p.VCPUHour["e2"], 0, "the rest stays")
	full, _ := p.node("g2-standard-4", "nvidia-l4", 1, false)
	spot, _ := p.node("g2-standard-4", "nvidia-l4", 1, true)
	require.InDelta(t, full/2, spot, 1e-9)
	for text, says := range map[string]string{
		"vcpuHour: {n2: 1}":                        "date: \"\" must be the day",
		"date: \"2026-10-01\"\nvcpuHour: {n2: -1}": "vcpuHour.n2: -1 must not be negative",
		"date: \"2026-10-01\"\nspotShare: {g2: 2}": "spotShare.g2: 2 must be a share",
		"date: \"2026-10-01\"\nvcpuhours: {n2: 1}": "vcpuhours",
		"date: 2026-10-01\nclusterHour: -1":        "clusterHour: -1 must not be negative",
	} {
		_, err := LoadPrices(write(text))
		require.ErrorContains(t, err, says)
	}
	_, err = LoadPrices("none.yaml")
	require.ErrorContains(t, err, "none.yaml")
}
