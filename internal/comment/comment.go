package comment

import (
	"context"
	"errors"
	"io"
	"time"
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
	// HideOld adds a report and hides the earlier ones.
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
	// Progress gets a line for each wait and each warning; nil means nobody.
	Progress io.Writer
	// MaxWait bounds the waits for rate limits and retries, all together; 0
	// means 5 minutes.
	MaxWait time.Duration
}

// Action is what happened to the comment.
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
// context's.
func Post(ctx context.Context, target Target, key Key, body []string, o Options) (Result, error) {
	return Result{}, errors.New("comment: not done yet")
}

// MarkStale marks the current report of the key as out of date, for the reason
// given in one sentence: call it before a long preview, so that nobody takes
// yesterday's verdict for today's. It tells how many comments it changed.
func MarkStale(ctx context.Context, target Target, key Key, reason string, o Options) (int, error) {
	return 0, errors.New("comment: not done yet")
}
