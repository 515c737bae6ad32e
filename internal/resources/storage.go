package resources

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Kinds of gcp/storage and kubernetes/storage/v1 as the SDK registers them.
var (
	BucketKind          = Kind{Token: "gcp:storage/bucket:Bucket", Version: GCPVersion, SecretOutputs: labelSecrets}
	BucketIAMMemberKind = Kind{Token: "gcp:storage/bucketIAMMember:BucketIAMMember", Version: GCPVersion}
	StorageClassKind    = Kind{
		Token: "kubernetes:storage.k8s.io/v1:StorageClass", Version: KubernetesVersion,
		Aliases:   []string{"kubernetes:storage.k8s.io/v1beta1:StorageClass"},
		Constants: map[string]string{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass"},
	}
)

// BucketRetentionPolicy keeps objects for RetentionPeriod seconds.
type BucketRetentionPolicy struct {
	IsLocked        pulumi.BoolInput `pulumi:"isLocked"`
	RetentionPeriod pulumi.IntInput  `pulumi:"retentionPeriod"`
}

// BucketSoftDeletePolicy keeps deleted objects for RetentionDurationSeconds.
type BucketSoftDeletePolicy struct {
	RetentionDurationSeconds pulumi.IntInput `pulumi:"retentionDurationSeconds"`
}

// BucketVersioning keeps the versions of an object.
type BucketVersioning struct {
	Enabled pulumi.BoolInput `pulumi:"enabled"`
}

// BucketArgs are the arguments of a Cloud Storage bucket. Location is required.
type BucketArgs struct {
	Project                  pulumi.StringInput      `pulumi:"project"`
	Name                     pulumi.StringInput      `pulumi:"name"`
	Location                 pulumi.StringInput      `pulumi:"location"`
	StorageClass             pulumi.StringInput      `pulumi:"storageClass"`
	UniformBucketLevelAccess pulumi.BoolInput        `pulumi:"uniformBucketLevelAccess"`
	PublicAccessPrevention   pulumi.StringInput      `pulumi:"publicAccessPrevention"`
	DefaultEventBasedHold    pulumi.BoolInput        `pulumi:"defaultEventBasedHold"`
	ForceDestroy             pulumi.BoolInput        `pulumi:"forceDestroy"`
	RetentionPolicy          *BucketRetentionPolicy  `pulumi:"retentionPolicy"`
	SoftDeletePolicy         *BucketSoftDeletePolicy `pulumi:"softDeletePolicy"`
	Versioning               *BucketVersioning       `pulumi:"versioning"`
	Labels                   pulumi.StringMapInput   `pulumi:"labels"`
}

// Bucket is a Cloud Storage bucket.
type Bucket struct {
	pulumi.CustomResourceState

	Name pulumi.StringOutput `pulumi:"name"`
	Url  pulumi.StringOutput `pulumi:"url"`
}

// NewBucket registers a Cloud Storage bucket.
func NewBucket(ctx *pulumi.Context, name string, args *BucketArgs, opts ...pulumi.ResourceOption) (*Bucket, error) {
	if args == nil || args.Location == nil {
		return nil, missing("Location")
	}
	r := &Bucket{}
	if err := register(ctx, BucketKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// BucketIAMMemberArgs are the arguments of one role of one member in a bucket.
// All are required.
type BucketIAMMemberArgs struct {
	Bucket pulumi.StringInput `pulumi:"bucket"`
	Member pulumi.StringInput `pulumi:"member"`
	Role   pulumi.StringInput `pulumi:"role"`
}

// BucketIAMMember is one role of one member in a bucket.
type BucketIAMMember struct {
	pulumi.CustomResourceState
}

// NewBucketIAMMember gives a member a role in a bucket.
func NewBucketIAMMember(
	ctx *pulumi.Context, name string, args *BucketIAMMemberArgs, opts ...pulumi.ResourceOption,
) (*BucketIAMMember, error) {
	switch {
	case args == nil || args.Bucket == nil:
		return nil, missing("Bucket")
	case args.Member == nil:
		return nil, missing("Member")
	case args.Role == nil:
		return nil, missing("Role")
	}
	r := &BucketIAMMember{}
	if err := register(ctx, BucketIAMMemberKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// StorageClassArgs are the arguments of a StorageClass of storage.k8s.io/v1.
// Provisioner is required.
type StorageClassArgs struct {
	Metadata             metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Provisioner          pulumi.StringInput        `pulumi:"provisioner"`
	Parameters           pulumi.StringMapInput     `pulumi:"parameters"`
	ReclaimPolicy        pulumi.StringInput        `pulumi:"reclaimPolicy"`
	VolumeBindingMode    pulumi.StringInput        `pulumi:"volumeBindingMode"`
	AllowVolumeExpansion pulumi.BoolInput          `pulumi:"allowVolumeExpansion"`
}

// StorageClass is a StorageClass of storage.k8s.io/v1.
type StorageClass struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewStorageClass registers a StorageClass.
func NewStorageClass(
	ctx *pulumi.Context, name string, args *StorageClassArgs, opts ...pulumi.ResourceOption,
) (*StorageClass, error) {
	if args == nil || args.Provisioner == nil {
		return nil, missing("Provisioner")
	}
	r := &StorageClass{}
	if err := register(ctx, StorageClassKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}
