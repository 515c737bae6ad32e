package stacks

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"

	"github.com/deepgram-gke/deepgram-gke/internal/engine"
)

// updating are the stacks that this process changes at the moment.
var updating = struct {
	mutex  sync.Mutex
	stacks map[stackKey]bool
}{stacks: map[stackKey]bool{}}

type stackKey struct{ backend, project, stack string }

func (d *Deployer) key() stackKey {
	backend := cmp.Or(d.o.Backend, d.o.Env["PULUMI_BACKEND_URL"], os.Getenv("PULUMI_BACKEND_URL"))
	return stackKey{backend, d.o.Project, d.o.Stack}
}

// alone lets one update of the stack run at a time in this process.
func (d *Deployer) alone() (release func(), err error) {
	updating.mutex.Lock()
	defer updating.mutex.Unlock()
	key := d.key()
	if updating.stacks[key] {
		return nil, &ConflictError{Stack: d.o.Stack, Here: true}
	}
	updating.stacks[key] = true
	return func() {
		updating.mutex.Lock()
		defer updating.mutex.Unlock()
		delete(updating.stacks, key)
	}, nil
}

// operation is something under way that can be cancelled.
type operation struct {
	ctx    context.Context
	cancel context.CancelFunc
	hard   chan struct{}
	once   sync.Once
	done   chan struct{}
}

// stop asks for a graceful end first, and for a hard one when that was asked
// before, by whomever.
func (o *operation) stop() {
	if o.ctx.Err() == nil {
		o.cancel()
		return
	}
	o.once.Do(func() { close(o.hard) })
}

// begin makes a context for an operation that Cancel can end.
func (d *Deployer) begin(ctx context.Context) (context.Context, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	o := &operation{ctx: ctx, cancel: cancel, hard: make(chan struct{}), done: make(chan struct{})}
	d.mutex.Lock()
	if d.closed {
		d.mutex.Unlock()
		cancel()
		return nil, nil, errors.New("the deployer is closed")
	}
	d.running[o] = struct{}{}
	d.mutex.Unlock()
	var late *time.Timer
	stopWatching := func() bool { return true }
	if grace := d.o.Grace; grace > 0 {
		stopWatching = context.AfterFunc(ctx, func() {
			d.mutex.Lock()
			defer d.mutex.Unlock()
			late = time.AfterFunc(grace, o.stop)
		})
	}
	return engine.WithStop(ctx, o.hard), func() {
		stopWatching()
		cancel()
		d.mutex.Lock()
		if late != nil {
			late.Stop()
		}
		delete(d.running, o)
		d.mutex.Unlock()
		close(o.done)
	}, nil
}

// Cancel ends what this Deployer is doing. The first time it is graceful: the
// engine starts nothing more, asks the providers to end, waits for what is under
// way and unlocks the stack. Where that was asked for before, by Cancel or by the
// operation's context, the engine abandons what it waits for, and is killed where
// that takes longer than ten seconds: nobody knows then whether those resources
// exist, and the next Up says so with a *PendingOperationsError. The stack may
// stay locked.
func (d *Deployer) Cancel() {
	d.mutex.Lock()
	running := make([]*operation, 0, len(d.running))
	for o := range d.running {
		running = append(running, o)
	}
	d.mutex.Unlock()
	for _, o := range running {
		o.stop()
	}
}

func (d *Deployer) waitForAll() {
	d.mutex.Lock()
	running := make([]*operation, 0, len(d.running))
	for o := range d.running {
		running = append(running, o)
	}
	d.mutex.Unlock()
	for _, o := range running {
		<-o.done
	}
}

// run runs one operation of the engine, and tells of it.
func (d *Deployer) run(
	ctx context.Context, name string, expected int, do func(context.Context, chan<- events.EngineEvent) error,
	listeners ...func(events.EngineEvent),
) (*Result, error) {
	n := &narrator{d: d, name: name, expected: expected}
	n.tell(Event{Kind: EventStarted})
	d.log(slog.LevelInfo, name+" begins")
	record, err := engine.Operation{
		Name: name, Stack: d.o.Stack, Redact: d.hide, Begin: d.o.Observe, Do: do,
		Handle: func(event events.EngineEvent) {
			n.handle(event)
			for _, listen := range listeners {
				listen(event)
			}
		},
	}.Run(ctx)
	return d.result(record), err
}

// ended tells the end of an operation, which may be refused after the engine is
// done.
func (d *Deployer) ended(result *Result, err error) {
	ended := EndedEvent{Changes: result.Changes, Seconds: result.Seconds}
	level := slog.LevelInfo
	if err != nil {
		ended.Error, level = err.Error(), slog.LevelError
	}
	n := &narrator{d: d, name: result.Operation}
	n.tell(Event{Kind: EventEnded, Ended: &ended})
	for _, warning := range result.Warnings {
		d.log(slog.LevelWarn, warning.Message, "urn", warning.URN)
	}
	d.log(level, result.Operation+" ended", "changes", result.Changes, "error", ended.Error)
}

func (d *Deployer) log(level slog.Level, text string, args ...any) {
	if d.o.Log != nil {
		d.o.Log.Log(context.Background(), level, text, append([]any{"stack", d.o.Stack}, args...)...)
	}
}
