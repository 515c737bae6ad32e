package stacks

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/components"
)

// backup makes the backup of the namespace, where one is asked for.
func (b *builder) backup(cluster *components.GpuCluster, release *components.DeepgramRelease) error {
	c := b.cfg
	if c.Backup.Mode == "none" {
		return nil
	}
	args := &components.ClusterBackupArgs{
		Backup: c.Backup, Release: c.Release.Name, Namespace: c.Release.Namespace,
		Project: c.GCP.Project, NamePrefix: c.Environment.NamePrefix,
		Cluster: pulumi.Sprintf("projects/%s/locations/%s/clusters/%s", c.GCP.Project, cluster.Location, cluster.Name),
		Labels:  b.labels(), KubernetesLabels: b.kubernetesLabels(), Production: c.Environment.Production,
		After: slices.Concat(cluster.Ready, release.Ready),
	}
	if b.billing != nil && c.Backup.Journals(c.Billing) {
		args.JournalClass = b.billing.JournalClass
	}
	_, err := components.NewClusterBackup(b.ctx, nameBackup, args, pulumi.Provider(cluster.Provider))
	return err
}
