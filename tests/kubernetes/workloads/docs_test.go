package workloads

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
)

// needsCloud stands before a block of commands that only a cloud can answer.
const needsCloud = "<!-- needs a cloud -->"

// block is a block of commands of a document.
type block struct {
	line     int
	commands []string
	cloud    bool
}

// blocks are the fenced blocks of a document.
func blocks(text string) (found []block) {
	marked, inside := false, false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			if inside = !inside; inside {
				found = append(found, block{line: i + 1, cloud: marked})
				marked = false
			}
		case inside && strings.TrimSpace(line) != "":
			found[len(found)-1].commands = append(found[len(found)-1].commands, line)
		case strings.TrimSpace(line) == needsCloud:
			marked = true
		}
	}
	return found
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	got := blocks("a\n```\none\n\ntwo\n```\nb\n" + needsCloud + "\n```sh\nthree\n```\n```\nfour\n```\n")
	assert.Equal(t, []block{{2, []string{"one", "two"}, false}, {9, []string{"three"}, true}, {12, []string{"four"}, false}}, got)
}

// documented is what a command of the document must do.
type documented struct {
	// before prepares what the reader has at that place.
	before func(t *testing.T, d *documentRun)
	code   int
	// prints are words of its result.
	prints []string
}

// airgappedCommands are the commands of docs/airgapped.md, word by word.
var airgappedCommands = map[string]documented{
	"deepgram-stack rehearse --stack airgapped --destroy": {
		before: func(_ *testing.T, d *documentRun) { d.dir = enginetest.Root() },
		prints: []string{"billing"},
	},
	"deepgram-ops journal retrieve --namespace deepgram --to ./journals": {
		prints: []string{"deepgram-billing-0", "deepgram-billing-1", "10000 lines"},
	},
	"deepgram-ops journal retrieve --namespace deepgram --to ./journals --scale-down": {
		prints: []string{"deepgram-billing-1", "billing was down for"},
	},
	"deepgram-ops journal verify journals/*.journal": {prints: []string{"good", "10000 lines"}},
	"deepgram-ops journal verify --previous monday.journal tuesday.journal": {
		before: twoDays, prints: []string{"good", "tuesday.journal"},
	},
	"deepgram-ops journal backup --namespace deepgram --target gs://acme-journals": {
		prints: []string{"gs://acme-journals/deepgram-billing-0/", "10000 lines"},
	},
	"deepgram-ops journal deliver journals/*.journal --by ana@acme.example --to support@deepgram.com --target gs://acme-journals": {
		prints: []string{"deepgram-billing-0", "deepgram-billing-1"},
	},
	"deepgram-ops journal deliver --confirmed --by 'Deepgram, ticket 4711' --target gs://acme-journals": {},
	"deepgram-ops journal prune --older-than-days 365 --dry-run --target gs://acme-journals":            {prints: []string{"keep"}},
	"deepgram-ops journal list --namespace deepgram --target gs://acme-journals": {
		prints: []string{"deepgram-billing-0", "dg-billing-journal", "10000"},
	},
	"deepgram-ops journal restore --pod deepgram-billing-0 --claim drill --drill --namespace deepgram --target gs://acme-journals": {
		prints: []string{"deepgram-billing-0"},
	},
	"deepgram-ops journal check --namespace deepgram --target gs://acme-journals": {prints: []string{"yes", "billing runs"}},
}

// twoDays are copies of two days: the older is the beginning of the newer.
func twoDays(t *testing.T, d *documentRun) {
	t.Helper()
	copies, err := filepath.Glob(filepath.Join(d.dir, "journals", "deepgram-billing-0-*.journal"))
	require.NoError(t, err)
	require.NotEmpty(t, copies)
	whole, err := os.ReadFile(copies[0])
	require.NoError(t, err)
	half := bytes.LastIndexByte(whole[:len(whole)/2], '\n') + 1
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "monday.journal"), whole[:half], 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "tuesday.journal"), whole, 0o600))
}

// documentRun is where a document's commands are run.
type documentRun struct {
	dir string
	env []string
}

