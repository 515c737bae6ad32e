package chart

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
)

// engineMetrics is what an Engine shows on :9991/metrics after n scrapes, with the
// names and labels that Deepgram documents.
func engineMetrics(n int) string {
	var b strings.Builder
	gauge := func(name string, value float64) { fmt.Fprintf(&b, "# TYPE %[1]s gauge\n%[1]s %[2]g\n", name, value) }
	b.WriteString("# TYPE engine_active_requests gauge\n")
	for kind, active := range map[string]int{"batch": 2, "stream": 12, "tts": 0} {
		fmt.Fprintf(&b, "engine_active_requests{kind=%q} %d\n", kind, active)
	}
	gauge("engine_max_active_requests", 40)
	gauge("engine_estimated_stream_capacity", 32)
	b.WriteString("# TYPE engine_requests_total counter\n")
	for status, each := range map[string]int{"1xx": 1, "2xx": 100, "3xx": 0, "4xx": 3, "5xx": 1} {
		for _, kind := range []string{"batch", "stream"} {
			fmt.Fprintf(&b, "engine_requests_total{kind=%q,response_status=%q} %d\n", kind, status, each*n)
		}
	}
	for _, name := range []string{"engine_batch_response_time_seconds", "engine_stream_latency", "engine_stream_connection_latency_seconds"} {
		fmt.Fprintf(&b, "# TYPE %s histogram\n", name)
		for _, le := range []string{"0.1", "0.5", "1", "+Inf"} {
			fmt.Fprintf(&b, "%s_bucket{le=%q} %d\n", name, le, 100*n)
		}
		fmt.Fprintf(&b, "%[1]s_sum %[2]d\n%[1]s_count %[3]d\n", name, 5*n, 100*n)
	}
	return b.String()
}

// clusterMetrics is what kube-state-metrics and NVIDIA's exporter show of namespace
// speech.
func clusterMetrics() string {
	var b strings.Builder
	for name, replicas := range map[string]int{EngineName: 4, APIName: 2, LicenseProxyName: 2} {
		fmt.Fprintf(&b, "kube_deployment_spec_replicas{namespace=\"speech\",deployment=%q} %d\n", name, replicas)
		fmt.Fprintf(&b, "kube_deployment_status_replicas_available{namespace=\"speech\",deployment=%q} %d\n", name, replicas)
	}
	fmt.Fprintf(&b, "kube_statefulset_status_replicas_ready{namespace=\"speech\",statefulset=%q} 2\n", BillingName)
	fmt.Fprintf(&b, "kube_lease_renew_time{lease=%q} %d\n", JournalLease("speech", "deepgram-billing-0"), time.Now().Unix())
	b.WriteString(`DCGM_FI_DEV_GPU_UTIL{gpu="0",namespace="speech",pod="deepgram-engine-a"} 63
DCGM_FI_DEV_FB_USED{gpu="0",namespace="speech",pod="deepgram-engine-a"} 12345
`)
	return b.String()
}

// prometheus starts a real Prometheus that has the rules of a release and scrapes
// the stand-ins, and gives its address.
func prometheus(t *testing.T, in Inputs) string {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		enginetest.Missing(t, "prometheus (Debian's package)")
	}
	scrapes := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/engine", func(w http.ResponseWriter, _ *http.Request) {
		scrapes++ // one Prometheus scrapes one by one
		fmt.Fprint(w, engineMetrics(scrapes))
	})
	mux.HandleFunc("/cluster", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, clusterMetrics()) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	dir := t.TempDir()
	write := func(name string, content any) {
		text, err := yaml.Marshal(content)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	target := func(job, path string, labels map[string]any) any {
		return map[string]any{
			"job_name": job, "metrics_path": path, "honor_labels": true,
			"static_configs": []any{map[string]any{"targets": []any{strings.TrimPrefix(server.URL, "http://")}, "labels": labels}},
		}
	}
	write("rules.yml", map[string]any{"groups": in.AlertGroups()})
	write("prometheus.yml", map[string]any{
		"global":     map[string]any{"scrape_interval": "1s", "evaluation_interval": "1s"},
		"rule_files": []any{"rules.yml"},
		"scrape_configs": []any{
			// What the chart's scrape job adds to an Engine's series.
			target("dg_engine_metrics", "/engine", map[string]any{"namespace": in.Namespace, "pod": "deepgram-engine-a", "service": "deepgram-engine-metrics"}),
			target("cluster", "/cluster", nil),
		},
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s", text)
		}
	})
	return "http://" + address
}

// samples asks a query; ok tells that Prometheus understood it.
func samples(t *testing.T, address, query string) (values []string, problem string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/api/v1/query?query="+url.QueryEscape(query), nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err.Error()
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err.Error()
	}
	for _, r := range answer.Data.Result {
		values = append(values, fmt.Sprint(r.Value[1]))
	}
	return values, answer.Error
}

