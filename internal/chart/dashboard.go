package chart

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// DashboardLabel is the label by which Grafana's sidecar finds dashboards; its value
// is "1".
const DashboardLabel = "grafana_dashboard"

// Dashboard is a Grafana dashboard, in the form of Grafana 11.
type Dashboard struct {
	UID           string       `json:"uid"`
	Title         string       `json:"title"`
	Description   string       `json:"description"`
	Tags          []string     `json:"tags"`
	SchemaVersion int          `json:"schemaVersion"`
	Editable      bool         `json:"editable"`
	Refresh       string       `json:"refresh"`
	Time          timeRange    `json:"time"`
	Templating    templateList `json:"templating"`
	Panels        []Panel      `json:"panels"`
}

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type templateList struct {
	List []templateVariable `json:"list"`
}

type templateVariable struct {
	Name  string `json:"name"`
	Label string `json:"label"`
	Type  string `json:"type"`
	Query string `json:"query"`
}

// Panel is a graph, a figure or a row's heading.
type Panel struct {
	ID          int          `json:"id"`
	Type        string       `json:"type"` // row, stat or timeseries
	Title       string       `json:"title"`
	Description string       `json:"description,omitempty"`
	GridPos     gridPosition `json:"gridPos"`
	Datasource  *datasource  `json:"datasource,omitempty"`
	Targets     []Target     `json:"targets,omitempty"`
	FieldConfig *fieldConfig `json:"fieldConfig,omitempty"`
}

// Target is a query of a panel.
type Target struct {
	RefID        string      `json:"refId"`
	Expr         string      `json:"expr"`
	LegendFormat string      `json:"legendFormat"`
	Instant      bool        `json:"instant,omitempty"`
	Datasource   *datasource `json:"datasource"`
}

type gridPosition struct {
	X      int `json:"x"`
	Y      int `json:"y"`
	Width  int `json:"w"`
	Height int `json:"h"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type fieldConfig struct {
	Defaults  fieldDefaults `json:"defaults"`
	Overrides []any         `json:"overrides"`
}

type fieldDefaults struct {
	Unit       string      `json:"unit,omitempty"`
	Min        *float64    `json:"min,omitempty"`
	Color      *fieldColor `json:"color,omitempty"`
	Thresholds *thresholds `json:"thresholds,omitempty"`
}

type fieldColor struct {
	Mode string `json:"mode"`
}

type thresholds struct {
	Mode  string          `json:"mode"`
	Steps []thresholdStep `json:"steps"`
}

type thresholdStep struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"` // null in the first step
}

// DashboardJSON is the dashboard as Grafana reads it.
func (in *Inputs) DashboardJSON() (string, error) {
	text, err := json.MarshalIndent(in.Dashboard(), "", " ")
	return string(text), err
}

// Dashboard shows what the release does: streams, capacity, latency, errors, GPUs,
// API and engines, licence, certificate, journals. Its queries look at the
// release's namespace only.
func (in *Inputs) Dashboard() Dashboard {
	uid := "deepgram-" + in.Namespace + "-" + in.Release
	if len(uid) > 40 { // Grafana's limit
		sum := sha256.Sum256([]byte(uid))
		uid = "deepgram-" + hex.EncodeToString(sum[:])[:16]
	}
	l := layout{}
	in.nowPanels(&l)
	in.loadPanels(&l)
	in.servicePanels(&l)
	in.podPanels(&l)
	in.dutyPanels(&l)
	return Dashboard{
		UID: uid, Title: "Deepgram " + in.Namespace + "/" + in.Release,
		Description: "Streams, capacity, latency, errors, GPUs, licence, certificate and journals of one release. Its thresholds are those of the alerts.",
		Tags:        []string{"deepgram"}, SchemaVersion: 39, Refresh: "30s",
		Time: timeRange{From: "now-6h", To: "now"},
		Templating: templateList{List: []templateVariable{{
			Name: "datasource", Label: "Prometheus", Type: "datasource",
			Query: "prometheus",
		}}},
		Panels: l.panels,
	}
}

// layout puts panels side by side into rows of 24 columns.
type layout struct {
	panels       []Panel
	x, y, height int
}

