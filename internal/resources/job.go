package resources

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// JobKind is a Job as kubernetes/batch/v1 registers it.
var JobKind = Kind{
	Token: "kubernetes:batch/v1:Job", Version: KubernetesVersion,
	Constants: map[string]string{"apiVersion": "batch/v1", "kind": "Job"},
}

// JobArgs are the arguments of a Job of batch/v1. Spec is required.
type JobArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *JobSpec                  `pulumi:"spec"`
}

// Job is a Job of batch/v1; the provider waits until it is complete.
type Job struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewJob registers a Job.
func NewJob(ctx *pulumi.Context, name string, args *JobArgs, opts ...pulumi.ResourceOption) (*Job, error) {
	if args == nil || args.Spec == nil {
		return nil, missing("Spec")
	}
	r := &Job{}
	if err := register(ctx, JobKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}
