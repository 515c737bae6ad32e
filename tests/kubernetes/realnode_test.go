package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
	"github.com/deepgram-gke/deepgram-gke/internal/kubetest/journalfile"
)

const (
	billingImage = "quay.io/deepgram/self-hosted-billing:release-250331"
	apiImage     = "quay.io/deepgram/self-hosted-api:release-250331"
)

// node is the real node with the images of the stand-ins, and a namespace on it.
func node(t *testing.T) (*kubetest.Node, string) {
	t.Helper()
	n := kubetest.RealNode(t)
	n.Image(t, billingImage, "./tests/kubernetes/images/billing", "./tests/kubernetes/images/tar")
	n.Image(t, apiImage, "./tests/kubernetes/images/api")
	return n, n.Namespace(t)
}

// billing is a StatefulSet like the chart's, on a claim of its own.
func billing(namespace, class, mode string, replicas int) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: journal, namespace: %[1]s}
spec: {storageClassName: %[2]s, accessModes: [%[3]s], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: deepgram-billing, namespace: %[1]s}
spec:
  replicas: %[4]d
  serviceName: deepgram-billing-internal
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: deepgram-billing}}
  template:
    metadata: {labels: {app: deepgram-billing}}
    spec:
      terminationGracePeriodSeconds: 10
      nodeSelector: {k8s.deepgram.com/node-type: billing}
      containers:
        - name: deepgram-billing
          image: %[5]s
          imagePullPolicy: IfNotPresent
          args: [serve, --config, /etc/config/billing.toml]
          env:
            - {name: RATE, value: "200"}
            - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
          readinessProbe: {tcpSocket: {port: 8443}, periodSeconds: 1}
          volumeMounts: [{name: journal, mountPath: /journal, subPathExpr: journal-$(POD_NAME)}]
      volumes: [{name: journal, persistentVolumeClaim: {claimName: journal}}]
`, namespace, class, mode, replicas, billingImage)
}

// linesAtLeast waits until a journal on a volume has so many lines, and proves
// that none is missing.
func linesAtLeast(t *testing.T, n *kubetest.Node, file, owner string, want int) int {
	t.Helper()
	lines := 0
	n.Eventually(t, fmt.Sprintf("%d lines in %s", want, file), func(context.Context) (bool, error) {
		journal, err := os.Open(file)
		if err != nil {
			return false, err
		}
		defer journal.Close()
		lines, _, err = journalfile.Check(journal, owner)
		require.NoError(t, err)
		return lines >= want, nil
	})
	return lines
}

func TestJournalsAreWritten(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		class, mode string
		replicas    int
	}{
		"block":  {"standard-rwo", "ReadWriteOnce", 1},
		"shared": {"standard-rwx", "ReadWriteMany", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, namespace := node(t)
			require.NoError(t, n.Apply(t.Context(), billing(namespace, row.class, row.mode, row.replicas)))
			for i := range row.replicas {
				n.PodReady(t, namespace, fmt.Sprintf("deepgram-billing-%d", i))
			}
			volume, err := n.VolumePath(t.Context(), namespace, "journal")
			require.NoError(t, err)
			for i := range row.replicas {
				owner := fmt.Sprintf("deepgram-billing-%d", i)
				linesAtLeast(t, n, filepath.Join(volume, "journal-"+owner, "journal"), owner, 100)
			}
		})
	}
}

// TestCopyWhileScaledDown goes the guide's way by hand: to zero, copy from a pod
// that mounts the claim, and back.
func TestCopyWhileScaledDown(t *testing.T) {
	t.Parallel()
	n, namespace := node(t)
	require.NoError(t, n.Apply(t.Context(), billing(namespace, "standard-rwo", "ReadWriteOnce", 1)))
	n.PodReady(t, namespace, "deepgram-billing-0")
	volume, err := n.VolumePath(t.Context(), namespace, "journal")
	require.NoError(t, err)
	file := filepath.Join(volume, "journal-deepgram-billing-0", "journal")
	linesAtLeast(t, n, file, "deepgram-billing-0", 50)

	n.Kubectl(t, "-n", namespace, "scale", "statefulset", "deepgram-billing", "--replicas=0")
	n.Kubectl(t, "-n", namespace, "wait", "pod", "deepgram-billing-0", "--for=delete", "--timeout=60s")
	require.NoError(t, n.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: debug, namespace: %s}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: debug
      image: %s
      imagePullPolicy: IfNotPresent
      env: [{name: JOURNAL, value: /tmp/journal}]
      volumeMounts: [{name: journal, mountPath: /journal, readOnly: true}]
  volumes: [{name: journal, persistentVolumeClaim: {claimName: journal, readOnly: true}}]
`, namespace, billingImage)))
	n.PodReady(t, namespace, "debug")

	copied := filepath.Join(t.TempDir(), "journal")
	n.Kubectl(t, "-n", namespace, "cp", "debug:/journal/journal-deepgram-billing-0/journal", copied)
	n.Kubectl(t, "-n", namespace, "delete", "pod", "debug")
	before, err := os.ReadFile(copied)
	require.NoError(t, err)
	kept, rest, err := journalfile.Check(bytes.NewReader(before), "deepgram-billing-0")
	require.NoError(t, err)
	require.Empty(t, rest, "it was told to end and has finished its line")
	require.Positive(t, kept)

	n.Kubectl(t, "-n", namespace, "scale", "statefulset", "deepgram-billing", "--replicas=1")
	n.PodReady(t, namespace, "deepgram-billing-0")
	linesAtLeast(t, n, file, "deepgram-billing-0", kept+50)
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(after, before), "the journal goes on where the copy ends")
}

