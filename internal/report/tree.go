package report

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

// Style decides how a text for people looks.
type Style struct {
	// Color uses terminal colours.
	Color bool
	// Width is the terminal's width in columns; 0 means 100.
	Width int
}

const (
	green  = "32"
	yellow = "33"
	red    = "31"
	cyan   = "36"
	dim    = "2"
	bold   = "1"
)

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s Style) width() int {
	if s.Width <= 0 {
		return 100
	}
	return s.Width
}

// words for an operation: while it runs, when it is done, and in a preview.
var words = map[string][3]string{
	"create":  {"creating", "created", "to create"},
	"update":  {"updating", "updated", "to update"},
	"replace": {"replacing", "replaced", "to replace"},
	"delete":  {"deleting", "deleted", "to delete"},
	"same":    {"checking", "unchanged", "unchanged"},
	"read":    {"reading", "read", "to read"},
	"refresh": {"refreshing", "refreshed", "to refresh"},
	"import":  {"importing", "imported", "to import"},
}

func word(op string, index int) string {
	if w, known := words[op]; known {
		return w[index]
	}
	return op
}

// ShortType is a resource type as people say it: "compute Disk", "Secret",
// "Registry".
func ShortType(token string) string {
	parts := strings.Split(token, ":")
	if len(parts) != 3 {
		return token
	}
	kind := parts[2]
	switch {
	case parts[0] == "deepgram":
		return kind
	case parts[0] == "pulumi" && parts[1] == "providers":
		return "provider " + kind
	case parts[0] == "pulumi":
		return kind
	case parts[0] == "kubernetes" && parts[1] == "helm.sh/v3":
		return "Helm " + kind
	case parts[0] == "gcp":
		module, _, _ := strings.Cut(parts[1], "/")
		return module + " " + kind
	}
	return kind
}

// glyph is one column that says what happens to a resource.
func glyph(r Resource, preview bool, style Style) string {
	if r.State == Failed {
		return style.paint(red, "✗")
	}
	if r.State == Running && !preview {
		return style.paint(cyan, "●")
	}
	switch r.Op {
	case "create", "import":
		return style.paint(green, "+")
	case "update":
		return style.paint(yellow, "~")
	case "replace":
		return style.paint(red, "±")
	case "delete":
		return style.paint(red, "-")
	}
	return style.paint(dim, "·")
}

// node is a resource with its children, in the order of the engine.
type node struct {
	Resource
	children []*node
}

// forest puts resources under their parents; what has no known parent is a root.
func forest(resources []Resource) []*node {
	byURN := make(map[string]*node, len(resources))
	for _, r := range resources {
		byURN[r.URN] = &node{Resource: r}
	}
	var roots []*node
	for _, r := range resources {
		if parent, known := byURN[r.Parent]; known && r.Parent != r.URN {
			parent.children = append(parent.children, byURN[r.URN])
			continue
		}
		roots = append(roots, byURN[r.URN])
	}
	// The stack first: providers have no parent and come before it from the engine.
	sort.SliceStable(roots, func(i, j int) bool { return rank(roots[i]) < rank(roots[j]) })
	return roots
}

func rank(n *node) int {
	if n.Type == "pulumi:pulumi:Stack" {
		return 0
	}
	return 1
}

