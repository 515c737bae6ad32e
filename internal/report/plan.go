package report

import (
	"errors"
	"time"
)

// Verdict is what a plan comes to, in one word.
type Verdict string

// The verdicts, the gravest first.
const (
	// VerdictPolicy is a plan that a mandatory policy refuses.
	VerdictPolicy Verdict = "policy-failure"
	// VerdictFailed is a preview that failed: what it shows is not everything.
	VerdictFailed Verdict = "failed"
	// VerdictDestructive is a plan that replaces or deletes something stateful.
	VerdictDestructive Verdict = "destroys-or-replaces-stateful"
	// VerdictSafe is a plan that changes something, and loses nothing stateful.
	VerdictSafe Verdict = "safe"
	// VerdictNoChange is a plan that changes nothing.
	VerdictNoChange Verdict = "no-change"
)

// Versions are those of the programs and of the chart behind a plan.
type Versions struct {
	CLI     string `json:"cli,omitempty"`
	Library string `json:"library,omitempty"`
	Chart   string `json:"chart,omitempty"`
}

// PlanInput is what a plan is made of.
type PlanInput struct {
	// Operation is the record of a preview; nil where none began.
	Operation *Operation
	// Command is what was run, such as preview.
	Command string
	// Project and Stack name the environment.
	Project, Stack string
	// Commit is the commit's hash; it may be empty.
	Commit string
	// Time is when the preview ended.
	Time time.Time
	// Versions are those of CLI, library and chart.
	Versions Versions
	// Violations are findings beside those of Operation, such as those of
	// stacks.JudgePlan; what is in both counts once.
	Violations []Violation
	// Err is why the preview failed; nil takes the operation's.
	Err error
	// Charts are the changes of the Helm releases; see internal/chartdiff.
	Charts []ChartDiff
	// Capacity is what the plan does to capacity and cost; see internal/capacity.
	Capacity *Capacity
	// Rehearsed tells that no cloud was asked: the report says so loudly.
	Rehearsed bool
	// Secrets are known values that must not be seen, whatever text they are in.
	Secrets []string
}

// Plan is the report of a preview: what a reviewer has to know, in the order in
// which it matters. It holds no secret.
type Plan struct {
	Verdict Verdict `json:"verdict"`
	// Headline says the verdict in a sentence.
	Headline string `json:"headline"`
	Command  string `json:"command"`
	Project  string `json:"project"`
	Stack    string `json:"stack"`
	// Rehearsed tells that no cloud was asked.
	Rehearsed bool `json:"rehearsed,omitempty"`
	// Error is why the preview failed.
	Error string `json:"error,omitempty"`
	// Diagnostics are error messages of the engine and of the program.
	Diagnostics []Message `json:"diagnostics,omitempty"`
	// Stateful are the replacements and deletions of what cannot be made again.
	Stateful []StatefulChange `json:"stateful"`
	// Changes counts operations by the engine's names, each replacement once.
	Changes map[string]int `json:"changes"`
	// Components are the counts by component.
	Components []ComponentCount `json:"components"`
	// Policy are the findings of policies, mandatory first.
	Policy   []Violation `json:"policy"`
	Charts   []ChartDiff `json:"charts"`
	Capacity *Capacity   `json:"capacity,omitempty"`
	// Resources is the full diff: every resource that changes.
	Resources []ResourceChange `json:"resources"`
	Versions  Versions         `json:"versions"`
	Commit    string           `json:"commit,omitempty"`
	Time      time.Time        `json:"time"`

	redact *redactor
}

// Message is an error of the engine or of the program.
type Message struct {
	URN  string `json:"urn,omitempty"`
	Text string `json:"text"`
}

// StatefulChange is the replacement or deletion of something that cannot be made
// again: models, journals, the cluster.
type StatefulChange struct {
	URN       string `json:"urn"`
	Type      string `json:"type"`
	Name      string `json:"name"`
	CloudName string `json:"cloudName,omitempty"`
	// Op is replace or delete.
	Op string `json:"op"`
	// Forced are the properties that force a replacement.
	Forced []FieldChange `json:"forced,omitempty"`
	// Protected tells that the engine refuses to delete it.
	Protected bool `json:"protected,omitempty"`
	// Retained tells that it is let go, but stays in the cloud.
	Retained bool `json:"retained,omitempty"`
	// Objected tells that a policy objects, until somebody acknowledges it.
	Objected bool `json:"objected"`
}

// ComponentCount is what happens inside one component.
type ComponentCount struct {
	Type    string         `json:"type"`
	Name    string         `json:"name"`
	Changes map[string]int `json:"changes"`
}

// ResourceChange is one resource of the full diff.
type ResourceChange struct {
	URN       string `json:"urn"`
	Type      string `json:"type"`
	Name      string `json:"name"`
	CloudName string `json:"cloudName,omitempty"`
	Component string `json:"component,omitempty"`
	Op        string `json:"op"`
	// Replaces are the properties that force a replacement.
	Replaces []string      `json:"replaces,omitempty"`
	Fields   []FieldChange `json:"fields"`
}

// FieldChange is one property that changes.
type FieldChange struct {
	// Path is the property, such as spec.template.spec.containers[0].image.
	Path string `json:"path"`
	// Change is added, removed or changed.
	Change string `json:"change"`
	// Old and New are the values; nil where there is none. Secrets are [secret],
	// and what a preview cannot know is Unknown.
	Old any `json:"old,omitempty"`
	New any `json:"new,omitempty"`
	// Forces tells that this property forces the replacement.
	Forces bool `json:"forces,omitempty"`
}

// Kinds of change of a field or of an object.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Hidden stands for a secret, Unknown for what is known only after up.
const (
	Hidden  = "[secret]"
	Unknown = "(known after up)"
)

// gatePolicy is the policy whose objections an acknowledgement lifts.
const gatePolicy = "stateful-is-kept"

var errNothing = errors.New("the preview did not begin")
