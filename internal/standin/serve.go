package standin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

// The provider versions that the facts are of. A program that registers with
// another one is refused: without a version the real engine would fetch the
// newest provider, another major.
const (
	GCPVersion        = "7.38.0"
	KubernetesVersion = "4.33.0"
	CommandVersion    = "1.2.0"
)

// Servers are the three running providers of a Cloud.
type Servers struct {
	servers []*server
	handles []rpcutil.ServeHandle
	stop    chan bool
	once    sync.Once
	err     error
	unwatch func() bool
}

// Serve starts the gcp, kubernetes and command providers on loopback ports.
// They stop at Close or when ctx ends; hanging calls then end with an error.
func (c *Cloud) Serve(ctx context.Context) (*Servers, error) {
	s := &Servers{stop: make(chan bool)}
	for _, b := range []backend{&gcp{cloud: c}, &kubernetes{cloud: c}, &command{cloud: c}} {
		srv := newServer(c, b)
		handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
			Cancel: s.stop,
			Init: func(g *grpc.Server) error {
				pulumirpc.RegisterResourceProviderServer(g, srv)
				return nil
			},
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("serve %s: %w", b.name(), err), s.Close())
		}
		s.servers = append(s.servers, srv)
		s.handles = append(s.handles, handle)
	}
	s.unwatch = context.AfterFunc(ctx, func() { _ = s.Close() })
	return s, nil
}

// Attach is the value of PULUMI_DEBUG_PROVIDERS with which the engine uses the
// stand-ins: "gcp:PORT,kubernetes:PORT,command:PORT".
func (s *Servers) Attach() string {
	parts := make([]string, len(s.servers))
	for i := range s.servers {
		parts[i] = fmt.Sprintf("%s:%d", s.servers[i].backend.name(), s.handles[i].Port)
	}
	return strings.Join(parts, ",")
}

// Close stops the providers and waits until they have stopped. Closing twice
// does nothing more.
func (s *Servers) Close() error {
	s.once.Do(func() {
		if s.unwatch != nil {
			s.unwatch()
		}
		for _, srv := range s.servers {
			srv.cancelAll(true)
		}
		close(s.stop)
		for _, h := range s.handles {
			s.err = errors.Join(s.err, <-h.Done)
		}
	})
	return s.err
}
