package components

import (
	"fmt"
	"maps"
	"slices"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/internal/chart"
	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// monitoring makes what measures the release and warns of it (guide G-A): the
// dashboard, and what the chart does not bring where the Prometheus is not its own.
func (b *releaseBuilder) monitoring(plan *releasePlan) error {
	if err := b.alertRules(plan.inputs.AlertGroups()); err != nil {
		return fmt.Errorf("alert rules: %w", err)
	}
	if b.args.Monitoring.Mode == "google" {
		if err := b.podMonitoring(); err != nil {
			return fmt.Errorf("pod monitoring: %w", err)
		}
	}
	// The bundled Prometheus has one reader of dashboards: its own Grafana.
	if !b.args.Monitoring.Dashboard || b.args.Monitoring.Mode == "bundled" && !b.args.grafana() {
		return nil
	}
	text, err := plan.inputs.DashboardJSON()
	if err != nil {
		return fmt.Errorf("dashboard: %w", err)
	}
	meta := b.meta(b.args.Release.Name + "-dashboard")
	meta.Labels = stringMap(with(b.args.Labels, map[string]string{chart.DashboardLabel: "1"}))
	_, err = corev1.NewConfigMap(b.ctx, b.name+"-dashboard", &corev1.ConfigMapArgs{
		Metadata: meta,
		Data:     pulumi.StringMap{b.args.Release.Namespace + "-" + b.args.Release.Name + ".json": pulumi.String(text)},
	}, b.child()...)
	if err != nil {
		return fmt.Errorf("dashboard: %w", err)
	}
	return nil
}

// alertRules hands the alert rules to a Prometheus that is not the release's own;
// the bundled one has them from its chart.
func (b *releaseBuilder) alertRules(groups []any) error {
	m, release := b.args.Monitoring, b.args.Release
	args := &resources.AlertRulesArgs{Spec: &resources.AlertRulesSpec{Groups: resolveValue(groups, nil).(pulumi.Array)}}
	var err error
	switch {
	case m.Mode == "bundled" || m.Rules == "none":
		return nil
	case b.args.googleRules():
		// Rules of a namespace see its series only; of pods, GPUs and Leases another
		// namespace's exporter tells. The expressions themselves look at one namespace.
		args.Metadata = &metav1.ObjectMetaArgs{
			Name: pulumi.String(release.Namespace + "-" + release.Name + "-alerts"), Labels: stringMap(b.args.Labels),
		}
		_, err = resources.NewClusterRules(b.ctx, b.name+"-alerts", args, b.child()...)
	default:
		labels := m.RuleLabels
		if len(labels) == 0 {
			labels = map[string]string{"release": release.Name}
		}
		meta := b.meta(release.Name + "-alerts")
		meta.Labels = stringMap(with(b.args.Labels, labels))
		args.Metadata = meta
		_, err = resources.NewPrometheusRule(b.ctx, b.name+"-alerts", args, b.child()...)
	}
	return err
}

// googleRules tells whether Google Managed Prometheus takes the rules.
func (a *DeepgramReleaseArgs) googleRules() bool {
	return a.Monitoring.Rules == "google" || a.Monitoring.Rules == "" && a.Monitoring.Mode == "google"
}

// podMonitoring lets Google Managed Prometheus measure the engines. Its pods'
// series have the labels namespace and pod by themselves.
func (b *releaseBuilder) podMonitoring() error {
	_, err := resources.NewPodMonitoring(b.ctx, b.name+"-engines", &resources.PodMonitoringArgs{
		Metadata: b.meta(chart.EngineName),
		Spec: &resources.PodMonitoringSpec{
			Selector: &metav1.LabelSelectorArgs{MatchLabels: pulumi.StringMap{
				"app": pulumi.String(chart.EngineName), "app.kubernetes.io/instance": pulumi.String(b.args.Release.Name),
			}},
			Endpoints: []resources.ScrapeEndpoint{{Port: pulumi.String("metrics"), Interval: pulumi.String("15s")}},
		},
	}, b.child()...)
	return err
}

// with is a map with more.
func with(labels, more map[string]string) map[string]string {
	all := maps.Clone(labels)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, more)
	return all
}

