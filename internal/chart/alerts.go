package chart

import (
	"fmt"
	"slices"
	"strings"
)

// AlertGroups are the alert rules of a release, as Prometheus reads them, in
// groups with names of their own. Every expression looks at the release's
// namespace only: one Prometheus may watch several releases.
func (in *Inputs) AlertGroups() []any {
	groups := []any{in.serviceAlerts(), in.capacityAlerts(), in.engineAlerts()}
	if group := in.licenseAlerts(); group != nil {
		groups = append(groups, group)
	}
	if in.CertificateExpires > 0 {
		groups = append(groups, in.certificateAlerts())
	}
	if in.Billing.Enabled && in.Billing.BackupAlertHours > 0 {
		groups = append(groups, in.journalAlerts())
	}
	if in.Alerts.Runbooks == "" {
		return groups
	}
	for _, g := range groups {
		for _, r := range g.(map[string]any)["rules"].([]any) {
			rule := r.(map[string]any)
			if name, ok := rule["alert"].(string); ok {
				rule["annotations"].(map[string]any)["runbook_url"] = in.Alerts.Runbooks + "#" + strings.ToLower(name)
			}
		}
	}
	return groups
}

// JournalLeasePrefix begins the names of the Leases in which a backup writes when
// the last good copy of a replica's journal was taken; JournalLease is the whole
// name.
const JournalLeasePrefix = "deepgram-journal-copy"

// JournalLease is the Lease of a replica. The namespace is part of the name
// because kube-state-metrics shows the name alone.
func JournalLease(namespace, pod string) string {
	return JournalLeasePrefix + "." + namespace + "." + pod
}

// BackupJobName is the name of the CronJob that copies the journals.
const BackupJobName = "billing-journal-backup"

// JournalAgeSeries is the recorded age of the last good copy in seconds, with a
// label pod for the replica.
const JournalAgeSeries = "deepgram:journal_copy_age_seconds"

// journalAlerts tell of journals whose last good copy is old (guide A-CRON).
// There is no push gateway: the backup keeps a Lease for each replica, whose time
// kube-state-metrics shows.
func (in *Inputs) journalAlerts() any {
	hours := in.Billing.BackupAlertHours
	ns := in.Namespace
	age := fmt.Sprintf("%s{namespace=%q}", JournalAgeSeries, ns)
	job := fmt.Sprintf("namespace=%q, cronjob=%q", ns, BackupJobName)
	run := fmt.Sprintf("namespace=%q, job_name=~%q", ns, BackupJobName+"-.+")
	return map[string]any{
		"name": "deepgram-journals",
		"rules": []any{
			in.record(JournalAgeSeries,
				fmt.Sprintf(`time() - max by (pod) (label_replace(kube_lease_renew_time{lease=~"%s[.]%s[.].+"}, "pod", "$1", "lease", ".*[.](.+)"))`,
					JournalLeasePrefix, ns)),
			alert("DeepgramJournalCopyOld", "critical", "10m",
				fmt.Sprintf("%s > %d", age, hours*3600),
				fmt.Sprintf("The last good copy of the journal of {{ $labels.pod }} is {{ $value | humanizeDuration }} old; allowed are %d h.", hours),
				fmt.Sprintf("Look at the newest Job of CronJob %s in namespace %s and its log, then run deepgram-ops journal check. Losing a journal can cost the service.", BackupJobName, ns)),
			alert("DeepgramJournalNeverCopied", "critical", fmt.Sprintf("%dh", hours),
				fmt.Sprintf(`max by (namespace, pod) (kube_pod_info{namespace=%q, created_by_kind="StatefulSet", created_by_name=%q}) unless on (namespace, pod) %s`, ns, BillingName, age),
				fmt.Sprintf("No good copy of the journal of {{ $labels.pod }} is known after %d h.", hours),
				fmt.Sprintf("Run deepgram-ops journal check. If there are copies, kube-state-metrics does not show Leases: add the collector leases. Namespace %s.", ns)),
			alert("DeepgramJournalBackupFailed", "warning", "5m",
				fmt.Sprintf(`max by (namespace) (kube_job_status_start_time{%[1]s} and on (namespace, job_name) (kube_job_failed{%[1]s, condition="true"} == 1)) > `+
					`(max by (namespace) (kube_cronjob_status_last_successful_time{%[2]s}) or max by (namespace) (kube_cronjob_created{%[2]s}))`, run, job),
				"The newest backup of the journals failed.",
				fmt.Sprintf("kubectl -n %[1]s get jobs, and the log of the failed one; then kubectl -n %[1]s create job --from=cronjob/%[2]s journal-again.", ns, BackupJobName)),
			alert("DeepgramJournalBackupUnwatched", "warning", "1h",
				fmt.Sprintf("absent(kube_cronjob_info{%s})", job),
				fmt.Sprintf("CronJob %s is not there, or nothing tells of it.", BackupJobName),
				fmt.Sprintf("If kubectl -n %s get cronjobs shows it, let kube-state-metrics show cronjobs, jobs, leases and pods to this Prometheus.", ns)),
		},
	}
}

func alert(name, severity, lasting, expression, summary, description string) any {
	return map[string]any{
		"alert": name, "expr": expression, "for": lasting,
		"labels":      map[string]any{"severity": severity},
		"annotations": map[string]any{"summary": summary, "description": description},
	}
}

// record is a recording rule. The label tells releases apart, where their rules
// are in one Prometheus.
func (in *Inputs) record(series, expression string) any {
	return map[string]any{
		"record": series, "expr": expression,
		"labels": map[string]any{"namespace": in.Namespace},
	}
}

// bundledAlerts are the alert rules for the Prometheus that comes with the
// release: its chart makes an object of them, with the labels that it looks for.
func (in *Inputs) bundledAlerts() map[string]any {
	return map[string]any{"deepgram": map[string]any{"groups": slices.Clone(in.AlertGroups())}}
}