// TestAirgappedDocument runs every command of docs/airgapped.md with its words, in
// its order, on a real Kubernetes with the objects of the component Billing. A
// command that is new or has changed fails here until it is known above.
func TestAirgappedDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(enginetest.Root(), "docs", "airgapped.md"))
	require.NoError(t, err)
	var all []string
	for _, b := range blocks(string(text)) {
		for _, command := range b.commands {
			_, known := airgappedCommands[command]
			require.True(t, known || b.cloud, "docs/airgapped.md:%d: %q is run by no test; tell what it must do in airgappedCommands, or mark the block with %s",
				b.line, command, needsCloud)
			if !b.cloud {
				all = append(all, command)
			}
		}
	}
	for command := range airgappedCommands {
		require.Contains(t, all, command, "a test of a command that the document does not have")
	}
	// What the text mentions in passing must be part of a command that was run.
	for _, mention := range regexp.MustCompile("`(deepgram-(?:ops|stack) [a-z][^`]*)`").FindAllStringSubmatch(string(text), -1) {
		words := strings.Join(strings.Fields(mention[1]), " ")
		assert.True(t, slices.ContainsFunc(all, func(command string) bool { return strings.HasPrefix(command, words) }) ||
			slices.Contains(mentioned, words), "%q is mentioned and is part of no command that is run", words)
	}

	d := airgappedSite(t)
	for _, command := range all {
		known := airgappedCommands[command]
		run := *d
		if known.before != nil {
			known.before(t, &run)
		}
		shell := exec.CommandContext(t.Context(), "sh", "-c", command)
		shell.Dir, shell.Env = run.dir, run.env
		var out, errs bytes.Buffer
		shell.Stdout, shell.Stderr = &out, &errs
		_ = shell.Run() // the code is looked at
		require.Equal(t, known.code, shell.ProcessState.ExitCode(), "%s\n%s\n%s", command, &out, &errs)
		for _, words := range known.prints {
			assert.Contains(t, out.String(), words, "%s\n%s", command, &errs)
		}
	}
}

// mentioned are the commands that the text names without running them there; other
// tests run them.
var mentioned = []string{
	"deepgram-ops journal", // the group
	"deepgram-ops journal backup",
}

// airgappedSite is an installation in the namespace deepgram: billing with two
// replicas, the component's objects, a bucket, and the programs on the path.
func airgappedSite(t *testing.T) *documentRun {
	t.Helper()
	n := node(t)
	b := &backup{Node: n, namespace: "deepgram"}
	_, err := n.Client().CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = n.Client().CoreV1().Namespaces().Delete(context.Background(), b.namespace, metav1.DeleteOptions{})
	})
	b.Eventually(t, "the namespace", func(ctx context.Context) (bool, error) {
		_, err := n.Client().CoreV1().ServiceAccounts(b.namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	b.arguments()
	// Billing has stopped writing, so that what is delivered is what is backed up.
	b.limit = 10000
	b.args.Billing.Backup.Schedule = "0 2 * * *"
	b.args.Project, b.args.NamePrefix = "acme-speech", "prod"
	b.args.Billing.Backup.Target, b.args.Billing.Backup.Bucket, b.args.Billing.Backup.Location = "gcs", "acme-journals", "us-central1"
	b.install(t)

	var handler http.Handler
	address, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, ExternalURL: address})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	handler = server.HTTPHandler()
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "acme-journals"})

	bin := t.TempDir()
	for _, name := range []string{"deepgram-ops", "deepgram-stack"} {
		build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", bin, "./cmd/"+name)
		build.Dir, build.Env = enginetest.Root(), append(os.Environ(), "CGO_ENABLED=0")
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	require.NoError(t, os.Symlink("deepgram-ops", filepath.Join(bin, "deepgram-postrender")))
	return &documentRun{dir: t.TempDir(), env: append(os.Environ(),
		"PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+n.KubeconfigFile(), "STORAGE_EMULATOR_HOST="+address,
		"PULUMI="+enginetest.Pulumi(t), "DEEPGRAM_POLICY_PACK="+enginetest.PolicyPack(t))}
}
