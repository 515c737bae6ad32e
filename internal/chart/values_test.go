package chart

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// prodOmi is the production environment of the guide.
func prodOmi() Inputs {
	return Inputs{
		Version: "0.42.0", Release: "deepgram", Namespace: "deepgram", Tag: "release-250331",
		ImagePrefix: "us-central1-docker.pkg.dev/based-hardware/deepgram", Zone: "us-central1-a",
		GracePeriodSeconds: 1800, APIKeyHash: "0123456789abcdef",
		API:    API{Resources: Resources{"2", "4Gi", "4", "12Gi"}},
		Engine: Engine{Resources: Resources{"5", "24Gi", "12", "40Gi"}, GPUs: 1, GPURequired: true},
		LicenseProxy: LicenseProxy{
			Enabled: true, Replicas: 1, KeepUpstreamServerAsBackup: true, Resources: Resources{"1", "4Gi", "2", "8Gi"},
		},
		Models: Models{
			VolumeHandle: "projects/based-hardware/zones/us-central1-a/disks/prod-omi-deepgram-model-storage",
			Capacity:     "200Gi", NamePrefix: "prod-omi-models",
		},
		Scaling: Scaling{
			Auto: true, MinReplicas: 2, MaxReplicas: 10, StreamsPerPod: 30,
			ScaleUpStabilizationSeconds: 120, EngineToAPIRatio: 1,
		},
		Monitoring: Monitoring{
			Bundled: true, RetentionDays: 15, StorageGb: 50, Grafana: true, GrafanaStorageGb: 20,
		},
	}
}

func values(t *testing.T, in Inputs) map[string]any {
	t.Helper()
	v, err := Values(in)
	require.NoError(t, err)
	return v
}

// at reads the value at a path; absent values are errors.
func at(t *testing.T, m map[string]any, path ...string) any {
	t.Helper()
	var v any = m
	for _, k := range path {
		mm, ok := v.(map[string]any)
		require.True(t, ok, "%v: %q is below a %T", path, k, v)
		v, ok = mm[k]
		require.True(t, ok, "%v: no %q", path, k)
	}
	return v
}

func dotted(t *testing.T, m map[string]any, path string) any {
	t.Helper()
	return at(t, m, strings.Split(path, ".")...)
}

