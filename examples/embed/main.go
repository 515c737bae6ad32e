// Command embed is a small HTTP service that previews and deploys environments:
// an example of package stacks as a library. Copy it and make it yours; put
// authentication in front of it, because whoever reaches it can deploy.
//
//	POST /environments/{name}/preview   what an update would do
//	POST /environments/{name}/up        deploy
//	POST /environments/{name}/cancel    end gracefully; a second time, at once
//	GET  /environments/{name}/events    progress, as server-sent events
//
// The body of preview and up is what a Pulumi.<environment>.yaml holds, with
// secrets in plain text or as references into Secret Manager. Answers are JSON:
// 200, 400 for a wrong configuration, 409 while another update runs, 422 where a
// policy or the gate refuses, 499 when it was cancelled, 502 where the cloud
// failed.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/deepgram-gke/deepgram-gke/stacks"
)

func main() {
	var o stacks.Options
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	flag.StringVar(&o.Backend, "backend", "", "where the state is kept, such as gs://acme-pulumi-state (default: the CLI's login)")
	flag.StringVar(&o.SecretsProvider, "secrets-provider", "", "what encrypts secrets in the state, such as gcpkms://…")
	flag.StringVar(&o.PolicyPack, "policy-pack", "", "path of deepgram-policy")
	flag.StringVar(&o.Pulumi, "pulumi", "", "path of the Pulumi CLI")
	flag.Parse()
	o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	o.Grace = 30 * time.Minute

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := newService(o)
	server := &http.Server{Addr: *listen, Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() {
		s.cancelAll() // requests end when their updates have
		_ = server.Shutdown(context.Background())
	})
	o.Log.Info("listening", "address", *listen)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		o.Log.Error("listening", "error", err)
		os.Exit(1)
	}
}
