package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

var metaRules = []Rule{
	{
		Name: "policy-configuration-is-valid", Step: "G-M.config", Level: Mandatory,
		Summary: "Levels, settings and exemptions of the policies must be readable and complete",
		Advice:  "Correct the key deepgram-stack:policy.",
		Example: `the stack: levels.engine-gpu-has-memroy: no such policy; did you mean engine-gpu-has-memory?; needed: a valid configuration of the policies (guide G-M.config). Correct the key deepgram-stack:policy.`,
		Types:   []string{stackType},
		Resource: func(j *Judge) {
			for _, p := range j.run.problems {
				j.Violate(Finding{What: "the stack", Found: p, Need: "a valid configuration of the policies"})
			}
		},
	},
	{
		Name: "values-are-known", Step: "G-M.config", Level: Advisory,
		Summary:  "A policy that needs a value which only the update makes known cannot be judged in the preview",
		Advice:   "The update judges it, and stops before the resource if it is then still unknown.",
		Example:  `NodePool "engine": nodeConfig.machineType is not known yet; engine-node-has-memory cannot be judged until it is; needed: a known value (guide G-M.config). The update judges it, and stops before the resource if it is then still unknown.`,
		Types:    []string{"*"},
		Resource: func(j *Judge) { reportNotes(j, j.run.takeNotes(j.Resource.URN)) },
	},
	{
		Name: "values-of-the-stack-are-known", Step: "G-M.config", Level: Advisory,
		Summary: "A policy over several resources that needs a value which only the update makes known cannot be judged in the preview",
		Advice:  "Give the value as a constant, or look at the preview of the next update.",
		Example: `Release "deepgram": values.engine.resources is not known yet; engine-request-fits-node cannot be judged until it is; needed: a known value (guide G-M.config). Give the value as a constant, or look at the preview of the next update.`,
		Stack:   func(j *Judge) { reportNotes(j, j.run.takeNotes("")) },
	},
	{
		Name: "exemptions-are-current", Step: "G-M.config", Level: Advisory,
		Summary: "Exemptions that have expired, end within 30 days or cover nothing should go",
		Advice:  "Edit deepgram-stack:policy.exemptions.",
		Example: `the stack: exemption 0 (policy engine-node-has-memory, gcp:container/nodePool:NodePool::engine, owner ops) expired on 2026-01-31: remove it, or renew it with a new reason; needed: exemptions that are current and used (guide G-M.config). Edit deepgram-stack:policy.exemptions.`,
		Stack: func(j *Judge) {
			for _, text := range j.run.exemptions.stale(j.Now()) {
				j.Violate(Finding{On: stackOf(j.Resources), What: "the stack", Found: text, Need: "exemptions that are current and used"})
			}
		},
	},
}

func reportNotes(j *Judge, notes map[string][]note) {
	for _, urn := range slices.Sorted(maps.Keys(notes)) {
		on := j.Resource
		for _, r := range j.Resources {
			if r.URN == urn {
				on = r
			}
		}
		on.URN = urn
		byPath := map[string][]string{}
		for _, n := range notes[urn] {
			byPath[n.path] = append(byPath[n.path], n.policy)
		}
		for _, path := range slices.Sorted(maps.Keys(byPath)) {
			j.Violate(Finding{
				On: on, Found: fmt.Sprintf("%s is not known yet; %s cannot be judged until it is", path, strings.Join(byPath[path], ", ")),
				Need: "a known value",
			})
		}
	}
}
