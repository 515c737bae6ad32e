package kubernetes

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
)

// helm is Helm for one namespace of a cluster.
func helm(t *testing.T, c *kubetest.Cluster, namespace string) *action.Configuration {
	t.Helper()
	file, cache := c.KubeconfigFile(), t.TempDir()
	flags := genericclioptions.NewConfigFlags(false)
	flags.KubeConfig, flags.Namespace, flags.CacheDir = &file, &namespace, &cache
	configuration := new(action.Configuration)
	require.NoError(t, configuration.Init(flags, namespace, "secret", func(string, ...any) {}))
	return configuration
}

// version is the small chart of billing with a version.
func version(t *testing.T, number string) *chart.Chart {
	t.Helper()
	loaded, err := loader.LoadDir("testdata/billing")
	require.NoError(t, err)
	loaded.Metadata.Version = number
	return loaded
}

// TestChartUpgradeKeepsTheJournal upgrades a release whose journals are on a claim
// of the project's own; then an upgrade fails and is rolled back. No line goes.
func TestChartUpgradeKeepsTheJournal(t *testing.T) {
	t.Parallel()
	n, namespace := node(t)
	require.NoError(t, n.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: dg-billing-journal, namespace: %s}
spec: {storageClassName: standard-rwx, accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}
`, namespace)))
	values := map[string]any{"image": billingImage, "journal": map[string]any{"existingPvcName": "dg-billing-journal"}}
	configuration := helm(t, n.Cluster, namespace)
	install := action.NewInstall(configuration)
	install.ReleaseName, install.Namespace, install.Atomic, install.Wait, install.Timeout = "billing", namespace, true, true, 2*time.Minute
	_, err := install.RunWithContext(t.Context(), version(t, "0.1.0"), values)
	require.NoError(t, err)

	pods := []string{"deepgram-billing-0", "deepgram-billing-1"}
	volume, err := n.VolumePath(t.Context(), namespace, "dg-billing-journal")
	require.NoError(t, err)
	file := func(pod string) string { return filepath.Join(volume, "journal-"+pod, "journal") }
	journals := func() map[string][]byte {
		all := map[string][]byte{}
		for _, pod := range pods {
			linesAtLeast(t, n, file(pod), pod, 50)
			all[pod], err = os.ReadFile(file(pod))
			require.NoError(t, err)
		}
		return all
	}
	// goesOn proves that every journal goes on where it was.
	goesOn := func(before map[string][]byte) {
		for _, pod := range pods {
			lines := bytes.Count(before[pod], []byte("\n"))
			linesAtLeast(t, n, file(pod), pod, lines+50)
			after, err := os.ReadFile(file(pod))
			require.NoError(t, err)
			assert.True(t, bytes.HasPrefix(after, before[pod]), pod)
		}
	}
	claim, err := n.Client().CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), "dg-billing-journal", metav1.GetOptions{})
	require.NoError(t, err)

	before := journals()
	upgrade := func(number string, timeout time.Duration, values map[string]any) error {
		u := action.NewUpgrade(configuration)
		u.Namespace, u.Atomic, u.Wait, u.Timeout = namespace, true, true, timeout
		_, err := u.RunWithContext(t.Context(), "billing", version(t, number), values)
		return err
	}
	require.NoError(t, upgrade("0.2.0", 2*time.Minute, values))
	set, err := n.Client().AppsV1().StatefulSets(namespace).Get(t.Context(), "deepgram-billing", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "billing-0.2.0", set.Spec.Template.Labels["helm.sh/chart"])
	assert.EqualValues(t, 2, set.Status.UpdatedReplicas)
	goesOn(before)

	before = journals()
	broken := map[string]any{"image": "quay.io/deepgram/self-hosted-billing:none", "journal": values["journal"]}
	// Helm rolls back and waits in vain: a StatefulSet does not replace a pod that
	// never became ready. The other replica has not been touched.
	require.ErrorContains(t, upgrade("0.3.0", 15*time.Second, broken), "rolling back")
	pod, err := n.Client().CoreV1().Pods(namespace).Get(t.Context(), "deepgram-billing-0", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "billing-0.2.0", pod.Labels["helm.sh/chart"])
	n.Kubectl(t, "-n", namespace, "delete", "pod", "-l", "app=deepgram-billing,helm.sh/chart=billing-0.3.0", "--ignore-not-found")
	for _, pod := range pods {
		n.PodReady(t, namespace, pod)
	}
	goesOn(before)
	same, err := n.Client().CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), "dg-billing-journal", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, claim.UID, same.UID)
	assert.Equal(t, claim.Spec.VolumeName, same.Spec.VolumeName)

	_, err = action.NewUninstall(configuration).Run("billing")
	require.NoError(t, err)
	same, err = n.Client().CoreV1().PersistentVolumeClaims(namespace).Get(t.Context(), "dg-billing-journal", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Nil(t, same.DeletionTimestamp, "the journals outlive the release")
}

// TestChartsOwnClaimsCannotBeUpgraded is why the project has a claim of its own.
func TestChartsOwnClaimsCannotBeUpgraded(t *testing.T) {
	t.Parallel()
	n, namespace := node(t)
	configuration := helm(t, n.Cluster, namespace)
	install := action.NewInstall(configuration)
	install.ReleaseName, install.Namespace, install.Wait, install.Timeout = "billing", namespace, true, 2*time.Minute
	values := map[string]any{"image": billingImage, "replicas": 1}
	_, err := install.RunWithContext(t.Context(), version(t, "0.1.0"), values)
	require.NoError(t, err)
	upgrade := action.NewUpgrade(configuration)
	upgrade.Namespace, upgrade.Timeout = namespace, time.Minute
	_, err = upgrade.RunWithContext(t.Context(), "billing", version(t, "0.2.0"), values)
	require.ErrorContains(t, err, "updates to statefulset spec for fields other than")
}
