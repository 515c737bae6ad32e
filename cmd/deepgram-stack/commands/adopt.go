package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/internal/adoption"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// AdoptOptions are the flags of `deepgram-stack adopt`.
type AdoptOptions struct {
	Streams Streams
	Stack   string
	Config  string
	Sets    []string
	Pulumi  string
	Dir     string
	IDs     []string
	Skip    []string
	Output  string
}

func newAdopt(streams Streams, run func(context.Context, *AdoptOptions) error) *cobra.Command {
	o := &AdoptOptions{Streams: streams}
	if run == nil {
		run = adopt
	}
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Plan how an environment made by hand along the guide comes under the stack",
		Long: "Plan how an environment that was made by hand along the guide comes under the stack: what must change\n" +
			"first, the import files for `pulumi import --file` with every id, and the order to do it in. It needs the\n" +
			"configuration alone and asks no cloud: the program is rehearsed to learn what it would make.\n\n" +
			"Names come from the configuration; say there what yours are called. What no key names is given with --id,\n" +
			"and what was not made by hand is left out with --skip: the next up makes it.",
		Example: "  deepgram-stack adopt --stack prod --dir adopt-prod\n" +
			"  deepgram-stack adopt --stack prod --dir adopt-prod --skip ingress-proxy-firewall --output json",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", o.Output, "text", "json"); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Stack, "stack", "", "the environment, as in Pulumi.<stack>.yaml (required)")
	f.StringVar(&o.Config, "config", "", "read the configuration from this `file` instead of Pulumi.<stack>.yaml")
	f.StringArrayVar(&o.Sets, "set", nil, "change one key for this run, as `path=value` with a YAML value; may be repeated")
	f.StringVar(&o.Pulumi, "pulumi", "", "the Pulumi CLI to use (default: $PULUMI, else beside this program, else on PATH)")
	f.StringVar(&o.Dir, "dir", "", "write the import files into this `folder`, which is made; without it only the plan is shown")
	f.StringArrayVar(&o.IDs, "id", nil, "import this resource under another id, as `NAME=ID` with its logical name; may be repeated")
	f.StringArrayVar(&o.Skip, "skip", nil, "do not import the resource with this logical `name`; may be repeated")
	f.StringVar(&o.Output, "output", "text", "text or json")
	return cmd
}

func adopt(ctx context.Context, o *AdoptOptions) error {
	options := adoption.Options{IDs: map[string]string{}, Skip: o.Skip, Dir: filepath.ToSlash(o.Dir)}
	for _, flag := range o.IDs {
		name, id, found := strings.Cut(flag, "=")
		if !found || name == "" || id == "" {
			return usagef("--id %q has no id; write it as NAME=ID", flag)
		}
		options.IDs[name] = id
	}
	if o.Stack == "" {
		return usagef("--stack is missing: name the environment, as in Pulumi.<stack>.yaml")
	}
	if err := freeForImportFiles(o.Dir); err != nil {
		return err
	}
	plan, err := o.plan(ctx, options)
	if err != nil {
		return err
	}
	if o.Dir != "" {
		if err := writeImportFiles(o.Dir, plan); err != nil {
			return err
		}
	}
	if o.Output == "json" {
		return writeJSON(o.Streams.Out, struct {
			*adoption.Plan
			Files map[string]adoption.ImportFile `json:"files"`
		}{plan, plan.Files})
	}
	var b strings.Builder
	tellPlan(&b, plan, o.Dir)
	_, err = io.WriteString(o.Streams.Out, b.String())
	return err
}

// plan rehearses the environment and plans from what it made.
func (o *AdoptOptions) plan(ctx context.Context, options adoption.Options) (*adoption.Plan, error) {
	tree, dir, err := readEnvironment(o.Stack, o.Config)
	if err != nil {
		return nil, err
	}
	if err := applySets(tree, o.Sets); err != nil {
		return nil, err
	}
	progress := report.NewProgress(o.Streams.Err, o.Streams.style(), o.Streams.Terminal, o.Streams.Height)
	s, err := rehearsal.Open(ctx, rehearsal.Options{
		Program: stacks.Run, Stack: o.Stack, Tree: tree, Dir: dir, Pulumi: o.Pulumi, Observe: progress.Start,
	})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if _, err := s.Up(ctx, rehearsal.StepUp); err != nil {
		return nil, fmt.Errorf("rehearsing, to learn what the program makes: %w", err)
	}
	text, err := s.Export(ctx)
	if err != nil {
		return nil, err
	}
	var state apitype.DeploymentV3
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, err
	}
	plan, err := adoption.Make(s.Config(), &state, options)
	if err != nil {
		return nil, usageError{err}
	}
	return plan, nil
}

// freeForImportFiles refuses a folder that has import files, before anything is
// done.
func freeForImportFiles(dir string) error {
	if dir == "" {
		return nil
	}
	for _, name := range []string{adoption.CloudFile, adoption.ClusterFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return usagef("--dir %s: has a file %s already, and nothing is overwritten; name another folder, or move the files away", dir, name)
		}
	}
	return nil
}

// writeImportFiles writes into a folder. Files that are there already may be worth
// something to somebody.
func writeImportFiles(dir string, plan *adoption.Plan) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var errs []error
	for name, content := range plan.Files {
		text, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return err
		}
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			errs = append(errs, fmt.Errorf("%w; name another --dir", err))
			continue
		}
		_, err = f.Write(append(text, '\n'))
		errs = append(errs, err, f.Close())
	}
	return errors.Join(errs...)
}

func tellPlan(b *strings.Builder, plan *adoption.Plan, dir string) {
	section := func(title string) { fmt.Fprintf(b, "\n%s\n", title) }
	fmt.Fprintf(b, "how %s comes under the stack; no cloud was asked\n", plan.Stack)
	for _, blocking := range []bool{true, false} {
		first := true
		for _, n := range plan.Notes {
			if n.Blocking != blocking {
				continue
			}
			if first {
				section(map[bool]string{true: "to be done first:", false: "to be known:"}[blocking])
				first = false
			}
			fmt.Fprintf(b, "  %s: %s\n", n.Subject, n.Text)
			for _, command := range n.Commands {
				fmt.Fprintf(b, "    %s\n", command)
			}
		}
	}
	section("imported, and what the first up then changes:")
	for _, i := range plan.Imported {
		change := i.Change
		if change == "" {
			change = "nothing"
		}
		fmt.Fprintf(b, "  %s %s\n    %s (guide %s): %s\n", report.ShortType(i.Type), i.Name, i.ID, i.Guide, change)
	}
	section("made by the first up:")
	for _, i := range plan.Created {
		fmt.Fprintf(b, "  %s %s\n", report.ShortType(i.Type), i.Name)
	}
	section("in this order:")
	for n, step := range plan.Steps {
		fmt.Fprintf(b, "  %d. %s\n", n+1, step.Title)
		for _, command := range step.Commands {
			fmt.Fprintf(b, "       %s\n", command)
		}
	}
	if dir == "" {
		b.WriteString("\ngive --dir FOLDER to have the import files written\n")
	} else {
		fmt.Fprintf(b, "\nthe import files are in %s; run the commands in the folder of the project\n", dir)
	}
}
