package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/api/compute/v1"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/hardware"
)

// limits are the quotas of a region or a project, by metric.
type limits map[string]*compute.Quota

func byMetric(list []*compute.Quota) limits {
	m := limits{}
	for _, q := range list {
		m[q.Metric] = q
	}
	return m
}

// want is what the environment takes of one quota.
type want struct {
	// nodes and surge are what the pools take at their largest, and what an upgrade
	// adds; own is what runs already and is in the usage.
	nodes, surge, own float64
}

// wants are what is taken, by metric.
type wants map[string]*want

func (w wants) add(metric string, f func(*want)) {
	if w[metric] == nil {
		w[metric] = &want{}
	}
	f(w[metric])
}

// size counts what the pools take of the metrics that measure gives for one node of
// a pool, with what the pool's running nodes take.
func (r *run) size(measure func(config.NamedPool) map[string]float64) wants {
	running := map[string]int{}
	// Who may not see instances counts no running nodes: the answer is then on the
	// safe side.
	nodes, _ := r.g.nodes()
	for _, n := range nodes {
		running[n.Labels["goog-k8s-node-pool-name"]]++
	}
	w := wants{}
	for _, p := range r.madePools() {
		for metric, amount := range measure(p) {
			w.add(metric, func(q *want) {
				q.nodes += amount * float64(p.MaxNodes)
				q.surge += amount * float64(surge(p))
				q.own += amount * float64(running[p.Name])
			})
		}
	}
	return w
}

// surge is how many nodes an upgrade adds; blue-green doubles a pool.
func surge(p config.NamedPool) int {
	if p.Upgrade.Strategy == "BLUE_GREEN" {
		return p.MaxNodes
	}
	return p.Upgrade.MaxSurge
}

// compare holds what is wanted against one list of quotas. A metric that the list
// does not have is given back.
func compare(t *tally, have limits, w wants, where, project string) (unlisted []string) {
	for _, metric := range sortedKeys(w) {
		q, ok := have[metric]
		if !ok {
			unlisted = append(unlisted, metric)
			continue
		}
		n := w[metric]
		free := q.Limit - q.Usage + min(n.own, q.Usage)
		if need := n.nodes + n.surge; need > free {
			t.fail(fmt.Sprintf("ask for %s of at least %.0f in %s: https://console.cloud.google.com/iam-admin/quotas?project=%s; or lower maxNodes",
				metric, q.Usage-min(n.own, q.Usage)+need, where, project),
				"%s in %s: %.0f needed (%.0f at maxNodes, %.0f for upgrades), %.0f of %.0f free", metric, where, need, n.nodes, n.surge, free, q.Limit)
			continue
		}
		t.ok("%s in %s: %.0f of %.0f free, %.0f needed", metric, where, free, q.Limit, n.nodes+n.surge)
	}
	return unlisted
}

// quotas are those of the region and, where global, of the project.
func (r *run) quotas(global bool) (limits, *verdict) {
	var list []*compute.Quota
	if global {
		p, err := r.g.project()
		if err != nil {
			v := r.unasked(err, "the quotas of the project", computeAPI, roleCompute, r.c.GCP.Project)
			return nil, &v
		}
		list = p.Quotas
	} else {
		region, err := r.g.region()
		if missing(err) {
			v := failed("check gcp:region", "there is no region %s", r.c.GCP.Region)
			return nil, &v
		}
		if err != nil {
			v := r.unasked(err, "the quotas of the region", computeAPI, roleCompute, r.c.GCP.Project)
			return nil, &v
		}
		list = region.Quotas
	}
	return byMetric(list), nil
}

// spot is the metric of spot machines where the project has quota for them; where it
// has none, they take of the ordinary one.
func spot(have limits, metric string, is bool) string {
	if q := have["PREEMPTIBLE_"+metric]; is && q != nil && q.Limit > 0 {
		return "PREEMPTIBLE_" + metric
	}
	return metric
}

func (r *run) gpuQuota(context.Context) verdict {
	if len(r.madePools()) == 0 {
		return poolsExist
	}
	have, v := r.quotas(false)
	if v != nil {
		return *v
	}
	var t tally
	unlisted := compare(&t, have, r.size(func(p config.NamedPool) map[string]float64 {
		if p.GPU == nil {
			return nil
		}
		return map[string]float64{spot(have, gpuMetric(p.GPU.Type), p.Spot): float64(p.GPU.Count)}
	}), r.c.GCP.Region, r.c.GCP.Project)
	if len(unlisted) > 0 {
		t.skip(skipped("look at GPUs per GPU family in https://console.cloud.google.com/iam-admin/quotas?project="+r.c.GCP.Project,
			"the region does not list %s", strings.Join(unlisted, ", ")))
	}
	// Spot GPUs do not count among those of all regions.
	r.global(&t, "GPUS_ALL_REGIONS", func(p config.NamedPool) float64 {
		if p.GPU == nil || p.Spot {
			return 0
		}
		return float64(p.GPU.Count)
	})
	if len(t.good)+len(t.bad) == 0 && t.unseen == nil {
		return skipped("", "no pool has GPUs")
	}
	return t.verdict()
}

