package smoke

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// LoadOptions say how the load is found. The zero value works.
type LoadOptions struct {
	// Audio is what is said again and again; without it the bundled recording.
	Audio *Audio `json:"audio,omitempty"`
	// Model and Language as in Options.
	Model    string `json:"model,omitempty"`
	Language string `json:"language,omitempty"`
	// TargetP99 is the latency that must hold; 0 means 1.5 s, above which the
	// project's alert fires.
	TargetP99 time.Duration `json:"targetP99,omitempty"`
	// Start is the first number of streams; 0 means 2. MaxStreams is the last one
	// that is tried; 0 means 500.
	Start      int `json:"start,omitempty"`
	MaxStreams int `json:"maxStreams,omitempty"`
	// StepDuration is how long each number of streams is held; 0 means 30 s.
	StepDuration time.Duration `json:"stepDuration,omitempty"`
	// Settle is the pause between steps; 0 means 3 s.
	Settle time.Duration `json:"settle,omitempty"`
	// Engines is how many engines share the load; 0 asks CountEngines, or takes it
	// for 1.
	Engines      int                                `json:"engines,omitempty"`
	CountEngines func(context.Context) (int, error) `json:"-"`
	// Headroom is the share of what an engine holds that is advised: new engines
	// take minutes to come. 0 means 0.8.
	Headroom float64 `json:"headroom,omitempty"`
	// Timeout ends connecting, and waiting for a stream's last result; 0 means 30 s.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Pace as in Options.
	Pace float64 `json:"pace,omitempty"`
	// Note hears what is done; nil nobody.
	Note func(string) `json:"-"`
}

func (o *LoadOptions) defaults() {
	if o.Audio == nil {
		a := Sample()
		o.Audio = &a
	}
	o.TargetP99 = cmp.Or(o.TargetP99, 1500*time.Millisecond)
	o.Start = cmp.Or(o.Start, 2)
	o.MaxStreams = cmp.Or(o.MaxStreams, 500)
	o.StepDuration = cmp.Or(o.StepDuration, 30*time.Second)
	o.Settle = cmp.Or(o.Settle, 3*time.Second)
	o.Headroom = cmp.Or(o.Headroom, 0.8)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.Pace = cmp.Or(o.Pace, 1)
	o.Start = min(o.Start, o.MaxStreams)
	if o.Note == nil {
		o.Note = func(string) {}
	}
}

// What ended the search for more streams.
const (
	LimitLatency     = "latency"
	LimitCapacity    = "capacity"
	LimitErrors      = "errors"
	LimitClient      = "client"
	LimitMaxStreams  = "max-streams"
	LimitInterrupted = "interrupted"
)

// LoadStep is one number of streams.
type LoadStep struct {
	Streams int  `json:"streams"`
	Held    bool `json:"held"`
	// Latency of every result, in seconds.
	Latency Percentiles `json:"latency"`
	// Errors is how many streams failed.
	Errors int `json:"errors"`
	// Limit and Why say why it did not hold.
	Limit string `json:"limit,omitempty"`
	Why   string `json:"why,omitempty"`
}

// LoadReport is what the load found.
type LoadReport struct {
	Target    string     `json:"target"`
	Started   time.Time  `json:"started"`
	Model     string     `json:"model,omitempty"`
	TargetP99 float64    `json:"targetP99"`
	Steps     []LoadStep `json:"steps"`
	// Streams is the largest number that held the latency.
	Streams int `json:"streams"`
	// Limit is what stopped more.
	Limit string `json:"limit"`
	// Engines is how many engines shared the load.
	Engines int `json:"engines"`
	// StreamsPerPod is what to set scaling.engine.streamsPerPod to (requestsPerPod
	// in the chart); 0 where nothing held.
	StreamsPerPod int      `json:"streamsPerPod"`
	Warnings      []string `json:"warnings,omitempty"`
}

// Err is an error where no number of streams held the latency.
func (r *LoadReport) Err() error {
	if r.Streams > 0 {
		return nil
	}
	why := "nothing was measured"
	if len(r.Steps) > 0 {
		why = r.Steps[len(r.Steps)-1].Why
	}
	return fmt.Errorf("load: not a single stream holds %s: %s", duration(r.TargetP99), why)
}

