package stacks

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// What operations return and how they fail. errors.As finds each of the errors.
type (
	// Operation is the record of one operation of the engine.
	Operation = report.Operation
	// Resource is what an operation did, or would do, to one resource.
	Resource = report.Resource
	// Finding is what a policy found.
	Finding = report.Violation
	// Diagnostic is a message of the engine, a provider or the program.
	Diagnostic = report.Diagnostic

	// ConfigError is everything that is wrong with a configuration.
	ConfigError = config.Error
	// PolicyError says that mandatory policies refused the stack.
	PolicyError = engine.PolicyError
	// ConflictError says that another update of the same stack is running.
	ConflictError = engine.ConflictError
	// PendingOperation is an operation of which nobody knows how it ended.
	PendingOperation = engine.PendingOperation
	// PendingOperationsError says that an earlier update was killed in the middle.
	PendingOperationsError = engine.PendingOperationsError
	// ChangesError says that something differs where nothing may.
	ChangesError = engine.ChangesError
	// OperationError is a failed operation, with the engine's messages.
	OperationError = engine.OperationError
)

// ErrNoStack says that the stack does not exist in the backend.
var ErrNoStack = errors.New("the stack does not exist")

// ErrDeclined says that whoever was asked did not want the update.
var ErrDeclined = errors.New("declined: nothing was changed")

// OptionsError says what is wrong with the Options of a Deployer, all at once.
type OptionsError struct{ Problems []error }

func optionsError(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	return &OptionsError{Problems: problems}
}

// Error lists the problems.
func (e *OptionsError) Error() string {
	return "deployer: " + strings.ReplaceAll(errors.Join(e.Problems...).Error(), "\n", "\ndeployer: ")
}

// Unwrap gives each problem.
func (e *OptionsError) Unwrap() []error { return e.Problems }

// Outputs are a stack's outputs by name. Secret ones are of type Secret; one that
// is no text is its JSON.
type Outputs map[string]any

// Plain are the outputs with "[secret]" in place of secrets.
func (o Outputs) Plain() map[string]any {
	plain := make(map[string]any, len(o))
	for name, value := range o {
		if secret, hidden := value.(Secret); hidden {
			value = secret.String()
		}
		plain[name] = value
	}
	return plain
}

func outputsOf(all auto.OutputMap) Outputs {
	outputs := make(Outputs, len(all))
	for name, output := range all {
		if !output.Secret {
			outputs[name] = output.Value
			continue
		}
		text, isText := output.Value.(string)
		if !isText {
			encoded, err := json.Marshal(output.Value)
			if err != nil {
				encoded = []byte("null")
			}
			text = string(encoded)
		}
		outputs[name] = NewSecret(text)
	}
	return outputs
}

// Result is what one operation did, or in a preview would do.
type Result struct {
	// Operation is its name: preview, up, refresh, destroy or drift.
	Operation string
	Stack     string
	// Changes counts resources by the engine's operation names.
	Changes map[string]int
	// Resources are all that the operation looked at, in the engine's order.
	Resources []Resource
	// Findings are those of all policies, and of those that judge a plan.
	Findings []Finding
	// Warnings are those of the engine, the providers and the program.
	Warnings []Diagnostic
	// Outputs are set by Up only.
	Outputs Outputs
	Seconds float64
	// Preview is what Up saw before it began.
	Preview *Result
	// Retained names what Destroy left in the cloud on purpose.
	Retained []string
	// Differences are what Drift and Refresh found in the cloud.
	Differences []Difference

	record *Operation
}

// Record is the whole record of the operation, for reports.
func (r *Result) Record() *Operation { return r.record }

// Changed counts the resources that were, or would be, changed in any way.
func (r *Result) Changed() int { return r.record.Changed() }

// String says in a line what happened.
func (r *Result) String() string { return strings.TrimSpace(report.StepLine(r.record)) }

// Format shows the fields for %+v, and else what String says. The record is left
// out: it is a live object.
func (r *Result) Format(f fmt.State, verb rune) {
	if verb != 'v' || !f.Flag('+') && !f.Flag('#') {
		_, _ = f.Write([]byte(r.String()))
		return
	}
	type plain Result
	shown := plain(*r)
	shown.record = nil
	_, _ = fmt.Fprintf(f, "%+v", shown)
}

// result makes a Result of a record.
func (d *Deployer) result(record *Operation) *Result {
	resources := record.Resources()
	for i := range resources {
		r := &resources[i]
		for _, inputs := range []*map[string]any{&r.Old, &r.New, &r.OldOutputs, &r.NewOutputs} {
			if *inputs != nil {
				*inputs = engine.RedactAll(d.hide, *inputs).(map[string]any)
			}
		}
	}
	return &Result{
		Operation: record.Name, Stack: d.o.Stack, Changes: record.Changes(), Resources: resources,
		Findings: record.Violations(), Warnings: record.Warnings(), Seconds: record.Seconds(), record: record,
	}
}