// global compares with a quota of the whole project.
func (r *run) global(t *tally, metric string, measure func(config.NamedPool) float64) {
	have, v := r.quotas(true)
	if v != nil {
		t.skip(*v)
		return
	}
	w := r.size(func(p config.NamedPool) map[string]float64 {
		if n := measure(p); n > 0 {
			return map[string]float64{metric: n}
		}
		return nil
	})
	// A project without such a limit has none.
	compare(t, have, w, "all regions", r.c.GCP.Project)
}

// gpuMetric is the metric of an accelerator, such as NVIDIA_L4_GPUS.
func gpuMetric(kind string) string {
	kind = strings.TrimPrefix(strings.TrimPrefix(kind, "nvidia-"), "tesla-")
	return "NVIDIA_" + strings.ToUpper(strings.ReplaceAll(kind, "-", "_")) + "_GPUS"
}

// cpuMetric is the metric of a machine series in a region: its own where the region
// lists one, else that of the series which share one.
func cpuMetric(have limits, family string) string {
	own := strings.ToUpper(family) + "_CPUS"
	if have[own] == nil && slices.Contains([]string{"n1", "e2", "f1", "g1"}, family) {
		return "CPUS"
	}
	return own
}

func (r *run) cpuQuota(context.Context) verdict {
	if len(r.madePools()) == 0 {
		return poolsExist
	}
	have, v := r.quotas(false)
	if v != nil {
		return *v
	}
	cores := func(p config.NamedPool) (hardware.MachineType, float64) {
		m, err := hardware.ParseMachineType(p.MachineType)
		if err != nil {
			return m, 0 // machine-types tells
		}
		return m, float64(m.VCPUs)
	}
	var t tally
	unlisted := compare(&t, have, r.size(func(p config.NamedPool) map[string]float64 {
		m, n := cores(p)
		if n == 0 {
			return nil
		}
		if metric := spot(have, "CPUS", p.Spot); metric != "CPUS" {
			return map[string]float64{metric: n}
		}
		return map[string]float64{cpuMetric(have, m.Family): n}
	}), r.c.GCP.Region, r.c.GCP.Project)
	r.global(&t, "CPUS_ALL_REGIONS", func(p config.NamedPool) float64 { _, n := cores(p); return n })
	if len(unlisted) > 0 && len(t.good) > 0 {
		t.ok("not listed by the region: %s (see CPUs per VM family in the console)", strings.Join(unlisted, ", "))
	} else if len(unlisted) > 0 {
		t.skip(skipped("look at CPUs per VM family in https://console.cloud.google.com/iam-admin/quotas?project="+r.c.GCP.Project,
			"the region does not list %s", strings.Join(unlisted, ", ")))
	}
	return t.verdict()
}

// diskMetric is the metric of a disk type.
func diskMetric(kind string) string {
	switch kind {
	case "pd-ssd", "pd-balanced":
		return "SSD_TOTAL_GB"
	case "hyperdisk-balanced":
		return "HDB_TOTAL_GB"
	case "pd-standard":
		return "DISKS_TOTAL_GB"
	}
	return ""
}

func (r *run) diskQuota(context.Context) verdict {
	if len(r.madePools()) == 0 {
		return poolsExist
	}
	have, v := r.quotas(false)
	if v != nil {
		return *v
	}
	w := r.size(func(p config.NamedPool) map[string]float64 {
		if metric := diskMetric(p.DiskType); metric != "" {
			return map[string]float64{metric: float64(p.DiskGb)}
		}
		return nil
	})
	// The disks of models are there where the cluster is.
	if nodes, err := r.g.nodes(); err == nil && len(nodes) == 0 {
		for _, set := range r.c.Models.ModelSets() {
			if metric := diskMetric(set.Disk.Type); metric != "" && set.Disk.Existing == "" {
				w.add(metric, func(q *want) { q.nodes += float64(set.Disk.SizeGb) })
			}
		}
	}
	var t tally
	if unlisted := compare(&t, have, w, r.c.GCP.Region, r.c.GCP.Project); len(unlisted) > 0 {
		t.skip(skipped("", "the region does not list %s", strings.Join(unlisted, ", ")))
	}
	return t.verdict()
}

func (r *run) addressQuota(context.Context) verdict {
	if len(r.madePools()) == 0 {
		return poolsExist
	}
	if r.c.Cluster.Private.Enabled {
		return skipped("", "private nodes have no public addresses")
	}
	have, v := r.quotas(false)
	if v != nil {
		return *v
	}
	var t tally
	unlisted := compare(&t, have, r.size(func(config.NamedPool) map[string]float64 {
		return map[string]float64{"IN_USE_ADDRESSES": 1}
	}), r.c.GCP.Region, r.c.GCP.Project)
	if len(unlisted) > 0 {
		return skipped("", "the region does not list IN_USE_ADDRESSES")
	}
	return t.verdict()
}
