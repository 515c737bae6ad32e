package comment

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFind(t *testing.T) {
	t.Parallel()
	const pull = `{"number":7,"pull_request":{"number":7,"head":{"repo":{"full_name":"acme/speech"}},"base":{"repo":{"full_name":"acme/speech"}}}}`
	actions := func(event string, more map[string]string) map[string]string {
		env := map[string]string{
			"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/speech", "GITHUB_API_URL": "https://api.github.com",
			"GITHUB_GRAPHQL_URL": "https://api.github.com/graphql", "GITHUB_EVENT_PATH": "/event.json", "GITHUB_TOKEN": canary + "\n", "event": event,
		}
		for k, v := range more {
			env[k] = v
		}
		return env
	}
	gitlab := func(more map[string]string) map[string]string {
		env := map[string]string{
			"GITLAB_CI": "true", "CI_API_V4_URL": "https://gitlab.example.com/api/v4", "CI_PROJECT_ID": "4711",
			"CI_MERGE_REQUEST_PROJECT_ID": "4711", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "4711", "CI_MERGE_REQUEST_IID": "7", "GITLAB_TOKEN": canary,
		}
		for k, v := range more {
			env[k] = v
		}
		return env
	}
	github := Target{
		Provider: GitHub, Repository: "acme/speech", Number: 7, APIURL: "https://api.github.com",
		GraphQLURL: "https://api.github.com/graphql", Token: NewToken(canary),
	}
	merge := Target{Provider: GitLab, Repository: "4711", Number: 7, APIURL: "https://gitlab.example.com/api/v4", Token: NewToken(canary)}
	with := func(t Target, change func(*Target)) Target { change(&t); return t }
	fork := func(t *Target) { t.Fork = true }

	for name, test := range map[string]struct {
		env   map[string]string
		flags Flags
		want  Target
	}{
		"pull request":  {env: actions(pull, nil), want: github},
		"number only":   {env: actions(`{"number":7,"pull_request":{"head":{"repo":{"full_name":"Acme/Speech"}},"base":{"repo":{"full_name":"acme/speech"}}}}`, nil), want: github},
		"fork":          {env: actions(`{"pull_request":{"number":7,"head":{"repo":{"full_name":"eve/speech"}},"base":{"repo":{"full_name":"acme/speech"}}}}`, nil), want: with(github, fork)},
		"deleted fork":  {env: actions(`{"pull_request":{"number":7,"head":{"repo":null},"base":{"repo":{"full_name":"acme/speech"}}}}`, nil), want: with(github, fork)},
		"remark":        {env: actions(`{"issue":{"number":7,"pull_request":{"url":"x"}}}`, nil), want: github},
		"workflow run":  {env: actions(`{"workflow_run":{"pull_requests":[{"number":7}]}}`, nil), want: github},
		"by the ref":    {env: actions(`{}`, map[string]string{"GITHUB_REF": "refs/pull/7/merge"}), want: github},
		"token of gh":   {env: actions(pull, map[string]string{"GITHUB_TOKEN": "", "GH_TOKEN": canary}), want: github},
		"another":       {env: actions(pull, nil), flags: Flags{Number: 9}, want: with(github, func(t *Target) { t.Number = 9 })},
		"not in a run":  {env: map[string]string{"GITHUB_TOKEN": canary}, flags: Flags{Repository: "acme/speech", Number: 7}, want: Target{Provider: GitHub, Repository: "acme/speech", Number: 7, Token: NewToken(canary)}},
		"enterprise":    {env: actions(pull, nil), flags: Flags{APIURL: "https://git.acme.com/api/v3"}, want: with(github, func(t *Target) { t.APIURL, t.GraphQLURL = "https://git.acme.com/api/v3", "" })},
		"merge request": {env: gitlab(nil), want: merge},
		"GitLab's fork": {env: gitlab(map[string]string{"CI_PROJECT_ID": "99", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "99"}), want: with(merge, fork)},
		"branch pipeline": {env: gitlab(map[string]string{
			"CI_MERGE_REQUEST_IID": "", "CI_MERGE_REQUEST_PROJECT_ID": "", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "", "CI_OPEN_MERGE_REQUESTS": "acme/team/speech!7",
		}), want: with(merge, func(t *Target) { t.Repository = "acme/team/speech" })},
		"GitLab from a GitHub run": {
			env: actions(pull, map[string]string{"GITLAB_TOKEN": canary}), flags: Flags{Provider: GitLab, Repository: "acme/speech", Number: 7},
			want: Target{Provider: GitLab, Repository: "acme/speech", Number: 7, Token: NewToken(canary)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Find(env(test.env), file(test.env), test.flags)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s %q", got, got, got, got, got), canary)
			assert.NotContains(t, fmt.Sprintf("%+v %#v", &got, struct{ T Target }{got}), canary)
		})
	}
}

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func file(values map[string]string) func(string) ([]byte, error) {
	return func(string) ([]byte, error) {
		if values["event"] == "" {
			return nil, os.ErrNotExist
		}
		return []byte(values["event"]), nil
	}
}

func TestFindTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	push := map[string]string{"GITHUB_REPOSITORY": "acme/speech", "GITHUB_EVENT_PATH": "/event.json", "GITHUB_TOKEN": canary, "GITHUB_REF": "refs/heads/main"}
	with := func(more map[string]string) map[string]string {
		all := map[string]string{"event": `{"ref":"refs/heads/main"}`}
		for _, m := range []map[string]string{push, more} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	for name, test := range map[string]struct {
		env   map[string]string
		flags Flags
		want  []string
	}{
		"nothing":                   {map[string]string{}, Flags{}, []string{"this run belongs to no pull request", "--pull-request", "repository: missing", "GITHUB_TOKEN is not set"}},
		"push":                      {with(nil), Flags{}, []string{"this run belongs to no pull request"}},
		"an issue, no pull request": {with(map[string]string{"event": `{"issue":{"number":3}}`}), Flags{}, []string{"belongs to no pull request"}},
		"the number is of another repository": {
			with(map[string]string{"event": `{"pull_request":{"number":7}}`}), Flags{Repository: "acme/other"}, []string{"belongs to no pull request"},
		},
		"no event file":     {with(map[string]string{"event": ""}), Flags{}, []string{"event file /event.json (GITHUB_EVENT_PATH): file does not exist"}},
		"broken event file": {with(map[string]string{"event": `{"pull_request":`}), Flags{}, []string{"event file /event.json", "unexpected end of JSON input"}},
		"repository":        {with(nil), Flags{Repository: "../../user", Number: 7}, []string{`repository: "../../user" is not OWNER/NAME`}},
		"plain text":        {with(nil), Flags{Number: 7, APIURL: "http://git.acme.com/api/v3"}, []string{"is not https"}},
		"user in address":   {with(nil), Flags{Number: 7, APIURL: "https://me:" + canary + "@git.acme.com/api/v3"}, []string{"holds a user or password"}},
		"broken address":    {with(nil), Flags{Number: 7, APIURL: "https://me:" + canary + "@git acme"}, []string{"is no address"}},
		"odd token":         {with(map[string]string{"GITHUB_TOKEN": canary + "\r\nX-Other: 1"}), Flags{Number: 7}, []string{"token: it holds spaces"}},
		"GitLab without token": {
			map[string]string{"GITLAB_CI": "true", "CI_PROJECT_ID": "1", "CI_MERGE_REQUEST_IID": "x"},
			Flags{},
			[]string{`CI_MERGE_REQUEST_IID: "x" is no number`, "GITLAB_TOKEN is not set", "scope api"},
		},
		"provider": {with(nil), Flags{Provider: "gitea", Number: 7}, []string{`provider: "gitea" is none of "github", "gitlab"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Find(env(test.env), file(test.env), test.flags)
			require.Error(t, err)
			for _, part := range test.want {
				assert.Contains(t, err.Error(), part)
			}
			assert.NotContains(t, err.Error(), canary)
		})
	}
	_, err := FromEnvironment(env(with(nil)), file(with(nil)))
	assert.ErrorIs(t, err, ErrNoRequest)
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for api, want := range map[string][2]string{
		"":                              {"https://api.github.com", "https://api.github.com/graphql"},
		"https://api.github.com":        {"https://api.github.com", "https://api.github.com/graphql"},
		"https://git.acme.com/api/v3/":  {"https://git.acme.com/api/v3", "https://git.acme.com/api/graphql"},
		"https://api.acme.ghe.com":      {"https://api.acme.ghe.com", "https://api.acme.ghe.com/graphql"},
		"https://acme.com/git/api/v3":   {"https://acme.com/git/api/v3", "https://acme.com/git/api/graphql"},
		"http://127.0.0.1:8080/api/v3/": {"http://127.0.0.1:8080/api/v3", "http://127.0.0.1:8080/api/graphql"},
	} {
		t.Run(api, func(t *testing.T) {
			t.Parallel()
			target := Target{Provider: GitHub, APIURL: api}
			assert.Equal(t, want, [2]string{target.api(), target.graphQL()})
			assert.NoError(t, checkAddress(api))
		})
	}
	assert.Equal(t, "https://gitlab.com/api/v4", Target{Provider: GitLab}.api())
}

func TestRunLink(t *testing.T) {
	t.Parallel()
	actions := map[string]string{"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/speech", "GITHUB_RUN_ID": "42"}
	assert.Equal(t, "https://github.com/acme/speech/actions/runs/42", RunLink(env(actions)))
	assert.Equal(t, "https://gitlab.com/acme/speech/-/jobs/9/artifacts/browse", RunLink(env(map[string]string{"CI_JOB_URL": "https://gitlab.com/acme/speech/-/jobs/9"})))
	assert.Empty(t, RunLink(env(nil)))
}
