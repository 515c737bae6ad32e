package components

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

func backupArgs(mode string) *ClusterBackupArgs {
	k := config.Default().Backup
	k.Mode, k.Location = mode, "us-central1"
	return &ClusterBackupArgs{
		Backup: k, Release: "deepgram", Namespace: "speech", Project: "acme", NamePrefix: "prod-acme",
		Cluster:      pulumi.String("projects/acme/locations/us-central1/clusters/prod"),
		JournalClass: "prod-acme-journals-pd-balanced", Production: true,
	}
}

func runBackup(t *testing.T, args *ClusterBackupArgs) *releaseRecorder {
	t.Helper()
	return runRelease(t, func(ctx *pulumi.Context) error {
		_, err := NewClusterBackup(ctx, "backup", args)
		return err
	})
}

func TestBackupForGKE(t *testing.T) {
	t.Parallel()
	args := backupArgs("gke")
	args.Backup.LockDays = 14
	rec := runBackup(t, args)
	objects := rec.named(t, "backup-objects")
	assert.True(t, objects.RegisterRPC.GetProtect(), "the backups hang on it")
	in := inputsOf(objects)
	assert.Equal(t, "projects/acme/locations/us-central1/clusters/prod", in["cluster"])
	assert.Equal(t, map[string]any{
		"selectedNamespaces": map[string]any{"namespaces": []any{"speech"}}, "includeSecrets": true, "includeVolumeData": false,
	}, in["backupConfig"], "a plan of the namespace with volumes would copy the models disk")
	assert.Equal(t, "0 3 * * *", dig(t, in, "backupSchedule/cronSchedule"))
	assert.InDelta(t, 90, dig(t, in, "retentionPolicy/backupRetainDays"), 0)
	assert.InDelta(t, 14, dig(t, in, "retentionPolicy/backupDeleteLockDays"), 0)

	journals := inputsOf(rec.named(t, "backup-journals"))
	assert.Equal(t, map[string]any{"namespacedNames": []any{map[string]any{"name": "deepgram-journals", "namespace": "speech"}}},
		dig(t, journals, "backupConfig/selectedApplications"))
	assert.Equal(t, true, dig(t, journals, "backupConfig/includeVolumeData"))
	application := inputsOf(rec.named(t, "backup-journals-application"))
	assert.Equal(t, map[string]any{BackupLabel: "journals"}, dig(t, application, "spec/resourceSelection/selector/matchLabels"))
	assert.Contains(t, dependsOn(rec.named(t, "backup-journals")), "backup-journals-application")
	assert.NotEmpty(t, rec.of("gcp:projects/service:Service"))

	args.JournalClass, args.SkipServices = "", true
	rec = runBackup(t, args)
	assert.Len(t, rec.of("gcp:gkebackup/backupPlan:BackupPlan"), 1)
	assert.Empty(t, rec.of("kubernetes:gkebackup.gke.io/v1:ProtectedApplication"))
	assert.Empty(t, rec.of("gcp:projects/service:Service"))
}

func TestBackupByVelero(t *testing.T) {
	t.Parallel()
	args := backupArgs("velero")
	args.Backup.StorageLocation = "journals"
	rec := runBackup(t, args)
	in := inputsOf(rec.named(t, "backup-schedule"))
	assert.Equal(t, "velero", dig(t, in, "metadata/namespace"))
	assert.Equal(t, map[string]any{
		"includedNamespaces": []any{"speech"}, "snapshotVolumes": true, "ttl": "2160h0m0s", "storageLocation": "journals",
		"resourcePolicy": map[string]any{"kind": "configmap", "name": "speech-deepgram-volumes"},
	}, dig(t, in, "spec/template"))
	policies := dig(t, inputsOf(rec.named(t, "backup-volumes")), "data/policies.yaml").(string)
	assert.Regexp(t, `(?s)prod-acme-journals-pd-balanced.*snapshot.*pd.csi.storage.gke.io.*skip.*filestore.csi.storage.gke.io.*skip`, policies,
		"the journals come first, because the first rule that fits counts")

	args.JournalClass = ""
	rec = runBackup(t, args)
	in = inputsOf(rec.named(t, "backup-schedule"))
	assert.Equal(t, false, dig(t, in, "spec/template/snapshotVolumes"), "nothing else is worth a snapshot")
	assert.Empty(t, rec.of("kubernetes:core/v1:ConfigMap"))
}

func TestBackupReportsEveryMistake(t *testing.T) {
	t.Parallel()
	err := (&ClusterBackupArgs{Backup: config.Backup{Mode: "gke"}}).Validate()
	for _, want := range []string{
		"Release: is required", "Namespace: is required", "Backup.RetentionDays: is required", "Backup.Schedule: is required",
		"Project: is required", "NamePrefix: is required", "Cluster: is required", "Backup.Location: is required",
	} {
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, (&ClusterBackupArgs{}).Validate(), `Backup.Mode: "" must be gke or velero`)
	require.NoError(t, backupArgs("velero").Validate())
}

// TestClaimOfTheJournalsIsSelected sees that the label by which Backup for GKE finds
// the claim is on it.
func TestClaimOfTheJournalsIsSelected(t *testing.T) {
	t.Parallel()
	args := billingArgs()
	rec := runRelease(t, func(ctx *pulumi.Context) error {
		b, err := NewBilling(ctx, "billing", args)
		if err == nil {
			assert.NotEmpty(t, b.JournalClass)
		}
		return err
	})
	assert.Equal(t, "journals", dig(t, inputsOf(rec.named(t, "billing-journal")), "metadata/labels/"+"deepgram.com~backup"))
}
