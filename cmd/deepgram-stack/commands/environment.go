package commands

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	deepgramgke "github.com/deepgram-gke/deepgram-gke"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// Environment are the flags of commands that work on a real environment.
type Environment struct {
	Stack           string
	Config          string
	Sets            []string
	Backend         string
	SecretsProvider string
	Pulumi          string
	PolicyPack      string
}

// flags adds the flags. Where stackNeeded, the environment must be named: what
// changes a cloud has no default.
func (e *Environment) flags(cmd *cobra.Command, stackNeeded bool) {
	f := cmd.Flags()
	if stackNeeded {
		f.StringVar(&e.Stack, "stack", "", "the environment, as in Pulumi.<stack>.yaml (required)")
	} else {
		f.StringVar(&e.Stack, "stack", deepgramgke.DefaultStack, "the environment, as in Pulumi.<stack>.yaml")
	}
	f.StringVar(&e.Config, "config", "", "read the configuration from this `file` instead of Pulumi.<stack>.yaml")
	f.StringArrayVar(&e.Sets, "set", nil, "change one key for this run, as `path=value` with a YAML value; may be repeated")
	f.StringVar(&e.Backend, "backend", "",
		"where the state is: file://, gs://, s3:// or the `address` of Pulumi Cloud (default: where `pulumi` is logged in)")
	f.StringVar(&e.SecretsProvider, "secrets-provider", "",
		"what encrypts the secrets of a new stack: passphrase, default, or a key such as gcpkms://…")
	f.StringVar(&e.Pulumi, "pulumi", "", "the Pulumi CLI to use (default: $PULUMI, else beside this program, else on PATH)")
	f.StringVar(&e.PolicyPack, "policy-pack", "",
		"the policy pack, a compiled file or a folder (default: $DEEPGRAM_POLICY_PACK, else deepgram-policy beside this program)")
}

// deployer opens the environment. Call the returned function at the end. tune may
// change the options; it may be nil.
func (e *Environment) deployer(ctx context.Context, s Streams, tune func(*stacks.Options)) (*stacks.Deployer, func(), error) {
	if e.Stack == "" {
		return nil, nil, usagef("--stack is missing: name the environment, as in Pulumi.<stack>.yaml")
	}
	dir, err := projectRoot()
	if err != nil {
		return nil, nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "Pulumi.yaml")); err != nil {
		return nil, nil, usagef("there is no Pulumi.yaml in %s or above: run this inside a project folder", dir)
	}
	pack, err := findPolicyPack(e.PolicyPack)
	if err != nil {
		return nil, nil, err
	}
	progress := report.NewProgress(s.Err, s.style(), s.Terminal, s.Height)
	o := stacks.Options{
		Stack: e.Stack, Dir: dir, ConfigFile: e.Config, Sets: e.Sets, Backend: e.Backend, SecretsProvider: e.SecretsProvider,
		Pulumi: e.Pulumi, PolicyPack: pack, Observe: progress.Start,
	}
	if tune != nil {
		tune(&o)
	}
	d, err := stacks.New(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	stop := endOnSecondSignal(ctx, d, s)
	return d, func() { stop(); _ = d.Close() }, nil
}

// endOnSecondSignal lets a second Ctrl-C abandon what the first one only asked to
// end.
func endOnSecondSignal(ctx context.Context, d *stacks.Deployer, s Streams) (stop func()) {
	done := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		_, _ = fmt.Fprintln(s.Err, "\ninterrupted: waiting for what is under way to end, and unlocking the stack; "+
			"interrupt once more to abandon it, which may leave things in the cloud that the stack does not know")
		again := make(chan os.Signal, 1)
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(again)
		select {
		case <-again:
			d.Cancel()
		case <-done:
		}
	})
	return func() { unwatch(); close(done) }
}

// acknowledgements reads --acknowledge.
func acknowledgements(flags []string) (map[string]string, error) {
	all := map[string]string{}
	var errs []error
	for _, flag := range flags {
		urn, reason, _ := strings.Cut(flag, "=")
		if urn = strings.TrimSpace(urn); urn == "" || strings.TrimSpace(reason) == "" {
			errs = append(errs, fmt.Errorf("--acknowledge %q has no reason; write it as URN=reason", flag))
			continue
		}
		all[urn] = strings.TrimSpace(reason)
	}
	if len(errs) > 0 {
		return nil, usageError{errors.Join(errs...)}
	}
	return all, nil
}

func acknowledgeFlag(cmd *cobra.Command, target *[]string, what string) {
	cmd.Flags().StringArrayVar(target, "acknowledge", nil, what+", as `URN=reason`; may be repeated")
}

// ask asks the person at the terminal.
func (s Streams) ask(question string) bool {
	_, _ = fmt.Fprintf(s.Err, "%s [yes/no] ", question)
	line, _ := bufio.NewReader(s.In).ReadString('\n')
	return slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(line)))
}

// warnings are told on standard error.
func (s Streams) warnings(result *stacks.Result) {
	if result == nil {
		return
	}
	told := map[string]bool{}
	for _, w := range result.Warnings {
		text := w.Message
		if w.URN != "" && !strings.Contains(w.URN, "pulumi:pulumi:Stack") {
			text = report.NameOf(w.URN) + ": " + text
		}
		if !told[text] {
			told[text] = true
			_, _ = fmt.Fprintln(s.Err, "warning: "+strings.ReplaceAll(text, "\n", "\n  "))
		}
	}
}

// outcome is what up, destroy and drift print as JSON.
type outcome struct {
	Stack       string              `json:"stack"`
	Operation   string              `json:"operation"`
	Changes     map[string]int      `json:"changes"`
	Seconds     float64             `json:"seconds"`
	Outputs     map[string]any      `json:"outputs,omitempty"`
	Policy      *findings           `json:"policy,omitempty"`
	Refused     []stacks.Refusal    `json:"refused,omitempty"`
	Retained    []string            `json:"retained,omitempty"`
	Differences []stacks.Difference `json:"differences,omitempty"`
	Note        string              `json:"note,omitempty"`
	Error       string              `json:"error,omitempty"`
}

type findings struct {
	Violations []stacks.Finding `json:"violations"`
}

func outcomeOf(stack, operation string, result *stacks.Result, err error) outcome {
	o := outcome{Stack: stack, Operation: operation, Changes: map[string]int{}}
	if result != nil {
		o.Operation, o.Changes, o.Seconds = result.Operation, result.Changes, result.Seconds
		o.Outputs, o.Retained, o.Differences = result.Outputs.Plain(), result.Retained, result.Differences
		if result.Findings != nil || operation == "up" {
			o.Policy = &findings{Violations: append([]stacks.Finding{}, result.Findings...)}
		}
	}
	var gate *stacks.GateError
	if errors.As(err, &gate) {
		o.Refused = gate.Refused
	}
	if err != nil {
		o.Error = err.Error()
	}
	return o
}

// environmentName is where an operation takes place, for messages.
func (e *Environment) where() string {
	if e.Backend == "" {
		return e.Stack
	}
	return e.Stack + " in " + e.Backend
}

// now is the time of a report.
func now() time.Time { return time.Now().UTC() }

// projectName is the name in the project's file; empty where there is none.
func projectName(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "Pulumi.yaml"))
	if err != nil {
		return ""
	}
	var project struct {
		Name string `json:"name"`
	}
	if yaml.Unmarshal(text, &project) != nil {
		return ""
	}
	return project.Name
}
