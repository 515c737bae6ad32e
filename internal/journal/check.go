package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Status is what is known of one replica's journal.
type Status struct {
	Place
	// Journal is what the volume holds; nil where there is none yet, or where it
	// was not looked at.
	Journal *Report `json:"journal,omitempty"`
	// Last is the newest backup; nil if there is none.
	Last *Backup `json:"lastBackup,omitempty"`
	// Delivered is the newest delivery that covers the newest backup; nil if
	// there is none.
	Delivered *Delivery `json:"delivered,omitempty"`
	// Undelivered counts the backups that no delivery covers.
	Undelivered int `json:"undelivered"`
	// Unconfirmed are the copies of interrupted backups.
	Unconfirmed int    `json:"unconfirmed,omitempty"`
	Error       string `json:"error,omitempty"`
}

// List finds every replica's journal, reads it where it is (unless quick) and
// says what the target knows of it. The target may be nil.
func (c *Cluster) List(ctx context.Context, t Target, quick bool) ([]Status, error) {
	c.init()
	list := []Status{}
	var book *Book
	if t != nil {
		var err error
		if book, err = ReadBook(ctx, t, ""); err != nil {
			return list, err
		}
	}
	if quick {
		if _, err := c.Recover(ctx); err != nil {
			return list, err
		}
		l, err := c.Layout(ctx)
		if err != nil {
			return list, err
		}
		for _, p := range l.Places {
			list = append(list, Status{Place: p})
		}
	} else {
		var errs []error
		_, err := c.WithSources(ctx, SourceOptions{}, func(ctx context.Context, _ *Layout, sources []*Source) error {
			for _, s := range sources {
				st := Status{Place: s.Place}
				r, err := s.Stat(ctx)
				if err != nil {
					err = fmt.Errorf("journal of %s: %w", s.Pod, err)
					st.Error = err.Error()
					errs = append(errs, err)
				}
				st.Journal = r
				list = append(list, st)
			}
			return ctx.Err()
		})
		if err = errors.Join(append(errs, err)...); err != nil {
			book.fill(list)
			return list, err
		}
	}
	return book.fill(list), nil
}

// fill adds what the target knows, also of pods that are no more.
func (b *Book) fill(list []Status) []Status {
	if b == nil {
		return list
	}
	for _, pod := range b.Pods() {
		if !slices.ContainsFunc(list, func(s Status) bool { return s.Pod == pod }) {
			list = append(list, Status{Place: Place{Pod: pod}})
		}
	}
	for i := range list {
		s := &list[i]
		s.Unconfirmed = len(b.Unconfirmed[s.Pod])
		if s.Last = b.Last(s.Pod); s.Last != nil {
			s.Delivered = b.Delivery(Delivered, *s.Last)
		}
		for _, r := range b.Backups[s.Pod] {
			if b.Delivery(Delivered, r) == nil {
				s.Undelivered++
			}
		}
	}
	return list
}

// ListTarget is List without a cluster: what the target knows.
func ListTarget(ctx context.Context, t Target) ([]Status, error) {
	book, err := ReadBook(ctx, t, "")
	if err != nil {
		return []Status{}, err
	}
	return book.fill([]Status{}), nil
}

// Check is one line of the validation checklist (guide A-CHECK).
type Check struct {
	Name string `json:"name"`
	// Yes is the answer.
	Yes bool `json:"yes"`
	// Seen is what the answer rests on.
	Seen string `json:"seen"`
	// Do says what to do; empty where the answer is yes.
	Do string `json:"do,omitempty"`
}

// CheckOptions set up Check.
type CheckOptions struct {
	// MaxAge is how old the newest backup may be; 0 means 36 h: a daily one may
	// be late.
	MaxAge time.Duration
	Fetch  FetchOptions
}

