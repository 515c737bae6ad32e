package stacks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/stateful"
)

// rounds is how often Up looks again when it finds something that its preview
// could not know.
const rounds = 3

// PreviewOptions change a preview.
type PreviewOptions struct {
	// Acknowledge are reasons by URN for replacing or deleting what cannot be made
	// again, as in UpOptions.
	Acknowledge map[string]string
	// Refresh asks the cloud first what has become of everything.
	Refresh bool
}

// UpOptions change an update.
type UpOptions struct {
	// Acknowledge are reasons by URN for replacing or deleting what cannot be made
	// again: disks, journals, their buckets, the cluster.
	Acknowledge map[string]string
	// Refresh asks the cloud first what has become of everything.
	Refresh bool
	// Confirm is asked once the preview has passed policies and gate; false ends
	// the update with ErrDeclined. nil is yes.
	Confirm func(preview *Result) bool
	// Message is kept in the history of the stack.
	Message string
}

// Preview shows what Up would do and changes nothing; a stack that does not exist
// is made, empty. Policies judge the resources and the plan. The Result is there
// with an error of the operation, too. Errors: *ConfigError, *PolicyError,
// *AcknowledgementError, *ConflictError, *OperationError, *GateError where Up would
// be refused for what is protected, or the context's.
func (d *Deployer) Preview(ctx context.Context, o PreviewOptions) (*Result, error) {
	if err := checkAcknowledgements(o.Acknowledge); err != nil {
		return nil, err
	}
	ctx, stack, leave, err := d.enter(ctx, toPreview)
	if err != nil {
		return nil, err
	}
	defer leave()
	result, refused, protected, err := d.preview(ctx, stack, o, "")
	if err == nil && len(refused) > 0 {
		found := gateFindings(d.Config(), result.Resources, refused)
		result.record.Judged(found)
		result.Findings = result.record.Violations()
		if result.record.Refused() {
			err = &PolicyError{Violations: result.Findings}
			result.record.Finish(err)
		}
		for _, r := range refused {
			result.Warnings = append(result.Warnings, Diagnostic{
				Severity: "warning", URN: r.URN, Message: r.Why + "; up refuses that without an acknowledgement",
			})
		}
		ofProtected := slices.ContainsFunc(refused, func(r Refusal) bool {
			return slices.ContainsFunc(protected, func(p Refusal) bool { return p.URN == r.URN })
		})
		if err == nil && ofProtected {
			err = &GateError{Operation: "up", Refused: refused}
			result.record.Finish(err)
		}
	}
	d.ended(result, err)
	return result, err
}

// preview runs a preview, writes its plan where plan names a file, and judges it.
// protected is what the engine would not replace or delete: as long as there is
// something, there is no plan for an update.
func (d *Deployer) preview(
	ctx context.Context, stack *auto.Stack, o PreviewOptions, plan string,
) (result *Result, refused, protected []Refusal, err error) {
	file, err := d.configFile()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("preparing the configuration: %w", err)
	}
	result, err = d.run(ctx, "preview", 0, func(ctx context.Context, channel chan<- events.EngineEvent) error {
		options := []optpreview.Option{optpreview.EventStreams(channel), optpreview.SuppressOutputs()}
		if d.o.PolicyPack != "" {
			options = append(options, optpreview.PolicyPacks(d.o.PolicyPack))
		}
		if file != "" {
			options = append(options, optpreview.ConfigFile(file))
		}
		if plan != "" {
			options = append(options, optpreview.Plan(plan))
		}
		if o.Refresh {
			options = append(options, optpreview.Refresh())
		}
		_, err := stack.Preview(ctx, options...)
		return err
	})
	if err != nil {
		urns := locked(result.record)
		if len(urns) == 0 || ctx.Err() != nil || result.record.Refused() {
			return result, nil, nil, err
		}
		protected = unlock(result, urns, o.Acknowledge)
	}
	refused, found := judge(d.Config(), result.Resources, o.Acknowledge)
	for _, thing := range protected {
		i := slices.IndexFunc(refused, func(r Refusal) bool { return r.URN == thing.URN })
		switch {
		case i >= 0:
			refused[i] = thing
		case o.Acknowledge[thing.URN] == "":
			refused = append(refused, thing)
		}
	}
	slices.SortFunc(refused, func(a, b Refusal) int { return strings.Compare(a.URN, b.URN) })
	result.record.Judged(found)
	result.Findings = result.record.Violations()
	for _, urn := range unused(o.Acknowledge, result.Resources) {
		result.Warnings = append(result.Warnings, Diagnostic{
			Severity: "warning", URN: urn, Message: "this was acknowledged, but the plan neither replaces nor deletes it",
		})
	}
	err = nil
	if result.record.Refused() {
		err = &PolicyError{Violations: result.Findings}
		result.record.Finish(err)
	}
	return result, refused, protected, err
}