// Tree writes the resources of an operation as a tree of components with the
// state and the time of each. Providers, which are no part of anyone's
// deployment, are left out. preview says that nothing was done yet.
func Tree(w io.Writer, resources []Resource, preview bool, style Style) error {
	var b strings.Builder
	for _, root := range forest(resources) {
		if strings.HasPrefix(root.Type, "pulumi:providers:") {
			continue
		}
		root.write(&b, "", "", preview, style)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (n *node) write(b *strings.Builder, lead, below string, preview bool, style Style) {
	name := n.Name
	if n.CloudName != "" {
		name = n.CloudName
	}
	if n.Type == "pulumi:pulumi:Stack" {
		name = strings.TrimPrefix(name, "deepgram-stack-")
	}
	label := ShortType(n.Type)
	state := word(n.Op, 1)
	switch {
	case n.State == Failed:
		state = "failed"
	case preview:
		state = word(n.Op, 2)
	case n.State == Running:
		state = word(n.Op, 0)
	case n.Op == "delete" && n.Retain:
		state = "kept"
	}
	if !n.Custom {
		state = ""
		if n.State == Failed {
			state = "failed"
		}
	}
	marks := ""
	if n.Protect {
		marks += " protected"
	}
	if n.Retain {
		marks += " retained"
	}
	var seconds string
	if s := n.span(); s >= 0.05 && !preview {
		seconds = fmt.Sprintf("%5.1fs", s)
	}
	left := lead + glyphOrNone(n, preview, style)
	room := style.width() - columns(lead) - 2 - 26
	title := fit(label+"  "+name+marks, room)
	painted := title
	if !n.Custom {
		painted = style.paint(bold, title)
	} else if rest, ok := strings.CutPrefix(title, label); ok {
		painted = style.paint(dim, label) + rest
	}
	line := left + " " + painted + strings.Repeat(" ", max(1, room-columns(title)+1))
	line += style.paint(stateColor(n.Resource), fmt.Sprintf("%-12s", state)) + style.paint(dim, fmt.Sprintf("%8s", seconds))
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	if len(n.Replaces) > 0 && n.Op == "replace" {
		b.WriteString(below + "    " + style.paint(red, "forced by "+strings.Join(n.Replaces, ", ")) + "\n")
	}
	children := n.visible()
	for i, child := range children {
		branch, next := "├─", "│ "
		if i == len(children)-1 {
			branch, next = "└─", "  "
		}
		child.write(b, below+style.paint(dim, branch), below+style.paint(dim, next), preview, style)
	}
}

func (n *node) visible() []*node {
	var list []*node
	for _, child := range n.children {
		if !strings.HasPrefix(child.Type, "pulumi:providers:") {
			list = append(list, child)
		}
	}
	return list
}

func glyphOrNone(n *node, preview bool, style Style) string {
	if !n.Custom && n.State != Failed {
		return style.paint(cyan, "◆")
	}
	return glyph(n.Resource, preview, style)
}

// span is the time of a resource, and for a component that of its children from
// the first start to the last end.
func (n *node) span() float64 {
	start, end := n.Started, n.Ended
	if !n.Custom {
		n.bounds(&start, &end)
	}
	if start.IsZero() || end.IsZero() {
		return 0
	}
	return end.Sub(start).Seconds()
}

func stateColor(r Resource) string {
	if r.State == Failed {
		return red
	}
	switch r.Op {
	case "create", "import":
		return green
	case "update":
		return yellow
	case "replace", "delete":
		return red
	}
	return dim
}

// columns counts what a text takes on the screen, without colour codes.
func columns(text string) int {
	n := 0
	for len(text) > 0 {
		if strings.HasPrefix(text, "\x1b[") {
			if i := strings.IndexByte(text, 'm'); i >= 0 {
				text = text[i+1:]
				continue
			}
		}
		_, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		n++
	}
	return n
}

// fit shortens a text to the room there is.
func fit(text string, room int) string {
	if room < 8 {
		room = 8
	}
	if columns(text) <= room {
		return text
	}
	runes := []rune(text)
	return string(runes[:room-1]) + "…"
}

// Counts says in words what happened, such as "45 created, 2 unchanged".
func Counts(changes map[string]int, preview bool) string {
	index := 1
	if preview {
		index = 2
	}
	order := []string{"create", "import", "update", "replace", "delete", "read", "same"}
	var parts []string
	seen := map[string]bool{}
	// One replacement counts as up to three operations; one word is enough.
	folded := map[string]int{"replace": max(changes["replace"], changes["create-replacement"], changes["delete-replaced"])}
	for op, n := range changes {
		if op != "replace" && op != "create-replacement" && op != "delete-replaced" {
			folded[op] = n
		}
	}
	changes = folded
	add := func(op string) {
		if n := changes[op]; n > 0 && !seen[op] {
			seen[op] = true
			parts = append(parts, fmt.Sprintf("%d %s", n, word(op, index)))
		}
	}
	for _, op := range order {
		add(op)
	}
	rest := make([]string, 0, len(changes))
	for op := range changes {
		rest = append(rest, op)
	}
	sort.Strings(rest)
	for _, op := range rest {
		add(op)
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

// bounds widens start and end to those of all resources below.
func (n *node) bounds(start, end *time.Time) {
	for _, child := range n.children {
		if child.Custom {
			if start.IsZero() || (!child.Started.IsZero() && child.Started.Before(*start)) {
				*start = child.Started
			}
			if child.Ended.After(*end) {
				*end = child.Ended
			}
		}
		child.bounds(start, end)
	}
}

// StepLine sums an operation up in one line.
func StepLine(o *Operation) string {
	mark, what := "✓", Counts(o.Changes(), o.Name == "preview")
	switch {
	case o.Refused():
		mark, what = "✗", "refused by policy"
	case o.Err() != nil:
		mark, what = "✗", "failed"
	case o.Changed() == 0 && o.Name != "destroy":
		what = "nothing to change"
	}
	return fmt.Sprintf("%s %-10s %-44s %6.1fs", mark, o.Name, what, o.Seconds())
}

// PaintStep is StepLine with colours.
func PaintStep(o *Operation, style Style) string {
	line := StepLine(o)
	code := green
	if o.Err() != nil {
		code = red
	}
	mark, rest, _ := strings.Cut(line, " ")
	return style.paint(code, mark) + " " + rest
}

// Findings writes what policies found, mandatory first, each policy once with
// what it says below.
func Findings(b *strings.Builder, found []Violation, style Style) {
	if len(found) == 0 {
		return
	}
	b.WriteString("\npolicy findings\n")
	for _, level := range []string{"mandatory", "advisory"} {
		told := map[string]bool{}
		for _, v := range found {
			if v.Level != level || told[v.Policy] {
				continue
			}
			told[v.Policy] = true
			code := yellow
			if level == "mandatory" {
				code = red
			}
			// The engine puts the policy's description before what it found.
			description, _, described := strings.Cut(v.Message, "\n")
			b.WriteString("  " + style.paint(code, fmt.Sprintf("%-9s", level)) + "  " + style.paint(bold, v.Policy) + "\n")
			if described {
				b.WriteString(style.paint(dim, wrap(description, 13, style.width())) + "\n")
			}
			for _, other := range found {
				if other.Policy != v.Policy || other.Level != level {
					continue
				}
				message := strings.TrimPrefix(other.Message, description+"\n")
				text := wrap(message, 15, style.width())
				b.WriteString("             • " + strings.TrimLeft(text, " ") + "\n")
			}
		}
	}
}

// wrap breaks a text into lines of the given width, all indented.
func wrap(text string, indent, width int) string {
	lead := strings.Repeat(" ", indent)
	var lines []string
	for _, paragraph := range strings.Split(text, "\n") {
		line := lead
		for _, word := range strings.Fields(paragraph) {
			if columns(line)+1+columns(word) > width && line != lead {
				lines = append(lines, line)
				line = lead
			}
			if line != lead {
				line += " "
			}
			line += word
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// Outputs writes a stack's outputs, sorted by name.
func Outputs(b *strings.Builder, outputs map[string]any, style Style) {
	if len(outputs) == 0 {
		return
	}
	names := make([]string, 0, len(outputs))
	width := 0
	for name := range outputs {
		names = append(names, name)
		width = max(width, len(name))
	}
	sort.Strings(names)
	b.WriteString("\noutputs\n")
	for _, name := range names {
		b.WriteString("  " + style.paint(bold, fmt.Sprintf("%-*s", width, name)) + "  " + outputText(outputs[name], width+4) + "\n")
	}
}

func outputText(value any, indent int) string {
	switch v := value.(type) {
	case string:
		return v
	case map[string]any, []any:
		text, err := yaml.Marshal(v)
		if err == nil {
			return strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n"+strings.Repeat(" ", indent))
		}
	}
	return fmt.Sprint(value)
}
