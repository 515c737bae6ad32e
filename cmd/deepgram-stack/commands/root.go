// Package commands holds the commands of deepgram-stack, one file each. A command
// reads its flags, calls a library and prints; what it does lives elsewhere.
package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// Exit codes of every command.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitPolicy      = 3
	ExitChanges     = 4
	ExitInterrupted = 130
)

// Streams are where a command writes, and what it may assume of the reader.
type Streams struct {
	Out, Err io.Writer
	// In is where a person answers; Asks tells that one is there.
	In   io.Reader
	Asks bool
	// Terminal tells that a person looks at Err and Out; Width and Height are its size.
	Terminal      bool
	Width, Height int
	// Color allows terminal colours.
	Color bool
}

// NewStreams are those of a process: what it knows of its terminal is asked here.
func NewStreams(stdout, stderr *os.File) Streams {
	s := Streams{Out: stdout, Err: stderr, In: os.Stdin}
	s.Terminal = term.IsTerminal(int(stderr.Fd())) && os.Getenv("TERM") != "dumb"
	if width, height, err := term.GetSize(int(stderr.Fd())); err == nil {
		s.Width, s.Height = width, height
	}
	s.Asks = s.Terminal && term.IsTerminal(int(os.Stdin.Fd()))
	s.Color = term.IsTerminal(int(stdout.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}

func (s Streams) style() report.Style { return report.Style{Color: s.Color, Width: min(s.Width, 140)} }

// usageError is a mistake in how a command was called.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Run runs one command and gives its exit code.
func Run(ctx context.Context, args []string, streams Streams) int {
	root := &cobra.Command{
		Use:   "deepgram-stack",
		Short: "Deepgram Self-Hosted on Google Kubernetes Engine, as a Pulumi stack",
		Long: "deepgram-stack is the Pulumi program that deploys Deepgram Self-Hosted on GKE, and the commands around it.\n\n" +
			"Exit codes: 0 done; 1 failed; 2 bad usage or configuration; 3 policy violation;\n" +
			"4 changes found where none were allowed; 130 interrupted and cleaned up.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.SetArgs(args)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; see `%s --help`", err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newPreview(streams, nil), newUp(streams, nil), newDestroy(streams, nil), newDrift(streams, nil),
		newRecover(streams, nil), newAdopt(streams, nil),
		newRehearse(streams, nil), newValues(streams, nil), newConfig())
	err := root.ExecuteContext(ctx)
	if err != nil {
		_, _ = fmt.Fprintln(streams.Err, "error: "+err.Error())
	}
	return exitCode(ctx, err)
}

// exitCode is the one place where an error's kind becomes a number.
func exitCode(ctx context.Context, err error) int {
	var usage usageError
	var bad *config.Error
	var policy *engine.PolicyError
	var changes *engine.ChangesError
	var gate *stacks.GateError
	var acknowledgement *stacks.AcknowledgementError
	var options *stacks.OptionsError
	switch {
	case err == nil:
		return ExitDone
	case ctx.Err() != nil:
		return ExitInterrupted
	case errors.As(err, &usage), errors.As(err, &bad), errors.As(err, &acknowledgement), errors.As(err, &options):
		return ExitUsage
	case errors.As(err, &policy), errors.As(err, &gate):
		return ExitPolicy
	case errors.As(err, &changes):
		return ExitChanges
	case isCobraUsage(err):
		return ExitUsage
	}
	return ExitFailed
}
