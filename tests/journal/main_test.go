// Package journal tests deepgram-ops journal on a real Kubernetes with real pods:
// journals under a live writer, and commands that are killed.
package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
	"github.com/deepgram-gke/deepgram-gke/internal/kubetest/journalfile"
	"github.com/deepgram-gke/deepgram-gke/internal/opscmd"
)

// asProgram makes the test binary behave as deepgram-ops, for tests that kill it.
const asProgram = "JOURNAL_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(opscmd.Main(os.Args[1:], opscmd.System()))
	}
	inParallel()
	kubetest.Main(m)
}

const (
	billingImage = "quay.io/deepgram/self-hosted-billing:release-250331"
	opsImage     = "registry.acme.example/deepgram/deepgram-ops:v1"
	set          = "deepgram-billing"
)

// site is a namespace with a billing of its own, under load.
type site struct {
	*kubetest.Node
	namespace string
	replicas  int
	// claimOf and dir say where a replica's journal is.
	claimOf func(pod string) string
	inDir   bool
}

func newSite(t testing.TB, class, mode string, replicas int) *site {
	t.Helper()
	return newSiteWith(t, class, mode, replicas, "{name: RATE, value: '1000'}, {name: SPLIT, value: '1'}, {name: SIZE, value: '200'}")
}

// newSiteWith is newSite with a billing that writes as env says.
func newSiteWith(t testing.TB, class, mode string, replicas int, env string) *site {
	t.Helper()
	n := kubetest.RealNode(t)
	n.Image(t, billingImage, "./tests/kubernetes/images/billing", "./tests/kubernetes/images/tar")
	n.Image(t, opsImage, "./cmd/deepgram-ops")
	s := &site{Node: n, namespace: n.Namespace(t), replicas: replicas, claimOf: func(string) string { return "journal" }, inDir: true}
	require.NoError(t, n.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: journal, namespace: %[1]s}
spec: {storageClassName: %[2]s, accessModes: [%[3]s], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: deepgram-billing, namespace: %[1]s, labels: {app: deepgram-billing}}
spec:
  replicas: %[4]d
  serviceName: deepgram-billing-internal
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: deepgram-billing}}
  template:
    metadata: {labels: {app: deepgram-billing}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: deepgram-billing
          image: %[5]s
          imagePullPolicy: IfNotPresent
          env: [%[6]s]
          readinessProbe: {tcpSocket: {port: 8443}, periodSeconds: 1}
          volumeMounts: [{name: journal, mountPath: /journal, subPathExpr: journal-$(POD_NAME)}]
          envFrom: []
      volumes: [{name: journal, persistentVolumeClaim: {claimName: journal}}]
`, s.namespace, class, mode, replicas, billingImage, env)))
	// The chart gives the pod its name, which the path needs.
	s.Kubectl(t, "-n", s.namespace, "patch", "statefulset", set, "--type=json", "-p",
		`[{"op":"add","path":"/spec/template/spec/containers/0/env/-","value":{"name":"POD_NAME","valueFrom":{"fieldRef":{"fieldPath":"metadata.name"}}}}]`)
	s.ready(t)
	return s
}

func (s *site) pods() (names []string) {
	for i := range s.replicas {
		names = append(names, fmt.Sprintf("%s-%d", set, i))
	}
	return names
}

func (s *site) set(t testing.TB) *appsv1.StatefulSet {
	t.Helper()
	got, err := s.Client().AppsV1().StatefulSets(s.namespace).Get(t.Context(), set, metav1.GetOptions{})
	require.NoError(t, err)
	return got
}

// ready waits until all replicas are, and have written something.
func (s *site) ready(t testing.TB) {
	t.Helper()
	s.Eventually(t, "billing is ready", func(ctx context.Context) (bool, error) {
		got, err := s.Client().AppsV1().StatefulSets(s.namespace).Get(ctx, set, metav1.GetOptions{})
		return err == nil && got.Status.ObservedGeneration >= got.Generation && got.Status.UpdatedReplicas == int32(s.replicas) && got.Status.ReadyReplicas == int32(s.replicas), nil
	})
	for _, p := range s.pods() {
		s.Eventually(t, p+" writes", func(ctx context.Context) (bool, error) {
			info, err := os.Stat(s.source(ctx, p))
			return err == nil && info.Size() > 10000, nil
		})
	}
}

// source is the journal itself, on the volume.
func (s *site) source(ctx context.Context, pod string) string {
	dir, err := s.VolumePath(ctx, s.namespace, s.claimOf(pod))
	if err != nil {
		return ""
	}
	if s.inDir {
		dir = filepath.Join(dir, "journal-"+pod)
	}
	return filepath.Join(dir, "journal")
}

// command is deepgram-ops journal … as a process.
func (s *site) command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	args = append([]string{"journal"}, args...)
	cmd := exec.Command(self, append(args, "--kubeconfig", s.KubeconfigFile(), "--namespace", s.namespace,
		"--image", opsImage, "--image-program", "/bin/deepgram-ops", "--heartbeat", "300ms", "--progress", "0")...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// run runs it, and returns the exit code, and what it printed.
func (s *site) run(t testing.TB, args ...string) (code int, out, errs string) {
	t.Helper()
	cmd := s.command(t, append(args, "--output", "json")...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	if exit := (&exec.ExitError{}); err != nil {
		require.ErrorAs(t, err, &exit)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

func (s *site) must(t testing.TB, into any, args ...string) {
	t.Helper()
	code, out, errs := s.run(t, args...)
	require.Zero(t, code, "%s\n%s", out, errs)
	if into != nil {
		require.NoError(t, json.Unmarshal([]byte(out), into), out)
	}
}

// whole proves that a copy is complete: all lines in order, and a prefix of the
// journal itself.
func (s *site) whole(t testing.TB, pod, file string) (lines int) {
	t.Helper()
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	lines, rest, err := journalfile.Check(bytes.NewReader(got), pod)
	require.NoError(t, err)
	require.Empty(t, rest)
	now, err := os.ReadFile(s.source(t.Context(), pod))
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(now, got), "%s is a prefix of the journal", file)
	return lines
}

// noHelpers proves that every helper goes: after a live copy, the node may still be
// ending it.
func (s *site) noHelpers(t testing.TB) {
	t.Helper()
	for name, leaving := range s.helpers(t) {
		require.True(t, leaving, "%s is not being removed", name)
	}
	s.Eventually(t, "no helper is left", func(context.Context) (bool, error) { return len(s.helpers(t)) == 0, nil })
}

// helpers are the helper pods that are there, and whether they are on their way out.
func (s *site) helpers(t testing.TB) map[string]bool {
	t.Helper()
	list, err := s.Client().CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=deepgram-ops"})
	require.NoError(t, err)
	there := map[string]bool{}
	for _, p := range list.Items {
		there[p.Name] = p.DeletionTimestamp != nil
	}
	return there
}

// soak is n normally and many with SOAK=1; SOAK=k means k.
func soak(n, many int) int {
	k, err := strconv.Atoi(os.Getenv("SOAK"))
	switch {
	case err != nil || k == 0:
		return n
	case k == 1:
		return many
	}
	return k
}

// wait is a short time that is different in each run.
func wait(limit time.Duration, i, of int) time.Duration {
	return limit * time.Duration(i+1) / time.Duration(of)
}
