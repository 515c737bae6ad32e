package engine

import (
	"context"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// Operation is one operation of the engine that is to be watched and recorded.
type Operation struct {
	// Name is what people call it, such as preview.
	Name string
	// Stack is the stack's name, for messages.
	Stack string
	// Redact hides known secrets. Required.
	Redact func(string) string
	// Begin is called with the record before anything is done, and what it returns
	// when all is over, with a line that sums it up. It may be nil.
	Begin func(*report.Operation) func(line string)
	// Handle receives every event, after the record has it. It may be nil.
	Handle func(events.EngineEvent)
	// Do starts the operation with a stream for its events. Required.
	Do func(context.Context, chan<- events.EngineEvent) error
}

// Run runs the operation and explains how it failed, see Explain. The record is
// never nil.
func (o Operation) Run(ctx context.Context) (*report.Operation, error) {
	record := report.NewOperation(o.Name, o.Redact)
	finish := func(string) {}
	if o.Begin != nil {
		finish = o.Begin(record)
	}
	channel, done := Watch(func(event events.EngineEvent) {
		record.Handle(event)
		if o.Handle != nil {
			o.Handle(event)
		}
	})
	cause := o.Do(ctx, channel)
	done()
	var err error
	if cause != nil && ctx.Err() == nil {
		err = conflict(o.Stack, o.Redact, cause)
	}
	if err == nil {
		err = Explain(record, o.Redact, cause, ctx.Err())
	}
	record.Finish(err)
	finish(report.StepLine(record))
	return record, err
}