// Up previews with the policies, judges the plan, passes the gate for what cannot
// be made again, and deploys. What it then does is held to the plan that was
// judged: the engine refuses each step that is not in it, before it is done. Where
// a preview could not know everything, Up looks again and judges again, up to
// three times.
//
// What is protected stays so unless its URN is acknowledged; then its protection is
// lifted for this one update, and given back where the update is declined or fails.
//
// Errors, beside those of Preview: *GateError, *PendingOperationsError,
// ErrDeclined. The Result is nil where nothing was begun.
func (d *Deployer) Up(ctx context.Context, o UpOptions) (*Result, error) {
	if err := checkAcknowledgements(o.Acknowledge); err != nil {
		return nil, err
	}
	ctx, stack, leave, err := d.enter(ctx, toDeploy)
	if err != nil {
		return nil, err
	}
	defer leave()
	for round := 1; ; round++ {
		state, err := d.settledState(ctx)
		if err != nil {
			return nil, err
		}
		result, err := d.upOnce(ctx, stack, o, holdsState(state))
		if round == rounds || !leftThePlan(result) {
			return result, err
		}
		n := &narrator{d: d, name: "up"}
		n.tell(Event{Kind: EventDiagnostic, Diagnostic: &DiagnosticEvent{
			Severity: "info", Message: "the update met what its preview could not know; looking again, and judging again",
		}})
	}
}

// holdsState tells whether something is deployed that cannot be made again. Where
// nothing is, nothing can be lost, and an update need not be held to its plan: a
// plan knows too little of a first deployment, whose cluster does not exist yet.
func holdsState(state *apitype.DeploymentV3) bool {
	return slices.ContainsFunc(state.Resources, func(r apitype.ResourceV3) bool {
		return stateful.Is(string(r.Type), r.URN.Name())
	})
}

// upOnce previews, judges and deploys what was judged; held lets the engine
// refuse whatever is not in the plan.
func (d *Deployer) upOnce(ctx context.Context, stack *auto.Stack, o UpOptions, held bool) (_ *Result, err error) {
	plan := ""
	if held {
		folder, err := os.MkdirTemp(d.scratch, "plan-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder)
		plan = filepath.Join(folder, "plan.json")
	}
	var preview *Result
	for {
		var refused, protected []Refusal
		preview, refused, protected, err = d.preview(ctx, stack, PreviewOptions{Acknowledge: o.Acknowledge, Refresh: o.Refresh}, plan)
		if err == nil && len(refused) > 0 {
			err = &GateError{Operation: "up", Refused: refused}
			preview.record.Finish(err)
		}
		if preview != nil {
			d.ended(preview, err)
		}
		if err != nil {
			return preview, err
		}
		if len(protected) == 0 {
			break
		}
		restore, lerr := d.lift(ctx, protected, o.Acknowledge)
		if lerr != nil {
			return preview, lerr
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, restore())
			}
		}()
	}
	if o.Confirm != nil && !o.Confirm(preview) {
		return preview, ErrDeclined
	}
	file, err := d.configFile()
	if err != nil {
		return preview, fmt.Errorf("preparing the configuration: %w", err)
	}
	var outputs Outputs
	result, err := d.run(ctx, "up", len(preview.Resources), func(ctx context.Context, channel chan<- events.EngineEvent) error {
		options := []optup.Option{
			optup.EventStreams(channel), optup.SuppressOutputs(), optup.ShowSecrets(false),
		}
		if plan != "" {
			options = append(options, optup.Plan(plan))
		}
		if d.o.PolicyPack != "" {
			options = append(options, optup.PolicyPacks(d.o.PolicyPack))
		}
		if file != "" {
			options = append(options, optup.ConfigFile(file))
		}
		if o.Refresh {
			options = append(options, optup.Refresh())
		}
		if o.Message != "" {
			options = append(options, optup.Message(o.Message))
		}
		up, err := stack.Up(ctx, options...)
		outputs = outputsOf(up.Outputs)
		return err
	})
	result.Preview, result.Outputs = preview, outputs
	d.ended(result, err)
	return result, err
}

// leftThePlan tells an update that the engine stopped because a step was not in
// the plan.
func leftThePlan(result *Result) bool {
	if result == nil || result.Operation != "up" || result.record.Err() == nil {
		return false
	}
	for _, e := range result.record.Errors() {
		if strings.Contains(e.Message, "violates plan") {
			return true
		}
	}
	return false
}

// settledState is the stack's state, and an error where an earlier update was
// killed in the middle.
func (d *Deployer) settledState(ctx context.Context) (*apitype.DeploymentV3, error) {
	state, err := d.state(ctx)
	if err != nil {
		return nil, err
	}
	e := &PendingOperationsError{Stack: d.o.Stack}
	for _, p := range state.PendingOperations {
		if !p.Resource.Custom { // a component is in no cloud
			continue
		}
		e.Operations = append(e.Operations, engine.PendingOperation{
			Operation: string(p.Type), URN: string(p.Resource.URN), Type: string(p.Resource.Type), Name: p.Resource.URN.Name(),
		})
	}
	if len(e.Operations) == 0 {
		return state, nil
	}
	return nil, e
}

// Outputs are the outputs of the last update.
func (d *Deployer) Outputs(ctx context.Context) (Outputs, error) {
	ctx, stack, leave, err := d.enter(ctx, toRead)
	if err != nil {
		return nil, err
	}
	defer leave()
	all, err := stack.Outputs(ctx)
	if err != nil {
		return nil, d.explain(ctx, "reading the outputs", err)
	}
	return outputsOf(all), nil
}
