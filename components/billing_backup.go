package components

import (
	"fmt"
	"maps"
	"net/url"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/internal/chart"
	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// Where the backup's pod has its volumes.
const (
	journalMount = "/journals"
	backupMount  = "/backup"
)

// mostReplicas is the most that billing has: one whose journal is still there
// after it was scaled away is copied, too.
const mostReplicas = 10

const (
	hour = 3600
	day  = 24 * hour
)

// backup makes the scheduled copy (guide A-CRON): a CronJob with the project's own
// image, which installs nothing, and who may write where.
func (b *billing) backup() error {
	b.Target = pulumi.String(b.args.target()).ToStringOutput()
	annotations := pulumi.StringMap{}
	var before []pulumi.Resource
	k := b.args.Billing.Backup
	switch k.Target {
	case "gcs":
		email, written, err := b.cloudStorage()
		if err != nil {
			return err
		}
		annotations["iam.gke.io/gcp-service-account"] = email
		b.ServiceAccount = email
		before = append(before, written...)
	case "s3":
		b.Bucket = pulumi.String(k.Bucket).ToStringOutput()
		if k.S3.RoleARN != "" {
			annotations["eks.amazonaws.com/role-arn"] = pulumi.String(k.S3.RoleARN)
			break
		}
		keys, err := b.secret(s3Secret, map[string]pulumi.StringInput{
			"AWS_ACCESS_KEY_ID": b.args.S3AccessKeyID, "AWS_SECRET_ACCESS_KEY": b.args.S3SecretAccessKey,
		})
		if err != nil {
			return err
		}
		before = append(before, keys)
	}
	account, err := b.backupAccount(annotations)
	if err != nil {
		return err
	}
	return b.cronJobs(append(append(before, account...), b.Ready...))
}

// target is where the copies go, as `deepgram-ops journal` takes it.
func (a *BillingArgs) target() string {
	k := a.Billing.Backup
	folder := ""
	if k.Folder != "" {
		folder = "/" + k.Folder
	}
	switch k.Target {
	case "gcs":
		return "gs://" + k.Bucket + folder
	case "s3":
		query := url.Values{"region": {k.S3.Region}}
		if k.S3.Endpoint != "" {
			query.Set("endpoint", k.S3.Endpoint)
			// Stores that are not Amazon's have no DNS name for each bucket.
			query.Set("use_path_style", "true")
		}
		return "s3://" + k.Bucket + folder + "?" + query.Encode()
	}
	return "file://" + backupMount + folder
}

// cloudStorage makes the bucket and the Google account that may add to it (guide
// A-BEST). The account can create, read and list objects, and neither replace nor
// delete one: whoever takes the cluster cannot take the copies.
func (b *billing) cloudStorage() (email pulumi.StringOutput, written []pulumi.Resource, err error) {
	a, k := b.args, b.args.Billing.Backup
	var enabled pulumi.ResourceOption = pulumi.DependsOn(nil)
	if !a.SkipServices {
		if enabled, err = enableServices(b.ctx, b.Billing, b.name, a.Project, apiStorage, apiCredentials); err != nil {
			return email, nil, err
		}
	}
	b.Bucket = pulumi.String(k.Bucket).ToStringOutput()
	if !k.ExistingBucket {
		bucket, err := resources.NewBucket(b.ctx, b.name+"-journals", &resources.BucketArgs{
			Project:                  pulumi.String(a.Project),
			Name:                     pulumi.String(k.Bucket),
			Location:                 pulumi.String(k.Location),
			UniformBucketLevelAccess: pulumi.Bool(true),
			PublicAccessPrevention:   pulumi.String("enforced"),
			// Nothing goes before it was delivered: the hold lasts until then, and the
			// retention begins with its release.
			DefaultEventBasedHold: pulumi.Bool(k.HoldUntilDelivered),
			RetentionPolicy:       &resources.BucketRetentionPolicy{RetentionPeriod: pulumi.Int(k.RetentionDays * day)},
			Versioning:            &resources.BucketVersioning{Enabled: pulumi.Bool(true)},
			SoftDeletePolicy:      &resources.BucketSoftDeletePolicy{RetentionDurationSeconds: pulumi.Int(30 * day)},
			ForceDestroy:          pulumi.Bool(false),
			Labels:                stringMap(a.Labels),
		}, childOptions(b.Billing, enabled, pulumi.Protect(a.Production), pulumi.RetainOnDelete(a.Production))...)
		if err != nil {
			return email, nil, fmt.Errorf("bucket: %w", err)
		}
		b.Bucket = bucket.Name
	}
	writer, err := b.writer(enabled)
	if err != nil {
		return email, nil, err
	}
	for key, role := range map[string]string{"create": "roles/storage.objectCreator", "read": "roles/storage.objectViewer"} {
		member, err := resources.NewBucketIAMMember(b.ctx, b.name+"-journals-"+key, &resources.BucketIAMMemberArgs{
			Bucket: b.Bucket, Role: pulumi.String(role), Member: pulumi.Sprintf("serviceAccount:%s", writer),
		}, childOptions(b.Billing)...)
		if err != nil {
			return email, nil, fmt.Errorf("bucket access: %w", err)
		}
		written = append(written, member)
	}
	return writer, written, nil
}

// backupAccount makes the pods' service account and what it may do in the
// namespace: put billing back where a command that had scaled it down was killed,
// and remove that command's helper pods (guide A-CRON.block). It can read no
// Secret, and change no other workload.
func (b *billing) backupAccount(annotations pulumi.StringMap) ([]pulumi.Resource, error) {
	account, err := corev1.NewServiceAccount(b.ctx, b.name+"-backup-account", &corev1.ServiceAccountArgs{
		Metadata: b.meta(BackupName, annotations),
		// The jobs' pods ask for their token themselves; nobody else gets one.
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, b.options()...)
	if err != nil {
		return nil, fmt.Errorf("service account: %w", err)
	}
	role, err := resources.NewRole(b.ctx, b.name+"-backup-role", &resources.RoleArgs{
		Metadata: b.meta(BackupName, nil), Rules: backupRules(b.args.Namespace),
	}, b.options()...)
	if err != nil {
		return nil, fmt.Errorf("role: %w", err)
	}
	binding, err := resources.NewRoleBinding(b.ctx, b.name+"-backup-role-binding", &resources.RoleBindingArgs{
		Metadata: b.meta(BackupName, nil),
		RoleRef: &resources.RoleRef{
			ApiGroup: pulumi.String("rbac.authorization.k8s.io"), Kind: pulumi.String("Role"), Name: pulumi.String(BackupName),
		},
		Subjects: []resources.Subject{{
			Kind: pulumi.String("ServiceAccount"), Name: pulumi.String(BackupName), Namespace: pulumi.String(b.args.Namespace),
		}},
	}, b.options(pulumi.DependsOn([]pulumi.Resource{account, role}))...)
	if err != nil {
		return nil, fmt.Errorf("role binding: %w", err)
	}
	return []pulumi.Resource{account, binding}, nil
}

// backupRules are what `journal backup --recover` and `journal list --quick` ask
// of the API server, and nothing else.
func backupRules(namespace string) []resources.PolicyRule {
	var leases []string
	for i := range mostReplicas {
		leases = append(leases, chart.JournalLease(namespace, fmt.Sprintf("%s-%d", chart.BillingName, i)))
	}
	rule := func(group, kind string, names []string, verbs ...string) resources.PolicyRule {
		r := resources.PolicyRule{
			ApiGroups: pulumi.ToStringArray([]string{group}), Resources: pulumi.ToStringArray([]string{kind}),
			Verbs: pulumi.ToStringArray(verbs),
		}
		if len(names) > 0 {
			r.ResourceNames = pulumi.ToStringArray(names)
		}
		return r
	}
	return []resources.PolicyRule{
		rule("", "pods", nil, "list", "delete"),
		rule("", "persistentvolumeclaims", nil, "get"),
		rule("apps", "statefulsets", nil, "list"),
		rule("apps", "statefulsets", []string{chart.BillingName}, "update"),
		// The time of every replica's last good copy, which monitoring reads.
		// Creating cannot be limited to names.
		rule("coordination.k8s.io", "leases", nil, "create"),
		rule("coordination.k8s.io", "leases", leases, "patch"),
	}
}

// cronJobs copy every replica's journal, which are folders of one claim.
func (b *billing) cronJobs(before []pulumi.Resource) error {
	k := b.args.Billing.Backup
	if err := b.cronJob(BackupName, k.Schedule, 6*hour, b.backupPod(), before); err != nil {
		return err
	}
	if b.args.Billing.Storage != "block" {
		return nil
	}
	// The backup runs beside billing. Where a killed command left billing scaled
	// down there is no such node, so putting it back needs a job of its own.
	pod, container := b.pod()
	container.Args = pulumi.ToStringArray([]string{"journal", "list", "--quick", "--namespace", b.args.Namespace})
	pod.Containers = corev1.ContainerArray{container}
	return b.cronJob(recoverName, "*/15 * * * *", hour/4, pod, before)
}

func (b *billing) cronJob(name, schedule string, deadline int, pod *corev1.PodSpecArgs, before []pulumi.Resource) error {
	labels := map[string]string{}
	maps.Copy(labels, b.args.KubernetesLabels)
	labels["app"] = name
	meta := b.meta(name, nil)
	meta.Labels = pulumi.ToStringMap(labels)
	_, err := resources.NewCronJob(b.ctx, b.name+strings.TrimPrefix(name, "billing-journal"), &resources.CronJobArgs{
		Metadata: meta,
		Spec: &resources.CronJobSpec{
			Schedule: pulumi.String(schedule), TimeZone: pulumi.String(b.args.Billing.Backup.TimeZone),
			ConcurrencyPolicy: pulumi.String("Forbid"),
			// A controller that was away catches up within half a day.
			StartingDeadlineSeconds:    pulumi.Int(12 * hour),
			SuccessfulJobsHistoryLimit: pulumi.Int(3),
			// Failures stay visible for a week.
			FailedJobsHistoryLimit: pulumi.Int(7),
			JobTemplate: resources.JobTemplateSpec{
				Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(labels)},
				Spec: &resources.JobSpec{
					BackoffLimit:          pulumi.Int(3),
					ActiveDeadlineSeconds: pulumi.Int(deadline),
					Template: &corev1.PodTemplateSpecArgs{
						Metadata: &metav1.ObjectMetaArgs{Labels: pulumi.ToStringMap(labels)},
						Spec:     pod,
					},
				},
			},
		},
	}, b.options(pulumi.DependsOn(append(before, b.args.OpsReady...)))...)
	if err != nil {
		return fmt.Errorf("cron job %s: %w", name, err)
	}
	return nil
}

// pod is what the jobs' pods have in common: no root, nothing to write to but a
// folder for temporary files.
func (b *billing) pod() (*corev1.PodSpecArgs, *corev1.ContainerArgs) {
	user := b.args.Billing.Backup.RunAsUser
	container := &corev1.ContainerArgs{
		Name:            pulumi.String("backup"),
		Image:           b.args.OpsImage.ToStringOutput().ToStringPtrOutput(),
		ImagePullPolicy: pulumi.String("IfNotPresent"),
		Command:         pulumi.ToStringArray([]string{"/deepgram-ops"}),
		Resources: &corev1.ResourceRequirementsArgs{
			Requests: pulumi.ToStringMap(map[string]string{"cpu": "100m", "memory": "128Mi"}),
			Limits:   pulumi.ToStringMap(map[string]string{"memory": "512Mi"}),
		},
		SecurityContext: &corev1.SecurityContextArgs{
			AllowPrivilegeEscalation: pulumi.Bool(false), ReadOnlyRootFilesystem: pulumi.Bool(true), Privileged: pulumi.Bool(false),
			Capabilities: &corev1.CapabilitiesArgs{Drop: pulumi.ToStringArray([]string{"ALL"})},
		},
	}
	pod := &corev1.PodSpecArgs{
		ServiceAccountName:           pulumi.String(BackupName),
		AutomountServiceAccountToken: pulumi.Bool(true),
		EnableServiceLinks:           pulumi.Bool(false),
		RestartPolicy:                pulumi.String("Never"),
		NodeSelector:                 pulumi.ToStringMap(map[string]string{chart.NodeTypeLabel: chart.RoleBilling}),
		// No fsGroup: the kubelet would change the owner of every journal.
		SecurityContext: &corev1.PodSecurityContextArgs{
			RunAsUser: pulumi.Int(user), RunAsGroup: pulumi.Int(user), RunAsNonRoot: pulumi.Bool(user != 0),
			SeccompProfile: &corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
		},
	}
	if b.args.UsePullSecret {
		pod.ImagePullSecrets = corev1.LocalObjectReferenceArray{
			&corev1.LocalObjectReferenceArgs{Name: pulumi.String(chart.PullSecret)},
		}
	}
	return pod, container
}

// backupPod mounts the journals, and the volume of the copies where that is the
// target.
func (b *billing) backupPod() *corev1.PodSpecArgs {
	a, k := b.args, b.args.Billing.Backup
	pod, container := b.pod()
	container.Args = pulumi.ToStringArray([]string{
		"journal", "backup", "--source", journalMount, "--target", a.target(),
		"--recover", "--lease", "--namespace", a.Namespace, "--output", "json",
	})
	// The mount is read-only, the claim's volume is not: a disk that billing has
	// mounted for writing cannot be mounted read-only a second time.
	mounts := corev1.VolumeMountArray{
		&corev1.VolumeMountArgs{Name: pulumi.String("journals"), MountPath: pulumi.String(journalMount), ReadOnly: pulumi.Bool(true)},
		&corev1.VolumeMountArgs{Name: pulumi.String("tmp"), MountPath: pulumi.String("/tmp")},
	}
	volumes := corev1.VolumeArray{
		claimVolume("journals", a.claim()),
		&corev1.VolumeArgs{Name: pulumi.String("tmp"), EmptyDir: &corev1.EmptyDirVolumeSourceArgs{}},
	}
	switch {
	case k.Target == "s3" && k.S3.RoleARN == "":
		container.EnvFrom = corev1.EnvFromSourceArray{&corev1.EnvFromSourceArgs{
			SecretRef: &corev1.SecretEnvSourceArgs{Name: pulumi.String(s3Secret)},
		}}
	case k.Target == "volume":
		backup := claimVolume("backup", k.Volume.Claim)
		if k.Volume.Claim == "" {
			backup = &corev1.VolumeArgs{Name: pulumi.String("backup"), Nfs: &corev1.NFSVolumeSourceArgs{
				Server: pulumi.String(k.Volume.Server), Path: pulumi.String(k.Volume.Path),
			}}
		}
		volumes = append(volumes, backup)
		mounts = append(mounts, &corev1.VolumeMountArgs{Name: pulumi.String("backup"), MountPath: pulumi.String(backupMount)})
	}
	container.VolumeMounts, pod.Volumes, pod.Containers = mounts, volumes, corev1.ContainerArray{container}
	if a.Billing.Storage == "block" {
		// A block volume is for one node, not for one pod: beside billing the journal
		// can be read while it is written.
		pod.Affinity = &corev1.AffinityArgs{PodAffinity: &corev1.PodAffinityArgs{
			RequiredDuringSchedulingIgnoredDuringExecution: corev1.PodAffinityTermArray{&corev1.PodAffinityTermArgs{
				LabelSelector: &metav1.LabelSelectorArgs{MatchLabels: pulumi.ToStringMap(map[string]string{
					"app": chart.BillingName, "app.kubernetes.io/instance": a.Release,
				})},
				TopologyKey: pulumi.String("kubernetes.io/hostname"),
			}},
		}}
	}
	return pod
}

func claimVolume(name, claim string) *corev1.VolumeArgs {
	return &corev1.VolumeArgs{
		Name:                  pulumi.String(name),
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSourceArgs{ClaimName: pulumi.String(claim)},
	}
}
