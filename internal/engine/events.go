package engine

import (
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
)

// Watch calls handle for each event that arrives on the returned channel, in
// order. Call done after the operation has returned and before reading what
// handle gathered: the channel stays open when the CLI fails before its stream
// begins, so nothing may wait for its end.
func Watch(handle func(events.EngineEvent)) (channel chan events.EngineEvent, done func()) {
	channel = make(chan events.EngineEvent)
	quit, idle := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(idle)
		for {
			select {
			case event, open := <-channel:
				if !open {
					return
				}
				handle(event)
			case <-quit:
				return
			}
		}
	}()
	return channel, func() {
		close(quit)
		<-idle
	}
}
