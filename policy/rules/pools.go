package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"github.com/deepgram-gke/deepgram-gke/internal/hardware"
)

// Resource types of Google Cloud that several rules look at.
const (
	nodePoolType = "gcp:container/nodePool:NodePool"
	clusterType  = "gcp:container/cluster:Cluster"
	diskType     = "gcp:compute/disk:Disk"
)

var poolTypes = []string{nodePoolType, clusterType}

// roleLabel is the node label by which Deepgram's chart finds its nodes.
const roleLabel = "k8s.deepgram.com/node-type"

// Roles of node pools, as values of roleLabel.
const (
	roleAPI     = "api"
	roleEngine  = "engine"
	roleProxy   = "license-proxy"
	roleBilling = "billing"
)

// pool is one node pool: a NodePool resource, or one inside a Cluster.
type pool struct {
	on Resource
	// what names it in messages.
	what string
	// in holds autoscaling and locations, node the nodes' configuration.
	in, node Value
	// inline tells that it is the cluster's own, and may be of no interest.
	inline bool
}

func (p pool) resource() Resource { return p.on }

// pools are the node pools of a resource.
func (j *Judge) pools(r Resource) []pool {
	in := j.Of(r)
	switch r.Type {
	case nodePoolType:
		return []pool{{on: r, what: fmt.Sprintf("node pool %q", r.Name), in: in, node: in.Get("nodeConfig")}}
	case clusterType:
		var all []pool
		pools, node := in.Get("nodePools"), in.Get("nodeConfig")
		if len(j.Resources) > 0 {
			// Rules over the stack see the cluster's outputs: what is not known
			// there was not written by anybody, and pools of their own are listed.
			if !pools.Known() {
				pools = in.child("nodePools", property.Value{})
			}
			if !node.Known() {
				node = in.child("nodeConfig", property.Value{})
			}
		}
		listed := slices.DeleteFunc(pools.List(), j.isOwnPool)
		// The default pool exists unless it is removed, or pools are listed.
		if !in.Get("removeDefaultNodePool").Flag(false) && len(listed) == 0 && !in.Get("enableAutopilot").Flag(false) {
			all = append(all, pool{
				on: r, what: fmt.Sprintf("default node pool of cluster %q", r.Name), in: in, node: node, inline: true,
			})
		}
		for i, p := range listed {
			name := fmt.Sprint(i)
			if p.Get("name").Known() && p.Get("name").Present() {
				name = p.Get("name").Text()
			}
			all = append(all, pool{
				on: r, what: fmt.Sprintf("node pool %q of cluster %q", name, r.Name), in: p, node: p.Get("nodeConfig"), inline: true,
			})
		}
		return all
	}
	return nil
}

// isOwnPool tells whether a pool that a cluster lists is a NodePool of the stack.
func (j *Judge) isOwnPool(listed Value) bool {
	name := listed.Get("name")
	if !name.Known() || !name.Present() {
		return false
	}
	for _, r := range j.All(nodePoolType) {
		n := property.New(r.Properties).AsMap().Get("name")
		if n.IsString() && n.AsString() == name.Text() {
			return true
		}
	}
	return false
}

// role is the pool's role by label; "" has none.
func (p pool) role() string {
	labels := p.node.Get("labels")
	if !labels.Present() {
		return ""
	}
	return labels.Get(roleLabel).Text()
}

// defaultMachine is what GKE takes where no machine type is given
// (https://cloud.google.com/kubernetes-engine/docs/concepts/node-pools).
const defaultMachine = "e2-medium"

// machine is the pool's machine type; machine-type-is-known refuses one that is
// not in the catalogue, for all rules.
func (p pool) machine() (hardware.MachineType, bool) {
	name := p.node.Get("machineType").Text()
	if name == "" {
		name = defaultMachine
	}
	m, err := hardware.ParseMachineType(name)
	return m, err == nil
}

// accelerator is what guestAccelerators asks for.
type accelerator struct {
	gpuType   string
	count     int
	partition string
	sharing   string
	clients   int
	driver    string
}

