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
	// Judge looks at the plan that a preview shows, which no policy of the engine
	// gets to see: what it would replace or delete. It may be nil.
	Judge func(*config.Config, []report.Resource) []report.Violation
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
	s, err := Open(ctx, o)
	if err != nil {
		return emptyResult(o.Stack), err
	}
	defer s.Close()
	return s.result, s.run(ctx)
}

func emptyResult(stack string) *Result {
	return &Result{
		Stack: stack, Note: Note, Steps: []Step{}, Resources: []Resource{}, Outputs: map[string]any{},
		Policy: Policy{Violations: []report.Violation{}},
	}
}

// FilledConfig is an environment's configuration with every secret that is absent
// or encrypted made up, validated as a whole. dir is what its files are relative
// to.
func FilledConfig(stack string, tree config.Tree, dir string) (*config.Config, error) {
	cfg, err := config.FromTree(stack, tree, config.AllowMissingSecrets())
	if err != nil {
		return nil, err
	}
	if err := fillSecrets(cfg, dir); err != nil {
		return nil, err
	}
	files := cfg.ResolveFiles(dir)
	cfg.Complete()
	return cfg, config.Join(files, cfg.Validate())
}

// Session is a stack in a place of its own, on which operations can be run one by
// one. Close leaves nothing of it.
type Session struct {
	Options
	cfg        *config.Config
	result     *Result
	folder     string
	passphrase string
	servers    *standin.Servers
	stack      auto.Stack
	redact     func(string) string
}

