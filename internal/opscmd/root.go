package opscmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/internal/version"
)

// Streams is the world of a command: what it reads, writes and looks up.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
	// LookupEnv finds an environment variable.
	LookupEnv func(string) (string, bool)
}

// System is the real world of the process.
func System() Streams {
	return Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, LookupEnv: os.LookupEnv}
}

// Main runs the command line until it ends or the process is told to stop
// (Ctrl-C, SIGTERM) and returns the exit code.
func Main(args []string, s Streams) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return Run(ctx, args, s)
}

// Run runs the command line under ctx and returns the exit code.
func Run(ctx context.Context, args []string, s Streams) int {
	root := New(s)
	root.SetArgs(args)
	return exitCode(ctx, root.ExecuteContext(ctx), s.Err)
}

// New is the root command with all commands below it.
func New(s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "deepgram-ops",
		Short: "Day-2 work for Deepgram self-hosted on Google Kubernetes Engine",
		Long: `Day-2 work for Deepgram self-hosted on Google Kubernetes Engine.

Results are printed on stdout (--output json for programs), progress on stderr.
Exit codes: 0 done; 1 failed; 2 bad usage or configuration; 4 differences found
where none were allowed; 130 interrupted and cleaned up.`,
		Example:       "  deepgram-ops images mirror --stack prod-omi\n  deepgram-ops models verify --dir /models",
		Version:       version.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          group,
		Args:          cobra.ArbitraryArgs,
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return Usagef("%s: %w (%s --help shows the flags)", c.CommandPath(), err, c.CommandPath())
	})
	root.AddCommand(newImagesCmd(s), newModelsCmd(s), newJournalCmd(s), newSmokeCmd(s, nil),
		newPreflightCmd(s), newCertCmd(s))
	return root
}

// group is the RunE of a command that only has commands below it.
func group(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	c.SuggestionsMinimumDistance = 2
	hint := ""
	if names := c.SuggestionsFor(args[0]); len(names) > 0 {
		hint = fmt.Sprintf("; did you mean %s?", strings.Join(names, " or "))
	}
	return Usagef("%s: no command %q%s (%s --help lists them)", c.CommandPath(), args[0], hint, c.CommandPath())
}

// noArgs refuses arguments with exit code 2.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usagef("%s: takes no arguments, got %q", c.CommandPath(), args)
	}
	return nil
}

// output is the --output flag of every command.
type output string

func (o *output) addTo(c *cobra.Command) {
	*o = "text"
	c.Flags().VarP(o, "output", "o", "print `text or json`")
}

func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "format" }
func (o *output) Set(s string) error {
	if s != "text" && s != "json" {
		return errors.New("must be text or json")
	}
	*o = output(s)
	return nil
}

// print writes v as JSON, or lets text write it for people.
func (o output) print(w io.Writer, v any, text func(io.Writer) error) error {
	if o == "json" {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	return text(w)
}
