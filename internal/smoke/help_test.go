package smoke_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
	"github.com/deepgram-gke/deepgram-gke/internal/smoke/smoketest"
)

// pipes are a network in memory: with it, tests have a clock of their own.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve is the stand-in in memory. Call it within a bubble of synctest.
func serve(t *testing.T, api *smoketest.API) *smoke.Target {
	t.Helper()
	p := &pipes{make(chan net.Conn), make(chan struct{})}
	s := &http.Server{Handler: api}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(p)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return &smoke.Target{URL: "http://dg.test", Dial: p.dial}
}
