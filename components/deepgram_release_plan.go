package components

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/chart"
)

// releasePlan is what can be known of a release before any resource exists: the
// chart's values, with a token wherever a value comes from another resource. So
// a preview shows, and policies judge, everything but those few strings.
type releasePlan struct {
	inputs chart.Inputs
	values map[string]any
}

// token stands for an input in the computed values. The private-use characters
// cannot occur in a real value.
func token(name string) string { return "\uE000" + name + "\uE001" }

// The inputs that values are made of.
const (
	inImagePrefix = "image prefix"
	inAPIHash     = "api key hash"
	inLicenseHash = "licence key hash"
	inFileHash    = "licence file hash"
	inVolume      = "volume handle"
	inCapacity    = "storage capacity"
	inModelPrefix = "model name prefix"
	inJournal     = "journal claim"
)

// compute checks the arguments and computes the values.
func (a *DeepgramReleaseArgs) compute() (*releasePlan, error) {
	errs := a.problems()
	in := a.chartInputs()
	for name, field := range map[string]*string{
		"Release.Name": &in.Release, "Release.Namespace": &in.Namespace, "Release.Tag": &in.Tag, "Zone": &in.Zone,
	} {
		if *field == "" {
			errs = append(errs, fmt.Errorf("%s: is required", name))
			*field = "missing" // said once, by the argument's name
		}
	}
	slices.SortStableFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	values, err := chart.Values(in)
	if err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &releasePlan{inputs: in, values: values}, nil
}

// grafana tells whether Grafana is installed.
func (a *DeepgramReleaseArgs) grafana() bool {
	return a.Grafana.Enabled && a.Monitoring.Mode == "bundled"
}

// throughProxy tells whether API and Engine have to ask the licence proxy in an
// airgapped deployment (guide A-ARCH).
func (a *DeepgramReleaseArgs) throughProxy() bool {
	return a.Billing.Enabled && a.Billing.Architecture == "highly-available"
}

// rerouted tells whether the chart alone would not do that.
func (a *DeepgramReleaseArgs) rerouted() bool {
	return a.throughProxy() && chart.BypassesProxy(a.Release.ChartVersion)
}

// PostRenderer is the program that has to be on PATH where the release is
// installed; empty where none is needed.
func (a *DeepgramReleaseArgs) PostRenderer() string {
	if !a.rerouted() {
		return ""
	}
	return chart.PostRenderer
}

// licenseRoute is the route in words. It claims no way that is not there.
func (a *DeepgramReleaseArgs) licenseRoute() string {
	const proxy, billing = "API and Engine → licence proxy", " → " + chart.BillingName
	switch {
	case a.rerouted():
		return proxy + billing + " (by the post-renderer " + chart.PostRenderer + ")"
	case a.throughProxy():
		return proxy + billing
	case a.Billing.Enabled && a.LicenseProxy.Enabled && !chart.BypassesProxy(a.Release.ChartVersion):
		return proxy + billing
	case a.Billing.Enabled:
		return "API and Engine" + billing
	case !a.LicenseProxy.Enabled:
		return "API and Engine → license.deepgram.com"
	case a.LicenseProxy.KeepUpstreamServerAsBackup:
		return proxy + " → license.deepgram.com, which they ask themselves when the proxy cannot be reached"
	}
	return proxy + " → license.deepgram.com"
}

