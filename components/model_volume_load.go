package components

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-command/sdk/go/command/local"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// How a disk is filled (guide G-S.2 to 5), and why each step is safe to stop in:
//
// The loader mounts the disk through a volume and a claim of its own and writes;
// the engines mount it through the chart's, and read. A disk that is attached for
// writing cannot be attached for reading anywhere else, and the reverse. So the
// loader comes first, and the release waits for its Job. When the Job's pod has
// ended, the kubelet unmounts and the controller detaches by themselves, though
// volume, claim and Job stay as a record: what is finished holds no attachment.
// An engine that is quicker than the detaching waits for it.
//
// A Job runs once for a disk. It never runs again while the disk is in use, since
// it could not attach it and would wait for its whole deadline: a link that is
// signed again changes the Secret only, and a newer loader changes nothing. What
// runs it anew is another disk (also one of the same name), or that it failed.

const (
	loaderUser      = 65532 // of the image, see deepgram-ops images publish
	loaderDeadline  = 6 * 3600
	loaderDir       = "/models"
	loaderSources   = "/etc/models"
	sourcesKey      = "sources.json"
	pdDriver        = "pd.csi.storage.gke.io"
	zoneLabel       = "topology.gke.io/zone"
	nodeZoneLabel   = "topology.kubernetes.io/zone"
	gpuTaint        = "nvidia.com/gpu"
	hyperdiskPrefix = "hyperdisk-"
)

// load fills the disk.
func (v *ModelVolume) load(ctx *pulumi.Context, name string, a *ModelVolumeArgs) error {
	l := &diskLoader{ctx: ctx, name: name, object: "models-" + a.Hash, volume: v, args: a, shared: a.Loader.args}
	secret, err := l.secret()
	if err != nil {
		return fmt.Errorf("secret: %w", err)
	}
	claim, err := l.claim()
	if err != nil {
		return err
	}
	job, err := l.job(secret, claim)
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	v.Ready = append(v.Ready, job)
	if strings.HasPrefix(a.Disk.Type, hyperdiskPrefix) {
		return l.share(job)
	}
	return nil
}

type diskLoader struct {
	ctx          *pulumi.Context
	name, object string
	volume       *ModelVolume
	args         *ModelVolumeArgs
	shared       *ModelLoaderArgs
}

func (l *diskLoader) options(more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return childOptions(l.volume, more...)
}

func (l *diskLoader) labels() map[string]string {
	return merged(l.shared.Labels, map[string]string{
		"app.kubernetes.io/name":      "deepgram-ops",
		"app.kubernetes.io/component": "models-loader",
	})
}

// meta is the metadata of an object in the loaders' namespace.
func (l *diskLoader) meta() *metav1.ObjectMetaArgs {
	return &metav1.ObjectMetaArgs{
		Name: pulumi.String(l.object), Namespace: pulumi.String(l.shared.Namespace), Labels: stringMap(l.labels()),
	}
}

// secret holds the links: they are credentials.
func (l *diskLoader) secret() (*corev1.Secret, error) {
	return corev1.NewSecret(l.ctx, l.name+"-sources", &corev1.SecretArgs{
		Metadata:   l.meta(),
		Type:       pulumi.String("Opaque"),
		StringData: pulumi.StringMap{sourcesKey: sourcesJSON(l.args.Files)},
	}, l.options(pulumi.DependsOn(l.args.Loader.Ready))...)
}

