package kubernetes

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
)

func TestClusterAnswers(t *testing.T) {
	t.Parallel()
	c := kubetest.Start(t, kubetest.Options{})

	version, err := c.Client().Discovery().ServerVersion()
	require.NoError(t, err)
	assert.Equal(t, "v1.34.4", version.GitVersion)
	assert.Equal(t, "34", version.Minor, "Helm compares it with a chart's kubeVersion")

	config, err := clientcmd.RESTConfigFromKubeConfig(c.Kubeconfig())
	require.NoError(t, err)
	assert.Equal(t, c.Config().Host, config.Host)
	assert.NotEmpty(t, config.CAData, "the kubeconfig is complete in itself")

	assert.Contains(t, c.Kubectl(t, "version"), "Server Version: v1.34.4")
	assert.Equal(t, "standard-rwo", strings.TrimSpace(c.Kubectl(t, "get", "storageclass", "-o",
		`jsonpath={.items[?(@.metadata.annotations.storageclass\.kubernetes\.io/is-default-class=="true")].metadata.name}`)))
}

func TestClustersAreApart(t *testing.T) {
	t.Parallel()
	a, b := kubetest.Start(t, kubetest.Options{}), kubetest.Start(t, kubetest.Options{})
	namespace := a.Namespace(t)
	_, err := b.Client().CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
	require.ErrorContains(t, err, "not found")

	config := a.Config()
	config.Host = b.Config().Host
	_, err = clientFor(t, config).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	require.ErrorContains(t, err, "certificate", "each trusts only itself")
}

