package chart

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"0.41.1", "0.42.0", "0.43.0", "0.44.0", "0.46.0"}, Versions())
	assert.True(t, Supported(DefaultVersion))
	assert.False(t, Supported("0.40.2"), "it breaks images on GKE")
	assert.False(t, Supported(""))
}

// nest builds {"a": {"b": v}} of ("a", "b"), v.
func nest(v any, path ...string) map[string]any {
	for i := len(path) - 1; i > 0; i-- {
		v = map[string]any{path[i]: v}
	}
	return map[string]any{path[0]: v}
}

func TestCheckKeys(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		version string
		values  map[string]any
		want    []string
	}{
		"nothing":               {"0.42.0", nil, nil},
		"known":                 {"0.42.0", nest(8080, "api", "server", "port"), nil},
		"a letter":              {"0.42.0", nest("x", "api", "namePrefx"), []string{"api.namePrefx is not a key of the chart; did you mean api.namePrefix?"}},
		"another case":          {"0.42.0", nest(true, "licenceProxy", "enabled"), []string{"licenceProxy is not a key of the chart; did you mean licenseProxy?"}},
		"the guide's old key":   {"0.42.0", nest(1, "scaling", "static"), []string{"scaling.static is not a key of the chart; use scaling.replicas"}},
		"silently ignored":      {"0.42.0", nest(true, "api", "ingress", "enabled"), []string{"api.ingress is not a key of the chart; the chart has no Ingress, so the stack makes its own: use the configuration key ingress"}},
		"no such metric":        {"0.42.0", nest(1, "scaling", "auto", "engine", "metrics", "textToSpeech", "streaming"), []string{"scaling.auto.engine.metrics.textToSpeech.streaming is not a key of the chart; did you mean scaling.auto.engine.metrics.speechToText.streaming?"}},
		"ephemeral storage":     {"0.42.0", nest("1Gi", "api", "resources", "requests", "ephemeral-storage"), []string{"api.resources.requests.ephemeral-storage is not a key of the chart; there are cpu, memory"}},
		"free maps":             {"0.42.0", nest("y", "api", "nodeSelector", "x"), nil},
		"deep in free maps":     {"0.42.0", nest(5, "scaling", "auto", "engine", "behavior", "scaleUp", "anything", "goes"), nil},
		"free where null":       {"0.42.0", nest("y", "engine", "additionalAnnotations", "x"), nil},
		"subcharts are open":    {"0.42.0", nest(false, "kube-prometheus-stack", "alertmanager", "enabled"), nil},
		"subcharts by name":     {"0.42.0", nest(false, "kube-prometheus", "x"), []string{"kube-prometheus is not a key of the chart; did you mean kube-prometheus-stack?"}},
		"only templates say so": {"0.42.0", nest("s", "global", "thirdPartyCredentials", "openAiSecretRef"), nil},
		"null":                  {"0.42.0", nest(nil, "api", "image"), nil},
		"text for a boolean":    {"0.42.0", nest("false", "billing", "enabled"), []string{"billing.enabled must be true or false, not text"}},
		"boolean of a subchart": {"0.42.0", nest("true", "prometheus-adapter", "includeDependency"), []string{"prometheus-adapter.includeDependency must be true or false, not text"}},
		"text for a number":     {"0.42.0", nest("30", "engine", "concurrencyLimit", "activeRequests"), []string{"engine.concurrencyLimit.activeRequests must be a whole number, not text"}},
		"half a number":         {"0.42.0", nest(1.5, "billing", "replicas"), []string{"billing.replicas must be a whole number, not a number"}},
		"number for text":       {"0.42.0", nest(250331, "api", "image", "tag"), []string{"api.image.tag must be text, not a number"}},
		"map for a list":        {"0.42.0", nest(map[string]any{}, "api", "tolerations"), []string{"api.tolerations must be a list, not a map"}},
		"text for a map":        {"0.42.0", nest("x", "api", "image"), []string{"api.image must be a map, not text"}},
		"quantities":            {"0.42.0", nest(2, "api", "resources", "requests", "cpu"), nil},
		"engines of two kinds":  {"0.42.0", nest(map[string]any{"x": 1}, "scaling", "replicas", "engine"), nil},
		"too new":               {"0.42.0", nest(true, "global", "fips", "enabled"), []string{"global.fips is not a key of the chart; there are additionalLabels, deepgramLicenseSecretRef, deepgramSecretRef, initContainer, outstandingRequestGracePeriod, pullSecretRef, thirdPartyCredentials"}},
		"new enough":            {"0.46.0", nest(true, "global", "fips", "enabled"), nil},
		"not yet in 0.41.1":     {"0.41.1", nest(true, "fluxTts", "enabled"), []string{"fluxTts is not a key of the chart; there are agent, api, aura2, billing, cluster-autoscaler, engine, global, gpu-operator, kube-prometheus-stack, licenseProxy, prometheus-adapter, scaling"}},
		"unknown version":       {"9.9.9", nil, []string{`chart version "9.9.9" is not supported: use one of 0.41.1, 0.42.0, 0.43.0, 0.44.0, 0.46.0`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, CheckKeys(tt.version, tt.values))
		})
	}
}

func TestCheckKeysReportsAllAndNoValue(t *testing.T) {
	t.Parallel()
	got := CheckKeys("0.42.0", map[string]any{
		"engin": map[string]any{}, "api": map[string]any{"image": map[string]any{"tga": "canary"}, "server": "canary"},
	})
	assert.Len(t, got, 3)
	for _, msg := range got {
		assert.NotContains(t, msg, "canary", "a value may be a secret in the wrong place")
	}
}
