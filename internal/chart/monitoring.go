package chart

import "fmt"

// prometheusStack are the values of kube-prometheus-stack.
func (in *Inputs) prometheusStack() map[string]any {
	// Explicit in both cases: without a boolean the switch of autoscaling decides.
	v := map[string]any{"includeDependency": in.Monitoring.Bundled}
	if !in.Monitoring.Bundled {
		return v
	}
	// GKE does not show these parts of its control plane; their monitors would be
	// five Services in kube-system without a target.
	for _, monitor := range []string{"kubeEtcd", "kubeScheduler", "kubeControllerManager", "kubeProxy", "coreDns"} {
		v[monitor] = map[string]any{"enabled": false}
	}
	v["prometheus"] = map[string]any{"prometheusSpec": map[string]any{
		"retention": fmt.Sprintf("%dd", in.Monitoring.RetentionDays),
		"storageSpec": map[string]any{"volumeClaimTemplate": map[string]any{"spec": map[string]any{
			"storageClassName": "standard-rwo",
			"accessModes":      []any{"ReadWriteOnce"},
			"resources": map[string]any{"requests": map[string]any{
				"storage": fmt.Sprintf("%dGi", in.Monitoring.StorageGb),
			}},
		}}},
		"additionalScrapeConfigs": in.scrapeConfigs(),
		"affinity":                awayFromDeepgram(),
	}}
	v["prometheusOperator"] = map[string]any{"affinity": awayFromDeepgram()}
	v["kube-state-metrics"] = map[string]any{"affinity": awayFromDeepgram()}
	v["grafana"] = in.grafana()
	v["additionalPrometheusRulesMap"] = in.bundledAlerts()
	if in.MonitoringRegistry != "" {
		// One setting of the stack, read by its subcharts too.
		v["global"] = map[string]any{"imageRegistry": in.MonitoringRegistry}
	}
	return v
}

// scrapeConfigs replaces the chart's list: its engine job, with further
// namespaces. The two-second interval is the chart's; the autoscaler's metrics
// average over a minute and less.
func (in *Inputs) scrapeConfigs() []any {
	namespaces := []any{in.Namespace}
	for _, n := range in.Monitoring.Namespaces {
		if n != in.Namespace {
			namespaces = append(namespaces, n)
		}
	}
	keep := func(source, regex string) any {
		return map[string]any{"source_labels": []any{source}, "regex": regex, "action": "keep"}
	}
	label := func(source, target string) any {
		return map[string]any{"source_labels": []any{source}, "target_label": target}
	}
	engines := map[string]any{
		"job_name":        "dg_engine_metrics",
		"scrape_interval": "2s",
		"kubernetes_sd_configs": []any{map[string]any{
			"role": "endpoints", "namespaces": map[string]any{"names": namespaces},
		}},
		"relabel_configs": []any{
			keep("__meta_kubernetes_service_name", "(.*)-metrics"),
			keep("__meta_kubernetes_endpoint_port_name", "metrics"),
			// The adapter's rules tell releases apart by this label.
			label("__meta_kubernetes_namespace", "namespace"),
			label("__meta_kubernetes_service_name", "service"),
			label("__meta_kubernetes_pod_name", "pod"),
		},
	}
	// What the GPUs do, where GKE's exporter of it is installed. Its series carry
	// namespace and pod of whoever uses the GPU.
	gpus := map[string]any{
		"job_name":        "dg_gpu_metrics",
		"scrape_interval": "15s",
		"honor_labels":    true,
		"kubernetes_sd_configs": []any{map[string]any{
			"role": "pod", "namespaces": map[string]any{"names": []any{"gke-managed-system"}},
		}},
		"relabel_configs": []any{
			keep("__meta_kubernetes_pod_label_app_kubernetes_io_name", "gke-managed-dcgm-exporter"),
			keep("__meta_kubernetes_pod_container_port_name", "metrics"),
			label("__meta_kubernetes_pod_node_name", "node"),
		},
	}
	return []any{engines, gpus}
}

