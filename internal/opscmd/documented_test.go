package opscmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/certs/certtest"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
)

// needsCloud stands before a block of commands that only a cloud can answer.
const needsCloud = "<!-- needs a cloud -->"

// commandsOf are the commands of a document's blocks; those that need a cloud apart.
func commandsOf(text string) (here, cloud []string) {
	marked, inside := false, false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			if inside = !inside; !inside {
				marked = false
			}
		case inside && marked && line != "":
			cloud = append(cloud, line)
		case inside && line != "":
			here = append(here, line)
		case line == needsCloud:
			marked = true
		}
	}
	return here, cloud
}

// TestDocumentedCommands runs the commands of the documents in a folder that has what
// their readers have: an environment, certificates, and a cloud, which is a stand-in.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	for document, least := range map[string]int{"preflight.md": 2, "certificates.md": 4} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join(enginetest.Root(), "docs", document))
			require.NoError(t, err)
			here, cloud := commandsOf(string(text))
			assert.GreaterOrEqual(t, len(here), least)
			assert.NotEmpty(t, cloud)
			s := newSite(t)
			s.write(t, "new-bundle.pem", certtest.Bundle(s.pki.Host, s.pki.Intermediate))
			s.write(t, "new-key.pem", s.pki.Host.KeyPEM(t))
			address, _ := certtest.Serve(t, s.pki.Host, s.pki.Intermediate)
			for _, command := range here {
				words := strings.Fields(strings.ReplaceAll(command, "127.0.0.1:8443", address))
				require.Equal(t, "deepgram-ops", words[0], "%s: mark what is not run here with %s", command, needsCloud)
				cmd := program(t, []string{"DEEPGRAM_GOOGLE_ENDPOINT=" + s.endpoint, "SSL_CERT_FILE=" + s.path("ca.pem")}, words[1:]...)
				cmd.Dir = s.dir
				out, err := cmd.CombinedOutput()
				assert.NoError(t, err, "%s\n%s", command, out)
				assert.Regexp(t, `(?m)^PASS|^  OK  |"status": "PASS"`, string(out), command)
			}
			// What needs a cloud is at least there, with its flags.
			for _, command := range cloud {
				words := strings.Fields(command)
				if words[0] != "deepgram-ops" {
					continue
				}
				c, rest, err := New(System()).Find(words[1:])
				require.NoError(t, err, command)
				assert.NoError(t, c.ParseFlags(rest), command)
				assert.NotNil(t, c.Flags().Lookup("output"), command)
			}
		})
	}
}

func TestCommandsOf(t *testing.T) {
	t.Parallel()
	here, cloud := commandsOf("a\n```sh\none\n```\n" + needsCloud + "\n   ```sh\n   two\n\n   three\n   ```\n```\nfour\n```\n")
	assert.Equal(t, []string{"one", "four"}, here)
	assert.Equal(t, []string{"two", "three"}, cloud)
}

// TestEndpointOfTheProcess: the stand-in may be named by the process's environment.
func TestEndpointOfTheProcess(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cmd := program(t, []string{"DEEPGRAM_GOOGLE_ENDPOINT=" + s.endpoint}, "preflight", "--stack", "prod-omi", "--only", "project,credentials")
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "PASS  project      acme-prod (123456789) is active")
	assert.Contains(t, string(out), "SKIP  credentials  none are used: "+s.endpoint+" is asked instead of Google Cloud")
}
