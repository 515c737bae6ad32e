package capacity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/deepgram-gke/deepgram-gke/internal/hardware"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// The resource types that count.
const (
	poolType       = "gcp:container/nodePool:NodePool"
	clusterType    = "gcp:container/cluster:Cluster"
	diskType       = "gcp:compute/disk:Disk"
	regionDiskType = "gcp:compute/regionDisk:RegionDisk"
	filestoreType  = "gcp:filestore/instance:Instance"
	releaseType    = "kubernetes:helm.sh/v3:Release"
)

// FromResources reads capacity and cost from the resources of a preview, before
// and after. What the plan lets go but leaves in the cloud still costs. It is nil
// where nothing counts; nil prices are ListPrices.
func FromResources(resources []report.Resource, prices *Prices) *report.Capacity {
	if prices == nil {
		prices = ListPrices()
	}
	c := &counter{prices: prices, notes: map[string]bool{}}
	old, next := &report.CapacityFigures{}, &report.CapacityFigures{}
	before, after := false, false
	for i := range resources {
		r := &resources[i]
		was, will := r.Old, r.New
		switch r.Op {
		case "create", "import":
			was = nil
		case "delete":
			will = nil
			if r.Retain {
				will = r.Old
			}
		case "same", "read", "refresh":
			// Nothing changes; the engine gives one side or both.
			if will == nil {
				will = was
			}
			was = will
		}
		kept := r.Op == "delete" && r.Retain
		if was != nil && c.count(old, r, was, false) {
			before = true
		}
		if will != nil && c.count(next, r, will, kept) {
			after = true
		}
	}
	if !before && !after {
		return nil
	}
	out := &report.Capacity{Prices: report.PriceSource{Date: prices.Date, Region: prices.Region, From: prices.From}}
	if before {
		out.Old = finish(old)
	}
	if after {
		out.New = finish(next)
	}
	for note := range c.notes {
		out.Notes = append(out.Notes, note)
	}
	slices.Sort(out.Notes)
	return out
}

type counter struct {
	prices *Prices
	notes  map[string]bool
}

func (c *counter) note(format string, args ...any) { c.notes[fmt.Sprintf(format, args...)] = true }

// count adds a resource to the figures; false where it does not count.
func (c *counter) count(f *report.CapacityFigures, r *report.Resource, in map[string]any, kept bool) bool {
	name := text(in, "name")
	if name == "" || report.IsUnknown(name) {
		name = r.Name // nobody knows it yet
	}
	item := report.CostItem{Name: name}
	switch r.Type {
	case poolType:
		c.pool(f, &item, in)
	case clusterType:
		item.What = "GKE's fee for the cluster"
		item.Min = c.prices.ClusterHour * HoursAMonth
		item.Max = item.Min
	case diskType:
		c.disk(&item, number(in, "size"), cmp.Or(text(in, "type"), "pd-standard"), 1)
	case regionDiskType:
		c.disk(&item, number(in, "size"), cmp.Or(text(in, "type"), "pd-standard"), len(list(in, "replicaZones")))
	case filestoreType:
		c.filestore(&item, in)
	case releaseType:
		return c.release(f, in)
	default:
		return false
	}
	if kept {
		item.What += ", kept in the cloud and no longer managed"
	}
	f.Items = append(f.Items, item)
	return true
}

// pool counts nodes and GPUs of a node pool.
func (c *counter) pool(f *report.CapacityFigures, item *report.CostItem, in map[string]any) {
	nodes := poolNodes(in)
	config := child(in, "nodeConfig")
	machine := cmp.Or(text(config, "machineType"), "e2-medium")
	gpu, gpus := poolGPUs(config, machine)
	spot := boolean(config, "spot") || boolean(config, "preemptible")
	f.Nodes = add(f.Nodes, nodes, 1)
	f.GPUs = add(f.GPUs, nodes, gpus)
	if gpus > 0 && !slices.Contains(f.GPUTypes, gpu) {
		f.GPUTypes = append(f.GPUTypes, gpu)
	}
	item.What = spread(nodes) + " × " + machine
	if spot {
		item.What += ", spot"
	}
	hour, known := c.prices.node(machine, gpu, gpus, spot)
	diskType, gb := cmp.Or(text(config, "diskType"), "pd-balanced"), cmp.Or(number(config, "diskSizeGb"), 100)
	disk, diskKnown := c.prices.DiskGBMonth[diskType]
	if !known || !diskKnown {
		item.Unpriced = true
		missing := machine
		if known {
			missing = diskType
		}
		c.note("the price table has no price for %s: %s is not in the sum", missing, item.Name)
		return
	}
	if spot {
		if family := strings.SplitN(machine, "-", 2)[0]; c.prices.SpotShare[family] == 0 {
			c.note("spot machines count with the price on demand, because theirs changes: the cost of %s is lower", item.Name)
		}
	}
	if location := text(in, "location"); location != "" && !strings.HasPrefix(location, c.prices.Region) && !report.IsUnknown(location) {
		c.note("the prices are those of %s; %s is in %s, where they differ", c.prices.Region, item.Name, location)
	}
	month := hour*HoursAMonth + disk*gb
	item.Min, item.Max = month*float64(nodes.Min), month*float64(nodes.Max)
}

