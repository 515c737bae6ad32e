package smoke

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Names of the checks, in the order in which they are made.
const (
	CheckStatus    = "status"
	CheckEngine    = "engine"
	CheckModels    = "models"
	CheckBatch     = "batch"
	CheckStreaming = "streaming"
	CheckSpeak     = "speak"
	CheckLatency   = "latency"
	CheckGPU       = "gpu"
)

// Checks lists the names of all checks.
func Checks() []string {
	return []string{CheckStatus, CheckEngine, CheckModels, CheckBatch, CheckStreaming, CheckSpeak, CheckLatency, CheckGPU}
}

// Outcome of a check.
type Outcome string

// Outcomes.
const (
	Pass Outcome = "pass"
	Fail Outcome = "fail"
	Skip Outcome = "skip"
)

// Check is one thing that was looked at.
type Check struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	// Message is what was seen, or why it was not looked at.
	Message string `json:"message"`
	// Failure is there where it failed.
	Failure *Failure `json:"failure,omitempty"`
	Seconds float64  `json:"seconds"`
}

// Report is what a smoke test found.
type Report struct {
	Target  string    `json:"target"`
	Started time.Time `json:"started"`
	Passed  bool      `json:"passed"`
	// Model is what transcribed.
	Model  string  `json:"model,omitempty"`
	Checks []Check `json:"checks"`
	// Latency in seconds: "batch" whole requests; of streams "connect", "first" and
	// "final" (how long after their sound the first and the last result came) and
	// "result" (every result); "speak" whole requests.
	Latency map[string]Percentiles `json:"latency,omitempty"`
}

