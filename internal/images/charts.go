package images

import (
	"fmt"
	"maps"
	"slices"
)

// upstream is one image that a chart pulls by a reference of its own.
type upstream struct {
	name string
	// registry, path and tag are spelled as the chart spells them: the target
	// keeps the path, because the charts put one registry before it.
	registry, path, tag string
	// only says what must be on for the chart to pull it; nil means always.
	only func(Need) bool
}

func grafana(n Need) bool { return n.Grafana }

// monitoring60 are the images of kube-prometheus-stack 60.5.0 (with grafana
// 8.2.0 and kube-state-metrics 5.20.1) and prometheus-adapter 4.14.2, which
// are the dependencies of chart 0.41.1 and 0.42.0. The chart switches
// Alertmanager and the node exporter off, and Thanos has no container.
var monitoring60 = []upstream{
	{name: "prometheus-operator", registry: "quay.io", path: "prometheus-operator/prometheus-operator", tag: "v0.74.0"},
	// Named in an argument of the operator, not in any pod of the chart.
	{name: "prometheus-config-reloader", registry: "quay.io", path: "prometheus-operator/prometheus-config-reloader", tag: "v0.74.0"},
	{name: "prometheus", registry: "quay.io", path: "prometheus/prometheus", tag: "v2.53.0"},
	{name: "kube-state-metrics", registry: "registry.k8s.io", path: "kube-state-metrics/kube-state-metrics", tag: "v2.12.0"},
	{name: "prometheus-adapter", registry: "registry.k8s.io", path: "prometheus-adapter/prometheus-adapter", tag: "v0.12.0"},
	{name: "kube-webhook-certgen", registry: "registry.k8s.io", path: "ingress-nginx/kube-webhook-certgen", tag: "v20221220-controller-v1.5.1-58-g787ea74b6"},
	{name: "grafana", registry: "docker.io", path: "grafana/grafana", tag: "11.0.0", only: grafana},
	{name: "k8s-sidecar", registry: "quay.io", path: "kiwigrid/k8s-sidecar", tag: "1.26.1", only: grafana},
	// The init container that hands Grafana's volume to Grafana's user.
	{name: "busybox", registry: "docker.io", path: "library/busybox", tag: "1.31.1", only: grafana},
	// helm test of the grafana chart.
	{name: "bats", registry: "docker.io", path: "bats/bats", tag: "v1.4.1", only: grafana},
}

// monitoringByChart are the monitoring images by version of the Deepgram chart.
var monitoringByChart = map[string][]upstream{
	"0.41.1": monitoring60,
	"0.42.0": monitoring60,
}

// initImage is the init container of the airgapped mode.
var initImage = upstream{name: "init", registry: "docker.io", path: "ubuntu", tag: "22.04"}

func monitoringImages(chartVersion string) ([]upstream, error) {
	list, ok := monitoringByChart[chartVersion]
	if !ok {
		return nil, fmt.Errorf("release.chartVersion %q: its monitoring images are not known; known are %q: give the images with --image, or use a known version",
			chartVersion, slices.Sorted(maps.Keys(monitoringByChart)))
	}
	return list, nil
}