// Check answers the guide's validation checklist by trying it: it really copies
// every journal (and keeps nothing of it). The target may be nil.
func (c *Cluster) Check(ctx context.Context, t Target, o CheckOptions) ([]Check, error) {
	c.init()
	o.MaxAge = cmp.Or(o.MaxAge, 36*time.Hour)
	checks := []Check{}
	var layout *Layout
	got := map[string]Fetched{}
	var failures []string
	_, err := c.WithSources(ctx, SourceOptions{}, func(ctx context.Context, l *Layout, sources []*Source) error {
		layout = l
		for _, s := range sources {
			f, err := Fetch(ctx, s.Open, io.Discard, o.Fetch)
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				failures = append(failures, fmt.Sprintf("%s: %v", s.Pod, err))
				continue
			}
			got[s.Pod] = f
		}
		return nil
	})
	if err != nil {
		if ctx.Err() != nil {
			return checks, ctx.Err()
		}
		failures = append(failures, err.Error())
	}
	if layout == nil {
		if layout, err = c.Layout(ctx); err != nil {
			return checks, err
		}
	}
	checks = append(checks, running(layout))
	checks = append(checks, copied(layout, got, failures)...)
	job, err := c.backupJob(ctx)
	if err != nil {
		return checks, err
	}
	checks = append(checks, scheduled(job))
	if t == nil {
		return append(checks, Check{Name: "backups are kept", Seen: "no target is named", Do: "give --target"}), nil
	}
	book, unread := ReadBook(ctx, t, "")
	if unread != nil {
		return append(checks, Check{Name: "backups are kept", Seen: unread.Error(), Do: "make the target reachable, and let this identity list and read it"}), nil //nolint:nilerr // a finding, not a failure
	}
	return append(checks, c.kept(layout, book, o.MaxAge)...), nil
}

func running(l *Layout) Check {
	ch := Check{Name: "billing runs", Yes: l.Scaled == nil && l.Replicas > 0}
	n := 0
	for _, p := range l.Places {
		if p.Ready {
			n++
		}
	}
	ch.Yes = ch.Yes && int32(n) >= l.Replicas
	ch.Seen = fmt.Sprintf("%d of %d replicas are ready", n, l.Replicas)
	if !ch.Yes {
		ch.Do = fmt.Sprintf("kubectl -n %s describe pods -l %s", l.Namespace, billingLabel)
		if l.Scaled != nil {
			ch.Do = "billing is scaled down: run deepgram-ops journal list again in a minute, which puts it back if the run was killed"
		}
	}
	return ch
}

func copied(l *Layout, got map[string]Fetched, failures []string) []Check {
	var total, bytes int64
	var empty, broken []string
	for _, p := range l.Places {
		f, ok := got[p.Pod]
		if !ok {
			continue
		}
		total += f.Lines
		bytes += f.Size
		if f.Size == 0 {
			empty = append(empty, p.Pod)
		} else if err := f.Err(); err != nil {
			broken = append(broken, fmt.Sprintf("%s: %v", p.Pod, err))
		}
	}
	list := []Check{
		{Name: "a request was processed", Yes: total > 0, Seen: fmt.Sprintf("%d lines in %d journals", total, len(got)), Do: "send one request: deepgram-ops smoke-test"},
		{
			Name: "journals can be retrieved", Yes: len(failures) == 0 && len(got) == len(l.Places),
			Seen: fmt.Sprintf("%d of %d were copied with the source's digest", len(got), len(l.Places)), Do: strings.Join(failures, "; "),
		},
		{Name: "they are larger than 0 bytes", Yes: bytes > 0, Seen: fmt.Sprintf("%d bytes in all", bytes), Do: "send one request, then look again"},
		{Name: "every line is whole", Yes: len(broken) == 0 && len(got) > 0, Seen: "JSON lines with d and s", Do: "keep the copy and ask Deepgram: " + strings.Join(broken, "; ")},
	}
	if len(empty) > 0 {
		list[2].Seen += "; still empty: " + strings.Join(empty, ", ")
	}
	for i := range list {
		if list[i].Yes {
			list[i].Do = ""
		}
	}
	return list
}

// backupJob finds the CronJob that runs journal backup; nil if there is none.
func (c *Cluster) backupJob(ctx context.Context) (*batchv1.CronJob, error) {
	list, err := c.Client.BatchV1().CronJobs(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("looking for the backup CronJob: %w", err)
	}
	for i, j := range list.Items {
		for _, ct := range j.Spec.JobTemplate.Spec.Template.Spec.Containers {
			words := append(slices.Clone(ct.Command), ct.Args...)
			if at := slices.Index(words, "journal"); at >= 0 && at+1 < len(words) && words[at+1] == "backup" {
				return &list.Items[i], nil
			}
		}
	}
	return nil, nil
}

