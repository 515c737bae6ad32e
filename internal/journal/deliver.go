package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// DeliverOptions say what was handed over.
type DeliverOptions struct {
	// Pod is whose journal it is. Required, except where File is a copy that the
	// target knows.
	Pod string
	// File is what was handed over; empty means the pod's newest backup.
	File string
	// Kind is Delivered or Confirmed; empty means Delivered.
	Kind string
	// By is who handed it over (or confirmed it). Required.
	By string
	// To is whom it went to, or by which way.
	To, Note string
	// At is when; zero means now.
	At time.Time
	// Now is the clock; nil means the real one.
	Now func() time.Time
}

// Deliver writes into the target's book that a journal was handed to Deepgram,
// or that Deepgram confirmed it. Only journals that were delivered can be
// pruned.
func Deliver(ctx context.Context, t Target, o DeliverOptions) (Delivery, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Kind == "" {
		o.Kind = Delivered
	}
	if o.By == "" {
		return Delivery{}, errors.New("deliver: by: is missing: who handed it over?")
	}
	now := o.Now().UTC().Truncate(time.Millisecond)
	if o.At.IsZero() {
		o.At = now
	}
	if o.At.After(now.Add(time.Minute)) {
		return Delivery{}, fmt.Errorf("deliver: at %s: is in the future", o.At.Format(time.RFC3339))
	}
	book, err := ReadBook(ctx, t, "")
	if err != nil {
		return Delivery{}, err
	}
	d := Delivery{Kind: o.Kind, Pod: o.Pod, At: o.At.UTC(), By: o.By, To: o.To, Note: o.Note, RecordedAt: now}
	if o.File != "" {
		err = book.deliverFile(ctx, &d, o.File)
	} else {
		err = book.deliverLast(&d)
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("deliver: %w", err)
	}
	if d.Kind == Confirmed && !book.wasDelivered(d) {
		return Delivery{}, fmt.Errorf("deliver: journal of %s with digest %s: was not delivered, so it cannot be confirmed: record the delivery first", d.Pod, d.SHA256)
	}
	return d, putJSON(ctx, t, fmt.Sprintf("%s%s-%s%s", deliveries, now.Format(stamp), d.SHA256, recordSuffix), d)
}

func (b *Book) deliverLast(d *Delivery) error {
	last := b.Last(d.Pod)
	if last == nil {
		return fmt.Errorf("pod %q: has no backup in the target; known are %q", d.Pod, b.Pods())
	}
	d.SHA256, d.Size, d.Lines = last.SHA256, last.Size, last.Lines
	for _, r := range b.Backups[d.Pod] {
		if b.later(r)[last.SHA256] && !slices.Contains(d.Covers, r.SHA256) {
			d.Covers = append(d.Covers, r.SHA256)
		}
	}
	return nil
}

// deliverFile reads the file and finds the backups that are prefixes of it.
func (b *Book) deliverFile(ctx context.Context, d *Delivery, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var marks []int64
	for pod, list := range b.Backups {
		for _, r := range list {
			if d.Pod == "" || d.Pod == pod {
				marks = append(marks, r.Size)
			}
		}
	}
	slices.Sort(marks)
	r, err := Scan(ctx, f, slices.Compact(marks))
	if err != nil {
		return err
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("file %s: is no journal: %w", path, err)
	}
	d.SHA256, d.Size, d.Lines = r.SHA256, r.Size, r.Lines
	covers := map[string][]string{}
	for pod, list := range b.Backups {
		for _, c := range list {
			if got, ok := r.Prefix(c.Size); ok && c.Size > 0 && got == c.SHA256 && !slices.Contains(covers[pod], c.SHA256) {
				covers[pod] = append(covers[pod], c.SHA256)
			}
		}
	}
	if d.Pod == "" {
		if len(covers) != 1 {
			return fmt.Errorf("file %s: no backup says whose journal it is: name the pod; known are %q", path, b.Pods())
		}
		for pod := range covers {
			d.Pod = pod
		}
	}
	if d.Covers = covers[d.Pod]; len(d.Covers) == 0 && len(b.Backups[d.Pod]) > 0 {
		return fmt.Errorf("file %s: is not the journal of %s: none of its %d backups is a prefix of it", path, d.Pod, len(b.Backups[d.Pod]))
	}
	return nil
}