func TestValuesOfTheGuidesProductionEnvironment(t *testing.T) {
	t.Parallel()
	v := values(t, prodOmi())
	images := "us-central1-docker.pkg.dev/based-hardware/deepgram/self-hosted-"
	want := map[string]any{
		"global.deepgramSecretRef":                                        "dg-self-hosted-api-key",
		"global.outstandingRequestGracePeriod":                            1800,
		"gpu-operator.enabled":                                            false,
		"cluster-autoscaler.enabled":                                      false,
		"kube-prometheus-stack.includeDependency":                         true,
		"prometheus-adapter.includeDependency":                            true,
		"api.image.path":                                                  images + "api",
		"api.image.tag":                                                   "release-250331",
		"engine.image.path":                                               images + "engine",
		"engine.image.tag":                                                "release-250331",
		"licenseProxy.image.path":                                         images + "license-proxy",
		"licenseProxy.image.tag":                                          "release-250331",
		"billing.enabled":                                                 false,
		"billing.image.path":                                              images + "billing",
		"api.namePrefix":                                                  "deepgram-api",
		"api.resources.requests.cpu":                                      "2",
		"api.resources.requests.memory":                                   "4Gi",
		"api.resources.limits.cpu":                                        "4",
		"api.resources.limits.memory":                                     "12Gi",
		"api.additionalAnnotations":                                       map[string]any{"deepgram.com/api-key-hash": "0123456789abcdef"},
		"engine.namePrefix":                                               "deepgram-engine",
		"engine.resources.requests.cpu":                                   "5",
		"engine.resources.requests.memory":                                "24Gi",
		"engine.resources.requests.gpu":                                   1,
		"engine.resources.limits.cpu":                                     "12",
		"engine.resources.limits.memory":                                  "40Gi",
		"engine.resources.limits.gpu":                                     1,
		"engine.health.gpuRequired":                                       true,
		"engine.pdb.enabled":                                              true,
		"engine.pdb.maxUnavailable":                                       1,
		"engine.modelManager.volumes.gcp.gpd.enabled":                     true,
		"engine.modelManager.volumes.gcp.gpd.volumeHandle":                "projects/based-hardware/zones/us-central1-a/disks/prod-omi-deepgram-model-storage",
		"engine.modelManager.volumes.gcp.gpd.storageCapacity":             "200Gi",
		"engine.modelManager.volumes.gcp.gpd.namePrefix":                  "prod-omi-models",
		"engine.modelManager.volumes.gcp.gpd.storageClassName":            "standard-rwo",
		"engine.modelManager.volumes.gcp.gpd.fsType":                      "ext4",
		"licenseProxy.enabled":                                            true,
		"licenseProxy.deploySecondReplica":                                false,
		"licenseProxy.keepUpstreamServerAsBackup":                         true,
		"licenseProxy.resources.requests.cpu":                             "1",
		"licenseProxy.resources.requests.memory":                          "4Gi",
		"licenseProxy.resources.limits.cpu":                               "2",
		"licenseProxy.resources.limits.memory":                            "8Gi",
		"scaling.auto.enabled":                                            true,
		"scaling.auto.engine.minReplicas":                                 2,
		"scaling.auto.engine.maxReplicas":                                 10,
		"scaling.auto.engine.metrics":                                     map[string]any{"speechToText": map[string]any{"streaming": map[string]any{"requestsPerPod": 30}}},
		"scaling.auto.engine.behavior.scaleUp.stabilizationWindowSeconds": 120,
		"scaling.auto.api.metrics.engineToApiRatio":                       1,
		"kube-prometheus-stack.kubeEtcd.enabled":                          false,
		"kube-prometheus-stack.kubeScheduler.enabled":                     false,
		"kube-prometheus-stack.kubeControllerManager.enabled":             false,
		"kube-prometheus-stack.kubeProxy.enabled":                         false,
		"kube-prometheus-stack.coreDns.enabled":                           false,
		"kube-prometheus-stack.prometheus.prometheusSpec.retention":       "15d",
		"kube-prometheus-stack.grafana.enabled":                           true,
		"kube-prometheus-stack.grafana.persistence.enabled":               true,
		"kube-prometheus-stack.grafana.persistence.type":                  "sts",
		"kube-prometheus-stack.grafana.persistence.storageClassName":      "standard-rwo",
		"kube-prometheus-stack.grafana.persistence.size":                  "20Gi",
		"kube-prometheus-stack.grafana.initChownData.enabled":             false,
		"kube-prometheus-stack.grafana.ingress.enabled":                   false,
		"kube-prometheus-stack.grafana.admin.existingSecret":              "dg-grafana-admin",
		"kube-prometheus-stack.prometheus.prometheusSpec.storageSpec.volumeClaimTemplate.spec.resources.requests.storage": "50Gi",
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		assert.Equal(t, want[path], dotted(t, v, path), path)
	}
	assert.Equal(t, "us-central1-a", at(t, v, "engine", "nodeSelector", "topology.kubernetes.io/zone"))
	assert.Equal(t, "false", at(t, v, "engine", "additionalAnnotations", annotationSafeToEvict),
		"an annotation is text, and an engine is not evicted for a smaller cluster")
	assert.NotContains(t, v["global"], "pullSecretRef", "the node's own identity pulls from Artifact Registry")
	for component, role := range map[string]string{"api": "api", "engine": "engine", "licenseProxy": "license-proxy"} {
		terms := dotted(t, v, component+".affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms")
		assert.Equal(t, []any{map[string]any{"matchExpressions": []any{map[string]any{
			"key": "k8s.deepgram.com/node-type", "operator": "In", "values": []any{role},
		}}}}, terms, component)
	}
	text, err := yaml.Marshal(v)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "quay.io")
}

