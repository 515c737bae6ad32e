package components

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

func TestTwoDeepgramReleasesInOneCluster(t *testing.T) {
	t.Parallel()
	second := prodRelease()
	second.Release.Namespace, second.Release.Name = "nova-3", "deepgram"
	second.Monitoring.Mode, second.Grafana.Enabled = "existing", false
	second.Ingress.Host, second.ModelNamePrefix = "dg3.omi.me", pulumi.String("dg-models-44556677")
	first := prodRelease()
	first.Monitoring.Namespaces = []string{"nova-3"}
	rec := runRelease(t, func(ctx *pulumi.Context) error {
		if _, err := NewDeepgramRelease(ctx, "nova-2", first); err != nil {
			return err
		}
		_, err := NewDeepgramRelease(ctx, "nova-3", second)
		return err
	})
	seen, objects := map[string]bool{}, map[string]bool{}
	for _, reg := range rec.regs {
		urn := reg.TypeToken + " " + reg.Name
		assert.False(t, seen[urn], "%s twice", urn)
		seen[urn] = true
		in := inputsOf(reg)
		metadata, ok := in["metadata"].(map[string]any)
		if !ok {
			continue
		}
		object := fmt.Sprint(reg.TypeToken, " ", metadata["namespace"], " ", metadata["name"])
		assert.False(t, objects[object], "%s twice", object)
		objects[object] = true
	}
	v2 := inputsOf(rec.named(t, "nova-2-release"))["values"]
	v3 := inputsOf(rec.named(t, "nova-3-release"))["values"]
	for _, path := range []string{"api/namePrefix", "engine/namePrefix"} {
		assert.Equal(t, dig(t, v2, path), dig(t, v3, path), "the ratio rule hard-codes it")
	}
	const disk = "engine/modelManager/volumes/gcp/gpd/namePrefix"
	assert.NotEqual(t, dig(t, v2, disk), dig(t, v3, disk), "persistent volumes have no namespace")
	for _, sub := range []string{"kube-prometheus-stack", "prometheus-adapter"} {
		assert.Equal(t, true, dig(t, v2, sub+"/includeDependency"))
		assert.Equal(t, map[string]any{"includeDependency": false}, dig(t, v3, sub), "its names have no namespace")
	}
	assert.Equal(t, []any{"deepgram", "nova-3"}, dig(t, v2,
		"kube-prometheus-stack/prometheus/prometheusSpec/additionalScrapeConfigs/0/kubernetes_sd_configs/0/namespaces/names"))
	for i := range dig(t, v2, "prometheus-adapter/rules/external").([]any) {
		rule := dig(t, v2, fmt.Sprintf("prometheus-adapter/rules/external/%d/metricsQuery", i))
		assert.Contains(t, rule, "<<.LabelMatchers>>", "load of one namespace scales that namespace")
	}
}

func TestDeepgramReleaseOutputs(t *testing.T) {
	t.Parallel()
	got := map[string]any{}
	runRelease(t, func(ctx *pulumi.Context) error {
		d, err := NewDeepgramRelease(ctx, "dg", prodRelease())
		if err != nil {
			return err
		}
		for name, output := range map[string]pulumi.Output{
			"url": d.APIURL, "grafana": d.GrafanaURL, "namespace": d.Namespace, "release": d.ReleaseName,
			"status": d.Status, "images": d.Images,
		} {
			result, err := internals.UnsafeAwaitOutput(ctx.Context(), output)
			if err != nil {
				return err
			}
			assert.False(t, result.Secret, name)
			got[name] = result.Value
		}
		assert.Equal(t, []pulumi.Resource{d.Release}, d.Ready)
		return nil
	})
	const prefix = "us-central1-docker.pkg.dev/based-hardware/deepgram/self-hosted-"
	assert.Equal(t, map[string]any{
		"url": "https://dg.omi.me", "grafana": "https://dg-monitor.omi.me", "namespace": "deepgram",
		"release": "deepgram", "status": "deployed",
		"images": map[string]string{
			"api": prefix + "api:release-250331", "engine": prefix + "engine:release-250331",
			"licenseProxy": prefix + "license-proxy:release-250331",
		},
	}, got)
}

