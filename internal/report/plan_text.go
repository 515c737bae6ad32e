package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// JSON is the report for programs.
func (p *Plan) JSON() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(p); err != nil {
		return nil, fmt.Errorf("encoding the report: %w", err)
	}
	// All texts are clean already; what spans several of them is no secret's value.
	if scanned := p.redact.scan(b.String()); json.Valid([]byte(scanned)) {
		return []byte(scanned), nil
	}
	return b.Bytes(), nil
}

// verdictColor is the colour of a verdict on a terminal.
func verdictColor(v Verdict) string {
	switch v {
	case VerdictPolicy, VerdictFailed, VerdictDestructive:
		return red
	case VerdictSafe, VerdictNoChange:
		return green
	}
	return dim
}

// Text writes the report for a terminal, in the order of Markdown.
func (p *Plan) Text(w io.Writer, style Style) error {
	var b strings.Builder
	if p.Rehearsed {
		b.WriteString(style.paint(yellow, "REHEARSAL: no cloud was asked; everything shows as new, and no cloud has accepted it") + "\n")
	}
	b.WriteString(style.paint(bold, clean(p.Stack)) + "  " + style.paint(verdictColor(p.Verdict), clean(p.Headline)) + "\n")
	b.WriteString("  " + p.total() + "\n")
	p.textErrors(&b, style)
	p.textStateful(&b, style)
	p.textCounts(&b, style)
	Findings(&b, cleaned(p.Policy), style)
	for i := range p.Charts {
		p.Charts[i].text(&b, style)
	}
	p.Capacity.text(&b, style)
	if len(p.Resources) > 0 {
		b.WriteString("\n" + style.paint(bold, "full diff") + "\n")
		for i := range p.Resources {
			for _, piece := range p.Resources[i].pieces() {
				paintDiff(&b, piece.text, style)
			}
		}
	}
	b.WriteString("\n" + style.paint(dim, p.textFoot()) + "\n")
	_, err := io.WriteString(w, p.redact.scan(b.String()))
	return err
}

// clean takes out of foreign text what would move a terminal's cursor.
func clean(text string) string { return escapeCode(text) }

func cleaned(found []Violation) []Violation {
	list := make([]Violation, 0, len(found))
	for _, v := range found {
		description, rest, described := strings.Cut(v.Message, "\n")
		v.Message = clean(description)
		if described {
			v.Message += "\n" + clean(strings.ReplaceAll(rest, "\n", " "))
		}
		v.Policy = clean(v.Policy)
		list = append(list, v)
	}
	return list
}

func (p *Plan) textErrors(b *strings.Builder, style Style) {
	for _, s := range p.errorSection() {
		b.WriteString("\n" + style.paint(bold, "what failed") + "\n")
		for _, piece := range s.pieces {
			b.WriteString(piece.text)
		}
	}
}

func (p *Plan) textStateful(b *strings.Builder, style Style) {
	if len(p.Stateful) == 0 {
		return
	}
	b.WriteString("\n" + style.paint(red, "stateful: replaced or deleted, with everything on it") + "\n")
	for _, c := range p.Stateful {
		name := c.Name
		if c.CloudName != "" {
			name += " (" + c.CloudName + ")"
		}
		b.WriteString("  " + style.paint(red, word(c.Op, 2)) + "  " + clean(ShortType(c.Type)) + "  " + style.paint(bold, clean(name)) + "\n")
		for _, f := range c.Forced {
			b.WriteString("      forced by " + clean(f.Path) + ": " + clean(oneLine(f.Old)) + " → " + clean(oneLine(f.New)) + "\n")
		}
		b.WriteString("      " + c.remarks() + "\n")
		if c.Objected {
			b.WriteString("      " + style.paint(dim, "--acknowledge "+clean(shellQuote(c.URN+"=REASON"))) + "\n")
		}
	}
}

func (p *Plan) textCounts(b *strings.Builder, style Style) {
	if len(p.Resources) == 0 {
		return
	}
	b.WriteString("\n" + style.paint(bold, "changes by component") + "\n")
	for _, c := range p.Components {
		b.WriteString("  " + fmt.Sprintf("%-44s", fit(clean(c.Type+"  "+c.Name), 44)) + " " + Counts(c.Changes, true) + "\n")
	}
}

func (c *ChartDiff) text(b *strings.Builder, style Style) {
	title := style.paint(bold, "chart "+clean(c.title()))
	b.WriteString("\n" + title + "  release " + clean(c.Release) + " in " + clean(c.Namespace) + "\n")
	if c.Rendered {
		b.WriteString("  " + c.counts() + "\n")
	} else {
		b.WriteString("  the charts could not be compared; this shows the change of the values only\n")
	}
	for _, note := range c.Notes {
		b.WriteString(style.paint(dim, wrap(clean(note), 2, style.width())) + "\n")
	}
	for _, o := range c.Objects {
		line := "! " + o.Change + "  " + o.Kind + "  " + o.Name
		if o.Effect != "" {
			line += "  (" + o.Effect + ")"
		}
		paintDiff(b, escapeCode(line)+"\n", style)
		for _, f := range o.Fields {
			for _, piece := range f.pieces() {
				paintDiff(b, piece.text, style)
			}
		}
	}
	if len(c.Values) > 0 && !c.Rendered {
		for _, f := range c.Values {
			for _, piece := range f.pieces() {
				paintDiff(b, piece.text, style)
			}
		}
	}
}

func (c *Capacity) text(b *strings.Builder, style Style) {
	if c == nil {
		return
	}
	b.WriteString("\n" + style.paint(bold, "capacity and cost") + "\n")
	rows := append([]row{{"", "now", "after", "change"}}, c.rows()...)
	var width [4]int
	for _, r := range rows {
		for i, text := range []string{r.name, r.old, r.next, r.delta} {
			width[i] = max(width[i], columns(clean(text)))
		}
	}
	for _, r := range rows {
		line := "  " + pad(clean(r.name), width[0], false)
		for i, text := range []string{r.old, r.next, r.delta} {
			line += "  " + pad(text, width[i+1], true)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	b.WriteString(style.paint(dim, wrap(clean(c.terms()), 2, style.width())) + "\n")
	for _, note := range c.Notes {
		b.WriteString(style.paint(dim, wrap(clean(note), 2, style.width())) + "\n")
	}
}

func pad(text string, width int, right bool) string {
	space := strings.Repeat(" ", max(0, width-columns(text)))
	if right {
		return space + text
	}
	return text + space
}

// paintDiff writes lines of a diff in colours.
func paintDiff(b *strings.Builder, text string, style Style) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		color := ""
		switch {
		case strings.HasPrefix(line, "+"):
			color = green
		case strings.HasPrefix(line, "-"):
			color = red
		case strings.HasPrefix(line, "!"):
			color = bold
		case strings.HasPrefix(line, "@"), strings.HasPrefix(line, "#"):
			color = cyan
		}
		if color != "" {
			line = style.paint(color, line)
		}
		b.WriteString("  " + line + "\n")
	}
}

func (p *Plan) textFoot() string {
	var list []string
	for _, v := range []struct{ name, version string }{
		{"Pulumi", p.Versions.CLI}, {"deepgram-gke", p.Versions.Library}, {"chart", p.Versions.Chart}, {"commit", p.Commit},
	} {
		if v.version != "" {
			list = append(list, v.name+" "+clean(v.version))
		}
	}
	if !p.Time.IsZero() {
		list = append(list, p.Time.UTC().Format(time.RFC3339))
	}
	return strings.Join(list, " · ")
}
