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

// RecoverOptions are the flags of `deepgram-stack recover`.
type RecoverOptions struct {
	Environment

	Streams Streams
	Export  string
	Force   bool
	Output  string
}

func newRecover(streams Streams, run func(context.Context, *RecoverOptions) error) *cobra.Command {
	o := &RecoverOptions{Streams: streams}
	if run == nil {
		run = recoverStack
	}
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Bring a stack back to where up can go on, after an update was killed",
		Long: "Bring a stack back to where up can go on, after an update was killed at any point: copy the state to a\n" +
			"file (mode 0600, secrets encrypted), remove the lock where its process was ours and is dead, free Helm\n" +
			"releases that are stuck, and ask the cloud what became of each operation that nobody saw the end of.\n" +
			"What was made is adopted, what was not is dropped. Nothing in the cloud is created or changed; of the\n" +
			"cluster, only Helm's own record of an installation or upgrade that did not end is removed.\n\n" +
			"It may itself be interrupted, and run again.",
		Example: "  deepgram-stack recover --stack prod\n  deepgram-stack recover --stack prod --force   # the lock is of a machine that is gone",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", o.Output, "text", "json"); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.flags(cmd, true)
	cmd.Flags().StringVar(&o.Export, "export", "", "the new `file` to copy the state to (default: <stack>-before-recover-<time>.json)")
	cmd.Flags().BoolVar(&o.Force, "force", false, "remove a lock although nobody can tell from here that its process is dead")
	cmd.Flags().StringVar(&o.Output, "output", "text", "text or json")
	return cmd
}

func recoverStack(ctx context.Context, o *RecoverOptions) error {
	d, done, err := o.deployer(ctx, o.Streams, func(s *stacks.Options) { s.PolicyPack = "" })
	if err != nil {
		return err
	}
	defer done()
	found, err := d.Recover(ctx, stacks.RecoverOptions{Export: o.Export, Force: o.Force})
	if o.Output == "json" {
		out := struct {
			*stacks.Recovery
			Error string `json:"error,omitempty"`
		}{Recovery: found}
		if err != nil {
			out.Error = err.Error()
		}
		return errors.Join(err, writeJSON(o.Streams.Out, out))
	}
	var b strings.Builder
	tellRecovery(&b, found)
	if err == nil {
		fmt.Fprintf(&b, "\nnow run `deepgram-stack up --stack %s`\n", o.Stack)
	}
	_, writeErr := io.WriteString(o.Streams.Out, b.String())
	return errors.Join(err, writeErr)
}

// tellRecovery says what was found and done.
func tellRecovery(b *strings.Builder, found *stacks.Recovery) {
	if found.Export != "" {
		fmt.Fprintf(b, "the state as it was is in %s\n", found.Export)
	}
	for _, l := range found.Locks {
		what := "lock left alone"
		if l.Removed {
			what = "lock removed"
		}
		fmt.Fprintf(b, "%s: %s: %s\n", what, l.Holder, l.Why)
	}
	for _, r := range found.Releases {
		what := "release"
		if r.Repaired {
			what = "release freed"
		}
		fmt.Fprintf(b, "%s: %s: %s\n", what, r.Name, r.Note)
		for _, command := range r.Commands {
			fmt.Fprintf(b, "  %s\n", command)
		}
	}
	for _, o := range found.Operations {
		fmt.Fprintf(b, "%s: %s %s", o.Outcome, report.ShortType(o.Type), o.Name)
		if o.ID != "" {
			fmt.Fprintf(b, " (%s)", o.ID)
		}
		fmt.Fprintf(b, ": %s\n", o.Note)
	}
	if found.Export != "" && len(found.Locks)+len(found.Operations)+len(found.Releases) == 0 {
		b.WriteString("nothing was pending, and nobody holds the lock\n")
	}
}