// TestDashboardQueries asks every query of the dashboard, for the two ways to
// measure the load.
func TestDashboardQueries(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Inputs){
		"streams for each Engine": func(in *Inputs) { in.CertificateExpires = time.Now().Add(1000 * time.Hour).Unix() },
		"a share of the limit": func(in *Inputs) {
			in.CertificateExpires = time.Now().Add(1000 * time.Hour).Unix()
			in.Scaling.StreamsPerPod, in.Scaling.CapacityRatio, in.Engine.ActiveRequests = 0, 0.8, 40
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := airgapped()
			change(&in)
			address := prometheus(t, in)
			text, err := in.DashboardJSON()
			require.NoError(t, err)
			var d Dashboard
			require.NoError(t, json.Unmarshal([]byte(text), &d))
			queries := 0
			for _, panel := range d.Panels {
				for _, target := range panel.Targets {
					queries++
					var values []string
					var problem string
					assert.Eventually(t, func() bool {
						values, problem = samples(t, address, target.Expr)
						// A rate needs two scrapes, and until then it is missing or NaN.
						return len(values) > 0 && !strings.Contains(strings.Join(values, " "), "NaN")
					}, 2*time.Minute, 200*time.Millisecond, "%s: %s: %v %s", panel.Title, target.Expr, values, problem)
				}
			}
			assert.Greater(t, queries, 30)

			for query, want := range map[string]string{
				"round(" + in.recorded(LoadSeries) + " * 1000)":       map[bool]string{true: "350", false: "375"}[in.Engine.ActiveRequests > 0],
				"round(" + in.recorded(RefusedSeries) + " * 1000)":    "29",
				"round(" + in.recorded(CertificateSeries) + " / 1e5)": "36",
			} {
				values, problem := samples(t, address, query)
				assert.Equal(t, []string{want}, values, "%s: %s", query, problem)
			}
		})
	}
}

// TestDashboardIsWhole looks at what Grafana would stumble over.
func TestDashboardIsWhole(t *testing.T) {
	t.Parallel()
	in := airgapped()
	d := in.Dashboard()
	ids, taken := map[int]bool{}, map[[2]int]string{}
	titles := ""
	for _, p := range d.Panels {
		assert.False(t, ids[p.ID], "panel %d is there twice", p.ID)
		ids[p.ID] = true
		titles += p.Title + "\n"
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.Width, 24, p.Title)
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.Width; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.Height; y++ {
				assert.Empty(t, taken[[2]int{x, y}], "%s lies on another panel", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		assert.Equal(t, p.Type == "row", len(p.Targets) == 0, p.Title)
		for _, target := range p.Targets {
			if !strings.HasPrefix(target.Expr, "vector(") {
				assert.Contains(t, target.Expr, `namespace="speech"`, "%s: other releases are none of its business", p.Title)
			}
		}
	}
	for _, subject := range []string{"Streams", "Capacity", "Latency", "Failed", "GPU", "Engines for each API", "Certificate", "journal"} {
		assert.Contains(t, titles, subject)
	}
	assert.LessOrEqual(t, len(d.UID), 40)
	other := in
	other.Namespace, other.Release = strings.Repeat("n", 63), strings.Repeat("r", 53)
	assert.LessOrEqual(t, len(other.Dashboard().UID), 40)
	assert.NotEqual(t, d.UID, other.Dashboard().UID, "two releases have two dashboards in one Grafana")

	in.Billing, in.CertificateExpires, in.Engine.GPUs = Billing{}, 0, 0
	text, err := in.DashboardJSON()
	require.NoError(t, err)
	for _, absent := range []string{JournalAgeSeries, CertificateSeries, "DCGM_", BillingName} {
		assert.NotContains(t, text, absent)
	}
}

// TestMetricsAreKnown compares the names of all series in rules and dashboard with
// those that somebody shows.
func TestMetricsAreKnown(t *testing.T) {
	t.Parallel()
	known := map[string]bool{
		// kube-state-metrics, beyond what clusterMetrics has
		"kube_pod_info": true, "kube_pod_status_phase": true, "kube_pod_container_resource_requests": true,
		"kube_job_status_start_time": true, "kube_job_failed": true, "kube_cronjob_info": true, "kube_cronjob_created": true,
		"kube_cronjob_status_last_successful_time": true, "kube_horizontalpodautoscaler_status_condition": true,
	}
	name := regexp.MustCompile(`\b(engine|kube|DCGM)_[A-Za-z_]+|\bdeepgram:[a-z_:0-9]+`)
	for _, n := range name.FindAllString(engineMetrics(1)+clusterMetrics(), -1) {
		known[n] = true
	}
	in := airgapped()
	for _, rule := range rulesOf(in, "record") {
		known[rule["record"].(string)] = true
	}
	var queries []string
	for _, key := range []string{"record", "alert"} {
		for _, rule := range rulesOf(in, key) {
			queries = append(queries, rule["expr"].(string))
		}
	}
	for _, p := range in.Dashboard().Panels {
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	quoted := regexp.MustCompile(`"[^"]*"`)
	for _, query := range queries {
		for _, n := range name.FindAllString(quoted.ReplaceAllString(query, ""), -1) {
			assert.True(t, known[n], "%s: nobody shows it: %s", n, query)
		}
	}
}