func (a *DeepgramReleaseArgs) problems() (errs []error) {
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	need := func(in pulumi.Input, name, why string) {
		if in == nil {
			fail("%s: is required%s", name, why)
		}
	}
	need(a.ImagePrefix, "ImagePrefix", ": such as us-central1-docker.pkg.dev/PROJECT/deepgram")
	need(a.VolumeHandle, "VolumeHandle", ": the models disk, projects/P/zones/Z/disks/D")
	need(a.StorageCapacity, "StorageCapacity", ": the size of the models disk, such as 200Gi")
	need(a.ModelNamePrefix, "ModelNamePrefix", ": one for each models disk")
	if a.Billing.Enabled {
		need(a.LicenseKey, "LicenseKey", " with Billing.Enabled")
		need(a.LicenseFile, "LicenseFile", " with Billing.Enabled")
		if a.throughProxy() && !a.LicenseProxy.Enabled {
			fail("LicenseProxy.Enabled: Billing.Architecture highly-available needs the licence proxy")
		}
	} else {
		need(a.APIKey, "APIKey", " without Billing.Enabled (guide G-K.1)")
	}
	if (a.PullUsername == nil) != (a.PullPassword == nil) {
		fail("PullUsername, PullPassword: give both or none")
	}
	if a.UsePullSecret && a.PullPassword == nil {
		fail("UsePullSecret: needs PullUsername and PullPassword, of which the Secret %s is made", chart.PullSecret)
	}
	if a.Ingress.Enabled {
		if a.Ingress.Host == "" {
			fail("Ingress.Host: is required with Ingress.Enabled")
		}
		if !strings.HasPrefix(a.Ingress.HealthCheckPath, "/") {
			fail("Ingress.HealthCheckPath: %q must begin with /, such as /v1/status", a.Ingress.HealthCheckPath)
		}
		if a.Ingress.StreamTimeoutSeconds < 1 {
			fail("Ingress.StreamTimeoutSeconds: %d must be 1 or more; the longest stream in seconds, such as 86400",
				a.Ingress.StreamTimeoutSeconds)
		}
		if a.Ingress.DrainSeconds < 0 || a.Ingress.DrainSeconds > 3600 {
			fail("Ingress.DrainSeconds: %d must be 0 to 3600, the load balancer's limits", a.Ingress.DrainSeconds)
		}
		need(a.IngressAddressName, "IngressAddressName", " with Ingress.Enabled")
		need(a.CertificateNames, "CertificateNames", " with Ingress.Enabled")
	}
	a.monitoringProblems(fail)
	if a.grafana() {
		if a.Grafana.Host == "" {
			fail("Grafana.Host: is required with Grafana.Enabled")
		}
		need(a.GrafanaPassword, "GrafanaPassword", " with Grafana.Enabled: the chart's default is public knowledge")
		need(a.GrafanaAddressName, "GrafanaAddressName", " with Grafana.Enabled")
		need(a.GrafanaCertificateName, "GrafanaCertificateName", " with Grafana.Enabled")
	}
	if a.Release.TimeoutSeconds < 1 {
		fail("Release.TimeoutSeconds: %d must be 1 or more; the guide asks for 3600", a.Release.TimeoutSeconds)
	}
	if a.ChartPath == "" && a.Release.ChartRepository == "" {
		fail("Release.ChartRepository: is required where ChartPath is not given")
	}
	for _, key := range slices.Sorted(maps.Keys(a.Labels)) {
		if slices.Contains(selectorLabels, key) {
			fail("Labels: %q is a label by which the chart finds its pods; use another key", key)
		}
	}
	for _, path := range nulls("Values", a.Values) {
		fail("%s: null cannot be passed to the chart; leave the key out to keep the chart's default", path)
	}
	return errs
}

// selectorLabels are the labels that the chart selects its pods by, or sets
// itself: given twice, pods would not match their own Deployment.
var selectorLabels = []string{
	"app", "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by",
	"app.kubernetes.io/version", "helm.sh/chart", "engine-type",
}

// nulls finds the paths of null values, which the SDK would drop on the way.
func nulls(prefix string, values map[string]any) (paths []string) {
	for _, k := range slices.Sorted(maps.Keys(values)) {
		switch v := values[k].(type) {
		case nil:
			paths = append(paths, prefix+"."+k)
		case map[string]any:
			paths = append(paths, nulls(prefix+"."+k, v)...)
		}
	}
	return paths
}