// Load finds how many streams at a time hold a latency: it doubles them until they
// do not, then looks between. When ctx ends, the streams are closed in order, and
// the report says what was found until then.
func Load(ctx context.Context, t *Target, o LoadOptions) (*LoadReport, error) {
	o.defaults()
	if err := errors.Join(t.prepare(), o.Audio.Check()); err != nil {
		return nil, err
	}
	defer t.close()
	pcm, err := o.Audio.Samples()
	if err != nil {
		return nil, err
	}
	l := &loader{t: t, o: o, pcm: pcm, r: &LoadReport{
		Target: t.URL, Started: time.Now().UTC(), Model: o.Model, TargetP99: o.TargetP99.Seconds(), Steps: []LoadStep{}, Engines: o.Engines,
	}}
	if err := l.begin(ctx); err != nil {
		return nil, err
	}
	err = l.search(ctx)
	if err == nil {
		l.end(ctx)
	} else if ctx.Err() != nil {
		l.r.Limit = LimitInterrupted
	}
	l.advise()
	return l.r, err
}

type loader struct {
	t   *Target
	o   LoadOptions
	pcm PCM
	r   *LoadReport
}

// begin asks what is needed before the first stream.
func (l *loader) begin(ctx context.Context) error {
	s := &tester{t: l.t, o: Options{Model: l.o.Model, Language: l.o.Language, Timeout: l.o.Timeout}, r: &Report{}}
	s.o.defaults()
	var v struct {
		Streams int `json:"active_stream_requests"`
	}
	if err := l.t.get(ctx, l.o.Timeout, "/v1/status", &v); err != nil {
		return err
	}
	if v.Streams > 0 {
		l.warn("%d streams of others were active at the beginning: the engines hold more than was found", v.Streams)
	}
	if _, err := s.loaded(ctx); err != nil {
		return err
	}
	var err error
	if l.r.Model, err = s.choose(true); err != nil {
		return err
	}
	if l.o.Engines == 0 && l.o.CountEngines != nil {
		if l.r.Engines, err = l.o.CountEngines(ctx); err != nil {
			return err
		}
	}
	if l.r.Engines == 0 {
		l.r.Engines = 1
		l.warn("the number of engines is taken for 1: give --engines N, or --kubeconfig")
	}
	return nil
}

// end looks whether the engines are as many as before.
func (l *loader) end(ctx context.Context) {
	if l.o.Engines != 0 || l.o.CountEngines == nil {
		return
	}
	if n, err := l.o.CountEngines(ctx); err == nil && n != l.r.Engines {
		l.warn("engines were %d and are %d: autoscaling took part, so hold their number (scaling.engine.minReplicas and maxReplicas) and measure again", l.r.Engines, n)
	}
}

func (l *loader) warn(format string, args ...any) {
	l.r.Warnings = append(l.r.Warnings, fmt.Sprintf(format, args...))
	l.o.Note("warning: " + fmt.Sprintf(format, args...))
}

// advise computes what to set.
func (l *loader) advise() {
	if l.r.Streams == 0 {
		return
	}
	l.r.StreamsPerPod = max(1, int(float64(l.r.Streams)/float64(l.r.Engines)*l.o.Headroom))
}

// search doubles the streams until they do not hold, then bisects to a twentieth.
func (l *loader) search(ctx context.Context) error {
	held, broken := 0, 0
	for n := l.o.Start; ; {
		step, err := l.step(ctx, n)
		if err != nil {
			return err
		}
		l.r.Steps = append(l.r.Steps, step)
		l.o.Note(step.String())
		if step.Held {
			held = n
			l.r.Streams = held
			if held >= l.o.MaxStreams {
				l.r.Limit = LimitMaxStreams
				return nil
			}
		} else {
			broken = n
			l.r.Limit = step.Limit
		}
		switch {
		case broken == 0:
			n = min(2*n, l.o.MaxStreams)
		case broken-held <= max(1, held/20):
			return nil
		default:
			n = (held + broken) / 2
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(l.o.Settle):
		}
	}
}

