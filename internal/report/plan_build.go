package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/deepgram-gke/deepgram-gke/internal/stateful"
)

// NewPlan makes the report of a preview.
func NewPlan(in PlanInput) *Plan {
	p := &Plan{
		Command: in.Command, Project: in.Project, Stack: in.Stack, Commit: in.Commit, Time: in.Time,
		Versions: in.Versions, Rehearsed: in.Rehearsed, redact: newRedactor(in.Secrets),
		Stateful: []StatefulChange{}, Changes: map[string]int{}, Components: []ComponentCount{}, Policy: []Violation{},
		Charts: []ChartDiff{}, Resources: []ResourceChange{},
	}
	for _, text := range []*string{
		&p.Command, &p.Project, &p.Stack, &p.Commit, &p.Versions.CLI, &p.Versions.Library, &p.Versions.Chart,
	} {
		*text = p.redact.text(*text)
	}
	var resources []Resource
	err := in.Err
	if in.Operation != nil {
		resources = in.Operation.Resources()
		if err == nil {
			err = in.Operation.Err()
		}
		for _, d := range in.Operation.Errors() {
			p.Diagnostics = append(p.Diagnostics, Message{URN: p.redact.text(d.URN), Text: p.redact.text(d.Message)})
		}
	} else if err == nil {
		err = errNothing
	}
	if err != nil {
		p.Error = p.redact.text(err.Error())
	}
	p.policy(in)
	p.resources(resources)
	for _, c := range in.Charts {
		p.Charts = append(p.Charts, p.redact.chart(c))
	}
	p.Capacity = p.redact.capacity(in.Capacity)
	p.judge(err)
	return p
}

// policy collects the findings, each once, mandatory first.
func (p *Plan) policy(in PlanInput) {
	var all []Violation
	if in.Operation != nil {
		all = in.Operation.Violations()
	}
	seen := map[Violation]bool{}
	for _, v := range append(all, in.Violations...) {
		level := v.Level
		if level != "mandatory" && level != "disabled" { // these two decide
			level = p.redact.text(level)
		}
		v = Violation{
			Policy: p.redact.text(v.Policy), Level: level, URN: p.redact.text(v.URN), Message: p.redact.text(plain(v.Message)),
		}
		if !seen[v] && v.Level != "disabled" {
			seen[v] = true
			p.Policy = append(p.Policy, v)
		}
	}
	slices.SortStableFunc(p.Policy, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(gravity(a.Level), gravity(b.Level)), cmp.Compare(a.Policy, b.Policy))
	})
}

func gravity(level string) int {
	if level == "mandatory" {
		return 0
	}
	return 1
}

// mandatory counts the findings that refuse the plan.
func (p *Plan) mandatory() (n int) {
	for _, v := range p.Policy {
		if v.Level == "mandatory" {
			n++
		}
	}
	return n
}

// changes tells whether an operation of the engine changes anything.
func changes(op string) bool {
	switch op {
	case "", "same", "read", "refresh", "read-replacement", "discard", "discard-replaced", "remove-pending-replace":
		return false
	}
	return true
}

// concerns tells whether a resource is something in a cloud or cluster: the
// engine's providers and the components are only bookkeeping.
func concerns(r Resource) bool { return r.Custom && !strings.HasPrefix(r.Type, "pulumi:") }

// resources makes counts, stateful changes and the full diff.
func (p *Plan) resources(resources []Resource) {
	byURN := make(map[string]*Resource, len(resources))
	for i := range resources {
		byURN[resources[i].URN] = &resources[i]
	}
	objections := map[string]bool{}
	for _, v := range p.Policy {
		if v.Policy == gatePolicy && v.Level == "mandatory" {
			objections[v.URN] = true
		}
	}
	counts := map[string]int{} // component → position
	for i := range resources {
		r := &resources[i]
		if !concerns(*r) {
			continue
		}
		component := componentOf(r, byURN)
		op := r.Op
		if !changes(op) {
			op = "same"
		}
		p.Changes[op]++
		at, known := counts[component.URN]
		if !known {
			at = len(p.Components)
			counts[component.URN] = at
			p.Components = append(p.Components, ComponentCount{
				Type: p.redact.text(ShortType(component.Type)), Name: p.redact.text(component.Name), Changes: map[string]int{},
			})
		}
		p.Components[at].Changes[op]++
		if op == "same" {
			continue
		}
		change := p.redact.resource(r)
		if known || component.URN != "" {
			change.Component = p.redact.text(component.Name)
		}
		p.Resources = append(p.Resources, change)
		if (op == "replace" || op == "delete") && stateful.Is(r.Type, r.Name) {
			s := StatefulChange{
				URN: change.URN, Type: change.Type, Name: change.Name, CloudName: change.CloudName, Op: op,
				Protected: r.Protect, Retained: r.Retain, Objected: objections[change.URN],
			}
			for _, f := range change.Fields {
				if f.Forces && op == "replace" {
					s.Forced = append(s.Forced, f)
				}
			}
			p.Stateful = append(p.Stateful, s)
		}
	}
	slices.SortStableFunc(p.Components, func(a, b ComponentCount) int { return cmp.Compare(b.changed(), a.changed()) })
}

