package standin_test

import (
	"testing"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"

	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	c := dial(t, standin.NewCloud(), "gcp")
	for _, row := range []struct {
		name, typ string
		old, now  in
		want      map[string]pulumirpc.PropertyDiff_Kind
		before    bool
	}{
		{"nothing", disk, in{"name": "d", "size": 1}, in{"name": "d", "size": 1}, map[string]pulumirpc.PropertyDiff_Kind{}, false},
		{
			"in place", disk,
			in{"name": "d", "size": 1},
			in{"name": "d", "size": 2},
			map[string]pulumirpc.PropertyDiff_Kind{"size": pulumirpc.PropertyDiff_UPDATE},
			false,
		},
		{
			"fixed name goes first", disk,
			in{"name": "d", "type": "pd-ssd"},
			in{"name": "d", "type": "pd-standard"},
			map[string]pulumirpc.PropertyDiff_Kind{"type": pulumirpc.PropertyDiff_UPDATE_REPLACE},
			true,
		},
		{
			"new name", disk,
			in{"name": "d"},
			in{"name": "e"},
			map[string]pulumirpc.PropertyDiff_Kind{"name": pulumirpc.PropertyDiff_UPDATE_REPLACE},
			false,
		},
		{
			"same network", subnetwork,
			in{"name": "s", "network": "default"},
			in{"name": "s", "network": "projects/p/global/networks/default"},
			map[string]pulumirpc.PropertyDiff_Kind{},
			false,
		},
		{
			"location in capitals", "gcp:storage/bucket:Bucket",
			in{"name": "b", "location": "US-CENTRAL1"},
			in{"name": "b", "location": "us-central1"},
			map[string]pulumirpc.PropertyDiff_Kind{},
			false,
		},
		{
			"another location", "gcp:storage/bucket:Bucket",
			in{"name": "b", "location": "US-CENTRAL1"},
			in{"name": "b", "location": "us-east1"},
			map[string]pulumirpc.PropertyDiff_Kind{"location": pulumirpc.PropertyDiff_UPDATE_REPLACE},
			true,
		},
		{
			"nested", nodePool,
			in{"name": "n", "cluster": "c", "nodeConfig": in{"diskSizeGb": 1, "spot": false}},
			in{"name": "n", "cluster": "c", "nodeConfig": in{"diskSizeGb": 2, "spot": true}},
			map[string]pulumirpc.PropertyDiff_Kind{
				"nodeConfig.diskSizeGb": pulumirpc.PropertyDiff_UPDATE, "nodeConfig.spot": pulumirpc.PropertyDiff_UPDATE_REPLACE,
			},
			true,
		},
		{
			"block that replaces", nodePool,
			in{"name": "n", "cluster": "c", "nodeConfig": in{}},
			in{"name": "n", "cluster": "c", "nodeConfig": in{"reservationAffinity": in{"consumeReservationType": "ANY"}}},
			map[string]pulumirpc.PropertyDiff_Kind{"nodeConfig.reservationAffinity": pulumirpc.PropertyDiff_ADD_REPLACE},
			true,
		},
		{
			"label with dots", disk,
			in{"name": "d", "labels": in{"a.b/c": "1"}},
			in{"name": "d", "labels": in{}},
			map[string]pulumirpc.PropertyDiff_Kind{`labels["a.b/c"]`: pulumirpc.PropertyDiff_DELETE},
			false,
		},
		{
			"what the cloud computes", disk,
			in{"name": "d", "provisionedIops": 3},
			in{"name": "d"},
			map[string]pulumirpc.PropertyDiff_Kind{},
			false,
		},
		{
			"order of a set", gke,
			in{"name": "g", "nodeLocations": []any{"a", "b"}},
			in{"name": "g", "nodeLocations": []any{"b", "a"}},
			map[string]pulumirpc.PropertyDiff_Kind{},
			false,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := &client{c.ResourceProviderClient, t}
			got := c.diff(row.typ, row.old, row.now)
			kinds := map[string]pulumirpc.PropertyDiff_Kind{}
			for path, d := range got.GetDetailedDiff() {
				kinds[path] = d.GetKind()
			}
			assert.Equal(t, row.want, kinds)
			assert.Equal(t, row.before, got.GetDeleteBeforeReplace())
		})
	}
}