// airgappedRelease is beside another release, whose Prometheus it uses.
func airgappedRelease(a *DeepgramReleaseArgs) {
	a.Billing.Enabled, a.APIKey = true, nil
	a.LicenseKey, a.LicenseFile = pulumi.String("key"), pulumi.String("file")
	a.Monitoring.Mode, a.Grafana.Enabled = "existing", false
}

func TestDeepgramReleaseVariants(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*DeepgramReleaseArgs)
		check  func(*testing.T, *releaseRecorder)
	}{
		"nothing around the release": {
			func(a *DeepgramReleaseArgs) {
				a.Ingress.Enabled, a.Grafana.Enabled, a.CreateNamespace = false, false, false
				a.PullUsername, a.PullPassword = nil, nil
			},
			func(t *testing.T, rec *releaseRecorder) {
				assert.Len(t, rec.regs, 3, "component, API key, release")
			},
		},
		"straight from quay.io": {
			func(a *DeepgramReleaseArgs) {
				a.ImagePrefix, a.UsePullSecret = pulumi.String("quay.io/deepgram"), true
			},
			func(t *testing.T, rec *releaseRecorder) {
				values := inputsOf(rec.named(t, "dg-release"))["values"]
				assert.Equal(t, "dg-regcred", dig(t, values, "global/pullSecretRef"))
				assert.Equal(t, "quay.io/deepgram/self-hosted-engine", dig(t, values, "engine/image/path"))
			},
		},
		"a chart in an OCI registry": {
			func(a *DeepgramReleaseArgs) { a.Release.ChartRepository = "oci://example.com/charts/" },
			func(t *testing.T, rec *releaseRecorder) {
				in := inputsOf(rec.named(t, "dg-release"))
				assert.Equal(t, "oci://example.com/charts/deepgram-self-hosted", in["chart"])
				assert.NotContains(t, in, "repositoryOpts")
			},
		},
		"a chart at hand": {
			func(a *DeepgramReleaseArgs) { a.ChartPath = "./chart.tgz" },
			func(t *testing.T, rec *releaseRecorder) {
				in := inputsOf(rec.named(t, "dg-release"))
				assert.Equal(t, "./chart.tgz", in["chart"])
				assert.NotContains(t, in, "version")
			},
		},
		"critical pods get their quota": {
			func(a *DeepgramReleaseArgs) {
				a.Values = map[string]any{"engine": map[string]any{"priorityClassName": "system-cluster-critical"}}
			},
			func(t *testing.T, rec *releaseRecorder) {
				quota := inputsOf(rec.named(t, "dg-gcp-critical-pods"))
				assert.Equal(t, "PriorityClass", dig(t, quota, "spec/scopeSelector/matchExpressions/0/scopeName"))
				assert.Contains(t, dependsOn(rec.named(t, "dg-release")), "dg-gcp-critical-pods")
			},
		},
		"airgapped": {
			func(a *DeepgramReleaseArgs) {
				a.Billing.Enabled, a.APIKey = true, nil
				a.LicenseKey, a.LicenseFile = pulumi.String("canary-licence"), pulumi.String("canary-file")
			},
			func(t *testing.T, rec *releaseRecorder) {
				in := inputsOf(rec.named(t, "dg-release"))
				assert.Equal(t, "dg-license-key", dig(t, in, "values/global/deepgramLicenseSecretRef"))
				assert.Equal(t, "dg-billing-journal", dig(t, in, "values/billing/journal/existingPvcName"))
				assert.Equal(t, false, dig(t, in, "values/billing/journal/aws/efs/enabled"))
				assert.Equal(t, "us-central1-docker.pkg.dev/based-hardware/deepgram", dig(t, in, "values/global/initContainer/image/registry"))
				text, err := json.Marshal(in)
				require.NoError(t, err)
				assert.NotContains(t, string(text), "canary")
				assert.NotContains(t, string(text), "\uE000")
				stack := dig(t, in, "values/kube-prometheus-stack").(map[string]any)
				journal := alertRule(t, dig(t, stack, "additionalPrometheusRulesMap/deepgram/groups"), "DeepgramJournalCopyOld")
				assert.Contains(t, journal["expr"], "> 108000", "30 h with a daily backup")
				assert.Empty(t, rec.of("kubernetes:monitoring.coreos.com/v1:PrometheusRule"), "the chart makes it")
			},
		},
		"alerts for an existing operator": {
			func(a *DeepgramReleaseArgs) {
				airgappedRelease(a)
				a.Monitoring.RuleLabels = map[string]string{"prometheus": "main"}
				a.Billing.Backup.AlertHours = 48
			},
			func(t *testing.T, rec *releaseRecorder) {
				rule := inputsOf(rec.named(t, "dg-alerts"))
				assert.Equal(t, "PrometheusRule", rule["kind"])
				assert.Equal(t, map[string]any{"team": "voice", "prometheus": "main"}, dig(t, rule, "metadata/labels"))
				journal := alertRule(t, dig(t, rule, "spec/groups"), "DeepgramJournalCopyOld")
				assert.Contains(t, journal["expr"], "> 172800")
				assert.Empty(t, rec.of("kubernetes:monitoring.googleapis.com/v1:PodMonitoring"), "its owner scrapes")
				dashboard := inputsOf(rec.named(t, "dg-dashboard"))
				assert.Equal(t, map[string]any{"team": "voice", "grafana_dashboard": "1"}, dig(t, dashboard, "metadata/labels"))
			},
		},
		"alerts for Google Managed Prometheus": {
			func(a *DeepgramReleaseArgs) { airgappedRelease(a); a.Monitoring.Rules = "google" },
			func(t *testing.T, rec *releaseRecorder) {
				rule := inputsOf(rec.named(t, "dg-alerts"))
				assert.Equal(t, "monitoring.googleapis.com/v1", rule["apiVersion"])
				assert.Equal(t, "ClusterRules", rule["kind"], "Rules would not see what other namespaces' exporters show")
				assert.NotContains(t, dig(t, rule, "metadata"), "namespace")
				alertRule(t, dig(t, rule, "spec/groups"), "DeepgramJournalCopyOld")
			},
		},
		"Google Managed Prometheus and KEDA": {
			func(a *DeepgramReleaseArgs) {
				a.Monitoring.Mode, a.Monitoring.Rules, a.Grafana.Enabled = "google", "", false
				a.Scaling.KEDA = config.KEDA{Enabled: true, PollingSeconds: 15}
				a.GCPProject = "acme"
			},
			func(t *testing.T, rec *releaseRecorder) {
				assert.Equal(t, "ClusterRules", inputsOf(rec.named(t, "dg-alerts"))["kind"])
				pods := inputsOf(rec.named(t, "dg-engines"))
				assert.Equal(t, map[string]any{"app": "deepgram-engine", "app.kubernetes.io/instance": "deepgram"}, dig(t, pods, "spec/selector/matchLabels"))
				assert.Equal(t, "metrics", dig(t, pods, "spec/endpoints/0/port"))
				scaler := inputsOf(rec.named(t, "dg-keda-deepgram-engine"))
				trigger := dig(t, scaler, "spec/triggers/0")
				assert.Equal(t, "https://monitoring.googleapis.com/v1/projects/acme/location/global/prometheus", dig(t, trigger, "metadata/serverAddress"))
				authentication := inputsOf(rec.named(t, "dg-keda-authentication"))
				assert.Equal(t, dig(t, authentication, "metadata/name"), dig(t, trigger, "authenticationRef/name"))
				assert.Equal(t, "gcp", dig(t, authentication, "spec/podIdentity/provider"))
			},
		},
		"KEDA asks the bundled Prometheus": {
			func(a *DeepgramReleaseArgs) { a.Scaling.KEDA = config.KEDA{Enabled: true, PollingSeconds: 15} },
			func(t *testing.T, rec *releaseRecorder) {
				values := inputsOf(rec.named(t, "dg-release"))["values"]
				assert.Equal(t, false, dig(t, values, "scaling/auto/enabled"), "the chart's autoscalers would fight with KEDA's")
				assert.Equal(t, map[string]any{"includeDependency": false}, dig(t, values, "prometheus-adapter"), "KEDA serves the same API")
				assert.Empty(t, rec.of("kubernetes:keda.sh/v1alpha1:TriggerAuthentication"))
				engine := rec.named(t, "dg-keda-deepgram-engine")
				assert.Contains(t, dependsOn(engine), "dg-release", "there is nothing to scale before it")
				spec := dig(t, inputsOf(engine), "spec")
				assert.Equal(t, map[string]any{"name": "deepgram-engine"}, dig(t, spec, "scaleTargetRef"))
				assert.InDelta(t, 2, dig(t, spec, "minReplicaCount"), 0)
				assert.InDelta(t, 10, dig(t, spec, "maxReplicaCount"), 0)
				assert.InDelta(t, 120, dig(t, spec, "advanced/horizontalPodAutoscalerConfig/behavior/scaleUp/stabilizationWindowSeconds"), 0)
				assert.Equal(t, map[string]any{
					"serverAddress": "http://dg-prometheus-stack-prometheus.deepgram.svc:9090", "threshold": "30", "ignoreNullValues": "false",
					"query": `sum(engine_active_requests{namespace="deepgram", kind="stream"})`,
				}, dig(t, spec, "triggers/0/metadata"))
				api := dig(t, inputsOf(rec.named(t, "dg-keda-deepgram-api")), "spec")
				assert.Equal(t, "1", dig(t, api, "triggers/0/metadata/threshold"))
			},
		},
		"a certificate that ends": {
			func(a *DeepgramReleaseArgs) { a.CertificateExpires = time.Unix(1800000000, 0) },
			func(t *testing.T, rec *releaseRecorder) {
				groups := dig(t, inputsOf(rec.named(t, "dg-release")), "values/kube-prometheus-stack/additionalPrometheusRulesMap/deepgram/groups")
				text, err := json.Marshal(groups)
				require.NoError(t, err)
				assert.Contains(t, string(text), "vector(1800000000) - time()")
				alertRule(t, groups, "DeepgramCertificateEnds")
			},
		},
		"no dashboard": {
			func(a *DeepgramReleaseArgs) { a.Monitoring.Dashboard = false },
			func(t *testing.T, rec *releaseRecorder) {
				assert.Empty(t, rec.of("kubernetes:core/v1:ConfigMap"))
			},
		},
		"alerts for nobody": {
			func(a *DeepgramReleaseArgs) { airgappedRelease(a); a.Monitoring.Rules = "none" },
			func(t *testing.T, rec *releaseRecorder) {
				for _, reg := range rec.regs {
					assert.NotEqual(t, "dg-alerts", reg.Name)
				}
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := prodRelease()
			tt.change(args)
			tt.check(t, runRelease(t, one(args)))
		})
	}
}

