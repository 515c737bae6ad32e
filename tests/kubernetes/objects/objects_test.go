// Package objects tests that a real API server takes every object that this
// project's program registers, in every environment of the repository.
package objects

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// manifests are the objects of an environment, as `rehearse --manifests` writes
// them.
func manifests(t *testing.T, file string, sets ...string) map[string]*unstructured.Unstructured {
	t.Helper()
	stack := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "Pulumi."), ".yaml")
	tree, err := config.LoadTree(file)
	require.NoError(t, err)
	for i := 0; i+1 < len(sets); i += 2 {
		require.NoError(t, tree.Set(sets[i], sets[i+1]))
	}
	result, err := rehearsal.Run(t.Context(), rehearsal.Options{
		Program: stacks.Run, Stack: stack, Tree: tree, Dir: enginetest.Root(),
		Pulumi: enginetest.Pulumi(t), PolicyPack: enginetest.PolicyPack(t),
	})
	require.NoError(t, err)
	objects := map[string]*unstructured.Unstructured{}
	for name, object := range result.Manifests() {
		text, err := yaml.Marshal(object)
		require.NoError(t, err)
		decoded, err := kubetest.Decode(string(text))
		require.NoError(t, err)
		require.Len(t, decoded, 1, name)
		objects[name] = decoded[0]
	}
	return objects
}

func TestAPIServerTakesEveryObject(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(enginetest.Root(), "Pulumi.*.yaml"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 2)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			c := kubetest.Start(t, kubetest.Options{})
			objects := manifests(t, file)
			require.NotEmpty(t, objects)
			for _, name := range inOrder(objects) {
				namespace(t, c, objects[name].GetNamespace())
				assert.NoError(t, c.Check(t.Context(), objects[name]), name)
			}

			// The check can fail: the same object with one field more is refused.
			for name, object := range objects {
				if object.GetKind() == "Ingress" {
					require.NoError(t, unstructured.SetNestedField(object.Object, "x", "spec", "typo"))
					require.ErrorContains(t, c.Check(t.Context(), object), `unknown field "spec.typo"`, name)
				}
			}
		})
	}
}

// TestAPIServerTakesWhatOperatorsRead checks the objects for Prometheus operator,
// Google Managed Prometheus, KEDA, Velero and Backup for GKE.
func TestAPIServerTakesWhatOperatorsRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stack string
		sets  []string
		kinds []string
	}{
		"an existing Prometheus operator, and Velero": {
			"airgapped",
			[]string{"monitoring", "{mode: existing, rules: operator}", "backup.mode", "velero"},
			[]string{"PrometheusRule", "Schedule", "ConfigMap"},
		},
		"Google Managed Prometheus, KEDA and Backup for GKE": {
			"airgapped",
			[]string{
				"monitoring.mode", "google", "scaling.keda.enabled", "true", "backup.mode", "gke", "billing.architecture", "standard",
				"billing.storage", "block", "billing.replicas", "1", "billing.journalGb", "10",
			},
			[]string{"ClusterRules", "PodMonitoring", "ScaledObject", "TriggerAuthentication", "ProtectedApplication", "ConfigMap"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := kubetest.Start(t, kubetest.Options{})
			objects := manifests(t, filepath.Join(enginetest.Root(), "Pulumi."+c.stack+".yaml"), c.sets...)
			checked := map[string]bool{}
			for _, name := range inOrder(objects) {
				namespace(t, cluster, objects[name].GetNamespace())
				assert.NoError(t, cluster.Check(t.Context(), objects[name]), name)
				checked[objects[name].GetKind()] = true
			}
			for _, kind := range c.kinds {
				assert.True(t, checked[kind], kind)
			}
			// An alert without an expression is refused.
			for name, object := range objects {
				if kind := object.GetKind(); kind == "PrometheusRule" || kind == "ClusterRules" {
					broken := []any{map[string]any{"name": "g", "rules": []any{map[string]any{"alert": "A"}}}}
					require.NoError(t, unstructured.SetNestedSlice(object.Object, broken, "spec", "groups"))
					require.Error(t, cluster.Check(t.Context(), object), name)
				}
			}
		})
	}
}

// inOrder are the names of the objects, those of namespaces first: they are
// checked before the test makes them.
func inOrder(objects map[string]*unstructured.Unstructured) []string {
	names := slices.Sorted(maps.Keys(objects))
	slices.SortStableFunc(names, func(a, b string) int {
		rank := func(name string) int {
			if objects[name].GetKind() == "Namespace" {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	})
	return names
}

// namespace makes the namespace that an object is in.
func namespace(t *testing.T, c *kubetest.Cluster, name string) {
	t.Helper()
	if name == "" {
		return
	}
	_, err := c.Client().CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		require.NoError(t, err)
	}
}
