package commands

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/opscmd"
)

// needsCloud stands before a block of commands that only a cloud can answer.
const needsCloud = "<!-- needs a cloud -->"

// block is a fenced block of a document.
type block struct {
	line     int
	language string
	cloud    bool
	lines    []string
}

// shell tells whether a reader would type the block's lines. Blocks without a
// language are shells where they begin with one of our programs.
func (b *block) shell() bool {
	switch b.language {
	case "sh", "bash":
		return true
	case "":
		for _, line := range b.lines {
			if words := strings.Fields(line); len(words) > 0 && ourProgram.MatchString(words[0]) {
				return true
			}
		}
	}
	return false
}

// commands are the block's command lines, continued ones as one, without remarks.
func (b *block) commands() (found []string) {
	for line := range strings.Lines(strings.ReplaceAll(strings.Join(b.lines, "\n"), "\\\n", " ")) {
		if line = strings.TrimSpace(remark.ReplaceAllString(strings.TrimSpace(line), "")); line != "" {
			found = append(found, strings.Join(strings.Fields(line), " "))
		}
	}
	return found
}

// blocksOf are the fenced blocks of a document.
func blocksOf(text string) (found []block) {
	marked, inside := false, false
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			if inside = !inside; inside {
				found = append(found, block{line: i + 1, language: strings.TrimPrefix(trimmed, "```"), cloud: marked})
			}
			marked = false
		case inside:
			found[len(found)-1].lines = append(found[len(found)-1].lines, line)
		case trimmed == needsCloud:
			marked = true
		case trimmed != "":
			marked = false // a mark stands right before its block
		}
	}
	return found
}

func TestBlocksOf(t *testing.T) {
	t.Parallel()
	got := blocksOf("a\n```\none\n```\n" + needsCloud + "\n  ```sh\n  two \\\n    --three # four\n\n  ```\n" + needsCloud + "\ntext\n```sh\nfive\n```\n")
	require.Len(t, got, 3)
	assert.Equal(t, []bool{false, true, false}, []bool{got[0].cloud, got[1].cloud, got[2].cloud})
	assert.Equal(t, []int{2, 6, 13}, []int{got[0].line, got[1].line, got[2].line})
	assert.Equal(t, []string{"two --three"}, got[1].commands())
	assert.Equal(t, []bool{false, true, true}, []bool{got[0].shell(), got[1].shell(), got[2].shell()})
}

// documents are the texts of the Markdown files that users read, by their path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	read := func(name string) {
		text, err := os.ReadFile(filepath.Join(enginetest.Root(), name))
		require.NoError(t, err)
		found[filepath.ToSlash(name)] = string(text)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} {
		read(name)
	}
	for _, folder := range []string{"docs", "examples"} {
		err := filepath.WalkDir(filepath.Join(enginetest.Root(), folder), func(file string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && filepath.Ext(file) == ".md" {
				name, _ := filepath.Rel(enginetest.Root(), file)
				read(name)
			}
			return err
		})
		require.NoError(t, err)
	}
	return found
}

// words splits a line into commands and their words, as a shell does: quotes,
// remarks, pipes, lists and redirections.
func words(line string) (commands [][]string) {
	var command []string
	var word strings.Builder
	var quote rune
	open, skip := false, false // a word has begun; it is a redirection's file
	endWord := func() {
		if open && !skip {
			command = append(command, word.String())
		}
		if open {
			skip = false
		}
		word.Reset()
		open = false
	}
	endCommand := func() {
		endWord()
		if len(command) > 0 {
			commands = append(commands, command)
		}
		command = nil
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ' || r == '\t':
			endWord()
		case r == '#' && !open:
			endCommand()
			return commands
		case strings.ContainsRune("|;&()", r):
			endCommand()
		case r == '<' || r == '>':
			endWord()
			skip = true
		default:
			open = true
			word.WriteRune(r)
		}
	}
	endCommand()
	return commands
}

func TestWords(t *testing.T) {
	t.Parallel()
	assert.Equal(t, [][]string{{"a", "--b=c d", "e"}, {"f", "g"}, {"h"}}, words(`a --b='c d' "e" <in >out | f g && h # i`))
}

var (
	target = regexp.MustCompile(`(?m)^([a-z-]+):`)
	// inText is a command of ours that a sentence mentions.
	inText = regexp.MustCompile("`((?:bin/)?deepgram-(?:stack|ops) [a-z][^`]*)`")
)

// TestDocumentedCommandsParse gives every command of ours in the documents to the
// program's own parser, with its flags and their values, and --help: nothing is run.
func TestDocumentedCommandsParse(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(enginetest.Root(), "Makefile"))
	require.NoError(t, err)
	targets := map[string]bool{}
	for _, line := range strings.Split(strings.ReplaceAll(string(makefile), ".PHONY:", ""), "\n") {
		for _, name := range target.FindAllStringSubmatch(line, -1) {
			targets[name[1]] = true
		}
	}
	for _, name := range []string{"stack", "ops", "policy-pack"} {
		targets[name] = true // several on one line
	}
	calls := 0
	for file, text := range documents(t) {
		var lines []string
		for _, b := range blocksOf(text) {
			if b.shell() || b.language == "yaml" {
				lines = append(lines, b.commands()...)
			}
		}
		for _, m := range inText.FindAllStringSubmatch(text, -1) {
			lines = append(lines, m[1])
		}
		for _, line := range lines {
			for _, command := range words(strings.TrimPrefix(line, "run: ")) {
				for len(command) > 1 && assignment.MatchString(command[0]) {
					command = command[1:]
				}
				if command[0] == "make" && len(command) > 1 {
					assert.True(t, targets[command[1]], "%s: there is no `make %s`", file, command[1])
					calls++
				}
				if m := ourProgram.FindStringSubmatch(command[0]); m != nil {
					parse(t, file, m[1], command[1:])
					calls++
				}
			}
		}
	}
	assert.Greater(t, calls, 100)
}