// situations are inputs that between them reach every value that can be set.
func situations() map[string]Inputs {
	out := map[string]Inputs{"production": prodOmi()}
	change := func(name string, f func(*Inputs)) {
		in := prodOmi()
		f(&in)
		out[name] = in
	}
	change("static", func(in *Inputs) {
		in.Scaling = Scaling{APIReplicas: 2, EngineReplicas: 3}
		in.Monitoring.Grafana = false
	})
	change("capacity ratio", func(in *Inputs) {
		in.Scaling.StreamsPerPod, in.Scaling.CapacityRatio, in.Engine.ActiveRequests = 0, 0.8, 40
	})
	change("batch", func(in *Inputs) { in.Scaling.StreamsPerPod, in.Scaling.BatchRequestsPerPod = 0, 5 })
	change("tts", func(in *Inputs) { in.Scaling.StreamsPerPod, in.Scaling.TTSRequestsPerPod = 0, 5 })
	change("from quay", func(in *Inputs) { in.ImagePrefix, in.UsePullSecret = QuayPrefix, true })
	change("existing monitoring", func(in *Inputs) { in.Monitoring = Monitoring{} })
	change("airgapped", func(in *Inputs) {
		in.Labels = map[string]string{"team": "voice"}
		in.MonitoringRegistry = in.ImagePrefix
		in.APIKeyHash, in.LicenseHash, in.LicenseFileHash = "", "aa", "bb"
		in.Billing = Billing{Enabled: true, Replicas: 2, JournalClaim: "journals"}
	})
	return out
}

func TestEveryValueIsKnownToEveryChartVersion(t *testing.T) {
	t.Parallel()
	for name, in := range situations() {
		for _, version := range Versions() {
			in.Version = version
			// CheckKeys compares the kinds too: a bool stays a bool.
			assert.Empty(t, CheckKeys(version, values(t, in)), "%s on %s", name, version)
		}
	}
}

func TestScalingUsesOneTarget(t *testing.T) {
	t.Parallel()
	metrics := func(situation string) any {
		return dotted(t, values(t, situations()[situation]), "scaling.auto.engine.metrics")
	}
	perPod := map[string]any{"requestsPerPod": 5}
	assert.Equal(t, map[string]any{"requestCapacityRatio": 0.8}, metrics("capacity ratio"))
	assert.Equal(t, map[string]any{"speechToText": map[string]any{"batch": perPod}}, metrics("batch"))
	assert.Equal(t, map[string]any{"textToSpeech": map[string]any{"batch": perPod}}, metrics("tts"))
	assert.Equal(t, 40, dotted(t, values(t, situations()["capacity ratio"]), "engine.concurrencyLimit.activeRequests"))

	static := values(t, situations()["static"])
	assert.Equal(t, map[string]any{"enabled": false}, dotted(t, static, "scaling.auto"))
	assert.Equal(t, map[string]any{"api": 2, "engine": 3}, dotted(t, static, "scaling.replicas"))
	assert.Equal(t, false, dotted(t, static, "prometheus-adapter.includeDependency"), "nothing asks the adapter")
	assert.Equal(t, true, dotted(t, static, "kube-prometheus-stack.includeDependency"))
}

func TestAirgappedValues(t *testing.T) {
	t.Parallel()
	in := situations()["airgapped"]
	v := values(t, in)
	for path, want := range map[string]any{
		"global.deepgramLicenseSecretRef":                     "dg-license-key",
		"global.initContainer.image.registry":                 in.ImagePrefix,
		"global.initContainer.image.repository":               "ubuntu",
		"global.initContainer.image.tag":                      "22.04",
		"billing.enabled":                                     true,
		"billing.replicas":                                    2,
		"billing.licenseFile.secretRef":                       "dg-license-file",
		"billing.licenseFile.secretKey":                       "license.dg",
		"billing.journal.existingPvcName":                     "journals",
		"billing.journal.aws.efs.enabled":                     false,
		"billing.updateStrategy.rollingUpdate.maxUnavailable": 1,
		"kube-prometheus-stack.global.imageRegistry":          in.ImagePrefix,
		"prometheus-adapter.image.repository":                 in.ImagePrefix + "/prometheus-adapter/prometheus-adapter",
	} {
		assert.Equal(t, want, dotted(t, v, path), path)
	}
	assert.NotContains(t, v["global"], "deepgramSecretRef", "there is no API key")
	assert.Contains(t, dotted(t, v, "billing.affinity").(map[string]any), "nodeAffinity")
	assert.Equal(t, "aa", at(t, v, "licenseProxy", "additionalAnnotations", annotationLicense))
	assert.Equal(t, "bb", at(t, v, "billing", "additionalAnnotations", annotationLicenseFile))
	assert.Equal(t, in.ImagePrefix+"/ubuntu:22.04", Images(in)["init"])
	assert.Equal(t, in.ImagePrefix+"/self-hosted-billing:release-250331", Images(in)["billing"])
}

func TestPullSecretOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	v := values(t, situations()["from quay"])
	assert.Equal(t, "dg-regcred", dotted(t, v, "global.pullSecretRef"))
	assert.Equal(t, "quay.io/deepgram/self-hosted-api", dotted(t, v, "api.image.path"))
}

func TestExistingMonitoringBringsNone(t *testing.T) {
	t.Parallel()
	v := values(t, situations()["existing monitoring"])
	assert.Equal(t, map[string]any{"includeDependency": false}, v["kube-prometheus-stack"])
	assert.Equal(t, map[string]any{"includeDependency": false}, v["prometheus-adapter"])
	assert.Equal(t, true, dotted(t, v, "scaling.auto.enabled"), "its autoscalers ask the other release's adapter")
}

func TestScrapeConfigKeepsTheEngineJob(t *testing.T) {
	t.Parallel()
	in := prodOmi()
	in.Monitoring.Namespaces = []string{"nova-3", "deepgram"}
	jobs := dotted(t, values(t, in), "kube-prometheus-stack.prometheus.prometheusSpec.additionalScrapeConfigs").([]any)
	require.Len(t, jobs, 2, "engines and GPUs")
	job := jobs[0].(map[string]any)
	assert.Equal(t, "dg_engine_metrics", job["job_name"])
	assert.Equal(t, []any{map[string]any{
		"role": "endpoints", "namespaces": map[string]any{"names": []any{"deepgram", "nova-3"}},
	}}, job["kubernetes_sd_configs"], "its own namespace once, and the other")
	assert.Contains(t, job["relabel_configs"], map[string]any{
		"source_labels": []any{"__meta_kubernetes_namespace"}, "target_label": "namespace",
	}, "the rules tell releases apart by it")
}

func TestExtraValuesWin(t *testing.T) {
	t.Parallel()
	in := prodOmi()
	in.Extra = map[string]any{
		"api":    map[string]any{"resources": map[string]any{"requests": map[string]any{"cpu": "3"}}},
		"engine": map[string]any{"tolerations": []map[string]any{{"key": "gpu"}}},
	}
	v := values(t, in)
	assert.Equal(t, "3", dotted(t, v, "api.resources.requests.cpu"))
	assert.Equal(t, "4Gi", dotted(t, v, "api.resources.requests.memory"), "maps are merged")
	assert.Equal(t, []any{map[string]any{"key": "gpu"}}, dotted(t, v, "engine.tolerations"))
}

func TestValuesReportsEveryProblem(t *testing.T) {
	t.Parallel()
	in := prodOmi()
	in.Zone, in.Models.NamePrefix = "", ""
	in.Scaling = Scaling{Auto: true, MinReplicas: 5, MaxReplicas: 2, StreamsPerPod: 3, CapacityRatio: 0.5}
	in.LicenseProxy.Replicas = 3
	in.Billing = Billing{Enabled: true}
	in.Extra = map[string]any{"api": map[string]any{"ingress": map[string]any{"enabled": true}}, "licenseProxy": map[string]any{"enabled": "false"}}
	_, err := Values(in)
	require.Error(t, err)
	for _, want := range []string{
		"zone: is required",
		"models name prefix: is required",
		"exactly one target is needed",
		"got 2",
		"a capacity ratio needs the engine's activeRequests",
		"replicas 5 to 2: need 1 <= min <= max",
		"engine to api ratio 0",
		"3 replicas: the chart knows 1 and 2",
		"billing: a journal claim is needed",
		"values: api.ingress is not a key of the chart",
		"values: licenseProxy.enabled must be true or false, not text",
	} {
		assert.ErrorContains(t, err, want)
	}
	in = prodOmi()
	in.Version = "0.40.2"
	_, err = Values(in)
	assert.EqualError(t, err, `chart version: "0.40.2" is not supported: use one of 0.41.1, 0.42.0, 0.43.0, 0.44.0, 0.46.0`)
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	f := Fingerprint("key", "a", "bc")
	assert.Regexp(t, "^[0-9a-f]{16}$", f)
	assert.Equal(t, f, Fingerprint("key", "a", "bc"))
	assert.NotEqual(t, f, Fingerprint("key", "ab", "c"))
	assert.NotEqual(t, f, Fingerprint("other", "a", "bc"), "the same value cannot be recognised elsewhere")
}
