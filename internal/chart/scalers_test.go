package chart

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestScalersGiveWhatTheChartsAutoscalersGive compares the number of engines that
// KEDA asks for, sum / threshold, with the chart's rule, current × average / target.
func TestScalersGiveWhatTheChartsAutoscalersGive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scaling          Scaling
		query, threshold string
	}{
		"streams": {Scaling{StreamsPerPod: 30}, `sum(engine_active_requests{namespace="deepgram", kind="stream"})`, "30"},
		"batch":   {Scaling{BatchRequestsPerPod: 8}, `sum(engine_active_requests{namespace="deepgram", kind="batch"})`, "8"},
		"tts":     {Scaling{TTSRequestsPerPod: 4}, `sum(engine_active_requests{namespace="deepgram", kind="tts"})`, "4"},
		"ratio": {
			Scaling{CapacityRatio: 0.8},
			`sum(engine_active_requests{namespace="deepgram"}) / avg(engine_max_active_requests{namespace="deepgram"})`, "0.8",
		},
	} {
		in := prodOmi()
		in.Scaling = c.scaling
		in.Scaling.MinReplicas, in.Scaling.MaxReplicas, in.Scaling.EngineToAPIRatio = 3, 10, 4
		scalers := in.Scalers()
		assert.Equal(t, c.query, scalers[0].Query, name)
		assert.Equal(t, c.threshold, scalers[0].Threshold, name)
		assert.Equal(t, []int{3, 10}, []int{scalers[0].Min, scalers[0].Max}, name)
		assert.Equal(t, []int{1, 3}, []int{scalers[1].Min, scalers[1].Max}, "%s: rounded up, as the chart does", name)
		assert.Equal(t, "4", scalers[1].Threshold, name)
	}
}

// TestKEDATakesTheChartsAutoscalersAway sees what is left of them in the values,
// and with how many pods an update begins.
func TestKEDATakesTheChartsAutoscalersAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ replicas, ratio, engines, apis int }{
		{1, 1, 2, 2}, {6, 4, 6, 2}, {50, 4, 10, 3},
	} {
		in := prodOmi()
		in.Scaling.KEDA, in.Scaling.EngineReplicas, in.Scaling.EngineToAPIRatio = true, c.replicas, c.ratio
		in.Monitoring.Namespaces = []string{"other"}
		v := values(t, in)
		assert.Equal(t, false, dotted(t, v, "scaling.auto.enabled"))
		assert.NotContains(t, dotted(t, v, "scaling.auto"), "engine")
		assert.EqualValues(t, c.engines, dotted(t, v, "scaling.replicas.engine"))
		assert.EqualValues(t, c.apis, dotted(t, v, "scaling.replicas.api"))
		assert.Equal(t, map[string]any{"includeDependency": false}, v["prometheus-adapter"], "two servers of one API")
		assert.Equal(t, true, dotted(t, v, "kube-prometheus-stack.includeDependency"), "KEDA asks it")
	}
}

// TestScaleInSparesStreams sees what keeps live streams from being cut: time to end
// them, a node that stays, and one eviction at a time.
func TestScaleInSparesStreams(t *testing.T) {
	t.Parallel()
	for _, keda := range []bool{false, true} {
		in := prodOmi()
		in.Scaling.KEDA = keda
		v := values(t, in)
		assert.EqualValues(t, 1800, dotted(t, v, "global.outstandingRequestGracePeriod"))
		assert.Equal(t, "false", at(t, v, "engine", "additionalAnnotations", "cluster-autoscaler.kubernetes.io/safe-to-evict"))
		for _, component := range []string{"api", "engine"} {
			assert.Equal(t, map[string]any{"enabled": true, "maxUnavailable": 1}, normal(t, dotted(t, v, component+".pdb")))
		}
		down := in.Scalers()[0].Behavior["scaleDown"]
		assert.Equal(t, scaleDown(), down, "one engine or a quarter of them each minute")
	}
}

// normal makes whole numbers ints.
func normal(t *testing.T, v any) map[string]any {
	t.Helper()
	out := map[string]any{}
	for k, x := range v.(map[string]any) {
		if f, ok := x.(float64); ok {
			x = int(f)
		}
		out[k] = x
	}
	return out
}
