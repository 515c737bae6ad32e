package commands

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/opscmd"
)

// invocation is a command line of ours in a workflow or a document.
type invocation struct {
	program string
	words   []string // the command
	flags   []string
}

var (
	ourProgram = regexp.MustCompile(`^(?:\S*/)?(deepgram-stack|deepgram-ops)$`)
	// Ends of a command in a shell.
	shellEnd   = regexp.MustCompile(`&&|\|\||[|;)]|\s[<>]`)
	remark     = regexp.MustCompile(`(^|\s)#.*$`)
	plainWord  = regexp.MustCompile(`^[a-z][a-z-]*$`)
	assignment = regexp.MustCompile(`^[A-Z_]+=`)
)

// invocations finds the command lines of our programs in a shell script.
func invocations(script string) []invocation {
	var found []invocation
	for _, line := range strings.Split(strings.ReplaceAll(script, "\\\n", " "), "\n") {
		for _, command := range shellEnd.Split(remark.ReplaceAllString(line, ""), -1) {
			fields := strings.Fields(command)
			for len(fields) > 0 && assignment.MatchString(fields[0]) {
				fields = fields[1:]
			}
			if len(fields) == 0 {
				continue
			}
			m := ourProgram.FindStringSubmatch(fields[0])
			if m == nil {
				continue
			}
			i := invocation{program: m[1]}
			for _, word := range fields[1:] {
				switch {
				case strings.HasPrefix(word, "--"):
					flag, _, _ := strings.Cut(word, "=")
					i.flags = append(i.flags, flag)
				case len(i.flags) == 0 && plainWord.MatchString(word):
					i.words = append(i.words, word)
				}
			}
			found = append(found, i)
		}
	}
	return found
}

// help is what `--help` of the command says.
func help(t *testing.T, i invocation) string {
	t.Helper()
	args := append(append([]string{}, i.words...), "--help")
	if i.program == "deepgram-ops" {
		var out, errs bytes.Buffer
		require.Zero(t, opscmd.Run(t.Context(), args, opscmd.Streams{Out: &out, Err: &errs}), errs.String())
		return out.String()
	}
	code, stdout, stderr := run(context.WithoutCancel(t.Context()), args...)
	require.Zero(t, code, stderr)
	return stdout
}

// checkCommands fails where a script calls what does not exist.
func checkCommands(t *testing.T, where, script string) int {
	t.Helper()
	found := invocations(script)
	for _, i := range found {
		command := strings.Join(append([]string{i.program}, i.words...), " ")
		text := help(t, i)
		// An unknown command shows the help of what is above it.
		assert.Regexp(t, `(?m)^  `+command+`( |$)`, text, "%s: there is no `%s`", where, command)
		for _, flag := range i.flags {
			assert.Regexp(t, `(?m)^ +(-\w, )?`+flag+`( |$)`, text, "%s: `%s` has no flag %s", where, command, flag)
		}
	}
	return len(found)
}

func TestInvocations(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []invocation{
		{program: "deepgram-stack", words: []string{"preview"}, flags: []string{"--stack", "--report", "--comment"}},
		{program: "deepgram-ops", words: []string{"journal", "list"}, flags: []string{"--target"}},
		{program: "deepgram-stack"},
	}, invocations("A=1 bin/deepgram-stack preview --stack \"$S\" \\\n --report=x.md --comment # deepgram-stack nothing\n"+
		"echo deepgram-stack; ./deepgram-ops journal list --target a/b | deepgram-stack >x"))
}

// workflow is what the tests read of a workflow of GitHub Actions.
type workflow struct {
	On          yaml.Node `yaml:"on"`
	Permissions map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Steps       []step
	}
}

type step struct {
	Name, Uses, Run, If string
	With, Env           map[string]string
}

func readWorkflow(t *testing.T, name string) workflow {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(enginetest.Root(), ".github", "workflows", name))
	require.NoError(t, err)
	var w workflow
	require.NoError(t, yaml.Unmarshal(text, &w), "and no key twice")
	require.NotEmpty(t, w.Jobs)
	return w
}

