package rehearsal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

// Options say what is rehearsed.
type Options struct {
	// Program is the Pulumi program. Required.
	Program pulumi.RunFunc
	// Stack is the environment's name. Required.
	Stack string
	// Tree is the environment's configuration as it stands in its file, with
	// variations applied. Required.
	Tree config.Tree
	// Dir is the folder that files named in the configuration are relative to.
	Dir string
	// Destroy destroys at the end.
	Destroy bool
	// Pulumi is the path of the Pulumi CLI; empty finds one.
	Pulumi string
	// PolicyPack is the path of the policy pack; empty enforces none.
	PolicyPack string
	// Cloud is the pretended world; nil begins with an empty one.
	Cloud *standin.Cloud
	// Observe is called when an operation begins, and what it returns when it
	// has ended, with a line that sums it up. It may be nil.
	Observe func(*report.Operation) func(line string)
	// Sink receives every event of the engine; it may be nil.
	Sink func(events.EngineEvent)
}

// Step is one operation of a rehearsal.
type Step struct {
	Name    string         `json:"name"`
	Changes map[string]int `json:"changes"`
	Seconds float64        `json:"seconds"`
}

// Policy is what the policies found.
type Policy struct {
	Violations []report.Violation `json:"violations"`
}

// Result is what a rehearsal showed. Secrets are shown as "[secret]".
type Result struct {
	Stack string `json:"stack"`
	// Note says that no cloud was touched.
	Note      string         `json:"note"`
	Steps     []Step         `json:"steps"`
	Resources []Resource     `json:"resources"`
	Outputs   map[string]any `json:"outputs"`
	Policy    Policy         `json:"policy"`
	// Retained are the things that destroy leaves on purpose.
	Retained []string `json:"retained,omitempty"`

	// Operations are the records behind the steps.
	Operations []*report.Operation `json:"-"`
}

// Note is the reminder that every output of a rehearsal carries.
const Note = "rehearsal against stand-ins: no cloud was touched, and no cloud has accepted this"

// Steps of a rehearsal, by name.
const (
	StepPreview  = "preview"
	StepUp       = "up"
	StepSecondUp = "second-up"
	StepDestroy  = "destroy"
)

// Run rehearses. The result holds what was seen, also when an error is returned:
// *config.Error before anything starts, *engine.PolicyError, *engine.OperationError,
// *engine.ChangesError, or the context's error.
func Run(ctx context.Context, o Options) (*Result, error) {
	result := &Result{
		Stack: o.Stack, Note: Note, Steps: []Step{}, Resources: []Resource{}, Outputs: map[string]any{},
		Policy: Policy{Violations: []report.Violation{}},
	}
	cfg, err := rehearsalConfig(o.Stack, o.Tree, o.Dir)
	if err != nil {
		return result, err
	}
	r, err := begin(ctx, o, cfg, result)
	if err != nil {
		return result, err
	}
	defer r.end()
	return result, r.run(ctx)
}

// rehearsalConfig is the environment's configuration with every secret filled,
// validated as a whole.
func rehearsalConfig(stack string, tree config.Tree, dir string) (*config.Config, error) {
	cfg, err := config.FromTree(stack, tree, config.AllowMissingSecrets())
	if err != nil {
		return nil, err
	}
	if err := fillSecrets(cfg, dir); err != nil {
		return nil, err
	}
	if err := cfg.ResolveFiles(dir); err != nil {
		return nil, err
	}
	cfg.Complete()
	return cfg, cfg.Validate()
}

// rehearsal is one under way.
type rehearsal struct {
	Options
	cfg     *config.Config
	result  *Result
	folder  string
	servers *standin.Servers
	release func()
	stack   auto.Stack
	redact  func(string) string
}

func begin(ctx context.Context, o Options, cfg *config.Config, result *Result) (_ *rehearsal, err error) {
	r := &rehearsal{Options: o, cfg: cfg, result: result, redact: engine.Redactor(revealed(cfg)), release: func() {}}
	defer func() {
		if err != nil {
			r.end()
		}
	}()
	command, release, err := engine.Find(ctx, o.Pulumi)
	if err != nil {
		return nil, err
	}
	r.release = release
	if r.folder, err = os.MkdirTemp("", "deepgram-stack-rehearsal-"); err != nil {
		return nil, err
	}
	if r.Cloud == nil {
		r.Cloud = standin.NewCloud()
	}
	if r.servers, err = r.Cloud.Serve(ctx); err != nil {
		return nil, fmt.Errorf("starting the stand-in providers: %w", err)
	}
	if r.stack, err = r.createStack(ctx, command); err != nil {
		return nil, err
	}
	return r, nil
}