// chartInputs are the plain arguments, with tokens for the rest.
func (a *DeepgramReleaseArgs) chartInputs() chart.Inputs {
	in := chart.Inputs{
		Version: a.Release.ChartVersion, Release: a.Release.Name, Namespace: a.Release.Namespace, Tag: a.Release.Tag,
		ImagePrefix: token(inImagePrefix), UsePullSecret: a.UsePullSecret, Zone: a.Zone, Labels: a.Labels,
		// A pod may end its streams for as long as the load balancer lets it.
		GracePeriodSeconds: a.Ingress.DrainSeconds,
		API:                chart.API{Resources: chartResources(a.API.Resources.Requests, a.API.Resources.Limits)},
		Engine: chart.Engine{
			Resources:   chartResources(a.Engine.Resources.Requests, a.Engine.Resources.Limits),
			GPUs:        a.Engine.Resources.GPUs,
			GPURequired: a.Engine.GPURequired, ActiveRequests: orZero(a.Engine.ActiveRequests),
		},
		LicenseProxy: chart.LicenseProxy{
			Enabled: a.LicenseProxy.Enabled, Replicas: a.LicenseProxy.Replicas,
			KeepUpstreamServerAsBackup: a.LicenseProxy.KeepUpstreamServerAsBackup,
			Resources:                  chartResources(a.LicenseProxy.Resources.Requests, a.LicenseProxy.Resources.Limits),
		},
		Models: chart.Models{
			VolumeHandle: token(inVolume), Capacity: token(inCapacity), NamePrefix: token(inModelPrefix),
		},
		Scaling: chart.Scaling{
			Auto: a.Scaling.Auto, APIReplicas: a.Scaling.API.Replicas, EngineReplicas: a.Scaling.Engine.Replicas,
			MinReplicas: a.Scaling.Engine.MinReplicas, MaxReplicas: a.Scaling.Engine.MaxReplicas,
			StreamsPerPod:               orZero(a.Scaling.Engine.StreamsPerPod),
			BatchRequestsPerPod:         orZero(a.Scaling.Engine.BatchRequestsPerPod),
			TTSRequestsPerPod:           orZero(a.Scaling.Engine.TTSRequestsPerPod),
			CapacityRatio:               orZero(a.Scaling.Engine.CapacityRatio),
			ScaleUpStabilizationSeconds: a.Scaling.Engine.ScaleUpStabilizationSeconds,
			EngineToAPIRatio:            a.Scaling.EngineToAPIRatio,
			KEDA:                        a.Scaling.Auto && a.Scaling.KEDA.Enabled,
		},
		Monitoring: chart.Monitoring{
			Bundled: a.Monitoring.Mode == "bundled", Namespaces: a.Monitoring.Namespaces,
			RetentionDays: a.Monitoring.RetentionDays, StorageGb: a.Monitoring.StorageGb,
			Grafana: a.grafana(), GrafanaStorageGb: a.Grafana.StorageGb,
		},
		Alerts: chart.Alerts(a.Monitoring.Alerts),
		Host:   a.Ingress.Host,
		Extra:  a.Values,
	}
	if a.Ingress.Enabled && !a.CertificateExpires.IsZero() {
		in.CertificateExpires = a.CertificateExpires.Unix()
	}
	if !a.Ingress.Enabled {
		in.GracePeriodSeconds = 1800 // the chart's default
	}
	if a.APIKey != nil && !a.Billing.Enabled {
		in.APIKeyHash = token(inAPIHash)
	}
	if a.Billing.Enabled {
		in.Billing = chart.Billing{Enabled: true, Replicas: a.Billing.Replicas, JournalClaim: token(inJournal)}
		if a.Billing.Backup.Enabled {
			in.Billing.BackupAlertHours = a.Billing.Backup.AlertAge()
		}
		in.LicenseHash, in.LicenseFileHash = token(inLicenseHash), token(inFileHash)
		// An airgapped cluster pulls nothing from outside.
		in.MonitoringRegistry = token(inImagePrefix)
	}
	return in
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func chartResources(requests, limits config.Quantities) chart.Resources {
	return chart.Resources{
		RequestCPU: string(requests.CPU), RequestMemory: string(requests.Memory),
		LimitCPU: string(limits.CPU), LimitMemory: string(limits.Memory),
	}
}

// resolve replaces the tokens by the inputs that they stand for.
func (p *releasePlan) resolve(a *DeepgramReleaseArgs) pulumi.Map {
	return resolveValue(p.values, a.tokens()).(pulumi.Map)
}

func (p *releasePlan) images(a *DeepgramReleaseArgs) pulumi.StringMapOutput {
	tokens := a.tokens()
	out := pulumi.StringMap{}
	for component, ref := range chart.Images(p.inputs) {
		out[component] = resolveString(ref, tokens)
	}
	return out.ToStringMapOutput()
}

// tokens are the outputs behind the tokens. None is secret: of secrets there are
// only fingerprints, keyed by a secret that cannot be guessed.
func (a *DeepgramReleaseArgs) tokens() map[string]pulumi.StringOutput {
	out := map[string]pulumi.StringOutput{}
	add := func(name string, in pulumi.StringInput) {
		if in != nil {
			out[token(name)] = in.ToStringOutput()
		}
	}
	add(inImagePrefix, a.ImagePrefix)
	add(inVolume, a.VolumeHandle)
	add(inCapacity, a.StorageCapacity)
	add(inModelPrefix, a.ModelNamePrefix)
	if a.APIKey != nil {
		add(inAPIHash, fingerprint(a.APIKey))
	}
	if a.Billing.Enabled {
		add(inLicenseHash, fingerprint(a.LicenseKey))
		add(inFileHash, fingerprint(a.LicenseKey, a.LicenseFile))
		if a.JournalClaim == nil {
			add(inJournal, pulumi.String(chart.JournalClaim))
		} else {
			add(inJournal, a.JournalClaim)
		}
	}
	return out
}

// fingerprint is chart.Fingerprint of inputs; it is no secret.
func fingerprint(key pulumi.StringInput, values ...pulumi.StringInput) pulumi.StringOutput {
	all := []any{key}
	for _, v := range values {
		all = append(all, v)
	}
	hash := pulumi.All(all...).ApplyT(func(all []any) string {
		texts := make([]string, len(all))
		for i, v := range all {
			texts[i], _ = v.(string)
		}
		return chart.Fingerprint(texts[0], texts[1:]...)
	})
	return pulumi.Unsecret(hash).(pulumi.StringOutput)
}

func resolveValue(v any, tokens map[string]pulumi.StringOutput) pulumi.Input {
	switch v := v.(type) {
	case map[string]any:
		m := pulumi.Map{}
		for k, x := range v {
			if in := resolveValue(x, tokens); in != nil {
				m[k] = in
			}
		}
		return m
	case []any:
		list := pulumi.Array{}
		for _, x := range v {
			list = append(list, resolveValue(x, tokens))
		}
		return list
	case string:
		return resolveString(v, tokens)
	case bool:
		return pulumi.Bool(v)
	case int:
		return pulumi.Int(v)
	case float64:
		return pulumi.Float64(v)
	default:
		return nil // chart.Values makes no other kind, and nulls are refused
	}
}

// resolveString replaces the tokens in s. At most one input is in a string.
func resolveString(s string, tokens map[string]pulumi.StringOutput) pulumi.StringInput {
	for t, out := range tokens {
		switch {
		case s == t:
			return out
		case strings.Contains(s, t):
			return out.ApplyT(func(v string) string { return strings.ReplaceAll(s, t, v) }).(pulumi.StringOutput)
		}
	}
	return pulumi.String(s)
}
