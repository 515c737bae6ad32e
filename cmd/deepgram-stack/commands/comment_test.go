package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/comment/commenttest"
)

// TestPreviewComments runs the command as the workflow does, in the environment of
// a run of GitHub Actions: the report comes on the pull request, and a later run's
// takes its place, above all when a policy refuses the change.
func TestPreviewComments(t *testing.T) { //nolint:paralleltest // the environment belongs to the process
	const canary = "ghs_canary0123456789abcdefCANARY"
	g := commenttest.NewGitHub(t, canary, true)
	event := filepath.Join(t.TempDir(), "event.json")
	require.NoError(t, os.WriteFile(event, []byte(`{"number": 7, "pull_request": {"number": 7,
		"head": {"sha": "0123456789abcdef0123456789abcdef01234567", "repo": {"full_name": "acme/speech"}},
		"base": {"repo": {"full_name": "acme/speech"}}}}`), 0o600))
	for name, value := range map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_API_URL": g.URL, "GITHUB_GRAPHQL_URL": "", "GITHUB_TOKEN": canary,
		"GITHUB_REPOSITORY": commenttest.Repository, "GITHUB_EVENT_PATH": event, "GITLAB_CI": "",
		"GITHUB_SERVER_URL": "https://github.com", "GITHUB_RUN_ID": "42",
	} {
		t.Setenv(name, value)
	}
	for range 120 {
		g.Add("reviewer", "a remark")
	}
	report := filepath.Join(t.TempDir(), "report.md")
	preview := func(more ...string) (int, string) {
		t.Helper()
		args := []string{"preview", "--stack", "prod-omi", "--rehearse", "--comment", "--report", report, "--offline"}
		code, stdout, stderr := run(t.Context(), append(engineArgs(t, args...), more...)...)
		for _, text := range []string{stdout, stderr} {
			assert.NotContains(t, text, canary)
		}
		return code, stderr
	}

	code, stderr := preview()
	require.Equal(t, ExitDone, code, stderr)
	posted := g.By(g.Author)
	require.Len(t, posted, 1)
	assert.Contains(t, stderr, "comment created: https://github.com/acme/speech/pull/7#issuecomment-")
	assert.Contains(t, posted[0].Body, "0123456")
	assert.Contains(t, strings.ToLower(posted[0].Body), "rehears", "nobody takes it for a preview of the real stack")
	first := posted[0]

	code, stderr = preview("--set", "pools.engine.machineType=g2-standard-4")
	require.Equal(t, ExitPolicy, code, stderr)
	posted = g.By(g.Author)
	require.Len(t, posted, 1, "still one comment")
	assert.Equal(t, first.ID, posted[0].ID)
	assert.Contains(t, posted[0].Body, "engine-node-has-memory")
	assert.NotContains(t, posted[0].Body, "Out of date", "the mark of the run that began is gone")
	text, err := os.ReadFile(report)
	require.NoError(t, err)
	assert.Contains(t, string(text), "engine-node-has-memory")

	// A token that may only read fails the run, however safe the change is, and
	// says what the workflow lacks.
	g.Fail(commenttest.Fault{Method: "PATCH", Times: -1, Status: 403, Body: `{"message":"Resource not accessible by integration"}`})
	code, stderr = preview()
	require.Equal(t, ExitFailed, code, stderr)
	assert.Contains(t, stderr, "pull-requests: write")
	assert.Equal(t, posted[0].Body, g.By(g.Author)[0].Body)
}
