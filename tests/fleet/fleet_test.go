// Package fleet checks that examples/fleet fits what it is for: the operator's
// and Pulumi Cloud's schemas, the versions of this project, and itself. That the
// environments deploy, tests/thread shows on the real engine.
package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
)

func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{enginetest.Root()}, path...)...))
	require.NoError(t, err)
	return string(text)
}

func example(t *testing.T, path ...string) string {
	t.Helper()
	return read(t, append([]string{"examples", "fleet"}, path...)...)
}

// schema compiles one of the schemas that this package carries.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return s
}

// object is a Kubernetes object, as far as these tests read it.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		Stack, ServiceAccountName, SecretsProvider string
		Prerequisites                              []struct{ Name string }
		WorkspaceTemplate                          struct{ Spec struct{ Image string } }
	}
	Subjects []struct{ Kind, Name, Namespace string }
}

// objects are those of operator.yaml, and the JSON of each.
func objects(t *testing.T) (typed []object, raw [][]byte) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(example(t, "operator.yaml")))
	for {
		var tree any
		err := decoder.Decode(&tree)
		if errors.Is(err, io.EOF) {
			return typed, raw
		}
		require.NoError(t, err)
		text, err := json.Marshal(tree)
		require.NoError(t, err)
		var o object
		require.NoError(t, json.Unmarshal(text, &o))
		typed, raw = append(typed, o), append(raw, text)
	}
}

// environments are the names of the example's environments.
func environments(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(enginetest.Root(), "examples", "fleet", "environments", "Pulumi.*.yaml"))
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "Pulumi."), ".yaml"))
	}
	require.Len(t, names, 2)
	return names
}

func TestStacksFitTheOperator(t *testing.T) {
	t.Parallel()
	s := schema(t, "stack.schema.json")
	typed, raw := objects(t)
	accounts, delegates, stacks := map[string]bool{}, map[string]bool{}, map[string]object{}
	for i, o := range typed {
		switch o.Kind {
		case "Stack":
			// The schema is closed: it must hold what we use, and nothing misspelt.
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw[i]))
			require.NoError(t, err)
			assert.NoError(t, s.Validate(value))
			misspelt, err := jsonschema.UnmarshalJSON(bytes.NewReader(bytes.Replace(raw[i], []byte(`"projectRepo"`), []byte(`"repo"`), 1)))
			require.NoError(t, err)
			assert.Error(t, s.Validate(misspelt))
			stacks[o.Metadata.Name] = o
		case "ServiceAccount":
			accounts[o.Metadata.Namespace+"/"+o.Metadata.Name] = true
		case "ClusterRoleBinding":
			for _, subject := range o.Subjects {
				delegates[subject.Namespace+"/"+subject.Name] = true
			}
		}
	}
	var names []string
	for name, o := range stacks {
		names = append(names, o.Spec.Stack)
		account := o.Metadata.Namespace + "/" + o.Spec.ServiceAccountName
		assert.True(t, accounts[account], "%s: there is no ServiceAccount %s", name, account)
		assert.True(t, delegates[account], "%s: its workspace could not check who calls it", name)
		for _, p := range o.Spec.Prerequisites {
			assert.Contains(t, stacks, p.Name)
		}
	}
	assert.ElementsMatch(t, environments(t), names, "each environment has its Stack")
}

func TestDeploymentSettingsFit(t *testing.T) {
	t.Parallel()
	text := example(t, "deployments.json")
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err)
	s := schema(t, "deployments.schema.json")
	assert.NoError(t, s.Validate(value))
	value, err = jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(text, "executorContext", "executor", 1)))
	require.NoError(t, err)
	assert.Error(t, s.Validate(value))

	var settings struct {
		GitHub struct{ Paths []string }
	}
	require.NoError(t, json.Unmarshal([]byte(text), &settings))
	require.NotEmpty(t, settings.GitHub.Paths)
	for _, path := range settings.GitHub.Paths {
		assert.FileExists(t, filepath.Join(enginetest.Root(), "examples", "fleet", "environments", path))
	}
}

