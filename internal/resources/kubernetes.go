package resources

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Kinds of Kubernetes as the SDK registers them; the last three as its
// CustomResource does, which has no types for them.
var (
	ReleaseKind = Kind{
		Token: "kubernetes:helm.sh/v3:Release", Version: KubernetesVersion,
		Constants: map[string]string{"compat": "true"},
	}
	IngressKind = Kind{
		Token: "kubernetes:networking.k8s.io/v1:Ingress", Version: KubernetesVersion,
		Aliases: []string{
			"kubernetes:extensions/v1beta1:Ingress",
			"kubernetes:networking.k8s.io/v1beta1:Ingress",
		},
		Constants: map[string]string{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"},
	}
	BackendConfigKind      = customKind("cloud.google.com/v1", "BackendConfig")
	FrontendConfigKind     = customKind("networking.gke.io/v1beta1", "FrontendConfig")
	ManagedCertificateKind = customKind("networking.gke.io/v1", "ManagedCertificate")
)

func customKind(apiVersion, kind string) Kind {
	return Kind{
		Token: "kubernetes:" + apiVersion + ":" + kind, Version: KubernetesVersion,
		Constants: map[string]string{"apiVersion": apiVersion, "kind": kind},
	}
}

// RepositoryOpts says which Helm repository holds a chart.
type RepositoryOpts struct {
	Repo     pulumi.StringInput `pulumi:"repo"`
	Username pulumi.StringInput `pulumi:"username"`
	Password pulumi.StringInput `pulumi:"password"`
}

// ReleaseArgs are the arguments of a Helm release. Timeout is in seconds.
type ReleaseArgs struct {
	Name                     pulumi.StringInput `pulumi:"name"`
	Namespace                pulumi.StringInput `pulumi:"namespace"`
	Chart                    pulumi.StringInput `pulumi:"chart"`
	Version                  pulumi.StringInput `pulumi:"version"`
	RepositoryOpts           *RepositoryOpts    `pulumi:"repositoryOpts"`
	Values                   pulumi.MapInput    `pulumi:"values"`
	Atomic                   pulumi.BoolInput   `pulumi:"atomic"`
	CleanupOnFail            pulumi.BoolInput   `pulumi:"cleanupOnFail"`
	CreateNamespace          pulumi.BoolInput   `pulumi:"createNamespace"`
	Timeout                  pulumi.IntInput    `pulumi:"timeout"`
	MaxHistory               pulumi.IntInput    `pulumi:"maxHistory"`
	SkipCrds                 pulumi.BoolInput   `pulumi:"skipCrds"`
	SkipAwait                pulumi.BoolInput   `pulumi:"skipAwait"`
	WaitForJobs              pulumi.BoolInput   `pulumi:"waitForJobs"`
	DisableOpenapiValidation pulumi.BoolInput   `pulumi:"disableOpenapiValidation"`
	AllowNullValues          pulumi.BoolInput   `pulumi:"allowNullValues"`
	Description              pulumi.StringInput `pulumi:"description"`
	Postrender               pulumi.StringInput `pulumi:"postrender"`
}

// Release is a Helm release.
type Release struct {
	pulumi.CustomResourceState

	Name          pulumi.StringOutput         `pulumi:"name"`
	Namespace     pulumi.StringOutput         `pulumi:"namespace"`
	Version       pulumi.StringOutput         `pulumi:"version"`
	ResourceNames pulumi.StringArrayMapOutput `pulumi:"resourceNames"`
	// Status holds name, namespace, revision, status, chart, version, appVersion.
	Status pulumi.MapOutput `pulumi:"status"`
}

// NewRelease registers a Helm release.
func NewRelease(ctx *pulumi.Context, name string, args *ReleaseArgs, opts ...pulumi.ResourceOption) (*Release, error) {
	if args == nil || args.Chart == nil {
		return nil, missing("Chart")
	}
	r := &Release{}
	if err := register(ctx, ReleaseKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// ServiceBackendPort is a port of a Service, by number or by name.
type ServiceBackendPort struct {
	Name   pulumi.StringInput `pulumi:"name"`
	Number pulumi.IntInput    `pulumi:"number"`
}

// IngressServiceBackend is the Service behind a path.
type IngressServiceBackend struct {
	Name pulumi.StringInput  `pulumi:"name"`
	Port *ServiceBackendPort `pulumi:"port"`
}

// IngressBackend is what answers a path.
type IngressBackend struct {
	Service *IngressServiceBackend `pulumi:"service"`
}

// HTTPIngressPath is one path of a host. PathType is Prefix, Exact or
// ImplementationSpecific.
type HTTPIngressPath struct {
	Path     pulumi.StringInput `pulumi:"path"`
	PathType pulumi.StringInput `pulumi:"pathType"`
	Backend  IngressBackend     `pulumi:"backend"`
}

// HTTPIngressRuleValue holds the paths of a host.
type HTTPIngressRuleValue struct {
	Paths []HTTPIngressPath `pulumi:"paths"`
}

// IngressRule is one host of an Ingress.
type IngressRule struct {
	Host pulumi.StringInput    `pulumi:"host"`
	Http *HTTPIngressRuleValue `pulumi:"http"`
}

// IngressSpec is what an Ingress wants.
type IngressSpec struct {
	IngressClassName pulumi.StringInput `pulumi:"ingressClassName"`
	DefaultBackend   *IngressBackend    `pulumi:"defaultBackend"`
	Rules            []IngressRule      `pulumi:"rules"`
}

// IngressArgs are the arguments of an Ingress of networking.k8s.io/v1.
type IngressArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *IngressSpec              `pulumi:"spec"`
}

// Ingress is an Ingress of networking.k8s.io/v1.
type Ingress struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
	// Status holds loadBalancer.ingress, a list of {ip, hostname}.
	Status pulumi.MapOutput `pulumi:"status"`
}

// NewIngress registers an Ingress.
func NewIngress(ctx *pulumi.Context, name string, args *IngressArgs, opts ...pulumi.ResourceOption) (*Ingress, error) {
	r := &Ingress{}
	if err := register(ctx, IngressKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// BackendConfigHealthCheck says how a load balancer asks a pod. Times are in
// seconds.
type BackendConfigHealthCheck struct {
	Type               pulumi.StringInput `pulumi:"type"`
	RequestPath        pulumi.StringInput `pulumi:"requestPath"`
	Port               pulumi.IntInput    `pulumi:"port"`
	CheckIntervalSec   pulumi.IntInput    `pulumi:"checkIntervalSec"`
	TimeoutSec         pulumi.IntInput    `pulumi:"timeoutSec"`
	HealthyThreshold   pulumi.IntInput    `pulumi:"healthyThreshold"`
	UnhealthyThreshold pulumi.IntInput    `pulumi:"unhealthyThreshold"`
}

// BackendConfigDraining says how long a pod that goes may finish its requests.
type BackendConfigDraining struct {
	DrainingTimeoutSec pulumi.IntInput `pulumi:"drainingTimeoutSec"`
}

// BackendConfigLogging says what the load balancer logs.
type BackendConfigLogging struct {
	Enable     pulumi.BoolInput    `pulumi:"enable"`
	SampleRate pulumi.Float64Input `pulumi:"sampleRate"`
}

// BackendConfigSecurityPolicy names a Cloud Armor policy.
type BackendConfigSecurityPolicy struct {
	Name pulumi.StringInput `pulumi:"name"`
}

// BackendConfigSecretName names a Kubernetes Secret.
type BackendConfigSecretName struct {
	SecretName pulumi.StringInput `pulumi:"secretName"`
}

// BackendConfigIap puts Identity-Aware Proxy in front of a backend.
type BackendConfigIap struct {
	Enabled                pulumi.BoolInput         `pulumi:"enabled"`
	OauthclientCredentials *BackendConfigSecretName `pulumi:"oauthclientCredentials"`
}

// BackendConfigSpec is what a BackendConfig wants. TimeoutSec is in seconds.
type BackendConfigSpec struct {
	HealthCheck        *BackendConfigHealthCheck    `pulumi:"healthCheck"`
	TimeoutSec         pulumi.IntInput              `pulumi:"timeoutSec"`
	ConnectionDraining *BackendConfigDraining       `pulumi:"connectionDraining"`
	Logging            *BackendConfigLogging        `pulumi:"logging"`
	SecurityPolicy     *BackendConfigSecurityPolicy `pulumi:"securityPolicy"`
	Iap                *BackendConfigIap            `pulumi:"iap"`
}

// BackendConfigArgs are the arguments of a BackendConfig of cloud.google.com/v1.
type BackendConfigArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *BackendConfigSpec        `pulumi:"spec"`
}

// BackendConfig sets up what GKE's load balancer does with a Service.
type BackendConfig struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewBackendConfig registers a BackendConfig.
func NewBackendConfig(
	ctx *pulumi.Context, name string, args *BackendConfigArgs, opts ...pulumi.ResourceOption,
) (*BackendConfig, error) {
	r := &BackendConfig{}
	if err := register(ctx, BackendConfigKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// FrontendConfigRedirect sends HTTP to HTTPS.
type FrontendConfigRedirect struct {
	Enabled pulumi.BoolInput `pulumi:"enabled"`
}

// FrontendConfigSpec is what a FrontendConfig wants.
type FrontendConfigSpec struct {
	SslPolicy       pulumi.StringInput      `pulumi:"sslPolicy"`
	RedirectToHttps *FrontendConfigRedirect `pulumi:"redirectToHttps"`
}

// FrontendConfigArgs are the arguments of a FrontendConfig of
// networking.gke.io/v1beta1, the only version that GKE serves.
type FrontendConfigArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *FrontendConfigSpec       `pulumi:"spec"`
}

// FrontendConfig sets up the front of GKE's external load balancer.
type FrontendConfig struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewFrontendConfig registers a FrontendConfig.
func NewFrontendConfig(
	ctx *pulumi.Context, name string, args *FrontendConfigArgs, opts ...pulumi.ResourceOption,
) (*FrontendConfig, error) {
	r := &FrontendConfig{}
	if err := register(ctx, FrontendConfigKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// ManagedCertificateSpec names the domains of a certificate.
type ManagedCertificateSpec struct {
	Domains pulumi.StringArrayInput `pulumi:"domains"`
}

// ManagedCertificateArgs are the arguments of a ManagedCertificate of
// networking.gke.io/v1.
type ManagedCertificateArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *ManagedCertificateSpec   `pulumi:"spec"`
}

// ManagedCertificate is a certificate that Google obtains and renews.
type ManagedCertificate struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewManagedCertificate registers a ManagedCertificate.
func NewManagedCertificate(
	ctx *pulumi.Context, name string, args *ManagedCertificateArgs, opts ...pulumi.ResourceOption,
) (*ManagedCertificate, error) {
	r := &ManagedCertificate{}
	if err := register(ctx, ManagedCertificateKind, name, args, r, opts); err != nil {
		return nil, err
	}
	return r, nil
}
