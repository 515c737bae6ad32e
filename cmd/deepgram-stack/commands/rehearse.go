package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	deepgramgke "github.com/deepgram-gke/deepgram-gke"
	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// RehearseOptions are the flags of `deepgram-stack rehearse`.
type RehearseOptions struct {
	Streams    Streams
	Stack      string
	Config     string
	Sets       []string
	Destroy    bool
	Output     string
	Values     string
	Manifests  string
	Pulumi     string
	PolicyPack string
}

func newRehearse(streams Streams, run func(context.Context, *RehearseOptions) error) *cobra.Command {
	o := &RehearseOptions{Streams: streams}
	if run == nil {
		run = rehearse
	}
	cmd := &cobra.Command{
		Use:   "rehearse",
		Short: "Run the whole program on the real engine, against stand-ins, without a cloud",
		Long: "Run the whole program on the real Pulumi engine, with policies enforced, against stand-in providers\n" +
			"and a temporary backend: preview, up, and a second up that must change nothing. No cloud is touched,\n" +
			"no credentials are needed, and nothing is left behind. Secrets that are absent or encrypted get a\n" +
			"made-up value of the right shape.\n\n" +
			"A rehearsal shows what the program does. It is no claim that a cloud would accept it.",
		Example: "  deepgram-stack rehearse\n" +
			"  deepgram-stack rehearse --stack dev --destroy\n" +
			"  deepgram-stack rehearse --set pools.engine.machineType=g2-standard-16 --set gcp:zone=us-central1-b\n" +
			"  deepgram-stack rehearse --output json --values values.yaml --manifests manifests/",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", o.Output, "text", "json"); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Stack, "stack", deepgramgke.DefaultStack, "the environment, as in Pulumi.<stack>.yaml")
	f.StringVar(&o.Config, "config", "", "read the configuration from this file instead of Pulumi.<stack>.yaml")
	f.StringArrayVar(&o.Sets, "set", nil, "change one key, as `path=value` with a YAML value; may be repeated")
	f.BoolVar(&o.Destroy, "destroy", false, "destroy at the end, and show that only what is retained on purpose is left")
	f.StringVar(&o.Output, "output", "text", "text or json")
	f.StringVar(&o.Values, "values", "", "write what is passed to the chart to this `file`, as YAML")
	f.StringVar(&o.Manifests, "manifests", "", "write the Kubernetes objects of the program to this `folder`")
	f.StringVar(&o.Pulumi, "pulumi", "", "the Pulumi CLI to use (default: $PULUMI, else beside this program, else on PATH)")
	f.StringVar(&o.PolicyPack, "policy-pack", "",
		"the policy pack, a compiled file or a folder (default: $DEEPGRAM_POLICY_PACK, else deepgram-policy beside this program)")
	return cmd
}

func rehearse(ctx context.Context, o *RehearseOptions) error {
	tree, dir, err := readEnvironment(o.Stack, o.Config)
	if err != nil {
		return err
	}
	if err := applySets(tree, o.Sets); err != nil {
		return err
	}
	pack, err := findPolicyPack(o.PolicyPack)
	if err != nil {
		return err
	}
	style := o.Streams.style()
	progress := report.NewProgress(o.Streams.Err, style, o.Streams.Terminal, o.Streams.Height)
	_, _ = fmt.Fprintf(o.Streams.Err, "rehearsal of %s: no cloud is touched\n", o.Stack)
	result, err := rehearsal.Run(ctx, rehearsal.Options{
		Program: stacks.Run, Stack: o.Stack, Tree: tree, Dir: dir, Destroy: o.Destroy,
		Pulumi: o.Pulumi, PolicyPack: pack, Judge: stacks.JudgePlan, Observe: progress.Start,
	})
	var bad *config.Error
	if errors.As(err, &bad) || len(result.Steps) == 0 {
		return err
	}
	if len(result.Resources) > 0 {
		err = errors.Join(err, o.writeFiles(result))
	}
	if o.Output == "json" {
		return errors.Join(err, writeJSON(o.Streams.Out, result))
	}
	return errors.Join(err, writeRehearsal(o.Streams.Out, result, style))
}

// readEnvironment reads an environment's file: the one given, else
// Pulumi.<stack>.yaml of the project around the working folder, else, for the
// default environment, the text that this program carries.
func readEnvironment(stack, file string) (config.Tree, string, error) {
	if stack == "" {
		return nil, "", usagef("--stack must not be empty")
	}
	if file == "" {
		root, err := projectRoot()
		if err != nil {
			return nil, "", err
		}
		file = filepath.Join(root, "Pulumi."+stack+".yaml")
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) && stack == deepgramgke.DefaultStack {
			tree, err := config.ParseTree(deepgramgke.DefaultEnvironment)
			return tree, root, err
		}
	}
	tree, err := config.LoadTree(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, "", usagef("there is no file %s for the environment %q; name an existing one with --stack, or a file with --config", file, stack)
	}
	if err != nil {
		return nil, "", usageError{err}
	}
	return tree, filepath.Dir(file), nil
}