func (c ComponentCount) changed() (n int) {
	for op, count := range c.Changes {
		if op != "same" {
			n += count
		}
	}
	return n
}

// componentOf is the component that a resource belongs to; its name is that of
// the stack where there is none.
func componentOf(r *Resource, byURN map[string]*Resource) Resource {
	for parent, steps := byURN[r.Parent], 0; parent != nil && steps < 100; parent, steps = byURN[parent.Parent], steps+1 {
		if !parent.Custom && parent.Type != "pulumi:pulumi:Stack" {
			return *parent
		}
	}
	return Resource{Type: "pulumi:pulumi:Stack", Name: "outside components"}
}

// judge comes to the verdict.
func (p *Plan) judge(err error) {
	mandatory := p.mandatory()
	var parts []string
	switch {
	case mandatory > 0:
		p.Verdict = VerdictPolicy
		parts = append(parts, "refused by policy: "+plural(mandatory, "mandatory finding"))
		if err != nil && len(p.Diagnostics) > 0 {
			parts = append(parts, "the preview failed, and may not show everything")
		}
	case err != nil:
		p.Verdict = VerdictFailed
		parts = append(parts, "the preview failed, and does not show everything")
	case len(p.Stateful) > 0:
		p.Verdict = VerdictDestructive
	case len(p.Resources) > 0:
		p.Verdict = VerdictSafe
		parts = append(parts, "safe: nothing stateful is replaced or deleted")
	default:
		p.Verdict = VerdictNoChange
		parts = append(parts, "no change")
	}
	if n := len(p.Stateful); n > 0 {
		parts = append(parts, "replaces or deletes "+plural(n, "stateful resource"))
	}
	p.Headline = strings.Join(parts, "; ")
	p.Headline = strings.ToUpper(p.Headline[:1]) + p.Headline[1:]
}

