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
	"strings"
	"time"
)

// What a target holds:
//
//	<pod>/<time>-<sha256>.journal        a copy, never changed
//	<pod>/<time>-<sha256>.json           its Backup record, written after the copy was read back
//	<pod>/<time>-<sha256>.pruned.json    its end, written before the copy is deleted
//	_deliveries/<time>-<sha256>.json     a Delivery
//
// Names sort by time. A copy without a record is one that was interrupted: it
// is kept, it counts as no backup, and the next one that finds it equal to the
// journal adopts it.
const (
	copySuffix   = ".journal"
	recordSuffix = ".json"
	prunedSuffix = ".pruned.json"
	// deliveries is no name that a pod can have.
	deliveries = "_deliveries/"
	// stamp is the time in names: UTC, sorted as it is, without colons.
	stamp = "20060102T150405.000Z"
)

// Backup is the record of one verified copy.
type Backup struct {
	// Pod is whose journal it is.
	Pod string `json:"pod"`
	// Name is the record's own, without its suffix.
	Name string `json:"name"`
	// Object is the copy. It is an older one where nothing was added since.
	Object string `json:"object"`
	// TakenAt is when.
	TakenAt time.Time `json:"takenAt"`
	// Source says from where, for people.
	Source string `json:"source,omitempty"`
	Report
	// Proof is about the backup before this one; nil for the first.
	Proof *Proof `json:"proof,omitempty"`
	// Program is the version of what wrote it.
	Program string `json:"program,omitempty"`
	// Pruned says that the copy was deleted after its delivery.
	Pruned *time.Time `json:"-"`
}

// Delivery records that a journal was handed to Deepgram, or that Deepgram
// confirmed it.
type Delivery struct {
	// Kind is delivered or confirmed.
	Kind string `json:"kind"`
	Pod  string `json:"pod"`
	// SHA256 and Size are of what was handed over.
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	Lines  int64  `json:"lines"`
	// Covers are the digests of the backups whose every byte was in it.
	Covers []string `json:"covers"`
	// At is when it was handed over, By whom, and To whom or by which way.
	At time.Time `json:"at"`
	By string    `json:"by"`
	To string    `json:"to,omitempty"`
	// Note is free text.
	Note string `json:"note,omitempty"`
	// RecordedAt is when this was written down.
	RecordedAt time.Time `json:"recordedAt"`
}

// Kinds of a Delivery.
const (
	Delivered = "delivered"
	Confirmed = "confirmed"
)

// Book is all that a target knows.
type Book struct {
	// Backups by pod, oldest first.
	Backups map[string][]Backup
	// Unconfirmed are copies without a record, by pod.
	Unconfirmed map[string][]Object
	// Deliveries, oldest first.
	Deliveries []Delivery
	copies     map[string]Object
}

// ReadBook reads the records of a target, of one pod or (empty) of all.
func ReadBook(ctx context.Context, t Target, pod string) (*Book, error) {
	b := &Book{Backups: map[string][]Backup{}, Unconfirmed: map[string][]Object{}, copies: map[string]Object{}}
	var objects []Object
	prefixes := []string{""}
	if pod != "" {
		prefixes = []string{pod + "/", deliveries}
	}
	for _, p := range prefixes {
		list, err := t.List(ctx, p)
		if err != nil {
			return nil, err
		}
		objects = append(objects, list...)
	}
	pruned := map[string]time.Time{}
	recorded := map[string]bool{}
	for _, o := range objects {
		dir, base := path.Split(o.Name)
		switch {
		case dir == deliveries && strings.HasSuffix(base, recordSuffix):
			var d Delivery
			if err := getJSON(ctx, t, o.Name, &d); err != nil {
				return nil, err
			}
			b.Deliveries = append(b.Deliveries, d)
		case dir == "" || strings.Count(dir, "/") != 1:
			// not ours
		case strings.HasSuffix(base, prunedSuffix):
			pruned[strings.TrimSuffix(o.Name, prunedSuffix)+copySuffix] = o.Modified
		case strings.HasSuffix(base, recordSuffix):
			var r Backup
			if err := getJSON(ctx, t, o.Name, &r); err != nil {
				return nil, err
			}
			r.Pod, r.Name = strings.TrimSuffix(dir, "/"), strings.TrimSuffix(o.Name, recordSuffix)
			recorded[r.Object] = true
			b.Backups[r.Pod] = append(b.Backups[r.Pod], r)
		case strings.HasSuffix(base, copySuffix):
			b.copies[o.Name] = o
		}
	}
	for name, o := range b.copies {
		if p := strings.TrimSuffix(path.Dir(name), "/"); !recorded[name] {
			b.Unconfirmed[p] = append(b.Unconfirmed[p], o)
		}
	}
	for p, list := range b.Backups {
		for i := range list {
			if at, ok := pruned[list[i].Object]; ok {
				list[i].Pruned = &at
			}
		}
		slices.SortFunc(list, func(a, c Backup) int { return strings.Compare(a.Name, c.Name) })
		b.Backups[p] = list
	}
	for _, list := range b.Unconfirmed {
		slices.SortFunc(list, func(a, c Object) int { return strings.Compare(a.Name, c.Name) })
	}
	slices.SortFunc(b.Deliveries, func(a, c Delivery) int { return a.RecordedAt.Compare(c.RecordedAt) })
	return b, nil
}

