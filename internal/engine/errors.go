package engine

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

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

// Unwrap gives the Automation API's error, so that errors.Is and errors.As find
// what caused it.
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
	for _, d := range o.Errors() {
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

// hiddenError keeps an error's identity and hides its text.
type hiddenError struct{ error }

func (hiddenError) Error() string   { return "the engine failed" }
func (h hiddenError) Unwrap() error { return h.error }

func shortURN(urn string) string {
	parts := strings.Split(urn, "::")
	if len(parts) < 4 {
		return ""
	}
	types := strings.Split(parts[2], "$")
	return report.ShortType(types[len(types)-1]) + " " + parts[len(parts)-1]
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}

// Redactor hides the given values wherever they appear in a text: as they are,
// as JSON and as base64. Values shorter than 6 characters are not looked for.
func Redactor(values []string) func(string) string {
	var pairs []string
	for _, value := range values {
		for _, form := range forms(value) {
			pairs = append(pairs, form, "[secret]")
		}
	}
	replacer := strings.NewReplacer(pairs...)
	return replacer.Replace
}

func forms(value string) []string {
	if len(value) < 6 {
		return nil
	}
	list := []string{value}
	if quoted, err := json.Marshal(value); err == nil && len(quoted) > 2 {
		if inner := string(quoted[1 : len(quoted)-1]); inner != value {
			list = append(list, inner)
		}
	}
	return append(list, base64.StdEncoding.EncodeToString([]byte(value)))
}
