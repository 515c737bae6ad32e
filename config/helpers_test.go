package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// smallest is a complete configuration with nothing that has a default.
const smallest = `
config:
  gcp:project: my-project
  gcp:region: us-central1
  gcp:zone: us-central1-a
  deepgram-stack:release: {tag: release-250331, apiKey: key-for-tests}
  deepgram-stack:registry: {distribution: {username: deepgram+test, password: word}}
  deepgram-stack:ingress: {host: dg.example.com, certificate: {existing: wild}}
  deepgram-stack:grafana: {host: monitor.example.com, adminPassword: swordfish}
`

// changed is smallest with changes: each is written as for --set, and "-path"
// removes a key.
func changed(t testing.TB, changes ...string) config.Tree {
	t.Helper()
	tree, err := config.ParseTree([]byte(smallest))
	require.NoError(t, err)
	for _, change := range changes {
		if path, ok := strings.CutPrefix(change, "-"); ok {
			key, name, nested := strings.Cut(path, ".")
			if !nested {
				delete(tree, key)
				continue
			}
			group, ok := tree["deepgram-stack:"+key].(map[string]any)
			require.True(t, ok, change)
			require.Contains(t, group, name)
			delete(group, name)
			continue
		}
		path, value, ok := strings.Cut(change, "=")
		require.True(t, ok, change)
		require.NoError(t, tree.Set(path, value))
	}
	return tree
}

// lines are the problems of a configuration as people see them.
func lines(err error) []string {
	var problems *config.Error
	if !errors.As(err, &problems) {
		return nil
	}
	var out []string
	for _, p := range problems.Problems {
		out = append(out, p.String())
	}
	return out
}

// splitLines are the changes of a text with one change a line.
func splitLines(text string) []string { return strings.Split(text, "\n") }
