package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	gpd            = "engine.modelManager.volumes.gcp.gpd."
	regionDiskType = "gcp:compute/regionDisk:RegionDisk"
	volumeType     = "kubernetes:core/v1:PersistentVolume"
)

var zoneRules = []Rule{
	{
		Name: "engine-pool-is-in-one-zone", Step: "G-S.1", Level: Mandatory,
		Summary: "An engine pool must be in exactly one zone: the models disk can be attached in its own zone only",
		Advice:  "Set nodeLocations to the disk's zone.",
		Example: `node pool "engine": its zones are us-central1-a, us-central1-b; needed: one zone, the models disk's (guide G-S.1). Set nodeLocations to the disk's zone.`,
		Types:   poolTypes,
		Resource: enginePools(func(j *Judge, p pool) {
			if zones := p.zones(); len(zones) > 1 {
				j.Violate(Finding{
					On: p.on, What: p.what, Found: "its zones are " + strings.Join(zones, ", "), Need: "one zone, the models disk's",
				})
			}
		}),
	},
	{
		Name: "engine-pool-is-in-the-disks-zone", Step: "G-S.1", Level: Mandatory,
		Summary: "An engine pool must be in the zone of the models disk",
		Advice:  "Set nodeLocations of the engine pool to the disk's zone.",
		Example: `node pool "engine": its zones are us-central1-b, and models disk "models" is in us-central1-a; needed: the disk's zone only (guide G-S.1). Set nodeLocations of the engine pool to the disk's zone.`,
		Stack:   enginesAndDisks(poolInDisksZone),
	},
	{
		Name: "models-disk-suits-machine", Step: "G-S.1", Level: Mandatory,
		Summary: "The engines' machine series must be able to attach the models disk",
		Advice:  "Use a disk type of the list, zonal.",
		Example: `node pool "engine": g2-standard-12 cannot attach models disk "models", which is pd-standard; needed: one of pd-balanced, pd-ssd, hyperdisk-ml, hyperdisk-throughput (guide G-S.1). Use a disk type of the list, zonal.`,
		Stack:   enginesAndDisks(diskSuitsMachine),
	},
	{
		Name: "models-disk-has-storage", Step: "G-HW.engine", Level: Mandatory,
		Summary: "The models disk must have at least 48 GB",
		Advice:  "Raise its size; more models need more. It can never shrink again.",
		Example: `models disk "models": it has 40 GB; needed: 48 GB (guide G-HW.engine). Raise its size; more models need more. It can never shrink again.`,
		Settings: []Setting{{
			Name: "minStorageGb", Default: float64(engineStorageGB), Min: bound(1), Max: bound(65536),
			Help: "Least size of the models disk in GB.",
		}},
		Stack: func(j *Judge) {
			Each(j, j.modelsDisks(), disk.resource, func(d disk) {
				if d.known && d.sizeGB() < j.Number("minStorageGb") {
					j.Violate(Finding{
						On: d.on, What: d.what, Found: fmt.Sprintf("it has %s GB", number(d.sizeGB())),
						Need: number(j.Number("minStorageGb")) + " GB",
					})
				}
			})
		},
	},
	{
		Name: "models-capacity-is-disk-size", Step: "G-S.1", Level: Mandatory,
		Summary: "The storage capacity that the chart states must be the disk's size",
		Advice:  "Set engine.modelManager.volumes.gcp.gpd.storageCapacity to the disk's size.",
		Example: `release "deepgram": storageCapacity is 40G and models disk "models" has 200 GB; needed: 200G (guide G-S.1). Set engine.modelManager.volumes.gcp.gpd.storageCapacity to the disk's size.`,
		Stack:   eachRelease(capacityIsSize),
	},
}

// disk is a models disk: one that a volume of the engines names. known is false
// where only its handle is, not the resource.
type disk struct {
	on         Resource
	what, name string
	zone       string // "" for a regional one
	region     string
	known      bool
	in         Value
}

func (d disk) resource() Resource { return d.on }

func (d disk) sizeGB() float64 { return d.in.Get("size").Number(defaultDiskGB) }

// defaultDiskGB is Compute Engine's size where none is given.
const defaultDiskGB = 500

var handleForm = regexp.MustCompile(`^projects/[^/]+/(zones|regions)/([^/]+)/disks/([^/]+)$`)

// handles are the volume handles of the engines' models, in releases and volumes.
func (j *Judge) handles() []Value {
	var all []Value
	for _, r := range j.releases() {
		j.guard(r.on, func() {
			if r.enabled(gpd + "enabled") {
				all = append(all, r.v(gpd+"volumeHandle"))
			}
		})
	}
	return all
}

// modelsDisks are the disks that the engines' volumes name. Where a handle is
// not known yet, the disks of the stack are taken that look like it.
func (j *Judge) modelsDisks() []disk {
	var all []disk
	seen := map[string]bool{}
	add := func(d disk) {
		if !seen[d.name+d.zone+d.region] {
			seen[d.name+d.zone+d.region] = true
			all = append(all, d)
		}
	}
	resources := j.All(diskType, regionDiskType)
	for _, h := range j.handles() {
		if !h.Known() {
			for _, r := range resources {
				j.guard(r, func() {
					if len(resources) == 1 || strings.Contains(r.Name, "model") {
						add(j.disk(r))
					}
				})
			}
			continue
		}
		m := handleForm.FindStringSubmatch(h.Text())
		if m == nil {
			continue
		}
		d := disk{name: m[3], what: fmt.Sprintf("models disk %q", m[3])}
		if m[1] == "zones" {
			d.zone = m[2]
		} else {
			d.region = m[2]
		}
		for _, r := range resources {
			j.guard(r, func() {
				if name := j.Of(r).Get("name"); name.Known() && name.Text() == d.name {
					d = j.disk(r)
				}
			})
		}
		add(d)
	}
	return all
}

