package rules

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deepgram-gke/deepgram-gke/config"
)

func sorted(keys iter.Seq[string]) []string { return slices.Sorted(keys) }

// exemptions are the recorded exceptions and what became of them in this run.
type exemptions struct {
	mu       sync.Mutex
	list     []*exemption
	problems []string
}

type exemption struct {
	config.Exemption
	index   int
	match   *regexp.Regexp
	byURN   bool
	last    time.Time // the end of its last day
	expired bool
	used    bool
	// unsure tells that a resource it names could not be judged yet.
	unsure bool
	// acknowledges tells that it is for a step of a plan, which the engine does not show.
	acknowledges bool
}

// newExemptions takes what is complete; the rest is a problem and covers nothing.
func newExemptions(all []config.Exemption, now time.Time) *exemptions {
	x := &exemptions{}
	for i, e := range all {
		problem := func(format string, args ...any) {
			x.problems = append(x.problems, fmt.Sprintf("exemptions[%d]", i)+fmt.Sprintf(format, args...))
		}
		n := len(x.problems)
		for _, field := range [][2]string{{"policy", e.Policy}, {"urn", e.URN}, {"reason", e.Reason}, {"owner", e.Owner}} {
			if strings.TrimSpace(field[1]) == "" {
				problem(".%s is missing", field[0])
			}
		}
		day, err := time.Parse(time.DateOnly, e.Expires)
		if err != nil {
			problem(".expires is %q; it must be a day such as 2026-12-31", e.Expires)
		}
		if !strings.Contains(e.URN, "::") && e.URN != "" {
			problem(`.urn is %q; it must be a URN or a pattern "type::name", with * for any text`, e.URN)
		}
		if strings.Trim(e.URN, "*: ") == "" && e.URN != "" {
			problem(".urn is %q: an exemption for everything is none; disable the policy instead", e.URN)
		}
		if len(x.problems) > n {
			continue
		}
		last := day.AddDate(0, 0, 1)
		x.list = append(x.list, &exemption{
			Exemption: e, index: i, match: pattern(e.URN), byURN: strings.HasPrefix(e.URN, "urn:"),
			last: last, expired: !now.Before(last),
		})
	}
	return x
}

// pattern has * for any text; all else is literal.
func pattern(text string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\*`, ".*") + "$")
}

func (e *exemption) names(policy string, on Resource) bool {
	if e.Policy != policy {
		return false
	}
	if e.byURN {
		return e.match.MatchString(on.URN)
	}
	return e.match.MatchString(on.Type + "::" + on.Name)
}

// covers tells whether a violation is excepted; the note is for the message of
// one that no longer is.
func (x *exemptions) covers(policy string, on Resource) (covered bool, note string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.list {
		if !e.names(policy, on) {
			continue
		}
		e.used = true
		if e.expired {
			note = fmt.Sprintf("An exemption of %s expired on %s.", e.Owner, e.Expires)
			continue
		}
		covered = true
	}
	return covered, note
}

// unsure marks exemptions of a resource that could not be judged yet.
func (x *exemptions) unsure(policy string, on Resource) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.list {
		if e.names(policy, on) {
			e.unsure = true
		}
	}
}

// stale are the exemptions that should go: expired, or without any effect.
func (x *exemptions) stale(now time.Time) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var all []string
	for _, e := range x.list {
		what := fmt.Sprintf("exemption %d (policy %s, %s, owner %s)", e.index, e.Policy, e.URN, e.Owner)
		switch {
		case e.expired:
			all = append(all, fmt.Sprintf("%s expired on %s: remove it, or renew it with a new reason", what, e.Expires))
		case !e.used && !e.unsure && !e.acknowledges:
			all = append(all, what+" covers no violation: remove it")
		case e.last.Sub(now) <= 30*24*time.Hour:
			all = append(all, fmt.Sprintf("%s ends on %s", what, e.Expires))
		}
	}
	return all
}

// notes are the values that rules could not read yet, by resource.
type notes struct {
	mu    sync.Mutex
	byURN map[string][]note
}

type note struct{ policy, path string }

func (r *runner) noteUnknown(policy string, on Resource, path string) {
	r.exemptions.unsure(policy, on)
	r.notes.mu.Lock()
	defer r.notes.mu.Unlock()
	if r.notes.byURN == nil {
		r.notes.byURN = map[string][]note{}
	}
	n := note{policy, orAll(path)}
	if !slices.Contains(r.notes.byURN[on.URN], n) {
		r.notes.byURN[on.URN] = append(r.notes.byURN[on.URN], n)
	}
}

// takeNotes are the notes of one resource, or of all, which then are forgotten.
func (r *runner) takeNotes(urn string) map[string][]note {
	r.notes.mu.Lock()
	defer r.notes.mu.Unlock()
	taken := map[string][]note{}
	for u, n := range r.notes.byURN {
		if urn == "" || u == urn {
			taken[u] = n
			delete(r.notes.byURN, u)
		}
	}
	return taken
}
