package config_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/deepgram-gke/deepgram-gke/config"
)

func TestSmallestIsValid(t *testing.T) {
	t.Parallel()
	c, err := config.FromTree("dev", changed(t))
	require.NoError(t, err)
	assert.Empty(t, c.Missing())
}

// Names that Pulumi and people like for stacks, and any region, give a valid
// environment with the defaults.
func TestDefaultsAreValidEverywhere(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
	for range 200 {
		stack := []byte{'s'}
		for range random.IntN(20) {
			stack = append(stack, letters[random.IntN(len(letters))])
		}
		region := []string{"us-central1", "europe-west10", "northamerica-northeast2", "me-central1"}[random.IntN(4)]
		tree := changed(t, "gcp:region="+region, "gcp:zone="+region+"-"+string("abcf"[random.IntN(4)]))
		_, err := config.FromTree(string(stack), tree)
		require.NoError(t, err, "stack %s in %s", stack, region)
	}
}

func TestProdOmiDerivesTheNamesOfTheGuide(t *testing.T) {
	t.Parallel()
	tree, err := config.LoadTree("../Pulumi.prod-omi.yaml")
	require.NoError(t, err)
	_, err = config.FromTree("prod-omi", tree)
	require.Error(t, err, "secrets are not in the file")
	var problems *config.Error
	require.ErrorAs(t, err, &problems)
	for _, p := range problems.Problems {
		assert.True(t, p.MissingSecret, p.String())
	}
	c, err := config.FromTree("prod-omi", tree, config.AllowMissingSecrets())
	require.NoError(t, err)
	assert.Equal(t, problems.Problems, c.Missing())
	assert.Equal(t, "prod-omi-deepgram-ilb-ip-address", c.Ingress.AddressName)
	assert.Equal(t, "prod-omi-deepgram-grafana-alb-ip-address", c.Grafana.AddressName)
	assert.Equal(t, "prod-omi-deepgram-grafana-alb-cert", c.Grafana.CertificateName)
	assert.True(t, *c.Cluster.DeletionProtection)
	var names []string
	for _, p := range []config.Pool{c.Pools.System, c.Pools.API, c.Pools.Engine, c.Pools.LicenseProxy, c.Pools.Billing} {
		names = append(names, p.Name)
	}
	assert.Equal(t, []string{"system-pool", "api-pool", "engine-pool", "license-proxy-pool", "billing-pool"}, names)
	set, ok := c.Models.ActiveSet()
	require.True(t, ok)
	assert.Equal(t, "prod-omi-deepgram-model-storage", set.Disk.Name)
	assert.Equal(t, "dg-models", set.ChartNamePrefix)

	other := tree.Clone()
	require.NoError(t, other.Set("gcp:project", "another-project"))
	require.NoError(t, other.Set("release.tag", "release-260812"))
	require.NoError(t, other.Set("ingress.host", "dg.example.com"))
	c, err = config.FromTree("staging", other, config.AllowMissingSecrets())
	require.NoError(t, err, "the file is a pattern for other environments")
	assert.Equal(t, "staging-deepgram-cluster", c.Cluster.Name)
	assert.Equal(t, "based-hardware", tree["gcp:project"], "a clone shares nothing")
}

func TestCommittedEnvironmentsFitSchemaAndDecoder(t *testing.T) {
	t.Parallel()
	text, err := config.JSONSchema()
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("schema.json", document))
	schema, err := compiler.Compile("schema.json")
	require.NoError(t, err)
	check := func(text []byte) error {
		var file any
		require.NoError(t, yaml.Unmarshal(text, &file))
		plain, err := json.Marshal(file)
		require.NoError(t, err)
		instance, err := jsonschema.UnmarshalJSON(strings.NewReader(string(plain)))
		require.NoError(t, err)
		return schema.Validate(instance)
	}
	files, err := filepath.Glob("../Pulumi.*.yaml")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 2)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, check(text), file)
		tree, err := config.LoadTree(file)
		require.NoError(t, err)
		stack := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "Pulumi."), ".yaml")
		_, err = config.FromTree(stack, tree, config.AllowMissingSecrets())
		require.NoError(t, err, file)
	}
	for _, bad := range []string{
		"config: {deepgram-stack:relese: {}}", "config: {deepgram-stack:release: {tagg: x}}", "config: {deepgram-stack:grafana: {enabled: 7}}",
		"config: {deepgram-stack:registry: {mode: miror}}", "config: {deepgram-stack:scaling: {engine: {maxReplicas: 0}}}",
		"config: {deepgram-stack:models: {files: [{name: a}]}}", "confg: {}",
	} {
		assert.Error(t, check([]byte(bad)), bad)
	}
	assert.NoError(t, check([]byte("config: {kubernetes:context: a, deepgram-stack:pools: {engine: {gpu: null}}}")))
}

func TestDevIsUnder25Lines(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../Pulumi.dev.yaml")
	require.NoError(t, err)
	assert.Less(t, strings.Count(string(text), "\n"), 25)
}