func (l *layout) row(title string) {
	l.y += l.height
	l.x, l.height = 0, 1
	l.panels = append(l.panels, Panel{
		ID: len(l.panels) + 1, Type: "row", Title: title, GridPos: gridPosition{X: 0, Y: l.y, Width: 24, Height: 1},
	})
	l.y, l.height = l.y+1, 0
}

func (l *layout) add(p Panel, width, height int) {
	if l.x+width > 24 {
		l.x, l.y, l.height = 0, l.y+l.height, 0
	}
	p.ID = len(l.panels) + 1
	p.GridPos = gridPosition{X: l.x, Y: l.y, Width: width, Height: height}
	p.Datasource = &datasource{Type: "prometheus", UID: "${datasource}"}
	for i := range p.Targets {
		p.Targets[i].RefID = string(rune('A' + i))
		p.Targets[i].Datasource = p.Datasource
	}
	l.panels = append(l.panels, p)
	l.x, l.height = l.x+width, max(l.height, height)
}

// stat is one figure; above warn it is orange, above bad red. Where less is worse,
// bad is below warn.
func (l *layout) stat(title, unit, query string, warn, bad float64) {
	p := Panel{
		Type: "stat", Title: title, Targets: []Target{{Expr: query, Instant: true}},
		FieldConfig: &fieldConfig{Defaults: fieldDefaults{Unit: unit}, Overrides: []any{}},
	}
	steps := []thresholdStep{{"green", nil}, {"orange", &warn}, {"red", &bad}}
	if bad < warn {
		steps = []thresholdStep{{"red", nil}, {"orange", &bad}, {"green", &warn}}
	}
	if warn != bad {
		p.FieldConfig.Defaults.Color = &fieldColor{Mode: "thresholds"}
		p.FieldConfig.Defaults.Thresholds = &thresholds{Mode: "absolute", Steps: steps}
	}
	l.add(p, 4, 4)
}

// graph is lines over time, each a legend and a query.
func (l *layout) graph(title, description, unit string, lines ...string) {
	p := Panel{
		Type: "timeseries", Title: title, Description: description,
		FieldConfig: &fieldConfig{Defaults: fieldDefaults{Unit: unit, Min: new(float64)}, Overrides: []any{}},
	}
	for i := 0; i+1 < len(lines); i += 2 {
		p.Targets = append(p.Targets, Target{LegendFormat: lines[i], Expr: lines[i+1]})
	}
	l.add(p, 12, 8)
}

func (in *Inputs) nowPanels(l *layout) {
	a := in.Alerts
	l.row("Now")
	l.stat("Streams", "short", fmt.Sprintf("sum(engine_active_requests%s)", in.own(`kind="stream"`)), 0, 0)
	l.stat("Engines ready", "short", in.available(EngineName), 1, 0.5)
	l.stat("API pods ready", "short", in.available(APIName), 1, 0.5)
	l.stat("Load of the engines", "percentunit", in.recorded(LoadSeries), float64(a.CapacityPercent)/100, 0.95)
	if in.CertificateExpires > 0 {
		l.stat("Certificate, days left", "short", in.recorded(CertificateSeries)+" / 86400", float64(a.CertificateDays), 7)
	}
	if in.Billing.BackupAlertHours > 0 {
		l.stat("Oldest last copy of a journal", "s", fmt.Sprintf("max(%s)", in.recorded(JournalAgeSeries)),
			float64(in.Billing.BackupAlertHours)*1800, float64(in.Billing.BackupAlertHours)*3600)
	}
}

func (in *Inputs) loadPanels(l *layout) {
	own := in.own("")
	l.row("Streams and capacity (guide G-A)")
	l.graph("Requests in progress", "By kind, of all engines.", "short",
		"{{kind}}", fmt.Sprintf("sum by (kind) (engine_active_requests%s)", own))
	lines := []string{"{{pod}}", fmt.Sprintf("sum by (pod) (engine_active_requests%s)", in.own(`kind="stream"`))}
	if in.Scaling.Auto && in.Scaling.StreamsPerPod > 0 {
		lines = append(lines, "target of the autoscaler", fmt.Sprintf("vector(%d)", in.Scaling.StreamsPerPod))
	}
	l.graph("Streams of each Engine", "", "short", lines...)
	lines = []string{"in use", in.recorded(LoadSeries)}
	if in.Scaling.Auto {
		lines = append(lines, "of the autoscaler's target", in.recorded(TargetSeries))
	}
	l.graph("Load of the engines", "In use: of engine.activeRequests where it is set, otherwise of the engines' own estimate, which grows with the load until the GPU is full.", "percentunit", lines...)
	l.graph("Capacity", "", "short",
		"estimated streams", fmt.Sprintf("sum(engine_estimated_stream_capacity%s)", own),
		"hard limit of requests (0: none)", fmt.Sprintf("sum(engine_max_active_requests%s)", own))
}