func TestWorkflowsCallWhatExists(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(enginetest.Root(), ".github", "workflows", "*.yml"))
	require.NoError(t, err)
	makefile, err := os.ReadFile(filepath.Join(enginetest.Root(), "Makefile"))
	require.NoError(t, err)
	bash, err := exec.LookPath("bash")
	if err != nil {
		enginetest.Missing(t, "bash")
	}
	versions, calls := map[string]string{}, 0
	for _, file := range files {
		name := filepath.Base(file)
		for job, j := range readWorkflow(t, name).Jobs {
			for _, s := range j.Steps {
				where := name + ": " + job
				if s.Uses != "" {
					action, version, _ := strings.Cut(s.Uses, "@")
					assert.Regexp(t, `^v\d+$`, version, "%s: %s is pinned to its major version", where, action)
					if seen, ok := versions[action]; ok {
						assert.Equal(t, seen, version, "%s: %s has one version everywhere", where, action)
					}
					versions[action] = version
				}
				calls += checkCommands(t, where, s.Run)
				for _, m := range regexp.MustCompile(`(?m)\bmake ([a-z-]+)`).FindAllStringSubmatch(s.Run, -1) {
					assert.Contains(t, string(makefile), "\n"+m[1]+":", where)
				}
				// What a pull request says must not become a part of a script.
				assert.NotRegexp(t, `\$\{\{\s*(github\.(event|head_ref)|matrix\.stack)`, s.Run, where)
				cmd := exec.CommandContext(t.Context(), bash, "-n")
				cmd.Stdin = strings.NewReader(regexp.MustCompile(`\$\{\{[^}]*\}\}`).ReplaceAllString(s.Run, "x"))
				out, err := cmd.CombinedOutput()
				assert.NoError(t, err, "%s: %s", where, out)
			}
		}
	}
	assert.GreaterOrEqual(t, calls, 3)
}

// TestPreviewWorkflowKeepsSecretsFromForks reads the workflow as a stranger's pull
// request would use it.
func TestPreviewWorkflowKeepsSecretsFromForks(t *testing.T) {
	t.Parallel()
	w := readWorkflow(t, "preview.yml")
	var on map[string]any
	require.NoError(t, w.On.Decode(&on))
	require.Len(t, on, 1)
	require.Contains(t, on, "pull_request", "and never pull_request_target, which gives a stranger's code our secrets")
	assert.Equal(t, map[string]string{"contents": "read"}, w.Permissions)
	assert.Equal(t, map[string]string{"contents": "read", "pull-requests": "write", "id-token": "write"}, w.Jobs["preview"].Permissions)

	commands := 0
	for job, j := range w.Jobs {
		for _, s := range j.Steps {
			text, err := yaml.Marshal(s)
			require.NoError(t, err)
			if strings.Contains(string(text), "secrets.") || strings.Contains(s.Uses, "google-github-actions/auth") {
				assert.Contains(t, s.If, "env.CREDENTIALS == 'true'", "%s: %s", job, s.Name)
			}
			for _, i := range invocations(s.Run) {
				commands++
				flags := strings.Join(i.flags, " ")
				if strings.Contains(s.If, "env.CREDENTIALS == 'true'") {
					assert.NotContains(t, flags, "--rehearse", s.Name)
				} else {
					assert.Contains(t, flags, "--rehearse", s.Name)
				}
				assert.Equal(t, s.If != "env.FORK == 'true'", strings.Contains(flags, "--comment"), "a fork's token may not comment: %s", s.Name)
				assert.Contains(t, flags, "--report", s.Name)
			}
		}
	}
	assert.Equal(t, 3, commands)
}

// TestPreviewWorkflowFindsEnvironments runs the step that lists them.
func TestPreviewWorkflowFindsEnvironments(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		enginetest.Missing(t, "bash")
	}
	var script string
	for _, s := range readWorkflow(t, "preview.yml").Jobs["build"].Steps {
		if s.Name == "Environments" {
			script = s.Run
		}
	}
	require.NotEmpty(t, script)
	for only, want := range map[string]string{
		"":             `stacks=["airgapped","dev","prod-omi"]`,
		"dev prod-omi": `stacks=["dev","prod-omi"]`,
		"prod":         `stacks=[]`,
	} {
		output := filepath.Join(t.TempDir(), "output")
		cmd := exec.CommandContext(t.Context(), bash, "-eo", "pipefail", "-c", script)
		cmd.Dir = enginetest.Root()
		cmd.Env = append(os.Environ(), "ONLY="+only, "GITHUB_OUTPUT="+output)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		text, err := os.ReadFile(output)
		require.NoError(t, err)
		assert.Equal(t, want+"\n", string(text))
	}
}