// Open validates the configuration and makes the stack. Nothing is started or
// written when the configuration is wrong; the error is then a *config.Error.
func Open(ctx context.Context, o Options) (_ *Session, err error) {
	cfg, err := FilledConfig(o.Stack, o.Tree, o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Session{
		Options: o, cfg: cfg, result: emptyResult(o.Stack),
		redact: engine.Redactor(engine.Revealed(cfg)),
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	command, err := engine.Find(ctx, o.Pulumi)
	if err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp("", "deepgram-stack-rehearsal-"); err != nil {
		return nil, err
	}
	if s.Cloud == nil {
		if s.Cloud, err = NewCloud(cfg); err != nil {
			return nil, fmt.Errorf("preparing the pretended cloud: %w", err)
		}
	}
	if s.servers, err = s.Cloud.Serve(ctx); err != nil {
		return nil, fmt.Errorf("starting the stand-in providers: %w", err)
	}
	if s.stack, err = s.createStack(ctx, command); err != nil {
		return nil, err
	}
	return s, nil
}

// Close leaves nothing behind.
func (s *Session) Close() {
	if s.servers != nil {
		_ = s.servers.Close()
	}
	if s.folder != "" {
		_ = os.RemoveAll(s.folder)
	}
}

// Config is the configuration with the secrets that were made up.
func (s *Session) Config() *config.Config { return s.cfg }

// Result is what was seen so far.
func (s *Session) Result() *Result { return s.result }

// Configure changes the stack's configuration. Made-up secrets stay as they were.
func (s *Session) Configure(ctx context.Context, tree config.Tree) error {
	cfg, err := config.FromTree(s.Stack, tree, config.AllowMissingSecrets())
	if err != nil {
		return err
	}
	keep(cfg, s.cfg)
	if err := fillSecrets(cfg, s.Dir); err != nil {
		return err
	}
	files := cfg.ResolveFiles(s.Dir)
	cfg.Complete()
	if err := config.Join(files, cfg.Validate()); err != nil {
		return err
	}
	s.cfg, s.redact = cfg, engine.Redactor(engine.Revealed(cfg))
	return s.writeConfig(ctx)
}

// Preview runs a preview.
func (s *Session) Preview(ctx context.Context) (*report.Operation, error) {
	operation, err := s.step(ctx, StepPreview, s.preview)
	if err != nil || s.Judge == nil {
		return operation, err
	}
	found := s.Judge(s.cfg, operation.Resources())
	s.addViolations(found)
	operation.Judged(found)
	if operation.Refused() {
		err = &engine.PolicyError{Violations: operation.Violations()}
		operation.Finish(err)
	}
	return operation, err
}

// Up runs an up under the given name.
func (s *Session) Up(ctx context.Context, name string) (*report.Operation, error) {
	operation, err := s.step(ctx, name, s.up)
	if ctx.Err() != nil {
		return operation, err // interrupted: there is no time to read the state
	}
	return operation, errors.Join(err, s.readBack(ctx))
}

// Cancel clears the lock and the pending operations that an interrupted update
// left, as `pulumi cancel` and `pulumi refresh --clear-pending-creates` do.
func (s *Session) Cancel(ctx context.Context) error { return s.stack.Cancel(ctx) }

// Export is the stack's state as the backend holds it.
func (s *Session) Export(ctx context.Context) ([]byte, error) {
	state, err := s.stack.Export(ctx)
	return state.Deployment, err
}

// Folder is where the session keeps its project, home and backend.
func (s *Session) Folder() string { return s.folder }

func (s *Session) run(ctx context.Context) error {
	if _, err := s.Preview(ctx); err != nil {
		return err
	}
	if _, err := s.Up(ctx, StepUp); err != nil {
		return err
	}
	second, err := s.Up(ctx, StepSecondUp)
	if err != nil {
		return err
	}
	if second.Changed() > 0 {
		return &engine.ChangesError{
			Where: "the second up changed something, which it must not; these are not stable",
			What:  changedNames(second),
		}
	}
	if !s.Options.Destroy {
		return nil
	}
	return s.Destroy(ctx)
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
func (s *Session) step(
	ctx context.Context, name string, run func(context.Context, chan<- events.EngineEvent) error,
) (*report.Operation, error) {
	operation, err := engine.Operation{
		Name: name, Stack: s.Stack, Redact: s.redact, Do: run, Handle: s.Sink,
		Begin: func(o *report.Operation) func(string) {
			s.result.Operations = append(s.result.Operations, o)
			if s.Observe == nil {
				return func(string) {}
			}
			return s.Observe(o)
		},
	}.Run(ctx)
	s.result.Steps = append(s.result.Steps, Step{Name: name, Changes: operation.Changes(), Seconds: operation.Seconds()})
	s.addViolations(operation.Violations())
	return operation, err
}

// addViolations keeps each finding once: preview and up find the same.
func (s *Session) addViolations(found []report.Violation) {
	known := map[report.Violation]bool{}
	for _, v := range s.result.Policy.Violations {
		known[v] = true
	}
	for _, v := range found {
		if !known[v] {
			known[v] = true
			s.result.Policy.Violations = append(s.result.Policy.Violations, v)
		}
	}
}

func (s *Session) preview(ctx context.Context, channel chan<- events.EngineEvent) error {
	options := []optpreview.Option{optpreview.EventStreams(channel), optpreview.SuppressOutputs()}
	if s.PolicyPack != "" {
		options = append(options, optpreview.PolicyPacks(s.PolicyPack))
	}
	_, err := s.stack.Preview(ctx, options...)
	return err
}

func (s *Session) up(ctx context.Context, channel chan<- events.EngineEvent) error {
	options := []optup.Option{optup.EventStreams(channel), optup.SuppressOutputs(), optup.ShowSecrets(false)}
	if s.PolicyPack != "" {
		options = append(options, optup.PolicyPacks(s.PolicyPack))
	}
	_, err := s.stack.Up(ctx, options...)
	return err
}

func (s *Session) destroy(ctx context.Context, channel chan<- events.EngineEvent) error {
	_, err := s.stack.Destroy(ctx, optdestroy.EventStreams(channel), optdestroy.SuppressOutputs(), optdestroy.ShowSecrets(false))
	return err
}

// readBack puts the state into the result.
func (s *Session) readBack(ctx context.Context) error {
	state, err := s.stack.Export(ctx)
	if err != nil {
		return fmt.Errorf("reading the state back: %s", s.redact(err.Error()))
	}
	resources, outputs, err := readState(state)
	if err != nil {
		return err
	}
	s.result.Resources, s.result.Outputs = resources, outputs
	return nil
}

// projectFile is the path of a file in the rehearsal's own project folder.
func (s *Session) projectFile(name string) string { return filepath.Join(s.Project(), name) }
