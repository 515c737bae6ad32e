package stacks

import (
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"

	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of events.
const (
	// EventStarted begins an operation.
	EventStarted EventKind = "started"
	// EventResource tells of a step: Event.Resource.
	EventResource EventKind = "resource"
	// EventDiagnostic is a message of the engine, a provider or the program:
	// Event.Diagnostic.
	EventDiagnostic EventKind = "diagnostic"
	// EventPolicy is a finding of a policy: Event.Policy.
	EventPolicy EventKind = "policy"
	// EventProgress counts, after each step: Event.Progress.
	EventProgress EventKind = "progress"
	// EventEnded ends an operation: Event.Ended.
	EventEnded EventKind = "ended"
)

// Event is something that happened. The field that belongs to its kind is set,
// the others are nil. As JSON it can go to a browser as it is.
type Event struct {
	Kind  EventKind `json:"kind"`
	Time  time.Time `json:"time"`
	Stack string    `json:"stack"`
	// Operation is preview, up, refresh, destroy or drift.
	Operation string `json:"operation"`

	Resource   *ResourceEvent   `json:"resource,omitempty"`
	Diagnostic *DiagnosticEvent `json:"diagnostic,omitempty"`
	Policy     *Finding         `json:"policy,omitempty"`
	Progress   *ProgressEvent   `json:"progress,omitempty"`
	Ended      *EndedEvent      `json:"ended,omitempty"`
}

// ResourceEvent is a step on a resource.
type ResourceEvent struct {
	URN  string `json:"urn"`
	Type string `json:"type"`
	Name string `json:"name"`
	// Op is the engine's name of the step: create, update, same, replace, delete …
	Op string `json:"op"`
	// State is running, done or failed.
	State string `json:"state"`
	// Replaces are the properties that force a replacement.
	Replaces []string `json:"replaces,omitempty"`
}

// DiagnosticEvent is a message.
type DiagnosticEvent struct {
	// Severity is debug, info, warning or error.
	Severity string `json:"severity"`
	URN      string `json:"urn,omitempty"`
	Message  string `json:"message"`
}

// ProgressEvent counts the steps of an operation.
type ProgressEvent struct {
	Begun  int `json:"begun"`
	Done   int `json:"done"`
	Failed int `json:"failed"`
	// Expected is how many steps the preview foretold; 0 where there was none.
	Expected int `json:"expected,omitempty"`
}

// EndedEvent is how an operation ended.
type EndedEvent struct {
	// Changes counts resources by the engine's operation names.
	Changes map[string]int `json:"changes"`
	Seconds float64        `json:"seconds"`
	// Error is empty where the operation succeeded.
	Error string `json:"error,omitempty"`
}

// narrator makes events of what the engine tells of one operation.
type narrator struct {
	d        *Deployer
	name     string
	expected int
	progress ProgressEvent
}

func (n *narrator) tell(e Event) {
	if n.d.o.Events == nil {
		return
	}
	e.Time, e.Stack, e.Operation = time.Now(), n.d.o.Stack, n.name
	n.d.o.Events(e)
}

func (n *narrator) handle(event events.EngineEvent) {
	if n.d.o.Events == nil {
		return
	}
	switch {
	case event.ResourcePreEvent != nil:
		m := event.ResourcePreEvent.Metadata
		n.progress.Begun++
		n.step(m.URN, m.Type, string(m.Op), report.Running, m.Keys)
	case event.ResOutputsEvent != nil:
		m := event.ResOutputsEvent.Metadata
		n.progress.Done++
		n.step(m.URN, m.Type, string(m.Op), report.Done, m.Keys)
	case event.ResOpFailedEvent != nil:
		m := event.ResOpFailedEvent.Metadata
		n.progress.Failed++
		n.step(m.URN, m.Type, string(m.Op), report.Failed, m.Keys)
	case event.DiagnosticEvent != nil && !event.DiagnosticEvent.Ephemeral && !engine.IsEcho(event.DiagnosticEvent.Message):
		n.tell(Event{Kind: EventDiagnostic, Diagnostic: &DiagnosticEvent{
			Severity: event.DiagnosticEvent.Severity, URN: event.DiagnosticEvent.URN,
			Message: n.d.hide(report.Plain(event.DiagnosticEvent.Message)),
		}})
	case event.PolicyEvent != nil:
		n.tell(Event{Kind: EventPolicy, Policy: &Finding{
			Policy: event.PolicyEvent.PolicyName, Level: event.PolicyEvent.EnforcementLevel,
			URN: event.PolicyEvent.ResourceURN, Message: n.d.hide(report.Plain(event.PolicyEvent.Message)),
		}})
	}
}

func (n *narrator) step(urn, kind, op string, state report.State, replaces []string) {
	n.tell(Event{Kind: EventResource, Resource: &ResourceEvent{
		URN: urn, Type: kind, Name: report.NameOf(urn), Op: op, State: string(state), Replaces: replaces,
	}})
	progress := n.progress
	progress.Expected = n.expected
	n.tell(Event{Kind: EventProgress, Progress: &progress})
}