// FindImage is the image of the backup CronJob, which holds deepgram-ops; empty
// if there is none.
func (c *Cluster) FindImage(ctx context.Context) (string, error) {
	job, err := c.backupJob(ctx)
	if err != nil || job == nil {
		return "", err
	}
	for _, ct := range job.Spec.JobTemplate.Spec.Template.Spec.Containers {
		if slices.Contains(append(slices.Clone(ct.Command), ct.Args...), "journal") {
			return ct.Image, nil
		}
	}
	return "", nil
}

func scheduled(job *batchv1.CronJob) Check {
	ch := Check{Name: "backups are scheduled", Seen: "no CronJob runs journal backup", Do: "set billing.backup and run deepgram-stack up"}
	if job == nil {
		return ch
	}
	ch.Seen = fmt.Sprintf("CronJob %s, %s", job.Name, job.Spec.Schedule)
	switch {
	case job.Spec.Suspend != nil && *job.Spec.Suspend:
		ch.Seen += ", is suspended"
		ch.Do = fmt.Sprintf(`kubectl -n %s patch cronjob %s -p '{"spec":{"suspend":false}}'`, job.Namespace, job.Name)
	case failedLast(job.Status):
		ch.Seen += ", failed last time"
		ch.Do = fmt.Sprintf("kubectl -n %[1]s get jobs, and the logs of the failed one; then kubectl -n %[1]s create job --from=cronjob/%[2]s journal-again", job.Namespace, job.Name)
	default:
		ch.Yes, ch.Do = true, ""
		if t := job.Status.LastSuccessfulTime; t != nil {
			ch.Seen += ", worked " + t.UTC().Format(time.RFC3339)
		}
	}
	return ch
}

// kept answers what the target must answer.
func (c *Cluster) kept(l *Layout, b *Book, maxAge time.Duration) []Check {
	fresh := Check{Name: fmt.Sprintf("every journal has a backup younger than %s", maxAge), Yes: true, Do: "deepgram-ops journal backup"}
	var seen []string
	for _, p := range l.Places {
		last := b.Last(p.Pod)
		if last == nil {
			fresh.Yes = false
			seen = append(seen, p.Pod+" has none")
			continue
		}
		fresh.Yes = fresh.Yes && c.Now().Sub(last.TakenAt) <= maxAge
		seen = append(seen, fmt.Sprintf("%s %s", p.Pod, last.TakenAt.UTC().Format(time.RFC3339)))
	}
	fresh.Seen = strings.Join(seen, ", ")
	whole := Check{Name: "backups only ever grow, and all are there", Yes: true, Seen: "every backup is a prefix of the next", Do: "keep all copies and ask Deepgram"}
	delivered := Check{Name: "a journal was sent to Deepgram", Seen: "no delivery is recorded", Do: "send one, then deepgram-ops journal deliver"}
	confirmed := Check{Name: "Deepgram confirmed that it can validate it", Seen: "no confirmation is recorded", Do: "ask your contact, then deepgram-ops journal deliver --confirmed"}
	var broken []string
	for _, list := range b.Backups {
		for _, r := range list {
			if r.Proof != nil && !r.Proof.AppendOnly {
				broken = append(broken, r.Object+" does not continue "+r.Proof.Previous)
			}
		}
	}
	for _, m := range b.Missing() {
		broken = append(broken, m+" is missing or cut")
	}
	if len(broken) > 0 {
		whole.Yes, whole.Seen = false, strings.Join(broken, "; ")
	}
	for _, d := range b.Deliveries {
		ch := &delivered
		if d.Kind == Confirmed {
			ch = &confirmed
		}
		ch.Yes, ch.Seen = true, fmt.Sprintf("%s by %s, %s, %d bytes", d.At.Format(time.RFC3339), d.By, d.Pod, d.Size)
	}
	list := []Check{fresh, whole, delivered, confirmed}
	for i := range list {
		if list[i].Yes {
			list[i].Do = ""
		}
	}
	return list
}

// failedLast tells whether the newest run of a CronJob ended without success.
func failedLast(s batchv1.CronJobStatus) bool {
	if s.LastScheduleTime == nil || len(s.Active) > 0 {
		return false
	}
	return s.LastSuccessfulTime == nil || s.LastSuccessfulTime.Before(s.LastScheduleTime)
}
