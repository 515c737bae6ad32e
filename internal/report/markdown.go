package report

import (
	"fmt"
	"strings"
	"time"
)

// marks are what a verdict shows first.
var marks = map[Verdict]string{
	VerdictPolicy: "⛔", VerdictFailed: "❌", VerdictDestructive: "🔥", VerdictSafe: "✅", VerdictNoChange: "⚪",
}

// GitHubLimit is the longest body of a comment on GitHub, which counts characters.
const GitHubLimit = 65536

// Markdown is the report as a comment of at most limit bytes. A text has at least
// as many bytes as it has characters, however they are counted, so it fits
// wherever limit characters are allowed. What does not fit is left out from the
// end of the sections, the full diff first; the report says what is missing, and
// links moreLink, the address of the whole, where that is not empty.
func (p *Plan) Markdown(limit int, moreLink string) string {
	return p.document().render(limit, moreLink)
}

// Parts is the whole report in as many comments as it takes, each at most limit
// bytes long and complete in itself. A limit under some 6,000 bytes gives one
// part, cut like Markdown.
func (p *Plan) Parts(limit int) []string { return p.document().parts(limit) }

// Ranks of the sections: who gets room first where there is too little.
const (
	rankError = iota
	rankStateful
	rankPolicy
	rankCounts
	rankCapacity
	rankChart
	rankValues
	rankDiff
)

func (p *Plan) document() *document {
	name := p.Stack
	if name == "" {
		name = p.Project
	}
	d := &document{title: "## " + marks[p.Verdict] + " " + code(cut(name, 100)) + ": " + escapeInline(p.Headline)}
	if p.Rehearsed {
		d.lead = append(d.lead, "> [!WARNING]\n> **This is a rehearsal.** There were no credentials to ask the cloud with, so the program ran "+
			"against stand-ins, from an empty environment: it shows everything as new, and no cloud has accepted any of it.")
	}
	d.lead = append(d.lead, p.summary())
	d.sections = append(d.sections, p.errorSection()...)
	d.sections = append(d.sections, p.statefulSection()...)
	d.sections = append(d.sections, p.countSection()...)
	d.sections = append(d.sections, p.policySection()...)
	d.sections = append(d.sections, p.chartSections()...)
	d.sections = append(d.sections, p.capacitySections()...)
	d.sections = append(d.sections, p.diffSection()...)
	d.foot = p.foot()
	return p.redact.document(d)
}

func (p *Plan) summary() string {
	what := p.Command
	if what == "" {
		what = "preview"
	}
	text := "**" + strings.ToUpper(p.total()[:1]) + p.total()[1:] + "**"
	text += " · " + code(cut(what, 100))
	if p.Project != "" {
		text += " of project " + code(cut(p.Project, 100))
	}
	return text
}

// errorSection says why the preview failed.
func (p *Plan) errorSection() []section {
	if p.Error == "" && len(p.Diagnostics) == 0 {
		return nil
	}
	s := section{heading: "### What failed", open: "```text\n", end: "```\n", noun: "line", rank: rankError}
	told := map[string]bool{}
	tell := func(text string) {
		if told[text] {
			return
		}
		told[text] = true
		for line := range strings.Lines(text) {
			s.add("    " + escapeCode(cut(strings.TrimRight(line, "\r\n"), 600)) + "\n")
		}
	}
	for _, m := range p.Diagnostics {
		text := m.Text
		if m.URN != "" && !strings.Contains(text, m.URN) {
			text = nameOf(m.URN) + ": " + text
		}
		tell(text)
	}
	// The engine's error often repeats what the messages said, or counts them.
	if len(p.Diagnostics) == 0 {
		tell(p.Error)
	}
	return []section{s}
}

func (p *Plan) statefulSection() []section {
	if len(p.Stateful) == 0 {
		return nil
	}
	s := section{
		heading: "### Stateful: replaced or deleted, with everything on it",
		open:    "| | Resource | Forced by | |\n|---|---|---|---|\n", noun: "stateful resource", rank: rankStateful,
	}
	var objected []string
	for _, c := range p.Stateful {
		s.add("| " + opMark(c.Op) + " **" + escapeInline(word(c.Op, 2)) + "** | " + resourceCell(c.Type, c.Name, c.CloudName) + " | " +
			forcedCell(c.Forced) + " | " + escapeInline(c.remarks()) + " |\n")
		if c.Objected {
			objected = append(objected, c.URN)
		}
	}
	sections := []section{s}
	if len(objected) > 0 {
		how := section{
			lead: "If it is meant, say so for each one; the reason is recorded:\n",
			open: "```sh\n", end: "```\n", noun: "command", rank: rankPolicy,
		}
		for _, urn := range objected {
			how.add("deepgram-stack up --stack " + escapeCode(shellQuote(cut(p.Stack, 100))) +
				" --acknowledge " + escapeCode(shellQuote(cut(urn, 800)+"=REASON")) + "\n")
		}
		sections = append(sections, how)
	}
	return sections
}

