package kubernetes

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/release"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
)

// TestHelmInstallsAndRollsBack: what Helm waits for with --atomic comes true here,
// and what cannot come true is rolled back.
func TestHelmInstallsAndRollsBack(t *testing.T) {
	t.Parallel()
	c := kubetest.Start(t, kubetest.Options{Nodes: []kubetest.FakeNode{{Name: "engine-0", GPUs: 1}, {Name: "engine-1", GPUs: 1}}})
	namespace := c.Namespace(t)
	chart, err := loader.LoadDir("testdata/chart")
	require.NoError(t, err)
	file, cache := c.KubeconfigFile(), t.TempDir()
	flags := genericclioptions.NewConfigFlags(false)
	flags.KubeConfig, flags.Namespace, flags.CacheDir = &file, &namespace, &cache
	configuration := new(action.Configuration)
	require.NoError(t, configuration.Init(flags, namespace, "secret", t.Logf))

	install := action.NewInstall(configuration)
	install.ReleaseName, install.Namespace, install.Atomic, install.Wait, install.Timeout = "small", namespace, true, true, 2*time.Minute
	installed, err := install.RunWithContext(t.Context(), chart, nil)
	require.NoError(t, err)
	assert.Equal(t, release.StatusDeployed, installed.Info.Status)

	upgrade := action.NewUpgrade(configuration)
	upgrade.Namespace, upgrade.Atomic, upgrade.Wait, upgrade.Timeout = namespace, true, true, 10*time.Second
	_, err = upgrade.RunWithContext(t.Context(), "small", chart, map[string]any{"replicas": 3})
	require.ErrorContains(t, err, "rolled back", "there are two GPUs")
	deployment, err := c.Client().AppsV1().Deployments(namespace).Get(t.Context(), "small", metav1.GetOptions{})
	require.NoError(t, err)
	assert.EqualValues(t, 2, *deployment.Spec.Replicas)
}
