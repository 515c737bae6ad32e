package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/certs/certtest"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/hardware"
	"github.com/deepgram-gke/deepgram-gke/internal/opscmd"
)

// TestMain lets the test's program be the two programs of the documents, under
// their names.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "deepgram-ops":
		os.Exit(opscmd.Main(os.Args[1:], opscmd.System()))
	case "deepgram-stack":
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := Run(ctx, os.Args[1:], NewStreams(os.Stdout, os.Stderr))
		stop()
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// otherTests run the blocks of these documents.
var otherTests = map[string]string{
	"docs/airgapped.md":    "tests/kubernetes/workloads/docs_test.go",
	"docs/certificates.md": "internal/opscmd/documented_test.go",
	"docs/preflight.md":    "internal/opscmd/documented_test.go",
	"docs/smoke-test.md":   "internal/opscmd/smoke_docs_test.go",
}

// runByCI are commands that build or test the whole project: .ci/run runs them.
var runByCI = []string{"make build", "make test"}

// elsewhere are commands that cannot be run here, with the reason.
var elsewhere = map[string]string{
	"make help":           "TestDocumentedCommandsParse looks for the targets",
	"make verify":         "is all that .ci/run does, this test among it",
	"make update":         "changes the working tree",
	"make build LOWMEM=1": "builds from nothing; make bench-build measures it",
}

// site is a folder that has what a reader of the documents has at that point: the
// project's files, the programs in bin/, certificates, and no cloud.
func site(t *testing.T) (dir string, env []string) {
	t.Helper()
	pulumi, pack := enginetest.Pulumi(t), enginetest.PolicyPack(t)
	self, err := os.Executable()
	require.NoError(t, err)
	dir = t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	files, err := filepath.Glob(filepath.Join(enginetest.Root(), "Pulumi*.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		write(filepath.Base(file), string(text))
	}
	// The real Makefile, with programs that are built already.
	makefile, err := filepath.Abs(filepath.Join(enginetest.Root(), "Makefile"))
	require.NoError(t, err)
	write("Makefile", "include "+makefile+"\nstack ops policy-pack pulumi: ; @:\n")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
	for name, program := range map[string]string{
		"deepgram-stack": self, "deepgram-ops": self, "deepgram-policy": pack, "pulumi": pulumi,
	} {
		require.NoError(t, os.Symlink(program, filepath.Join(dir, "bin", name)))
	}
	pki := certtest.New(t, time.Now(), "dg.omi.me", "dg.dev.example.com")
	write("bundle.pem", certtest.Bundle(pki.Host, pki.Intermediate))
	write("key.pem", pki.Host.KeyPEM(t))
	write("ca.pem", pki.Root.PEM())
	write("prices.yaml", yamlBlock(t, "docs/pull-requests.md", "# prices.yaml"))
	// Nothing leaves this machine.
	return dir, append(os.Environ(),
		"PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"),
		"PULUMI="+pulumi, "DEEPGRAM_POLICY_PACK="+pack, "SSL_CERT_FILE="+filepath.Join(dir, "ca.pem"),
		"HTTPS_PROXY=http://127.0.0.1:9", "HTTP_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1,localhost",
		"HELM_CACHE_HOME="+filepath.Join(dir, "helm"))
}

// yamlBlock is the block of a document that begins with a line.
func yamlBlock(t *testing.T, file, first string) string {
	t.Helper()
	for _, b := range blocksOf(documents(t)[file]) {
		if b.language == "yaml" && strings.HasPrefix(b.lines[0], first) {
			return strings.Join(b.lines, "\n")
		}
	}
	require.Fail(t, "no such block", "%s: %s", file, first)
	return ""
}