// projectRoot is the nearest folder upwards that has a Pulumi.yaml, else the
// working folder.
func projectRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "Pulumi.yaml")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return start, nil
		}
	}
}

func applySets(tree config.Tree, sets []string) error {
	var errs []error
	for _, set := range sets {
		path, value, found := strings.Cut(set, "=")
		if !found {
			errs = append(errs, fmt.Errorf("--set %q has no =; write it as path=value, such as pools.engine.maxNodes=12", set))
			continue
		}
		if err := tree.Set(path, value); err != nil {
			errs = append(errs, fmt.Errorf("--set %s: %w", path, err))
		}
	}
	if len(errs) > 0 {
		return usageError{errors.Join(errs...)}
	}
	return nil
}

// findPolicyPack is the pack to enforce. A rehearsal without policies would show
// less than what a real deployment meets, so there is no way to go without.
func findPolicyPack(path string) (string, error) {
	for _, given := range []string{path, os.Getenv("DEEPGRAM_POLICY_PACK")} {
		if given == "" {
			continue
		}
		if _, err := os.Stat(given); err != nil {
			return "", usagef("the policy pack %q: %w", given, err)
		}
		return filepath.Abs(given)
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	pack := filepath.Join(filepath.Dir(self), "deepgram-policy")
	if _, err := os.Stat(pack); err != nil {
		return "", usagef("no policy pack found: there is no deepgram-policy beside this program; run `make build`, or name one with --policy-pack")
	}
	return pack, nil
}

func (o *RehearseOptions) writeFiles(result *rehearsal.Result) error {
	var errs []error
	if o.Values != "" {
		text, err := result.ValuesYAML()
		if err == nil {
			err = os.WriteFile(o.Values, text, 0o644)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("writing --values %s: %w", o.Values, err))
		}
	}
	if o.Manifests != "" {
		if err := writeManifests(o.Manifests, result.Manifests()); err != nil {
			errs = append(errs, fmt.Errorf("writing --manifests %s: %w", o.Manifests, err))
		}
	}
	return errors.Join(errs...)
}

func writeManifests(dir string, files map[string]map[string]any) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, object := range files {
		text, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// writeRehearsal is what people see at the end.
func writeRehearsal(w io.Writer, result *rehearsal.Result, style report.Style) error {
	var b strings.Builder
	shown := shownOperation(result)
	if shown != nil {
		if err := report.Tree(&b, shown.Resources(), shown.Name == rehearsal.StepPreview, style); err != nil {
			return err
		}
	}
	report.Findings(&b, result.Policy.Violations, style)
	report.Outputs(&b, result.Outputs, style)
	b.WriteString("\n")
	for _, operation := range result.Operations {
		b.WriteString(" " + report.PaintStep(operation, style) + "\n")
	}
	if len(result.Retained) > 0 {
		b.WriteString("\nkept on purpose, and still there after destroy:\n")
		sort.Strings(result.Retained)
		for _, line := range result.Retained {
			b.WriteString("  " + line + "\n")
		}
	}
	b.WriteString("\n" + rehearsal.Note + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// shownOperation is the one whose tree tells most: up, or the preview where it
// did not come to that.
func shownOperation(result *rehearsal.Result) *report.Operation {
	var shown *report.Operation
	for _, operation := range result.Operations {
		if operation.Name == rehearsal.StepPreview || operation.Name == rehearsal.StepUp {
			shown = operation
		}
	}
	return shown
}