// claim makes the volume through which the disk is written, and its claim.
func (l *diskLoader) claim() (*corev1.PersistentVolumeClaim, error) {
	size := pulumi.StringMap{"storage": pulumi.String(strconv.Itoa(l.args.Disk.SizeGb) + "G")}
	once := pulumi.ToStringArray([]string{"ReadWriteOnce"})
	volume, err := corev1.NewPersistentVolume(l.ctx, l.name+"-volume", &corev1.PersistentVolumeArgs{
		Metadata: &metav1.ObjectMetaArgs{Name: pulumi.String(shorten(l.shared.Namespace, 54) + "-" + l.args.Hash), Labels: stringMap(l.labels())},
		Spec: &corev1.PersistentVolumeSpecArgs{
			AccessModes: once, Capacity: size,
			// The disk is Pulumi's, not the cluster's to delete.
			PersistentVolumeReclaimPolicy: pulumi.String("Retain"),
			StorageClassName:              pulumi.String(""),
			ClaimRef: &corev1.ObjectReferenceArgs{
				Namespace: pulumi.String(l.shared.Namespace), Name: pulumi.String(l.object),
			},
			Csi: &corev1.CSIPersistentVolumeSourceArgs{
				Driver: pulumi.String(pdDriver), VolumeHandle: l.volume.VolumeHandle, FsType: pulumi.String("ext4"),
			},
			NodeAffinity: &corev1.VolumeNodeAffinityArgs{Required: &corev1.NodeSelectorArgs{
				NodeSelectorTerms: corev1.NodeSelectorTermArray{&corev1.NodeSelectorTermArgs{
					MatchExpressions: corev1.NodeSelectorRequirementArray{nodesWith(zoneLabel, "In", l.args.Zone)},
				}},
			}},
		},
		// Capacity is a label here; a disk that grew must not touch a bound claim.
	}, l.options(pulumi.DependsOn(l.args.Loader.Ready), pulumi.IgnoreChanges([]string{"spec.capacity"}))...)
	if err != nil {
		return nil, fmt.Errorf("volume: %w", err)
	}
	claim, err := corev1.NewPersistentVolumeClaim(l.ctx, l.name+"-claim", &corev1.PersistentVolumeClaimArgs{
		Metadata: l.meta(),
		Spec: &corev1.PersistentVolumeClaimSpecArgs{
			AccessModes: once, StorageClassName: pulumi.String(""),
			VolumeName: volume.Metadata.Name(),
			Resources:  &corev1.VolumeResourceRequirementsArgs{Requests: size},
		},
	}, l.options(pulumi.IgnoreChanges([]string{"spec.resources"}))...)
	if err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	return claim, nil
}

func nodesWith(key, operator string, values ...string) *corev1.NodeSelectorRequirementArgs {
	return &corev1.NodeSelectorRequirementArgs{
		Key: pulumi.String(key), Operator: pulumi.String(operator), Values: pulumi.ToStringArray(values),
	}
}

// job runs models load, and is waited for.
func (l *diskLoader) job(secret *corev1.Secret, claim *corev1.PersistentVolumeClaim) (*resources.Job, error) {
	meta := l.meta()
	// A failed Job is replaced by the next up; otherwise it would stay failed.
	meta.Annotations = pulumi.StringMap{"pulumi.com/replaceUnready": pulumi.String("true")}
	after := []pulumi.Resource{secret}
	options := []pulumi.ResourceOption{
		// See above: once for a disk.
		pulumi.IgnoreChanges([]string{"spec", "metadata.labels"}),
		pulumi.DeleteBeforeReplace(true),
		// Beyond the Job's own deadline, so that Kubernetes is the one to tell.
		pulumi.Timeouts(&pulumi.CustomTimeouts{
			Create: secondsText(loaderDeadline + 1200),
			Update: secondsText(loaderDeadline + 1200), Delete: "15m",
		}),
	}
	if l.volume.Disk != nil {
		options = append(options, pulumi.ReplacementTrigger(pulumi.Sprintf("%s %s", l.volume.VolumeHandle, l.volume.Disk.CreationTimestamp)))
	}
	return resources.NewJob(l.ctx, l.name+"-load", &resources.JobArgs{
		Metadata: meta,
		Spec: &resources.JobSpec{
			// A pod takes over where the one before it stopped.
			BackoffLimit:          pulumi.Int(6),
			ActiveDeadlineSeconds: pulumi.Int(loaderDeadline),
			Template: &corev1.PodTemplateSpecArgs{
				Metadata: &metav1.ObjectMetaArgs{
					Labels:      stringMap(l.labels()),
					Annotations: pulumi.StringMap{"cluster-autoscaler.kubernetes.io/safe-to-evict": pulumi.String("false")},
				},
				Spec: l.pod(claim),
			},
		},
	}, l.options(append(options, pulumi.DependsOn(after))...)...)
}