func (s LoadStep) String() string {
	if s.Held {
		return fmt.Sprintf("%d streams hold: p50 %s p90 %s p99 %s", s.Streams, duration(s.Latency.P50), duration(s.Latency.P90), duration(s.Latency.P99))
	}
	return fmt.Sprintf("%d streams do not hold: %s", s.Streams, s.Why)
}

// step holds a number of streams for a time. An error means that the whole load is
// of no use.
func (l *loader) step(ctx context.Context, n int) (LoadStep, error) {
	l.o.Note(fmt.Sprintf("%d streams for %s", n, l.o.StepDuration))
	step := LoadStep{Streams: n}
	// Ctrl-C and the end of the step close streams as clients do; only what does
	// not answer then is cut.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := make(chan struct{})
	var once sync.Once
	end := func() { once.Do(func() { close(stop) }) }
	defer context.AfterFunc(ctx, func() {
		end()
		time.AfterFunc(min(5*time.Second, l.o.Timeout), cancel)
	})()

	begin := time.Now()
	ramp := min(l.o.StepDuration/5, 2*time.Second)
	timer := time.AfterFunc(l.o.StepDuration, end)
	defer timer.Stop()
	var mu sync.Mutex
	var latencies []time.Duration
	var lag []time.Duration
	var failures []*Failure
	silent := 0
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			select {
			case <-stop:
				return
			case <-time.After(ramp * time.Duration(i) / time.Duration(n)):
			}
			r, err := l.t.stream(work, streamSpec{
				model: l.r.Model, language: l.o.Language, pcm: l.pcm, stop: stop, pace: l.o.Pace, patience: l.o.Timeout,
				heard: func(at time.Time, latency time.Duration) {
					// Until all are there, the load is not yet the one in question.
					if at.Sub(begin) >= ramp {
						mu.Lock()
						defer mu.Unlock()
						latencies = append(latencies, latency)
					}
				},
			})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				failures = append(failures, asFailure(err))
				end() // the rest would say nothing more
			case r.Finals == 0:
				silent++
			default:
				lag = append(lag, r.Lag)
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return step, ctx.Err()
	}
	step.Latency, step.Errors = percentiles(latencies), len(failures)
	if len(failures) > 0 {
		if f := failures[0]; n == l.o.Start && len(l.r.Steps) == 0 && f.Kind != KindCapacity &&
			f.Kind != KindUnavailable && f.Kind != KindSlow {
			return step, f
		}
	}
	l.judge(&step, failures, silent, percentiles(lag))
	return step, nil
}

// judge says whether a step held, and why not.
func (l *loader) judge(step *LoadStep, failures []*Failure, silent int, lag Percentiles) {
	capacity := slices.IndexFunc(failures, func(f *Failure) bool { return f.Kind == KindCapacity || f.Kind == KindUnavailable })
	slow := slices.IndexFunc(failures, func(f *Failure) bool { return f.Kind == KindSlow })
	switch {
	case capacity >= 0:
		step.Limit, step.Why = LimitCapacity, fmt.Sprintf("%d refused: %s", len(failures), failures[capacity].Message)
	case slow >= 0:
		step.Limit, step.Why = LimitLatency, failures[slow].Message
	case len(failures) > 0:
		step.Limit, step.Why = LimitErrors, fmt.Sprintf("%d failed: %s", len(failures), failures[0].Message)
	case silent > 0 || step.Latency.Count == 0:
		step.Limit, step.Why = LimitErrors, fmt.Sprintf("%d streams brought no final result", max(1, silent))
	case duration(lag.P90) > l.o.TargetP99/4 && duration(lag.P90) > 2*chunkTime:
		// What this machine sends late comes back late.
		step.Limit, step.Why = LimitClient, fmt.Sprintf("this machine is too slow for so many: it sent sound %s late; use a larger one", duration(lag.P90))
	case exactly(step.Latency.P99) > l.o.TargetP99:
		step.Limit, step.Why = LimitLatency, fmt.Sprintf("p99 %s is more than %s (p50 %s, p90 %s)", duration(step.Latency.P99), l.o.TargetP99, duration(step.Latency.P50), duration(step.Latency.P90))
	default:
		step.Held = true
	}
	step.Why = strings.TrimSpace(step.Why)
}
