package rules

import (
	"fmt"
	"slices"
	"strings"
)

const cronJobType = "kubernetes:batch/v1:CronJob"

var billingRules = []Rule{
	{
		Name: "billing-has-own-claim", Step: "A-STORE", Level: Mandatory,
		Summary: "Journals must be on a claim of your own: the chart's claim template makes every chart upgrade fail",
		Advice:  "Make a claim and set billing.journal.existingPvcName.",
		Example: `release "deepgram": its journals are on the chart's claim template; needed: billing.journal.existingPvcName (guide A-STORE). Make a claim and set billing.journal.existingPvcName.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			if !r.enabled("billing.enabled") || r.v(claimPath).Text() != "" {
				return
			}
			found := "its journals are on the chart's claim template"
			if r.v("billing.journal.aws.efs.enabled").Flag(true) {
				found = "its journals are on dg-models-aws-efs-pvc, which GKE does not have"
			}
			j.Violate(Finding{What: r.what, Found: found, Need: "billing.journal.existingPvcName"})
		}),
	},
	{
		Name: "billing-replicas-share-storage", Step: "A-STORE", Level: Mandatory,
		Summary: "Several billing replicas need storage that many nodes can write (ReadWriteMany)",
		Advice:  "Use Filestore (storage: shared), or one replica.",
		Example: `release "deepgram": 2 billing replicas on claim journal, which is ReadWriteOnce; needed: ReadWriteMany (guide A-STORE). Use Filestore (storage: shared), or one replica.`,
		Stack: eachRelease(func(j *Judge, r release) {
			replicas := r.v("billing.replicas").Number(1)
			if !r.enabled("billing.enabled") || replicas <= 1 {
				return
			}
			found := fmt.Sprintf("%s billing replicas on ", number(replicas))
			name := r.v(claimPath)
			for _, c := range j.All(claimType) {
				in := j.Of(c)
				if n := in.Get("metadata", "name"); n.Known() && n.Text() != name.Text() {
					continue
				}
				modes := texts(in.Get("spec", "accessModes"))
				if slices.Contains(modes, "ReadWriteMany") {
					return
				}
				j.Violate(Finding{
					On: r.on, What: r.what, Found: fmt.Sprintf("%sclaim %s, which is %s", found, name.Text(), strings.Join(modes, ", ")),
					Need: "ReadWriteMany",
				})
				return
			}
			if name.Text() == "" {
				found += "a claim for each pod"
			} else {
				found += fmt.Sprintf("claim %s, which is not in this stack, so its access mode is not known", name.Text())
			}
			j.Violate(Finding{On: r.on, What: r.what, Found: found, Need: "ReadWriteMany"})
		}),
	},
	{
		Name: "billing-can-be-updated", Step: "A-ARCH", Level: Mandatory,
		Summary: "The billing StatefulSet must allow one pod to be missing: Kubernetes 1.35 refuses the chart's 0",
		Advice:  "Set billing.updateStrategy.rollingUpdate.maxUnavailable to 1.",
		Example: `release "deepgram": billing.updateStrategy.rollingUpdate.maxUnavailable is 0; needed: 1 (guide A-ARCH). Set billing.updateStrategy.rollingUpdate.maxUnavailable to 1.`,
		Types:   releaseTypes,
		Resource: deepgram(func(j *Judge, r release) {
			if !r.enabled("billing.enabled") {
				return
			}
			v := r.v("billing.updateStrategy.rollingUpdate.maxUnavailable")
			if v.Present() && v.v.IsString() {
				if strings.Trim(v.Text(), "0%") != "" {
					return
				}
			} else if v.Number(0) > 0 {
				return
			}
			j.Violate(Finding{What: r.what, Found: "billing.updateStrategy.rollingUpdate.maxUnavailable is 0", Need: "1"})
		}),
	},
	{
		Name: "billing-journal-is-backed-up", Step: "A-CRON", Level: Mandatory,
		Summary: "The journals must be copied away by schedule: a lost journal may end the service",
		Advice:  "Add a CronJob that mounts the journals' claim and copies them.",
		Example: `release "deepgram": no CronJob of the stack mounts claim journal; needed: a scheduled backup (guide A-CRON). Add a CronJob that mounts the journals' claim and copies them.`,
		Stack: eachRelease(func(j *Judge, r release) {
			if !r.enabled("billing.enabled") {
				return
			}
			claim := r.v(claimPath)
			for _, c := range j.All(cronJobType) {
				if j.Of(c).Get("spec", "suspend").Flag(false) {
					continue
				}
				pod := j.Of(c).Get(workloads[cronJobType]...)
				for _, v := range pod.Get("volumes").List() {
					if name := v.Get("persistentVolumeClaim", "claimName"); !name.Known() || !claim.Known() || name.Present() && name.Text() == claim.Text() {
						return
					}
				}
			}
			name := "the journals' claim"
			if claim.Known() {
				name = "claim " + claim.Text()
			}
			j.Violate(Finding{On: r.on, What: r.what, Found: "no CronJob of the stack mounts " + name, Need: "a scheduled backup"})
		}),
	},
	{
		Name: "journal-bucket-has-retention", Step: "A-BEST", Level: Mandatory,
		Summary: "A bucket beside billing must keep what it holds: a journal that was not delivered must not be deleted",
		Advice:  "Set retentionPolicy.retentionPeriod on the bucket.",
		Example: `Bucket "journals": it keeps objects for 0 days; needed: 30 days (guide A-BEST). Set retentionPolicy.retentionPeriod on the bucket.`,
		Settings: []Setting{{
			Name: "minRetentionDays", Default: 30.0, Min: bound(1), Max: bound(36500),
			Help: "Least number of days for which an object cannot be deleted.",
		}},
		Stack: func(j *Judge) {
			billing := slices.ContainsFunc(j.releases(), func(r release) bool { return r.enabled("billing.enabled") })
			if !billing {
				return
			}
			Each(j, j.All(bucketType), func(r Resource) Resource { return r }, func(r Resource) {
				v := j.Of(r).Get("retentionPolicy", "retentionPeriod")
				seconds := 0.0
				// The provider takes the number as a text, too.
				if v.Present() && v.v.IsString() {
					if _, err := fmt.Sscan(v.Text(), &seconds); err != nil {
						panic(wrongKind{v.path, "a number of seconds", "another text"})
					}
				} else {
					seconds = v.Number(0)
				}
				if kept := seconds / 86400; kept < j.Number("minRetentionDays") {
					j.Violate(Finding{
						On: r, Found: fmt.Sprintf("it keeps objects for %s days", number(kept)),
						Need: number(j.Number("minRetentionDays")) + " days",
					})
				}
			})
		},
	},
}

const claimPath = "billing.journal.existingPvcName"