func (b *Book) wasDelivered(d Delivery) bool {
	return slices.ContainsFunc(b.Deliveries, func(e Delivery) bool {
		return e.Kind == Delivered && e.Pod == d.Pod && (e.SHA256 == d.SHA256 || slices.Contains(e.Covers, d.SHA256))
	})
}

// Pruned is what Prune did, or would do, with one copy.
type Pruned struct {
	Pod    string `json:"pod"`
	Object string `json:"object"`
	Size   int64  `json:"size"`
	// Deleted says that the copy is gone (or would be, in a dry run).
	Deleted bool `json:"deleted"`
	// Why says why it is kept, or by which delivery it may go.
	Why string `json:"why"`
}

// PruneOptions set up Prune.
type PruneOptions struct {
	// OlderThan keeps younger copies. Required.
	OlderThan time.Duration
	// DryRun deletes nothing.
	DryRun bool
	Now    func() time.Time
}

// Prune deletes copies that were delivered to Deepgram and are older than asked
// for. What was not delivered is kept, whatever is asked; so is the newest copy
// of each pod. Records stay.
func Prune(ctx context.Context, t Target, o PruneOptions) ([]Pruned, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	book, err := ReadBook(ctx, t, "")
	if err != nil {
		return nil, err
	}
	result := []Pruned{}
	for _, pod := range book.Pods() {
		seen := map[string]bool{}
		last := book.Last(pod)
		for _, r := range book.Backups[pod] {
			c, there := book.copies[r.Object]
			if !there || seen[r.Object] {
				continue
			}
			seen[r.Object] = true
			p := Pruned{Pod: pod, Object: r.Object, Size: c.Size}
			switch d := book.Delivery(Delivered, r); {
			case d == nil:
				p.Why = "not delivered to Deepgram yet"
			case r.Object == last.Object:
				p.Why = "the newest copy is always kept"
			case o.Now().Sub(r.TakenAt) < o.OlderThan:
				p.Why = fmt.Sprintf("younger than %s", o.OlderThan)
			default:
				p.Deleted, p.Why = true, fmt.Sprintf("delivered %s by %s", d.At.Format(time.RFC3339), d.By)
				if !o.DryRun {
					if err := prune(ctx, t, r.Object, *d); err != nil {
						return result, err
					}
				}
			}
			result = append(result, p)
		}
		for _, u := range book.Unconfirmed[pod] {
			result = append(result, Pruned{Pod: pod, Object: u.Name, Size: u.Size, Why: "has no record: an interrupted backup is never deleted"})
		}
	}
	return result, nil
}

// prune says first that the copy goes, then lets it go: whenever it is killed,
// no copy is missing without a word.
func prune(ctx context.Context, t Target, object string, d Delivery) error {
	name := object[:len(object)-len(copySuffix)] + prunedSuffix
	if err := t.Put(ctx, name, jsonReader(d)); err != nil && !errors.Is(err, ErrExists) {
		return err
	}
	if err := t.Delete(ctx, object); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// Release lifts the holds that a target has put on the copies that a delivery
// covers, so that its retention begins to count. Targets without holds have
// nothing to do.
func Release(ctx context.Context, t Target, d Delivery) error {
	holder, ok := t.(interface {
		release(ctx context.Context, name string) error
	})
	if !ok || d.Kind != Delivered {
		return nil
	}
	book, err := ReadBook(ctx, t, d.Pod)
	if err != nil {
		return err
	}
	var errs []error
	done := map[string]bool{}
	for _, r := range book.Backups[d.Pod] {
		if _, there := book.copies[r.Object]; there && !done[r.Object] && slices.Contains(d.Covers, r.SHA256) {
			done[r.Object] = true
			errs = append(errs, holder.release(ctx, r.Object))
		}
	}
	return errors.Join(errs...)
}