// TestWaysIntoAPod uses what people and commands use: logs, exec, port-forward,
// and a Service.
func TestWaysIntoAPod(t *testing.T) {
	t.Parallel()
	n, namespace := node(t)
	require.NoError(t, n.Apply(t.Context(), billing(namespace, "standard-rwo", "ReadWriteOnce", 1)))
	require.NoError(t, n.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: %[1]s, labels: {app: api}}
spec:
  containers:
    - name: api
      image: %[2]s
      imagePullPolicy: IfNotPresent
      readinessProbe: {httpGet: {path: /v1/status/engine, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: %[1]s}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: 8080}]}
`, namespace, apiImage)))
	n.PodReady(t, namespace, "api")
	n.PodReady(t, namespace, "deepgram-billing-0")

	t.Run("logs", func(t *testing.T) {
		t.Parallel()
		assert.Contains(t, n.Kubectl(t, "-n", namespace, "logs", "deepgram-billing-0"), "/journal/journal has 0 lines")
	})
	t.Run("exec", func(t *testing.T) {
		t.Parallel()
		packed := n.Kubectl(t, "-n", namespace, "exec", "deepgram-billing-0", "--", "tar", "cf", "-", "/journal/journal")
		assert.Contains(t, packed, `{"d":"deepgram-billing-0/1/`)
	})
	t.Run("port-forward", func(t *testing.T) {
		t.Parallel()
		command := n.KubectlCommand(t.Context(), "-n", namespace, "port-forward", "pod/api", ":8080")
		out, err := command.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, command.Start())
		first := make([]byte, 200)
		size, err := out.Read(first)
		require.NoError(t, err)
		port := regexp.MustCompile(`127\.0\.0\.1:(\d+)`).FindSubmatch(first[:size])
		require.NotNil(t, port, "%s", first[:size])
		assert.Contains(t, get(t, "http://127.0.0.1:"+string(port[1])+"/v1/models"), "nova-3")
		require.NoError(t, command.Process.Kill())
		_ = command.Wait() // it was killed
	})
	t.Run("service", func(t *testing.T) {
		t.Parallel()
		service, err := n.Client().CoreV1().Services(namespace).Get(t.Context(), "api", metav1.GetOptions{})
		require.NoError(t, err)
		n.Eventually(t, "the service to answer", func(ctx context.Context) (bool, error) {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+service.Spec.ClusterIP+"/v1/status", nil)
			require.NoError(t, err)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return false, err
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			return strings.Contains(string(text), "Healthy"), err
		})
	})
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}

