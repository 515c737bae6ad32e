package report

import (
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// State is how far the work on a resource has come.
type State string

// The states a resource passes through.
const (
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
)

// Resource is what one operation did, or in a preview would do, to one resource.
type Resource struct {
	URN    string
	Type   string
	Name   string
	Parent string
	// CloudName is what the cloud or the cluster calls it, where that is known.
	CloudName string
	// Op is the engine's name of the operation: create, update, same, replace …
	Op    string
	State State
	// Custom is false for components.
	Custom bool
	// Protect and Retain say what keeps the resource from deletion.
	Protect, Retain bool
	Started, Ended  time.Time
	// Replaces are the properties that force a replacement.
	Replaces []string
	// Changes are the properties that change.
	Changes []string
	// Old and New are the inputs before and after; the engine has taken the
	// secrets out. nil where there is none.
	Old, New map[string]any
	// OldOutputs and NewOutputs are the outputs before and after, likewise.
	OldOutputs, NewOutputs map[string]any
	// Detailed says for each changed property how it changes, in the engine's
	// words: add, update, delete, add-replace … It may be nil.
	Detailed map[string]string
}

// Violation is one finding of a policy.
type Violation struct {
	Policy  string `json:"policy"`
	Level   string `json:"level"`
	URN     string `json:"urn"`
	Message string `json:"message"`
}

// Diagnostic is a message of the engine or of the program.
type Diagnostic struct {
	Severity string
	URN      string
	Message  string
}

// Operation records one operation of the engine from its events. It may be read
// while events still arrive.
type Operation struct {
	// Name is what people call it, such as preview or up.
	Name string

	mutex       sync.Mutex
	now         func() time.Time
	started     time.Time
	ended       time.Time
	order       []string
	resources   map[string]*Resource
	violations  []Violation
	diagnostics []Diagnostic
	changes     map[string]int
	err         error
	// redact hides known secrets in messages of the engine and of providers.
	redact func(string) string
}

// NewOperation starts a record. redact hides known secrets in the texts that
// the engine passes on; nil hides nothing.
func NewOperation(name string, redact func(string) string) *Operation {
	if redact == nil {
		redact = func(s string) string { return s }
	}
	return &Operation{
		Name: name, now: time.Now, started: time.Now(), redact: redact,
		resources: map[string]*Resource{},
	}
}

// Handle takes the next event.
func (o *Operation) Handle(event events.EngineEvent) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	switch {
	case event.ResourcePreEvent != nil:
		o.begin(event.ResourcePreEvent.Metadata)
	case event.ResOutputsEvent != nil:
		o.end(event.ResOutputsEvent.Metadata, Done)
	case event.ResOpFailedEvent != nil:
		o.end(event.ResOpFailedEvent.Metadata, Failed)
	case event.PolicyEvent != nil:
		o.violations = append(o.violations, Violation{
			Policy:  event.PolicyEvent.PolicyName,
			Level:   event.PolicyEvent.EnforcementLevel,
			URN:     event.PolicyEvent.ResourceURN,
			Message: o.redact(plain(event.PolicyEvent.Message)),
		})
	case event.DiagnosticEvent != nil:
		if event.DiagnosticEvent.Ephemeral {
			return
		}
		o.diagnostics = append(o.diagnostics, Diagnostic{
			Severity: event.DiagnosticEvent.Severity,
			URN:      event.DiagnosticEvent.URN,
			Message:  o.redact(plain(event.DiagnosticEvent.Message)),
		})
	case event.SummaryEvent != nil:
		o.changes = map[string]int{}
		for op, n := range event.SummaryEvent.ResourceChanges {
			o.changes[string(op)] = n
		}
	}
}

// operations that concern the engine's own bookkeeping and not the reader.
func internalStep(m apitype.StepEventMetadata) bool {
	return m.Op == "read-discard" || m.Op == "discard" || m.Op == "remove-pending-replace"
}

func (o *Operation) begin(m apitype.StepEventMetadata) {
	if internalStep(m) {
		return
	}
	r, known := o.resources[m.URN]
	if !known {
		r = &Resource{URN: m.URN, Type: m.Type, Name: nameOf(m.URN)}
		o.resources[m.URN] = r
		o.order = append(o.order, m.URN)
	}
	r.Op, r.State = foldOp(r.Op, string(m.Op)), Running
	if r.Started.IsZero() {
		r.Started = o.now()
	}
	if m.Old != nil {
		r.Old, r.OldOutputs = m.Old.Inputs, m.Old.Outputs
	}
	if m.New != nil {
		r.New, r.NewOutputs = m.New.Inputs, m.New.Outputs
	}
	if len(m.DetailedDiff) > 0 {
		r.Detailed = make(map[string]string, len(m.DetailedDiff))
		for path, diff := range m.DetailedDiff {
			r.Detailed[path] = string(diff.Kind)
		}
	}
	state := m.New
	if state == nil {
		state = m.Old
	}
	if state != nil {
		r.Parent, r.Custom = state.Parent, state.Custom
		r.Protect, r.Retain = state.Protect, state.RetainOnDelete
		if name := cloudName(state.Inputs); name != "" {
			r.CloudName = name
		}
	}
	if len(m.Keys) > 0 {
		r.Replaces = m.Keys
	}
	if len(m.Diffs) > 0 {
		r.Changes = m.Diffs
	}
}

