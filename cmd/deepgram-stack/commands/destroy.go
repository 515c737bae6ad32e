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

// DestroyOptions are the flags of `deepgram-stack destroy`.
type DestroyOptions struct {
	Environment

	Streams     Streams
	Acknowledge []string
	Yes         bool
	Message     string
	Output      string
}

func newDestroy(streams Streams, run func(context.Context, *DestroyOptions) error) *cobra.Command {
	o := &DestroyOptions{Streams: streams}
	if run == nil {
		run = destroy
	}
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Delete everything of an environment but what is retained on purpose",
		Long: "Delete everything of an environment but what is retained on purpose, in two steps: the first call\n" +
			"changes nothing and lists what is protected, what cannot be made again and what will be retained; the\n" +
			"second names each of the first two with --acknowledge. Protection is lifted of those alone.\n\n" +
			"Entrances go before the services behind them, then the release, whose pods may take up to 30 minutes to\n" +
			"drain, then namespaces, nodes, cluster and network. Models disks and journals of a production\n" +
			"environment stay in the cloud and are named at the end.",
		Example: "  deepgram-stack destroy --stack dev\n" +
			"  deepgram-stack destroy --stack prod --yes --acknowledge 'urn:pulumi:prod::…::cluster=the project is closed'",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", o.Output, "text", "json"); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.flags(cmd, true)
	acknowledgeFlag(cmd, &o.Acknowledge, "lift the protection of this thing, or delete it though it cannot be made again")
	cmd.Flags().BoolVarP(&o.Yes, "yes", "y", false, "do not ask; needed where there is no terminal")
	cmd.Flags().StringVar(&o.Message, "message", "", "a `text` to keep in the history of the stack")
	cmd.Flags().StringVar(&o.Output, "output", "text", "text or json")
	return cmd
}

func destroy(ctx context.Context, o *DestroyOptions) error {
	acknowledged, err := acknowledgements(o.Acknowledge)
	if err != nil {
		return err
	}
	d, done, err := o.deployer(ctx, o.Streams, func(s *stacks.Options) { s.PolicyPack = "" })
	if err != nil {
		return err
	}
	defer done()
	down, err := d.Teardown(ctx)
	if err != nil {
		return err
	}
	tellTeardown(o.Streams.Err, down)
	options := stacks.DestroyOptions{Acknowledge: acknowledged, Message: o.Message}
	if !o.Yes {
		options.Confirm = func(down *stacks.Teardown) bool {
			return o.Streams.Asks && o.Streams.ask(fmt.Sprintf("delete %d resources of %s?", down.Deleted, o.where()))
		}
	}
	result, err := d.Destroy(ctx, options)
	if errors.Is(err, stacks.ErrDeclined) && !o.Streams.Asks {
		err = usagef("there is no terminal to ask on: give --yes")
	}
	o.Streams.warnings(result)
	if o.Output == "json" {
		return errors.Join(err, writeJSON(o.Streams.Out, outcomeOf(o.Stack, "destroy", result, err)))
	}
	if result == nil {
		return err
	}
	var b strings.Builder
	style := o.Streams.style()
	if treeErr := report.Tree(&b, result.Resources, false, style); treeErr != nil {
		return errors.Join(err, treeErr)
	}
	b.WriteString("\n " + report.PaintStep(result.Record(), style) + "\n")
	if err == nil && len(result.Retained) > 0 {
		b.WriteString("\nretained on purpose, and still in the cloud (and on the bill):\n")
		for _, line := range result.Retained {
			b.WriteString("  " + line + "\n")
		}
	}
	_, writeErr := io.WriteString(o.Streams.Out, b.String())
	return errors.Join(err, writeErr)
}

// tellTeardown says what goes and what stays.
func tellTeardown(w io.Writer, down *stacks.Teardown) {
	for _, part := range []struct {
		title string
		list  []stacks.Refusal
	}{
		{"protected", down.Protected}, {"cannot be made again", down.Stateful}, {"retained on purpose, stays in the cloud", down.Retained},
	} {
		if len(part.list) == 0 {
			continue
		}
		_, _ = fmt.Fprintln(w, part.title+":")
		for _, thing := range part.list {
			_, _ = fmt.Fprintf(w, "  %s %s: %s\n", report.ShortType(thing.Type), thing.Name, thing.Why)
		}
	}
	_, _ = fmt.Fprintf(w, "%d resources would be deleted\n", down.Deleted)
}
