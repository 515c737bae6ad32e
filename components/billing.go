package components

import (
	"errors"
	"fmt"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/chart"
)

// Billing is what an airgapped deployment has beside its release: the licence as
// Secrets, the volume of the usage journals, and the scheduled copy of them
// (airgapped guide). The billing pods themselves are the chart's: compose it with
// DeepgramRelease by calling NewBilling in DeepgramReleaseArgs.Prepare.
type Billing struct {
	pulumi.ResourceState

	// ClaimName is the claim that holds the journals.
	ClaimName pulumi.StringOutput `pulumi:"claimName"`
	// Bucket is the bucket of the copies; empty where they go to a volume.
	Bucket pulumi.StringOutput `pulumi:"bucket"`
	// Target is where the copies go, as `deepgram-ops journal` takes it: gs://…,
	// s3://… or file:///…; empty without backup.
	Target pulumi.StringOutput `pulumi:"target"`
	// ServiceAccount is the e-mail address of the Google account that writes the
	// copies; empty where the target is not Cloud Storage.
	ServiceAccount pulumi.StringOutput `pulumi:"serviceAccount"`
	// Storage says in words what holds the journals, and what that is at least.
	Storage pulumi.StringOutput `pulumi:"storage"`
	// JournalClass is the class of the claim that is made here; empty where none is.
	JournalClass string
	// Ready is what the release has to wait for: billing's pods cannot start
	// without it.
	Ready []pulumi.Resource
}

// BillingArgs says where the journals are and where their copies go.
type BillingArgs struct {
	// Billing are the settings. Its secrets are not read: they come as inputs,
	// below.
	Billing config.Billing
	// Release and Namespace are those of the release. Required.
	Release, Namespace string
	// Project is the Google Cloud project. Empty means a cluster that is not GKE:
	// then the volume comes from Billing.StorageClass or a claim that is there, and
	// the copies go to s3 or volume.
	Project string
	// NamePrefix starts the names of cloud objects and of the StorageClass.
	// Required with Project.
	NamePrefix string
	// Network is the VPC network of the nodes, for Filestore; "" means default.
	Network string
	// NetworkProject is the network's project where that is another one (Shared
	// VPC). Filestore then needs private services access in it.
	NetworkProject string
	// ModelsClaim is the claim of the models, for Billing.ShareModels.
	ModelsClaim string
	// Labels are put on cloud objects, KubernetesLabels on Kubernetes objects.
	Labels, KubernetesLabels map[string]string
	// Production protects claim and bucket and keeps them, and what is on them,
	// when the deployment is destroyed.
	Production bool
	// SkipServices leaves the project's APIs as they are.
	SkipServices bool
	// OpsReady is what has to be there before OpsImage can be pulled.
	OpsReady []pulumi.Resource
	// UsePullSecret makes the backup's pods pull with the Secret dg-regcred.
	UsePullSecret bool
	// After is what has to be there first: the namespace.
	After []pulumi.Resource

	// OpsImage is the image of deepgram-ops that the backup runs, such as
	// Registry.OpsImage. Required with backup.
	OpsImage pulumi.StringInput
	// LicenseKey is DEEPGRAM_LICENSE_KEY, without |, &, \, " and line breaks, which
	// the chart cannot carry. Required. Marked secret, whatever is passed.
	LicenseKey pulumi.StringInput
	// LicenseFile is the text of the .dg licence file. Required. Marked secret.
	LicenseFile pulumi.StringInput
	// S3AccessKeyID and S3SecretAccessKey are the keys of target s3, unless the
	// service account has a role. Marked secret.
	S3AccessKeyID     pulumi.StringInput
	S3SecretAccessKey pulumi.StringInput
}

// Names of what a Billing makes in the release's namespace.
const (
	// BackupName is the CronJob's name, as in the guide, and its service account's.
	BackupName = chart.BackupJobName
	// recoverName is the CronJob that puts billing back on block storage.
	recoverName = "billing-journal-recover"
	// s3Secret holds the keys of an object store.
	s3Secret = "dg-journal-s3"
)

// billing is a Billing in the making.
type billing struct {
	*Billing
	ctx  *pulumi.Context
	name string
	args *BillingArgs
}

