package chart

import "fmt"

// Series that the rules record, each with the label namespace. The dashboard
// shows them, so that a graph and its alert are of one mind.
const (
	// LatencySeries is the p99 of the latency of streams in seconds.
	LatencySeries = "deepgram:stream_latency_seconds:p99"
	// ErrorSeries and RefusedSeries are shares of requests: answered with 5xx, and
	// with 4xx.
	ErrorSeries   = "deepgram:requests_failed:ratio"
	RefusedSeries = "deepgram:requests_refused:ratio"
	// LoadSeries is the share of the engines' capacity in use.
	LoadSeries = "deepgram:engine_load:ratio"
	// TargetSeries is the load of an engine as a share of the autoscaler's target.
	TargetSeries = "deepgram:engine_target:ratio"
	// CertificateSeries is the time that the API's certificate has left in
	// seconds, with a label host.
	CertificateSeries = "deepgram:certificate_left_seconds"
)

// own is the selector of the release's namespace, with further matchers.
func (in *Inputs) own(matchers string) string {
	if matchers != "" {
		matchers = ", " + matchers
	}
	return fmt.Sprintf("{namespace=%q%s}", in.Namespace, matchers)
}

// recorded is a recorded series of the release.
func (in *Inputs) recorded(series string) string { return series + in.own("") }

// serviceAlerts tell of what clients feel: latency and failing requests.
func (in *Inputs) serviceAlerts() any {
	all := fmt.Sprintf("sum(rate(engine_requests_total%s[5m]))", in.own(""))
	// Without a request of the class there is no series of it, which means 0.
	share := func(status string) string {
		return fmt.Sprintf("(sum(rate(engine_requests_total%s[5m])) or vector(0)) / %s",
			in.own(fmt.Sprintf("response_status=~%q", status)), all)
	}
	rules := []any{
		in.record(LatencySeries, fmt.Sprintf("histogram_quantile(0.99, sum by (le) (rate(engine_stream_latency_bucket%s[5m])))", in.own(""))),
		in.record(ErrorSeries, share("5..|5xx")),
		// An Engine counts classes, so 429 is one of the 4xx.
		in.record(RefusedSeries, share("4..|4xx")),
	}
	// One request of two is a half, and no trouble.
	enough := fmt.Sprintf(" and on () sum(increase(engine_requests_total%s[5m])) >= 10", in.own(""))
	if limit := in.Alerts.StreamLatencyMilliseconds; limit > 0 {
		rules = append(rules, alert("DeepgramStreamLatencyHigh", "warning", "5m",
			fmt.Sprintf("%s > %s", in.recorded(LatencySeries), thousandths(limit)),
			fmt.Sprintf("1 of 100 streams waits {{ $value | humanizeDuration }} or longer; allowed are %s s.", thousandths(limit)),
			"Look at the engines' load and GPUs on the dashboard. Where they are busy, lower scaling.engine.streamsPerPod or raise maxReplicas; where they are not, look at the API and the network."))
	}
	if limit := in.Alerts.ErrorPercent; limit > 0 {
		rules = append(rules, alert("DeepgramRequestsFailing", "critical", "2m",
			fmt.Sprintf("%s > %s%s", in.recorded(ErrorSeries), hundredths(limit), enough),
			fmt.Sprintf("{{ $value | humanizePercentage }} of the requests fail (5xx); allowed are %d %%.", limit),
			fmt.Sprintf("kubectl -n %s logs deploy/%s --since=15m, and the same of deploy/%s. A full deployment answers 503, too: look at its capacity.", in.Namespace, EngineName, APIName)))
	}
	if limit := in.Alerts.RefusedPercent; limit > 0 {
		rules = append(rules, alert("DeepgramRequestsRefused", "warning", "5m",
			fmt.Sprintf("%s > %s%s", in.recorded(RefusedSeries), hundredths(limit), enough),
			fmt.Sprintf("{{ $value | humanizePercentage }} of the requests are refused (4xx); allowed are %d %%.", limit),
			"Where the engines are near their limit, these are 429: raise scaling.engine.maxReplicas and pools.engine.maxNodes. Elsewhere a client asks for what is not there, such as a model."))
	}
	return map[string]any{"name": "deepgram-service", "rules": rules}
}

