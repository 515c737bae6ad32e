package components

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// cloudRecorder records registrations and lookups, and answers what Google
// Cloud would.
type cloudRecorder struct {
	mu     sync.Mutex
	regs   []pulumi.MockResourceArgs
	calls  []pulumi.MockCallArgs
	lookup map[string]map[string]any
	// stdout is what commands print.
	stdout string
}

// computed are outputs that the cloud adds, by type.
var computed = map[string]map[string]any{
	"gcp:compute/address:Address":             {"address": "10.128.0.50"},
	"gcp:compute/globalAddress:GlobalAddress": {"address": "203.0.113.7"},
	"gcp:container/cluster:Cluster": {
		"endpoint": "198.51.100.1", "masterAuth": map[string]any{"clusterCaCertificate": "Q0E="},
	},
}

func (r *cloudRecorder) NewResource(a pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.regs = append(r.regs, a)
	out := a.Inputs.Copy()
	maps.Copy(out, resource.NewPropertyMapFromMap(computed[a.TypeToken]))
	for key, from := range map[string]string{"email": "accountId", "name": "secret"} {
		if v, ok := a.Inputs[resource.PropertyKey(from)]; ok && v.IsString() {
			out[resource.PropertyKey(key)] = resource.NewProperty(v.StringValue() + "@computed")
		}
	}
	if a.TypeToken == "command:local:Command" {
		out["stdout"] = resource.NewProperty(r.stdout)
	}
	if id, ok := a.Inputs["repositoryId"]; ok {
		out["name"] = id
	}
	return a.Name + "-id", out, nil
}

func (r *cloudRecorder) Call(a pulumi.MockCallArgs) (resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, a)
	return resource.NewPropertyMapFromMap(r.lookup[a.Token]), nil
}

// reg is the registration of a logical name; there must be exactly one.
func (r *cloudRecorder) reg(t *testing.T, name string) pulumi.MockResourceArgs {
	t.Helper()
	var found []pulumi.MockResourceArgs
	for _, reg := range r.regs {
		if reg.Name == name {
			found = append(found, reg)
		}
	}
	require.Len(t, found, 1, "resources named %q of %v", name, r.names(""))
	return found[0]
}

// names are the logical names of a type's resources; "" means all.
func (r *cloudRecorder) names(token string) (names []string) {
	for _, reg := range r.regs {
		if token == "" || reg.TypeToken == token {
			names = append(names, reg.Name)
		}
	}
	slices.Sort(names)
	return names
}

// record runs a program against the recorder.
func record(t *testing.T, r *cloudRecorder, body pulumi.RunFunc, opts ...pulumi.RunOption) *cloudRecorder {
	t.Helper()
	if r == nil {
		r = &cloudRecorder{}
	}
	require.NoError(t, pulumi.RunErr(body, append([]pulumi.RunOption{pulumi.WithMocks("deepgram", "test", r)}, opts...)...))
	return r
}

// await is the value of an output, which must be known.
func await[T any](t *testing.T, o pulumi.Output) T {
	t.Helper()
	got, err := internals.UnsafeAwaitOutput(t.Context(), o)
	require.NoError(t, err)
	require.True(t, got.Known, "the output is not known")
	return got.Value.(T)
}

// settled is a configuration with everything derived, as a program has it.
func settled(t *testing.T, prefix string) *config.Config {
	t.Helper()
	c := config.Default()
	c.Stack = "test"
	c.GCP = config.GCP{Project: "acme-speech", Region: "us-central1", Zone: "us-central1-a"}
	c.Environment.NamePrefix = prefix
	c.Ingress.Host, c.Grafana.Host = prefix+".example.com", prefix+"-monitor.example.com"
	c.Ingress.Address = "10.128.0.50"
	c.Complete()
	return c
}

func clusterArgs(c *config.Config) *GpuClusterArgs {
	return &GpuClusterArgs{
		Project: c.GCP.Project, Region: c.GCP.Region, EngineZone: c.GCP.Zone, NamePrefix: c.Environment.NamePrefix,
		Cluster: c.Cluster, Pools: c.Pools, Network: c.Network, LicenseProxy: true,
		Labels: map[string]string{"team": "voice"},
	}
}

func registryArgs(c *config.Config, mode string) *RegistryArgs {
	return &RegistryArgs{
		Mode: mode, Project: c.GCP.Project, Location: c.GCP.Region, Repository: c.Environment.NamePrefix,
		NamePrefix: c.Environment.NamePrefix,
	}
}

func networkArgs(c *config.Config) *IngressNetworkArgs {
	return &IngressNetworkArgs{
		Project: c.GCP.Project, Region: c.GCP.Region, NamePrefix: c.Environment.NamePrefix,
		Network: "default", Subnetwork: "default", ProxyOnlySubnet: c.Network.ProxyOnlySubnet,
		TargetTags: []string{c.Environment.NamePrefix + "-nodes"},
		API: &APIEntrance{
			Host: c.Ingress.Host, Address: c.Ingress.Address,
			Certificate: CertificateArgs{Bundle: "bundle of " + c.Environment.NamePrefix, Key: pulumi.String("key")},
		},
		Grafana: &GrafanaEntrance{Host: c.Grafana.Host},
	}
}

