package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/deepgram-gke/deepgram-gke/internal/stateful"
)

const (
	bucketType      = "gcp:storage/bucket:Bucket"
	filestoreType   = "gcp:filestore/instance:Instance"
	claimType       = "kubernetes:core/v1:PersistentVolumeClaim"
	modelVolumeType = "deepgram:index:ModelVolume"
)

var protectionRules = []Rule{
	{
		Name: "stateful-is-protected", Step: "G-S.1", Level: Mandatory,
		Summary: "In a production environment models disk, journal storage, bucket and cluster must be protected",
		Advice:  "Set the resource option protect; for a cluster deletionProtection does too.",
		Example: `Disk "models": it is not protected; needed: protect in a production environment (guide G-S.1). Set the resource option protect; for a cluster deletionProtection does too.`,
		// The component tells of a disk whose day of removal has come.
		Types: append([]string{modelVolumeType}, stateful.Types()...),
		Resource: func(j *Judge) {
			r := j.Resource
			if r.Type == modelVolumeType {
				if retired := j.In().Get("retired"); retired.Known() && retired.Flag(false) {
					j.run.retired(r.URN)
				}
				return
			}
			if !j.Production() || r.Protect || j.run.isRetired(r.Parent) {
				return
			}
			switch r.Type {
			case clusterType:
				// The provider's default is true.
				if j.In().Get("deletionProtection").Flag(true) {
					return
				}
			case claimType:
				name := j.In().Get("metadata", "name")
				if !strings.Contains(r.Name, "journal") && !(name.Known() && strings.Contains(name.Text(), "journal")) {
					return
				}
			}
			j.Violate(Finding{Found: "it is not protected", Need: "protect in a production environment"})
		},
	},
	{
		Name: "stateful-is-kept", Step: "G-S.1", Level: Mandatory,
		Summary: "A plan that replaces or deletes models disk, journal storage, bucket, cluster or Helm release needs an acknowledgement",
		Advice:  "If it is meant, record an exemption of this policy with the URN, a reason, an owner and a last day.",
		Example: `Disk "models": the plan replaces it, because zone changes; needed: an acknowledgement that names its URN (guide G-S.1). If it is meant, record an exemption of this policy with the URN, a reason, an owner and a last day.`,
		Plan: func(j *Judge, o Operation) {
			if !o.removes() || !stateful.Is(o.Type, o.Name) {
				return
			}
			found := "the plan deletes it"
			if strings.Contains(o.Op, "replace") {
				found = "the plan replaces it"
			}
			if len(o.Because) > 0 {
				found += ", because " + strings.Join(o.Because, " and ") + " changes"
			}
			j.Violate(Finding{Found: found, Need: "an acknowledgement that names its URN"})
		},
	},
	{
		Name: "disk-never-shrinks", Step: "G-S.1", Level: Mandatory,
		Summary: "A disk can grow and never shrinks: a smaller size would replace it, with everything on it",
		Advice:  "Leave the size as it is, or make a new disk (another set of models) and retire this one.",
		Example: `Disk "models": the plan makes it smaller, from 200 to 100 GB; needed: 200 GB or more (guide G-S.1). Leave the size as it is, or make a new disk (another set of models) and retire this one.`,
		Plan: func(j *Judge, o Operation) {
			if o.Type == diskType || o.Type == regionDiskType {
				if o.OldSizeGB > 0 && o.NewSizeGB > 0 && o.NewSizeGB < o.OldSizeGB {
					j.Violate(Finding{
						Found: fmt.Sprintf("the plan makes it smaller, from %s to %s GB", number(o.OldSizeGB), number(o.NewSizeGB)),
						Need:  number(o.OldSizeGB) + " GB or more",
					})
				}
			}
		},
	},
}

// Operation is one step of a plan. The engine shows no policy the steps of a
// plan, so they are judged by whoever reads the preview: see JudgePlan.
type Operation struct {
	// Op is the engine's name of the step: update, replace, delete, …
	Op string
	// URN, Type and Name are the resource's.
	URN, Type, Name string
	// Because are the properties that make it necessary to replace.
	Because []string
	// OldSizeGB and NewSizeGB are sizes of a disk; 0 is not known.
	OldSizeGB, NewSizeGB float64
}

func (o Operation) removes() bool {
	switch o.Op {
	case "delete", "replace", "delete-replaced", "create-replacement", "discard", "discard-replaced":
		return true
	}
	return false
}

// PlanViolation is what JudgePlan found.
type PlanViolation struct {
	Policy  string
	Level   Level
	URN     string
	Message string
}

// JudgePlan judges the steps of a preview: what is replaced or deleted although
// it holds models, journals or the cluster, and disks that shrink. Exemptions of
// the configuration are acknowledgements. A replacement has several steps; each
// resource is reported once.
func JudgePlan(operations []Operation, c Config, now time.Time) []PlanViolation {
	run := newRunner(Options{Config: c, Now: func() time.Time { return now }})
	var found []PlanViolation
	seen := map[string]bool{}
	for i := range catalogue {
		rule := &catalogue[i]
		level := run.level(rule)
		if rule.Plan == nil || level == Disabled {
			continue
		}
		for _, o := range operations {
			on := Resource{Type: o.Type, Name: o.Name, URN: o.URN}
			j := &Judge{rule: rule, run: run, Resource: on, settings: rule.values(c.Settings[rule.Name], nil)}
			j.report = func(message, urn string) {
				if key := rule.Name + urn; !seen[key] {
					seen[key] = true
					found = append(found, PlanViolation{rule.Name, level, urn, message})
				}
			}
			j.guard(on, func() { rule.Plan(j, o) })
		}
	}
	return found
}
