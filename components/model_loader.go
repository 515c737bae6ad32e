package components

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// ModelLoader is what the loaders of all sets of models share (guide G-S.2): a
// namespace of their own, because a release's namespace comes and goes with the
// release, and who they are towards Cloud Storage.
type ModelLoader struct {
	pulumi.ResourceState

	// Namespace is the namespace of the loader Jobs, known when it is there.
	Namespace pulumi.StringOutput `pulumi:"namespace"`
	// Ready is what a loader has to wait for.
	Ready []pulumi.Resource

	args *ModelLoaderArgs
}

// ModelLoaderArgs says what loads models, and where.
type ModelLoaderArgs struct {
	// Namespace is the namespace to make. Required.
	Namespace string
	// Image is the image of deepgram-ops, with its tag. Required.
	Image pulumi.StringInput
	// Project and ProjectNumber are the cluster's project, for Workload Identity.
	// Required with Buckets; ProjectNumber is looked up where it is empty.
	Project, ProjectNumber string
	// Buckets are the Cloud Storage buckets that the loaders may read.
	Buckets []string
	// NodeRoles are the roles of the nodes that can attach the disks
	// (NodeTypeLabel); empty means any node of the disk's zone, the engines' last.
	NodeRoles []string
	// After is what loaders wait for: nodes, the image, the right to pull it.
	After []pulumi.Resource
	// Labels are put on every object.
	Labels map[string]string
}

// loaderAccount is the service account of the loader Jobs.
const loaderAccount = "models-loader"

var bucketRule = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

// Validate reports every mistake in the arguments.
func (a *ModelLoaderArgs) Validate() error {
	var errs argumentErrors
	errs.require("Namespace", a.Namespace, "acme-deepgram-models")
	errs.match("Namespace", a.Namespace, nameRule, "a namespace (lower-case letters, digits and hyphens, at most 63 characters)")
	if a.Image == nil {
		errs.addf("Image", "is required: the image of deepgram-ops, such as Registry.OpsImage")
	}
	if len(a.Buckets) > 0 {
		errs.project("Project", a.Project)
	}
	for _, bucket := range a.Buckets {
		errs.match("Buckets", bucket, bucketRule, "a bucket's name, without gs://")
	}
	return errs.err()
}

// NewModelLoader registers what the loaders share. Pass the cluster's Kubernetes
// provider with pulumi.Provider.
func NewModelLoader(
	ctx *pulumi.Context, name string, args *ModelLoaderArgs, opts ...pulumi.ResourceOption,
) (*ModelLoader, error) {
	if args == nil {
		args = &ModelLoaderArgs{} // Validate tells what is missing
	}
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("model loader %q: %w", name, err)
	}
	l := &ModelLoader{args: args}
	inputs := pulumi.Map{
		"namespace": pulumi.String(args.Namespace),
		"buckets":   pulumi.ToStringArray(args.Buckets),
		"nodeRoles": pulumi.ToStringArray(args.NodeRoles),
	}
	if err := ctx.RegisterComponentResourceV2("deepgram:index:ModelLoader", name, inputs, l, opts...); err != nil {
		return nil, err
	}
	if err := l.build(ctx, name); err != nil {
		return nil, fmt.Errorf("model loader %q: %w", name, err)
	}
	return l, ctx.RegisterResourceOutputs(l, pulumi.Map{"namespace": l.Namespace})
}

func (l *ModelLoader) build(ctx *pulumi.Context, name string) error {
	a := l.args
	ns, err := corev1.NewNamespace(ctx, name+"-namespace", &corev1.NamespaceArgs{
		Metadata: &metav1.ObjectMetaArgs{
			Name: pulumi.String(a.Namespace),
			Labels: stringMap(merged(a.Labels, map[string]string{
				"pod-security.kubernetes.io/enforce": "restricted",
			})),
		},
	}, childOptions(l)...)
	if err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	l.Namespace = ns.Metadata.Name().Elem()
	account, err := corev1.NewServiceAccount(ctx, name+"-account", &corev1.ServiceAccountArgs{
		Metadata: &metav1.ObjectMetaArgs{
			Name: pulumi.String(loaderAccount), Namespace: l.Namespace, Labels: stringMap(a.Labels),
		},
		// Workload Identity goes by the pod's address; the cluster's API is not asked.
		AutomountServiceAccountToken: pulumi.Bool(false),
	}, childOptions(l)...)
	if err != nil {
		return fmt.Errorf("service account: %w", err)
	}
	l.Ready = append(slices.Clone(a.After), ns, account)
	return l.buckets(ctx, name)
}

// buckets lets the loaders read, and nothing more, with the identity that their
// Kubernetes account has by itself (Workload Identity without a Google account).
func (l *ModelLoader) buckets(ctx *pulumi.Context, name string) error {
	a := l.args
	if len(a.Buckets) == 0 {
		return nil
	}
	number := a.ProjectNumber
	if number == "" {
		project, err := resources.LookupProject(ctx, resources.ProjectLookupArgs{ProjectID: a.Project}, pulumi.Parent(l))
		if err != nil {
			return fmt.Errorf("number of project %q: %w", a.Project, err)
		}
		number = project.Number
	}
	member := fmt.Sprintf("principal://iam.googleapis.com/projects/%s/locations/global/workloadIdentityPools/%s.svc.id.goog/subject/ns/%s/sa/%s",
		number, a.Project, a.Namespace, loaderAccount)
	for _, bucket := range slices.Sorted(slices.Values(a.Buckets)) {
		grant, err := resources.NewBucketIAMMember(ctx, name+"-reads-"+bucket, &resources.BucketIAMMemberArgs{
			Bucket: pulumi.String(bucket), Member: pulumi.String(member), Role: pulumi.String("roles/storage.objectViewer"),
		}, childOptions(l)...)
		if err != nil {
			return fmt.Errorf("bucket %q: %w", bucket, err)
		}
		l.Ready = append(l.Ready, grant)
	}
	return nil
}

// merged is a and b in a map of their own; b wins.
func merged(a, b map[string]string) map[string]string {
	m := maps.Clone(a)
	if m == nil {
		m = map[string]string{}
	}
	maps.Copy(m, b)
	return m
}

// ModelSource is one file of a set.
type ModelSource struct {
	// URL is https:// or gs://; it becomes a secret. Required.
	URL pulumi.StringInput
	// SHA256 is the file's digest, 64 hex digits; empty checks none.
	SHA256 string
	// Name is the file's name on the disk; empty means the last part of the URL.
	Name string
}

// sourcesJSON is the list as models load reads it.
func sourcesJSON(files []ModelSource) pulumi.StringOutput {
	urls := make(pulumi.StringArray, len(files))
	for i, f := range files {
		urls[i] = f.URL
	}
	return pulumi.ToSecret(urls.ToStringArrayOutput().ApplyT(func(urls []string) (string, error) {
		type source struct {
			URL    string `json:"url"`
			SHA256 string `json:"sha256,omitempty"`
			Name   string `json:"name,omitempty"`
		}
		list := make([]source, len(urls))
		var errs []error
		for i, u := range urls {
			if _, err := url.Parse(u); err != nil || u == "" {
				errs = append(errs, fmt.Errorf("Files[%d].URL: is not a URL", i)) // it is secret: not shown
			}
			list[i] = source{u, strings.ToLower(files[i].SHA256), files[i].Name}
		}
		text, err := json.Marshal(list)
		return string(text), errors.Join(append(errs, err)...)
	})).(pulumi.StringOutput)
}