func (in *Inputs) servicePanels(l *layout) {
	own := in.own("")
	quantile := func(q float64, histogram string) string {
		return fmt.Sprintf("histogram_quantile(%g, sum by (le) (rate(%s_bucket%s[5m])))", q, histogram, own)
	}
	l.row("Service")
	l.graph("Latency of streams", "", "s",
		"p50", quantile(0.5, "engine_stream_latency"), "p95", quantile(0.95, "engine_stream_latency"), "p99", in.recorded(LatencySeries))
	l.graph("Other latencies, p95", "", "s",
		"a stream's connection", quantile(0.95, "engine_stream_connection_latency_seconds"),
		"a batch request", quantile(0.95, "engine_batch_response_time_seconds"))
	l.graph("Requests", "Each second, by kind and class of the answer. 429 is among 4xx, 503 among 5xx.", "reqps",
		"{{kind}} {{response_status}}", fmt.Sprintf("sum by (kind, response_status) (rate(engine_requests_total%s[5m]))", own))
	l.graph("Failed and refused", "", "percentunit",
		"failed (5xx)", in.recorded(ErrorSeries), "refused (4xx)", in.recorded(RefusedSeries))
}

func (in *Inputs) podPanels(l *layout) {
	deployment := func(series, name string) string {
		return fmt.Sprintf("max(%s%s)", series, in.own(fmt.Sprintf("deployment=%q", name)))
	}
	ready := func(name string) string { return deployment("kube_deployment_status_replicas_available", name) }
	wanted := func(name string) string { return deployment("kube_deployment_spec_replicas", name) }
	l.row("Pods and GPUs")
	l.graph("Pods", "", "short",
		"engines wanted", wanted(EngineName), "engines ready", ready(EngineName),
		"API pods wanted", wanted(APIName), "API pods ready", ready(APIName))
	l.graph("Engines for each API pod", "One API pod serves up to 16 engines, usually 4.", "short",
		"ready", ready(EngineName)+" / "+ready(APIName), "wanted", fmt.Sprintf("vector(%d)", max(in.Scaling.EngineToAPIRatio, 1)))
	if in.Engine.GPUs > 0 {
		const hint = "Empty where NVIDIA's DCGM exporter is not installed: monitoring.gpuMetrics."
		l.graph("GPU in use", hint, "percent", "{{pod}} {{gpu}}", "DCGM_FI_DEV_GPU_UTIL"+in.own(""))
		l.graph("GPU memory in use", hint, "decmbytes", "{{pod}} {{gpu}}", "DCGM_FI_DEV_FB_USED"+in.own(""))
	}
}

func (in *Inputs) dutyPanels(l *layout) {
	l.row("Licence, certificate, journals")
	var lines []string
	if in.LicenseProxy.Enabled {
		lines = append(lines, "licence proxies ready", fmt.Sprintf("max(kube_deployment_status_replicas_available%s)", in.own(fmt.Sprintf("deployment=%q", LicenseProxyName))))
	}
	if in.Billing.Enabled {
		lines = append(lines, "billing pods ready", fmt.Sprintf("max(kube_statefulset_status_replicas_ready%s)", in.own(fmt.Sprintf("statefulset=%q", BillingName))))
	}
	if len(lines) > 0 {
		l.graph("Who answers for the licence", "A licence proxy is ready while it is connected to its upstream, or trusted without it for a time.", "short", lines...)
	}
	if in.CertificateExpires > 0 {
		l.graph("Days of the certificate", "", "short", "{{host}}", in.recorded(CertificateSeries)+" / 86400")
	}
	if in.Billing.BackupAlertHours > 0 {
		l.graph("Age of the last good copy of a journal", "", "s",
			"{{pod}}", in.recorded(JournalAgeSeries), "most that is allowed", fmt.Sprintf("vector(%d)", in.Billing.BackupAlertHours*3600))
	}
}