// TestCronJobFires waits for the full minute.
func TestCronJobFires(t *testing.T) {
	t.Parallel()
	n, namespace := node(t)
	require.NoError(t, n.Apply(t.Context(), fmt.Sprintf(`
apiVersion: batch/v1
kind: CronJob
metadata: {name: backup, namespace: %s}
spec:
  schedule: "* * * * *"
  timeZone: Etc/UTC
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - {name: backup, image: "%s", imagePullPolicy: IfNotPresent, command: [/bin/tar, cf, "-", /bin/tar]}
`, namespace, billingImage)))
	n.Eventually(t, "a job that succeeded", func(ctx context.Context) (bool, error) {
		jobs, err := n.Client().BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, job := range jobs.Items {
			for _, condition := range job.Status.Conditions {
				require.False(t, condition.Type == batchv1.JobFailed && condition.Status == corev1.ConditionTrue, condition.Message)
			}
			if job.Status.Succeeded == 1 {
				return true, nil
			}
		}
		return false, nil
	})
}

// TestMissingImage: nothing is pulled from anywhere.
func TestMissingImage(t *testing.T) {
	t.Parallel()
	n, namespace := node(t)
	require.NoError(t, n.Apply(t.Context(), fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: %s}, spec: {
		containers: [{name: a, image: "quay.io/deepgram/self-hosted-billing:none", imagePullPolicy: IfNotPresent}]}}`, namespace)))
	n.Eventually(t, "the pull to fail", func(ctx context.Context) (bool, error) {
		pod, err := n.Client().CoreV1().Pods(namespace).Get(ctx, "a", metav1.GetOptions{})
		if err != nil || len(pod.Status.ContainerStatuses) == 0 {
			return false, err
		}
		waiting := pod.Status.ContainerStatuses[0].State.Waiting
		return waiting != nil && (waiting.Reason == "ErrImagePull" || waiting.Reason == "ImagePullBackOff"), nil
	})
}

// TestFakeNodesBesideTheRealOne: a release whose engines are pretended and whose
// billing is real.
func TestFakeNodesBesideTheRealOne(t *testing.T) {
	t.Parallel()
	n, namespace := node(t)
	require.NoError(t, n.AddNode(t.Context(), kubetest.FakeNode{
		Name: "engine-" + namespace, GPUs: 1, Labels: map[string]string{"k8s.deepgram.com/node-type": "engine"},
	}))
	t.Cleanup(func() {
		_ = n.Client().CoreV1().Nodes().Delete(context.Background(), "engine-"+namespace, metav1.DeleteOptions{})
	})
	require.NoError(t, n.Apply(t.Context(), strings.Replace(gpuPod("engine", "1"), "name: engine}", "name: engine, namespace: "+namespace+"}", 1)))
	pod := n.PodReady(t, namespace, "engine")
	assert.Equal(t, "engine-"+namespace, pod.Spec.NodeName)
}

// TestOpsImageRuns: the project's own commands work in an image of nothing else, as
// a user without rights.
func TestOpsImageRuns(t *testing.T) {
	t.Parallel()
	n, namespace := node(t)
	const image = "localhost/kubetest/deepgram-ops:1"
	n.Image(t, image, "./cmd/deepgram-ops")
	require.NoError(t, n.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: ops, namespace: %s}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  containers:
    - name: ops
      image: %s
      imagePullPolicy: IfNotPresent
      args: [images, --help]
      securityContext: {runAsUser: 65532, runAsNonRoot: true, readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`, namespace, image)))
	n.Eventually(t, "the command to succeed", func(ctx context.Context) (bool, error) {
		pod, err := n.Client().CoreV1().Pods(namespace).Get(ctx, "ops", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		require.NotEqual(t, corev1.PodFailed, pod.Status.Phase, pod.Status)
		return pod.Status.Phase == corev1.PodSucceeded, nil
	})
	assert.Contains(t, n.Kubectl(t, "-n", namespace, "logs", "ops"), "deepgram-ops images")
}
