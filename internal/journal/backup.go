package journal

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// BackupOptions set up Store. The zero value works.
type BackupOptions struct {
	// Wait is how long to wait for the end of a line; 0 means 5 s.
	Wait time.Duration
	// Tries is how often an upload is tried; 0 means 4.
	Tries int
	// FirstWait is the wait before the second try, doubled after; 0 means 1 s.
	FirstWait time.Duration
	// Source says where the journal is, for people.
	Source string
	// Program is the version of the program.
	Program string
	// Now is the clock; nil means the real one.
	Now func() time.Time
	// Note hears of what a person may want to know; nil nobody.
	Note func(line string)
}

func (o *BackupOptions) defaults() {
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	o.Tries = cmp.Or(o.Tries, 4)
	o.FirstWait = cmp.Or(o.FirstWait, time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Note == nil {
		o.Note = func(string) {}
	}
}

// Alarm is an error of a backup that was nevertheless stored: what is in it is
// not what it should be.
type Alarm struct{ Err error } //nolint:errname // an alarm, not a failure: the copy is stored

func (a *Alarm) Error() string { return "the copy is kept, but " + a.Err.Error() }
func (a *Alarm) Unwrap() error { return a.Err }

// Store copies the journal file of a pod into the target, reads the copy back,
// proves that the backup before it is a prefix, and records all of it. The file
// may be growing. Nothing in the target is overwritten.
//
// The error is an *Alarm where the copy is stored and recorded but is not what
// a journal should be: then the proof failed (both copies are kept) or lines
// are broken.
func Store(ctx context.Context, t Target, pod, file string, o BackupOptions) (Backup, error) {
	o.defaults()
	if !podName(pod) {
		return Backup{}, fmt.Errorf("pod %q: is not a pod's name", pod)
	}
	r, err := store(ctx, t, pod, file, o)
	var alarm *Alarm
	if err != nil && !errors.As(err, &alarm) {
		err = fmt.Errorf("backup of %s: %w", pod, err)
	}
	return r, err
}

func store(ctx context.Context, t Target, pod, file string, o BackupOptions) (Backup, error) {
	f, err := os.Open(file)
	if err != nil {
		return Backup{}, fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	book, err := ReadBook(ctx, t, pod)
	if err != nil {
		return Backup{}, err
	}
	snap, err := TakeSnapshot(ctx, f, o.Wait)
	if err != nil {
		return Backup{}, err
	}
	last := book.Last(pod)
	var marks []int64
	if last != nil {
		marks = []int64{last.Size}
	}
	r := Backup{Pod: pod, Source: o.Source, Program: o.Program}
	if r.Report, err = Scan(ctx, io.NewSectionReader(f, 0, snap.Size), marks); err != nil {
		return Backup{}, fmt.Errorf("journal: %w", err)
	}
	if r.Size != snap.Size {
		return Backup{}, fmt.Errorf("journal: ends at byte %d, though it had %d: a journal never shrinks", r.Size, snap.Size)
	}
	if last != nil {
		prefix, ok := r.Prefix(last.Size)
		r.Proof = &Proof{Previous: last.Name + copySuffix, Size: last.Size, AppendOnly: ok && prefix == last.SHA256, Differs: -1}
		if ok && !r.Proof.AppendOnly {
			r.Proof.Differs = differs(ctx, t, *last, f)
		}
	}
	// Names must sort in the order of backups, even where a clock was set back.
	r.TakenAt = o.Now().UTC().Truncate(time.Millisecond)
	if last != nil && !r.TakenAt.After(last.TakenAt) {
		r.TakenAt = last.TakenAt.Add(time.Millisecond)
	}
	r.Name = fmt.Sprintf("%s/%s-%s", pod, r.TakenAt.Format(stamp), r.SHA256)
	if err := upload(ctx, t, book, f, &r, o); err != nil {
		return Backup{}, err
	}
	if err := again(ctx, o, func() error { return putJSON(ctx, t, r.Name+recordSuffix, r) }); err != nil {
		return Backup{}, err
	}
	var wrong []error
	if r.Proof != nil {
		wrong = append(wrong, r.Proof.Err())
	}
	if r.Size > 0 { // a journal that is still empty is no alarm
		wrong = append(wrong, r.Err())
	}
	if err := errors.Join(wrong...); err != nil {
		return r, &Alarm{fmt.Errorf("backup of %s: %w", pod, err)}
	}
	return r, nil
}

// upload brings the snapshot into the target, or finds that it is there.
func upload(ctx context.Context, t Target, book *Book, f *os.File, r *Backup, o BackupOptions) error {
	for name, c := range book.copies {
		if strings.HasPrefix(name, r.Pod+"/") && shaOf(name) == r.SHA256 && c.Size == r.Size {
			if err := readBack(ctx, t, name, r); err != nil {
				o.Note(fmt.Sprintf("the copy that is there is not taken: %v", err))
				continue
			}
			r.Object = name
			return nil
		}
	}
	r.Object = r.Name + copySuffix
	return again(ctx, o, func() error {
		h := sha256.New()
		err := t.Put(ctx, r.Object, &exact{r: io.TeeReader(io.NewSectionReader(f, 0, r.Size), h), check: func() error {
			if got := hex.EncodeToString(h.Sum(nil)); got != r.SHA256 {
				return fatal{errors.New("journal: was changed while it was copied: it is not append-only; nothing was stored")}
			}
			return nil
		}})
		// A name that is taken was taken by an earlier try of ours, whose answer
		// was lost: reading it back tells.
		if err != nil && !errors.Is(err, ErrExists) {
			return err
		}
		return readBack(ctx, t, r.Object, r)
	})
}

// exact asks check at the end of r, before an upload is finished.
type exact struct {
	r     io.Reader
	check func() error
}

func (e *exact) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if errors.Is(err, io.EOF) {
		if cerr := e.check(); cerr != nil {
			return 0, cerr
		}
	}
	return n, err
}

// again runs f until it works, o.Tries times.
func again(ctx context.Context, o BackupOptions, f func() error) error {
	wait := o.FirstWait
	for try := 1; ; try++ {
		err := f()
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if x := (fatal{}); errors.As(err, &x) || try >= o.Tries {
			return err
		}
		o.Note(fmt.Sprintf("trying again in %s: %v", wait, err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// readBack reads a copy and compares size and digest with its record.
func readBack(ctx context.Context, t Target, name string, r *Backup) error {
	in, err := t.Get(ctx, name)
	if err != nil {
		return fmt.Errorf("reading back: %w", err)
	}
	defer in.Close()
	got, err := Scan(ctx, in, nil)
	switch {
	case err != nil:
		return fmt.Errorf("reading back %s: %w", name, err)
	case got.Size != r.Size || got.SHA256 != r.SHA256:
		return fmt.Errorf("reading back %s: it has %d bytes with digest %s, not %d with %s: the copy is not taken for a backup", name, got.Size, got.SHA256, r.Size, r.SHA256)
	}
	return nil
}

// differs finds the first byte that is not the last backup's; -1 if that one
// cannot be read.
func differs(ctx context.Context, t Target, last Backup, f *os.File) int64 {
	in, err := t.Get(ctx, last.Object)
	if err != nil {
		return -1
	}
	defer in.Close()
	c := &comparer{old: in, differs: -1}
	if err := spread(ctx, io.NewSectionReader(f, 0, last.Size), []io.Writer{c}); err != nil {
		return -1
	}
	return c.differs
}

// podName reports whether s can be a pod's name, so that it cannot leave its
// place in a target.
func podName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for i, c := range s {
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (c != '-' && c != '.' || i == 0 || i == len(s)-1) {
			return false
		}
	}
	return true
}
