package report

import (
	"fmt"
	"strings"
)

// chartSections are what changes in the Kubernetes objects of each release.
func (p *Plan) chartSections() (list []section) {
	for i := range p.Charts {
		list = append(list, p.Charts[i].sections()...)
	}
	return list
}

// title says which charts are compared.
func (c *ChartDiff) title() string {
	version := func(s ChartSource) string {
		return strings.TrimSpace(s.Name + " " + s.Version)
	}
	switch {
	case c.Old == (ChartSource{}):
		return version(c.New) + ", new"
	case c.New == (ChartSource{}):
		return version(c.Old) + ", deleted"
	case c.Old.Name == c.New.Name && c.Old.Version == c.New.Version:
		return version(c.New)
	case c.Old.Name == c.New.Name:
		return c.Old.Name + " " + c.Old.Version + " → " + c.New.Version
	}
	return version(c.Old) + " → " + version(c.New)
}

// counts sums the objects up.
func (c *ChartDiff) counts() string {
	n := map[string]int{}
	for _, o := range c.Objects {
		n[o.Change]++
	}
	var list []string
	for _, change := range []string{Added, Changed, Removed} {
		if n[change] > 0 {
			list = append(list, fmt.Sprintf("%d %s", n[change], change))
		}
	}
	rest := fmt.Sprintf("%d unchanged", c.Unchanged)
	if c.Relabelled > 0 {
		rest += fmt.Sprintf(", %d with nothing but the chart's version in their labels", c.Relabelled)
	}
	if len(list) == 0 {
		return "no Kubernetes object changes: " + rest
	}
	return strings.Join(list, ", ") + " Kubernetes objects; " + rest
}

func (c *ChartDiff) sections() []section {
	s := section{
		heading: "### Chart " + code(cut(c.title(), 200)), open: "| | Kubernetes object | Effect |\n|---|---|---|\n",
		noun: "Kubernetes object", rank: rankChart,
	}
	where := "Release " + cell(c.Release, 100, code) + " in namespace " + cell(c.Namespace, 100, code)
	if c.Rendered {
		s.lead = where + ": " + escapeInline(c.counts()) + ".\n"
	} else {
		s.lead = where + ": **the charts could not be compared**, so this shows the change of the values only.\n"
	}
	for i, note := range c.Notes {
		if i == 10 {
			s.lead += fmt.Sprintf("\n> %s\n", plural(len(c.Notes)-i, "more note"))
			break
		}
		s.lead += "\n> " + cell(note, 300, escapeInline) + "\n"
	}
	fields := section{
		open: "<details><summary>Fields of these objects</summary>\n\n```diff\n", end: "```\n\n</details>\n",
		noun: "object with its field", rank: rankValues,
	}
	lines := 0
	if len(c.Objects) == 0 {
		s.open = "" // a table without rows
	}
	for _, o := range c.Objects {
		s.add("| " + opMark(o.Change) + " " + escapeInline(o.Change) + " | " + o.cell() + " | " + o.effects() + " |\n")
		if len(o.Fields) == 0 {
			continue
		}
		fields.pieces = append(fields.pieces, piece{escapeCode(cut("! "+o.Change+"  "+o.Kind+"  "+o.Name, longLine)) + "\n", 1})
		for _, f := range o.Fields {
			pieces := f.pieces()
			fields.pieces = append(fields.pieces, pieces...)
			for _, p := range pieces {
				lines += strings.Count(p.text, "\n")
			}
		}
	}
	if lines <= shortDiff {
		fields.open = strings.Replace(fields.open, "<details>", "<details open>", 1)
	}
	list := []section{s}
	if len(fields.pieces) > 0 {
		list = append(list, fields)
	}
	if len(c.Values) > 0 {
		list = append(list, c.valueSection())
	}
	return list
}

// shortDiff is how many lines of a chart's diff are shown unfolded.
const shortDiff = 60

func (c *ChartDiff) valueSection() section {
	s := section{
		open: "<details><summary>Values given to the chart: " + plural(len(c.Values), "change") + "</summary>\n\n```diff\n",
		end:  "```\n\n</details>\n", noun: "changed value", rank: rankValues,
	}
	if !c.Rendered {
		s.open = strings.Replace(s.open, "<details>", "<details open>", 1)
	}
	for _, f := range c.Values {
		pieces := f.pieces()
		if len(pieces) > 0 {
			pieces[0].count = 1
		}
		s.pieces = append(s.pieces, pieces...)
	}
	return s
}

func (o *ObjectChange) cell() string {
	text := cell(o.Kind, 120, escapeInline) + " " + cell(o.Name, 200, code)
	if o.Hook != "" {
		text += "<br><sub>Helm hook: " + cell(o.Hook, 100, escapeInline) + "</sub>"
	}
	return text
}

// effects are what the change does, or which fields it is about.
func (o *ObjectChange) effects() string {
	if o.Change != Changed {
		return cell(o.Effect, 300, escapeInline)
	}
	var paths []string
	for i, f := range o.Fields {
		if i == 3 {
			paths = append(paths, fmt.Sprintf("and %d more", len(o.Fields)-i))
			break
		}
		paths = append(paths, cell(f.Path, 160, code))
	}
	text := strings.Join(paths, ", ")
	if o.Effect != "" {
		text = "**" + cell(o.Effect, 300, escapeInline) + "**<br>" + text
	}
	return text
}