// cloudName finds the name that people know a resource by among its inputs.
func cloudName(inputs map[string]any) string {
	if metadata, ok := inputs["metadata"].(map[string]any); ok {
		inputs = metadata
	}
	for _, key := range []string{"name", "accountId", "secretId", "service", "role", "repositoryId", "repository"} {
		if name, ok := inputs[key].(string); ok && name != "" && name != unknown {
			return name
		}
	}
	return ""
}

// unknown is the engine's placeholder for a text that a preview cannot know.
const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

// foldOp keeps the word that tells most, as one replacement comes as three steps.
func foldOp(before, next string) string {
	replacing := func(op string) bool {
		return op == "replace" || op == "create-replacement" || op == "delete-replaced"
	}
	if replacing(before) || replacing(next) {
		return "replace"
	}
	return next
}

func (o *Operation) end(m apitype.StepEventMetadata, state State) {
	r, known := o.resources[m.URN]
	if !known {
		return
	}
	r.State, r.Ended = state, o.now()
}

// Finish ends the record with the operation's error, or nil.
func (o *Operation) Finish(err error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.ended, o.err = o.now(), err
	if o.changes == nil {
		o.changes = map[string]int{}
	}
}

// Err is the error the operation ended with.
func (o *Operation) Err() error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.err
}

// Seconds is how long the operation took, or has taken so far.
func (o *Operation) Seconds() float64 {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	end := o.ended
	if end.IsZero() {
		end = o.now()
	}
	return end.Sub(o.started).Seconds()
}

// Changes counts resources by the engine's operation names.
func (o *Operation) Changes() map[string]int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	changes := make(map[string]int, len(o.changes))
	for op, n := range o.changes {
		changes[op] = n
	}
	return changes
}

// Changed counts the resources that were, or would be, changed in any way.
func (o *Operation) Changed() int {
	n := 0
	for op, count := range o.Changes() {
		switch op {
		case "same", "read", "refresh":
		default:
			n += count
		}
	}
	return n
}

// Violations are the policies' findings, in the order of the engine.
func (o *Operation) Violations() []Violation {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return append([]Violation(nil), o.violations...)
}

// Judged adds findings that were not made by the engine's policies.
func (o *Operation) Judged(found []Violation) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.violations = append(o.violations, found...)
}

// Refused tells whether a mandatory policy was violated.
func (o *Operation) Refused() bool {
	for _, v := range o.Violations() {
		if v.Level == "mandatory" {
			return true
		}
	}
	return false
}

// Errors are the engine's and the program's error messages.
func (o *Operation) Errors() []Diagnostic { return o.messages("error") }

// Reword turns error messages into warnings where say has better words for them;
// an empty text drops the message.
func (o *Operation) Reword(say func(Diagnostic) (text string, better bool)) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	kept := o.diagnostics[:0]
	for _, d := range o.diagnostics {
		if d.Severity == "error" {
			if text, better := say(d); better {
				d.Severity, d.Message = "warning", o.redact(text)
				if text == "" {
					continue
				}
			}
		}
		kept = append(kept, d)
	}
	o.diagnostics = kept
}

// Warnings are the engine's and the program's warnings.
func (o *Operation) Warnings() []Diagnostic { return o.messages("warning") }

func (o *Operation) messages(severity string) []Diagnostic {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	var found []Diagnostic
	for _, d := range o.diagnostics {
		if d.Severity == severity {
			found = append(found, d)
		}
	}
	return found
}

// Resources are copies of what is known of each resource, in the engine's order.
func (o *Operation) Resources() []Resource {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	list := make([]Resource, 0, len(o.order))
	for _, urn := range o.order {
		list = append(list, *o.resources[urn])
	}
	return list
}

// nameOf is the last part of a URN.
func nameOf(urn string) string {
	if i := strings.LastIndex(urn, "::"); i >= 0 {
		return urn[i+2:]
	}
	return urn
}

// plain takes the engine's colour marks out of a text.
func plain(text string) string {
	for {
		i := strings.Index(text, "<{%")
		if i < 0 {
			return strings.TrimSpace(text)
		}
		j := strings.Index(text[i:], "%}>")
		if j < 0 {
			return strings.TrimSpace(text)
		}
		text = text[:i] + text[i+j+3:]
	}
}