// alertRule finds an alert in groups of rules.
func alertRule(t *testing.T, groups any, name string) map[string]any {
	t.Helper()
	for _, group := range groups.([]any) {
		for _, rule := range group.(map[string]any)["rules"].([]any) {
			if rule := rule.(map[string]any); rule["alert"] == name {
				return rule
			}
		}
	}
	require.Failf(t, "missing", "alert %s", name)
	return nil
}

func TestDeepgramReleaseReportsEveryMistake(t *testing.T) {
	t.Parallel()
	rec := &releaseRecorder{}
	err := pulumi.RunErr(one(nil), pulumi.WithMocks("deepgram", "test", rec))
	require.Error(t, err)
	for _, want := range []string{
		`deepgram release "dg": `, "ImagePrefix: is required", "VolumeHandle: is required", "StorageCapacity: is required",
		"ModelNamePrefix: is required", "APIKey: is required", "Release.Name: is required", "Release.Namespace: is required",
		"Release.Tag: is required", "Zone: is required", "Monitoring.Mode:", "Release.TimeoutSeconds: 0",
		"Release.ChartRepository: is required", "chart version:",
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.Empty(t, rec.regs, "nothing is registered")

	tests := map[string]struct {
		change func(*DeepgramReleaseArgs)
		want   string
	}{
		"no host":             {func(a *DeepgramReleaseArgs) { a.Ingress.Host = "" }, "Ingress.Host: is required"},
		"no address":          {func(a *DeepgramReleaseArgs) { a.IngressAddressName = nil }, "IngressAddressName: is required"},
		"no certificate":      {func(a *DeepgramReleaseArgs) { a.CertificateNames = nil }, "CertificateNames: is required"},
		"timeout":             {func(a *DeepgramReleaseArgs) { a.Ingress.StreamTimeoutSeconds = 0 }, "Ingress.StreamTimeoutSeconds: 0 must be 1 or more"},
		"drain":               {func(a *DeepgramReleaseArgs) { a.Ingress.DrainSeconds = 4000 }, "Ingress.DrainSeconds: 4000 must be 0 to 3600"},
		"health path":         {func(a *DeepgramReleaseArgs) { a.Ingress.HealthCheckPath = "v1" }, `Ingress.HealthCheckPath: "v1" must begin with /`},
		"half a pull secret":  {func(a *DeepgramReleaseArgs) { a.PullPassword = nil }, "PullUsername, PullPassword: give both or none"},
		"no pull secret":      {func(a *DeepgramReleaseArgs) { a.PullUsername, a.PullPassword, a.UsePullSecret = nil, nil, true }, "UsePullSecret: needs"},
		"grafana alone":       {func(a *DeepgramReleaseArgs) { a.Monitoring.Mode = "existing" }, "Grafana.Enabled: Grafana comes with the bundled monitoring"},
		"grafana password":    {func(a *DeepgramReleaseArgs) { a.GrafanaPassword = nil }, "GrafanaPassword: is required"},
		"grafana host":        {func(a *DeepgramReleaseArgs) { a.Grafana.Host = "" }, "Grafana.Host: is required"},
		"licence":             {func(a *DeepgramReleaseArgs) { a.Billing.Enabled = true }, "LicenseKey: is required"},
		"null value":          {func(a *DeepgramReleaseArgs) { a.Values = map[string]any{"api": map[string]any{"image": nil}} }, "Values.api.image: null cannot be passed"},
		"unknown value":       {func(a *DeepgramReleaseArgs) { a.Values = map[string]any{"apy": 1} }, "values: apy is not a key of the chart; did you mean api?"},
		"text for a boolean":  {func(a *DeepgramReleaseArgs) { a.Values = map[string]any{"agent": map[string]any{"enabled": "false"}} }, "values: agent.enabled must be true or false, not text"},
		"selector label":      {func(a *DeepgramReleaseArgs) { a.Labels = map[string]string{"app": "x"} }, `Labels: "app" is a label by which`},
		"two scaling targets": {func(a *DeepgramReleaseArgs) { n := 3; a.Scaling.Engine.BatchRequestsPerPod = &n }, "scaling: exactly one target"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := prodRelease()
			tt.change(args)
			assert.ErrorContains(t, args.Validate(), tt.want)
		})
	}
	assert.NoError(t, prodRelease().Validate())
}

func TestDeepgramReleaseNeedsACertificate(t *testing.T) {
	t.Parallel()
	args := prodRelease()
	args.CertificateNames = pulumi.ToStringArray([]string{""})
	err := pulumi.RunErr(one(args), pulumi.WithMocks("deepgram", "test", &releaseRecorder{}))
	assert.ErrorContains(t, err, "CertificateNames: is empty")
}
