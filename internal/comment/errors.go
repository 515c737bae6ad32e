package comment

// Kind sorts the failures of an API.
type Kind string

// The kinds.
const (
	// Permission: the token may not do it (401, 403).
	Permission Kind = "permission"
	// NotFound: no such request, or the token cannot see it (404).
	NotFound Kind = "not found"
	// TooLong: a body is over the limit.
	TooLong Kind = "too long"
	// RateLimited: the wait asked for is longer than allowed.
	RateLimited Kind = "rate limited"
	// Unavailable: no answer, 5xx, or an answer that cannot be read, after all
	// attempts.
	Unavailable Kind = "unavailable"
	// Invalid: the service refuses the request (422 and the like), or it was
	// wrong before it was sent.
	Invalid Kind = "invalid"
)

// Error is a failure to post, with what to do about it. It never holds the
// token.
type Error struct {
	Kind Kind
	// Step is what was being done.
	Step string
	// Status is the HTTP status; 0 when there was none.
	Status int
	// Message is the cause and how to fix it.
	Message string
	// Err is the cause beneath, with the token taken out; may be nil.
	Err error
}

func (e *Error) Error() string { return e.Step + ": " + e.Message }

// Unwrap is the cause beneath.
func (e *Error) Unwrap() error { return e.Err }
