package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
	"github.com/deepgram-gke/deepgram-gke/internal/opscmd"
	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
)

const opsImage = "localhost/kubetest/deepgram-ops:1"

// deepgram is an API and an engine like the chart's, the engine with a line in its
// log. The result is the address of the API's pod.
func deepgram(t *testing.T, n *kubetest.Node, namespace, log string) string {
	t.Helper()
	require.NoError(t, n.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: api, namespace: %[1]s, labels: {app: deepgram-api}}
spec:
  containers:
    - name: deepgram-api
      image: %[2]s
      imagePullPolicy: IfNotPresent
      env: [{name: API_KEY, value: canary-key}]
      ports: [{name: primary, containerPort: 8080}]
      readinessProbe: {tcpSocket: {port: primary}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: deepgram-api-external, namespace: %[1]s}
spec: {selector: {app: deepgram-api}, ports: [{name: primary, port: 80, targetPort: primary}]}
---
apiVersion: v1
kind: Pod
metadata: {name: engine, namespace: %[1]s, labels: {app: deepgram-engine}}
spec:
  containers:
    - name: deepgram-engine
      image: %[2]s
      imagePullPolicy: IfNotPresent
      env: [{name: LOG, value: %[3]q}]
      readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
`, namespace, apiImage, log)))
	n.PodReady(t, namespace, "engine")
	return n.PodReady(t, namespace, "api").Status.PodIP
}

// notes hands on every line that is written.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
	line func(string)
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.line != nil {
		n.line(string(p))
	}
	return n.text.Write(p)
}

func smokeTest(ctx context.Context, n *kubetest.Node, namespace string, errs *notes, args ...string) (int, string) {
	var out bytes.Buffer
	code := opscmd.Run(ctx, append(append([]string{"smoke-test"}, args...), "--kubeconfig", n.KubeconfigFile(), "--namespace", namespace, "--output", "json"),
		opscmd.Streams{In: strings.NewReader(""), Out: &out, Err: errs, LookupEnv: func(name string) (string, bool) {
			if name == "DEEPGRAM_API_KEY" {
				return "canary-key", true
			}
			return "", false
		}})
	return code, out.String()
}

// nothingLeft proves that a test in the cluster took out what it had put in.
func nothingLeft(t *testing.T, n *kubetest.Node, namespace string) {
	t.Helper()
	jobs, err := n.Client().BatchV1().Jobs(namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, jobs.Items)
	n.Eventually(t, "pods and secrets to be gone", func(ctx context.Context) (bool, error) {
		pods, err := n.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=smoke-test"})
		if err != nil {
			return false, err
		}
		secrets, err := n.Client().CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{})
		return err == nil && len(pods.Items)+len(secrets.Items) == 0, err
	})
}

func TestSmokeTestThroughAPortForward(t *testing.T) {
	t.Parallel()
	n, namespace := node(t)
	deepgram(t, n, namespace, `INFO impeller: Setting GPU model cache size gpu_id=Gpu(0) gpu_name="NVIDIA L4"`)
	errs := &notes{}
	code, out := smokeTest(t.Context(), n, namespace, errs, "--port-forward", "--pace", "10", "--samples", "2", "--speak")
	require.Zero(t, code, "%s%s", out, &errs.text)
	var r smoke.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Len(t, r.Checks, 8)
	for _, c := range r.Checks {
		assert.Equal(t, smoke.Pass, c.Outcome, "%+v", c)
	}
	assert.Equal(t, "engine: NVIDIA L4", r.Checks[7].Message)
	assert.Contains(t, errs.text.String(), "port-forward to pod api:8080")

	errs = &notes{}
	code, out = smokeTest(t.Context(), n, namespace, errs, "--port-forward", "--service", "deepgram-billing")
	assert.Equal(t, 1, code)
	assert.Empty(t, out)
	assert.Contains(t, errs.text.String(), "has no Service deepgram-billing")
}

func TestSmokeTestInTheCluster(t *testing.T) {
	t.Parallel()
	n, namespace := node(t)
	n.Image(t, opsImage, "./cmd/deepgram-ops")
	address := deepgram(t, n, namespace, "WARN impeller::config: no NVIDIA GPU found, falling back to CPU")
	job := []string{"--in-cluster", "--image", opsImage, "--image-program", "/bin/deepgram-ops", "--url", "http://" + address + ":8080", "--pace", "10"}

	// Everything works but the GPU, which the engine's log knows better.
	errs := &notes{}
	code, out := smokeTest(t.Context(), n, namespace, errs, append(job, "--samples", "2")...)
	require.Equal(t, 1, code, "%s%s", out, &errs.text)
	var r smoke.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r), "%s", &errs.text)
	require.Len(t, r.Checks, 8)
	for _, c := range r.Checks {
		switch c.Name {
		case smoke.CheckGPU:
			require.NotNil(t, c.Failure, "%+v", c)
			assert.Contains(t, c.Failure.Message, "engine engine runs on the CPU")
		case smoke.CheckSpeak:
			assert.Equal(t, smoke.Skip, c.Outcome)
		default:
			assert.Equal(t, smoke.Pass, c.Outcome, "%+v", c)
		}
	}
	assert.Contains(t, errs.text.String(), "in the cluster: checking streaming")
	assert.NotContains(t, out+errs.text.String(), "canary")
	nothingLeft(t, n, namespace)

	// Interrupted in the middle of a load, it says what it has found.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs = &notes{line: func(line string) {
		if strings.Contains(line, "2 streams hold") {
			cancel()
		}
	}}
	code, out = smokeTest(ctx, n, namespace, errs, append([]string{"load", "--step-duration", "3s", "--target-p99", "1m", "--headroom", "1"}, job...)...)
	assert.Equal(t, 130, code, "%s", &errs.text)
	var load smoke.LoadReport
	require.NoError(t, json.Unmarshal([]byte(out), &load), "%s", &errs.text)
	assert.Equal(t, smoke.LimitInterrupted, load.Limit)
	assert.GreaterOrEqual(t, load.Streams, 2)
	assert.Equal(t, 1, load.Engines, "counted")
	nothingLeft(t, n, namespace)

	// A Job that cannot start says why.
	errs = &notes{}
	code, out = smokeTest(t.Context(), n, namespace, errs, append(job, "--image", opsImage+"-none")...)
	assert.Equal(t, 1, code)
	assert.Empty(t, out)
	assert.Contains(t, errs.text.String(), "does not start: ")
	nothingLeft(t, n, namespace)
}
