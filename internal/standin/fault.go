package standin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// FaultMode says what goes wrong.
type FaultMode int

const (
	// FailBefore answers an error; nothing was done.
	FailBefore FaultMode = iota
	// FailAfter does what was asked in the cloud, but answers an error, as when a
	// connection breaks: the engine does not know what it has made.
	FailAfter
	// FailPartial does what was asked and answers that the resource exists but
	// did not become ready; the engine records it.
	FailPartial
	// Hang waits until the engine cancels or the servers are closed, then fails
	// with nothing done.
	Hang
	// Die calls Func before anything is done (to kill a process, for example) and
	// then fails.
	Die
)

// Fault is something that shall go wrong once.
type Fault struct {
	// N is the number of the matching call that fails, from 1; 0 means 1.
	N int
	// Provider, Type and URN narrow which calls match: "gcp", a Pulumi type, a
	// whole URN. Empty matches all.
	Provider, Type, URN string
	// Method is the provider method ("Create", "Read", "Check" …). Empty matches
	// those that change something: Create, Update and Delete.
	Method string
	// Preview lets calls made in a preview match too.
	Preview bool
	Mode    FaultMode
	// Message is what the error says. Default: "the stand-in was told to fail".
	Message string
	// Func is called when the fault strikes, whatever the mode.
	Func func()
}

type armedFault struct {
	Fault
	seen  int
	spent bool
}

// Call is one call of the engine to a stand-in provider.
type Call struct {
	// N counts the calls that change something outside of previews, from 1; it is
	// 0 for all others.
	N                      int
	Provider, Method, Type string
	URN, Name              string
	Preview                bool
}

var changing = []string{"Create", "Update", "Delete"}

// Inject arms faults. Each strikes once; calls are counted from now on.
func (c *Cloud) Inject(faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range faults {
		if f.N == 0 {
			f.N = 1
		}
		if f.Message == "" {
			f.Message = "the stand-in was told to fail"
		}
		c.faults = append(c.faults, &armedFault{Fault: f})
	}
}

// Pending returns the faults that have not struck.
func (c *Cloud) Pending() []Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Fault
	for _, f := range c.faults {
		if !f.spent {
			out = append(out, f.Fault)
		}
	}
	return out
}

// ClearFaults disarms all faults.
func (c *Cloud) ClearFaults() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = nil
}

// Calls returns the calls of the engine so far.
func (c *Cloud) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// ResetCalls forgets the calls so far.
func (c *Cloud) ResetCalls() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = nil
}

// enter records a call and returns the fault that strikes it, if any. Latency
// is spent here.
func (c *Cloud) enter(ctx context.Context, call Call) *Fault {
	c.mu.Lock()
	changes := slices.Contains(changing, call.Method) && !call.Preview
	if changes {
		call.N = 1
		for _, old := range c.calls {
			if old.N > 0 {
				call.N++
			}
		}
	}
	c.calls = append(c.calls, call)
	var hit *Fault
	for _, f := range c.faults {
		if f.spent || !f.matches(call) {
			continue
		}
		f.seen++
		if f.seen == f.N && hit == nil {
			f.spent = true
			hit = &f.Fault
		}
	}
	latency := c.settings.latency
	c.mu.Unlock()
	if changes && latency > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(latency):
		}
	}
	if hit != nil && hit.Func != nil {
		hit.Func()
	}
	return hit
}

func (f *armedFault) matches(call Call) bool {
	if f.Method == "" && !slices.Contains(changing, call.Method) {
		return false
	}
	return (f.Method == "" || f.Method == call.Method) &&
		(f.Provider == "" || f.Provider == call.Provider) &&
		(f.Type == "" || f.Type == call.Type) &&
		(f.URN == "" || f.URN == call.URN) &&
		(f.Preview || !call.Preview)
}

var errCancelled = errors.New("operation cancelled")

// strike lets a fault act before the work. after says that the work is to be
// done and then reported as failed.
func (f *Fault) strike(ctx context.Context, cancelled <-chan struct{}) (after bool, err error) {
	switch f.Mode {
	case FailAfter, FailPartial:
		return true, nil
	case Hang:
		select {
		case <-ctx.Done():
		case <-cancelled:
		}
		return false, fmt.Errorf("%s: %w", f.Message, errCancelled)
	case FailBefore, Die:
	}
	return false, errors.New(f.Message)
}
