// Package stateful knows which resources hold what cannot be made again: models,
// journals, the cluster. Policies judge by it, and reports warn by it.
package stateful

import (
	"slices"
	"strings"
)

// Claim is a claim of a volume, of which only those for journals hold anything.
const Claim = "kubernetes:core/v1:PersistentVolumeClaim"

var types = []string{
	"gcp:compute/disk:Disk", "gcp:compute/regionDisk:RegionDisk", "gcp:storage/bucket:Bucket",
	"gcp:filestore/instance:Instance", "gcp:container/cluster:Cluster", "gcp:gkebackup/backupPlan:BackupPlan", Claim,
}

// Types are the resource types that can hold state.
func Types() []string { return slices.Clone(types) }

// release has the volumes of Grafana and Prometheus, which the chart makes.
const release = "kubernetes:helm.sh/v3:Release"

// Is tells whether state is lost with a resource of this type and name: because it
// holds state, or because what it made does.
func Is(kind, name string) bool {
	if kind == release {
		return true
	}
	// Of the claims only journals: the loader's come and go.
	return slices.Contains(types, kind) && (kind != Claim || strings.Contains(name, "journal"))
}
