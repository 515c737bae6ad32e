// Command deepgram-stack is the Pulumi program, when the engine starts it, and
// the commands that need the engine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/deepgram-gke/deepgram-gke/cmd/deepgram-stack/commands"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

func main() {
	if len(os.Args) == 1 && stacks.StartedByEngine() {
		stacks.Main()
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := commands.Run(ctx, os.Args[1:], commands.NewStreams(os.Stdout, os.Stderr))
	stop()
	os.Exit(code)
}
