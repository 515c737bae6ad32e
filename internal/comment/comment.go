package comment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Key tells one report from all others on a request. All three are required.
type Key struct{ Project, Stack, Command string }

// Mode says what becomes of the reports of earlier runs.
type Mode string

// The modes.
const (
	// Update changes the report that is there.
	Update Mode = "update"
	// New adds a report and marks the earlier ones as out of date.
	New Mode = "new"
	// HideOld adds a report, and hides the earlier ones (GitHub) or folds them
	// up (GitLab).
	HideOld Mode = "hide-old"
)

// Modes are the names that --comment-mode takes.
var Modes = []Mode{Update, New, HideOld}

// Options say how to post. The zero value is right for most.
type Options struct {
	// Mode is what becomes of earlier reports; empty means Update.
	Mode Mode
	// MoreLink is where the whole report is, told when parts are left out.
	MoreLink string
	// MaxParts is how many comments one report may take; 0 means 5.
	MaxParts int
	// Progress gets a line for each wait; nil means nobody.
	Progress io.Writer
	// MaxWait bounds the waits for rate limits and retries, all together; 0
	// means 5 minutes.
	MaxWait time.Duration

	// For tests.
	sleep func(context.Context, time.Duration) error
	now   func() time.Time
}

// Action is what happened to a comment.
type Action string

// The actions.
const (
	Created   Action = "created"
	Updated   Action = "updated"
	Unchanged Action = "unchanged"
)

// Result is what was posted.
type Result struct {
	// URL is the address of the first part.
	URL string `json:"url"`
	ID  int64  `json:"id"`
	// Action is what happened to the first part.
	Action Action `json:"action"`
	// Parts is how many comments the report takes.
	Parts int `json:"parts"`
	// Warnings tell what failed without harm to the new report, such as hiding
	// an old one.
	Warnings []string `json:"warnings,omitempty"`
}

// Post puts the report on the request: body is its parts, each at most
// target.Limit characters of balanced Markdown. Its errors are *Error, or the
// context's; with an error, the parts before it may have been posted.
func Post(ctx context.Context, target Target, key Key, body []string, o Options) (Result, error) {
	if err := check(target, key, body, &o); err != nil {
		return Result{}, err
	}
	p, err := newPoster(target, key, o)
	if err != nil {
		return Result{}, err
	}
	return p.post(ctx, leaveOut(body, o))
}

// MarkStale marks the reports of the key as out of date, for the reason given in
// one sentence: call it before a long preview, so that nobody takes yesterday's
// verdict for today's. It tells how many comments it changed.
func MarkStale(ctx context.Context, target Target, key Key, reason string, o Options) (int, error) {
	if err := check(target, key, []string{reason}, &o); err != nil {
		return 0, err
	}
	p, err := newPoster(target, key, o)
	if err != nil {
		return 0, err
	}
	notes, err := p.service.find(ctx, key)
	if err != nil {
		return 0, err
	}
	changed := 0
	for _, n := range notes {
		if n.state != current {
			continue
		}
		err := p.service.edit(ctx, n.id, outdated(n.marker, n.body, reason, false))
		if is(err, NotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return changed, err
		}
		changed++
	}
	return changed, nil
}