func TestCustomKindsAreChecked(t *testing.T) {
	t.Parallel()
	c := kubetest.Start(t, kubetest.Options{})
	for name, row := range map[string]struct{ text, wrong string }{
		"backend config": {`{apiVersion: cloud.google.com/v1, kind: BackendConfig, metadata: {name: a},
			spec: {timeoutSec: 86400, connectionDraining: {drainingTimeoutSec: 60}, healthCheck: {type: HTTP, requestPath: /v1/status, port: 8080}}}`, ""},
		"backend config, misspelt": {`{apiVersion: cloud.google.com/v1, kind: BackendConfig, metadata: {name: a},
			spec: {timeoutSecs: 60}}`, `unknown field "spec.timeoutSecs"`},
		"backend config, text for a number": {`{apiVersion: cloud.google.com/v1, kind: BackendConfig, metadata: {name: a},
			spec: {timeoutSec: "60"}}`, "spec.timeoutSec"},
		"backend config, another version": {`{apiVersion: cloud.google.com/v1beta1, kind: BackendConfig, metadata: {name: a}}`, "no matches"},
		"frontend config": {`{apiVersion: networking.gke.io/v1beta1, kind: FrontendConfig, metadata: {name: a},
			spec: {sslPolicy: p, redirectToHttps: {enabled: true, responseCodeName: PERMANENT_REDIRECT}}}`, ""},
		"frontend config, unknown code": {`{apiVersion: networking.gke.io/v1beta1, kind: FrontendConfig, metadata: {name: a},
			spec: {redirectToHttps: {enabled: true, responseCodeName: "301"}}}`, "Unsupported value"},
		"managed certificate": {`{apiVersion: networking.gke.io/v1, kind: ManagedCertificate, metadata: {name: a},
			spec: {domains: [dg-monitor.omi.me]}}`, ""},
		"managed certificate, wildcard": {`{apiVersion: networking.gke.io/v1, kind: ManagedCertificate, metadata: {name: a},
			spec: {domains: ["*.omi.me"]}}`, "spec.domains[0]"},
		"alert rules": {`{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, metadata: {name: a},
			spec: {groups: [{name: g, interval: 30s, rules: [{alert: A, expr: up == 0, for: 5m, labels: {severity: page}}]}]}}`, ""},
		"alert rules without expression": {`{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, metadata: {name: a},
			spec: {groups: [{name: g, rules: [{alert: A}]}]}}`, "expr: Required value"},
		"alert rules, odd time": {`{apiVersion: monitoring.coreos.com/v1, kind: PrometheusRule, metadata: {name: a},
			spec: {groups: [{name: g, rules: [{alert: A, expr: up, for: five}]}]}}`, ".for"},
		"service monitor": {`{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: a},
			spec: {selector: {matchLabels: {app: a}}, endpoints: [{port: metrics, interval: 15s}]}}`, ""},
		"service monitor without selector": {`{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: a},
			spec: {endpoints: [{port: metrics}]}}`, "spec.selector: Required value"},
		"deployment, misspelt": {`{apiVersion: v1, kind: Service, metadata: {name: a},
			spec: {ports: [{port: 80}], typ: ClusterIP}}`, `unknown field "spec.typ"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			objects, err := kubetest.Decode(row.text)
			require.NoError(t, err)
			require.Len(t, objects, 1)
			err = c.Check(t.Context(), objects[0])
			if row.wrong == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, row.wrong)
			}
		})
	}
}

func gpuPod(name, gpus string) string {
	return `{apiVersion: v1, kind: Pod, metadata: {name: ` + name + `}, spec: {
		tolerations: [{key: nvidia.com/gpu, operator: Exists}],
		nodeSelector: {k8s.deepgram.com/node-type: engine},
		containers: [{name: engine, image: none, resources: {limits: {nvidia.com/gpu: "` + gpus + `"}}}]}}`
}

func TestGPUsAreCounted(t *testing.T) {
	t.Parallel()
	engine := func(name string) kubetest.FakeNode {
		return kubetest.FakeNode{Name: name, GPUs: 1, Labels: map[string]string{"k8s.deepgram.com/node-type": "engine"}}
	}
	c := kubetest.Start(t, kubetest.Options{Nodes: []kubetest.FakeNode{engine("engine-0"), {Name: "api-0"}}})
	require.NoError(t, c.Apply(t.Context(), gpuPod("first", "1")))
	assert.Equal(t, "engine-0", c.PodReady(t, "default", "first").Spec.NodeName)

	require.NoError(t, c.Apply(t.Context(), gpuPod("second", "1")))
	c.Eventually(t, "the second pod to be refused", func(ctx context.Context) (bool, error) {
		pod, err := c.Client().CoreV1().Pods("default").Get(ctx, "second", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable {
				return strings.Contains(condition.Message, "Insufficient nvidia.com/gpu"), nil
			}
		}
		return false, nil
	})

	require.NoError(t, c.AddNode(t.Context(), engine("engine-1")))
	assert.Equal(t, "engine-1", c.PodReady(t, "default", "second").Spec.NodeName)
}

func TestClaimsAreServed(t *testing.T) {
	t.Parallel()
	c := kubetest.Start(t, kubetest.Options{Nodes: []kubetest.FakeNode{{Name: "node-0"}}})
	claim := func(name, class, mode string) string {
		return `
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: ` + name + `}, spec: {
  storageClassName: ` + class + `, accessModes: [` + mode + `], resources: {requests: {storage: 1Gi}}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: ` + name + `}, spec: {
  containers: [{name: a, image: none, volumeMounts: [{name: v, mountPath: /v}]}],
  volumes: [{name: v, persistentVolumeClaim: {claimName: ` + name + `}}]}}`
	}
	require.NoError(t, c.Apply(t.Context(), claim("disk", "standard-rwo", "ReadWriteOnce")+
		claim("files", "standard-rwx", "ReadWriteMany")+claim("wrong", "standard-rwo", "ReadWriteMany")))
	c.PodReady(t, "default", "disk")
	c.PodReady(t, "default", "files")

	path, err := c.VolumePath(t.Context(), "default", "disk")
	require.NoError(t, err)
	assert.DirExists(t, path)
	_, err = c.VolumePath(t.Context(), "default", "wrong")
	require.ErrorContains(t, err, "not bound", "a disk is written to by one node")

	c.Kubectl(t, "delete", "pod", "disk", "--force", "--grace-period=0")
	c.Kubectl(t, "delete", "pvc", "disk")
	c.Eventually(t, "the volume to be removed", func(context.Context) (bool, error) {
		_, err := os.Stat(path)
		return os.IsNotExist(err), nil
	})
}

func TestAPIServerRestarts(t *testing.T) {
	t.Parallel()
	c := kubetest.Start(t, kubetest.Options{})
	namespace := c.Namespace(t)
	require.NoError(t, c.RestartAPIServer(t.Context(), func() {
		_, err := c.Client().CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
		require.ErrorContains(t, err, "connection refused")
	}))
	_, err := c.Client().CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
	require.NoError(t, err, "what it knew is in etcd")
	c.Namespace(t) // the controllers have found it again
}
