package components

import (
	"errors"
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// BackupLabel is the label of what a backup has of volumes: on the claim of the
// journals it is "journals".
const BackupLabel = "deepgram.com/backup"

// ClusterBackup is a scheduled backup of a release's namespace by Backup for GKE or
// Velero: its objects, its Secrets and the volume of the journals, never the models
// (guide G-M.backup).
type ClusterBackup struct {
	pulumi.ResourceState

	// Plans are the names of the plans or of the Schedule.
	Plans pulumi.StringArrayOutput `pulumi:"plans"`
}

// ClusterBackupArgs says what is backed up, and how.
type ClusterBackupArgs struct {
	// Backup are the settings. Mode must be gke or velero.
	Backup config.Backup
	// Release and Namespace are those of the release. Required.
	Release, Namespace string
	// JournalClass is the StorageClass of the journals' claim; "" where the backup
	// has no journals.
	JournalClass string
	// Project, NamePrefix and Cluster (projects/P/locations/L/clusters/C) are where
	// the plans are made. Required with gke.
	Project, NamePrefix string
	Cluster             pulumi.StringInput
	// Labels are put on plans, KubernetesLabels on Kubernetes objects.
	Labels, KubernetesLabels map[string]string
	// Production protects the plans, on which the backups hang.
	Production bool
	// SkipServices leaves the project's APIs as they are.
	SkipServices bool
	// After is what has to be there first: cluster and namespace.
	After []pulumi.Resource
}

// Validate reports every mistake in the arguments.
func (a *ClusterBackupArgs) Validate() error {
	var errs []error
	need := func(given bool, name, why string) {
		if !given {
			errs = append(errs, fmt.Errorf("%s: is required%s", name, why))
		}
	}
	need(a.Release != "", "Release", "")
	need(a.Namespace != "", "Namespace", "")
	need(a.Backup.RetentionDays > 0, "Backup.RetentionDays", "")
	need(a.Backup.Schedule != "", "Backup.Schedule", "")
	switch a.Backup.Mode {
	case "gke":
		need(a.Project != "", "Project", " with Backup.Mode gke")
		need(a.NamePrefix != "", "NamePrefix", " with Backup.Mode gke")
		need(a.Cluster != nil, "Cluster", " with Backup.Mode gke: projects/P/locations/L/clusters/C")
		need(a.Backup.Location != "", "Backup.Location", " with Backup.Mode gke")
	case "velero":
		need(a.Backup.VeleroNamespace != "", "Backup.VeleroNamespace", " with Backup.Mode velero")
	default:
		errs = append(errs, fmt.Errorf("Backup.Mode: %q must be gke or velero", a.Backup.Mode))
	}
	return errors.Join(errs...)
}

// clusterBackup is a ClusterBackup while it is made.
type clusterBackup struct {
	*ClusterBackup
	ctx  *pulumi.Context
	name string
	args *ClusterBackupArgs
}

// NewClusterBackup registers the backup. Pass the cluster's Kubernetes provider with
// pulumi.Provider.
func NewClusterBackup(
	ctx *pulumi.Context, name string, args *ClusterBackupArgs, opts ...pulumi.ResourceOption,
) (*ClusterBackup, error) {
	if args == nil {
		args = &ClusterBackupArgs{} // Validate tells what is missing
	}
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("cluster backup %q: %w", name, err)
	}
	b := &clusterBackup{ClusterBackup: &ClusterBackup{}, ctx: ctx, name: name, args: args}
	inputs := pulumi.Map{
		"mode": pulumi.String(args.Backup.Mode), "schedule": pulumi.String(args.Backup.Schedule),
		"retentionDays": pulumi.Int(args.Backup.RetentionDays), "namespace": pulumi.String(args.Namespace),
	}
	if err := ctx.RegisterComponentResourceV2("deepgram:index:ClusterBackup", name, inputs, b.ClusterBackup, opts...); err != nil {
		return nil, err
	}
	register := b.gke
	if args.Backup.Mode == "velero" {
		register = b.velero
	}
	plans, err := register()
	if err != nil {
		return nil, fmt.Errorf("cluster backup %q: %w", name, err)
	}
	b.Plans = pulumi.ToStringArray(plans).ToStringArrayOutput()
	return b.ClusterBackup, ctx.RegisterResourceOutputs(b.ClusterBackup, pulumi.Map{"plans": b.Plans})
}

// options are those of a child.
func (b *clusterBackup) options(opts ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return childOptions(b.ClusterBackup, append(opts, pulumi.DependsOn(b.args.After))...)
}