// check tells everything that is wrong before anything is sent, and fills in the
// defaults.
func check(target Target, key Key, body []string, o *Options) error {
	if o.Mode == "" {
		o.Mode = Update
	}
	if o.MaxParts <= 0 {
		o.MaxParts = 5
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 5 * time.Minute
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.sleep == nil {
		o.sleep = sleep
	}
	if o.now == nil {
		o.now = time.Now
	}
	kind := Invalid
	var errs []error
	if err := target.validate(); err != nil {
		errs = append(errs, err)
	}
	if err := key.validate(); err != nil {
		errs = append(errs, err)
	}
	if !slices.Contains(Modes, o.Mode) {
		errs = append(errs, fmt.Errorf("mode: %q is none of %s", o.Mode, quoted(Modes)))
	}
	if len(body) == 0 {
		errs = append(errs, errors.New("body: there is none"))
	}
	for i, part := range body {
		if strings.TrimSpace(part) == "" {
			errs = append(errs, fmt.Errorf("body: part %d is empty", i+1))
		}
		if !target.Token.IsZero() && strings.Contains(part, target.Token.value) {
			errs = append(errs, fmt.Errorf("body: part %d holds the token itself", i+1))
		}
		if n := utf8.RuneCountInString(part); n > target.Limit() {
			kind = TooLong
			errs = append(errs, fmt.Errorf("body: part %d has %d characters, of at most %d: split it with Target.Limit", i+1, n, target.Limit()))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &Error{Kind: kind, Step: "preparing the comment", Message: err.Error()}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leaveOut drops the parts over the most that are allowed, and says so in the
// last one; the reserve has room for it.
func leaveOut(body []string, o Options) []string {
	if len(body) <= o.MaxParts {
		return body
	}
	left := len(body) - o.MaxParts
	body = slices.Clone(body[:o.MaxParts])
	told := fmt.Sprintf("\n\n**%d further parts of this report are left out.**", left)
	// A longer link than any browser takes is none.
	if o.MoreLink != "" && len(o.MoreLink) <= 512 {
		told += " The whole: " + o.MoreLink
	}
	body[o.MaxParts-1] += told
	return body
}

// is tells whether the failure is of the kind.
func is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// poster posts one report.
type poster struct {
	service service
	key     Key
	options Options
	courier *courier
}

func newPoster(target Target, key Key, o Options) (*poster, error) {
	c := &courier{base: http.DefaultTransport, target: target, left: o.MaxWait, sleep: o.sleep, now: o.now}
	c.progress = func(format string, args ...any) {
		fmt.Fprintln(o.Progress, target.Token.scrub(fmt.Sprintf(format, args...)))
	}
	p := &poster{key: key, options: o, courier: c}
	var err error
	if target.Provider == GitLab {
		p.service, err = newGitLab(c)
	} else {
		p.service, err = newGitHub(c)
	}
	return p, err
}

func (p *poster) post(ctx context.Context, body []string) (Result, error) {
	notes, err := p.service.find(ctx, p.key)
	if err != nil {
		return Result{}, err
	}
	run, base := newRun(), []note(nil)
	if p.options.Mode == Update {
		base = newest(notes)
	}
	if len(base) > 0 {
		run = base[0].run
	}
	result := Result{Parts: len(body)}
	kept := map[int64]bool{}
	for i, text := range body {
		m := marker{key: p.key, part: i + 1, run: run, state: current}
		n, action, err := p.put(ctx, base, m, text)
		if err != nil {
			return result, err
		}
		kept[n.id] = true
		if i == 0 {
			result.URL, result.ID, result.Action = n.url, n.id, action
		}
	}
	for _, n := range notes {
		if kept[n.id] {
			continue
		}
		if err := p.retire(ctx, n, len(base) > 0 && n.run == run); err != nil {
			if ctx.Err() != nil {
				return result, err
			}
			result.Warnings = append(result.Warnings, err.Error())
		}
	}
	return result, nil
}

// newest is the report that an update changes: the latest that nobody hid.
func newest(notes []note) []note {
	var run string
	for _, n := range notes { // oldest first
		if !n.hidden {
			run = n.run
		}
	}
	var parts []note
	for _, n := range notes {
		if n.run == run && !n.hidden {
			parts = append(parts, n)
		}
	}
	return parts
}

// put makes the part what it has to be: it changes the one that is there, or
// adds it.
func (p *poster) put(ctx context.Context, base []note, m marker, body string) (note, Action, error) {
	for _, n := range base {
		if n.part != m.part {
			continue
		}
		if n.marker == m && n.body == body {
			return n, Unchanged, nil
		}
		err := p.service.edit(ctx, n.id, render(m, body))
		if is(err, NotFound) {
			break // somebody removed it meanwhile
		}
		return n, Updated, err
	}
	n, err := p.create(ctx, m, body)
	return n, Created, err
}

// create adds a comment. When the service failed to answer, it looks whether the
// comment is there before it tries again: a report must not be there twice.
func (p *poster) create(ctx context.Context, m marker, body string) (note, error) {
	for attempt := 1; ; attempt++ {
		id, address, err := p.service.create(ctx, render(m, body))
		var unsure *unsureError
		switch {
		case err == nil:
			return note{id: id, url: address, marker: m, body: body}, nil
		case !errors.As(err, &unsure):
			return note{}, err
		case attempt == attempts:
			return note{}, unsure.cause
		}
		if err := p.courier.wait(ctx, &answerError{cause: unsure.cause, wait: backoff(attempt)}); err != nil {
			return note{}, err
		}
		notes, err := p.service.find(ctx, p.key)
		if err != nil {
			return note{}, err
		}
		for _, n := range notes {
			if n.marker == m {
				return n, nil
			}
		}
	}
}

// retire does to an earlier comment what the mode says. A surplus part of the
// report that was updated goes.
func (p *poster) retire(ctx context.Context, n note, surplus bool) error {
	if surplus {
		return ignoreGone(p.service.remove(ctx, n.id))
	}
	hide := p.service.hide()
	away := p.options.Mode == HideOld && !n.hidden
	fold := away && hide == nil
	if n.state == current || fold {
		text := outdated(n.marker, n.body, "There is a newer report of this stack.", fold)
		if err := p.service.edit(ctx, n.id, text); err != nil {
			return ignoreGone(err)
		}
	}
	if away && hide != nil {
		return ignoreGone(hide(ctx, n))
	}
	return nil
}

func ignoreGone(err error) error {
	if is(err, NotFound) {
		return nil
	}
	return err
}
