package opscmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
)

// smokeLoadOptions are the flags of smoke-test load.
type smokeLoadOptions struct {
	target  smokeTarget
	load    smoke.LoadOptions
	out     output
	streams Streams
}

func newSmokeLoadCmd(s Streams, runF func(context.Context, *smokeLoadOptions) error) *cobra.Command {
	if runF == nil {
		runF = smokeLoad
	}
	o := &smokeLoadOptions{streams: s}
	c := &cobra.Command{
		Use:   "load",
		Short: "Find how many streams at a time hold a latency",
		Long: `Find how many streams at a time hold a latency, to set scaling.engine.streamsPerPod
(the chart's requestsPerPod) with.

Streams speak as fast as people do. Their number is doubled until the p99 of how
far results are behind their sound is above the target, or streams are refused;
then the largest number that holds is looked for between. Hold the number of
engines while it runs (scaling.engine.minReplicas and maxReplicas), and let nobody
else use them. Ctrl-C closes the streams in order and prints what is known by then.

The load is real: it costs what real streams cost, and others feel it.`,
		Example: "  deepgram-ops smoke-test load --url https://dg.example.com --engines 1\n" +
			"  deepgram-ops smoke-test load --in-cluster --namespace deepgram --image REGISTRY/deepgram-ops:TAG --target-p99 1s --output json",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return runF(c.Context(), o)
		},
	}
	f := c.Flags()
	o.target.addTo(c)
	f.DurationVar(&o.load.TargetP99, "target-p99", 1500*time.Millisecond, "the latency that must hold")
	f.IntVar(&o.load.Start, "start", 2, "begin with this many streams")
	f.IntVar(&o.load.MaxStreams, "max-streams", 500, "try no more streams than this")
	f.DurationVar(&o.load.StepDuration, "step-duration", 30*time.Second, "hold each number of streams this long")
	f.DurationVar(&o.load.Settle, "settle", 3*time.Second, "pause this long between two numbers")
	f.IntVar(&o.load.Engines, "engines", 0, "this many engines share the load (default: counted, where the cluster can be asked)")
	f.Float64Var(&o.load.Headroom, "headroom", 0.8, "advise this share of what an engine holds: new engines take minutes to come")
	o.out.addTo(c)
	return c
}

func (o *smokeLoadOptions) check() error {
	var errs []error
	if o.load.TargetP99 <= 0 || o.load.StepDuration < 2*time.Second && o.target.pace == 1 || o.load.Settle < 0 {
		errs = append(errs, errors.New("--target-p99 must be more than 0, --step-duration at least 2s, --settle not less than 0"))
	}
	if o.load.Start < 1 || o.load.MaxStreams < o.load.Start || o.load.MaxStreams > 100_000 {
		errs = append(errs, fmt.Errorf("--start %d, --max-streams %d: must be at least 1, and --max-streams from --start to 100000", o.load.Start, o.load.MaxStreams))
	}
	if o.load.Engines < 0 || o.load.Headroom <= 0 || o.load.Headroom > 1 {
		errs = append(errs, fmt.Errorf("--engines %d, --headroom %g: must be 0 or more, and more than 0 up to 1", o.load.Engines, o.load.Headroom))
	}
	errs = append(errs, o.target.check(o.streams))
	if err := errors.Join(errs...); err != nil {
		return &UsageError{err}
	}
	return nil
}

func smokeLoad(ctx context.Context, o *smokeLoadOptions) error {
	note := newMeter(o.streams.Err, 0).Note
	t, err := o.target.reach(ctx, o.streams, note)
	if err != nil {
		return err
	}
	defer t.done()
	o.load.Audio, o.load.Model, o.load.Language = o.target.sound, o.target.model, o.target.language
	o.load.Timeout, o.load.Pace = o.target.timeout, o.target.pace
	var r *smoke.LoadReport
	if o.target.inCluster {
		if o.load.Engines == 0 {
			// The Job may ask nothing of the cluster.
			if o.load.Engines, err = t.cluster.CountEngines(ctx); err != nil {
				return err
			}
		}
		_, r, err = t.cluster.InCluster(ctx, smoke.JobSpec{Target: t.api, Load: &o.load}, o.target.job())
	} else {
		o.load.Note = note
		if t.cluster != nil {
			o.load.CountEngines = t.cluster.CountEngines
		}
		r, err = smoke.Load(ctx, &t.api, o.load)
	}
	if r == nil {
		return err
	}
	return errors.Join(err, r.Err(), o.out.print(o.streams.Out, r, r.WriteText))
}
