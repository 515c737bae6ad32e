// Package adopting makes an environment by hand along the guide in a pretended
// cloud, and brings it under a stack with the real `pulumi import`.
package adopting

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/adoption"
	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

const stack = "prod-omi"

// handMade is the configuration of an environment that was made by hand: its
// certificate, cluster and node pools are named as they are.
func handMade(t *testing.T) config.Tree {
	t.Helper()
	tree, err := config.LoadTree(filepath.Join(enginetest.Root(), "Pulumi."+stack+".yaml"))
	require.NoError(t, err)
	for path, value := range map[string]string{
		"ingress.certificate":   "{existing: dg-omi-me-2026}",
		"ingress.address":       "10.128.0.50",
		"cluster.existing":      "omi-deepgram",
		"cluster.existingPools": "true",
	} {
		require.NoError(t, tree.Set(path, value))
	}
	return tree
}

func open(t *testing.T, tree config.Tree, cloud *standin.Cloud) *rehearsal.Session {
	t.Helper()
	s, err := rehearsal.Open(t.Context(), rehearsal.Options{
		Program: stacks.Run, Stack: stack, Tree: tree, Dir: enginetest.Root(), Pulumi: enginetest.Pulumi(t), Cloud: cloud,
	})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func planOf(t *testing.T, tree config.Tree, o adoption.Options) (*adoption.Plan, error) {
	t.Helper()
	s := open(t, tree, nil)
	_, err := s.Up(t.Context(), rehearsal.StepUp)
	require.NoError(t, err)
	text, err := s.Export(t.Context())
	require.NoError(t, err)
	var state apitype.DeploymentV3
	require.NoError(t, json.Unmarshal(text, &state))
	return adoption.Make(s.Config(), &state, o)
}

// byHand makes what the commands of the guide make, with what they say and no
// more.
func byHand(t *testing.T, cfg *config.Config) *standin.Cloud {
	t.Helper()
	cloud, err := rehearsal.NewCloud(cfg) // has the cluster
	require.NoError(t, err)
	seed := func(typ string, inputs map[string]any) string {
		id, err := cloud.Seed(typ, inputs)
		require.NoError(t, err)
		return id
	}
	prefix := cfg.Environment.NamePrefix
	seed("gcp:artifactregistry/repository:Repository", map[string]any{
		"repositoryId": cfg.Registry.Repository, "location": cfg.Registry.Location, "format": "DOCKER", "mode": "STANDARD_REPOSITORY",
		"description": "Private repository for storing Deepgram container images",
	})
	seed("gcp:compute/subnetwork:Subnetwork", map[string]any{
		"name": prefix + "-proxy-only", "purpose": "REGIONAL_MANAGED_PROXY", "role": "ACTIVE", "region": cfg.GCP.Region,
		"network": "default", "ipCidrRange": cfg.Network.ProxyOnlySubnet.Cidr,
	})
	seed("gcp:compute/firewall:Firewall", map[string]any{
		"name": prefix + "-proxies-to-api", "network": "default", "sourceRanges": []any{cfg.Network.ProxyOnlySubnet.Cidr},
		"allows": []any{map[string]any{"protocol": "tcp", "ports": []any{"8080"}}}, "direction": "INGRESS", "priority": 1000,
	})
	seed("gcp:compute/address:Address", map[string]any{
		"name": prefix + "-ilb-ip-address", "region": cfg.GCP.Region, "subnetwork": "default", "addressType": "INTERNAL",
		"address": "10.128.0.50",
	})
	seed("gcp:compute/globalAddress:GlobalAddress", map[string]any{"name": prefix + "-grafana-alb-ip-address", "addressType": "EXTERNAL"})
	seed("gcp:compute/disk:Disk", map[string]any{
		"name": cfg.Models.ModelSets()[0].Disk.Name, "size": 200, "type": "pd-ssd", "zone": cfg.GCP.Zone,
	})
	cluster := "projects/" + cfg.GCP.Project + "/locations/" + cfg.Cluster.Location + "/clusters/" + cfg.Cluster.Existing
	object := func(typ, version, kind, name string, more map[string]any) {
		inputs := map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}}
		if kind != "Namespace" {
			inputs["metadata"].(map[string]any)["namespace"] = cfg.Release.Namespace
		}
		for key, value := range more {
			inputs[key] = value
		}
		_, err := cloud.SeedKubernetes(cluster, typ, inputs)
		require.NoError(t, err)
	}
	object("kubernetes:core/v1:Namespace", "v1", "Namespace", cfg.Release.Namespace, nil)
	object("kubernetes:core/v1:Secret", "v1", "Secret", "dg-regcred", map[string]any{
		"type": "kubernetes.io/dockerconfigjson", "data": map[string]any{".dockerconfigjson": "e30="},
	})
	object("kubernetes:core/v1:Secret", "v1", "Secret", "dg-self-hosted-api-key", map[string]any{
		"type": "Opaque", "data": map[string]any{"DEEPGRAM_API_KEY": "a2V5"},
	})
	object("kubernetes:networking.gke.io/v1:ManagedCertificate", "networking.gke.io/v1", "ManagedCertificate", cfg.Grafana.CertificateName,
		map[string]any{"spec": map[string]any{"domains": []any{cfg.Grafana.Host}}})
	_, err = cloud.SeedKubernetes(cluster, "kubernetes:helm.sh/v3:Release", map[string]any{
		"name": cfg.Release.Name, "namespace": cfg.Release.Namespace, "chart": "deepgram-self-hosted", "version": "0.10.0",
		"values": map[string]any{}, "atomic": true, "timeout": 3600,
	})
	require.NoError(t, err)
	return cloud
}