// parse fails where the program would not take the arguments.
func parse(t *testing.T, file, program string, args []string) {
	t.Helper()
	line := program + " " + strings.Join(args, " ")
	// "…" stands for what the reader knows; "up …" and "models.files[0]" are fine.
	args = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "…" || a == "..." })
	command := program
	for _, a := range args {
		if !plainWord.MatchString(a) {
			break
		}
		command += " " + a
	}
	var text string
	if program == "deepgram-ops" {
		var out, errs bytes.Buffer
		if code := opscmd.Run(t.Context(), append(args, "--help"), opscmd.Streams{Out: &out, Err: &errs}); !assert.Zero(t, code, "%s: %s: %s", file, line, &errs) {
			return
		}
		text = out.String()
	} else {
		code, out, errs := run(context.WithoutCancel(t.Context()), append(args, "--help")...)
		if !assert.Zero(t, code, "%s: %s: %s", file, line, errs) {
			return
		}
		text = out
	}
	// An unknown command shows the help of what is above it.
	assert.Regexp(t, `(?m)^  `+regexp.QuoteMeta(command)+`( |$)`, text, "%s: there is no `%s`", file, command)
}

// TestAlertsLinkToTheirPage: internal/chart tests that each alert has a heading there.
func TestAlertsLinkToTheirPage(t *testing.T) {
	t.Parallel()
	page := config.Default().Monitoring.Alerts.Runbooks
	_, file, found := strings.Cut(page, "/blob/main/")
	require.True(t, found, page)
	assert.Contains(t, documents(t), file)
}

var (
	link     = regexp.MustCompile(`!?\[[^\]]*\]\(([^)\s]+)\)`)
	code     = regexp.MustCompile("`[^`\n]*`")
	heading  = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	notSlug  = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_\- ]`)
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// prose is a document without its fenced blocks.
func prose(text string) string {
	var kept []string
	inside := false
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inside = !inside
		} else if !inside {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// anchors are the headings of a document as GitHub names them.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(prose(text), -1) {
		plain := linkText.ReplaceAllString(m[1], "$1")
		slug := strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(plain), ""), " ", "-")
		name := slug
		for i := 1; found[name]; i++ {
			name = slug + "-" + string(rune('0'+i))
		}
		found[name] = true
	}
	return found
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	assert.Equal(t, map[string]bool{"retrieve-a-ret-a-multi": true, "what-up-does": true, "what-up-does-1": true},
		anchors("## Retrieve (A-RET, A-MULTI)\n### What `up` does\n```\n# no\n```\n# What up does\n"))
}

// TestLinksResolve looks for the file and the heading of every link inside the
// repository.
func TestLinksResolve(t *testing.T) {
	t.Parallel()
	all := documents(t)
	seen := 0
	for file, text := range all {
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(prose(text), ""), -1) {
			to := m[1]
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			seen++
			name, anchor, _ := strings.Cut(to, "#")
			at := file
			if name != "" {
				at = path.Join(path.Dir(file), name)
			}
			_, err := os.Stat(filepath.Join(enginetest.Root(), filepath.FromSlash(at)))
			if assert.NoError(t, err, "%s links to %s", file, to) && anchor != "" {
				assert.True(t, anchors(all[at])[anchor], "%s links to %s, and %s has no such heading", file, to, at)
			}
		}
	}
	assert.Greater(t, seen, 80)
}

// TestDocumentsAreListed: nobody finds a page that no index names.
func TestDocumentsAreListed(t *testing.T) {
	t.Parallel()
	all := documents(t)
	for file, text := range all {
		dir, name := path.Split(file)
		switch {
		case dir == "docs/" && name != "README.md":
			lists(t, all, "docs/README.md", "]("+name+")")
		case dir == "docs/runbooks/" && name != "README.md":
			lists(t, all, "docs/runbooks/README.md", "]("+name+")")
			var parts []string
			for _, m := range heading.FindAllStringSubmatch(prose(text), -1) {
				parts = append(parts, m[1])
			}
			require.NotEmpty(t, parts, file)
			assert.Equal(t, []string{"Symptom", "Cause", "What to do", "It is over when"}, parts[1:], file)
		}
	}
}

// lists fails, without printing the whole document, where it does not hold the text.
func lists(t *testing.T, all map[string]string, file, text string) {
	t.Helper()
	if !strings.Contains(all[file], text) {
		t.Errorf("%s does not have %s", file, text)
	}
}

var role = regexp.MustCompile(`"(roles/[A-Za-z0-9.]+)"`)

// TestSecurityModelIsComplete: every role that the components give, or that a
// preflight check asks for, is in the document.
func TestSecurityModelIsComplete(t *testing.T) {
	t.Parallel()
	all, roles := documents(t), map[string]bool{}
	for _, folder := range []string{"components", "stacks", "internal/preflight"} {
		files, err := filepath.Glob(filepath.Join(enginetest.Root(), folder, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, m := range role.FindAllStringSubmatch(string(source), -1) {
				roles[m[1]] = true
			}
		}
	}
	assert.GreaterOrEqual(t, len(roles), 12)
	for name := range roles {
		lists(t, all, "docs/security.md", "`"+name+"`")
	}
}
