package comment

import (
	"fmt"
	"strings"
	"unicode"
)

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
	// RateLimited: the wait that the service asks for is longer than allowed.
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
}

func (e *Error) Error() string {
	if e.Step == "" {
		return e.Message
	}
	return e.Step + ": " + e.Message
}

const gitlabTokenHelp = "make a project access token with the scope api and the role Reporter, " +
	"and give it to the job as the masked variable GITLAB_TOKEN (CI_JOB_TOKEN may not write comments)"

// advise adds to what the service said what to do about it.
func (t Target) advise(kind Kind, status int, said string) string {
	name := t.Provider.title()
	answer := fmt.Sprintf("%s answers %d", name, status)
	if said != "" {
		answer += fmt.Sprintf(" (%s)", said)
	}
	switch kind {
	case Permission:
		switch {
		case strings.Contains(strings.ToLower(said), "locked"):
			return answer + ": the conversation of " + t.String() + " is locked: unlock it to get reports there"
		case t.Provider == GitLab:
			return answer + ": the token may not comment: " + gitlabTokenHelp
		case status == 401:
			return answer + ": the token is wrong or has expired: in a workflow, give the step `env: {GITHUB_TOKEN: ${{ github.token }}}`"
		case t.Fork:
			return answer + ": the pull request comes from a fork, whose token may only read, whatever `permissions:` says: " +
				"write the report to the job summary instead ($GITHUB_STEP_SUMMARY)"
		}
		return answer + ": the token may not comment: set `permissions: {contents: read, pull-requests: write}` on the job of the workflow"
	case NotFound:
		return fmt.Sprintf("%s: there is no %s at %s, or the token may not see it: check --repository and --pull-request, "+
			"and that the token belongs to this repository", answer, t, t.api())
	case TooLong:
		return fmt.Sprintf("%s: a comment may have %d characters: split the report with Target.Limit", answer, t.hardLimit())
	case Unavailable:
		return answer + ": try again later"
	case RateLimited, Invalid:
		return answer
	}
	return answer
}

// oneLine makes a text fit for a message: no line ends, no control characters,
// at most limit characters.
func oneLine(text string, limit int) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	runes := []rune(strings.Join(words, " "))
	if len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return string(runes)
}