func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	keys, err := config.Keys()
	require.NoError(t, err)
	assert.Greater(t, len(keys), 150)
	for _, key := range keys {
		assert.NotEmpty(t, key.Text, key.Key)
		assert.NotEmpty(t, key.Type, key.Key)
	}
	text, err := os.ReadFile("../docs/configuration.md")
	require.NoError(t, err)
	for _, want := range []string{"`tag`", "`<role>.gpu.maxSharedClients`", "`certificate.bundleFile`", "`exemptions[].expires`", "`sets.<name>.retire`"} {
		assert.Contains(t, string(text), want)
	}
}

func TestFromEngine(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"gcp:project": "my-project", "gcp:region": "us-central1", "gcp:zone": "us-central1-a", "gcp:accessToken": "x", "pulumi:tags": "{}",
		"deepgram-stack:release":  `{"tag":"release-250331","apiKey":"canary-1"}`,
		"deepgram-stack:registry": `{"distribution":{"username":"u","password":"canary-2"}}`,
		"deepgram-stack:ingress":  `{"host":"dg.example.com","certificate":{"existing":"wild"}}`,
		"deepgram-stack:grafana":  `{"host":"m.example.com","adminPassword":"canary-3","storageGb":"30"}`,
		"deepgram-stack:engine":   `{"resources":{"requests":{"cpu":3.5}}}`,
		// What the engine makes of a date without quotes.
		"deepgram-stack:models": `{"active":"a","sets":{"a":{},"b":{"disk":{"existing":"old"},"retire":"2027-01-31 00:00:00 +0000 UTC"}}}`,
		"deepgram-stack:values": `{"api":{"features":{"entityDetection":true}},"scaling":{"replicas":{"api":2}}}`,
	}
	c, err := config.FromEngine("dev", values)
	require.NoError(t, err)
	assert.Equal(t, "canary-1", c.Release.APIKey.Reveal())
	assert.Equal(t, 30, c.Grafana.StorageGb)
	assert.Equal(t, config.Quantity("3.5"), c.Engine.Resources.Requests.CPU)
	assert.Equal(t, config.Quantity("24Gi"), c.Engine.Resources.Requests.Memory)
	assert.Equal(t, "2027-01-31", c.Models.Sets["b"].Retire)
	assert.Equal(t, 2, c.Values["scaling"].(map[string]any)["replicas"].(map[string]any)["api"])

	values["deepgram-stack:release"] = `{"tag":"release-250331","apiKey":"canary-1"`
	_, err = config.FromEngine("dev", values)
	assert.Equal(t, []string{"deepgram-stack:release: is not a map; allowed: a map of keys and values; see docs/configuration.md, " +
		"and set single keys with pulumi config set --path 'deepgram-stack:release.<key>' <value>"}, lines(err))
}

func TestEncryptedSecretsCountAsGiven(t *testing.T) {
	t.Parallel()
	tree := changed(t, "release.apiKey={secure: djE6}", "registry.distribution.password={secure: djE6}", "grafana.adminPassword={secure: djE6}")
	c, err := config.FromTree("dev", tree)
	require.NoError(t, err)
	assert.True(t, c.Release.APIKey.Encrypted())
	_, err = config.FromTree("dev", changed(t, "release={secure: djE6}"))
	assert.Equal(t, []string{"deepgram-stack:release: [secret] is encrypted, but is no secret and must be readable; " +
		"encrypt only the secrets inside it, and give the rest as plain text"}, lines(err))
}

func TestSet(t *testing.T) {
	t.Parallel()
	tree := changed(t, "pools.engine.machineType=g2-standard-4", "gcp:zone=us-central1-b", "models.files[0].url=https://m.example.com/a.dg",
		"models.files[1].url=https://m.example.com/b.dg", `policy.levels["a.b"]=advisory`, "deepgram-stack:grafana.storageGb=40")
	c, err := config.FromTree("dev", tree)
	require.NoError(t, err)
	assert.Equal(t, "g2-standard-4", c.Pools.Engine.MachineType)
	assert.Equal(t, []string{"us-central1-b"}, c.Cluster.NodeZones)
	assert.Equal(t, "b.dg", c.Models.Files[1].FileName())
	assert.Equal(t, "advisory", c.Policy.Levels["a.b"])
	assert.Equal(t, 40, c.Grafana.StorageGb)
	for _, test := range []struct{ path, value, want string }{
		{"release.tag.x", "1", `setting "release.tag.x": deepgram-stack:release.tag holds a single value, so that nothing below it can be set`},
		{"release.apiKey.x", "1", `setting "release.apiKey.x": deepgram-stack:release.apiKey is encrypted as a whole, so that nothing below it can be set; set all of deepgram-stack:release.apiKey`},
		{"models.files[7].url", "1", `setting "models.files[7].url": deepgram-stack:models.files has 2 elements; the index may be 0 to 2, not 7`},
		{"models.files.first", "1", `setting "models.files.first": deepgram-stack:models.files is a list; use a number instead of "first"`},
		{"release..tag", "1", `setting "release..tag": a name between dots is empty`},
		{"models.files[x]", "1", `setting "models.files[x]": index [x] is not a number; write [0] or ["name"]`},
		{"models.files[0", "1", `setting "models.files[0": an [index] is not closed`},
		{"", "1", `setting "": a path is key.key=value, such as pools.engine.machineType=g2-standard-12 or gcp:zone=us-central1-a`},
	} {
		tree := tree.Clone()
		require.NoError(t, tree.Set("release.apiKey", "{secure: djE6}"))
		before := tree.Clone()
		require.EqualError(t, tree.Set(test.path, test.value), test.want)
		assert.Equal(t, before, tree, "a refused change changes nothing")
	}
}

