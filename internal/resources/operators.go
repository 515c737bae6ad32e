package resources

import (
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Kinds of operators: as CustomResource of the SDK registers them, which has no
// types for them.
var (
	PrometheusRuleKind        = customKind("monitoring.coreos.com/v1", "PrometheusRule")
	ClusterRulesKind          = customKind("monitoring.googleapis.com/v1", "ClusterRules")
	PodMonitoringKind         = customKind("monitoring.googleapis.com/v1", "PodMonitoring")
	ScaledObjectKind          = customKind("keda.sh/v1alpha1", "ScaledObject")
	TriggerAuthenticationKind = customKind("keda.sh/v1alpha1", "TriggerAuthentication")
	VeleroScheduleKind        = customKind("velero.io/v1", "Schedule")
	ProtectedApplicationKind  = customKind("gkebackup.gke.io/v1", "ProtectedApplication")
)

// custom registers an object of such a kind.
func custom[R pulumi.CustomResource](
	ctx *pulumi.Context, kind Kind, name string, args any, r R, opts []pulumi.ResourceOption,
) (R, error) {
	if err := register(ctx, kind, name, args, r, opts); err != nil {
		var none R
		return none, err
	}
	return r, nil
}

// AlertRulesSpec holds groups of rules as Prometheus reads them.
type AlertRulesSpec struct {
	Groups pulumi.ArrayInput `pulumi:"groups"`
}

// AlertRulesArgs are the arguments of a PrometheusRule or of ClusterRules.
type AlertRulesArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *AlertRulesSpec           `pulumi:"spec"`
}

// AlertRules are alert rules for the Prometheus operator or for Google Managed
// Prometheus.
type AlertRules struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewPrometheusRule registers rules for the Prometheus operator.
func NewPrometheusRule(ctx *pulumi.Context, name string, args *AlertRulesArgs, opts ...pulumi.ResourceOption) (*AlertRules, error) {
	return custom(ctx, PrometheusRuleKind, name, args, &AlertRules{}, opts)
}

// NewClusterRules registers rules for Google Managed Prometheus that see the series
// of the whole cluster. They have no namespace.
func NewClusterRules(ctx *pulumi.Context, name string, args *AlertRulesArgs, opts ...pulumi.ResourceOption) (*AlertRules, error) {
	return custom(ctx, ClusterRulesKind, name, args, &AlertRules{}, opts)
}

// ScrapeEndpoint is a port of a pod that shows measurements. Interval is a
// duration such as 15s.
type ScrapeEndpoint struct {
	Port     pulumi.StringInput `pulumi:"port"`
	Interval pulumi.StringInput `pulumi:"interval"`
}

// PodMonitoringSpec says which pods are measured.
type PodMonitoringSpec struct {
	Selector  metav1.LabelSelectorPtrInput `pulumi:"selector"`
	Endpoints []ScrapeEndpoint             `pulumi:"endpoints"`
}

// ScaleTargetRef names the Deployment that KEDA scales.
type ScaleTargetRef struct {
	Name pulumi.StringInput `pulumi:"name"`
}

// AuthenticationRef names a TriggerAuthentication.
type AuthenticationRef struct {
	Name pulumi.StringPtrInput `pulumi:"name"`
}

// ScaleTrigger is what KEDA scales by.
type ScaleTrigger struct {
	Type              pulumi.StringInput    `pulumi:"type"`
	Metadata          pulumi.StringMapInput `pulumi:"metadata"`
	AuthenticationRef *AuthenticationRef    `pulumi:"authenticationRef"`
}

// HPAConfig is passed on to the HorizontalPodAutoscaler that KEDA makes.
type HPAConfig struct {
	Behavior pulumi.MapInput `pulumi:"behavior"`
}

// ScaledObjectAdvanced holds an HPAConfig.
type ScaledObjectAdvanced struct {
	HorizontalPodAutoscalerConfig *HPAConfig `pulumi:"horizontalPodAutoscalerConfig"`
}

// ScaledObjectSpec says what KEDA scales, between how many and by what.
// PollingInterval is in seconds.
type ScaledObjectSpec struct {
	ScaleTargetRef  *ScaleTargetRef       `pulumi:"scaleTargetRef"`
	PollingInterval pulumi.IntInput       `pulumi:"pollingInterval"`
	MinReplicaCount pulumi.IntInput       `pulumi:"minReplicaCount"`
	MaxReplicaCount pulumi.IntInput       `pulumi:"maxReplicaCount"`
	Advanced        *ScaledObjectAdvanced `pulumi:"advanced"`
	Triggers        []ScaleTrigger        `pulumi:"triggers"`
}

// PodIdentity says as whom KEDA asks: gcp is its own Workload Identity.
type PodIdentity struct {
	Provider pulumi.StringInput `pulumi:"provider"`
}

// TriggerAuthenticationSpec says as whom KEDA asks.
type TriggerAuthenticationSpec struct {
	PodIdentity *PodIdentity `pulumi:"podIdentity"`
}

