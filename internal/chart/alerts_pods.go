package chart

import "fmt"

// LicenseProxyName is the name of the licence proxy's Deployment.
const LicenseProxyName = "deepgram-license-proxy"

// available is the number of a Deployment's pods that are ready, by
// kube-state-metrics.
func (in *Inputs) available(deployment string) string {
	return fmt.Sprintf("max by (namespace) (kube_deployment_status_replicas_available%s)",
		in.own(fmt.Sprintf("deployment=%q", deployment)))
}

// missing is the number of a Deployment's pods that are not ready. Google's
// package of kube-state-metrics has no series of its own for it.
func (in *Inputs) missing(deployment string) string {
	return fmt.Sprintf("max by (namespace) (kube_deployment_spec_replicas%s) - %s",
		in.own(fmt.Sprintf("deployment=%q", deployment)), in.available(deployment))
}

// engineAlerts tell of pods that are missing, and of engines without a GPU.
func (in *Inputs) engineAlerts() any {
	rules := []any{
		// Nobody who tells of an Engine is as bad as no Engine.
		alert("DeepgramNoEngines", "critical", "5m",
			fmt.Sprintf("%s == 0 or absent(engine_active_requests%s)", in.available(EngineName), in.own("")),
			"No Engine is ready, or none is measured: nothing is transcribed.",
			fmt.Sprintf("kubectl -n %[1]s get pods -l app=%[2]s. Pending ones lack a node (quota, stock of GPUs); with ready ones, Prometheus does not reach Service %[2]s-metrics.", in.Namespace, EngineName)),
		alert("DeepgramEnginesMissing", "warning", "30m",
			in.missing(EngineName)+" > 0",
			"{{ $value }} of the engines have not become ready for 30 minutes.",
			fmt.Sprintf("kubectl -n %s get pods -l app=%s, then describe one: no node, no image, or models that take longer to load than the startup probe waits.", in.Namespace, EngineName)),
		alert("DeepgramNoAPI", "critical", "5m",
			in.available(APIName)+" == 0",
			"No API pod is ready: clients get 502 or 503.",
			fmt.Sprintf("kubectl -n %s get pods -l app=%s. An API pod becomes ready when an Engine is connected to it, so look at the engines first.", in.Namespace, APIName)),
	}
	if in.Engine.GPUs > 0 {
		requests := func(what string) string {
			return "kube_pod_container_resource_requests" + in.own(fmt.Sprintf(`pod=~"%s-.+", resource=%q`, EngineName, what))
		}
		rules = append(
			rules,
			// Both are the CPU fallback: with gpuRequired off an Engine starts without a
			// GPU and is then many times slower.
			alert("DeepgramEngineWithoutGPU", "critical", "5m",
				fmt.Sprintf(`max by (namespace, pod) (kube_pod_status_phase%s == 1) and on (namespace, pod) %s unless on (namespace, pod) %s > 0`,
					in.own(fmt.Sprintf(`pod=~"%s-.+", phase="Running"`, EngineName)), requests("cpu"), requests("nvidia_com_gpu")),
				"{{ $labels.pod }} runs without a GPU.",
				"Set engine.resources.gpus to 1 or more and engine.gpuRequired to true, and look for values that take the GPU away."),
			alert("DeepgramGPUIdle", "critical", "5m",
				fmt.Sprintf("max by (namespace, pod) (max_over_time(DCGM_FI_DEV_GPU_UTIL%[1]s[10m])) == 0 and on (namespace, pod) max by (namespace, pod) (min_over_time(engine_active_requests%[1]s[10m])) > 0", in.own("")),
				"{{ $labels.pod }} works, but its GPU does not: it computes on the CPU.",
				fmt.Sprintf(`kubectl -n %s logs {{ $labels.pod }} | grep "Using devices" must name Gpu(0). If not, compare the driver of pools.engine.gpu.driver with what the release needs.`, in.Namespace)),
		)
	}
	return map[string]any{"name": "deepgram-engines", "rules": rules}
}

// licenseAlerts tell of who answers for the licence. The proxy has no metrics;
// its readiness probe asks for its state, and takes Connected and TrustBased as
// ready. When trust ends, so does its readiness.
func (in *Inputs) licenseAlerts() any {
	var rules []any
	upstream := "license.deepgram.com:443"
	if in.Billing.Enabled {
		upstream = BillingName
	}
	if in.LicenseProxy.Enabled {
		rules = append(
			rules,
			alert("DeepgramLicenseProxyDown", "critical", "2m",
				in.available(LicenseProxyName)+" == 0",
				"No licence proxy is connected to its upstream, nor trusted without it.",
				fmt.Sprintf("kubectl -n %[1]s logs deploy/%[2]s --since=15m. It must reach %[3]s. Engines stop to serve some time after they lose the licence.", in.Namespace, LicenseProxyName, upstream)),
			alert("DeepgramLicenseProxyMissing", "warning", "15m",
				in.missing(LicenseProxyName)+" > 0",
				"{{ $value }} of the licence proxies have not been ready for 15 minutes.",
				fmt.Sprintf("kubectl -n %s get pods -l app=%s. The state is in the answer of /v1/status on port 8080.", in.Namespace, LicenseProxyName)),
		)
	}
	if in.Billing.Enabled {
		rules = append(rules, alert("DeepgramBillingDown", "critical", "5m",
			fmt.Sprintf("max by (namespace) (kube_statefulset_status_replicas_ready%s) == 0", in.own(fmt.Sprintf("statefulset=%q", BillingName))),
			"No billing pod is ready: nobody answers for the licence, and no usage is written down.",
			fmt.Sprintf("kubectl -n %[1]s describe pods -l app=%[2]s: the journals' volume, the licence file and its last day.", in.Namespace, BillingName)))
	}
	if len(rules) == 0 {
		return nil
	}
	return map[string]any{"name": "deepgram-licence", "rules": rules}
}

// certificateAlerts count the days of the API's certificate (guide G-M.cert). No
// exporter is asked: the program knows when the certificate ends that it puts on
// the load balancer, and writes that into the rule.
func (in *Inputs) certificateAlerts() any {
	const day, last = 24 * 3600, 7
	left := in.recorded(CertificateSeries)
	rules := []any{map[string]any{
		"record": CertificateSeries,
		"expr":   fmt.Sprintf("vector(%d) - time()", in.CertificateExpires),
		"labels": map[string]any{"namespace": in.Namespace, "host": in.Host},
	}}
	if days := in.Alerts.CertificateDays; days > 0 {
		renew := "Give the new one in ingress.certificate and the old one in ingress.previousCertificate, then deepgram-stack up; docs/configuration.md has the steps."
		rules = append(
			rules,
			alert("DeepgramCertificateEnds", "warning", "1h",
				fmt.Sprintf("%s < %d", left, days*day),
				"The certificate of {{ $labels.host }} ends in {{ $value | humanizeDuration }}.", renew),
			alert("DeepgramCertificateEndsSoon", "critical", "10m",
				fmt.Sprintf("%s < %d", left, min(days, last)*day),
				"The certificate of {{ $labels.host }} ends in {{ $value | humanizeDuration }}; then no client can connect.", renew),
		)
	}
	return map[string]any{"name": "deepgram-certificate", "rules": rules}
}