// NewBilling registers licence, journal volume and backup. Pass the cluster's
// Kubernetes provider with pulumi.Provider. It fails before anything is
// registered where an argument is wrong.
func NewBilling(
	ctx *pulumi.Context, name string, args *BillingArgs, opts ...pulumi.ResourceOption,
) (*Billing, error) {
	if args == nil {
		args = &BillingArgs{} // Validate tells what is missing
	}
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("billing %q: %w", name, err)
	}
	b := &billing{Billing: &Billing{}, ctx: ctx, name: name, args: args}
	if err := b.make(opts); err != nil {
		return nil, fmt.Errorf("billing %q: %w", name, err)
	}
	return b.Billing, nil
}

func (b *billing) make(opts []pulumi.ResourceOption) error {
	a := b.args
	inputs := pulumi.Map{
		"namespace":    pulumi.String(a.Namespace),
		"architecture": pulumi.String(a.Billing.Architecture),
		"storage":      pulumi.String(a.Billing.Storage),
		"replicas":     pulumi.Int(a.Billing.Replicas),
	}
	if err := b.ctx.RegisterComponentResourceV2("deepgram:index:Billing", b.name, inputs, b.Billing, opts...); err != nil {
		return err
	}
	none := pulumi.String("").ToStringOutput()
	b.Bucket, b.Target, b.ServiceAccount = none, none, none
	b.Storage = pulumi.String(a.storageNote()).ToStringOutput()
	if err := b.license(); err != nil {
		return err
	}
	if err := b.journal(); err != nil {
		return fmt.Errorf("journal volume: %w", err)
	}
	if a.Billing.Backup.Enabled {
		if err := b.backup(); err != nil {
			return fmt.Errorf("backup: %w", err)
		}
	}
	return b.ctx.RegisterResourceOutputs(b.Billing, pulumi.Map{
		"claimName": b.ClaimName, "bucket": b.Bucket, "target": b.Target,
		"serviceAccount": b.ServiceAccount, "storage": b.Storage,
	})
}

// options are those of an object in the namespace.
func (b *billing) options(more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return childOptions(b.Billing, append(more, pulumi.DependsOn(b.args.After))...)
}

// meta is the metadata of an object in the namespace.
func (b *billing) meta(name string, annotations pulumi.StringMap) *metav1.ObjectMetaArgs {
	m := &metav1.ObjectMetaArgs{
		Name: pulumi.String(name), Namespace: pulumi.String(b.args.Namespace), Labels: stringMap(b.args.KubernetesLabels),
	}
	if len(annotations) > 0 {
		m.Annotations = annotations
	}
	return m
}

// license makes the two Secrets with the exact keys that the chart reads (guide
// A-PRE).
func (b *billing) license() error {
	key := b.args.LicenseKey.ToStringOutput().ApplyT(func(key string) (string, error) {
		return key, checkLicenseKey(key)
	}).(pulumi.StringOutput)
	for _, s := range []struct {
		name, key string
		value     pulumi.StringInput
	}{
		{chart.LicenseKeySecret, chart.LicenseKeyKey, key},
		{chart.LicenseFileSecret, chart.LicenseFileKey, b.args.LicenseFile},
	} {
		secret, err := b.secret(s.name, map[string]pulumi.StringInput{s.key: s.value})
		if err != nil {
			return err
		}
		b.Ready = append(b.Ready, secret)
	}
	return nil
}

// secret makes a Secret whose values are secret in the state, whatever was passed.
func (b *billing) secret(name string, values map[string]pulumi.StringInput) (*corev1.Secret, error) {
	data := pulumi.StringMap{}
	for k, v := range values {
		data[k] = pulumi.ToSecret(v).(pulumi.StringOutput)
	}
	secret, err := corev1.NewSecret(b.ctx, b.name+"-"+name, &corev1.SecretArgs{
		Metadata: b.meta(name, nil), Type: pulumi.String("Opaque"), StringData: data,
	}, b.options()...)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	return secret, nil
}

// checkLicenseKey refuses what the chart's substitution (sed, into a quoted TOML
// text) would turn into another key or into a file that cannot be read. The error
// does not show the key.
func checkLicenseKey(key string) error {
	switch {
	case strings.TrimSpace(key) == "":
		return errors.New("licence key: is empty")
	case strings.ContainsAny(key, "|&\\\"\n\r"):
		return errors.New(`licence key: holds |, &, \, " or a line break, which the chart cannot carry: ` +
			"set it without a line break at its end, or ask Deepgram for another key")
	}
	return nil
}
