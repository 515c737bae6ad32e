package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SourceOptions choose how the journals are reached.
type SourceOptions struct {
	// ScaleDown stops billing while it is read. It is needed only where a live
	// copy is impossible.
	ScaleDown bool
	// Pods names the replicas; empty means all.
	Pods []string
	// Copy says that the journals are going to be copied, so that the helpers begin
	// to read them at once.
	Copy bool
}

// Source is one replica's journal, mounted in a helper pod.
type Source struct {
	Place
	seat *seat
}

// Open is the source's stream, for Fetch.
func (s *Source) Open(ctx context.Context, offset, size int64, compress bool, w io.Writer) error {
	query := map[string]string{
		"file": path.Join(helperMount, s.Path), "offset": strconv.FormatInt(offset, 10), "size": strconv.FormatInt(size, 10),
		"compress": strconv.FormatBool(compress),
	}
	return s.seat.with(ctx, func(h *helper) error {
		err := h.direct(ctx, w, query)
		if far := (notDirectError{}); !errors.As(err, &far) {
			return err
		} else if h.c.Direct != nil && !apierrors.IsInvalid(err) && !h.closed.Swap(true) {
			s.seat.c.Note(fmt.Sprintf("the API server does not pass requests on to helper pod %s (%v): going through exec, which is slower", h.name, far))
		}
		return h.exec(ctx, nil, w, "cat", "--file", query["file"],
			"--offset", query["offset"], "--size", query["size"], "--compress="+query["compress"])
	})
}

// Stat reads the journal where it is; nil means that there is none yet.
func (s *Source) Stat(ctx context.Context) (*Report, error) {
	var out bytes.Buffer
	if err := s.seat.exec(ctx, nil, &out, "stat", "--file", path.Join(helperMount, s.Path)); err != nil {
		return nil, err
	}
	var r *Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return nil, fmt.Errorf("journal of %s: the helper's answer is not understood: %w", s.Pod, err)
	}
	return r, nil
}

// seat is the place of a helper: where one dies, another takes it.
type seat struct {
	c *Cluster
	m mount

	mu sync.Mutex
	h  *helper
}

func (s *seat) helper(ctx context.Context) (*helper, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.h == nil {
		h, err := s.c.startHelper(ctx, s.m)
		if err != nil {
			return nil, err
		}
		s.h = h
	}
	return s.h, nil
}

// current is the helper, if there is one.
func (s *seat) current() *helper {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.h
}

// exec runs a program in the helper.
func (s *seat) exec(ctx context.Context, in io.Reader, out io.Writer, args ...string) error {
	return s.with(ctx, func(h *helper) error { return h.exec(ctx, in, out, args...) })
}

// with does something with the helper. Where the helper has died, the next call
// finds a new one.
func (s *seat) with(ctx context.Context, do func(*helper) error) error {
	h, err := s.helper(ctx)
	if err != nil {
		return fatal{err} // starting has its own patience
	}
	err = do(h)
	var f fatal
	if err == nil || ctx.Err() != nil || errors.As(err, &f) {
		return err
	}
	p, gerr := s.c.Client.CoreV1().Pods(s.c.Namespace).Get(ctx, h.name, metav1.GetOptions{})
	if apierrors.IsNotFound(gerr) || gerr == nil && (p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil) {
		s.mu.Lock()
		if s.h == h {
			s.h = nil
		}
		s.mu.Unlock()
		err = fmt.Errorf("helper pod %s has gone: %w", h.name, err)
	}
	return err
}