func volumeArgs(c *config.Config) *ModelVolumeArgs {
	return &ModelVolumeArgs{
		Project: c.GCP.Project, Zone: c.GCP.Zone,
		Disk: config.Disk{Name: c.Environment.NamePrefix + "-model-storage", SizeGb: 200, Type: "pd-ssd"},
	}
}

// everything is a program with one of each component.
func everything(ctx *pulumi.Context, c *config.Config, name string, proxyRange pulumi.StringInput) (*IngressNetwork, error) {
	cluster, err := NewGpuCluster(ctx, name+"-cluster", clusterArgs(c))
	if err != nil {
		return nil, err
	}
	registry := registryArgs(c, RegistryPullThrough)
	registry.Username, registry.Password = pulumi.String("deepgram+acme"), pulumi.String("canary-password")
	registry.Readers = map[string]pulumi.StringInput{"nodes": cluster.NodeServiceAccountEmail}
	if _, err = NewRegistry(ctx, name+"-registry", registry); err != nil {
		return nil, err
	}
	if _, err = NewModelVolume(ctx, name+"-models", volumeArgs(c)); err != nil {
		return nil, err
	}
	network := networkArgs(c)
	network.ProxyRange = proxyRange
	network.TargetTags = cluster.NodeTags
	if given := c.Ingress.Certificate; given.Bundle != "" {
		network.API.Certificate = CertificateArgs{Bundle: given.Bundle, Key: pulumi.String(given.Key.Reveal())}
	}
	return NewIngressNetwork(ctx, name+"-network", network)
}

// selfSigned is a certificate of a host and its key.
func selfSigned(t *testing.T, host string) (bundle, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotAfter: time.Now().AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	raw, err := x509.MarshalECPrivateKey(private)
	require.NoError(t, err)
	encode := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", raw)
}

// twoOfEverything has two environments beside each other in one network.
func twoOfEverything(t *testing.T) pulumi.RunFunc {
	first, second := settled(t, "nova-2"), settled(t, "nova-3")
	second.Ingress.Address = "10.128.0.51"
	for _, c := range []*config.Config{first, second} {
		bundle, key := selfSigned(t, c.Ingress.Host)
		c.Ingress.Certificate = config.Certificate{Bundle: bundle, Key: config.NewSecret(key)}
	}
	return func(ctx *pulumi.Context) error {
		network, err := everything(ctx, first, "a", nil)
		if err != nil {
			return err
		}
		_, err = everything(ctx, second, "b", network.ProxyRange)
		return err
	}
}

var projectNumber = map[string]map[string]any{"gcp:organizations/getProject:getProject": {"number": "1234567890"}}

func TestTwoOfEverythingDoNotClash(t *testing.T) {
	t.Parallel()
	rec := record(t, &cloudRecorder{lookup: projectNumber}, twoOfEverything(t))
	urns, objects := map[string]bool{}, map[string]string{}
	for _, reg := range rec.regs {
		urn := reg.RegisterRPC.GetParent() + "$" + reg.TypeToken + "::" + reg.Name
		assert.False(t, urns[urn], "two resources are %s", urn)
		urns[urn] = true

		// What the cloud knows an object by. Switching on an API twice is no clash.
		id := reg.TypeToken
		for _, key := range []resource.PropertyKey{
			"name", "accountId", "repositoryId", "secretId", "repository", "secret", "cluster", "location", "project", "role", "member",
		} {
			if v, ok := reg.Inputs[key]; ok && v.IsString() {
				id += "|" + v.StringValue()
			}
		}
		if !strings.HasPrefix(reg.TypeToken, "gcp:") || reg.TypeToken == "gcp:projects/service:Service" {
			continue
		}
		assert.Empty(t, objects[id], "%s and %s are the same object %s", reg.Name, objects[id], id)
		objects[id] = reg.Name
	}
	assert.Len(t, rec.names("gcp:container/cluster:Cluster"), 2)
	assert.Equal(t, []string{"a-network-proxy-subnet"}, rec.names("gcp:compute/subnetwork:Subnetwork"), "one in a network")
	assert.Equal(t, "192.168.100.0/23", inputsOf(rec.reg(t, "b-network-proxy-firewall"))["sourceRanges"].([]any)[0])
}

// TestNothingWaitsForAComponent: what depends on a component as a whole depends
// on a random part of it.
func TestNothingWaitsForAComponent(t *testing.T) {
	t.Parallel()
	rec := record(t, &cloudRecorder{lookup: projectNumber}, twoOfEverything(t))
	children := 0
	for _, reg := range rec.regs {
		for _, urn := range reg.RegisterRPC.GetDependencies() {
			assert.NotContains(t, typeOfURN(urn), "deepgram:", "%s waits for %s", reg.Name, urn)
		}
		if !strings.HasPrefix(reg.TypeToken, "deepgram:") {
			children++
			assert.Contains(t, reg.RegisterRPC.GetParent(), "deepgram:index:", "%s has no component as parent", reg.Name)
		}
	}
	assert.Greater(t, children, 50)
}