// ObjectRef names an object.
type ObjectRef struct {
	Kind pulumi.StringInput `pulumi:"kind"`
	Name pulumi.StringInput `pulumi:"name"`
}

// VeleroTemplate is the backup that a Schedule makes. Ttl is a duration such as
// 2160h0m0s.
type VeleroTemplate struct {
	IncludedNamespaces pulumi.StringArrayInput `pulumi:"includedNamespaces"`
	SnapshotVolumes    pulumi.BoolInput        `pulumi:"snapshotVolumes"`
	ResourcePolicy     *ObjectRef              `pulumi:"resourcePolicy"`
	StorageLocation    pulumi.StringInput      `pulumi:"storageLocation"`
	Ttl                pulumi.StringInput      `pulumi:"ttl"`
}

// VeleroScheduleSpec is a cron expression and the backup that it makes.
type VeleroScheduleSpec struct {
	Schedule pulumi.StringInput `pulumi:"schedule"`
	Template *VeleroTemplate    `pulumi:"template"`
}

// ResourceSelection chooses the objects of an application. Type is Selector.
type ResourceSelection struct {
	Type     pulumi.StringInput           `pulumi:"type"`
	Selector metav1.LabelSelectorPtrInput `pulumi:"selector"`
}

// ProtectedApplicationSpec says what belongs to an application.
type ProtectedApplicationSpec struct {
	ResourceSelection *ResourceSelection `pulumi:"resourceSelection"`
}

// PodMonitoringArgs are the arguments of a PodMonitoring of
// monitoring.googleapis.com/v1.
type PodMonitoringArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *PodMonitoringSpec        `pulumi:"spec"`
}

// PodMonitoring lets Google Managed Prometheus measure pods.
type PodMonitoring struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewPodMonitoring registers a PodMonitoring of
// monitoring.googleapis.com/v1.
func NewPodMonitoring(
	ctx *pulumi.Context, name string, args *PodMonitoringArgs, opts ...pulumi.ResourceOption,
) (*PodMonitoring, error) {
	return custom(ctx, PodMonitoringKind, name, args, &PodMonitoring{}, opts)
}

// ScaledObjectArgs are the arguments of a ScaledObject of keda.sh/v1alpha1.
type ScaledObjectArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *ScaledObjectSpec         `pulumi:"spec"`
}

// ScaledObject lets KEDA scale a Deployment.
type ScaledObject struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewScaledObject registers a ScaledObject of keda.sh/v1alpha1.
func NewScaledObject(
	ctx *pulumi.Context, name string, args *ScaledObjectArgs, opts ...pulumi.ResourceOption,
) (*ScaledObject, error) {
	return custom(ctx, ScaledObjectKind, name, args, &ScaledObject{}, opts)
}

// TriggerAuthenticationArgs are the arguments of a TriggerAuthentication of
// keda.sh/v1alpha1.
type TriggerAuthenticationArgs struct {
	Metadata metav1.ObjectMetaPtrInput  `pulumi:"metadata"`
	Spec     *TriggerAuthenticationSpec `pulumi:"spec"`
}

// TriggerAuthentication is as whom KEDA asks.
type TriggerAuthentication struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewTriggerAuthentication registers a TriggerAuthentication of
// keda.sh/v1alpha1.
func NewTriggerAuthentication(
	ctx *pulumi.Context, name string, args *TriggerAuthenticationArgs, opts ...pulumi.ResourceOption,
) (*TriggerAuthentication, error) {
	return custom(ctx, TriggerAuthenticationKind, name, args, &TriggerAuthentication{}, opts)
}

// VeleroScheduleArgs are the arguments of a Schedule of velero.io/v1.
type VeleroScheduleArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *VeleroScheduleSpec       `pulumi:"spec"`
}

// VeleroSchedule lets Velero make backups.
type VeleroSchedule struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewVeleroSchedule registers a Schedule of velero.io/v1.
func NewVeleroSchedule(
	ctx *pulumi.Context, name string, args *VeleroScheduleArgs, opts ...pulumi.ResourceOption,
) (*VeleroSchedule, error) {
	return custom(ctx, VeleroScheduleKind, name, args, &VeleroSchedule{}, opts)
}

// ProtectedApplicationArgs are the arguments of a ProtectedApplication of
// gkebackup.gke.io/v1.
type ProtectedApplicationArgs struct {
	Metadata metav1.ObjectMetaPtrInput `pulumi:"metadata"`
	Spec     *ProtectedApplicationSpec `pulumi:"spec"`
}

// ProtectedApplication is a part of a namespace for Backup for GKE.
type ProtectedApplication struct {
	pulumi.CustomResourceState

	Metadata metav1.ObjectMetaOutput `pulumi:"metadata"`
}

// NewProtectedApplication registers a ProtectedApplication of
// gkebackup.gke.io/v1.
func NewProtectedApplication(
	ctx *pulumi.Context, name string, args *ProtectedApplicationArgs, opts ...pulumi.ResourceOption,
) (*ProtectedApplication, error) {
	return custom(ctx, ProtectedApplicationKind, name, args, &ProtectedApplication{}, opts)
}