// WithSources mounts the journals in helper pods, lets do read them and removes
// the helpers, whatever happens; where billing had to stop it is scaled back to
// what it was, and the returned time is how long it was not ready.
func (c *Cluster) WithSources(
	ctx context.Context, o SourceOptions, do func(context.Context, *Layout, []*Source) error,
) (downtime time.Duration, err error) {
	c.init()
	if _, err := c.Recover(ctx); err != nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, err
	}
	l, err := c.Layout(ctx)
	if err != nil {
		return 0, err
	}
	places, err := pick(l.Places, o.Pods)
	if err != nil {
		return 0, err
	}
	if err := readable(l, places, o.ScaleDown); err != nil {
		return 0, err
	}
	var mine *Scaled
	defer func() {
		ctx, cancel := c.after(ctx)
		defer cancel()
		// By label, so that a helper whose creation was not answered goes too. One
		// that only reads beside billing is in nobody's way while it ends.
		if rerr := c.removeRun(ctx, asked); rerr != nil {
			err = errors.Join(err, rerr)
		}
	}()
	began := c.Now()
	if o.ScaleDown {
		defer func() {
			// Billing needs its claims back; if a helper does not go, billing is
			// scaled back all the same.
			cctx, cancel := c.after(ctx)
			defer cancel()
			err = errors.Join(err, c.removeRun(cctx, vanished), c.scaleBack(ctx, mine))
			downtime = c.Now().Sub(began)
		}()
		if mine, err = c.scaleDown(ctx); err != nil {
			return 0, err
		}
	}
	seats, sources := c.seats(l, places, o)
	stop := c.keepBeating(ctx, seats, o.ScaleDown)
	defer stop()
	return 0, do(ctx, l, sources)
}

// pick finds the places of the pods that were named.
func pick(all []Place, pods []string) ([]Place, error) {
	if len(pods) == 0 {
		return all, nil
	}
	var places []Place
	for _, name := range pods {
		i := slices.IndexFunc(all, func(p Place) bool { return p.Pod == name })
		if i < 0 {
			var known []string
			for _, p := range all {
				known = append(known, p.Pod)
			}
			return nil, fmt.Errorf("pod %q: is none of billing's: %s", name, strings.Join(known, ", "))
		}
		places = append(places, all[i])
	}
	return places, nil
}

// readable says why a live copy is not possible.
func readable(l *Layout, places []Place, scaleDown bool) error {
	if scaleDown {
		return nil
	}
	for _, p := range places {
		switch {
		case p.Exclusive && p.Node != "":
			return fmt.Errorf("claim %s: can be mounted by one pod only (ReadWriteOncePod), and %s has it: give --scale-down", p.Claim, p.Pod)
		case !p.Shared && l.Scaled != nil:
			return fmt.Errorf("claim %s: is being read by run %s of %s, for which billing is scaled down: wait until that has ended", p.Claim, l.Scaled.Run, l.Scaled.By)
		}
	}
	return nil
}

// seats gives every claim one helper: on a claim that many nodes can mount it
// may run anywhere, else where billing runs.
func (c *Cluster) seats(l *Layout, places []Place, o SourceOptions) ([]*seat, []*Source) {
	var seats []*seat
	var sources []*Source
	byClaim := map[string]*seat{}
	for _, p := range places {
		s := byClaim[p.Claim]
		if s == nil {
			s = &seat{c: c, m: mount{claim: p.Claim, like: &l.set.Spec.Template.Spec}}
			byClaim[p.Claim] = s
			seats = append(seats, s)
		}
		if !p.Shared && !o.ScaleDown && p.Node != "" {
			s.m.beside = p.Pod
		}
		if o.Copy {
			s.m.ahead = append(s.m.ahead, path.Join(helperMount, p.Path))
		}
		sources = append(sources, &Source{Place: p, seat: s})
	}
	return seats, sources
}

// keepBeating tells, until it is stopped, that the run lives.
func (c *Cluster) keepBeating(ctx context.Context, seats []*seat, scaled bool) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(c.Timing.Beat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for _, s := range seats {
				if h := s.current(); h != nil {
					h.beat(ctx)
				}
			}
			if scaled {
				c.beatScale(ctx)
			}
		}
	}()
	return func() { cancel(); <-done }
}
