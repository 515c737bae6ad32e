package commands

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	deepgramgke "github.com/deepgram-gke/deepgram-gke"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// ValuesOptions are the flags of `deepgram-stack values`.
type ValuesOptions struct {
	Streams Streams
	Stack   string
	Config  string
	Sets    []string
	Pulumi  string
	Output  string
}

func newValues(streams Streams, run func(context.Context, *ValuesOptions) error) *cobra.Command {
	o := &ValuesOptions{Streams: streams}
	if run == nil {
		run = values
	}
	cmd := &cobra.Command{
		Use:   "values",
		Short: "Print the chart values of an environment, without deploying it",
		Long: "Print what an environment passes to the Deepgram chart. It is made by a rehearsal: nothing is deployed and\n" +
			"no credentials are needed; secrets are shown as [secret], and what only the cloud knows is made up.",
		Example: "  deepgram-stack values --stack prod-omi > values.yaml\n" +
			"  deepgram-stack values --stack dev --set scaling.auto=false --output json",
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
	f.StringVar(&o.Config, "config", "", "read the configuration from this `file` instead of Pulumi.<stack>.yaml")
	f.StringArrayVar(&o.Sets, "set", nil, "change one key, as `path=value` with a YAML value; may be repeated")
	f.StringVar(&o.Pulumi, "pulumi", "", "the Pulumi CLI to use (default: $PULUMI, else beside this program, else on PATH)")
	f.StringVar(&o.Output, "output", "text", "text (YAML) or json")
	return cmd
}

func values(ctx context.Context, o *ValuesOptions) error {
	tree, dir, err := readEnvironment(o.Stack, o.Config)
	if err != nil {
		return err
	}
	if err := applySets(tree, o.Sets); err != nil {
		return err
	}
	s, err := rehearsal.Open(ctx, rehearsal.Options{
		Program: stacks.Run, Stack: o.Stack, Tree: tree, Dir: dir, Pulumi: o.Pulumi,
	})
	if err != nil {
		return err
	}
	defer s.Close()
	_, _ = fmt.Fprintf(o.Streams.Err, "rehearsal of %s: no cloud is touched\n", o.Stack)
	if _, err := s.Up(ctx, rehearsal.StepUp); err != nil {
		return err
	}
	text, err := s.Result().ValuesYAML()
	if err != nil {
		return err
	}
	if o.Output == "json" {
		if text, err = yaml.YAMLToJSON(text); err != nil {
			return err
		}
		text = append(text, '\n')
	}
	_, err = o.Streams.Out.Write(text)
	return err
}
