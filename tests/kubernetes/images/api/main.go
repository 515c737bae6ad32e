// Command api stands in for Deepgram's API container on port 8080: HTTP and
// WebSocket, see package smoketest. LOG is a line for its log, as an engine writes
// one when it starts; API_KEY is what clients must send.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/deepgram-gke/deepgram-gke/internal/smoke/smoketest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if line := os.Getenv("LOG"); line != "" {
		log.Print(line)
	}
	api := &smoketest.API{Key: os.Getenv("API_KEY")}
	server := &http.Server{Addr: ":8080", Handler: api, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