// remarks say what else matters about a stateful change.
func (c StatefulChange) remarks() string {
	var list []string
	if c.Retained {
		list = append(list, "retained: the old one stays in the cloud")
	}
	if c.Protected {
		list = append(list, "protected: the engine refuses")
	}
	if c.Objected {
		list = append(list, "needs an acknowledgement")
	} else {
		list = append(list, "no policy objects")
	}
	return strings.Join(list, "; ")
}

// shellQuote makes one word of a text.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func forcedCell(forced []FieldChange) string {
	if len(forced) == 0 {
		return "—"
	}
	var list []string
	for i, f := range forced {
		if i == 3 {
			list = append(list, fmt.Sprintf("and %d more", len(forced)-i))
			break
		}
		list = append(list, cell(f.Path, 200, code)+": "+cell(oneLine(f.Old), 200, code)+" → "+cell(oneLine(f.New), 200, code))
	}
	return strings.Join(list, "<br>")
}

// cell is foreign text in a cell of a table: at most about n bytes, escapes
// included.
func cell(text string, n int, form func(string) string) string {
	for room := n; ; room /= 2 {
		if out := form(cut(text, room)); len(out) <= n+20 || room < 8 {
			return out
		}
	}
}

func resourceCell(kind, name, cloudName string) string {
	text := cell(ShortType(kind), 120, escapeInline) + " " + cell(name, 200, code)
	if cloudName != "" {
		text += "<br>" + cell(cloudName, 200, code)
	}
	return text
}

func opMark(op string) string {
	switch op {
	case "create", "import", Added:
		return "➕"
	case "update", Changed:
		return "✏️"
	case "replace":
		return "♻️"
	case "delete", Removed:
		return "🗑️"
	}
	return ""
}

func (p *Plan) countSection() []section {
	if len(p.Resources) == 0 {
		return nil
	}
	columns := []string{"create", "import", "update", "replace", "delete"}
	open, rule := "| Component |", "|---|"
	var used []string
	for _, op := range columns {
		if p.Changes[op] > 0 {
			used = append(used, op)
			open += " " + word(op, 2) + " |"
			rule += "--:|"
		}
	}
	used = append(used, "same")
	s := section{
		heading: "### Changes by component", open: open + " unchanged |\n" + rule + "--:|\n", noun: "component", rank: rankCounts,
	}
	for _, c := range p.Components {
		row := "| " + cell(c.Type, 120, escapeInline) + " " + cell(c.Name, 200, code) + " |"
		for _, op := range used {
			if n := c.Changes[op]; n > 0 {
				row += fmt.Sprintf(" %d |", n)
			} else {
				row += " |"
			}
		}
		s.add(row + "\n")
	}
	return []section{s}
}

func (p *Plan) policySection() []section {
	if len(p.Policy) == 0 {
		return nil
	}
	s := section{
		heading: "### Policy findings", open: "| | Policy | Resource | What to do |\n|---|---|---|---|\n",
		noun: "finding", rank: rankPolicy,
	}
	described := map[string]bool{}
	for _, v := range p.Policy {
		mark := "⚠️"
		if v.Level == "mandatory" {
			mark = "⛔"
		}
		description, finding, found := strings.Cut(v.Message, "\n")
		text := cell(finding, 1200, escapeInline)
		switch {
		case !found:
			text = cell(description, 1200, escapeInline)
		case !described[v.Policy]:
			text += "<br><sub>" + cell(description, 400, escapeInline) + "</sub>"
		}
		described[v.Policy] = true
		resource := "—"
		if v.URN != "" {
			resource = resourceCell(typeOf(v.URN), nameOf(v.URN), "")
		}
		s.add("| " + mark + " " + escapeInline(cut(v.Level, 40)) + " | " + cell(v.Policy, 200, code) + " | " + resource + " | " + text + " |\n")
	}
	return []section{s}
}

// typeOf is the resource type in a URN.
func typeOf(urn string) string {
	parts := strings.Split(urn, "::")
	if len(parts) < 4 {
		return ""
	}
	return parts[2][strings.LastIndex(parts[2], "$")+1:]
}

func (p *Plan) diffSection() []section {
	if len(p.Resources) == 0 {
		return nil
	}
	s := section{
		open:    "<details><summary>Full diff: " + plural(len(p.Resources), "resource") + "</summary>\n\n```diff\n",
		end:     "```\n\n</details>\n",
		heading: "### Full diff", noun: "resource", rank: rankDiff,
	}
	for i := range p.Resources {
		s.pieces = append(s.pieces, p.Resources[i].pieces()...)
	}
	return []section{s}
}

// foot says by what and when the report was made.
func (p *Plan) foot() string {
	var list []string
	for _, v := range []struct{ name, version string }{
		{"Pulumi", p.Versions.CLI}, {"deepgram-gke", p.Versions.Library}, {"chart", p.Versions.Chart},
	} {
		if v.version != "" {
			list = append(list, v.name+" "+escapeInline(cut(v.version, 100)))
		}
	}
	if p.Commit != "" {
		list = append(list, "commit "+code(cut(p.Commit, 64)))
	}
	if !p.Time.IsZero() {
		list = append(list, p.Time.UTC().Format(time.RFC3339))
	}
	if len(list) == 0 {
		return ""
	}
	return "\n<sub>" + strings.Join(list, " · ") + "</sub>\n"
}
