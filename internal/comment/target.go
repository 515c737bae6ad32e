package comment

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
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

// title is the name for people.
func (p Provider) title() string {
	if p == GitLab {
		return "GitLab"
	}
	return "GitHub"
}

// Most characters that the services take in one comment. GitHub says so when it
// refuses a longer one; GitLab documents it.
const (
	githubLimit = 65536
	gitlabLimit = 1000000
)

// reserve is kept free in every comment for the marker, and for the note of a
// later run that the report is out of date.
const reserve = 2048

// Target is the request to comment on.
type Target struct {
	Provider Provider
	// Repository is owner/name on GitHub; the project's number or its path on
	// GitLab.
	Repository string
	// Number is the pull request's number; on GitLab the merge request's iid.
	Number int
	// APIURL is the address of the REST API: https://api.github.com,
	// https://HOST/api/v3 (GitHub Enterprise Server) or https://HOST/api/v4
	// (GitLab).
	APIURL string
	// GraphQLURL is GitHub's other API; empty derives it from APIURL.
	GraphQLURL string
	Token      Token
	// Fork tells that the request comes from a fork: the run has no secrets and
	// GitHub's token of the run may only read.
	Fork bool
}

// Limit is how many characters (Unicode code points) one body may have: the
// provider's limit less the room for the marker and later notes.
func (t Target) Limit() int { return t.hardLimit() - reserve }

func (t Target) hardLimit() int {
	if t.Provider == GitLab {
		return gitlabLimit
	}
	return githubLimit
}

// String names the request, such as "acme/speech#7".
func (t Target) String() string {
	if t.Provider == GitLab {
		return t.Repository + "!" + strconv.Itoa(t.Number)
	}
	return t.Repository + "#" + strconv.Itoa(t.Number)
}

var githubRepository = regexp.MustCompile(`^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$`)

// validate tells everything that is wrong with the target.
func (t Target) validate() error {
	var errs []error
	if !slices.Contains(Providers, t.Provider) {
		errs = append(errs, fmt.Errorf("provider: %q is none of %s", t.Provider, quoted(Providers)))
	}
	switch {
	case t.Repository == "":
		errs = append(errs, errors.New("repository: missing"))
	case t.Provider == GitHub && !githubRepository.MatchString(t.Repository):
		errs = append(errs, fmt.Errorf("repository: %q is not OWNER/NAME", t.Repository))
	}
	if t.Number <= 0 {
		errs = append(errs, fmt.Errorf("number: %d is no number of a pull request", t.Number))
	}
	for _, address := range []string{t.APIURL, t.GraphQLURL} {
		if err := checkAddress(address); err != nil {
			errs = append(errs, err)
		}
	}
	switch {
	case t.Token.IsZero() && t.Provider == GitLab:
		errs = append(errs, errors.New("token: GITLAB_TOKEN is not set: "+gitlabTokenHelp))
	case t.Token.IsZero():
		errs = append(errs, errors.New("token: GITHUB_TOKEN is not set: in a workflow, give the step `env: {GITHUB_TOKEN: ${{ github.token }}}`"))
	case strings.ContainsFunc(t.Token.value, func(r rune) bool { return r <= ' ' || r > '~' }):
		errs = append(errs, errors.New("token: it holds spaces or characters that no token has: was the variable set to something else?"))
	}
	return errors.Join(errs...)
}

// checkAddress refuses addresses to which a token must not go.
func checkAddress(address string) error {
	if address == "" {
		return nil // the provider's own
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("API address: %q is no address such as https://github.example.com/api/v3", redactUser(address))
	case u.User != nil:
		return errors.New("API address: it holds a user or password: give the token in GITHUB_TOKEN or GITLAB_TOKEN instead")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("API address: %q is not https: the token would travel in plain text", address)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// redactUser hides what stands before an @ in an address that cannot be parsed.
func redactUser(address string) string {
	if at := strings.LastIndex(address, "@"); at >= 0 {
		return "[secret]" + address[at:]
	}
	return address
}

func quoted[T ~string](names []T) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = strconv.Quote(string(n))
	}
	return strings.Join(all, ", ")
}

// api is the address of the REST API, without a slash at its end.
func (t Target) api() string {
	address := strings.TrimRight(t.APIURL, "/")
	switch {
	case address != "":
		return address
	case t.Provider == GitLab:
		return "https://gitlab.com/api/v4"
	}
	return "https://api.github.com"
}

// graphQL is the address of GitHub's GraphQL API.
func (t Target) graphQL() string {
	if t.GraphQLURL != "" {
		return t.GraphQLURL
	}
	// An Enterprise Server has it beside the REST API, not below it.
	if server, ok := strings.CutSuffix(t.api(), "/api/v3"); ok {
		return server + "/api/graphql"
	}
	return t.api() + "/graphql"
}
