package journal

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deepgram-gke/deepgram-gke/internal/journal"
)

// TestBackupJob runs the backup as the CronJob does: in a pod, with the volumes
// mounted and no more rights than it is given, after a command was killed that had
// scaled billing down.
func TestBackupJob(t *testing.T) {
	t.Parallel()
	s := newSite(t, "standard-rwx", "ReadWriteMany", 2)
	_, err := s.Client().AppsV1().StatefulSets(s.namespace).Patch(t.Context(), set, types.MergePatchType, []byte(`{
		"metadata": {"annotations": {"deepgram-ops/journal-scaled-down": "{\"run\":\"dead\",\"by\":\"x\",\"replicas\":2,\"since\":\"2026-01-01T00:00:00Z\",\"heartbeat\":\"2026-01-01T00:00:00Z\"}"}},
		"spec": {"replicas": 0}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	require.NoError(t, s.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: copies, namespace: %[1]s}
spec: {storageClassName: standard-rwx, accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: backup, namespace: %[1]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: backup, namespace: %[1]s}
rules:
  - {apiGroups: [""], resources: [pods], verbs: [list, delete]}
  - {apiGroups: [""], resources: [persistentvolumeclaims], verbs: [get]}
  - {apiGroups: [apps], resources: [statefulsets], verbs: [list]}
  - {apiGroups: [apps], resources: [statefulsets], resourceNames: [deepgram-billing], verbs: [update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: backup, namespace: %[1]s}
subjects: [{kind: ServiceAccount, name: backup}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: backup}
---
apiVersion: batch/v1
kind: Job
metadata: {name: backup, namespace: %[1]s}
spec:
  backoffLimit: 0
  template:
    spec:
      serviceAccountName: backup
      restartPolicy: Never
      securityContext: {runAsUser: 65532, runAsGroup: 65532, runAsNonRoot: true}
      containers:
        - name: backup
          image: %[2]s
          imagePullPolicy: IfNotPresent
          command: [/bin/deepgram-ops]
          args: [journal, backup, --source, /journals, --target, "file:///copies", --recover, --namespace, %[1]s, --heartbeat, 300ms, --output, json]
          securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: journals, mountPath: /journals, readOnly: true}, {name: copies, mountPath: /copies}]
      volumes:
        - {name: journals, persistentVolumeClaim: {claimName: journal}}
        - {name: copies, persistentVolumeClaim: {claimName: copies}}
`, s.namespace, opsImage)))
	s.Eventually(t, "the job has ended", func(ctx context.Context) (bool, error) {
		j, err := s.Client().BatchV1().Jobs(s.namespace).Get(ctx, "backup", metav1.GetOptions{})
		return err == nil && j.Status.Succeeded+j.Status.Failed > 0, err
	})
	log := s.Kubectl(t, "-n", s.namespace, "logs", "job/backup")
	job, err := s.Client().BatchV1().Jobs(s.namespace).Get(t.Context(), "backup", metav1.GetOptions{})
	require.NoError(t, err)
	require.Equal(t, int32(1), job.Status.Succeeded, log)

	assert.Contains(t, log, "scaled billing back to 2: run dead of x had been killed")
	s.ready(t)
	assert.NotContains(t, s.set(t).Annotations, "deepgram-ops/journal-scaled-down")
	dir, err := s.VolumePath(t.Context(), s.namespace, "copies")
	require.NoError(t, err)
	target, err := journal.OpenTarget(t.Context(), "file://"+dir)
	require.NoError(t, err)
	book, err := journal.ReadBook(t.Context(), target, "")
	require.NoError(t, err)
	require.Equal(t, s.pods(), book.Pods())
	for _, p := range s.pods() {
		s.whole(t, p, dir+"/"+book.Last(p).Object)
	}
}
