package chart

import "fmt"

// PrometheusService is the name of the bundled Prometheus's Service, port 9090.
const PrometheusService = "dg-prometheus-stack-prometheus"

// Scaler is what KEDA is told of a Deployment: so many pods that Query divided by
// their number is at most Threshold.
type Scaler struct {
	Deployment       string
	Min, Max         int
	Query, Threshold string
	// Behavior is that of a HorizontalPodAutoscaler.
	Behavior map[string]any
}

// Scalers do what the chart's autoscalers do (guide G-A), for KEDA. A query gives a
// sum, because KEDA itself divides by the number of pods.
func (in *Inputs) Scalers() []Scaler {
	s := in.Scaling
	active := func(kind string) string {
		return fmt.Sprintf("sum(engine_active_requests%s)", in.own(fmt.Sprintf("kind=%q", kind)))
	}
	engine := Scaler{
		Deployment: EngineName, Min: s.MinReplicas, Max: s.MaxReplicas,
		Behavior: map[string]any{
			"scaleUp":   map[string]any{"stabilizationWindowSeconds": s.ScaleUpStabilizationSeconds},
			"scaleDown": scaleDown(),
		},
	}
	switch {
	case s.StreamsPerPod > 0:
		engine.Query, engine.Threshold = active("stream"), fmt.Sprint(s.StreamsPerPod)
	case s.BatchRequestsPerPod > 0:
		engine.Query, engine.Threshold = active("batch"), fmt.Sprint(s.BatchRequestsPerPod)
	case s.TTSRequestsPerPod > 0:
		engine.Query, engine.Threshold = active("tts"), fmt.Sprint(s.TTSRequestsPerPod)
	default:
		// Requests in units of an Engine's limit.
		engine.Query = fmt.Sprintf("sum(engine_active_requests%[1]s) / avg(engine_max_active_requests%[1]s)", in.own(""))
		engine.Threshold = fmt.Sprintf("%g", s.CapacityRatio)
	}
	api := Scaler{
		Deployment: APIName, Min: perAPI(s.MinReplicas, s.EngineToAPIRatio), Max: perAPI(s.MaxReplicas, s.EngineToAPIRatio),
		Query:     fmt.Sprintf("max(kube_deployment_spec_replicas%s)", in.own(fmt.Sprintf("deployment=%q", EngineName))),
		Threshold: fmt.Sprint(s.EngineToAPIRatio),
		Behavior:  map[string]any{"scaleDown": scaleDown()},
	}
	return []Scaler{engine, api}
}

// perAPI is the number of API pods for engines.
func perAPI(engines, ratio int) int { return (engines + max(ratio, 1) - 1) / max(ratio, 1) }
