package resources

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// BackupPlanKind is that of gcp/gkebackup as the SDK registers it.
var BackupPlanKind = Kind{
	Token: "gcp:gkebackup/backupPlan:BackupPlan", Version: GCPVersion, SecretOutputs: labelSecrets,
}

// BackupPlanNamespaces are namespaces that are backed up whole.
type BackupPlanNamespaces struct {
	Namespaces pulumi.StringArrayInput `pulumi:"namespaces"`
}

// BackupPlanApplication names a ProtectedApplication.
type BackupPlanApplication struct {
	Name      pulumi.StringInput `pulumi:"name"`
	Namespace pulumi.StringInput `pulumi:"namespace"`
}

// BackupPlanApplications are parts of namespaces that are backed up.
type BackupPlanApplications struct {
	NamespacedNames []BackupPlanApplication `pulumi:"namespacedNames"`
}

// BackupPlanConfig says what is backed up: namespaces or applications.
type BackupPlanConfig struct {
	SelectedNamespaces   *BackupPlanNamespaces   `pulumi:"selectedNamespaces"`
	SelectedApplications *BackupPlanApplications `pulumi:"selectedApplications"`
	IncludeSecrets       pulumi.BoolInput        `pulumi:"includeSecrets"`
	IncludeVolumeData    pulumi.BoolInput        `pulumi:"includeVolumeData"`
}

// BackupPlanSchedule is a cron expression in UTC.
type BackupPlanSchedule struct {
	CronSchedule pulumi.StringInput `pulumi:"cronSchedule"`
}

// BackupPlanRetention keeps backups. All are days.
type BackupPlanRetention struct {
	BackupDeleteLockDays pulumi.IntInput `pulumi:"backupDeleteLockDays"`
	BackupRetainDays     pulumi.IntInput `pulumi:"backupRetainDays"`
}

// BackupPlanArgs are the arguments of a plan of Backup for GKE. Cluster,
// projects/P/locations/L/clusters/C, and Location are required.
type BackupPlanArgs struct {
	Project         pulumi.StringInput    `pulumi:"project"`
	Location        pulumi.StringInput    `pulumi:"location"`
	Name            pulumi.StringInput    `pulumi:"name"`
	Cluster         pulumi.StringInput    `pulumi:"cluster"`
	Description     pulumi.StringInput    `pulumi:"description"`
	Labels          pulumi.StringMapInput `pulumi:"labels"`
	BackupConfig    *BackupPlanConfig     `pulumi:"backupConfig"`
	BackupSchedule  *BackupPlanSchedule   `pulumi:"backupSchedule"`
	RetentionPolicy *BackupPlanRetention  `pulumi:"retentionPolicy"`
}

// BackupPlan is a plan of Backup for GKE.
type BackupPlan struct {
	pulumi.CustomResourceState

	Name pulumi.StringOutput `pulumi:"name"`
}

// NewBackupPlan registers a plan of Backup for GKE.
func NewBackupPlan(ctx *pulumi.Context, name string, args *BackupPlanArgs, opts ...pulumi.ResourceOption) (*BackupPlan, error) {
	switch {
	case args == nil || args.Cluster == nil:
		return nil, missing("Cluster")
	case args.Location == nil:
		return nil, missing("Location")
	}
	r := &BackupPlan{}
	if err := register(ctx, BackupPlanKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}
