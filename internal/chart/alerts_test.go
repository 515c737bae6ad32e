package chart

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
)

// airgapped is an environment with every alert: billing, whose journals are copied
// daily, a licence proxy, and a certificate that ends on the hundredth day of time.
func airgapped() Inputs {
	in := prodOmi()
	in.Namespace, in.Host = "speech", "dg.omi.me"
	in.Alerts = Alerts{
		StreamLatencyMilliseconds: 1500, ErrorPercent: 5, RefusedPercent: 5, CapacityPercent: 70, CertificateDays: 30,
		Runbooks: "https://example.com/alerts.md",
	}
	in.CertificateExpires = 100 * 24 * 3600
	in.Billing = Billing{Enabled: true, Replicas: 2, JournalClaim: "dg-billing-journal", BackupAlertHours: 30}
	return in
}

// rulesOf are the rules of all groups that have a key: alert or record.
func rulesOf(in Inputs, key string) (out []map[string]any) {
	for _, g := range in.AlertGroups() {
		for _, r := range g.(map[string]any)["rules"].([]any) {
			if rule := r.(map[string]any); rule[key] != nil {
				out = append(out, rule)
			}
		}
	}
	return out
}

func alertNames(in Inputs) (names []string) {
	for _, rule := range rulesOf(in, "alert") {
		names = append(names, rule["alert"].(string))
	}
	return names
}

func TestBundledPrometheusHasTheAlerts(t *testing.T) {
	t.Parallel()
	in := airgapped()
	groups := at(t, values(t, in), "kube-prometheus-stack", "additionalPrometheusRulesMap", "deepgram", "groups")
	assert.Equal(t, in.AlertGroups(), groups)
}

func TestAlertsFollowTheEnvironment(t *testing.T) {
	t.Parallel()
	all := alertNames(airgapped())
	assert.Len(t, all, 21)
	for name, c := range map[string]struct {
		change  func(*Inputs)
		without []string
	}{
		"no copies, so none can be old": {func(in *Inputs) { in.Billing.BackupAlertHours = 0 }, []string{
			"DeepgramJournalCopyOld", "DeepgramJournalNeverCopied", "DeepgramJournalBackupFailed", "DeepgramJournalBackupUnwatched",
		}},
		"a certificate that Google keeps": {func(in *Inputs) { in.CertificateExpires = 0 }, []string{"DeepgramCertificateEnds", "DeepgramCertificateEndsSoon"}},
		"no licence proxy":                {func(in *Inputs) { in.LicenseProxy.Enabled = false }, []string{"DeepgramLicenseProxyDown", "DeepgramLicenseProxyMissing"}},
		"engines that are to have no GPU": {func(in *Inputs) { in.Engine.GPUs = 0 }, []string{"DeepgramEngineWithoutGPU", "DeepgramGPUIdle"}},
		"a fixed number of engines":       {func(in *Inputs) { in.Scaling.Auto = false }, []string{"DeepgramEnginesAboveTarget", "DeepgramAutoscalerBlind"}},
		"thresholds of 0": {func(in *Inputs) { in.Alerts = Alerts{} }, []string{
			"DeepgramStreamLatencyHigh", "DeepgramRequestsFailing", "DeepgramRequestsRefused", "DeepgramCapacityShort",
			"DeepgramCapacityExhausted", "DeepgramCertificateEnds", "DeepgramCertificateEndsSoon",
		}},
	} {
		in := airgapped()
		c.change(&in)
		var gone []string
		for _, one := range all {
			if !strings.Contains(" "+strings.Join(alertNames(in), " ")+" ", " "+one+" ") {
				gone = append(gone, one)
			}
		}
		assert.ElementsMatch(t, c.without, gone, name)
	}
}

// TestLoadIsMeasuredByTheTarget compares what the alert watches with what the
// autoscaler does.
func TestLoadIsMeasuredByTheTarget(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scaling      Scaling
		limit        int
		load, target string
	}{
		"batch requests": {Scaling{BatchRequestsPerPod: 8}, 0, "engine_estimated_stream_capacity", `kind="batch"}) / 8`},
		"text to speech": {Scaling{TTSRequestsPerPod: 4}, 0, "engine_estimated_stream_capacity", `kind="tts"}) / 4`},
		"a share of the hard limit": {
			Scaling{CapacityRatio: 0.8},
			40, "engine_max_active_requests",
			`sum(engine_max_active_requests{namespace="speech"}) / 0.8`,
		},
	} {
		in := airgapped()
		in.Scaling, in.Engine.ActiveRequests = c.scaling, c.limit
		in.Scaling.Auto = true
		expressions := map[string]string{}
		for _, rule := range rulesOf(in, "record") {
			expressions[rule["record"].(string)] = rule["expr"].(string)
		}
		assert.Contains(t, expressions[LoadSeries], c.load, name)
		assert.Contains(t, expressions[TargetSeries], c.target, name)
	}
}

