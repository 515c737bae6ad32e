package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

func TestMonitoringAndScaling(t *testing.T) {
	t.Parallel()
	const off = "grafana.enabled=false"
	for _, c := range []struct {
		changes []string
		want    []string
	}{
		{[]string{"monitoring.mode=google", off}, []string{
			"deepgram-stack:scaling.auto: true needs scaling.keda.enabled with monitoring.mode google: the chart's autoscalers cannot ask Google Managed Prometheus; allowed: false; install KEDA and set scaling.keda.enabled to true",
		}},
		{[]string{"monitoring.mode=google", off, "scaling.auto=false"}, nil},
		{[]string{"monitoring.mode=google", off, "scaling.keda.enabled=true"}, nil},
		{[]string{"monitoring={mode: google, rules: operator}", off, "scaling.keda.enabled=true"}, []string{
			`deepgram-stack:monitoring.rules: "operator" does not go with monitoring.mode google, which reads no PrometheusRule; allowed: google, none; remove it`,
		}},
		{[]string{"monitoring={mode: google, namespaces: [other]}", off, "scaling.keda.enabled=true"}, []string{
			"deepgram-stack:monitoring.namespaces: needs monitoring.mode bundled; remove it, or set it where the Prometheus is",
		}},
		{[]string{"monitoring.mode=existing", off, "scaling.keda.enabled=true"}, []string{
			"deepgram-stack:scaling.keda.prometheusUrl: is missing: with monitoring.mode existing nobody else knows the Prometheus that KEDA is to ask; allowed: an address such as http://prometheus.monitoring.svc:9090; set it with pulumi config set --path 'deepgram-stack:scaling.keda.prometheusUrl' <value>",
		}},
		{[]string{"monitoring.mode=existing", off, "scaling.keda={enabled: true, prometheusUrl: 'http://prometheus.monitoring.svc:9090'}"}, nil},
		{[]string{"scaling={auto: false, keda: {enabled: true}}"}, []string{
			"deepgram-stack:scaling.keda.enabled: true needs scaling.auto; allowed: false; set scaling.auto to true",
		}},
		{[]string{"scaling.keda.prometheusUrl=http://prometheus:9090"}, []string{
			`deepgram-stack:scaling.keda.prometheusUrl: "http://prometheus:9090" needs scaling.keda.enabled; set it to true, or remove the address`,
		}},
		{[]string{"cluster.existing=shared", "monitoring.gpuMetrics=true"}, []string{
			"deepgram-stack:monitoring.gpuMetrics: true is for a cluster that is made here; allowed: false; install the exporter with gcloud container clusters update --monitoring=SYSTEM,DCGM --enable-managed-prometheus",
		}},
		{[]string{"monitoring.alerts={errorPercent: 101}"}, []string{
			"deepgram-stack:monitoring.alerts.errorPercent: 101 is out of range; allowed: 0 to 100",
		}},
	} {
		_, err := config.FromTree("test", changed(t, c.changes...))
		assert.Equal(t, c.want, lines(err), "%v", c.changes)
	}
	cfg, err := config.FromTree("test", changed(t, "monitoring.mode=google", off, "scaling.keda.enabled=true"))
	require.NoError(t, err)
	assert.Equal(t, "google", cfg.Monitoring.Rules)
}

func TestBackups(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		changes []string
		want    string
	}{
		{[]string{"backup={mode: gke, retentionDays: 31}"}, ""},
		{[]string{"backup={mode: gke, retentionDays: 30}"}, "deepgram-stack:backup.retentionDays: 30 is less than billing.deliveryDays 31: a backup would be deleted before its journal is delivered to Deepgram; allowed: 31 or more; or deliver more often and lower billing.deliveryDays"},
		{[]string{"backup={mode: velero, retentionDays: 6}", "billing.deliveryDays=7"}, "deepgram-stack:backup.retentionDays: 6 is less than billing.deliveryDays 7"},
		{[]string{"backup={mode: none, retentionDays: 1}"}, ""},
		{[]string{"billing.backup={retentionDays: 30, holdUntilDelivered: false}"}, "deepgram-stack:billing.backup.retentionDays: 30 is less than billing.deliveryDays 31"},
		{[]string{"billing.backup={retentionDays: 30}"}, ""}, // held until it is delivered
		{[]string{"backup={mode: gke}", "billing.backup.enabled=false"}, `deepgram-stack:backup.mode: "gke" cannot back up this volume of the journals; set billing.backup.enabled to true, which copies the journals`},
		{[]string{"backup={mode: gke}", "billing.backup.enabled=false", "billing.storage=block"}, ""},
		{[]string{"backup={mode: velero}", "billing.backup.enabled=false"}, ""},
		{[]string{"backup={mode: velero}", "billing.backup.enabled=false", "billing.existingClaim=journals"}, `deepgram-stack:backup.mode: "velero" cannot back up`},
		{[]string{"backup={mode: gke, retentionDays: 40, lockDays: 41}"}, "deepgram-stack:backup.lockDays: 41 is more than backup.retentionDays 40; allowed: 0 to 40"},
		{[]string{"backup={mode: velero, lockDays: 1}"}, "deepgram-stack:backup.lockDays: 1 is for backup.mode gke; allowed: 0; remove it"},
		{[]string{"backup={mode: gke, storageLocation: s3}"}, `deepgram-stack:backup.storageLocation: "s3" is for backup.mode velero; remove it`},
		{[]string{"backup={mode: restic}"}, `deepgram-stack:backup.mode: "restic" is not known; allowed: none, gke, velero`},
	} {
		_, err := airgapped(t, c.changes...)
		if c.want == "" {
			assert.NoError(t, err, "%v", c.changes)
			continue
		}
		assert.ErrorContains(t, err, c.want, "%v", c.changes)
	}
	_, err := config.FromTree("test", changed(t, "backup={mode: gke, retentionDays: 1}"))
	assert.NoError(t, err, "without billing there is no journal")
}

func TestBackupHasTheJournals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		billing     config.Billing
		gke, velero bool
	}{
		{config.Billing{Enabled: true, Storage: "block"}, true, true},
		{config.Billing{Enabled: true, Storage: "shared"}, false, true},
		{config.Billing{Enabled: true, Storage: "block", ExistingClaim: "journals"}, false, false},
		{config.Billing{Enabled: true, Storage: "shared", ShareModels: true}, false, false},
		{config.Billing{Storage: "block"}, false, false},
	} {
		assert.Equal(t, c.gke, (&config.Backup{Mode: "gke"}).Journals(c.billing), "%+v", c.billing)
		assert.Equal(t, c.velero, (&config.Backup{Mode: "velero"}).Journals(c.billing), "%+v", c.billing)
	}
}
