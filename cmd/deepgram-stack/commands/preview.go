package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/internal/capacity"
	"github.com/deepgram-gke/deepgram-gke/internal/chartdiff"
	"github.com/deepgram-gke/deepgram-gke/internal/comment"
	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
	"github.com/deepgram-gke/deepgram-gke/internal/version"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// PreviewOptions are the flags of `deepgram-stack preview`.
type PreviewOptions struct {
	Environment

	Streams     Streams
	Acknowledge []string
	Refresh     bool
	Rehearse    bool
	Report      string
	Output      string
	Prices      string
	Offline     bool
	Commit      string

	Comment     bool
	CommentMode string
	Request     comment.Flags
	Provider    string
}

func newPreview(streams Streams, run func(context.Context, *PreviewOptions) error) *cobra.Command {
	o := &PreviewOptions{Streams: streams}
	if run == nil {
		run = preview
	}
	cmd := &cobra.Command{
		Use:   "preview",
		Short: "Show what an update would do, with the policies, and report it",
		Long: "Show what an update of an environment would do: the verdict, what would be lost, policy findings, the\n" +
			"Kubernetes objects of the chart that change, capacity and cost, then everything. Nothing is changed.\n\n" +
			"With --comment the report goes to the pull request (GitHub) or merge request (GitLab) of this run, also\n" +
			"when the preview fails. With --rehearse no cloud and no credentials are needed, and the report says so.",
		Example: "  deepgram-stack preview --stack prod\n" +
			"  deepgram-stack preview --stack prod --report report.md --comment\n" +
			"  deepgram-stack preview --stack prod --rehearse --set pools.engine.maxNodes=12 --output markdown",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := errors.Join(
				oneOf("output", o.Output, "text", "json", "markdown"),
				oneOf("comment-mode", o.CommentMode, "update", "new", "hide-old"),
				oneOf("provider", o.Provider, "", "github", "gitlab"))
			if err != nil {
				return usageError{err}
			}
			o.Request.Provider = comment.Provider(o.Provider)
			return run(cmd.Context(), o)
		},
	}
	o.flags(cmd, false)
	f := cmd.Flags()
	acknowledgeFlag(cmd, &o.Acknowledge, "preview as if up were given this acknowledgement")
	f.BoolVar(&o.Refresh, "refresh", false, "ask the cloud first what has become of everything")
	f.BoolVar(&o.Rehearse, "rehearse", false, "preview against stand-ins and an empty cloud, without credentials")
	f.StringVar(&o.Report, "report", "", "write the report to this `file`: Markdown, or JSON where it ends in .json")
	f.StringVar(&o.Output, "output", "text", "text, json or markdown")
	f.StringVar(&o.Prices, "prices", "", "a YAML `file` with prices, laid over those that the program carries")
	f.BoolVar(&o.Offline, "offline", false, "ask no chart repository: only files and Helm's cache")
	f.StringVar(&o.Commit, "commit", "", "the commit's hash, for the report (default: that of the run, else of the folder)")
	f.BoolVar(&o.Comment, "comment", false, "put the report on the pull request or merge request")
	f.StringVar(&o.CommentMode, "comment-mode", "update", "what becomes of an earlier report: update, new or hide-old")
	f.StringVar(&o.Provider, "provider", "", "github or gitlab (default: that of the run)")
	f.StringVar(&o.Request.Repository, "repository", "", "the repository, as `owner/name` (default: that of the run)")
	f.IntVar(&o.Request.Number, "pull-request", 0, "the `number` of the request (default: that of the run)")
	f.StringVar(&o.Request.APIURL, "api-url", "", "the `address` of the service's API (default: that of the run)")
	return cmd
}

func preview(ctx context.Context, o *PreviewOptions) error {
	acknowledged, err := acknowledgements(o.Acknowledge)
	if err != nil {
		return err
	}
	prices := capacity.ListPrices()
	if o.Prices != "" {
		if prices, err = capacity.LoadPrices(o.Prices); err != nil {
			return usageError{err}
		}
	}
	post, err := o.poster(ctx)
	if err != nil {
		return err
	}
	in := report.PlanInput{
		Command: "preview", Project: stacks.DefaultProject, Stack: o.Stack, Commit: o.commit(ctx), Rehearsed: o.Rehearse,
		Versions: report.Versions{Library: version.Version},
	}
	if o.Rehearse {
		err = o.rehearsed(ctx, &in)
	} else {
		err = o.real(ctx, &in, acknowledged)
	}
	var usage usageError
	if ctx.Err() != nil || errors.As(err, &usage) {
		return err
	}
	// The report goes out whatever the preview came to.
	in.Time, in.Err = now(), err
	if in.Operation != nil {
		resources := in.Operation.Resources()
		dir, _ := projectRoot()
		charts, chartErr := chartdiff.FromResources(ctx, resources, chartdiff.Options{Secrets: in.Secrets, Dir: dir, Offline: o.Offline})
		if chartErr != nil {
			return errors.Join(err, chartErr)
		}
		in.Charts, in.Capacity = charts, capacity.FromResources(resources, prices)
	}
	return errors.Join(err, o.write(report.NewPlan(in)), post(ctx, report.NewPlan(in)))
}

