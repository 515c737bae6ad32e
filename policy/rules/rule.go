package rules

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
)

// Level is how much a finding weighs.
type Level string

// The levels of the engine; remediation is not used.
const (
	Advisory  Level = "advisory"
	Mandatory Level = "mandatory"
	Disabled  Level = "disabled"
)

func (l Level) policyx() policyx.EnforcementLevel {
	switch l {
	case Advisory:
		return policyx.EnforcementLevelAdvisory
	case Disabled:
		return policyx.EnforcementLevelDisabled
	case Mandatory:
	}
	// An unknown level blocks: silence must never be the outcome of a mistake.
	return policyx.EnforcementLevelMandatory
}

// Rule is one policy.
type Rule struct {
	// Name is what levels, settings and exemptions refer to.
	Name string
	// Step is the guide's step, such as G-HW.engine.
	Step string
	// Summary says in one sentence what must be.
	Summary string
	// Advice says what to do about a violation.
	Advice string
	// Example is a message as people see it.
	Example string
	// Level is the level unless configured otherwise.
	Level Level
	// Settings are what can be set.
	Settings []Setting
	// Types are the resource types that Resource looks at, with * at the end
	// for all that begin so.
	Types []string
	// Resource judges one resource as it will be created; stack-wide rules have Stack.
	Resource func(*Judge)
	// Stack judges all resources together, after the program has run.
	Stack func(*Judge)
	// Plan judges one step of a plan; no engine asks for it, but JudgePlan does.
	Plan func(*Judge, Operation)
}

// Setting is something that can be set on a rule.
type Setting struct {
	Name string
	// Default also decides the kind: number, text, true or false, list of texts.
	Default any
	// Min and Max bound a number.
	Min, Max *float64
	// Help says what it is, with its unit.
	Help string
}

// Resource is one resource of the stack.
type Resource struct {
	Type, Name, URN, Parent string
	Properties              property.Map
	// Protect is the resource option of that name.
	Protect bool
}

// Judge is one rule at work on one resource, or on the stack.
type Judge struct {
	rule *Rule
	run  *runner
	// Resource is the resource under judgement; zero for a stack.
	Resource Resource
	// Resources are all resources of the stack; only for stack rules.
	Resources []Resource

	settings map[string]any
	hidden   []string
	report   func(message, urn string)
}

// Now is the time of judgement.
func (j *Judge) Now() time.Time { return j.run.now() }

// Production tells whether the environment is a production environment.
func (j *Judge) Production() bool { return j.run.production }

// In is the root of the resource's properties.
func (j *Judge) In() Value { return j.Of(j.Resource) }

// Of is the root of another resource's properties.
func (j *Judge) Of(r Resource) Value {
	return Value{judge: j, v: property.New(r.Properties)}
}

// All are the resources of the stack with one of the types.
func (j *Judge) All(types ...string) []Resource {
	var all []Resource
	for _, r := range j.Resources {
		if slices.Contains(types, r.Type) {
			all = append(all, r)
		}
	}
	return all
}

// Number is a setting.
func (j *Judge) Number(name string) float64 {
	n, ok := j.settings[name].(float64)
	if !ok {
		panic(fmt.Sprintf("setting %s.%s is no number", j.rule.Name, name))
	}
	return n
}

// Text is a setting.
func (j *Judge) Text(name string) string { s, _ := j.settings[name].(string); return s }

// Flag is a setting.
func (j *Judge) Flag(name string) bool { b, _ := j.settings[name].(bool); return b }

// Texts is a setting.
func (j *Judge) Texts(name string) []string {
	var all []string
	switch list := j.settings[name].(type) {
	case []string:
		all = list
	case []any:
		for _, e := range list {
			if s, ok := e.(string); ok {
				all = append(all, s)
			}
		}
	}
	return all
}

// Finding is a violation: what was found where, what is needed, and what to do.
type Finding struct {
	// On is the resource; zero is the one under judgement.
	On Resource
	// What names the part of the resource, such as `node pool "engine"`.
	What string
	// Found and Need hold the figures.
	Found, Need string
	// Do replaces the rule's advice.
	Do string
}

// Violate reports a violation.
func (j *Judge) Violate(f Finding) {
	on := f.On
	if on.URN == "" {
		on = j.Resource
	}
	what := f.What
	if what == "" {
		what = describe(on)
	}
	do := f.Do
	if do == "" {
		do = j.rule.Advice
	}
	message := fmt.Sprintf("%s: %s; needed: %s (guide %s). %s", what, f.Found, f.Need, j.rule.Step, do)
	j.run.violation(j, on, j.clean(message))
}

func describe(r Resource) string {
	if r.Type == "" {
		return "the stack"
	}
	kind := r.Type[strings.LastIndex(r.Type, ":")+1:]
	return fmt.Sprintf("%s %q", kind, r.Name)
}

// hide keeps a secret that was read out of every message.
func (j *Judge) hide(secret string) {
	if secret != "" {
		j.hidden = append(j.hidden, secret)
	}
}

func (j *Judge) clean(message string) string {
	for _, s := range j.hidden {
		if len(s) > 2 {
			message = strings.ReplaceAll(message, s, "[secret]")
		}
	}
	return message
}

// Each judges parts one by one, so that one that cannot be judged hides no other.
func Each[T any](j *Judge, parts []T, on func(T) Resource, judge func(T)) {
	for _, p := range parts {
		j.guard(on(p), func() { judge(p) })
	}
}

// guard runs a judgement; nothing escapes it. What cannot be read yet is noted
// in a preview and refused in an update, what cannot be judged is refused.
func (j *Judge) guard(on Resource, judge func()) {
	if on.URN == "" {
		on = j.Resource
	}
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case notKnown:
			if j.run.dryRun {
				j.run.noteUnknown(j.rule.Name, on, cause.path)
				return
			}
			j.Violate(Finding{
				On: on, Found: fmt.Sprintf("%s is not known", orAll(cause.path)), Need: "a known value",
				Do: "An update goes on only when the policy can be judged: run a preview, or give the value as a constant.",
			})
		case wrongKind:
			j.Violate(Finding{
				On: on, Found: fmt.Sprintf("%s is %s", orAll(cause.path), cause.got), Need: cause.want,
				Do: "Correct the value, so that the policy can be judged.",
			})
		default:
			j.Violate(Finding{
				On: on, Found: "the policy could not judge it: " + firstLine(fmt.Sprint(cause)), Need: "a judgement",
				Do: "This is a mistake in the policy: please report it with " + origin() + "; an exemption lets the stack go on.",
			})
		}
	}()
	judge()
}

func orAll(path string) string {
	if path == "" {
		return "its set of properties"
	}
	return path
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// origin is the line of this package in which a panic arose.
func origin() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	past := false
	for _, l := range lines {
		past = past || strings.HasPrefix(l, "panic(")
		l = strings.TrimSpace(l)
		if i := strings.LastIndex(l, "policy/rules/"); past && i >= 0 && strings.Contains(l, ".go:") {
			place, _, _ := strings.Cut(l[i:], " ")
			return place
		}
	}
	return "the resource"
}
