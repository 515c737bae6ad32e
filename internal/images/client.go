package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Progress hears what a Client does. Its methods are called from several
// goroutines.
type Progress interface {
	// Expect adds bytes to what is to be done.
	Expect(bytes int64)
	// Done adds bytes to what is done; negative where a blob starts again.
	Done(bytes int64)
	// Note is one line for the person waiting.
	Note(line string)
}

// NoProgress hears nothing.
type NoProgress struct{}

// Expect implements Progress.
func (NoProgress) Expect(int64) {}

// Done implements Progress.
func (NoProgress) Done(int64) {}

// Note implements Progress.
func (NoProgress) Note(string) {}

// Options sets up a Client. The zero value works.
type Options struct {
	// Keychain finds credentials; nil means none.
	Keychain authn.Keychain
	// Transport carries the requests; nil means the network.
	Transport http.RoundTripper
	// Parallel is how many blobs are under way at a time; 0 means 4.
	Parallel int
	// Platform narrows images of several platforms to one, such as
	// linux/amd64; empty keeps them whole.
	Platform string
	// Tries is how often a request or a blob is tried; 0 means 5.
	Tries int
	// FirstWait is the wait before the second try, doubled after; 0 means 500 ms.
	FirstWait time.Duration
	// MaxWait bounds the waits of one request; 0 means 3 minutes.
	MaxWait time.Duration
	// Stall is how long a transfer may be silent; 0 means 1 minute.
	Stall time.Duration
	// Follow lets Mirror replace a target's tag where the tag moved upstream.
	Follow bool
	// Progress hears what is done; nil means nobody.
	Progress Progress
}

// Client copies and compares images.
type Client struct {
	o        Options
	platform *v1.Platform
	tr       *network
	puller   *remote.Puller
	pusher   *remote.Pusher
	slots    chan struct{}

	mu    sync.Mutex
	blobs map[string]*once // by target registry and digest
}

// once is one blob on its way to a registry, so that images that share it
// transfer it once and mount it after.
type once struct {
	done chan struct{}
	repo name.Repository
	err  error
}

// NewClient is a client of registries.
func NewClient(o Options) (*Client, error) {
	o.Parallel = cmp.Or(o.Parallel, 4)
	o.Tries = cmp.Or(o.Tries, 5)
	o.FirstWait = cmp.Or(o.FirstWait, 500*time.Millisecond)
	o.MaxWait = cmp.Or(o.MaxWait, 3*time.Minute)
	o.Stall = cmp.Or(o.Stall, time.Minute)
	if o.Keychain == nil {
		o.Keychain = authn.NewMultiKeychain()
	}
	if o.Progress == nil {
		o.Progress = NoProgress{}
	}
	c := &Client{o: o, slots: make(chan struct{}, o.Parallel), blobs: map[string]*once{}}
	if o.Platform != "" {
		p, err := v1.ParsePlatform(o.Platform)
		if err != nil || p.OS == "" || p.Architecture == "" {
			return nil, fmt.Errorf("platform %q: must be os/architecture, such as linux/amd64", o.Platform)
		}
		c.platform = p
	}
	c.tr = newTransport(o)
	options := []remote.Option{
		remote.WithTransport(c.tr),
		remote.WithAuthFromKeychain(o.Keychain),
		remote.WithJobs(o.Parallel),
		remote.WithUserAgent("deepgram-ops"),
		// Our transport and putBlob decide what is tried again.
		remote.WithRetryBackoff(remote.Backoff{Duration: time.Millisecond, Factor: 1, Steps: 1}),
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryStatusCodes(),
	}
	var err error
	if c.puller, err = remote.NewPuller(options...); err != nil {
		return nil, err
	}
	if c.pusher, err = remote.NewPusher(options...); err != nil {
		return nil, err
	}
	return c, nil
}

// head asks for a tag's digest; found is false where there is none.
func (c *Client) head(ctx context.Context, ref name.Reference) (d v1.Descriptor, found bool, err error) {
	desc, err := c.puller.Head(ctx, ref)
	if err == nil {
		return *desc, true, nil
	}
	if notFound(err) {
		return v1.Descriptor{}, false, nil
	}
	if status(err) == 0 && !temporary(err) && ctx.Err() == nil {
		// Some registries leave the digest out of the answer to HEAD.
		if got, gerr := c.puller.Get(ctx, ref); gerr == nil {
			return got.Descriptor, true, nil
		}
	}
	return v1.Descriptor{}, false, err
}

// each runs f for all n, at most Parallel at a time, and joins the errors in
// order: a broken image does not keep the others from being copied.
func (c *Client) each(ctx context.Context, n int, f func(context.Context, int) error) error {
	errs := make([]error, n)
	slots := make(chan struct{}, c.o.Parallel)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		if ctx.Err() != nil {
			<-slots
			errs[i] = ctx.Err()
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(ctx, i)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
