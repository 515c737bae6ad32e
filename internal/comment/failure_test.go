package comment

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/comment/commenttest"
)

func TestRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	const integration = `{"message":"Resource not accessible by integration","documentation_url":"https://docs.github.com/rest"}`
	for name, test := range map[string]struct {
		fault commenttest.Fault
		fork  bool
		kind  Kind
		want  []string
	}{
		"no permission": {
			fault: commenttest.Fault{Method: "POST", Status: 403, Body: integration}, kind: Permission,
			want: []string{"commenting on acme/speech#7", "403 (Resource not accessible by integration)", "permissions: {contents: read, pull-requests: write}"},
		},
		"fork": {
			fault: commenttest.Fault{Method: "POST", Status: 403, Body: integration}, fork: true, kind: Permission,
			want: []string{"comes from a fork", "$GITHUB_STEP_SUMMARY"},
		},
		"locked": {
			fault: commenttest.Fault{Method: "POST", Status: 403, Body: `{"message":"Unable to create comment because issue is locked."}`}, kind: Permission,
			want: []string{"the conversation of acme/speech#7 is locked"},
		},
		"wrong token": {
			fault: commenttest.Fault{Status: 401, Body: `{"message":"Bad credentials"}`}, kind: Permission,
			want: []string{"the token is wrong or has expired", "github.token"},
		},
		"no such request": {
			fault: commenttest.Fault{Status: 404, Body: `{"message":"Not Found"}`}, kind: NotFound,
			want: []string{"listing the comments of acme/speech#7", "there is no acme/speech#7 at http://127.0.0.1:", "--pull-request"},
		},
		"too long for this server": {
			fault: commenttest.Fault{Method: "POST", Status: 422, Body: `{"message":"Validation Failed","errors":[{"code":"unprocessable","message":"Body is too long (maximum is 1024 characters)"}]}`},
			kind:  TooLong, want: []string{"422 (Validation Failed: Body is too long (maximum is 1024 characters))"},
		},
		"other validation": {
			fault: commenttest.Fault{Method: "POST", Status: 422, Body: `{"message":"Validation Failed","errors":["body is spam"]}`},
			kind:  Invalid, want: []string{"GitHub answers 422 (Validation Failed: body is spam)"},
		},
		"an echo of the token": {
			fault: commenttest.Fault{Method: "POST", Status: 422, Body: `{"message":"bad header Bearer ` + canary + `\u001b[31m\n` + strings.Repeat("x", 1000) + `"}`},
			kind:  Invalid, want: []string{"bad header Bearer [secret]"},
		},
		"a page instead of JSON": {
			fault: commenttest.Fault{Status: 403, Body: "<html>" + canary}, kind: Permission, want: []string{"GitHub answers 403: "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := onGitHub(t)
			b.target.Fork = test.fork
			b.Fail(test.fault)
			_, err := b.post(t, prod, Update, "report")
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, test.kind, e.Kind)
			assert.Equal(t, test.fault.Status, e.Status)
			for _, part := range test.want {
				assert.Contains(t, err.Error(), part)
			}
			assert.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, err.Error(), "\x1b")
			assert.Less(t, len(err.Error()), 700)
			assert.Empty(t, b.slept, "a refusal is not tried again")
			assert.Empty(t, b.Comments())
		})
	}
}

func TestGitLabRefusalsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault commenttest.Fault
		kind  Kind
		want  string
	}{
		"no permission": {commenttest.Fault{Method: "POST", Status: 403, Body: `{"message":"403 Forbidden"}`}, Permission, "scope api and the role Reporter"},
		"job token":     {commenttest.Fault{Status: 401, Body: `{"error":"invalid_token"}`}, Permission, "CI_JOB_TOKEN may not write comments"},
		"not found":     {commenttest.Fault{Status: 404, Body: `{"message":"404 Project Not Found"}`}, NotFound, "there is no 4711!7 at http://127.0.0.1:"},
		"too long":      {commenttest.Fault{Method: "POST", Status: 400, Body: `{"message":{"note":["is too long (maximum is 1000000 characters)"]}}`}, TooLong, "1000000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := onGitLab(t)
			b.Fail(test.fault)
			_, err := b.post(t, prod, Update, "report")
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, test.kind, e.Kind)
			assert.Contains(t, err.Error(), test.want)
			assert.Empty(t, b.Comments())
		})
	}
}

