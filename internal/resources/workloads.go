package resources

import (
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Kinds of kubernetes/batch/v1 and kubernetes/rbac/v1 as the SDK registers them.
var (
	CronJobKind = Kind{
		Token: "kubernetes:batch/v1:CronJob", Version: KubernetesVersion,
		Aliases:   []string{"kubernetes:batch/v1beta1:CronJob", "kubernetes:batch/v2alpha1:CronJob"},
		Constants: map[string]string{"apiVersion": "batch/v1", "kind": "CronJob"},
	}
	RoleKind        = rbacKind("Role")
	RoleBindingKind = rbacKind("RoleBinding")
)

func rbacKind(kind string) Kind {
	const group = "rbac.authorization.k8s.io/"
	return Kind{
		Token: "kubernetes:" + group + "v1:" + kind, Version: KubernetesVersion,
		Aliases:   []string{"kubernetes:" + group + "v1alpha1:" + kind, "kubernetes:" + group + "v1beta1:" + kind},
		Constants: map[string]string{"apiVersion": group + "v1", "kind": kind},
	}
}

// JobSpec is what a job wants. Times are in seconds.
type JobSpec struct {
	BackoffLimit            pulumi.IntInput                `pulumi:"backoffLimit"`
	ActiveDeadlineSeconds   pulumi.IntInput                `pulumi:"activeDeadlineSeconds"`
	TtlSecondsAfterFinished pulumi.IntInput                `pulumi:"ttlSecondsAfterFinished"`
	Template                corev1.PodTemplateSpecPtrInput `pulumi:"template"`
}

// JobTemplateSpec is the job that a CronJob makes.
type JobTemplateSpec struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *JobSpec                  `pulumi:"spec"`
}

// CronJobSpec is what a CronJob wants.
type CronJobSpec struct {
	Schedule                   pulumi.StringInput `pulumi:"schedule"`
	TimeZone                   pulumi.StringInput `pulumi:"timeZone"`
	ConcurrencyPolicy          pulumi.StringInput `pulumi:"concurrencyPolicy"`
	StartingDeadlineSeconds    pulumi.IntInput    `pulumi:"startingDeadlineSeconds"`
	SuccessfulJobsHistoryLimit pulumi.IntInput    `pulumi:"successfulJobsHistoryLimit"`
	FailedJobsHistoryLimit     pulumi.IntInput    `pulumi:"failedJobsHistoryLimit"`
	JobTemplate                JobTemplateSpec    `pulumi:"jobTemplate"`
}

// CronJobArgs are the arguments of a CronJob of batch/v1. Spec is required.
type CronJobArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *CronJobSpec              `pulumi:"spec"`
}

// CronJob is a CronJob of batch/v1.
type CronJob struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewCronJob registers a CronJob.
func NewCronJob(ctx *pulumi.Context, name string, args *CronJobArgs, opts ...pulumi.ResourceOption) (*CronJob, error) {
	if args == nil || args.Spec == nil {
		return nil, missing("Spec")
	}
	r := &CronJob{}
	if err := register(ctx, CronJobKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// PolicyRule allows verbs on resources.
type PolicyRule struct {
	ApiGroups     pulumi.StringArrayInput `pulumi:"apiGroups"`
	Resources     pulumi.StringArrayInput `pulumi:"resources"`
	ResourceNames pulumi.StringArrayInput `pulumi:"resourceNames"`
	Verbs         pulumi.StringArrayInput `pulumi:"verbs"`
}

// RoleArgs are the arguments of a Role of rbac.authorization.k8s.io/v1.
type RoleArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Rules    []PolicyRule              `pulumi:"rules"`
}

// Role is a Role of rbac.authorization.k8s.io/v1.
type Role struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewRole registers a Role.
func NewRole(ctx *pulumi.Context, name string, args *RoleArgs, opts ...pulumi.ResourceOption) (*Role, error) {
	r := &Role{}
	if err := register(ctx, RoleKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// RoleRef names the role of a binding.
type RoleRef struct {
	ApiGroup pulumi.StringInput `pulumi:"apiGroup"`
	Kind     pulumi.StringInput `pulumi:"kind"`
	Name     pulumi.StringInput `pulumi:"name"`
}

// Subject is who gets the role of a binding.
type Subject struct {
	Kind      pulumi.StringInput `pulumi:"kind"`
	Name      pulumi.StringInput `pulumi:"name"`
	Namespace pulumi.StringInput `pulumi:"namespace"`
}

// RoleBindingArgs are the arguments of a RoleBinding. RoleRef is required.
type RoleBindingArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	RoleRef  *RoleRef                  `pulumi:"roleRef"`
	Subjects []Subject                 `pulumi:"subjects"`
}

// RoleBinding is a RoleBinding of rbac.authorization.k8s.io/v1.
type RoleBinding struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewRoleBinding registers a RoleBinding.
func NewRoleBinding(
	ctx *pulumi.Context, name string, args *RoleBindingArgs, opts ...pulumi.ResourceOption,
) (*RoleBinding, error) {
	if args == nil || args.RoleRef == nil {
		return nil, missing("RoleRef")
	}
	r := &RoleBinding{}
	if err := register(ctx, RoleBindingKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}