// capacityAlerts tell of engines that are full (guide G-A).
func (in *Inputs) capacityAlerts() any {
	active := func(kind string) string {
		return fmt.Sprintf("engine_active_requests%s", in.own(fmt.Sprintf("kind=%q", kind)))
	}
	// An Engine's own estimate grows with its load until the GPU is full; a limit
	// that was set is the better measure.
	load := fmt.Sprintf("sum(%s) / sum(engine_estimated_stream_capacity%s)", active("stream"), in.own(""))
	limit := fmt.Sprintf("sum(engine_active_requests%[1]s) / sum(engine_max_active_requests%[1]s)", in.own(""))
	if in.Engine.ActiveRequests > 0 {
		load = limit
	}
	rules := []any{in.record(LoadSeries, load)}
	if percent := in.Alerts.CapacityPercent; percent > 0 {
		more := "Clients will be refused when it is used up. Raise scaling.engine.maxReplicas and pools.engine.maxNodes, and mind the GPU quota."
		rules = append(
			rules,
			alert("DeepgramCapacityShort", "warning", "10m",
				fmt.Sprintf("%s > %s", in.recorded(LoadSeries), hundredths(percent)),
				fmt.Sprintf("{{ $value | humanizePercentage }} of the engines' capacity are in use; %d %% were to be the most.", percent), more),
			alert("DeepgramCapacityExhausted", "critical", "5m",
				fmt.Sprintf("%s > %s", in.recorded(LoadSeries), hundredths(max(percent, 95))),
				"{{ $value | humanizePercentage }} of the engines' capacity are in use: new streams are refused, or slow all others down.", more),
		)
	}
	if !in.Scaling.Auto {
		return map[string]any{"name": "deepgram-capacity", "rules": rules}
	}
	target := func(kind string, of int) string { return fmt.Sprintf("avg(%s) / %d", active(kind), of) }
	var expression string
	switch s := in.Scaling; {
	case s.StreamsPerPod > 0:
		expression = target("stream", s.StreamsPerPod)
	case s.BatchRequestsPerPod > 0:
		expression = target("batch", s.BatchRequestsPerPod)
	case s.TTSRequestsPerPod > 0:
		expression = target("tts", s.TTSRequestsPerPod)
	default:
		expression = fmt.Sprintf("%s / %g", limit, s.CapacityRatio)
	}
	rules = append(
		rules,
		in.record(TargetSeries, expression),
		alert("DeepgramEnginesAboveTarget", "warning", "15m",
			in.recorded(TargetSeries)+" > 1.1",
			"For 15 minutes the engines have had {{ $value | humanizePercentage }} of the load that the autoscaler aims at.",
			fmt.Sprintf("It cannot add engines: kubectl -n %s get hpa and get pods. At maxReplicas raise it; with pending pods look at pools.engine.maxNodes, the GPU quota and the zone's stock.", in.Namespace)),
		alert("DeepgramAutoscalerBlind", "warning", "10m",
			fmt.Sprintf(`max by (namespace, horizontalpodautoscaler) (kube_horizontalpodautoscaler_status_condition%s) == 1`,
				in.own(fmt.Sprintf(`horizontalpodautoscaler=~"(keda-hpa-)?(%s|%s)(-hpa)?", `, APIName, EngineName)+
					`condition="ScalingActive", status="false"`)),
			"The autoscaler {{ $labels.horizontalpodautoscaler }} cannot read its measurements.",
			fmt.Sprintf("kubectl -n %s describe hpa {{ $labels.horizontalpodautoscaler }}, and kubectl get apiservice v1beta1.external.metrics.k8s.io. A private control plane must reach TCP 6443 of the nodes.", in.Namespace)),
	)
	return map[string]any{"name": "deepgram-capacity", "rules": rules}
}

// thousandths and hundredths write a share as Prometheus reads it.
func thousandths(n int) string { return fmt.Sprintf("%g", float64(n)/1000) }
func hundredths(n int) string  { return fmt.Sprintf("%g", float64(n)/100) }
