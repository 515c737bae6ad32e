package components

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/internal/chart"
	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// Order of the objects.
//
// Creation: the namespace, then the Secrets, then the Helm release, which takes
// up to an hour (GPU nodes, images, models). The two entrances need only the
// namespace and are made beside the release: a load balancer takes minutes, a
// managed certificate up to an hour. There is one more reason to have the API's
// Service and Ingress early: GKE gives pods that are created after them a
// readiness gate, so that helm's own wait covers the load balancer and a rolling
// update never removes the last pod that it can reach.
//
// Removal is the reverse: the Ingress goes before the Service, whose network
// endpoint group it uses, both go before the namespace, and so does the release.
// The namespace then waits for the pods to finish their streams.

// readyWhenThere is the annotation that makes Pulumi take a Service or Ingress as
// ready as soon as the API server has it. Pulumi would else wait ten minutes for
// endpoints, which appear when the release has its first pods, and then fail.
// Unlike skipAwait it leaves the wait for removal alone.
var readyWhenThere = map[string]string{"pulumi.com/waitFor": "jsonpath={.metadata.uid}"}

// releaseBuilder makes the children of a DeepgramRelease.
type releaseBuilder struct {
	ctx    *pulumi.Context
	name   string
	args   *DeepgramReleaseArgs
	parent pulumi.Resource
	// namespace is what callers get: it is known when the namespace is there. The
	// objects here use the plain name, which a preview knows too.
	namespace pulumi.StringOutput
	// made is the namespace, where it is created here; it carries everything else.
	made []pulumi.Resource
	// before is what the release waits for.
	before []pulumi.Resource
}

// child are the options of a child: it needs the namespace.
func (b *releaseBuilder) child(opts ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return childOptions(b.parent, append(opts, pulumi.DependsOn(b.made))...)
}

// meta is the metadata of an object in the release's namespace.
func (b *releaseBuilder) meta(name string, annotations ...pulumi.StringMap) *metav1.ObjectMetaArgs {
	return b.metaNamed(pulumi.String(name), annotations...)
}

func (b *releaseBuilder) metaNamed(name pulumi.StringInput, annotations ...pulumi.StringMap) *metav1.ObjectMetaArgs {
	all := pulumi.StringMap{}
	for _, m := range annotations {
		maps.Copy(all, m)
	}
	m := &metav1.ObjectMetaArgs{
		Name: name, Namespace: pulumi.String(b.args.Release.Namespace), Labels: stringMap(b.args.Labels),
	}
	if len(all) > 0 {
		m.Annotations = all
	}
	return m
}

// namespaceAndSecrets makes what the release needs (guide G-C.3, G-K.1).
func (b *releaseBuilder) namespaceAndSecrets(plan *releasePlan) error {
	a := b.args
	b.namespace = pulumi.String(a.Release.Namespace).ToStringOutput()
	if a.CreateNamespace {
		ns, err := corev1.NewNamespace(b.ctx, b.name+"-namespace", &corev1.NamespaceArgs{
			Metadata: &metav1.ObjectMetaArgs{
				Name: pulumi.String(a.Release.Namespace), Labels: stringMap(a.Labels),
			},
		}, b.child(
			pulumi.Protect(a.Production),
			// Pods finish their streams before the namespace is gone.
			pulumi.Timeouts(&pulumi.CustomTimeouts{Delete: secondsText(plan.inputs.GracePeriodSeconds + 900)}),
		)...)
		if err != nil {
			return fmt.Errorf("namespace: %w", err)
		}
		b.namespace = ns.Metadata.Name().Elem()
		b.made = []pulumi.Resource{ns}
		b.before = append(b.before, ns)
	}
	if a.PullPassword != nil {
		server := a.PullServer
		if server == nil {
			server = pulumi.String("quay.io")
		}
		config := pulumi.All(server, a.PullUsername, a.PullPassword).ApplyT(func(v []any) (string, error) {
			return dockerConfig(v[0].(string), v[1].(string), v[2].(string))
		}).(pulumi.StringOutput)
		if err := b.secret(chart.PullSecret, "kubernetes.io/dockerconfigjson",
			map[string]pulumi.StringInput{".dockerconfigjson": config}); err != nil {
			return err
		}
	}
	if a.APIKey != nil && !a.Billing.Enabled {
		if err := b.secret(chart.APIKeySecret, "Opaque",
			map[string]pulumi.StringInput{chart.APIKeyKey: a.APIKey}); err != nil {
			return err
		}
	}
	if a.grafana() {
		if err := b.secret(chart.GrafanaSecret, "Opaque", map[string]pulumi.StringInput{
			chart.GrafanaUserKey: pulumi.String("admin"), chart.GrafanaPasswordKey: a.GrafanaPassword,
		}); err != nil {
			return err
		}
	}
	if usesCriticalPriority(plan.values) {
		return b.criticalPodsQuota()
	}
	return nil
}