// Whatever breaks once, and wherever, there is one report in the end.
func TestTransientFaultsLeaveOneReport(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]commenttest.Fault{
		"502 before":     {Status: 502, Body: "<html>Unicorn!"},
		"502 after":      {Status: 502, Body: "<html>Unicorn!", After: true},
		"503, later":     {Status: 503, Header: map[string]string{"Retry-After": "7"}},
		"broken line":    {Break: true},
		"half an answer": {Truncate: true},
		"half the JSON":  {Status: 200, Body: `[{"id": 1, "bo`, After: true},
		"not JSON":       {Status: 200, Body: "<html>Login", After: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, b *bench) {
				for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
					fault := fault
					fault.Method = method
					b.Fail(fault)
				}
				_, err := b.post(t, prod, Update, "a", "b", "c")
				require.NoError(t, err)
				assert.Equal(t, []string{"a", "b", "c"}, b.visible())
				_, err = b.post(t, prod, Update, "A", "B")
				require.NoError(t, err)
				assert.Equal(t, []string{"A", "B"}, b.visible())
				assert.NotEmpty(t, b.slept)
				assert.Contains(t, b.progress(), "again in ")
				if fault.Header != nil {
					assert.Equal(t, 7*time.Second, b.slept[0])
				}
			})
		})
	}
}

func TestLastingFaultsEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault commenttest.Fault
		want  string
	}{
		"5xx":       {commenttest.Fault{Times: -1, Status: 500, Body: `{"message":"Server Error"}`}, "answers 500 (Server Error): try again later"},
		"broken":    {commenttest.Fault{Times: -1, Break: true}, "cannot be reached: EOF"},
		"not JSON":  {commenttest.Fault{Times: -1, Status: 200, Body: "<html>", Header: map[string]string{"Content-Type": "text/html"}}, "is not JSON (text/html)"},
		"odd JSON":  {commenttest.Fault{Times: -1, Status: 200, Body: `"yes"`}, "answer cannot be read"},
		"elsewhere": {commenttest.Fault{Times: -1, Status: 302, Header: map[string]string{"Location": ""}}, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, b *bench) {
				b.Fail(test.fault)
				_, err := b.post(t, prod, Update, "report")
				var e *Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, Unavailable, e.Kind)
				assert.Contains(t, err.Error(), test.want)
				assert.LessOrEqual(t, len(b.Requests()), attempts)
				for i := 1; i < len(b.slept); i++ {
					assert.Greater(t, b.slept[i], b.slept[i-1]*5/4, "each wait is longer than the one before")
				}
			})
		})
	}
}

func TestCreateThatNeverAnswersEnds(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		b.Fail(commenttest.Fault{Method: "POST", Times: -1, Status: 502})
		_, err := b.post(t, prod, Update, "report")
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, Unavailable, e.Kind)
		assert.Len(t, b.slept, attempts-1)
		assert.Len(t, b.Writes(), attempts)
		assert.Empty(t, b.Comments())
	})
}

func TestRateLimitsAreHeeded(t *testing.T) {
	t.Parallel()
	reset := func(in time.Duration) string { return fmt.Sprint(int64(1790000000 + in/time.Second)) }
	const secondary = `{"message":"You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}`
	for name, test := range map[string]struct {
		gitlab bool
		fault  commenttest.Fault
		want   time.Duration
	}{
		"primary":              {fault: commenttest.Fault{Status: 403, Body: `{"message":"API rate limit exceeded for installation ID 1."}`, Header: map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset(90 * time.Second)}}, want: 91 * time.Second},
		"primary, 429":         {fault: commenttest.Fault{Status: 429, Header: map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset(-time.Hour)}}, want: time.Second},
		"secondary":            {fault: commenttest.Fault{Status: 403, Body: secondary, Header: map[string]string{"Retry-After": "30"}}, want: 30 * time.Second},
		"secondary, by a date": {fault: commenttest.Fault{Status: 403, Body: secondary, Header: map[string]string{"Retry-After": time.Unix(1790000045, 0).UTC().Format(http.TimeFormat)}}, want: 45 * time.Second},
		"secondary, no time":   {fault: commenttest.Fault{Status: 403, Body: secondary}, want: time.Minute},
		"nonsense":             {fault: commenttest.Fault{Status: 429, Header: map[string]string{"Retry-After": "soon"}}, want: time.Minute},
		"GitLab":               {gitlab: true, fault: commenttest.Fault{Status: 429, Body: "Retry later\n", Header: map[string]string{"Retry-After": "12"}}, want: 12 * time.Second},
		"GitLab, by its reset": {gitlab: true, fault: commenttest.Fault{Status: 429, Header: map[string]string{"RateLimit-Remaining": "0", "RateLimit-Reset": reset(20 * time.Second)}}, want: 21 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := onGitHub(t)
			if test.gitlab {
				b, _ = onGitLab(t)
			}
			fault := test.fault
			fault.Method = "POST"
			b.Fail(fault)
			r, err := b.post(t, prod, Update, "report")
			require.NoError(t, err)
			assert.Equal(t, Created, r.Action)
			assert.Equal(t, []time.Duration{test.want}, b.slept)
			assert.Contains(t, b.progress(), "limits the rate of requests: waiting "+test.want.String())
			assert.Len(t, b.Comments(), 1)
		})
	}
}

