package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// DriftOptions are the flags of `deepgram-stack drift`.
type DriftOptions struct {
	Environment

	Streams Streams
	Output  string
}

func newDrift(streams Streams, run func(context.Context, *DriftOptions) error) *cobra.Command {
	o := &DriftOptions{Streams: streams}
	if run == nil {
		run = drift
	}
	cmd := &cobra.Command{
		Use:   "drift",
		Short: "Say where the cloud differs from the stack",
		Long: "Ask the cloud for everything that the stack manages and say where it differs. Nothing is changed, in the\n" +
			"cloud or in the state. Exit code 4 says that something differs.\n\n" + stacks.DriftNote,
		Example: "  deepgram-stack drift --stack prod\n  deepgram-stack drift --stack prod --output json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", o.Output, "text", "json"); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.flags(cmd, false)
	cmd.Flags().StringVar(&o.Output, "output", "text", "text or json")
	return cmd
}

func drift(ctx context.Context, o *DriftOptions) error {
	d, done, err := o.deployer(ctx, o.Streams, func(s *stacks.Options) { s.PolicyPack = "" })
	if err != nil {
		return err
	}
	defer done()
	result, err := d.Drift(ctx)
	o.Streams.warnings(result)
	if o.Output == "json" {
		out := outcomeOf(o.Stack, "drift", result, err)
		out.Note = stacks.DriftNote
		return errors.Join(err, writeJSON(o.Streams.Out, out))
	}
	if result == nil {
		return err
	}
	var b strings.Builder
	if err == nil {
		b.WriteString("the cloud is as the stack has it\n")
	}
	for _, difference := range result.Differences {
		b.WriteString(report.ShortType(difference.Type) + " " + difference.Name + "\n")
		if difference.Gone {
			b.WriteString("  is gone\n")
		}
		for _, f := range difference.Fields {
			fmt.Fprintf(&b, "  %s: %s, and the stack has %s\n", f.Path, stacks.Brief(f.Cloud), stacks.Brief(f.Stack))
		}
	}
	b.WriteString("\n" + stacks.DriftNote + "\n")
	_, writeErr := io.WriteString(o.Streams.Out, b.String())
	var changes *stacks.ChangesError
	if errors.As(err, &changes) { // told already
		err = &stacks.ChangesError{Where: changes.Where, What: []string{fmt.Sprintf("%d resources, see above", len(result.Differences))}}
	}
	return errors.Join(err, writeErr)
}