// TestIndependentThingsAreParallel: long operations must not queue up.
func TestIndependentThingsAreParallel(t *testing.T) {
	t.Parallel()
	rec := record(t, &cloudRecorder{lookup: projectNumber}, func(ctx *pulumi.Context) error {
		_, err := everything(ctx, settled(t, "acme"), "a", nil)
		return err
	})
	account := []string{"a-cluster-service-account"}
	apis := []string{"a-cluster-api-compute", "a-cluster-api-container", "a-cluster-api-containerfilesystem"}
	assert.Equal(t, apis, dependsOn(rec.reg(t, "a-cluster-service-account")))
	assert.Equal(t, append(slices.Clone(apis), account...), dependsOn(rec.reg(t, "a-cluster-cluster")),
		"the cluster does not wait for roles")
	assert.Equal(t, account, dependsOn(rec.reg(t, "a-cluster-role-node")))
	for _, role := range []string{"system", "api", "engine", "license-proxy"} {
		assert.Equal(t, []string{"a-cluster-cluster", "a-cluster-service-account"},
			dependsOn(rec.reg(t, "a-cluster-pool-"+role)), "pools wait for the cluster, not for each other")
	}
	assert.Empty(t, dependsOn(rec.reg(t, "a-models-disk")), "the disk waits for nothing")
	for _, name := range []string{"a-network-address", "a-network-grafana-address", "a-network-proxy-subnet"} {
		assert.Equal(t, []string{"a-network-api-compute"}, dependsOn(rec.reg(t, name)))
	}
}

// TestLeastPrivilege lists every role that the components grant, and on what.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	rec := record(t, &cloudRecorder{lookup: projectNumber}, func(ctx *pulumi.Context) error {
		_, err := everything(ctx, settled(t, "acme"), "a", nil)
		return err
	})
	var grants []string
	for _, reg := range rec.regs {
		if role, ok := reg.Inputs["role"]; ok && reg.TypeToken != "gcp:compute/subnetwork:Subnetwork" {
			grants = append(grants, reg.TypeToken+" "+role.StringValue())
		}
	}
	assert.ElementsMatch(t, []string{
		"gcp:projects/iAMMember:IAMMember roles/container.defaultNodeServiceAccount",
		"gcp:projects/iAMMember:IAMMember roles/serviceusage.serviceUsageConsumer",
		"gcp:artifactregistry/repositoryIamMember:RepositoryIamMember roles/artifactregistry.reader",
		"gcp:secretmanager/secretIamMember:SecretIamMember roles/secretmanager.secretAccessor",
	}, grants)
	for _, reg := range rec.regs {
		assert.NotContains(t, reg.TypeToken, "serviceaccount/key", "keys are never made")
	}
}

func TestNoSecretInInputsOfComponents(t *testing.T) {
	t.Parallel()
	rec := record(t, &cloudRecorder{lookup: projectNumber}, func(ctx *pulumi.Context) error {
		_, err := everything(ctx, settled(t, "acme"), "a", nil)
		return err
	})
	for _, reg := range rec.regs {
		if strings.HasPrefix(reg.TypeToken, "deepgram:") {
			assert.NotContains(t, reg.RegisterRPC.String(), "canary-password", reg.TypeToken)
		}
	}
	assert.True(t, rec.reg(t, "a-registry-secret-version").Inputs["secretData"].IsSecret())
}

func TestErrorsNameComponentAndArgument(t *testing.T) {
	t.Parallel()
	record(t, nil, func(ctx *pulumi.Context) error {
		for want, make := range map[string]func() error{
			`registry "x": Mode: is required`:            func() error { _, err := NewRegistry(ctx, "x", nil); return err },
			`ingress network "x": Project: is required`:  func() error { _, err := NewIngressNetwork(ctx, "x", nil); return err },
			`gpu cluster "x": Project: is required`:      func() error { _, err := NewGpuCluster(ctx, "x", nil); return err },
			`model volume "x": Project: is required, su`: func() error { _, err := NewModelVolume(ctx, "x", nil); return err },
		} {
			require.ErrorContains(t, make(), want)
		}
		return nil
	})
}

func TestShorten(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "acme-nodes", shorten("acme-nodes", 30))
	long := shorten("a-rather-long-environment-name-deepgram-nodes", 30)
	assert.Len(t, long, 30)
	assert.Equal(t, long, shorten("a-rather-long-environment-name-deepgram-nodes", 30))
	assert.NotEqual(t, long, shorten("a-rather-long-environment-name-deepgram-other-nodes", 30))
	assert.Regexp(t, `^[a-z][-a-z0-9]*[a-z0-9]$`, shorten("abcdefghijklmnopqrst-uvwxyz0123456789", 30))
}