// TestEveryAlertHasARunbook looks for its heading in the document.
func TestEveryAlertHasARunbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(enginetest.Root(), "docs", "alerts.md"))
	require.NoError(t, err)
	var headings []string
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "### "); ok {
			headings = append(headings, strings.TrimSpace(name))
		}
	}
	in := airgapped()
	assert.ElementsMatch(t, alertNames(in), headings, "docs/alerts.md has a heading for each alert, and no other")
	for _, rule := range rulesOf(in, "alert") {
		annotations := rule["annotations"].(map[string]any)
		assert.Equal(t, "https://example.com/alerts.md#"+strings.ToLower(rule["alert"].(string)), annotations["runbook_url"])
		assert.NotEmpty(t, annotations["description"], rule["alert"])
		assert.Contains(t, []any{"warning", "critical"}, rule["labels"].(map[string]any)["severity"], rule["alert"])
		assert.Contains(t, rule["expr"], `namespace="speech"`, "%s: other releases are none of its business", rule["alert"])
	}
}

// brief leaves of the annotations the summary, in which values are.
func brief(in Inputs) []any {
	var groups []any
	for _, g := range in.AlertGroups() {
		group := maps.Clone(g.(map[string]any))
		var rules []any
		for _, r := range group["rules"].([]any) {
			rule := maps.Clone(r.(map[string]any))
			if a, ok := rule["annotations"].(map[string]any); ok {
				rule["annotations"] = map[string]any{"summary": a["summary"]}
			}
			rules = append(rules, rule)
		}
		group["rules"] = rules
		groups = append(groups, group)
	}
	return groups
}

// promtest is what matters here of a file for promtool test rules.
type promtest struct {
	Tests []struct {
		Cases []struct {
			Alert string `json:"alertname"`
			Fires []any  `json:"exp_alerts"`
		} `json:"alert_rule_test"`
	} `json:"tests"`
}

// TestAlertRules gives the rules to Prometheus's own tester, with the series that
// engines, kube-state-metrics and the exporter of the GPUs show. Each alert is
// seen to keep still before there is a reason, to fire, and to end.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("promtool")
	if err != nil {
		enginetest.Missing(t, "promtool (Debian's package prometheus)")
	}
	dir := t.TempDir()
	in, renewed := airgapped(), airgapped()
	renewed.CertificateExpires = (95 + 365) * 24 * 3600
	files := map[string]any{}
	for i, group := range in.AlertGroups() {
		name := group.(map[string]any)["name"].(string)
		files[name] = brief(in)[i]
		if name == "deepgram-journals" {
			files[name] = group
		}
	}
	for i, group := range renewed.AlertGroups() {
		if group.(map[string]any)["name"] == "deepgram-certificate" {
			files["renewed"] = renewed.AlertGroups()[i]
		}
	}
	for name, group := range files {
		text, err := yaml.Marshal(map[string]any{"groups": []any{group}})
		require.NoError(t, err)
		file := filepath.Join(dir, name+".yaml")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		out, err := exec.CommandContext(t.Context(), program, "check", "rules", file).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}

	tests, err := filepath.Glob("testdata/*.promtest.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, tests)
	seen := map[string]string{} // the order in which an alert was still (-) and fired (!)
	for _, file := range tests {
		cases, err := os.ReadFile(file)
		require.NoError(t, err)
		copied := filepath.Join(dir, filepath.Base(file))
		require.NoError(t, os.WriteFile(copied, cases, 0o600))
		out, err := exec.CommandContext(t.Context(), program, "test", "rules", copied).CombinedOutput()
		assert.NoError(t, err, "%s: %s", file, out)
		var parsed promtest
		require.NoError(t, yaml.Unmarshal(cases, &parsed))
		for _, test := range parsed.Tests {
			for _, c := range test.Cases {
				mark := "-"
				if len(c.Fires) > 0 {
					mark = "!"
				}
				seen[c.Alert] += mark
			}
		}
	}
	for _, name := range alertNames(in) {
		assert.Contains(t, seen[name], "-!-", "%s: the tests show it still, firing and ended", name)
	}
}