// Err is an error where a check failed.
func (r *Report) Err() error {
	var failed []string
	for _, c := range r.Checks {
		if c.Outcome == Fail {
			failed = append(failed, c.Name)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("smoke test: %d of %d checks failed: %s", len(failed), len(r.Checks), strings.Join(failed, ", "))
}

// Add takes a check that was made elsewhere into the report.
func (r *Report) Add(c Check) {
	r.Checks = slices.DeleteFunc(r.Checks, func(old Check) bool { return old.Name == c.Name })
	r.Checks = append(r.Checks, c)
	slices.SortStableFunc(r.Checks, func(a, b Check) int {
		return slices.Index(Checks(), a.Name) - slices.Index(Checks(), b.Name)
	})
	r.Passed = r.Err() == nil
}

// Options say what is tested. The zero value works.
type Options struct {
	// Audio is what is said; without it the bundled recording.
	Audio *Audio `json:"audio,omitempty"`
	// Language is asked for; empty leaves it to the model.
	Language string `json:"language,omitempty"`
	// Model transcribes; empty chooses one that is loaded.
	Model string `json:"model,omitempty"`
	// Models must be loaded: names, canonical names, architectures or ids.
	Models []string `json:"models,omitempty"`
	// MinOverlap is the share of words that must come back; 0 means 0.8.
	MinOverlap float64 `json:"minOverlap,omitempty"`
	// Samples is how many batch requests and streams the latencies are of; 0 means 5.
	Samples int `json:"samples,omitempty"`
	// MaxLatency is the 99th percentile of results of streams; 0 means 3 s.
	MaxLatency time.Duration `json:"maxLatency,omitempty"`
	// MaxBatch is the 99th percentile of batch requests; 0 means 10 s.
	MaxBatch time.Duration `json:"maxBatch,omitempty"`
	// Timeout ends a request, and waiting for a stream's last result; 0 means 30 s.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Wait is how long the API and an engine may take to be there; 0 asks once.
	Wait time.Duration `json:"wait,omitempty"`
	// Pace is how many times faster than spoken sound is sent; 0 means 1.
	Pace float64 `json:"pace,omitempty"`
	// Speak also tests text to speech, with the voice SpeakModel; empty chooses one.
	Speak      bool   `json:"speak,omitempty"`
	SpeakModel string `json:"speakModel,omitempty"`
	// Skip names checks that are left out.
	Skip []string `json:"skip,omitempty"`
	// GPU looks whether the engines use a GPU; nil skips that.
	GPU func(context.Context) (string, error) `json:"-"`
	// Note hears what is done; nil nobody.
	Note func(string) `json:"-"`
}

func (o *Options) defaults() {
	if o.Audio == nil {
		a := Sample()
		o.Audio = &a
	}
	o.MinOverlap = cmp.Or(o.MinOverlap, 0.8)
	o.Samples = cmp.Or(o.Samples, 5)
	o.MaxLatency = cmp.Or(o.MaxLatency, 3*time.Second)
	o.MaxBatch = cmp.Or(o.MaxBatch, 10*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.Pace = cmp.Or(o.Pace, 1)
	if o.Note == nil {
		o.Note = func(string) {}
	}
}

// skipped says why a check is not made; it is no failure.
type skipped string

func (s skipped) Error() string { return string(s) }

// Skipped is an error that a check may answer with to say why it cannot look.
func Skipped(format string, args ...any) error { return skipped(fmt.Sprintf(format, args...)) }

// tester makes the checks one after the other: each needs what those before it
// found.
type tester struct {
	t *Target
	o Options
	r *Report

	pcm PCM
	// models are those loaded; known tells that they could be asked for.
	models modelList
	known  bool
	// blocked is why no more requests are made.
	blocked string
	batch   []time.Duration
	spoken  []time.Duration
	streams []*streamResult
}

// Run makes all checks. An error means that it could not begin, or that ctx has
// ended; the report is then as far as it went. Failed checks are in the report,
// see [Report.Err].
func Run(ctx context.Context, t *Target, o Options) (*Report, error) {
	o.defaults()
	if err := errors.Join(t.prepare(), o.Audio.Check()); err != nil {
		return nil, err
	}
	defer t.close()
	pcm, err := o.Audio.Samples()
	if err != nil {
		return nil, err
	}
	s := &tester{t: t, o: o, pcm: pcm, r: &Report{Target: t.URL, Started: time.Now().UTC(), Checks: []Check{}}}
	for _, c := range []struct {
		name string
		run  func(context.Context) (string, error)
		// always is made also where the API cannot be reached.
		always bool
	}{
		{CheckStatus, s.status, false},
		{CheckEngine, s.engine, false},
		{CheckModels, s.loaded, false},
		{CheckBatch, s.listen, false},
		{CheckStreaming, s.streaming, false},
		{CheckSpeak, s.speak, false},
		{CheckLatency, s.latency, true},
		{CheckGPU, s.gpu, true},
	} {
		switch {
		case slices.Contains(o.Skip, c.name):
			s.r.Checks = append(s.r.Checks, Check{Name: c.name, Outcome: Skip, Message: "left out"})
			continue
		case s.blocked != "" && !c.always:
			s.r.Checks = append(s.r.Checks, Check{Name: c.name, Outcome: Skip, Message: "not tried, because " + s.blocked + " failed"})
			continue
		}
		o.Note("checking " + c.name)
		check := s.check(ctx, c.name, c.run)
		if ctx.Err() != nil {
			s.r.Passed = false
			return s.r, context.Cause(ctx)
		}
		s.r.Checks = append(s.r.Checks, check)
	}
	s.r.Latency = s.latencies()
	s.r.Passed = s.r.Err() == nil
	return s.r, nil
}

// check makes one check.
func (s *tester) check(ctx context.Context, name string, run func(context.Context) (string, error)) Check {
	begin := time.Now()
	message, err := run(ctx)
	c := Check{Name: name, Outcome: Pass, Message: message, Seconds: time.Since(begin).Round(time.Millisecond).Seconds()}
	var skip skipped
	switch {
	case err == nil:
	case errors.As(err, &skip):
		c.Outcome, c.Message = Skip, string(skip)
	default:
		c.Outcome, c.Failure = Fail, asFailure(err)
		c.Message = c.Failure.Message
		if c.Failure.everywhere() {
			s.blocked = name
		}
	}
	return c
}

func asFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return fail(KindServer, "run the command again; if it stays, read the logs of API and Engine", "%v", err)
}

func (s *tester) latencies() map[string]Percentiles {
	l := map[string]Percentiles{}
	put := func(name string, list []time.Duration) {
		if len(list) > 0 {
			l[name] = percentiles(list)
		}
	}
	var connect, first, final, all []time.Duration
	for _, r := range s.streams {
		connect = append(connect, r.Connect)
		first, final, all = append(first, r.First), append(final, r.Final), append(all, r.Results...)
	}
	put("batch", s.batch)
	put("connect", connect)
	put("first", first)
	put("final", final)
	put("result", all)
	put("speak", s.spoken)
	return l
}

// NewCheck makes a check on its own, to be added to a report.
func NewCheck(ctx context.Context, name string, run func(context.Context) (string, error)) Check {
	return (&tester{}).check(ctx, name, run)
}
