package images

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// States of an image after a command.
const (
	Copied  = "copied"  // it was not there, or not whole
	Present = "present" // it was there: nothing was done
	Updated = "updated" // the tag was there with another digest, and follows now
	Moved   = "moved"   // the tag stands for another digest upstream than in the target: left as it is
	Missing = "missing" // verify: the target does not have it
	Equal   = "equal"   // verify: the same digest on both sides
	Differs = "differs" // verify: another digest than the lock file's or upstream's
	Broken  = "broken"  // verify: something that the image names is not there
	Failed  = "failed"  // see the error
)

// Result is what became of one image.
type Result struct {
	Image
	// Status is one of the states above.
	Status string `json:"status"`
	// Digest is the digest that the target's tag stands for, or should.
	Digest string `json:"digest,omitempty"`
	// Upstream is the digest that the tag stands for upstream, where it was asked.
	Upstream string `json:"upstream,omitempty"`
	// Bytes were transferred; Skipped were there already.
	Bytes   int64 `json:"bytes"`
	Skipped int64 `json:"skipped"`
	// Attachments is the number of signatures and referrers copied with it.
	Attachments int64 `json:"attachments,omitempty"`
	// Error is why it failed.
	Error string `json:"error,omitempty"`
}

// Different says whether the result calls for a person's decision.
func (r Result) Different() bool {
	switch r.Status {
	case Moved, Missing, Differs, Broken:
		return true
	}
	return false
}

// Mirror copies every image from its source to its target by digest. What is
// there already costs one request to each side, and only one to the target
// where lock pins the digest. A tag that moved upstream is reported and left
// alone (unless Options.Follow). lock may be nil; images that it does not pin
// yet are added to it. Images without a source are skipped. All errors are
// reported at once; the results are complete as far as they go.
func (c *Client) Mirror(ctx context.Context, list []Image, lock *Lock) ([]Result, error) {
	list = withSource(list)
	results := make([]Result, len(list))
	var mu sync.Mutex
	err := c.each(ctx, len(list), func(ctx context.Context, i int) error {
		results[i].Image = list[i]
		src, dst, err := endpoints(list[i])
		if err == nil {
			err = c.mirror(ctx, src, dst, lock, &mu, &results[i])
		}
		return results[i].fail(err)
	})
	return results, err
}

func (r *Result) fail(err error) error {
	if err == nil {
		return nil
	}
	err = explain(r.Image, err)
	r.Status, r.Error = Failed, err.Error()
	return err
}

func withSource(list []Image) []Image {
	var out []Image
	for _, i := range list {
		if i.Source != "" {
			out = append(out, i)
		}
	}
	return out
}

func endpoints(i Image) (src, dst name.Tag, err error) {
	if src, err = name.NewTag(i.Source); err != nil {
		return src, dst, err
	}
	dst, err = name.NewTag(i.Target)
	return src, dst, err
}

// resolve finds what to copy: the pinned digest, or what the tag stands for.
func (c *Client) resolve(
	ctx context.Context, src name.Tag, ref string, lock *Lock, mu *sync.Mutex,
) (upstream, copied v1.Hash, pinned bool, err error) {
	mu.Lock()
	upstream, copied, pinned = lock.pin(ref, c.o.Platform)
	mu.Unlock()
	if pinned {
		return upstream, copied, pinned, err
	}
	s := repository{c, src.Repository}
	d, found, err := c.head(ctx, src)
	if err == nil && !found {
		err = &missing{what: src.TagStr()}
	}
	if err != nil {
		return upstream, copied, false, from(s, err)
	}
	copied, err = c.narrow(ctx, s, d)
	return d.Digest, copied, false, err
}

