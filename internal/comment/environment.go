package comment

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Flags say what the environment does not, or overrule it; empty fields are
// taken from the environment.
type Flags struct {
	Provider   Provider // --provider
	Repository string   // --repository
	Number     int      // --pull-request
	APIURL     string   // --api-url
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
// leave open. Its error holds everything that is missing or wrong.
func Find(env func(string) string, readFile func(string) ([]byte, error), flags Flags) (Target, error) {
	provider := flags.Provider
	if provider == "" {
		provider = GitHub
		if env("GITLAB_CI") == "true" {
			provider = GitLab
		}
	}
	var t Target
	var err error
	if provider == GitLab {
		t, err = fromGitLab(env)
	} else {
		t, err = fromGitHub(env, readFile)
	}
	t.Provider = provider
	if flags.Repository != "" {
		// Another repository's numbers and forks say nothing here.
		if t.Repository != flags.Repository {
			t.Number, t.Fork = 0, false
		}
		t.Repository = flags.Repository
	}
	if flags.Number != 0 {
		t.Number = flags.Number
	}
	if flags.APIURL != "" {
		t.APIURL, t.GraphQLURL = flags.APIURL, ""
	}
	var errs []error
	if t.Number == 0 {
		if err == nil {
			err = ErrNoRequest
		}
		errs = append(errs, fmt.Errorf("%w: run it on pull requests, or give --pull-request NUMBER and --repository", err))
		t.Number = 1 // told already
	}
	if err := t.validate(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return Target{}, fmt.Errorf("finding the pull request: %w", errors.Join(errs...))
	}
	return t, nil
}

// event is what we read of the file that GitHub Actions gives each run.
type event struct {
	Number      int `json:"number"`
	PullRequest *struct {
		Number int `json:"number"`
		Head   struct {
			// Repo is null when the fork was deleted.
			Repo *struct {
				FullName string `json:"full_name"`
			} `json:"repo"`
		} `json:"head"`
		Base struct {
			Repo *struct {
				FullName string `json:"full_name"`
			} `json:"repo"`
		} `json:"base"`
	} `json:"pull_request"`
	Issue *struct {
		Number      int             `json:"number"`
		PullRequest json.RawMessage `json:"pull_request"`
	} `json:"issue"`
	WorkflowRun *struct {
		PullRequests []struct {
			Number int `json:"number"`
		} `json:"pull_requests"`
	} `json:"workflow_run"`
}

var pullRef = regexp.MustCompile(`^refs/pull/([0-9]+)/`)

func fromGitHub(env func(string) string, readFile func(string) ([]byte, error)) (Target, error) {
	t := Target{
		Repository: env("GITHUB_REPOSITORY"),
		APIURL:     env("GITHUB_API_URL"),
		GraphQLURL: env("GITHUB_GRAPHQL_URL"),
		Token:      NewToken(env("GITHUB_TOKEN")),
	}
	if t.Token.IsZero() {
		t.Token = NewToken(env("GH_TOKEN")) // as the gh program does
	}
	var failed error
	if path := env("GITHUB_EVENT_PATH"); path != "" {
		var e event
		data, err := readFile(path)
		if err == nil {
			err = json.Unmarshal(data, &e)
		}
		if err != nil {
			failed = fmt.Errorf("event file %s (GITHUB_EVENT_PATH): %w", path, err)
		}
		t.Number, t.Fork = e.request()
	}
	if t.Number == 0 {
		if m := pullRef.FindStringSubmatch(env("GITHUB_REF")); m != nil {
			t.Number, _ = strconv.Atoi(m[1])
		}
	}
	return t, failed
}

// request is the number that the event is about, 0 for none, and whether the
// request is known to come from a fork.
func (e event) request() (number int, fork bool) {
	switch {
	case e.PullRequest != nil:
		number = e.PullRequest.Number
		if number == 0 {
			number = e.Number
		}
		head, base := e.PullRequest.Head.Repo, e.PullRequest.Base.Repo
		fork = head == nil || base != nil && !strings.EqualFold(head.FullName, base.FullName)
	case e.Issue != nil && len(e.Issue.PullRequest) > 0 && string(e.Issue.PullRequest) != "null":
		number = e.Issue.Number
	case e.WorkflowRun != nil && len(e.WorkflowRun.PullRequests) == 1:
		number = e.WorkflowRun.PullRequests[0].Number
	}
	return number, fork
}

func fromGitLab(env func(string) string) (Target, error) {
	t := Target{
		APIURL: env("CI_API_V4_URL"),
		Token:  NewToken(env("GITLAB_TOKEN")),
		// The pipeline of a fork's request runs in the fork; the request is in
		// the project that it wants to change.
		Repository: env("CI_MERGE_REQUEST_PROJECT_ID"),
	}
	if t.Repository == "" {
		t.Repository = env("CI_PROJECT_ID")
	}
	if source := env("CI_MERGE_REQUEST_SOURCE_PROJECT_ID"); source != "" {
		t.Fork = source != t.Repository
	}
	if iid := env("CI_MERGE_REQUEST_IID"); iid != "" {
		number, err := strconv.Atoi(iid)
		if err != nil {
			return t, fmt.Errorf("CI_MERGE_REQUEST_IID: %q is no number", iid)
		}
		t.Number = number
		return t, nil
	}
	// A pipeline of a branch names the requests that it is the source of.
	if open := env("CI_OPEN_MERGE_REQUESTS"); open != "" && !strings.Contains(open, ",") {
		if project, iid, ok := strings.Cut(open, "!"); ok {
			if number, err := strconv.Atoi(iid); err == nil {
				t.Repository, t.Number = project, number
			}
		}
	}
	return t, nil
}

// RunLink is the page of the run, where artefacts are found too; empty outside
// of GitHub Actions and GitLab CI.
func RunLink(env func(string) string) string {
	server, repository, run := env("GITHUB_SERVER_URL"), env("GITHUB_REPOSITORY"), env("GITHUB_RUN_ID")
	switch {
	case server != "" && repository != "" && run != "":
		return server + "/" + repository + "/actions/runs/" + run
	case env("CI_JOB_URL") != "":
		return env("CI_JOB_URL") + "/artifacts/browse"
	}
	return ""
}