// poolNodes are the fewest and the most nodes of a pool, over all zones.
func poolNodes(in map[string]any) report.Range {
	zones := max(1, len(list(in, "nodeLocations")))
	scaling := child(in, "autoscaling")
	if n := int(number(scaling, "totalMaxNodeCount")); n > 0 {
		return report.Range{Min: int(number(scaling, "totalMinNodeCount")), Max: n}
	}
	if n := int(number(scaling, "maxNodeCount")); n > 0 {
		return report.Range{Min: int(number(scaling, "minNodeCount")) * zones, Max: n * zones}
	}
	n := int(cmp.Or(number(in, "nodeCount"), number(in, "initialNodeCount"), 1)) * zones
	return report.Range{Min: n, Max: n}
}

// poolGPUs are the GPUs of each node: built into the machine, or attached.
func poolGPUs(config map[string]any, machine string) (string, int) {
	for _, item := range list(config, "guestAccelerators") {
		if m, ok := item.(map[string]any); ok {
			if n := int(number(m, "count")); n > 0 {
				return text(m, "type"), n
			}
		}
	}
	if m, err := hardware.ParseMachineType(machine); err == nil {
		return m.GPU.Type, m.GPU.Count
	}
	return "", 0
}

func (c *counter) disk(item *report.CostItem, gb float64, kind string, copies int) {
	item.What = fmt.Sprintf("disk of %g GB, %s", gb, kind)
	price, known := c.prices.DiskGBMonth[kind]
	if !known {
		item.Unpriced = true
		c.note("the price table has no price for %s: %s is not in the sum", kind, item.Name)
		return
	}
	item.Min = gb * price * float64(max(1, copies))
	item.Max = item.Min
}

func (c *counter) filestore(item *report.CostItem, in map[string]any) {
	gb, tier := number(child(in, "fileShares"), "capacityGb"), text(in, "tier")
	item.What = fmt.Sprintf("Filestore of %g GB, %s", gb, tier)
	price, known := c.prices.FilestoreGBMonth[tier]
	if !known {
		item.Unpriced = true
		c.note("the price table has no price for Filestore %s: %s is not in the sum", tier, item.Name)
		return
	}
	item.Min = gb * price
	item.Max = item.Min
}

// release counts engines and streams by the values of the Deepgram chart; false
// for another chart.
func (c *counter) release(f *report.CapacityFigures, in map[string]any) bool {
	values := child(in, "values")
	scaling := child(values, "scaling")
	if scaling == nil {
		return false
	}
	engine := child(scaling, "auto", "engine")
	n := int(cmp.Or(number(child(scaling, "replicas"), "engine"), 1))
	engines := report.Range{Min: n, Max: n}
	if boolean(child(scaling, "auto"), "enabled") {
		// The chart's defaults where nothing is said.
		engines = report.Range{
			Min: int(cmp.Or(number(engine, "minReplicas"), 1)), Max: int(cmp.Or(number(engine, "maxReplicas"), 10)),
		}
	}
	f.Engines = add(f.Engines, engines, 1)
	if streams := int(number(child(engine, "metrics", "speechToText", "streaming"), "requestsPerPod")); streams > 0 {
		f.StreamsPerPod = max(f.StreamsPerPod, streams)
		f.Streams = add(f.Streams, engines, streams)
	}
	return true
}

func finish(f *report.CapacityFigures) *report.CapacityFigures {
	slices.SortStableFunc(f.Items, func(a, b report.CostItem) int {
		return cmp.Or(cmp.Compare(b.Max, a.Max), cmp.Compare(a.Name, b.Name))
	})
	slices.Sort(f.GPUTypes)
	for _, i := range f.Items {
		f.MonthlyMin += i.Min
		f.MonthlyMax += i.Max
	}
	if f.Items == nil {
		f.Items = []report.CostItem{}
	}
	return f
}

func add(to, n report.Range, times int) report.Range {
	return report.Range{Min: to.Min + n.Min*times, Max: to.Max + n.Max*times}
}

func spread(r report.Range) string {
	if r.Min == r.Max {
		return fmt.Sprint(r.Min)
	}
	return fmt.Sprintf("%d–%d", r.Min, r.Max)
}

func child(m map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		m, _ = m[key].(map[string]any)
	}
	return m
}

func list(m map[string]any, key string) []any {
	l, _ := m[key].([]any)
	return l
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

func number(m map[string]any, key string) float64 {
	n, _ := report.Number(m[key])
	return n
}

func boolean(m map[string]any, key string) bool {
	b, _ := m[key].(bool)
	return b
}
