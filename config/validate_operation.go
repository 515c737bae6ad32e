package config

import "fmt"

// monitoring checks who measures, and who takes the rules.
func (v *validator) monitoring() {
	m := v.c.Monitoring
	if len(m.Namespaces) > 0 && m.Mode != "bundled" {
		v.problem("monitoring.namespaces", "", "needs monitoring.mode bundled", "", "remove it, or set it where the Prometheus is")
	}
	switch {
	case m.Mode == "bundled" && m.Rules != "operator":
		v.problem("monitoring.rules", quote(m.Rules), "needs monitoring.mode existing: the bundled Prometheus has an operator", "operator", "remove it")
	case m.Mode == "google" && m.Rules == "operator":
		v.problem("monitoring.rules", quote(m.Rules), "does not go with monitoring.mode google, which reads no PrometheusRule", "google, none", "remove it")
	}
	if len(m.RuleLabels) > 0 && (m.Mode != "existing" || m.Rules != "operator") {
		v.problem("monitoring.ruleLabels", "", "needs monitoring.mode existing and monitoring.rules operator", "", "remove it")
	}
	if m.GPUMetrics && v.c.Cluster.Existing != "" {
		v.problem("monitoring.gpuMetrics", "true", "is for a cluster that is made here", "false",
			"install the exporter with gcloud container clusters update --monitoring=SYSTEM,DCGM --enable-managed-prometheus")
	}
}

// keda checks who scales (guide G-A).
func (v *validator) keda() {
	s, m := v.c.Scaling, v.c.Monitoring
	switch {
	case !s.KEDA.Enabled:
		if s.KEDA.PrometheusURL != "" {
			v.problem("scaling.keda.prometheusUrl", quote(s.KEDA.PrometheusURL), "needs scaling.keda.enabled", "", "set it to true, or remove the address")
		}
		if m.Mode == "google" && s.Auto {
			v.problem("scaling.auto", "true", "needs scaling.keda.enabled with monitoring.mode google: the chart's autoscalers cannot ask Google Managed Prometheus", "false",
				"install KEDA and set scaling.keda.enabled to true")
		}
	case !s.Auto:
		v.problem("scaling.keda.enabled", "true", "needs scaling.auto", "false", "set scaling.auto to true")
	case m.Mode == "existing" && s.KEDA.PrometheusURL == "":
		v.problem("scaling.keda.prometheusUrl", "", "is missing: with monitoring.mode existing nobody else knows the Prometheus that KEDA is to ask",
			"an address such as http://prometheus.monitoring.svc:9090", setCommand(Namespace+":scaling.keda.prometheusUrl"))
	}
}

// operation checks the backups of the cluster (guide G-M.backup), and that copies
// of journals outlive their delivery (guide A-BEST).
func (v *validator) operation() {
	v.monitoring()
	b, k := v.c.Billing, v.c.Backup
	if k.Mode != "gke" && k.LockDays > 0 {
		v.problem("backup.lockDays", fmt.Sprint(k.LockDays), "is for backup.mode gke", "0", "remove it")
	}
	if k.Mode != "velero" && k.StorageLocation != "" {
		v.problem("backup.storageLocation", quote(k.StorageLocation), "is for backup.mode velero", "", "remove it")
	}
	if k.Mode == "gke" && k.LockDays > k.RetentionDays {
		v.problem("backup.lockDays", fmt.Sprint(k.LockDays), fmt.Sprintf("is more than backup.retentionDays %d", k.RetentionDays), fmt.Sprintf("0 to %d", min(k.RetentionDays, 90)), "")
	}
	if !b.Enabled {
		return
	}
	tooShort := func(path string, days int) {
		if days < b.DeliveryDays && !v.has(path) && !v.has("billing.deliveryDays") {
			v.problem(path, fmt.Sprint(days), fmt.Sprintf("is less than billing.deliveryDays %d: a backup would be deleted before its journal is delivered to Deepgram", b.DeliveryDays),
				fmt.Sprintf("%d or more", b.DeliveryDays), "or deliver more often and lower billing.deliveryDays")
		}
	}
	if k.Mode != "none" {
		tooShort("backup.retentionDays", k.RetentionDays)
	}
	if b.Backup.Enabled && b.Backup.Target == "gcs" && !b.Backup.ExistingBucket && !b.Backup.HoldUntilDelivered {
		tooShort("billing.backup.retentionDays", b.Backup.RetentionDays)
	}
	if k.Mode != "none" && !k.Journals(b) && !b.Backup.Enabled {
		v.problem("backup.mode", quote(k.Mode), "cannot back up this volume of the journals", "", "set billing.backup.enabled to true, which copies the journals")
	}
}

// Journals tells whether the backup has the journals' volume: Backup for GKE knows
// persistent disks only, and Velero is told the class of the volume that is made
// here. The other journals are copied by billing.backup alone.
func (k *Backup) Journals(b Billing) bool {
	if !b.Enabled || b.ShareModels || b.ExistingClaim != "" {
		return false
	}
	return k.Mode == "velero" || k.Mode == "gke" && b.Storage == "block"
}