// real previews the environment.
func (o *PreviewOptions) real(ctx context.Context, in *report.PlanInput, acknowledged map[string]string) error {
	d, done, err := o.deployer(ctx, o.Streams, nil)
	if err != nil {
		return err
	}
	defer done()
	in.Versions.CLI, in.Project = d.CLIVersion(), d.Project()
	result, err := d.Preview(ctx, stacks.PreviewOptions{Acknowledge: acknowledged, Refresh: o.Refresh})
	if cfg := d.Config(); cfg != nil {
		in.Secrets, in.Versions.Chart = engine.Revealed(cfg), cfg.Release.ChartVersion
	}
	if result != nil {
		in.Operation = result.Record()
	}
	o.Streams.warnings(result)
	return err
}

// rehearsed previews a first deployment against stand-ins.
func (o *PreviewOptions) rehearsed(ctx context.Context, in *report.PlanInput) error {
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
	if command, err := engine.Find(ctx, o.Pulumi); err == nil {
		in.Versions.CLI = command.Version().String()
	}
	_, _ = fmt.Fprintf(o.Streams.Err, "rehearsal of %s: no cloud is touched\n", o.Stack)
	progress := report.NewProgress(o.Streams.Err, o.Streams.style(), o.Streams.Terminal, o.Streams.Height)
	s, err := rehearsal.Open(ctx, rehearsal.Options{
		Program: stacks.Run, Stack: o.Stack, Tree: tree, Dir: dir, Pulumi: o.Pulumi, PolicyPack: pack,
		Judge: stacks.JudgePlan, Observe: progress.Start,
	})
	if err != nil {
		return err
	}
	defer s.Close()
	in.Secrets, in.Versions.Chart = engine.Revealed(s.Config()), s.Config().Release.ChartVersion
	in.Operation, err = s.Preview(ctx)
	return err
}

// write puts the report where it was asked for.
func (o *PreviewOptions) write(plan *report.Plan) error {
	if o.Report != "" {
		text := []byte(plan.Markdown(math.MaxInt32, ""))
		if strings.EqualFold(filepath.Ext(o.Report), ".json") {
			var err error
			if text, err = plan.JSON(); err != nil {
				return err
			}
		}
		if err := os.WriteFile(o.Report, text, 0o644); err != nil {
			return fmt.Errorf("writing --report: %w", err)
		}
	}
	switch o.Output {
	case "json":
		text, err := plan.JSON()
		if err != nil {
			return err
		}
		_, err = o.Streams.Out.Write(append(text, '\n'))
		return err
	case "markdown":
		_, err := io.WriteString(o.Streams.Out, plan.Markdown(math.MaxInt32, "")+"\n")
		return err
	}
	return plan.Text(o.Streams.Out, o.Streams.style())
}

// poster finds the request to comment on before anything takes long, marks the
// report that is there as out of date, and posts the new one when called.
func (o *PreviewOptions) poster(ctx context.Context) (func(context.Context, *report.Plan) error, error) {
	if !o.Comment {
		return func(context.Context, *report.Plan) error { return nil }, nil
	}
	target, err := comment.Find(os.Getenv, os.ReadFile, o.Request)
	if err != nil {
		return nil, usageError{fmt.Errorf("--comment: %w", err)}
	}
	key := comment.Key{Project: o.project(), Stack: o.Stack, Command: "preview"}
	options := comment.Options{
		Mode: comment.Mode(o.CommentMode), MoreLink: comment.RunLink(os.Getenv), Progress: o.Streams.Err,
	}
	if _, err := comment.MarkStale(ctx, target, key, "A newer preview is running.", options); err != nil {
		// The preview is worth having all the same; posting it will fail the command.
		_, _ = fmt.Fprintf(o.Streams.Err, "warning: marking the earlier report as out of date: %s\n", err)
	}
	return func(ctx context.Context, plan *report.Plan) error {
		result, err := comment.Post(ctx, target, key, plan.Parts(target.Limit()), options)
		if err != nil {
			return fmt.Errorf("--comment: %w", err)
		}
		for _, warning := range result.Warnings {
			_, _ = fmt.Fprintln(o.Streams.Err, "warning: "+warning)
		}
		_, _ = fmt.Fprintf(o.Streams.Err, "comment %s: %s\n", result.Action, result.URL)
		return nil
	}, nil
}

// project is the project's name, as its file has it.
func (o *PreviewOptions) project() string {
	if dir, err := projectRoot(); err == nil {
		if name := projectName(dir); name != "" {
			return name
		}
	}
	return stacks.DefaultProject
}

// commit is the hash that the report names: that of the branch, not of the merge
// that a run of GitHub Actions has checked out.
func (o *PreviewOptions) commit(ctx context.Context) string {
	if o.Commit != "" {
		return o.Commit
	}
	var event struct {
		PullRequest struct {
			Head struct {
				SHA string `json:"sha"`
			} `json:"head"`
		} `json:"pull_request"`
	}
	if text, err := os.ReadFile(os.Getenv("GITHUB_EVENT_PATH")); err == nil && json.Unmarshal(text, &event) == nil {
		if sha := event.PullRequest.Head.SHA; sha != "" {
			return sha
		}
	}
	for _, name := range []string{"GITHUB_SHA", "CI_COMMIT_SHA"} {
		if sha := os.Getenv(name); sha != "" {
			return sha
		}
	}
	text, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
