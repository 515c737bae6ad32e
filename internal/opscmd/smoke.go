package opscmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
)

// smokeOptions are the flags of smoke-test.
type smokeOptions struct {
	target  smokeTarget
	test    smoke.Options
	junit   string
	out     output
	streams Streams
}

func newSmokeCmd(s Streams, runF func(context.Context, *smokeOptions) error) *cobra.Command {
	if runF == nil {
		runF = smokeTest
	}
	o := &smokeOptions{streams: s}
	c := &cobra.Command{
		Use:   "smoke-test",
		Short: "Ask a running Deepgram whether it works, as its clients would",
		Long: `Ask a running Deepgram whether it works, as its clients would (guide G-T).

Checks: ` + strings.Join(smoke.Checks(), ", ") + `. A short bundled recording (English; or
yours, with --audio and --text) is transcribed in one request and as a stream, and
its words must come back. Each check passes, fails with what to do, or is skipped
with the reason.

The API is reached by URL, through a port-forward, or from a Job in the cluster,
which is removed in every case. An API key is read from ` + smokeKeyEnv + ` or a file;
Deepgram self-hosted itself asks for none.

Exits with 1 where a check fails.`,
		Example: "  deepgram-ops smoke-test --url https://dg.example.com --ca-file ca.pem\n" +
			"  deepgram-ops smoke-test --stack prod-omi --port-forward --junit smoke.xml\n" +
			"  deepgram-ops smoke-test --in-cluster --namespace deepgram --image REGISTRY/deepgram-ops:TAG\n" +
			"  deepgram-ops smoke-test load --url https://dg.example.com --target-p99 1s",
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return group(c, args)
			}
			if err := o.check(); err != nil {
				return err
			}
			return runF(c.Context(), o)
		},
	}
	f := c.Flags()
	o.target.addTo(c)
	f.StringSliceVar(&o.test.Models, "expect-model", nil, "this `MODEL` must be loaded; may be repeated (--stack adds those of models.files)")
	f.Float64Var(&o.test.MinOverlap, "min-overlap", 0.8, "this share of the words must come back, 0 to 1")
	f.IntVar(&o.test.Samples, "samples", 5, "measure latencies of this many requests and streams")
	f.DurationVar(&o.test.MaxLatency, "max-latency", 3*time.Second, "the p99 of how far results of streams are behind their sound")
	f.DurationVar(&o.test.MaxBatch, "max-batch-time", 10*time.Second, "the p99 of batch requests")
	f.DurationVar(&o.test.Wait, "wait", 0, "let API and engine take so long to be there, such as 15m after an up")
	f.BoolVar(&o.test.Speak, "speak", false, "test text to speech, too")
	f.StringVar(&o.test.SpeakModel, "speak-model", "", "with this `VOICE` (default one that is loaded)")
	f.StringSliceVar(&o.test.Skip, "skip", nil, "leave this `CHECK` out; may be repeated")
	f.StringVar(&o.junit, "junit", "", "write the result to `FILE` in JUnit's form, too")
	o.out.addTo(c)
	c.AddCommand(newSmokeLoadCmd(s, nil), newSmokeInsideCmd(s))
	return c
}

// check finds wrong values before anything is done.
func (o *smokeOptions) check() error {
	var errs []error
	if o.test.MinOverlap <= 0 || o.test.MinOverlap > 1 {
		errs = append(errs, fmt.Errorf("--min-overlap %g: must be more than 0 and at most 1", o.test.MinOverlap))
	}
	if o.test.Samples < 1 || o.test.Samples > 1000 {
		errs = append(errs, fmt.Errorf("--samples %d: must be 1 to 1000", o.test.Samples))
	}
	if o.test.MaxLatency <= 0 || o.test.MaxBatch <= 0 || o.test.Wait < 0 {
		errs = append(errs, errors.New("--max-latency and --max-batch-time must be more than 0, --wait not less"))
	}
	for _, name := range o.test.Skip {
		if !slices.Contains(smoke.Checks(), name) {
			errs = append(errs, fmt.Errorf("--skip %q: is no check; there are %s", name, strings.Join(smoke.Checks(), ", ")))
		}
	}
	if o.test.SpeakModel != "" {
		o.test.Speak = true
	}
	errs = append(errs, o.target.check(o.streams))
	if err := errors.Join(errs...); err != nil {
		return &UsageError{err}
	}
	return nil
}

func smokeTest(ctx context.Context, o *smokeOptions) error {
	note := newMeter(o.streams.Err, 0).Note
	t, err := o.target.reach(ctx, o.streams, note)
	if err != nil {
		return err
	}
	defer t.done()
	o.test.Audio, o.test.Model, o.test.Language = o.target.sound, o.target.model, o.target.language
	o.test.Timeout, o.test.Pace = o.target.timeout, o.target.pace
	o.test.Models = append(o.test.Models, t.models...)
	var r *smoke.Report
	if o.target.inCluster {
		r, err = smokeInCluster(ctx, o, t)
	} else {
		o.test.Note, o.test.GPU = note, t.gpu
		r, err = smoke.Run(ctx, &t.api, o.test)
	}
	if r == nil {
		return err
	}
	errs := []error{err, r.Err()}
	if o.junit != "" {
		errs = append(errs, writeFile(o.junit, r.WriteJUnit))
	}
	errs = append(errs, o.out.print(o.streams.Out, r, r.WriteText))
	return errors.Join(errs...)
}

// smokeInCluster runs the test in a Job, which may ask nothing of the cluster: what
// needs that is looked at from here.
func smokeInCluster(ctx context.Context, o *smokeOptions, t *reached) (*smoke.Report, error) {
	test := o.test
	test.Skip = append(slices.Clone(test.Skip), smoke.CheckGPU)
	r, _, err := t.cluster.InCluster(ctx, smoke.JobSpec{Target: t.api, Test: &test}, o.target.job())
	if r != nil && ctx.Err() == nil && !slices.Contains(o.test.Skip, smoke.CheckGPU) {
		r.Add(smoke.NewCheck(ctx, smoke.CheckGPU, t.cluster.GPU))
	}
	return r, err
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	return nil
}

// newSmokeInsideCmd is what a Job in the cluster runs.
func newSmokeInsideCmd(s Streams) *cobra.Command {
	var spec string
	c := &cobra.Command{
		Use: "inside --spec FILE", Short: "Do what a specification says, in a Job", Hidden: true, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := os.Open(spec)
			if err != nil {
				return Usagef("--spec: %w", err)
			}
			defer f.Close()
			return smoke.Inside(c.Context(), f, s.Out, s.Err)
		},
	}
	c.Flags().StringVar(&spec, "spec", smoke.SpecFile, "read it from `FILE`")
	return c
}