func (p pool) accelerators() []accelerator {
	var all []accelerator
	for _, a := range p.node.Get("guestAccelerators").List() {
		count := int(clamp(a.Get("count").Number(0)))
		if count == 0 {
			continue
		}
		sharing := a.Get("gpuSharingConfig")
		all = append(all, accelerator{
			gpuType: a.Get("type").Text(), count: count, partition: a.Get("gpuPartitionSize").Text(),
			sharing: sharing.Get("gpuSharingStrategy").Text(),
			clients: int(clamp(sharing.Get("maxSharedClientsPerGpu").Number(0))),
			driver:  a.Get("gpuDriverInstallationConfig").Get("gpuDriverVersion").Text(),
		})
	}
	return all
}

// clamp keeps a wild number convertible.
func clamp(n float64) float64 { return max(-1e9, min(1e9, n)) }

// hasGPU tells whether the pool's nodes have one, built in or attached.
func (p pool) hasGPU() bool {
	if len(p.accelerators()) > 0 {
		return true
	}
	m, err := hardware.ParseMachineType(p.node.Get("machineType").Text())
	return err == nil && m.GPU.Count > 0
}

// isEngine tells whether engines run there: by label, or, where there is no
// label, because it has a GPU.
func (p pool) isEngine() bool {
	if role := p.role(); role != "" {
		return role == roleEngine
	}
	return p.hasGPU()
}

// gpusPerNode is the number of GPUs that pods of a node can ask for.
func (p pool) gpusPerNode() int {
	n := 0
	for _, a := range p.accelerators() {
		if a.partition != "" {
			// The number of partitions depends on the size; one at least.
			return a.count
		}
		n += a.count * max(1, a.clients)
	}
	if n == 0 {
		if m, ok := p.machine(); ok {
			n = m.GPU.Count
		}
	}
	return n
}

// enginePools judges each engine pool of the resource.
func enginePools(judge func(*Judge, pool)) func(*Judge) {
	return rolePools(func(p pool) bool { return p.isEngine() }, judge)
}

func rolePools(chosen func(pool) bool, judge func(*Judge, pool)) func(*Judge) {
	return func(j *Judge) {
		Each(j, j.pools(j.Resource), pool.resource, func(p pool) {
			if chosen(p) {
				judge(j, p)
			}
		})
	}
}

// stackPools are the pools of the whole stack that are chosen; those that
// cannot be read are noted, one by one.
func (j *Judge) stackPools(chosen func(pool) bool) []pool {
	var all []pool
	Each(j, j.All(poolTypes...), func(r Resource) Resource { return r }, func(r Resource) {
		Each(j, j.pools(r), pool.resource, func(p pool) {
			if chosen(p) {
				all = append(all, p)
			}
		})
	})
	return all
}

// maxNodes is the most nodes of a pool, over all its zones.
func (p pool) maxNodes(zones int) int {
	scaling := p.in.Get("autoscaling")
	if scaling.Present() {
		if total := scaling.Get("totalMaxNodeCount").Number(0); total > 0 {
			return int(clamp(total))
		}
		if per := scaling.Get("maxNodeCount").Number(0); per > 0 {
			return int(clamp(per)) * max(zones, 1)
		}
	}
	count := p.in.Get("nodeCount").Number(p.in.Get("initialNodeCount").Number(0))
	return int(clamp(count)) * max(zones, 1)
}

// zones are the pool's zones; empty where only the cluster knows.
func (p pool) zones() []string {
	var all []string
	for _, z := range p.in.Get("nodeLocations").List() {
		all = append(all, z.Text())
	}
	if len(all) > 0 {
		return all
	}
	if location := p.in.Get("location").Text(); isZone(location) {
		return []string{location}
	}
	return nil
}

// isZone tells a zone (us-central1-a) from a region (us-central1).
func isZone(location string) bool { return strings.Count(location, "-") == 2 }
