package rules

import (
	"fmt"
	"strings"
)

// Markdown is the reference of all rules, docs/policies.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`<!-- Generated from policy/rules; do not edit. -->
# Policies

The pack ` + "`deepgram`" + ` refuses stacks in which Deepgram cannot run, in the preview and with the reason. It judges
resources by their type and inputs, so it works for any Pulumi stack with Google Cloud and Kubernetes resources.

## Using the pack

- ` + "`deepgram-stack`" + ` always runs it: every command previews with the pack before it changes anything.
- ` + "`pulumi preview --policy-pack bin/deepgram-policy`" + `: the compiled pack, quickest to start (Pulumi 3.255 or newer; give an absolute path).
- ` + "`pulumi preview --policy-pack policy`" + `: the folder; Pulumi builds it with Go at every start.
- The compiled pack on PATH under the name ` + "`pulumi-analyzer-policy-go`" + `, and the folder as above: for an engine without Go.

A mandatory finding about a single resource stops an update before that resource. A finding about several resources
(*stack*) comes in an update only when everything has been applied: preview first. Findings about a *plan* are made by
` + "`deepgram-stack`" + ` from the preview; the engine shows no policy what it is going to delete.

## Configuring it

` + "```yaml" + `
deepgram-stack:policy:
  levels:                       # advisory, mandatory or disabled; "all" is for the rest
    engine-node-image-is-cos: advisory
  settings:
    certificate-is-fresh: {warnDays: 60}
  exemptions:
    - policy: engine-node-has-memory
      urn: "gcp:container/nodePool:NodePool::engine"    # a URN, or type::name, with * for any text
      reason: one small model, agreed with Deepgram (ticket 4711)
      owner: speech-team
      expires: 2026-12-31                               # its last day
` + "```" + `

The same levels and settings may be given with ` + "`--policy-pack-config FILE`" + ` (JSON), which wins over the stack. An exemption
needs all five fields; one that has expired no longer covers anything, and one that covers nothing is reported.

A value that only the update makes known is no finding in a preview: ` + "`values-are-known`" + ` says which policy waits for
which property. In an update it must be known: the policy refuses what it cannot judge.

## Rules

| policy | guide | level | judges | settings |
|---|---|---|---|---|
`)
	for _, r := range catalogue {
		var settings []string
		for _, s := range r.Settings {
			settings = append(settings, "`"+s.Name+"`")
		}
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s | %s | %s |\n", r.Name, r.Name, r.Step, r.Level, r.judgesWhat(), strings.Join(settings, ", "))
	}
	for _, r := range catalogue {
		fmt.Fprintf(&b, "\n### %s\n\n%s (guide %s, %s, judges %s).\n\n%s\n\n", r.Name, r.Summary, r.Step, r.Level, r.judgesWhat(), r.Advice)
		fmt.Fprintf(&b, "> %s\n", strings.ReplaceAll(r.Example, "|", `\|`))
		if len(r.Types) > 0 && r.Types[0] != "*" {
			fmt.Fprintf(&b, "\nLooks at `%s`.\n", strings.Join(r.Types, "`, `"))
		}
		if len(r.Settings) == 0 {
			continue
		}
		b.WriteString("\n| setting | default | allowed | what it is |\n|---|---|---|---|\n")
		for _, s := range r.Settings {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, s.shownDefault(), s.allowed(), s.Help)
		}
	}
	return b.String()
}

func (rule *Rule) judgesWhat() string {
	switch {
	case rule.Plan != nil:
		return "a plan"
	case rule.Stack != nil:
		return "the stack"
	default:
		return "a resource"
	}
}

func (s Setting) shownDefault() string {
	switch d := s.Default.(type) {
	case float64:
		return number(d)
	case string:
		if d == "" {
			return "none"
		}
		return "`" + d + "`"
	case []string:
		return "none"
	default:
		return fmt.Sprint(d)
	}
}

func (s Setting) allowed() string {
	if s.Min != nil && s.Max != nil {
		return number(*s.Min) + " to " + number(*s.Max)
	}
	return s.kind()
}