func (l *diskLoader) pod(claim *corev1.PersistentVolumeClaim) *corev1.PodSpecArgs {
	return &corev1.PodSpecArgs{
		RestartPolicy:                pulumi.String("Never"), // so that the logs of a failed pod stay
		ServiceAccountName:           pulumi.String(loaderAccount),
		AutomountServiceAccountToken: pulumi.Bool(false),
		EnableServiceLinks:           pulumi.Bool(false),
		Affinity:                     &corev1.AffinityArgs{NodeAffinity: l.nodes()},
		Tolerations: corev1.TolerationArray{&corev1.TolerationArgs{
			Key: pulumi.String(gpuTaint), Operator: pulumi.String("Exists"), Effect: pulumi.String("NoSchedule"),
		}},
		SecurityContext: &corev1.PodSecurityContextArgs{
			RunAsNonRoot: pulumi.Bool(true), RunAsUser: pulumi.Int(loaderUser), RunAsGroup: pulumi.Int(loaderUser),
			// A new file system is root's; the group may write.
			FsGroup: pulumi.Int(loaderUser), FsGroupChangePolicy: pulumi.String("OnRootMismatch"),
			SeccompProfile: &corev1.SeccompProfileArgs{Type: pulumi.String("RuntimeDefault")},
		},
		Containers: corev1.ContainerArray{&corev1.ContainerArgs{
			Name:  pulumi.String("load"),
			Image: l.shared.Image.ToStringOutput().ToStringPtrOutput(),
			Args: pulumi.ToStringArray([]string{
				"models", "load", "--dir", loaderDir, "--sources", loaderSources + "/" + sourcesKey, "--progress", "30s",
			}),
			Resources: &corev1.ResourceRequirementsArgs{
				Requests: pulumi.StringMap{"cpu": pulumi.String("500m"), "memory": pulumi.String("256Mi")},
				Limits:   pulumi.StringMap{"memory": pulumi.String("1Gi")},
			},
			SecurityContext: &corev1.SecurityContextArgs{
				AllowPrivilegeEscalation: pulumi.Bool(false), ReadOnlyRootFilesystem: pulumi.Bool(true),
				Capabilities: &corev1.CapabilitiesArgs{Drop: pulumi.ToStringArray([]string{"ALL"})},
			},
			TerminationMessagePolicy: pulumi.String("FallbackToLogsOnError"),
			VolumeMounts: corev1.VolumeMountArray{
				&corev1.VolumeMountArgs{Name: pulumi.String("models"), MountPath: pulumi.String(loaderDir)},
				&corev1.VolumeMountArgs{Name: pulumi.String("sources"), MountPath: pulumi.String(loaderSources), ReadOnly: pulumi.Bool(true)},
			},
		}},
		Volumes: corev1.VolumeArray{
			&corev1.VolumeArgs{Name: pulumi.String("models"), PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSourceArgs{
				ClaimName: claim.Metadata.Name().Elem(),
			}},
			&corev1.VolumeArgs{Name: pulumi.String("sources"), Secret: &corev1.SecretVolumeSourceArgs{
				SecretName: pulumi.String(l.object), DefaultMode: pulumi.Int(0o440),
			}},
		},
	}
}

// nodes are those of the disk's zone that can attach it. Engine nodes come last:
// an engine that starts on the loader's node might find the disk still attached
// there for writing, and keep it so.
func (l *diskLoader) nodes() *corev1.NodeAffinityArgs {
	where := corev1.NodeSelectorRequirementArray{nodesWith(nodeZoneLabel, "In", l.args.Zone)}
	if len(l.shared.NodeRoles) > 0 {
		where = append(where, nodesWith(NodeTypeLabel, "In", l.shared.NodeRoles...))
	}
	return &corev1.NodeAffinityArgs{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelectorArgs{
			NodeSelectorTerms: corev1.NodeSelectorTermArray{&corev1.NodeSelectorTermArgs{MatchExpressions: where}},
		},
		PreferredDuringSchedulingIgnoredDuringExecution: corev1.PreferredSchedulingTermArray{&corev1.PreferredSchedulingTermArgs{
			Weight: pulumi.Int(100),
			Preference: &corev1.NodeSelectorTermArgs{
				MatchExpressions: corev1.NodeSelectorRequirementArray{nodesWith(NodeTypeLabel, "NotIn", RoleEngine)},
			},
		}},
	}
}

// share lets many nodes read a Hyperdisk, which has to be told so when nobody
// writes to it any more. The gcp provider would have to be told so only after the
// Job, and cannot; gcloud can.
func (l *diskLoader) share(job *resources.Job) error {
	a := l.args
	line := pulumi.Sprintf("gcloud compute disks update %s --zone=%s --project=%s --access-mode=READ_ONLY_MANY --quiet",
		l.volume.DiskName, a.Zone, a.Project)
	shared, err := local.NewCommand(l.ctx, l.name+"-share", &local.CommandArgs{
		Create: line, AddPreviousOutputInEnv: pulumi.Bool(false),
		Triggers: pulumi.Array{l.volume.Disk.CreationTimestamp},
	}, l.options(pulumi.DependsOn([]pulumi.Resource{job}))...)
	if err != nil {
		return fmt.Errorf("access mode: %w", err)
	}
	l.volume.Ready = append(l.volume.Ready, shared)
	return nil
}