// secret makes a Secret whose values are secret in the state, whatever was passed.
func (b *releaseBuilder) secret(name, kind string, values map[string]pulumi.StringInput) error {
	data := pulumi.StringMap{}
	for k, v := range values {
		data[k] = pulumi.ToSecret(v).(pulumi.StringOutput)
	}
	s, err := corev1.NewSecret(b.ctx, b.name+"-"+name, &corev1.SecretArgs{
		Metadata: b.meta(name), Type: pulumi.String(kind), StringData: data,
	}, b.child()...)
	if err != nil {
		return fmt.Errorf("secret %s: %w", name, err)
	}
	b.before = append(b.before, s)
	return nil
}

// dockerConfig is the content of a pull secret.
func dockerConfig(server, username, password string) (string, error) {
	text, err := json.Marshal(map[string]any{"auths": map[string]any{server: map[string]string{
		"username": username, "password": password,
		"auth": base64.StdEncoding.EncodeToString([]byte(username + ":" + password)),
	}}})
	return string(text), err
}

// usesCriticalPriority tells whether pods ask for a priority class of the system.
func usesCriticalPriority(values map[string]any) bool {
	for k, v := range values {
		switch v := v.(type) {
		case map[string]any:
			if usesCriticalPriority(v) {
				return true
			}
		case string:
			if k == "priorityClassName" && strings.HasPrefix(v, "system-") {
				return true
			}
		}
	}
	return false
}

// criticalPodsQuota lets pods of the system's priority classes run here; GKE
// allows them in kube-system only. The number is generous: it limits nothing that
// the replica counts do not limit.
func (b *releaseBuilder) criticalPodsQuota() error {
	q, err := corev1.NewResourceQuota(b.ctx, b.name+"-gcp-critical-pods", &corev1.ResourceQuotaArgs{
		Metadata: b.meta("gcp-critical-pods"),
		Spec: &corev1.ResourceQuotaSpecArgs{
			Hard: pulumi.StringMap{"pods": pulumi.String("1000")},
			ScopeSelector: &corev1.ScopeSelectorArgs{MatchExpressions: corev1.ScopedResourceSelectorRequirementArray{
				&corev1.ScopedResourceSelectorRequirementArgs{
					ScopeName: pulumi.String("PriorityClass"), Operator: pulumi.String("In"),
					Values: pulumi.ToStringArray([]string{"system-node-critical", "system-cluster-critical"}),
				},
			}},
		},
	}, b.child()...)
	if err != nil {
		return fmt.Errorf("resource quota: %w", err)
	}
	b.before = append(b.before, q)
	return nil
}

// release installs the chart (guide G-D.1).
func (b *releaseBuilder) release(values pulumi.Map) (*resources.Release, error) {
	a := b.args
	args := &resources.ReleaseArgs{
		Name:      pulumi.String(a.Release.Name),
		Namespace: pulumi.String(a.Release.Namespace),
		Chart:     pulumi.String(chart.Name),
		Values:    values,
		// All or nothing, within the time that the guide gives it.
		Atomic: pulumi.Bool(true), CleanupOnFail: pulumi.Bool(true), SkipAwait: pulumi.Bool(false),
		Timeout:         pulumi.Int(a.Release.TimeoutSeconds),
		CreateNamespace: pulumi.Bool(false),
		MaxHistory:      pulumi.Int(10),
	}
	if program := a.PostRenderer(); program != "" {
		args.Postrender = pulumi.String(program)
	}
	repository := a.Release.ChartRepository
	switch {
	case a.ChartPath != "":
		args.Chart = pulumi.String(a.ChartPath)
	case strings.HasPrefix(repository, "oci://"):
		args.Chart = pulumi.String(strings.TrimSuffix(repository, "/") + "/" + chart.Name)
		args.Version = pulumi.String(a.Release.ChartVersion)
	default:
		args.Version = pulumi.String(a.Release.ChartVersion)
		args.RepositoryOpts = &resources.RepositoryOpts{Repo: pulumi.String(repository)}
	}
	// Pulumi's own limit lies above helm's, so that helm is the one to roll back.
	limit := secondsText(a.Release.TimeoutSeconds + 600)
	release, err := resources.NewRelease(b.ctx, b.name+"-release", args, b.child(
		pulumi.DependsOn(append(b.before, a.After...)),
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: limit, Update: limit, Delete: limit}),
	)...)
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return release, nil
}

func secondsText(n int) string { return fmt.Sprintf("%ds", n) }