func TestGPUCanBeRemovedAndPartlySet(t *testing.T) {
	t.Parallel()
	c, err := config.FromTree("dev", changed(t, "pools.engine={machineType: n2-standard-16, gpu: null}"))
	require.NoError(t, err)
	assert.Nil(t, c.Pools.Engine.GPU)
	tree, err := c.Tree(nil)
	require.NoError(t, err)
	again, err := config.FromTree("dev", tree)
	require.NoError(t, err)
	assert.Equal(t, c, again)
	c, err = config.FromTree("dev", changed(t, "pools.engine.gpu={count: 2}"))
	require.NoError(t, err)
	assert.Equal(t, config.GPU{Type: "nvidia-l4", Count: 2, Driver: "LATEST"}, *c.Pools.Engine.GPU)
}

func TestTreeWritesSecretsAsTold(t *testing.T) {
	t.Parallel()
	c, err := config.FromTree("dev", changed(t, "grafana.adminPassword={secretManager: projects/p/secrets/s/versions/1}"))
	require.NoError(t, err)
	tree, err := c.Tree(func(path string, s config.Secret) (any, error) { return map[string]any{"secure": "of " + path}, nil })
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"tag": "release-250331", "apiKey": map[string]any{"secure": "of release.apiKey"}}, tree["deepgram-stack:release"])
	assert.Equal(t, map[string]any{"secretManager": "projects/p/secrets/s/versions/1"}, tree["deepgram-stack:grafana"].(map[string]any)["adminPassword"])
	_, err = c.Tree(func(string, config.Secret) (any, error) { return nil, errors.New("no key") })
	assert.ErrorContains(t, err, "writing secret release.apiKey: no key")
}

func TestSecretsFindsEveryField(t *testing.T) {
	t.Parallel()
	c, err := config.FromTree("prod-omi", parse(t, full))
	require.NoError(t, err)
	required := map[string]bool{}
	for _, s := range c.Secrets() {
		required[s.Path] = s.Required
		if strings.HasSuffix(s.Path, "files[0].url") {
			*s.Secret = config.NewSecret("https://other.example.com/nova-3.dg")
		}
	}
	assert.Equal(t, map[string]bool{
		"release.apiKey": true, "registry.distribution.password": true, "grafana.adminPassword": true, "billing.licenseKey": false,
		"billing.licenseFile": false, "ingress.certificate.key": false, "ingress.previousCertificate.key": false, "models.sets.nova-3.files[0].url": true,
		"billing.backup.s3.accessKeyId": false, "billing.backup.s3.secretAccessKey": false,
	}, required)
	assert.Equal(t, "https://other.example.com/nova-3.dg", c.Models.Sets["nova-3"].Files[0].URL.Reveal(), "what is filled in is in the configuration")
}

func TestErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"release.apiKey", "registry.distribution.password", "grafana.adminPassword", "billing.licenseKey", "billing.licenseFile",
		"ingress.certificate.key", "models.files[0].url",
	} {
		for _, value := range []string{"canary | & text", "[canary]", "{canary: 1}", "{secretManager: canary}"} {
			_, err := config.FromTree("dev", changed(t, path+"="+value))
			if err != nil {
				assert.NotContains(t, strings.ReplaceAll(err.Error(), path+".canary", ""), "canary", path)
			}
		}
	}
}

func FuzzFromTree(f *testing.F) {
	f.Add(full)
	f.Add(smallest)
	for _, test := range bad {
		path, value, _ := strings.Cut(test.change, "=")
		if key, _, ok := strings.Cut(path, "."); ok {
			f.Add("config: {'deepgram-stack:" + key + "': " + value + "}")
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		tree, err := config.ParseTree([]byte(text))
		if err != nil {
			return
		}
		c, err := config.FromTree("fuzz", tree)
		require.NotNil(t, c)
		if err != nil {
			assert.NotEmpty(t, err.Error())
			return
		}
		again, err := c.Tree(nil)
		require.NoError(t, err)
		twin, err := config.FromTree("fuzz", again)
		require.NoError(t, err)
		require.True(t, reflect.DeepEqual(c, twin), "what is written reads back the same")
	})
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		tree, err := config.ParseTree([]byte(full))
		require.NoError(b, err)
		_, err = config.FromTree("prod-omi", tree)
		require.NoError(b, err)
	}
}
