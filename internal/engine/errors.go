package engine

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// PolicyError says that mandatory policies refused the stack.
type PolicyError struct {
	// Violations are all findings, advisory ones too.
	Violations []report.Violation
}

// Error names each mandatory finding.
func (e *PolicyError) Error() string {
	var lines []string
	for _, v := range e.Violations {
		if v.Level == "mandatory" {
			lines = append(lines, "  "+v.Policy+": "+strings.ReplaceAll(v.Message, "\n", "\n    "))
		}
	}
	sort.Strings(lines)
	return fmt.Sprintf("refused by %d policy findings:\n%s", len(lines), strings.Join(lines, "\n"))
}

// ChangesError says that something would change where nothing may.
type ChangesError struct {
	// Where is the operation, such as second-up.
	Where string
	// What names the resources or objects, one a line.
	What []string
}

// Error lists what would change.
func (e *ChangesError) Error() string {
	return e.Where + ":\n  " + strings.Join(e.What, "\n  ")
}

// OperationError is a failed operation of the engine. Its message is made from
// the engine's error events; the engine's raw output is not in it, because that
// may hold more than people should see.
type OperationError struct {
	// Name is the operation, such as up.
	Name string
	// Messages are the errors, with the resource they belong to.
	Messages []string
	// Cause is what the Automation API returned.
	cause error
}

// Error lists the engine's error messages.
func (e *OperationError) Error() string {
	if len(e.Messages) == 0 {
		return e.Name + " failed without a message of the engine"
	}
	return e.Name + " failed:\n  " + strings.Join(e.Messages, "\n  ")
}

// Unwrap lets errors.Is find what caused it. The cause's own text stays hidden.
func (e *OperationError) Unwrap() error { return e.cause }

// Explain turns what the Automation API returned for a finished operation into
// an error of this project: nil, a cancelled context, a policy's refusal or a
// failed operation with the engine's own messages.
func Explain(o *report.Operation, redact func(string) string, cause, cancelled error) error {
	switch {
	case cause == nil:
		return nil
	case cancelled != nil:
		return fmt.Errorf("%s was interrupted: %w", o.Name, cancelled)
	case o.Refused():
		return &PolicyError{Violations: o.Violations()}
	}
	e := &OperationError{Name: o.Name, cause: hiddenError{cause}}
	for _, d := range WithoutEchoes(o.Errors()) {
		text := d.Message
		if name := shortURN(d.URN); name != "" {
			text = name + ": " + text
		}
		e.Messages = append(e.Messages, strings.ReplaceAll(text, "\n", "\n    "))
	}
	if len(e.Messages) == 0 {
		e.Messages = []string{redact(tail(cause.Error(), 20))}
	}
	return e
}

// WithoutEchoes leaves out what is said only because something else failed, and
// what an update that is held to a plan says of every step that another failure
// kept it from.
func WithoutEchoes(all []report.Diagnostic) (told []report.Diagnostic) {
	for _, d := range all {
		if !IsEcho(d.Message) {
			told = append(told, d)
		}
	}
	if len(told) == 0 {
		return all
	}
	return told
}

// IsEcho tells such a message.
func IsEcho(message string) bool {
	switch strings.TrimSpace(message) {
	case "preview failed", "update failed":
		return true
	}
	return strings.Contains(message, "expected resource operations for ") && strings.Contains(message, " but none were seen")
}

// hiddenError stands for an error whose text nobody may see: errors.Is still
// finds what it was, and nothing leads to the text.
type hiddenError struct{ hidden error }

func (hiddenError) Error() string          { return "the engine failed" }
func (hiddenError) GoString() string       { return "the engine failed" }
func (h hiddenError) Is(target error) bool { return errors.Is(h.hidden, target) }

// ConflictError says that another update of the same stack is running.
type ConflictError struct {
	// Stack is the stack's name.
	Stack string
	// Here tells that the other one runs in this process.
	Here bool
	// Holders say who holds the backend's lock, where it tells.
	Holders []string
}

// Error says who is at work and what to do.
func (e *ConflictError) Error() string {
	if e.Here {
		return fmt.Sprintf("another update of stack %s runs in this process; wait for it, or cancel it", e.Stack)
	}
	text := fmt.Sprintf("stack %s is locked by another update; wait for it, or, when its process is dead, "+
		"run `deepgram-stack recover --stack %s`", e.Stack, e.Stack)
	for _, holder := range e.Holders {
		text += "\n  " + holder
	}
	return text
}

// PendingOperation is an operation of which the engine does not know how it ended.
type PendingOperation struct {
	// Operation is what was under way: creating, updating, deleting …
	Operation string `json:"operation"`
	URN       string `json:"urn"`
	Type      string `json:"type"`
	Name      string `json:"name"`
}

// PendingOperationsError says that an earlier update was killed while it waited
// for the cloud, so that nobody knows whether some resources exist.
type PendingOperationsError struct {
	Stack      string
	Operations []PendingOperation
}

// Error names each and says what to do.
func (e *PendingOperationsError) Error() string {
	lines := make([]string, 0, len(e.Operations))
	for _, o := range e.Operations {
		lines = append(lines, fmt.Sprintf("  %s %s %s", o.Operation, report.ShortType(o.Type), o.Name))
	}
	return fmt.Sprintf("an update of stack %s was killed while it waited for the cloud; these may exist or not:\n%s\n"+
		"run `deepgram-stack recover --stack %s` before anything else", e.Stack, strings.Join(lines, "\n"), e.Stack)
}

var lockHolder = regexp.MustCompile(`created by .*`)

// conflict is the error of an operation that found the stack locked; nil where
// that was not why it failed.
func conflict(stack string, redact func(string) string, cause error) error {
	if !auto.IsConcurrentUpdateError(cause) {
		return nil
	}
	e := &ConflictError{Stack: stack}
	for _, holder := range lockHolder.FindAllString(cause.Error(), -1) {
		e.Holders = append(e.Holders, redact(holder))
	}
	return e
}

func shortURN(urn string) string {
	u, err := resource.ParseURN(urn)
	if err != nil {
		return ""
	}
	return report.ShortType(string(u.Type())) + " " + u.Name()
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}

// Said are the last lines of what the CLI said on standard error when a plain
// command of it failed, or the error's own text.
func Said(cause error) string {
	text := cause.Error()
	if _, after, found := strings.Cut(text, "\nstderr: "); found && strings.TrimSpace(after) != "" {
		text = after
	}
	return strings.TrimPrefix(tail(report.Plain(text), 12), "error: ")
}