// end leaves nothing behind.
func (r *rehearsal) end() {
	if r.servers != nil {
		_ = r.servers.Close()
	}
	if r.folder != "" {
		_ = os.RemoveAll(r.folder)
	}
	r.release()
}

// revealed are the values that must not be seen in any message.
func revealed(cfg *config.Config) []string {
	var values []string
	for _, field := range cfg.Secrets() {
		if text := field.Secret.Reveal(); text != "" {
			values = append(values, text)
		}
	}
	return values
}

func (r *rehearsal) run(ctx context.Context) error {
	if err := r.step(ctx, StepPreview, r.preview); err != nil {
		return err
	}
	if err := r.step(ctx, StepUp, r.up); err != nil {
		return errors.Join(err, r.readBack(ctx))
	}
	second := r.step(ctx, StepSecondUp, r.up)
	if err := errors.Join(second, r.readBack(ctx)); err != nil {
		return err
	}
	if changed := r.last().Changed(); changed > 0 {
		return &engine.ChangesError{
			Where: "the second up changed something, which it must not; these are not stable",
			What:  changedNames(r.last()),
		}
	}
	if !r.Destroy {
		return nil
	}
	return r.destroyAll(ctx)
}

func (r *rehearsal) last() *report.Operation {
	return r.result.Operations[len(r.result.Operations)-1]
}

func changedNames(o *report.Operation) []string {
	var names []string
	for _, resource := range o.Resources() {
		if resource.Op != "same" {
			line := resource.Op + " " + report.ShortType(resource.Type) + " " + resource.Name
			if len(resource.Changes) > 0 {
				line += " (" + strings.Join(resource.Changes, ", ") + ")"
			}
			names = append(names, line)
		}
	}
	sort.Strings(names)
	return names
}

// step runs one operation, watched and recorded.
func (r *rehearsal) step(ctx context.Context, name string, run func(context.Context, chan<- events.EngineEvent) error) error {
	operation := report.NewOperation(name, r.redact)
	r.result.Operations = append(r.result.Operations, operation)
	finish := func(string) {}
	if r.Observe != nil {
		finish = r.Observe(operation)
	}
	channel, done := engine.Watch(func(event events.EngineEvent) {
		operation.Handle(event)
		if r.Sink != nil {
			r.Sink(event)
		}
	})
	cause := run(ctx, channel)
	done()
	err := engine.Explain(operation, r.redact, cause, ctx.Err())
	operation.Finish(err)
	finish(report.StepLine(operation))
	r.result.Steps = append(r.result.Steps, Step{Name: name, Changes: operation.Changes(), Seconds: operation.Seconds()})
	r.addViolations(operation.Violations())
	return err
}

// addViolations keeps each finding once: preview and up find the same.
func (r *rehearsal) addViolations(found []report.Violation) {
	known := map[report.Violation]bool{}
	for _, v := range r.result.Policy.Violations {
		known[v] = true
	}
	for _, v := range found {
		if !known[v] {
			known[v] = true
			r.result.Policy.Violations = append(r.result.Policy.Violations, v)
		}
	}
}

func (r *rehearsal) preview(ctx context.Context, channel chan<- events.EngineEvent) error {
	options := []optpreview.Option{optpreview.EventStreams(channel), optpreview.SuppressOutputs()}
	if r.PolicyPack != "" {
		options = append(options, optpreview.PolicyPacks(r.PolicyPack))
	}
	_, err := r.stack.Preview(ctx, options...)
	return err
}

func (r *rehearsal) up(ctx context.Context, channel chan<- events.EngineEvent) error {
	options := []optup.Option{optup.EventStreams(channel), optup.SuppressOutputs(), optup.ShowSecrets(false)}
	if r.PolicyPack != "" {
		options = append(options, optup.PolicyPacks(r.PolicyPack))
	}
	_, err := r.stack.Up(ctx, options...)
	return err
}

func (r *rehearsal) destroy(ctx context.Context, channel chan<- events.EngineEvent) error {
	_, err := r.stack.Destroy(ctx, optdestroy.EventStreams(channel), optdestroy.SuppressOutputs(), optdestroy.ShowSecrets(false))
	return err
}

// readBack puts the state into the result. A cancelled rehearsal has none to show.
func (r *rehearsal) readBack(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	state, err := r.stack.Export(ctx)
	if err != nil {
		return fmt.Errorf("reading the state back: %s", r.redact(err.Error()))
	}
	resources, outputs, err := readState(state)
	if err != nil {
		return err
	}
	r.result.Resources, r.result.Outputs = resources, outputs
	return nil
}

// projectFile is the path of a file in the rehearsal's own project folder.
func (r *rehearsal) projectFile(name string) string { return filepath.Join(r.folder, "project", name) }
