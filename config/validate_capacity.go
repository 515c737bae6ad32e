package config

import (
	"fmt"
	"math/big"
	"regexp"
	"strconv"
)

// capacity checks that the pods which may run, and the one that a rolling update
// adds, find nodes. Otherwise an update hangs until Helm gives up after an hour.
// Whether a machine is large enough for a pod is the policies' business: a machine
// too small, or without a GPU, counts as one that takes one pod.
func (v *validator) capacity() {
	c := v.c
	if c.Cluster.ExistingPools {
		return
	}
	engines, from := c.Scaling.Engine.Replicas, "scaling.engine.replicas"
	apis, apiFrom := c.Scaling.API.Replicas, "scaling.api.replicas"
	if c.Scaling.Auto {
		engines, from = c.Scaling.Engine.MaxReplicas, "scaling.engine.maxReplicas"
		ratio := max(c.Scaling.EngineToAPIRatio, 1)
		apis, apiFrom = (engines+ratio-1)/ratio, "scaling.engine.maxReplicas, or raise scaling.engineToApiRatio"
	}
	v.engineNodes(engines, from)
	v.nodes("api", "API", apis, 1, podsByCPU(c.Pools.API.MachineType, c.API.Resources.Requests.CPU), apiFrom)
	if c.LicenseProxy.Enabled {
		v.nodes("licenseProxy", "licence proxy", c.LicenseProxy.Replicas, 1,
			podsByCPU(c.Pools.LicenseProxy.MachineType, c.LicenseProxy.Resources.Requests.CPU), "licenseProxy.replicas")
	}
	if c.Billing.Enabled {
		// The chart asks 1 CPU for a billing pod, and replaces them one by one.
		v.nodes("billing", "billing", c.Billing.Replicas, 0, podsByCPU(c.Pools.Billing.MachineType, "1"), "billing.replicas")
	}
}

// engineNodes checks the engine pool by GPUs: a pod's GPUs are on one node.
func (v *validator) engineNodes(pods int, from string) {
	pool, gpus := v.c.Pools.Engine, v.c.Engine.Resources.GPUs
	if gpus <= 0 || pool.GPU == nil {
		v.nodes("engine", "Engine", pods, 1, podsByCPU(pool.MachineType, v.c.Engine.Resources.Requests.CPU), from)
		return
	}
	count := pool.GPU.Count
	if v.has("pools.engine.gpu.count") {
		return
	}
	if pool.GPU.Sharing != "" {
		count *= max(pool.GPU.MaxSharedClients, 1)
	}
	if count < gpus {
		v.problem("engine.resources.gpus", fmt.Sprint(gpus), fmt.Sprintf("is more than a node of pools.engine has, %d", count), fmt.Sprintf("at most %d", count),
			"or choose a machineType with more GPUs and set pools.engine.gpu.count")
		return
	}
	perNode := min(count/gpus, podsByCPU(pool.MachineType, v.c.Engine.Resources.Requests.CPU))
	v.nodes("engine", "Engine", pods, 1, perNode, from)
}

// nodes checks one pool: pods and spare pods, so many on a node.
func (v *validator) nodes(key, what string, pods, spare, perNode int, from string) {
	pool := map[string]Pool{
		"api": v.c.Pools.API, "engine": v.c.Pools.Engine, "licenseProxy": v.c.Pools.LicenseProxy,
		"billing": v.c.Pools.Billing,
	}[key]
	need := (pods + spare + perNode - 1) / perNode
	path := "pools." + key + ".maxNodes"
	if need <= pool.MaxNodes || v.has(path) || v.has(from) {
		return
	}
	update := ""
	if spare > 0 {
		update = " and 1 for a rolling update"
	}
	v.problem(path, fmt.Sprint(pool.MaxNodes), fmt.Sprintf("is too small: %d %s%s, %d on a node, need %d nodes", pods, plural(pods, what+" pod"), update, perNode, need),
		fmt.Sprintf("%d or more", need), "or lower "+from)
}

// plural is a noun in the number that n asks for.
func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// predefined are the machine types whose names end in the number of their vCPUs.
var predefined = regexp.MustCompile(`^[a-z][a-z0-9]*-(standard|highmem|highcpu|megamem|ultramem)-([0-9]+)(-lssd)?$`)

// podsByCPU is how many pods with a CPU request fit on a node, going by its vCPUs
// less what GKE keeps for itself: 6 % of the first, 1 % of the second, 0.5 % of
// the next two and 0.25 % of the others. At least 1, also for unknown types.
func podsByCPU(machineType string, request Quantity) int {
	name := predefined.FindStringSubmatch(machineType)
	cpu, ok := parseQuantity(string(request))
	if name == nil || !ok {
		return 1
	}
	vcpus, err := strconv.Atoi(name[2])
	if err != nil || vcpus < 1 || vcpus > 4096 {
		return 1
	}
	kept := int64(600) // in ten thousandths of a vCPU
	for i := 2; i <= vcpus; i++ {
		switch {
		case i == 2:
			kept += 100
		case i <= 4:
			kept += 50
		default:
			kept += 25
		}
	}
	free := big.NewRat(int64(vcpus)*10000-kept, 10000)
	fit := new(big.Rat).Quo(free, cpu)
	n := new(big.Int).Quo(fit.Num(), fit.Denom())
	if !n.IsInt64() || n.Int64() < 1 {
		return 1
	}
	return int(min(n.Int64(), 110)) // GKE's most pods on a node
}