func TestGraphQLRateLimitIsHeeded(t *testing.T) {
	t.Parallel()
	b, _ := onGitHub(t)
	_, err := b.post(t, prod, Update, "one")
	require.NoError(t, err)
	b.Fail(commenttest.Fault{Path: "/graphql", Status: 200, Body: `{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`, Header: map[string]string{"Retry-After": "5"}})
	r, err := b.post(t, prod, Update, "two")
	require.NoError(t, err)
	assert.Equal(t, Updated, r.Action)
	assert.Equal(t, []time.Duration{5 * time.Second}, b.slept)
}

func TestRateLimitBeyondPatience(t *testing.T) {
	t.Parallel()
	b, _ := onGitHub(t)
	b.Fail(commenttest.Fault{Method: "POST", Status: 403, Header: map[string]string{"Retry-After": "200"}},
		commenttest.Fault{Method: "POST", Status: 403, Header: map[string]string{"Retry-After": "200"}})
	_, err := b.post(t, prod, Update, "report")
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, RateLimited, e.Kind)
	assert.Contains(t, err.Error(), "GitHub allows no more requests for 3m20s (until ")
	assert.Equal(t, []time.Duration{200 * time.Second}, b.slept, "the waits together stay under five minutes")
}

func TestCancelEndsAWait(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		b.onWait = cancel
		b.Fail(commenttest.Fault{Times: -1, Status: 503})
		_, err := Post(ctx, b.target, prod, []string{"report"}, b.options(Update))
		require.ErrorIs(t, err, context.Canceled)
		assert.Contains(t, err.Error(), "listing the comments of ")
		assert.Len(t, b.Requests(), 1)
		b.clean(t, err.Error())
	})
}

func TestSleepEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, sleep(ctx, time.Hour), context.Canceled)
	require.NoError(t, sleep(t.Context(), time.Nanosecond))
}

// A renamed repository leads on to its new address; a foreign host does not get
// the token.
func TestRedirections(t *testing.T) {
	t.Parallel()
	b, g := onGitHub(t)
	b.Fail(commenttest.Fault{Method: "POST", Status: 307, Header: map[string]string{"Location": g.URL + "/repos/acme/speech/issues/7/comments"}})
	_, err := b.post(t, prod, Update, "report")
	require.NoError(t, err)
	assert.Equal(t, []string{"report"}, b.visible())

	var got http.Header
	foreign := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	t.Cleanup(foreign.Close)
	b.Fail(commenttest.Fault{Method: "GET", Status: 302, Header: map[string]string{"Location": strings.Replace(foreign.URL, "127.0.0.1", "localhost", 1)}})
	_, err = b.post(t, prod, New, "report")
	require.NoError(t, err)
	require.NotNil(t, got)
	assert.Empty(t, got.Get("Authorization"))
	assert.NotContains(t, fmt.Sprint(got), canary)
}

func TestCommentRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	for method, on := range map[string]func(*testing.T) *bench{
		"PATCH": func(t *testing.T) *bench { t.Helper(); b, _ := onGitHub(t); return b },
		"PUT":   func(t *testing.T) *bench { t.Helper(); b, _ := onGitLab(t); return b },
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			b := on(t)
			_, err := b.post(t, prod, Update, "one")
			require.NoError(t, err)
			b.Fail(commenttest.Fault{Method: method, Status: 404, Body: `{"message":"Not Found"}`})
			r, err := b.post(t, prod, Update, "two")
			require.NoError(t, err)
			assert.Equal(t, Created, r.Action)
		})
	}
}

func TestEnterpriseServer(t *testing.T) {
	t.Parallel()
	g := commenttest.NewGitHub(t, canary, true)
	b := &bench{Server: &g.Server, target: Target{
		Provider: GitHub, Repository: commenttest.Repository, Number: commenttest.Number, APIURL: g.URL + "/", Token: NewToken(canary),
	}}
	for _, text := range []string{"one", "two"} {
		_, err := b.post(t, prod, HideOld, text)
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"two"}, b.visible())
	for _, r := range b.Requests() {
		assert.True(t, strings.HasPrefix(r.Path, "/api/"), r.Path)
	}
}
