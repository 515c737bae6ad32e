package chart

import (
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAdapterRulesStayInTheirNamespace renders each query as prometheus-adapter
// does for an autoscaler in a namespace, and looks at every series selector.
func TestAdapterRulesStayInTheirNamespace(t *testing.T) {
	t.Parallel()
	selector := regexp.MustCompile(`([a-z_]+)\{([^}]*)\}`)
	series := regexp.MustCompile(`\b(engine|kube)_[a-z_]+`)
	for _, r := range AdapterRules() {
		rule := r.(map[string]any)
		name := rule["name"].(map[string]any)["as"].(string)
		query := rule["metricsQuery"].(string)
		tmpl, err := template.New(name).Delims("<<", ">>").Parse(query)
		require.NoError(t, err, name)
		var out strings.Builder
		require.NoError(t, tmpl.Execute(&out, map[string]string{"LabelMatchers": `namespace="nova-3"`}), name)

		found := selector.FindAllStringSubmatch(out.String(), -1)
		assert.Len(t, found, len(series.FindAllString(out.String(), -1)), "%s: every series has a selector: %s", name, out.String())
		for _, s := range found {
			assert.Contains(t, s[2], `namespace="nova-3"`, "%s: %s counts other releases", name, s[1])
		}
		resources := rule["resources"].(map[string]any)
		assert.Equal(t, true, resources["namespaced"], "%s: the adapter adds the matcher only to namespaced metrics", name)
		assert.Equal(t, map[string]any{"namespace": map[string]any{"resource": "namespace"}}, resources["overrides"])
	}
}

// TestAdapterRulesServeTheChartsAutoscalers compares with the names in the
// chart's HPA templates.
func TestAdapterRulesServeTheChartsAutoscalers(t *testing.T) {
	t.Parallel()
	var names []string
	for _, r := range AdapterRules() {
		names = append(names, r.(map[string]any)["name"].(map[string]any)["as"].(string))
	}
	assert.ElementsMatch(t, []string{
		"engine_active_requests_stt_streaming", "engine_active_requests_stt_batch", "engine_active_requests_tts_batch",
		"engine_requests_active_to_max_ratio", "engine_estimated_stream_capacity", "engine_to_api_pod_ratio",
	}, names)
}