// Pods names whose journals the target holds.
func (b *Book) Pods() []string {
	var pods []string
	for p := range b.Backups {
		pods = append(pods, p)
	}
	for p := range b.Unconfirmed {
		if _, ok := b.Backups[p]; !ok {
			pods = append(pods, p)
		}
	}
	slices.Sort(pods)
	return pods
}

// Last is the newest backup of a pod; nil if there is none.
func (b *Book) Last(pod string) *Backup {
	list := b.Backups[pod]
	if len(list) == 0 {
		return nil
	}
	return &list[len(list)-1]
}

// Missing are the copies that a record promises and that are neither there nor
// deleted by Prune.
func (b *Book) Missing() []string {
	var names []string
	for _, list := range b.Backups {
		for _, r := range list {
			if o, ok := b.copies[r.Object]; r.Pruned == nil && (!ok || o.Size != r.Size) && !slices.Contains(names, r.Object) {
				names = append(names, r.Object)
			}
		}
	}
	slices.Sort(names)
	return names
}

// Delivery finds the first record of that kind that covers a backup; nil if
// there is none. A backup is covered by a delivery of the same bytes, or of
// later ones that provably begin with them.
func (b *Book) Delivery(kind string, r Backup) *Delivery {
	covered := b.later(r)
	for i, d := range b.Deliveries {
		if d.Pod == r.Pod && d.Kind == kind && (covered[d.SHA256] || slices.Contains(d.Covers, r.SHA256)) {
			return &b.Deliveries[i]
		}
	}
	return nil
}

// later are the digests of the backups that begin with the bytes of r: an
// unbroken line of proofs leads from r to each.
func (b *Book) later(r Backup) map[string]bool {
	seen := map[string]bool{r.SHA256: true}
	for _, n := range b.Backups[r.Pod] {
		if n.Name > r.Name && n.Proof != nil && n.Proof.AppendOnly && seen[shaOf(n.Proof.Previous)] {
			seen[n.SHA256] = true
		}
	}
	return seen
}

// shaOf is the digest in the name of a copy or record.
func shaOf(name string) string {
	base := path.Base(name)
	base, _, _ = strings.Cut(base[strings.LastIndexByte(base, '-')+1:], ".")
	return base
}

func getJSON(ctx context.Context, t Target, name string, v any) error {
	r, err := t.Get(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return fmt.Errorf("record %s: %w", name, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("record %s: is damaged: %w", name, err)
	}
	return nil
}

func jsonReader(v any) io.Reader {
	data, _ := json.MarshalIndent(v, "", "  ") // plain records: cannot fail
	return bytes.NewReader(append(data, 0x0a))
}

// putJSON writes a record. One that is there already with the same words (a
// second try whose first answer was lost) is as good.
func putJSON(ctx context.Context, t Target, name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	err = t.Put(ctx, name, bytes.NewReader(append(data, '\n')))
	if errors.Is(err, ErrExists) {
		if r, gerr := t.Get(ctx, name); gerr == nil {
			defer r.Close()
			if there, rerr := io.ReadAll(io.LimitReader(r, 1<<20)); rerr == nil && bytes.Equal(bytes.TrimSpace(there), data) {
				return nil
			}
		}
	}
	return err
}