// resource is a resource's part of the full diff.
func (r *redactor) resource(in *Resource) ResourceChange {
	out := ResourceChange{
		URN: r.text(in.URN), Type: r.text(in.Type), Name: r.text(in.Name), CloudName: r.text(in.CloudName), Op: in.Op,
	}
	if out.CloudName == out.Name {
		out.CloudName = ""
	}
	for _, path := range in.Replaces {
		out.Replaces = append(out.Replaces, r.text(path))
	}
	var fields []FieldChange
	switch in.Op {
	case "create", "import":
		fields = DiffValues(map[string]any{}, orEmpty(in.New), false)
	case "delete":
		fields = DiffValues(orEmpty(in.Old), map[string]any{}, false)
	default:
		fields = DiffValues(orEmpty(in.Old), orEmpty(in.New), false)
		fields = append(fields, in.told(fields)...)
	}
	kubernetesSecret := in.Type == "kubernetes:core/v1:Secret"
	out.Fields = make([]FieldChange, 0, len(fields))
	for _, f := range fields {
		f.Forces = in.forces(f.Path)
		out.Fields = append(out.Fields, r.field(f, kubernetesSecret))
	}
	return out
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// forces tells whether a property forces the replacement.
func (r *Resource) forces(path string) bool {
	if r.Op != "replace" {
		return false
	}
	for _, forced := range r.Replaces {
		if under(path, forced) || under(forced, path) {
			return true
		}
	}
	return strings.HasSuffix(r.Detailed[path], "-replace")
}

// told are the changes that the provider names and the inputs do not show: those
// of secrets, which look alike, and of what the cloud decided.
func (r *Resource) told(shown []FieldChange) (more []FieldChange) {
	paths := append(slices.Clone(r.Replaces), r.Changes...)
	for path := range r.Detailed {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	covered := func(path string, by []FieldChange) bool {
		return slices.ContainsFunc(by, func(f FieldChange) bool { return under(f.Path, path) || under(path, f.Path) })
	}
	for _, path := range slices.Compact(paths) {
		if path == "" || strings.HasPrefix(path, "__") || covered(path, shown) || covered(path, more) {
			continue
		}
		f := FieldChange{Path: path, Change: Changed, Old: lookup(r.Old, path), New: lookup(r.New, path)}
		if same(f.Old, f.New) && !hasSecret(f.New) {
			if was := lookup(r.OldOutputs, path); was != nil {
				f.Old = was
			}
			if will := lookup(r.NewOutputs, path); f.New == nil && will != nil {
				f.New = will
			}
		}
		switch kind := r.Detailed[path]; {
		case strings.HasPrefix(kind, "add"):
			f.Change, f.Old = Added, nil
		case strings.HasPrefix(kind, "delete"):
			f.Change, f.New = Removed, nil
		case f.Old == nil && f.New == nil:
			// Named without a value, so that the reader knows at least where.
		case f.Old == nil:
			f.Change = Added
		case f.New == nil:
			f.Change = Removed
		}
		more = append(more, f)
	}
	return more
}

// hasSecret tells whether a value holds something that the engine hid.
func hasSecret(v any) bool {
	switch v := v.(type) {
	case string:
		return v == Hidden
	case []any:
		return slices.ContainsFunc(v, hasSecret)
	case map[string]any:
		for _, item := range v {
			if hasSecret(item) {
				return true
			}
		}
	}
	return false
}

func (r *redactor) chart(c ChartDiff) ChartDiff {
	c.Release, c.Namespace = r.text(c.Release), r.text(c.Namespace)
	for _, s := range []*ChartSource{&c.Old, &c.New} {
		s.Name, s.Version, s.From = r.text(s.Name), r.text(s.Version), r.text(s.From)
	}
	notes := make([]string, 0, len(c.Notes))
	for _, n := range c.Notes {
		notes = append(notes, r.text(n))
	}
	c.Notes = notes
	objects := make([]ObjectChange, 0, len(c.Objects))
	for _, o := range c.Objects {
		o.APIVersion, o.Kind, o.Name, o.Namespace = r.text(o.APIVersion), r.text(o.Kind), r.text(o.Name), r.text(o.Namespace)
		o.Hook, o.Effect = r.text(o.Hook), r.text(o.Effect)
		o.Fields = r.fields(o.Fields, o.Kind == "Secret")
		objects = append(objects, o)
	}
	c.Objects = objects
	c.Values = r.fields(c.Values, false)
	return c
}

func (r *redactor) fields(fields []FieldChange, kubernetesSecret bool) []FieldChange {
	list := make([]FieldChange, 0, len(fields))
	for _, f := range fields {
		list = append(list, r.field(f, kubernetesSecret))
	}
	return list
}

func (r *redactor) capacity(c *Capacity) *Capacity {
	if c == nil {
		return nil
	}
	figures := func(f *CapacityFigures) *CapacityFigures {
		if f == nil {
			return nil
		}
		hidden := *f
		hidden.GPUTypes, hidden.Items = slices.Clone(f.GPUTypes), slices.Clone(f.Items)
		for i := range hidden.GPUTypes {
			hidden.GPUTypes[i] = r.text(hidden.GPUTypes[i])
		}
		for i := range hidden.Items {
			hidden.Items[i].Name, hidden.Items[i].What = r.text(hidden.Items[i].Name), r.text(hidden.Items[i].What)
		}
		return &hidden
	}
	hidden := *c
	hidden.Prices = PriceSource{Date: r.text(c.Prices.Date), Region: r.text(c.Prices.Region), From: r.text(c.Prices.From)}
	hidden.Old, hidden.New = figures(c.Old), figures(c.New)
	hidden.Notes = slices.Clone(c.Notes)
	for i := range hidden.Notes {
		hidden.Notes[i] = r.text(hidden.Notes[i])
	}
	return &hidden
}

// total sums the plan up in a line, such as "1 to replace, 3 to update".
func (p *Plan) total() string {
	if p.Verdict == VerdictNoChange {
		return fmt.Sprintf("%s unchanged", plural(p.Changes["same"], "resource"))
	}
	return Counts(p.Changes, true)
}