// TestAnEnvironmentMadeByHand carries a plan out, and wants what it said.
func TestAnEnvironmentMadeByHand(t *testing.T) {
	t.Parallel()
	tree := handMade(t)
	plan, err := planOf(t, tree, adoption.Options{})
	require.NoError(t, err)
	require.Empty(t, plan.Blocked())
	cfg, err := rehearsal.FilledConfig(stack, tree, enginetest.Root())
	require.NoError(t, err)
	cloud := byHand(t, cfg)
	before := len(cloud.Objects())

	s := open(t, tree, cloud)
	pulumi(t, s, "import", "--file", write(t, plan, adoption.CloudFile))
	provider := plan.Files[adoption.ClusterFile].NameTable["kubernetes"]
	require.NotEmpty(t, provider)
	makeProvider(t, s, provider)
	pulumi(t, s, "import", "--file", write(t, plan, adoption.ClusterFile))
	require.Len(t, cloud.Objects(), before, "nothing was made, changed or removed so far")

	preview, err := s.Preview(t.Context())
	require.NoError(t, err)
	var created, updated []string
	for _, r := range preview.Resources() {
		assert.NotContains(t, r.Op, "replace", "%s: %v", r.URN, r.Replaces)
		assert.NotContains(t, r.Op, "delete", r.URN)
		if strings.HasPrefix(r.Type, "pulumi:") || strings.HasPrefix(r.Type, "deepgram:") {
			continue // the stack's own, and components
		}
		switch r.Op {
		case "create":
			created = append(created, r.URN)
		case "update":
			updated = append(updated, r.URN)
		}
	}
	assert.ElementsMatch(t, urns(plan.Created, nil), created, "what is made was listed, and no other")
	changing := func(i adoption.Item) bool { return i.Change != "" }
	assert.ElementsMatch(t, urns(plan.Imported, changing), updated, "what changes was listed, and no other")

	_, err = s.Up(t.Context(), rehearsal.StepUp)
	require.NoError(t, err)
	again, err := s.Up(t.Context(), rehearsal.StepSecondUp)
	require.NoError(t, err)
	require.Zero(t, again.Changed())
	for _, i := range plan.Imported {
		_, there := cloud.Object(i.Type, i.ID)
		require.True(t, there, "%s is the one that was made by hand", i.ID)
	}
}

func urns(items []adoption.Item, keep func(adoption.Item) bool) (list []string) {
	for _, i := range items {
		if keep == nil || keep(i) {
			list = append(list, i.URN)
		}
	}
	sort.Strings(list)
	return list
}

func write(t *testing.T, plan *adoption.Plan, name string) string {
	t.Helper()
	text, err := json.Marshal(plan.Files[name])
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

func command(t *testing.T) *engine.Command {
	t.Helper()
	c, err := engine.Find(t.Context(), enginetest.Pulumi(t))
	require.NoError(t, err)
	return c
}

// pulumi runs the real command as the plan says.
func pulumi(t *testing.T, s *rehearsal.Session, args ...string) {
	t.Helper()
	var env []string
	for name, value := range s.Environ() {
		env = append(env, name+"="+value)
	}
	env = append(env, "PATH="+withLanguageHost(t))
	args = append(args, "--stack", stack, "--protect=false", "--generate-code=false", "--yes", "--skip-preview")
	out, complaint, _, err := command(t).Run(t.Context(), s.Project(), nil, []io.Writer{}, []io.Writer{}, env, args...)
	require.NoError(t, err, "%s\n%s", out, complaint)
}

// makeProvider is the up with a single target.
func makeProvider(t *testing.T, s *rehearsal.Session, urn string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	target, err := auto.SelectStackInlineSource(ctx, stack, "deepgram-stack", stacks.Run,
		auto.WorkDir(s.Project()), auto.EnvVars(s.Environ()), auto.Pulumi(command(t)), auto.PulumiHome(s.Environ()["PULUMI_HOME"]))
	require.NoError(t, err)
	_, err = target.Up(ctx, optup.Target([]string{urn}), optup.SuppressOutputs())
	require.NoError(t, err)
}

// TestWhatIsListedBeforehand plans for a configuration that cannot be adopted as
// it is.
func TestWhatIsListedBeforehand(t *testing.T) {
	t.Parallel()
	tree, err := config.LoadTree(filepath.Join(enginetest.Root(), "Pulumi."+stack+".yaml"))
	require.NoError(t, err)
	plan, err := planOf(t, tree, adoption.Options{Skip: []string{"ingress-proxy-firewall"}, IDs: map[string]string{"registry-repository": "projects/p/locations/l/repositories/r"}})
	require.NoError(t, err)
	var blocking, known []string
	for _, n := range plan.Notes {
		if n.Blocking {
			blocking = append(blocking, n.Subject)
		} else {
			known = append(known, n.Subject)
		}
	}
	require.Equal(t, []string{"certificate", "cluster"}, blocking)
	require.Equal(t, []string{"chart", "ingress", "node account"}, known)
	has := func(items []adoption.Item, name string) bool {
		return slices.ContainsFunc(items, func(i adoption.Item) bool { return i.Name == name })
	}
	require.True(t, has(plan.Created, "ingress-proxy-firewall"))
	require.False(t, has(plan.Imported, "ingress-proxy-firewall"))
	require.True(t, slices.ContainsFunc(plan.Imported, func(i adoption.Item) bool { return i.ID == "projects/p/locations/l/repositories/r" }))
	text, err := json.Marshal(plan.Files)
	require.NoError(t, err)
	require.NotContains(t, string(text), "PRIVATE KEY")

	_, err = planOf(t, tree, adoption.Options{Skip: []string{"nothing"}})
	require.ErrorContains(t, err, "nothing is no logical name")
}
