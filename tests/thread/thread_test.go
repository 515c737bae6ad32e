// Package thread tests the whole thread, from a configuration file through the
// real Pulumi engine to outputs: the program of package stacks against the
// stand-ins, with the compiled policy pack.
package thread

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// soak tells whether the long tests run: every fault at every call.
func soak() bool { return os.Getenv("SOAK") != "" }

// environment reads one of the project's own environments.
func environment(t testing.TB, stack string, sets ...string) config.Tree {
	t.Helper()
	tree, err := config.LoadTree(filepath.Join(enginetest.Root(), "Pulumi."+stack+".yaml"))
	require.NoError(t, err)
	for i := 0; i+1 < len(sets); i += 2 {
		require.NoError(t, tree.Set(sets[i], sets[i+1]))
	}
	return tree
}

// options are those of a rehearsal of one of the project's environments.
func options(t testing.TB, stack string, sets ...string) rehearsal.Options {
	t.Helper()
	return rehearsal.Options{
		Program: stacks.Run, Stack: stack, Tree: environment(t, stack, sets...), Dir: enginetest.Root(),
		Pulumi: enginetest.Pulumi(t), PolicyPack: enginetest.PolicyPack(t),
	}
}

// rehearse runs a rehearsal that must succeed.
func rehearse(t testing.TB, o rehearsal.Options) *rehearsal.Result {
	t.Helper()
	result, err := rehearsal.Run(t.Context(), o)
	require.NoError(t, err)
	return result
}

func byType(resources []rehearsal.Resource) map[string][]rehearsal.Resource {
	m := map[string][]rehearsal.Resource{}
	for _, r := range resources {
		m[r.Type] = append(m[r.Type], r)
	}
	return m
}

func TestProdOmi(t *testing.T) {
	t.Parallel()
	o := options(t, "prod-omi")
	o.Destroy = true
	result := rehearse(t, o)

	names := make([]string, 0, len(result.Steps))
	for _, step := range result.Steps {
		names = append(names, step.Name)
	}
	require.Equal(t, []string{"preview", "up", "second-up", "destroy"}, names)
	require.Equal(t, result.Steps[0].Changes, result.Steps[1].Changes, "preview foretells up")
	require.Len(t, result.Steps[2].Changes, 1, "the second up changes nothing: %v", result.Steps[2].Changes)
	require.Positive(t, result.Steps[2].Changes["same"])

	types := byType(result.Resources)
	for token, count := range map[string]int{
		"deepgram:index:Registry":                                      1,
		"deepgram:index:IngressNetwork":                                1,
		"deepgram:index:GpuCluster":                                    1,
		"deepgram:index:ModelVolume":                                   1,
		"deepgram:index:DeepgramRelease":                               1,
		"gcp:artifactregistry/repository:Repository":                   1, // G-II.2
		"gcp:artifactregistry/repositoryIamMember:RepositoryIamMember": 1,
		"gcp:compute/subnetwork:Subnetwork":                            1, // G-III.1
		"gcp:compute/firewall:Firewall":                                1, // G-III.2
		"gcp:compute/address:Address":                                  1, // G-III.3
		"gcp:compute/regionSslCertificate:RegionSslCertificate":        1, // G-IV.2
		"gcp:compute/globalAddress:GlobalAddress":                      1, // G-V.1
		"gcp:container/cluster:Cluster":                                1, // G-C.1
		"gcp:container/nodePool:NodePool":                              4, // G-C.2 and the system pool
		"gcp:serviceaccount/account:Account":                           1,
		"gcp:compute/disk:Disk":                                        1, // G-S.1
		"kubernetes:core/v1:Namespace":                                 1, // G-C.3
		"kubernetes:core/v1:Service":                                   2, // API and Grafana
		"kubernetes:cloud.google.com/v1:BackendConfig":                 2, // API and Grafana
		"kubernetes:networking.k8s.io/v1:Ingress":                      2,
		"kubernetes:networking.gke.io/v1:ManagedCertificate":           1, // G-V.2
		"kubernetes:helm.sh/v3:Release":                                1, // G-D.1
	} {
		require.Len(t, types[token], count, token)
	}
	require.GreaterOrEqual(t, len(types["kubernetes:core/v1:Secret"]), 2, "G-K.1")

	parents := map[string]string{}
	for _, r := range result.Resources {
		parents[r.URN] = r.Type
	}
	for _, r := range result.Resources {
		switch {
		case r.Type == "pulumi:pulumi:Stack" || len(r.Type) > 16 && r.Type[:17] == "pulumi:providers:":
		case len(r.Type) > 15 && r.Type[:15] == "deepgram:index:":
			require.Equal(t, "pulumi:pulumi:Stack", parents[r.Parent], r.URN)
		default:
			require.Contains(t, parents[r.Parent], "deepgram:index:", r.URN)
		}
	}

	for _, name := range []string{
		"apiUrl", "apiAddress", "grafanaUrl", "grafanaAddress", "registry", "images", "cluster", "kubeconfig",
		"namespace", "modelVolume", "dnsRecords",
	} {
		require.Contains(t, result.Outputs, name)
	}
	require.Equal(t, "https://dg.omi.me", result.Outputs["apiUrl"])
	require.Equal(t, "[secret]", result.Outputs["kubeconfig"])
	require.Equal(t, "us-central1-docker.pkg.dev/based-hardware/deepgram", result.Outputs["registry"])

	require.NotEmpty(t, result.Retained)
	require.Contains(t, result.Retained[0], "prod-omi-deepgram-model-storage")
}

func TestEveryEnvironmentOfTheProject(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(enginetest.Root(), "Pulumi.*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		stack := filepath.Base(file)
		stack = stack[len("Pulumi.") : len(stack)-len(".yaml")]
		if stack == "prod-omi" {
			continue // TestProdOmi
		}
		t.Run(stack, func(t *testing.T) {
			t.Parallel()
			o := options(t, stack)
			o.Destroy = true
			rehearse(t, o)
		})
	}
}

func TestBadInputCreatesNothing(t *testing.T) {
	t.Parallel()
	o := options(t, "prod-omi", "pools.engine.maxNodes", "3", "gcp:zone", "europe-west1-b", "scaling.engine.maxReplica", "4")
	o.Cloud = standin.NewCloud()
	var seen int
	o.Sink = func(events.EngineEvent) { seen++ }
	result, err := rehearsal.Run(t.Context(), o)
	var bad *config.Error
	require.ErrorAs(t, err, &bad)
	require.ErrorContains(t, err, "deepgram-stack:scaling.engine.maxReplica")
	require.ErrorContains(t, err, "gcp:zone")
	require.ErrorContains(t, err, "deepgram-stack:pools.engine.maxNodes")
	require.Empty(t, result.Steps, "the engine was not started")
	require.Zero(t, seen)
	require.Empty(t, o.Cloud.Calls())
}