// gke makes the plans of Backup for GKE: one of the namespace's objects and
// Secrets, without volumes, and one of the journals with theirs. One plan for both
// would copy every volume of the namespace, the models disk among them.
func (b *clusterBackup) gke() ([]string, error) {
	a := b.args
	var enabled pulumi.ResourceOption = pulumi.DependsOn(nil)
	if !a.SkipServices {
		var err error
		if enabled, err = enableServices(b.ctx, b.ClusterBackup, b.name, a.Project, apiBackup); err != nil {
			return nil, err
		}
	}
	plan := func(kind, description string, config *resources.BackupPlanConfig, opts ...pulumi.ResourceOption) (string, error) {
		name := shorten(a.NamePrefix+"-"+kind, 63)
		_, err := resources.NewBackupPlan(b.ctx, b.name+"-"+kind, &resources.BackupPlanArgs{
			Project: pulumi.String(a.Project), Location: pulumi.String(a.Backup.Location), Name: pulumi.String(name),
			Cluster: a.Cluster, Description: pulumi.String(description), Labels: stringMap(a.Labels),
			BackupConfig:   config,
			BackupSchedule: &resources.BackupPlanSchedule{CronSchedule: pulumi.String(a.Backup.Schedule)},
			RetentionPolicy: &resources.BackupPlanRetention{
				BackupRetainDays: pulumi.Int(a.Backup.RetentionDays), BackupDeleteLockDays: pulumi.Int(a.Backup.LockDays),
			},
		}, b.options(append(opts, enabled, pulumi.Protect(a.Production))...)...)
		if err != nil {
			return "", fmt.Errorf("plan %s: %w", name, err)
		}
		return name, nil
	}
	objects, err := plan("objects", "Objects and Secrets of namespace "+a.Namespace, &resources.BackupPlanConfig{
		SelectedNamespaces: &resources.BackupPlanNamespaces{Namespaces: pulumi.ToStringArray([]string{a.Namespace})},
		IncludeSecrets:     pulumi.Bool(true), IncludeVolumeData: pulumi.Bool(false),
	})
	if err != nil || a.JournalClass == "" {
		return []string{objects}, err
	}
	application, err := resources.NewProtectedApplication(b.ctx, b.name+"-journals-application", &resources.ProtectedApplicationArgs{
		Metadata: &metav1.ObjectMetaArgs{
			Name: pulumi.String("deepgram-journals"), Namespace: pulumi.String(a.Namespace), Labels: stringMap(a.KubernetesLabels),
		},
		Spec: &resources.ProtectedApplicationSpec{ResourceSelection: &resources.ResourceSelection{
			Type: pulumi.String("Selector"),
			Selector: &metav1.LabelSelectorArgs{MatchLabels: pulumi.StringMap{
				BackupLabel: pulumi.String("journals"),
			}},
		}},
	}, b.options(enabled)...)
	if err != nil {
		return nil, fmt.Errorf("application: %w", err)
	}
	journals, err := plan("journals", "Journals of namespace "+a.Namespace, &resources.BackupPlanConfig{
		SelectedApplications: &resources.BackupPlanApplications{NamespacedNames: []resources.BackupPlanApplication{
			{Name: pulumi.String("deepgram-journals"), Namespace: pulumi.String(a.Namespace)},
		}},
		IncludeSecrets: pulumi.Bool(false), IncludeVolumeData: pulumi.Bool(true),
	}, pulumi.DependsOn([]pulumi.Resource{application}))
	return []string{objects, journals}, err
}

// volumePolicies tells Velero to make snapshots of one class of volumes only: the
// first rule that fits counts.
const volumePolicies = `version: v1
volumePolicies:
- conditions:
    storageClass:
    - %s
  action:
    type: snapshot
- conditions:
    csi:
      driver: ` + diskDriver + `
  action:
    type: skip
- conditions:
    csi:
      driver: ` + filestoreDriver + `
  action:
    type: skip
`

// velero makes the Schedule, and what tells it which volumes to leave out.
func (b *clusterBackup) velero() ([]string, error) {
	a := b.args
	name := a.Namespace + "-" + a.Release
	meta := func(name string) *metav1.ObjectMetaArgs {
		return &metav1.ObjectMetaArgs{
			Name: pulumi.String(name), Namespace: pulumi.String(a.Backup.VeleroNamespace), Labels: stringMap(a.KubernetesLabels),
		}
	}
	template := &resources.VeleroTemplate{
		IncludedNamespaces: pulumi.ToStringArray([]string{a.Namespace}),
		SnapshotVolumes:    pulumi.Bool(a.JournalClass != ""),
		Ttl:                pulumi.Sprintf("%dh0m0s", 24*a.Backup.RetentionDays),
	}
	if a.Backup.StorageLocation != "" {
		template.StorageLocation = pulumi.String(a.Backup.StorageLocation)
	}
	var before []pulumi.Resource
	if a.JournalClass != "" {
		policies, err := corev1.NewConfigMap(b.ctx, b.name+"-volumes", &corev1.ConfigMapArgs{
			Metadata: meta(name + "-volumes"),
			Data:     pulumi.StringMap{"policies.yaml": pulumi.Sprintf(volumePolicies, a.JournalClass)},
		}, b.options()...)
		if err != nil {
			return nil, fmt.Errorf("volume policies: %w", err)
		}
		before = append(before, policies)
		template.ResourcePolicy = &resources.ObjectRef{Kind: pulumi.String("configmap"), Name: pulumi.String(name + "-volumes")}
	}
	_, err := resources.NewVeleroSchedule(b.ctx, b.name+"-schedule", &resources.VeleroScheduleArgs{
		Metadata: meta(name),
		Spec:     &resources.VeleroScheduleSpec{Schedule: pulumi.String(a.Backup.Schedule), Template: template},
	}, b.options(pulumi.DependsOn(before))...)
	if err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	return []string{name}, nil
}
