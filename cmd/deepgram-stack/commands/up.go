package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// UpOptions are the flags of `deepgram-stack up`.
type UpOptions struct {
	Environment

	Streams     Streams
	Acknowledge []string
	Refresh     bool
	Yes         bool
	SmokeTest   bool
	SmokeFlags  []string
	Message     string
	Output      string
}

func newUp(streams Streams, run func(context.Context, *UpOptions) error) *cobra.Command {
	o := &UpOptions{Streams: streams}
	if run == nil {
		run = up
	}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Deploy an environment",
		Long: "Deploy an environment: preview it with the policies, judge the plan, refuse to replace or delete what\n" +
			"cannot be made again (models, journals, the cluster), then do what the plan says and nothing else.\n\n" +
			"On a terminal it asks before it begins; elsewhere it does not. The first Ctrl-C ends gracefully.",
		Example: "  deepgram-stack up --stack prod\n" +
			"  deepgram-stack up --stack prod --yes --smoke-test\n" +
			"  deepgram-stack up --stack prod --acknowledge 'urn:pulumi:prod::deepgram-stack::…::models-disk=moved to another zone'",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", o.Output, "text", "json"); err != nil {
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.flags(cmd, true)
	f := cmd.Flags()
	acknowledgeFlag(cmd, &o.Acknowledge, "let the plan replace or delete this thing that cannot be made again")
	f.BoolVar(&o.Refresh, "refresh", false, "ask the cloud first what has become of everything")
	f.BoolVarP(&o.Yes, "yes", "y", false, "do not ask")
	f.BoolVar(&o.SmokeTest, "smoke-test", false,
		"run `deepgram-ops smoke-test`, beside this program, against what was deployed; its failure is a failure of up")
	f.StringArrayVar(&o.SmokeFlags, "smoke-flag", nil,
		"pass this `flag` on to the smoke test, such as --smoke-flag=--port-forward where the API is not to be reached from here")
	f.StringVar(&o.Message, "message", "", "a `text` to keep in the history of the stack")
	f.StringVar(&o.Output, "output", "text", "text or json")
	return cmd
}

func up(ctx context.Context, o *UpOptions) error {
	acknowledged, err := acknowledgements(o.Acknowledge)
	if err != nil {
		return err
	}
	smoke := ""
	if o.SmokeTest {
		if smoke, err = smokeTester(ctx); err != nil {
			return err
		}
	}
	d, done, err := o.deployer(ctx, o.Streams, nil)
	if err != nil {
		return err
	}
	defer done()
	style := o.Streams.style()
	options := stacks.UpOptions{Acknowledge: acknowledged, Refresh: o.Refresh, Message: o.Message}
	if !o.Yes && o.Streams.Asks {
		options.Confirm = func(preview *stacks.Result) bool {
			_ = report.Tree(o.Streams.Err, preview.Resources, true, style)
			_, _ = fmt.Fprintln(o.Streams.Err, report.Counts(preview.Changes, true))
			return o.Streams.ask("deploy this to " + o.where() + "?")
		}
	}
	result, err := d.Up(ctx, options)
	if result != nil && result.Preview != nil {
		result.Warnings = append(result.Preview.Warnings, result.Warnings...)
	}
	o.Streams.warnings(result)
	if err == nil && smoke != "" {
		err = smokeTest(ctx, smoke, o.SmokeFlags, result.Outputs, o.Streams.Err)
	}
	if o.Output == "json" {
		return errors.Join(err, writeJSON(o.Streams.Out, outcomeOf(o.Stack, "up", result, err)))
	}
	if result == nil {
		return err
	}
	var b strings.Builder
	if treeErr := report.Tree(&b, result.Resources, result.Operation == "preview", style); treeErr != nil {
		return errors.Join(err, treeErr)
	}
	report.Findings(&b, result.Findings, style)
	report.Outputs(&b, result.Outputs.Plain(), style)
	b.WriteString("\n")
	if result.Preview != nil {
		b.WriteString(" " + report.PaintStep(result.Preview.Record(), style) + "\n")
	}
	b.WriteString(" " + report.PaintStep(result.Record(), style) + "\n")
	_, writeErr := io.WriteString(o.Streams.Out, b.String())
	return errors.Join(err, writeErr)
}

// smokeTester is the deepgram-ops beside this program, if it can test.
func smokeTester(ctx context.Context) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	program := filepath.Join(filepath.Dir(self), "deepgram-ops"+filepath.Ext(self))
	if _, err := os.Stat(program); err != nil {
		return "", usagef("--smoke-test: there is no deepgram-ops beside this program; run `make build`")
	}
	if err := exec.CommandContext(ctx, program, "smoke-test", "--help").Run(); err != nil {
		return "", usagef("--smoke-test: %s has no smoke test; it is of another version", program)
	}
	return program, nil
}

// smokeTest tests what was deployed. The program gets KUBECONFIG, DEEPGRAM_API_URL
// and DEEPGRAM_NAMESPACE.
func smokeTest(ctx context.Context, program string, flags []string, outputs stacks.Outputs, progress io.Writer) error {
	folder, err := os.MkdirTemp("", "deepgram-stack-smoke-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	// Pods may still be loading models.
	cmd := exec.CommandContext(ctx, program, append([]string{"smoke-test", "--wait", "15m"}, flags...)...)
	cmd.Env = append(os.Environ(),
		fmt.Sprintf("DEEPGRAM_API_URL=%v", outputs["apiUrl"]), fmt.Sprintf("DEEPGRAM_NAMESPACE=%v", outputs["namespace"]))
	if secret, ok := outputs["kubeconfig"].(stacks.Secret); ok {
		kubeconfig := filepath.Join(folder, "kubeconfig")
		if err := os.WriteFile(kubeconfig, []byte(secret.Reveal()), 0o600); err != nil {
			return err
		}
		cmd.Env = append(cmd.Env, "KUBECONFIG="+kubeconfig)
	}
	cmd.Stdout, cmd.Stderr = progress, progress
	// Interrupted, it has a Job or a port-forward to put away.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("smoke test: %w; what was deployed stays, look at it before you send traffic to it", err)
	}
	return nil
}
