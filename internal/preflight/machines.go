package preflight

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/api/compute/v1"

	"github.com/deepgram-gke/deepgram-gke/config"
)

const computeAPI = "compute.googleapis.com"

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// zonesOf are the zones of a pool: engines are where the models disk is.
func (r *run) zonesOf(p config.NamedPool) []string {
	if p.Key == "engine" {
		return []string{r.c.GCP.Zone}
	}
	return r.c.Cluster.NodeZones
}

// madePools are the pools that are made here.
func (r *run) madePools() []config.NamedPool {
	if r.c.Cluster.Existing != "" && r.c.Cluster.ExistingPools {
		return nil
	}
	return r.c.NodePools()
}

var poolsExist = skipped("", "the cluster has its pools already (cluster.existingPools)")

func (r *run) machineTypes(ctx context.Context) verdict {
	pools := r.madePools()
	if len(pools) == 0 {
		return poolsExist
	}
	s, err := r.g.compute()
	if err != nil {
		return r.unasked(err, "machine types", computeAPI, roleCompute, r.c.GCP.Project)
	}
	places := map[[2]string][]string{} // zone and machine type: keys of pools
	for _, p := range pools {
		for _, zone := range r.zonesOf(p) {
			at := [2]string{zone, p.MachineType}
			places[at] = append(places[at], "pools."+p.Key)
		}
	}
	var t tally
	for _, at := range slices.SortedFunc(maps.Keys(places), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		zone, kind := at[0], at[1]
		found, err := s.MachineTypes.Get(r.c.GCP.Project, zone, kind).Context(ctx).Do()
		switch {
		case missing(err):
			keys := strings.Join(places[at], ", ")
			t.fail(r.elsewhere(ctx, s, kind, places[at]), "%s (%s) is not offered in %s", kind, keys, zone)
		case err != nil:
			t.skip(r.unasked(err, "machine types", computeAPI, roleCompute, r.c.GCP.Project))
		case found.Deprecated != nil && found.Deprecated.State != "" && found.Deprecated.State != "ACTIVE":
			t.fail("choose another machine type", "%s is %s in %s", kind, found.Deprecated.State, zone)
		default:
			t.ok("%s in %s", kind, zone)
		}
	}
	return t.verdict()
}

// elsewhere says in which zones of the region a machine type is offered.
func (r *run) elsewhere(ctx context.Context, s *compute.Service, kind string, keys []string) string {
	var zones []string
	err := s.MachineTypes.AggregatedList(r.c.GCP.Project).Filter(fmt.Sprintf("name = %q", kind)).Pages(ctx,
		func(page *compute.MachineTypeAggregatedList) error {
			for scope, list := range page.Items {
				if zone := last(scope); len(list.MachineTypes) > 0 && strings.HasPrefix(zone, r.c.GCP.Region+"-") {
					zones = append(zones, zone)
				}
			}
			return nil
		})
	if err != nil || len(zones) == 0 {
		return "choose another machine type for " + strings.Join(keys, ", ")
	}
	slices.Sort(zones)
	return fmt.Sprintf("%s is offered in %s", kind, strings.Join(zones, ", "))
}

func (r *run) accelerators(ctx context.Context) verdict {
	pools := r.madePools()
	if len(pools) == 0 {
		return poolsExist
	}
	s, err := r.g.compute()
	if err != nil {
		return r.unasked(err, "accelerators", computeAPI, roleCompute, r.c.GCP.Project)
	}
	var t tally
	for _, p := range pools {
		if p.GPU == nil {
			continue
		}
		for _, zone := range r.zonesOf(p) {
			found, err := s.AcceleratorTypes.Get(r.c.GCP.Project, zone, p.GPU.Type).Context(ctx).Do()
			switch {
			case missing(err):
				t.fail("choose another gcp:zone, or another GPU; gcloud compute accelerator-types list --filter name="+p.GPU.Type+" shows where it is",
					"%s (pools.%s) is not offered in %s", p.GPU.Type, p.Key, zone)
			case err != nil:
				t.skip(r.unasked(err, "accelerators", computeAPI, roleCompute, r.c.GCP.Project))
			case found.MaximumCardsPerInstance > 0 && int64(p.GPU.Count) > found.MaximumCardsPerInstance:
				t.fail(fmt.Sprintf("at most %d", found.MaximumCardsPerInstance), "pools.%s.gpu.count is %d, more than a machine in %s takes",
					p.Key, p.GPU.Count, zone)
			default:
				t.ok("%d × %s in %s", p.GPU.Count, p.GPU.Type, zone)
			}
		}
	}
	if len(t.good)+len(t.bad) == 0 && t.unseen == nil {
		return skipped("", "no pool has GPUs")
	}
	return t.verdict()
}