// TestDocumentedCommandsRun runs the shell blocks of every document, word by word
// and in their order, in a folder like its reader's. What only a cloud can answer
// is marked in the document, with needsCloud.
func TestDocumentedCommandsRun(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil {
		enginetest.Missing(t, "sh")
	}
	all, ran, once := documents(t), 0, map[string]bool{}
	for _, file := range slices.Sorted(maps.Keys(all)) {
		text := all[file]
		if test := otherTests[file]; test != "" {
			source, err := os.ReadFile(filepath.Join(enginetest.Root(), test))
			require.NoError(t, err)
			lists(t, map[string]string{test: string(source)}, test, filepath.Base(file))
			continue
		}
		var commands []string
		for _, b := range blocksOf(text) {
			if b.shell() && !b.cloud {
				commands = append(commands, b.commands()...)
			}
		}
		commands = slices.DeleteFunc(commands, func(line string) bool {
			// A rehearsal depends on nothing that was done before.
			again := strings.HasPrefix(line, "make rehearse") && once[line]
			once[line] = true
			return again || slices.Contains(runByCI, line) || elsewhere[line] != ""
		})
		if len(commands) == 0 {
			continue
		}
		ran += len(commands)
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			dir, env := site(t)
			for _, line := range commands {
				shell := exec.CommandContext(t.Context(), sh, "-c", line)
				shell.Dir, shell.Env = dir, env
				var out, errs bytes.Buffer
				shell.Stdout, shell.Stderr = &out, &errs
				if err := shell.Run(); !assert.NoError(t, err, "%s: %s\n%s\n%s\nmark the block with %s if it needs one", file, line, &out, &errs, needsCloud) {
					return
				}
				if strings.Contains(line, "deepgram-") && !strings.Contains(line, ">") {
					assert.NotEmpty(t, out.String(), line)
				}
				assert.NotContains(t, out.String()+errs.String(), "PRIVATE KEY", line)
			}
		})
	}
	assert.Greater(t, ran, 20)
	ci, err := os.ReadFile(filepath.Join(enginetest.Root(), ".ci", "run"))
	require.NoError(t, err)
	for _, line := range runByCI {
		assert.Contains(t, string(ci), line)
	}
}

// TestSizingFigures compares the tables of the document with the catalogue, the
// price table and a preview.
func TestSizingFigures(t *testing.T) {
	t.Parallel()
	text := documents(t)["docs/sizing.md"]
	rows := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "| "), " | ")
		if len(cells) != 7 || !strings.Contains(cells[1], "nvidia-") {
			continue
		}
		rows++
		m, err := hardware.ParseMachineType(cells[0])
		require.NoError(t, err)
		_, kind, _ := strings.Cut(cells[1], " × ")
		gpu, err := hardware.GPUFor(kind)
		require.NoError(t, err)
		_, left := m.Allocatable()
		assert.Equal(t, []string{
			fmt.Sprint(gpu.MemoryGiB), fmt.Sprint(m.VCPUs), fmt.Sprintf("%.0f", m.MemoryGiB()), fmt.Sprintf("%.1f", float64(left)/1024),
		}, cells[2:6], cells[0])
	}
	assert.GreaterOrEqual(t, rows, 6)

	code, out, errs := run(t.Context(), engineArgs(t, "preview", "--rehearse", "--offline", "--output", "json")...)
	require.Zero(t, code, errs)
	var plan struct {
		Capacity struct {
			New struct {
				Items []struct {
					Name     string
					Min, Max float64
				}
				MonthlyMin, MonthlyMax float64
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &plan))
	figures := plan.Capacity.New
	require.GreaterOrEqual(t, len(figures.Items), 6)
	for _, item := range figures.Items {
		assert.Contains(t, text, "| "+dollars(item.Min, item.Max)+" |", item.Name)
	}
	assert.Contains(t, text, "| **"+dollars(figures.MonthlyMin, figures.MonthlyMax)+"** |")
}

// dollars is a span of whole dollars, with a comma at the thousands.
func dollars(least, most float64) string {
	whole := func(v float64) string {
		s := fmt.Sprintf("%.0f", v)
		if len(s) > 3 {
			s = s[:len(s)-3] + "," + s[len(s)-3:]
		}
		return s
	}
	if whole(least) == whole(most) {
		return whole(least)
	}
	return whole(least) + "–" + whole(most)
}
