package stacks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// gatePolicy is the policy that refuses to replace or delete what cannot be made
// again.
const gatePolicy = "stateful-is-kept"

// Refusal is something stateful that a plan would replace or delete, and that
// nobody acknowledged.
type Refusal struct {
	URN  string `json:"urn"`
	Type string `json:"type"`
	Name string `json:"name"`
	// Why says what the plan does to it, and which properties force it.
	Why string `json:"why"`
}

// GateError says that an operation was refused because it would replace or
// delete what cannot be made again. Nothing was changed.
type GateError struct {
	// Operation is up or destroy.
	Operation string
	// Refused are sorted by URN and never empty.
	Refused []Refusal
}

// Error names each thing with the flag that acknowledges it.
func (e *GateError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s refused, and nothing was changed: it would lose what cannot be made again. "+
		"Where that is meant, acknowledge each by its URN with a reason:", e.Operation)
	for _, r := range e.Refused {
		fmt.Fprintf(&b, "\n  %s %s: %s\n    --acknowledge '%s=REASON'", report.ShortType(r.Type), r.Name, r.Why, r.URN)
	}
	return b.String()
}

// checkAcknowledgements refuses what acknowledges nothing in particular.
func checkAcknowledgements(all map[string]string) error {
	var problems []string
	for _, urn := range slices.Sorted(maps.Keys(all)) {
		switch {
		case !strings.HasPrefix(urn, "urn:pulumi:") || strings.Count(urn, "::") < 3:
			problems = append(problems, fmt.Sprintf("%q is no URN; take it from the refusal, such as urn:pulumi:prod::deepgram-stack::gcp:compute/disk:Disk::models", urn))
		case strings.Contains(urn, "*"):
			problems = append(problems, fmt.Sprintf("%q names more than one thing; acknowledge each by its whole URN", urn))
		case strings.TrimSpace(all[urn]) == "":
			problems = append(problems, fmt.Sprintf("%s has no reason; write it as URN=reason", urn))
		}
	}
	if len(problems) > 0 {
		return &AcknowledgementError{Problems: problems}
	}
	return nil
}

// AcknowledgementError says what is wrong with acknowledgements as such.
type AcknowledgementError struct{ Problems []string }

// Error lists the problems.
func (e *AcknowledgementError) Error() string {
	return "acknowledge: " + strings.Join(e.Problems, "\nacknowledge: ")
}

// judge asks the policies that judge a plan. refused is what the gate holds
// against it, at whatever level the environment has that policy; found are the
// findings of the others, and of that policy as far as it is not refused.
func judge(cfg *Config, resources []Resource, acknowledged map[string]string) (refused []Refusal, found []Finding) {
	if cfg == nil {
		cfg = DefaultConfig()
	}
	strict := cfg.Clone()
	strict.Policy.Levels = maps.Clone(strict.Policy.Levels)
	if strict.Policy.Levels == nil {
		strict.Policy.Levels = map[string]string{}
	}
	strict.Policy.Levels[gatePolicy] = "mandatory"
	for urn, reason := range acknowledged {
		strict.Policy.Exemptions = append(strict.Policy.Exemptions, config.Exemption{
			Policy: gatePolicy, URN: urn, Reason: reason, Owner: "acknowledge",
			Expires: time.Now().AddDate(0, 0, 2).Format(time.DateOnly),
		})
	}
	byURN := make(map[string]Resource, len(resources))
	for _, r := range resources {
		byURN[r.URN] = r
	}
	for _, f := range JudgePlan(strict, resources) {
		if f.Policy != gatePolicy {
			found = append(found, f)
			continue
		}
		r := byURN[f.URN]
		refused = append(refused, Refusal{URN: f.URN, Type: r.Type, Name: shown(r), Why: why(r)})
	}
	slices.SortFunc(refused, func(a, b Refusal) int { return strings.Compare(a.URN, b.URN) })
	return refused, found
}

// shown is the name that people know a resource by.
func shown(r Resource) string {
	if r.CloudName != "" {
		return r.CloudName
	}
	return r.Name
}

func why(r Resource) string {
	text := "the plan deletes it"
	if strings.Contains(r.Op, "replace") {
		text = "the plan replaces it"
	}
	if len(r.Replaces) > 0 {
		text += ", because " + strings.Join(r.Replaces, " and ") + " changes"
	}
	if r.Op == "delete" && r.Retain {
		text += " from the stack; the thing itself is retained"
	}
	return text
}

// gateFindings are refusals as findings, for a preview.
func gateFindings(cfg *Config, resources []Resource, refused []Refusal) (found []Finding) {
	wanted := map[string]bool{}
	for _, r := range refused {
		wanted[r.URN] = true
	}
	for _, f := range JudgePlan(cfg, resources) {
		if f.Policy == gatePolicy && wanted[f.URN] {
			found = append(found, f)
		}
	}
	return found
}

// unused are acknowledgements of what the plan leaves alone.
func unused(acknowledged map[string]string, resources []Resource) (urns []string) {
	ops := map[string]string{}
	for _, r := range resources {
		ops[r.URN] = r.Op
	}
	for _, urn := range slices.Sorted(maps.Keys(acknowledged)) {
		if op := ops[urn]; op != "delete" && !strings.Contains(op, "replace") {
			urns = append(urns, urn)
		}
	}
	return urns
}
