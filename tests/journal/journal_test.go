package journal

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deepgram-gke/deepgram-gke/internal/journal"
)

// TestRetrieveLive copies every replica's journal while it is being written, on
// both kinds of storage, and does not touch billing.
func TestRetrieveLive(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		class, mode string
		replicas    int
	}{
		"shared": {"standard-rwx", "ReadWriteMany", 3},
		"block":  {"standard-rwo", "ReadWriteOnce", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.class, row.mode, row.replicas)
			generation := s.set(t).Generation
			to := t.TempDir()
			last := map[string]int{}
			for range 2 {
				var r journal.Retrieval
				s.must(t, &r, "retrieve", "--to", to)
				require.Len(t, r.Journals, row.replicas)
				assert.Zero(t, r.Downtime)
				for _, j := range r.Journals {
					lines := s.whole(t, j.Pod, j.File)
					assert.Equal(t, j.Lines, int64(lines))
					assert.Greater(t, lines, last[j.Pod])
					if last[j.Pod] > 0 {
						require.NotNil(t, j.Proof)
						assert.True(t, j.Proof.AppendOnly)
						assert.Equal(t, j.Proof.Size, j.Resumed, "what is here is not sent again")
					}
					last[j.Pod] = lines
				}
				s.noHelpers(t)
			}
			assert.Equal(t, generation, s.set(t).Generation, "billing was not touched")
			pods, err := s.Pods(t.Context(), s.namespace)
			require.NoError(t, err)
			for _, p := range pods {
				assert.Zero(t, p.Status.ContainerStatuses[0].RestartCount)
			}
		})
	}
}

// TestRetrieveScaledDown stops billing for the copy and gives it back exactly.
func TestRetrieveScaledDown(t *testing.T) {
	t.Parallel()
	s := newSite(t, "standard-rwx", "ReadWriteMany", 2)
	var r journal.Retrieval
	s.must(t, &r, "retrieve", "--to", t.TempDir(), "--scale-down")
	require.Len(t, r.Journals, 2)
	assert.Positive(t, r.Downtime)
	for _, j := range r.Journals {
		s.whole(t, j.Pod, j.File)
	}
	got := s.set(t)
	assert.Equal(t, int32(2), *got.Spec.Replicas)
	assert.Equal(t, int32(2), got.Status.ReadyReplicas)
	assert.Empty(t, got.Annotations["deepgram-ops/journal-scaled-down"])
	assert.Empty(t, s.helpers(t), "billing needs its claims back")
}

// TestBackupAndRestore goes the whole way: backup, nothing undelivered pruned,
// delivery, restore into a new claim, checklist.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	s := newSite(t, "standard-rwx", "ReadWriteMany", 2)
	target := "file://" + t.TempDir()
	for range 2 {
		var b struct{ Backups []journal.Backup }
		s.must(t, &b, "backup", "--target", target)
		require.Len(t, b.Backups, 2)
	}
	var l struct{ Journals []journal.Status }
	s.must(t, &l, "list", "--target", target)
	require.Len(t, l.Journals, 2)
	for _, j := range l.Journals {
		require.NotNil(t, j.Journal)
		require.NotNil(t, j.Last)
		assert.Nil(t, j.Delivered)
		assert.GreaterOrEqual(t, j.Journal.Size, j.Last.Size)
		assert.True(t, j.Last.Proof.AppendOnly)
	}
	var r journal.Restored
	s.must(t, &r, "restore", "--pod", "deepgram-billing-1", "--claim", "drill", "--drill", "--target", target)
	assert.True(t, r.Equal)
	assert.False(t, r.Kept)
	s.must(t, &r, "restore", "--pod", "deepgram-billing-1", "--claim", "restored", "--target", target)
	assert.True(t, r.Kept)
	dir, err := s.VolumePath(t.Context(), s.namespace, "restored")
	require.NoError(t, err)
	s.whole(t, "deepgram-billing-1", filepath.Join(dir, "journal-deepgram-billing-1", "journal"))
	code, _, errs := s.run(t, "restore", "--pod", "deepgram-billing-1", "--claim", "journal", "--target", target)
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "never overwritten")

	var c struct{ Checks []journal.Check }
	code, out, errs := s.run(t, "check", "--target", target)
	assert.Equal(t, 1, code, "%s%s", out, errs)
	assert.Contains(t, errs, "3 of 10 answers are no") // no CronJob, no delivery, no confirmation
	_ = c
	s.noHelpers(t)
}

// TestHelperPod: the helper has no rights, and writes nowhere.
func TestHelperPod(t *testing.T) {
	t.Parallel()
	s := newSite(t, "standard-rwo", "ReadWriteOnce", 1)
	k, err := journal.NewCluster(s.Config(), s.namespace)
	require.NoError(t, err)
	k.Helper = journal.HelperSpec{Image: opsImage, Program: "/bin/deepgram-ops", PullPolicy: corev1.PullIfNotPresent}
	_, err = k.WithSources(t.Context(), journal.SourceOptions{}, func(ctx context.Context, _ *journal.Layout, sources []*journal.Source) error {
		_, err := sources[0].Stat(ctx)
		require.NoError(t, err)
		list, err := s.Client().CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=deepgram-ops"})
		require.NoError(t, err)
		require.Len(t, list.Items, 1)
		spec := list.Items[0].Spec
		assert.False(t, *spec.AutomountServiceAccountToken)
		assert.True(t, *spec.SecurityContext.RunAsNonRoot)
		assert.Equal(t, []corev1.Capability{"ALL"}, spec.Containers[0].SecurityContext.Capabilities.Drop)
		assert.True(t, *spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem)
		assert.Len(t, spec.Containers[0].VolumeMounts, 1)
		assert.True(t, spec.Containers[0].VolumeMounts[0].ReadOnly)
		assert.Positive(t, *spec.ActiveDeadlineSeconds)
		return nil
	})
	require.NoError(t, err)
	s.noHelpers(t)
}