func (in *Inputs) grafana() map[string]any {
	if !in.Monitoring.Grafana {
		return map[string]any{"enabled": false}
	}
	return map[string]any{
		"enabled": true,
		// The chart's default password is public knowledge.
		"admin": map[string]any{
			"existingSecret": GrafanaSecret, "userKey": GrafanaUserKey, "passwordKey": GrafanaPasswordKey,
		},
		"persistence": map[string]any{
			"enabled": true, "type": "sts", "storageClassName": "standard-rwo",
			"size": fmt.Sprintf("%dGi", in.Monitoring.GrafanaStorageGb),
		},
		// Kubernetes gives the volume to Grafana's group by itself; the chart's init
		// container would run as root, from one more image.
		"initChownData": map[string]any{"enabled": false},
		// The entrance is an object of its own, so that it can be removed before
		// the Service behind it.
		"ingress":  map[string]any{"enabled": false},
		"affinity": awayFromDeepgram(),
	}
}

// awayFromDeepgram prefers nodes without a Deepgram role: the system pool, or
// whatever a cluster that is not ours has.
func awayFromDeepgram() map[string]any {
	return map[string]any{"nodeAffinity": map[string]any{
		"preferredDuringSchedulingIgnoredDuringExecution": []any{map[string]any{
			"weight": 100,
			"preference": map[string]any{"matchExpressions": []any{map[string]any{
				"key": NodeTypeLabel, "operator": "NotIn",
				"values": []any{RoleAPI, RoleEngine, RoleLicenseProxy, RoleBilling},
			}}},
		}},
	}}
}

// prometheusAdapter are the values of prometheus-adapter, which turns
// measurements into what the autoscalers read.
func (in *Inputs) prometheusAdapter() map[string]any {
	// It also serves releases in other namespaces that bring no monitoring.
	// KEDA serves the same API, of which there can be one server only.
	wanted := in.Monitoring.Bundled && !in.Scaling.KEDA && (in.Scaling.Auto || len(in.Monitoring.Namespaces) > 0)
	v := map[string]any{"includeDependency": wanted}
	if !wanted {
		return v
	}
	v["rules"] = map[string]any{"default": false, "external": AdapterRules()}
	v["affinity"] = awayFromDeepgram()
	if in.MonitoringRegistry != "" {
		v["image"] = map[string]any{"repository": in.MonitoringRegistry + "/prometheus-adapter/prometheus-adapter"}
	}
	return v
}

// AdapterRules are the external metrics that the chart's autoscalers ask for, by
// the chart's names. The chart's own rules look at the whole cluster; these look
// at the namespace of the autoscaler that asks (<<.LabelMatchers>>), so that one
// release's load does not move another's replicas.
func AdapterRules() []any {
	const own = "<<.LabelMatchers>>"
	active := func(kind string) string { return fmt.Sprintf(`engine_active_requests{kind=%q,%s}`, kind, own) }
	replicas := func(app string) string {
		return fmt.Sprintf(`sum(kube_deployment_status_replicas{%s} and on(namespace, deployment) `+
			`kube_deployment_labels{label_app=%q,%s})`, own, app, own)
	}
	minute := func(ratio string) string { return "avg_over_time((" + ratio + ")[1m:1m])" }
	return []any{
		rule("engine_active_requests_stt_streaming", `engine_active_requests{kind="stream"}`, "avg("+active("stream")+")"),
		rule("engine_active_requests_stt_batch", `engine_active_requests{kind="batch"}`, "avg("+active("batch")+")"),
		rule("engine_active_requests_tts_batch", `engine_active_requests{kind="tts"}`, "avg("+active("tts")+")"),
		rule("engine_estimated_stream_capacity", `engine_active_requests{kind="stream"}`,
			minute("sum("+active("stream")+") / sum(engine_estimated_stream_capacity{"+own+"})")),
		rule("engine_requests_active_to_max_ratio", "engine_max_active_requests",
			minute("sum(engine_active_requests{"+own+"}) / sum(engine_max_active_requests{"+own+"})")),
		rule("engine_to_api_pod_ratio", fmt.Sprintf(`kube_deployment_labels{label_app=%q}`, EngineName),
			replicas(EngineName)+" / "+replicas(APIName)),
	}
}

func rule(name, series, query string) any {
	return map[string]any{
		"name":         map[string]any{"as": name},
		"seriesQuery":  series,
		"metricsQuery": query,
		"resources": map[string]any{
			"namespaced": true,
			"overrides":  map[string]any{"namespace": map[string]any{"resource": "namespace"}},
		},
	}
}
