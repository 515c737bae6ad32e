package report

import (
	"fmt"
	"strings"
)

// document is a report in pieces that can be left out or go to the next comment.
// Whatever is left out, what stays is balanced Markdown: only a section opens
// things, and it closes them.
type document struct {
	title    string // the heading, one line
	lead     []string
	sections []section
	foot     string
}

// section is a heading with pieces below: rows of a table, lines of a fence, or
// paragraphs.
type section struct {
	heading string
	// lead stands before the pieces, and open and end around them, wherever one of
	// them is shown.
	lead, open, end string
	pieces          []piece
	// noun names one of the pieces, for "12 more … not shown".
	noun string
	// rank decides who gets room first: the lowest.
	rank int
}

// piece is a part of a section that is shown whole, as long as it fits at all.
type piece struct {
	text string // ends with a line break
	// count is how many things it shows, for the note of what is missing.
	count int
}

func (s *section) add(text string) { s.pieces = append(s.pieces, piece{text, 1}) }

// opening is what a section costs without its pieces.
func (s *section) opening() string {
	var b strings.Builder
	b.WriteString("\n") // what stands before may be a table
	if s.heading != "" {
		b.WriteString(s.heading + "\n\n")
	}
	if s.lead != "" {
		b.WriteString(s.lead + "\n")
	}
	return b.String()
}

// missing says what was left out of a section.
func (s *section) missing(n int, where string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("\n_%s not shown%s_\n", plural(n, "more "+s.noun), where)
}

func (s *section) total() (n int) {
	for _, p := range s.pieces {
		n += p.count
	}
	return n
}

// take renders a section into at most room bytes; false where not even its
// heading and the note of what is missing fit.
func (s *section) take(room int, where string) (string, bool) {
	whole := s.opening() + s.open
	size := len(whole) + len(s.end)
	for _, p := range s.pieces {
		size += len(p.text)
	}
	if size <= room {
		var b strings.Builder
		b.Grow(size)
		b.WriteString(whole)
		for _, p := range s.pieces {
			b.WriteString(p.text)
		}
		b.WriteString(s.end)
		return b.String(), true
	}
	total := s.total()
	reserve := len(s.missing(total, where))
	head := s.opening()
	if len(head)+reserve > room {
		return "", false
	}
	var b strings.Builder
	b.WriteString(head)
	left := room - reserve - len(head) - len(s.open) - len(s.end)
	shown, opened := 0, false
	for _, p := range s.pieces {
		if len(p.text) > left {
			break
		}
		if !opened {
			b.WriteString(s.open)
			opened = true
		}
		b.WriteString(p.text)
		left -= len(p.text)
		shown += p.count
	}
	if opened {
		b.WriteString(s.end)
	}
	b.WriteString(s.missing(total-shown, where))
	return b.String(), true
}

// render is the document in at most limit bytes.
func (d *document) render(limit int, moreLink string) string {
	where, more := "", ""
	if moreLink != "" {
		where = ": see the whole report"
		more = "\n[The whole report](" + escapeLink(moreLink) + ")\n"
	}
	head := d.head()
	foot := more + d.foot
	if len(head)+len(foot) > limit {
		foot = more
	}
	if len(head)+len(foot) > limit {
		head, foot = d.title+"\n", ""
		if len(head)+len(more) <= limit {
			foot = more
		}
	}
	if len(head) > limit {
		return cut(plainMarkdown(d.title), limit)
	}
	room := limit - len(head) - len(foot)
	// Each section is sure of its heading and of a note; then they share what is
	// left in the order of their rank.
	texts := make([]string, len(d.sections))
	least := make([]int, len(d.sections))
	for i := range d.sections {
		s := &d.sections[i]
		least[i] = len(s.opening()) + len(s.missing(s.total(), where))
	}
	for rank := range ranks {
		for i := range d.sections {
			if d.sections[i].rank != rank {
				continue
			}
			kept := 0
			for j := range d.sections {
				if j != i && texts[j] == "" && d.sections[j].rank >= rank {
					kept += least[j]
				}
			}
			text, ok := d.sections[i].take(max(room-kept, min(room, least[i])), where)
			if ok {
				texts[i] = text
				room -= len(text)
			}
		}
	}
	return head + strings.Join(texts, "") + foot
}

// ranks is how many ranks there are.
const ranks = 8

func (d *document) head() string {
	var b strings.Builder
	b.WriteString(d.title + "\n")
	for _, text := range d.lead {
		b.WriteString("\n" + text + "\n")
	}
	return b.String()
}

// parts is the whole document in as many texts as it takes, none over limit.
func (d *document) parts(limit int) []string {
	if whole := d.render(1<<62, ""); len(whole) <= limit {
		return []string{whole}
	}
	// The number of parts is known only at the end; its digits need room before.
	part := func(n int) string { return fmt.Sprintf("%s (part %d of %s)\n", d.title, n, "9999") }
	if len(part(9999))+minimumPart > limit {
		return []string{d.render(limit, "")}
	}
	p := parter{limit: limit, start: func(n int) string { return part(n) }}
	p.begin()
	for _, text := range d.lead {
		if !p.fits(len(text) + 2) {
			p.next()
		}
		p.write("\n" + text + "\n")
	}
	for i := range d.sections {
		p.section(&d.sections[i])
	}
	if !p.fits(len(d.foot)) {
		p.next()
	}
	if p.fits(len(d.foot)) {
		p.write(d.foot)
	}
	p.done = append(p.done, p.b.String())
	for i := range p.done {
		p.done[i] = strings.Replace(p.done[i], " of 9999)\n", fmt.Sprintf(" of %d)\n", len(p.done)), 1)
	}
	return p.done
}

// minimumPart is the least that a part must hold beside its heading; no piece
// with what goes around it is longer.
const minimumPart = 6000

// parter fills one part after the other.
type parter struct {
	limit int
	start func(int) string
	b     strings.Builder
	done  []string
}

func (p *parter) begin()          { p.b.WriteString(p.start(len(p.done) + 1)) }
func (p *parter) fits(n int) bool { return p.b.Len()+n <= p.limit }
func (p *parter) write(s string)  { p.b.WriteString(s) }

func (p *parter) next() {
	p.done = append(p.done, p.b.String())
	p.b.Reset()
	p.begin()
}

// section writes a section, which goes on in the next part where it must.
func (p *parter) section(s *section) {
	first := 0
	if len(s.pieces) > 0 {
		first = len(s.pieces[0].text)
	}
	if !p.fits(len(s.opening()) + len(s.open) + first + len(s.end)) {
		p.next()
	}
	p.write(s.opening())
	open := false
	for _, piece := range s.pieces {
		if open && !p.fits(len(piece.text)+len(s.end)) {
			p.write(s.end)
			p.next()
			p.write("\n") // ends the heading's paragraph
			open = false
		}
		if !open {
			p.write(s.open)
			open = true
		}
		p.write(piece.text)
	}
	if open {
		p.write(s.end)
	}
}

// escapeLink is an address inside a Markdown link.
func escapeLink(address string) string {
	return strings.NewReplacer("(", "%28", ")", "%29", " ", "%20", "<", "%3C", ">", "%3E", "\n", "", "\\", "%5C",
		"`", "%60", "|", "%7C").Replace(address)
}

// plainMarkdown is a heading without its marks.
func plainMarkdown(title string) string {
	return strings.NewReplacer("#", "", "`", "", "*", "", "<code>", "", "</code>", "").Replace(title)
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