func (c *Client) mirror(ctx context.Context, src, dst name.Tag, lock *Lock, mu *sync.Mutex, r *Result) error {
	s, t := repository{c, src.Repository}, repository{c, dst.Repository}
	// Both sides are asked at the same time.
	type answer struct {
		d     v1.Descriptor
		found bool
		err   error
	}
	there := make(chan answer, 1)
	go func() {
		d, found, err := c.head(ctx, dst)
		there <- answer{d, found, err}
	}()
	upstream, want, pinned, err := c.resolve(ctx, src, r.Source, lock, mu)
	have := <-there
	if err != nil {
		return err
	}
	if have.err != nil {
		return to(t, have.err)
	}
	r.Upstream, r.Digest = upstream.String(), want.String()
	r.Status = Copied
	switch {
	case have.found && have.d.Digest == want:
		r.Status = Present
	case have.found && !pinned && !c.o.Follow:
		// The registry of the site has another image under this tag, and
		// nobody said that it may change.
		r.Status, r.Digest = Moved, have.d.Digest.String()
		c.o.Progress.Note(fmt.Sprintf("moved: %s is %s upstream, but %s in %s", r.Source, upstream, have.d.Digest, r.Target))
		return nil
	case have.found:
		r.Status = Updated
	}
	if r.Status != Present {
		// The tag comes last: a tag that is there says that all of it is.
		if err := c.transfer(ctx, s, t, want, dst.TagStr(), r); err != nil {
			return err
		}
		now, found, err := c.head(ctx, dst)
		if err != nil || !found || now.Digest != want {
			if err == nil {
				err = fmt.Errorf("took %s as %s, but answers with %s: it changes what it stores, so it cannot be used as a mirror", dst.TagStr(), want, now.Digest)
			}
			return to(t, err)
		}
	}
	if lock != nil && !pinned {
		mu.Lock()
		lock.set(r.Source, c.o.Platform, upstream, want)
		mu.Unlock()
	}
	return nil
}

// Verify compares the digests of both sides: what lock pins or the tag upstream
// stands for, and what the target has. Images without a source are asked for
// in the target only. With blobs, everything that the target's images name is
// asked for too. With offline, upstream is not asked: lock must pin each image.
func (c *Client) Verify(ctx context.Context, list []Image, lock *Lock, blobs, offline bool) ([]Result, error) {
	results := make([]Result, len(list))
	err := c.each(ctx, len(list), func(ctx context.Context, i int) error {
		results[i].Image = list[i]
		return results[i].fail(c.verify(ctx, lock, blobs, offline, &results[i]))
	})
	return results, err
}

func (c *Client) verify(ctx context.Context, lock *Lock, blobs, offline bool, r *Result) error {
	dst, err := name.NewTag(r.Target)
	if err != nil {
		return err
	}
	t := repository{c, dst.Repository}
	have, found, err := c.head(ctx, dst)
	if err != nil {
		return to(t, err)
	}
	if found {
		r.Digest = have.Digest.String()
	}
	r.Status = Equal
	if r.Source != "" {
		if err := c.compare(ctx, lock, offline, have.Digest, r); err != nil {
			return err
		}
	}
	if !found {
		r.Status = Missing
	}
	if r.Status == Equal && blobs {
		return c.whole(ctx, t, have.Digest, r)
	}
	return nil
}

// compare compares the target's digest with the lock file's and upstream's.
func (c *Client) compare(ctx context.Context, lock *Lock, offline bool, have v1.Hash, r *Result) error {
	pinnedUp, pinned, isPinned := lock.pin(r.Source, c.o.Platform)
	if offline {
		if !isPinned {
			return fmt.Errorf("is not in the lock file, and upstream is not asked: run images mirror --lock where upstream can be reached")
		}
		if have != pinned {
			r.Status = Differs
		}
		r.Upstream = pinnedUp.String()
		return nil
	}
	src, err := name.NewTag(r.Source)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	upstream, want, _, err := c.resolve(ctx, src, r.Source, nil, &mu)
	if err != nil {
		return err
	}
	r.Upstream = upstream.String()
	switch {
	case isPinned && have != pinned:
		r.Status = Differs
	case isPinned && upstream != pinnedUp, !isPinned && have != want:
		r.Status = Moved
	}
	return nil
}

// whole asks the target for everything that an image names.
func (c *Client) whole(ctx context.Context, t repository, d v1.Hash, r *Result) error {
	k := &copier{c: c, from: t, to: absent{t, r}}
	_, _, err := k.manifest(ctx, d, true)
	if err != nil && notFound(err) {
		r.Status = Broken
		return nil
	}
	return err
}