// scaledObjects let KEDA scale what the chart's autoscalers otherwise do. They come
// after the release, whose Deployments they name, and go before it.
func (b *releaseBuilder) scaledObjects(plan *releasePlan, release pulumi.Resource) error {
	if !plan.inputs.Scaling.KEDA {
		return nil
	}
	after := pulumi.DependsOn([]pulumi.Resource{release})
	k := b.args.Scaling.KEDA
	url, google := b.args.prometheusURL()
	var authentication *resources.AuthenticationRef
	if google {
		meta := b.meta(b.args.Release.Name + "-google-prometheus")
		_, err := resources.NewTriggerAuthentication(b.ctx, b.name+"-keda-authentication", &resources.TriggerAuthenticationArgs{
			Metadata: meta,
			Spec:     &resources.TriggerAuthenticationSpec{PodIdentity: &resources.PodIdentity{Provider: pulumi.String("gcp")}},
		}, b.child()...)
		if err != nil {
			return fmt.Errorf("keda: authentication: %w", err)
		}
		authentication = &resources.AuthenticationRef{Name: meta.Name}
	}
	for _, s := range plan.inputs.Scalers() {
		_, err := resources.NewScaledObject(b.ctx, b.name+"-keda-"+s.Deployment, &resources.ScaledObjectArgs{
			Metadata: b.meta(s.Deployment),
			Spec: &resources.ScaledObjectSpec{
				ScaleTargetRef:  &resources.ScaleTargetRef{Name: pulumi.String(s.Deployment)},
				PollingInterval: pulumi.Int(k.PollingSeconds),
				MinReplicaCount: pulumi.Int(s.Min), MaxReplicaCount: pulumi.Int(s.Max),
				Advanced: &resources.ScaledObjectAdvanced{HorizontalPodAutoscalerConfig: &resources.HPAConfig{
					Behavior: resolveValue(s.Behavior, nil).(pulumi.Map),
				}},
				Triggers: []resources.ScaleTrigger{{
					Type: pulumi.String("prometheus"),
					Metadata: pulumi.StringMap{
						"serverAddress": pulumi.String(url), "query": pulumi.String(s.Query), "threshold": pulumi.String(s.Threshold),
						// Otherwise no answer would count as no load, and take engines away.
						"ignoreNullValues": pulumi.String("false"),
					},
					AuthenticationRef: authentication,
				}},
			},
		}, b.child(after)...)
		if err != nil {
			return fmt.Errorf("keda: %s: %w", s.Deployment, err)
		}
	}
	return nil
}

// prometheusURL is the Prometheus that KEDA asks, and whether that is Google's,
// which wants to know who asks.
func (a *DeepgramReleaseArgs) prometheusURL() (url string, google bool) {
	switch {
	case a.Scaling.KEDA.PrometheusURL != "":
		return a.Scaling.KEDA.PrometheusURL, false
	case a.Monitoring.Mode == "google":
		return "https://monitoring.googleapis.com/v1/projects/" + a.GCPProject + "/location/global/prometheus", true
	}
	return fmt.Sprintf("http://%s.%s.svc:9090", chart.PrometheusService, a.Release.Namespace), false
}

// monitoringProblems are the mistakes in Monitoring and Scaling.KEDA.
func (a *DeepgramReleaseArgs) monitoringProblems(fail func(string, ...any)) {
	m := a.Monitoring
	if !slices.Contains([]string{"bundled", "existing", "google"}, m.Mode) {
		fail("Monitoring.Mode: %q must be bundled, existing or google", m.Mode)
	}
	if !slices.Contains([]string{"", "operator", "google", "none"}, m.Rules) {
		fail("Monitoring.Rules: %q must be operator, google or none", m.Rules)
	}
	if a.Grafana.Enabled && m.Mode != "bundled" {
		fail("Grafana.Enabled: Grafana comes with the bundled monitoring; switch it off, or set Monitoring.Mode to bundled")
	}
	if !a.Scaling.KEDA.Enabled {
		return
	}
	switch {
	case !a.Scaling.Auto:
		fail("Scaling.KEDA.Enabled: needs Scaling.Auto")
	case m.Mode == "existing" && a.Scaling.KEDA.PrometheusURL == "":
		fail("Scaling.KEDA.PrometheusURL: is required with Monitoring.Mode existing")
	case m.Mode == "google" && a.Scaling.KEDA.PrometheusURL == "" && a.GCPProject == "":
		fail("GCPProject: is required with Monitoring.Mode google and Scaling.KEDA.Enabled")
	}
}
