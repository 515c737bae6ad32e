package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// row is one line of the table of capacity: what there is, what there will be,
// and the difference.
type row struct{ name, old, next, delta string }

func (c *Capacity) rows() []row {
	old, next := c.Old, c.New
	if old == nil {
		old = &CapacityFigures{}
	}
	if next == nil {
		next = &CapacityFigures{}
	}
	streams := "Streams at the configured rate"
	switch {
	case next.StreamsPerPod > 0 && old.StreamsPerPod > 0 && next.StreamsPerPod != old.StreamsPerPod:
		streams = fmt.Sprintf("Streams at %d, then %d an engine", old.StreamsPerPod, next.StreamsPerPod)
	case max(next.StreamsPerPod, old.StreamsPerPod) > 0:
		streams = fmt.Sprintf("Streams at %d an engine", max(next.StreamsPerPod, old.StreamsPerPod))
	}
	list := []row{
		rangeRow("Engine replicas", c, old.Engines, next.Engines),
	}
	if old.StreamsPerPod > 0 || next.StreamsPerPod > 0 {
		list = append(list, rangeRow(streams, c, old.Streams, next.Streams))
	}
	gpus := "GPUs"
	if types := merge(old.GPUTypes, next.GPUTypes); len(types) > 0 {
		gpus += " (" + strings.Join(types, ", ") + ")"
	}
	return append(list,
		rangeRow(gpus, c, old.GPUs, next.GPUs),
		rangeRow("Nodes", c, old.Nodes, next.Nodes),
		row{
			"US dollars a month", dollars(c.Old, old), dollars(c.New, next),
			spread(signedMoney(next.MonthlyMin-old.MonthlyMin), signedMoney(next.MonthlyMax-old.MonthlyMax)),
		},
	)
}

func merge(a, b []string) []string {
	list := append([]string(nil), a...)
	for _, s := range b {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func rangeRow(name string, c *Capacity, old, next Range) row {
	text := func(there bool, r Range) string {
		if !there {
			return "—"
		}
		return spread(strconv.Itoa(r.Min), strconv.Itoa(r.Max))
	}
	return row{
		name, text(c.Old != nil, old), text(c.New != nil, next),
		spread(signed(next.Min-old.Min), signed(next.Max-old.Max)),
	}
}

func dollars(there, f *CapacityFigures) string {
	if there == nil {
		return "—"
	}
	return spread(money(f.MonthlyMin), money(f.MonthlyMax))
}

// spread is from–to, or one of them where they are the same.
func spread(a, b string) string {
	switch {
	case a == b:
		return a
	case strings.ContainsAny(a, "+-±") || strings.ContainsAny(b, "+-±"):
		return a + " to " + b
	}
	return a + "–" + b
}

func signed(n int) string {
	if n == 0 {
		return "±0"
	}
	return fmt.Sprintf("%+d", n)
}

func signedMoney(n float64) string {
	switch rounded := math.Round(n); {
	case rounded == 0:
		return "±0"
	case rounded > 0:
		return "+" + money(n)
	default:
		return "-" + money(-n)
	}
}

// money is a sum in whole dollars with thousands set apart.
func money(n float64) string {
	text := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// terms say what the prices are, and what they leave out.
func (c *Capacity) terms() string {
	return fmt.Sprintf("List prices in US dollars of %s for %s (%s), 730 hours a month, before any discount; "+
		"network, load balancers, buckets, logs and Deepgram's licence are not in it.",
		c.Prices.Date, c.Prices.Region, c.Prices.From)
}

func (p *Plan) capacitySections() []section {
	c := p.Capacity
	if c == nil {
		return nil
	}
	s := section{
		heading: "### Capacity and cost", open: "| | now | after | change |\n|---|--:|--:|--:|\n", noun: "figure", rank: rankCapacity,
	}
	for _, r := range c.rows() {
		s.add("| " + cell(r.name, 200, escapeInline) + " | " + r.old + " | " + r.next + " | " + r.delta + " |\n")
	}
	items := section{
		lead: "<sub>" + cell(c.terms(), 600, escapeInline) + "</sub>\n",
		open: "<details><summary>What it is made of</summary>\n\n| | | now | after |\n|---|---|--:|--:|\n", end: "\n</details>\n",
		noun: "item", rank: rankCapacity,
	}
	for i, note := range c.Notes {
		if i == 10 {
			break
		}
		items.lead += "\n> " + cell(note, 300, escapeInline) + "\n"
	}
	for _, i := range c.items() {
		items.add("| " + cell(i.name, 200, code) + " | " + cell(i.what, 300, escapeInline) + " | " + i.old + " | " + i.next + " |\n")
	}
	return []section{s, items}
}

// costRow is one thing that costs money, before and after.
type costRow struct{ name, what, old, next string }

// items pairs what there is with what there will be, by name.
func (c *Capacity) items() (list []costRow) {
	price := func(i CostItem) string {
		if i.Unpriced {
			return "not in the table"
		}
		return spread(money(i.Min), money(i.Max))
	}
	before := map[string]CostItem{}
	if c.Old != nil {
		for _, i := range c.Old.Items {
			before[i.Name] = i
		}
	}
	if c.New != nil {
		for _, i := range c.New.Items {
			r := costRow{i.Name, i.What, "—", price(i)}
			if was, known := before[i.Name]; known {
				r.old = price(was)
				if was.What != i.What {
					r.what = was.What + " → " + i.What
				}
				delete(before, i.Name)
			}
			list = append(list, r)
		}
	}
	if c.Old != nil {
		for _, i := range c.Old.Items {
			if was, gone := before[i.Name]; gone {
				list = append(list, costRow{i.Name, was.What, price(was), "—"})
			}
		}
	}
	return list
}
