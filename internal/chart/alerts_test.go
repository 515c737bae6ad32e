package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
)

// airgapped is an environment with billing, whose journals are copied daily.
func airgapped() Inputs {
	in := prodOmi()
	in.Namespace = "speech"
	in.Billing = Billing{Enabled: true, Replicas: 2, JournalClaim: "dg-billing-journal", BackupAlertHours: 30}
	return in
}

func TestBundledPrometheusHasTheAlerts(t *testing.T) {
	t.Parallel()
	in := airgapped()
	groups := at(t, values(t, in), "kube-prometheus-stack", "additionalPrometheusRulesMap", "deepgram", "groups")
	assert.Equal(t, in.AlertGroups(), groups)

	in.Billing.BackupAlertHours = 0
	stack := at(t, values(t, in), "kube-prometheus-stack")
	assert.NotContains(t, stack, "additionalPrometheusRulesMap", "nothing is copied, so nothing can be old")
}

// TestAlertRules gives the rules to Prometheus's own tester, with the series that
// kube-state-metrics shows.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("promtool")
	if err != nil {
		enginetest.Missing(t, "promtool (Debian's package prometheus)")
	}
	in := airgapped()
	text, err := yaml.Marshal(map[string]any{"groups": in.AlertGroups()})
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), text, 0o600))
	out, err := exec.CommandContext(t.Context(), program, "check", "rules", filepath.Join(dir, "rules.yaml")).CombinedOutput()
	require.NoError(t, err, "%s", out)

	files, err := filepath.Glob("testdata/*.promtest.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		cases, err := os.ReadFile(file)
		require.NoError(t, err)
		copied := filepath.Join(dir, filepath.Base(file))
		require.NoError(t, os.WriteFile(copied, cases, 0o600))
		out, err = exec.CommandContext(t.Context(), program, "test", "rules", copied).CombinedOutput()
		assert.NoError(t, err, "%s: %s", file, out)
	}
}
