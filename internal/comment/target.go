package comment

import (
	"errors"
	"fmt"
)

// Provider is the service that holds the request.
type Provider string

// The providers.
const (
	GitHub Provider = "github"
	GitLab Provider = "gitlab"
)

// Providers are the names that --provider takes.
var Providers = []Provider{GitHub, GitLab}

// Token is the credential of the API. Printing it in any way shows "[secret]".
type Token struct{ value string }

// NewToken is a token given as text.
func NewToken(value string) Token { return Token{value: value} }

// IsZero tells that there is none.
func (t Token) IsZero() bool { return t.value == "" }

// String never shows the text.
func (t Token) String() string {
	if t.IsZero() {
		return ""
	}
	return "[secret]"
}

// Format never shows the text, whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// MarshalJSON never shows the text.
func (t Token) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", t.String()), nil }

// Target is the request to comment on.
type Target struct {
	Provider Provider
	// Repository is owner/name on GitHub; the project's number or its path on
	// GitLab.
	Repository string
	// Number is the pull request's number; on GitLab the merge request's iid.
	Number int
	// APIURL is the address of the REST API: https://api.github.com,
	// https://HOST/api/v3 (GitHub Enterprise Server) or https://HOST/api/v4.
	APIURL string
	// GraphQLURL is GitHub's other API; empty derives it from APIURL.
	GraphQLURL string
	Token      Token
	// Fork tells that the request comes from a fork: the run has no secrets and
	// GitHub's token of the run may only read.
	Fork bool
}

// Flags say what the environment does not, or overrule it; empty fields are
// taken from the environment.
type Flags struct {
	Provider   Provider
	Repository string
	Number     int
	APIURL     string
}

// ErrNoRequest is in the error of Find when the run belongs to no request, as a
// push to a branch does.
var ErrNoRequest = errors.New("this run belongs to no pull request")

// FromEnvironment finds the request that a run of GitHub Actions or GitLab CI
// belongs to.
func FromEnvironment(env func(string) string, readFile func(string) ([]byte, error)) (Target, error) {
	return Find(env, readFile, Flags{})
}

// Find finds the request from flags, and from the environment for what they
// leave open. Its error holds everything that is missing.
func Find(_ func(string) string, _ func(string) ([]byte, error), _ Flags) (Target, error) {
	return Target{}, ErrNoRequest
}

// Limit is how many characters (Unicode code points) one body may have: the
// provider's limit less the room for marker and notes.
func (t Target) Limit() int { return 65536 - reserve }

const reserve = 2048