func (j *Judge) disk(r Resource) disk {
	in := j.Of(r)
	d := disk{on: r, what: fmt.Sprintf("models disk %q", r.Name), name: r.Name, known: true, in: in}
	if r.Type == regionDiskType {
		d.region = in.Get("region").Text()
		return d
	}
	zone := in.Get("zone")
	if zone.Known() {
		d.zone = zone.Text()[strings.LastIndex(zone.Text(), "/")+1:]
	}
	return d
}

// enginesAndDisks judges each pair of an engine pool and a models disk.
func enginesAndDisks(judge func(*Judge, pool, disk)) func(*Judge) {
	return func(j *Judge) {
		disks := j.modelsDisks()
		Each(j, j.stackPools(pool.isEngine), pool.resource, func(p pool) {
			Each(j, disks, func(disk) Resource { return p.on }, func(d disk) { judge(j, p, d) })
		})
	}
}

func poolInDisksZone(j *Judge, p pool, d disk) {
	if d.zone == "" {
		return // a regional one: models-disk-suits-machine
	}
	zones := p.zones()
	found := "its zones are " + strings.Join(zones, ", ")
	if len(zones) == 0 {
		zones, found = j.zonesOfCluster(p)
	}
	if len(zones) == 1 && zones[0] == d.zone {
		return
	}
	if len(zones) == 0 && found == "" {
		return // an existing cluster, of which nothing is known here
	}
	j.Violate(Finding{
		On: p.on, What: p.what, Found: fmt.Sprintf("%s, and %s is in %s", found, d.what, d.zone), Need: "the disk's zone only",
	})
}

// zonesOfCluster are the zones that a pool takes over from its cluster.
func (j *Judge) zonesOfCluster(p pool) (zones []string, found string) {
	location := p.in.Get("location").Text()
	if p.on.Type == nodePoolType {
		cluster := p.in.Get("cluster")
		if !cluster.Known() {
			return nil, inRegion(location)
		}
		name := cluster.Text()
		for _, r := range j.All(clusterType) {
			in := j.Of(r)
			n := in.Get("name")
			if !n.Known() || name != n.Text() && !strings.HasSuffix(name, "/clusters/"+n.Text()) {
				continue
			}
			return clusterZones(in)
		}
		return nil, inRegion(location)
	}
	return clusterZones(j.Of(p.on))
}

func clusterZones(in Value) (zones []string, found string) {
	for _, z := range in.Get("nodeLocations").List() {
		zones = append(zones, z.Text())
	}
	location := in.Get("location").Text()
	if isZone(location) && !slices.Contains(zones, location) {
		zones = append(zones, location)
	}
	if len(zones) == 0 {
		return nil, inRegion(location)
	}
	return zones, "it takes its cluster's zones, " + strings.Join(zones, ", ")
}

func inRegion(location string) string {
	if location == "" {
		return ""
	}
	return "it names no zone, so its nodes are in several zones of " + location
}

func diskSuitsMachine(j *Judge, p pool, d disk) {
	m, ok := p.machine()
	if !ok {
		return
	}
	if d.region != "" {
		if !m.CanAttachRegional() {
			j.Violate(Finding{
				On: p.on, What: p.what, Found: fmt.Sprintf("%s cannot attach %s, which is regional", m.Name, d.what),
				Need: "a zonal disk",
			})
		}
		return
	}
	if !d.known {
		return
	}
	kind := d.in.Get("type").Text()
	kind = kind[strings.LastIndex(kind, "/")+1:]
	if kind == "" {
		kind = "pd-standard" // Compute Engine's default
	}
	if !m.CanAttach(kind) {
		j.Violate(Finding{
			On: p.on, What: p.what, Found: fmt.Sprintf("%s cannot attach %s, which is %s", m.Name, d.what, kind),
			Need: "one of " + strings.Join(m.DiskTypes(), ", "),
		})
	}
}

// capacityIsSize compares what the chart states with the disk. Kubernetes says
// 200G or 200Gi where Compute Engine says 200.
func capacityIsSize(j *Judge, r release) {
	if !r.enabled(gpd + "enabled") {
		return
	}
	capacity := r.v(gpd + "storageCapacity")
	bytes := capacity.Quantity(40e9)
	shown := "the chart's default, 40G"
	if capacity.Present() && capacity.v.IsString() {
		shown = capacity.Text()
	}
	for _, d := range j.modelsDisks() {
		if !d.known || !r.names(d) {
			continue
		}
		size := d.sizeGB()
		if bytes != size*1e9 && bytes != size*gib {
			j.Violate(Finding{
				On: r.on, What: r.what, Found: fmt.Sprintf("storageCapacity is %s and %s has %s GB", shown, d.what, number(size)),
				Need: number(size) + "G",
			})
		}
	}
}

// names tells whether the release's volume is that disk.
func (r release) names(d disk) bool {
	handle := r.v(gpd + "volumeHandle")
	if !handle.Known() {
		return true
	}
	name := d.in.Get("name")
	return !name.Known() || strings.HasSuffix(handle.Text(), "/disks/"+name.Text())
}
