package config

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// Problem is one mistake in a configuration.
type Problem struct {
	// Key is the key as people write it, such as
	// "deepgram-stack:pools.engine.maxNodes".
	Key string `json:"key"`
	// Value is what was given; never a secret, and empty where nothing was.
	Value string `json:"value,omitempty"`
	// Message says what is wrong.
	Message string `json:"message"`
	// Allowed says what may be given; it may be empty.
	Allowed string `json:"allowed,omitempty"`
	// Fix says what to do; it may be empty.
	Fix string `json:"fix,omitempty"`
	// MissingSecret tells that the problem is only that a secret (or what belongs
	// to one, such as the certificate of a key) was not given. A rehearsal makes
	// these itself.
	MissingSecret bool `json:"missingSecret,omitempty"`
}

// String is the problem on one line.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Key + ": ")
	if p.Value != "" {
		b.WriteString(p.Value + " ")
	}
	b.WriteString(p.Message)
	if p.Allowed != "" {
		b.WriteString("; allowed: " + p.Allowed)
	}
	if p.Fix != "" {
		b.WriteString("; " + p.Fix)
	}
	return b.String()
}

// Error is everything that is wrong with a configuration.
type Error struct {
	// Problems are sorted by key and never empty.
	Problems []Problem
}

// Error is the report: a heading, then one line for each problem.
func (e *Error) Error() string {
	var b strings.Builder
	if len(e.Problems) == 1 {
		b.WriteString("configuration: 1 problem")
	} else {
		fmt.Fprintf(&b, "configuration: %d problems", len(e.Problems))
	}
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// newError is nil where there are no problems. It sorts and drops repetitions.
func newError(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return &Error{Problems: sortProblems(problems)}
}

// sortProblems sorts by key, then text, and drops repetitions.
func sortProblems(problems []Problem) []Problem {
	sorted := append([]Problem(nil), problems...)
	sort.SliceStable(sorted, func(i, j int) bool {
		if sorted[i].Key != sorted[j].Key {
			return sorted[i].Key < sorted[j].Key
		}
		return sorted[i].String() < sorted[j].String()
	})
	out := sorted[:0]
	for i, p := range sorted {
		if i == 0 || p != sorted[i-1] {
			out = append(out, p)
		}
	}
	return out
}

// Join makes one report of several: problems that are told twice are told once,
// and an error of another kind comes first. nil where there is none.
func Join(errs ...error) error {
	var problems []Problem
	var others []error
	for _, err := range errs {
		var e *Error
		switch {
		case err == nil:
		case errors.As(err, &e):
			problems = append(problems, e.Problems...)
		default:
			others = append(others, err)
		}
	}
	if len(others) == 0 {
		return newError(problems)
	}
	return errors.Join(append(others, newError(problems))...)
}