// TestOneImageEverywhere compares what the files say of the image.
func TestOneImageEverywhere(t *testing.T) {
	t.Parallel()
	container := example(t, "Containerfile")
	typed, _ := objects(t)
	images := regexp.MustCompile(`[\w./-]+/deepgram-deployer:v[\d.]+`).FindAllString(example(t, "deployments.json"), -1)
	for _, o := range typed {
		if o.Kind == "Stack" {
			images = append(images, o.Spec.WorkspaceTemplate.Spec.Image)
		}
	}
	require.Len(t, images, 3)
	for _, image := range images {
		assert.Equal(t, images[0], image)
	}
	version := images[0][strings.LastIndex(images[0], ":")+1:]
	assert.Contains(t, container, "tools/release "+version+" linux amd64")
	assert.Contains(t, container, "deepgram-gke-"+version+"-linux-amd64.tar.gz")
	assert.Contains(t, container, "deepgram-deployer:"+version)

	// What is copied is what a release holds.
	release := read(t, "tools", "release")
	programs := regexp.MustCompile(`programs/([\w-]+)`).FindAllStringSubmatch(container, -1)
	require.Len(t, programs, 3)
	for _, m := range programs {
		assert.Contains(t, release, m[1]+":./")
	}
	pack := regexp.MustCompile(`PULUMI_OPTION_POLICY_PACK[="\s:]+([\w/-]+)`)
	assert.Equal(t, "/usr/local/bin/deepgram-policy", pack.FindStringSubmatch(container)[1])
	assert.Equal(t, "/usr/local/bin/deepgram-policy", pack.FindStringSubmatch(example(t, "deployments.json"))[1])

	var project struct {
		Name    string
		Runtime struct {
			Name    string
			Options struct{ Binary string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(example(t, "environments", "Pulumi.yaml")), &project))
	assert.Equal(t, "deepgram-stack", project.Name, "the configuration's keys begin with it")
	assert.Equal(t, "go", project.Runtime.Name)
	assert.Contains(t, container, "programs/"+project.Runtime.Options.Binary+" ")
}

// TestImageHasTheVersionsOfThisProject: a plugin of another version would be
// downloaded, or missed, at the first update.
func TestImageHasTheVersionsOfThisProject(t *testing.T) {
	t.Parallel()
	container, module := example(t, "Containerfile"), read(t, "go.mod")
	for plugin, path := range map[string]string{
		"gcp": "pulumi-gcp/sdk/v7", "kubernetes": "pulumi-kubernetes/sdk/v4", "command": "pulumi-command/sdk",
	} {
		m := regexp.MustCompile(regexp.QuoteMeta("github.com/pulumi/"+path) + ` v([\d.]+)`).FindStringSubmatch(module)
		require.NotNil(t, m, path)
		assert.Regexp(t, `pulumi plugin install resource `+plugin+` `+regexp.QuoteMeta(m[1])+`\s`, container, "as go.mod has it")
	}
	m := regexp.MustCompile(`github.com/pulumi/pulumi/pkg/v3 v([\d.]+)`).FindStringSubmatch(read(t, "tools", "pulumi", "go.mod"))
	require.NotNil(t, m)
	assert.Contains(t, container, "FROM docker.io/pulumi/pulumi:"+m[1]+"-nonroot\n", "the CLI that this project is tested with")
}

func TestEnvironmentsAreValidAndHoldNoSecret(t *testing.T) {
	t.Parallel()
	for _, name := range environments(t) {
		tree, err := config.LoadTree(filepath.Join(enginetest.Root(), "examples", "fleet", "environments", "Pulumi."+name+".yaml"))
		require.NoError(t, err)
		c, err := config.FromTree(name, tree)
		require.NoError(t, err)
		assert.NotEmpty(t, c.Release.APIKey.Reference())
		assert.NotEmpty(t, c.Registry.Distribution.Password.Reference())
		assert.NotEmpty(t, c.Grafana.AdminPassword.Reference())
		assert.NotContains(t, example(t, "environments", "Pulumi."+name+".yaml"), "secure:")
	}
}

// TestInstallFindsNothingToDo runs what `pulumi install` runs in the environments.
func TestInstallFindsNothingToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := example(t, "environments", "go.mod")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(before), 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "mod", "tidy", "-compat=1.18")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	after, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	require.NoError(t, err)
	assert.Equal(t, before, string(after))
}
