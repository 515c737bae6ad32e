package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// body is an environment as a client sends it, with made-up secrets.
func body(t *testing.T, cfg *config.Config) string {
	t.Helper()
	tree, err := cfg.Tree(nil)
	require.NoError(t, err)
	text, err := yaml.Marshal(map[string]any{"config": map[string]any(tree)})
	require.NoError(t, err)
	return string(text)
}

func post(t *testing.T, url, body string) (int, answer) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var a answer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		require.ErrorIs(t, err, io.EOF)
	}
	return response.StatusCode, a
}

// listen follows the events of an environment.
func listen(t *testing.T, url string) <-chan stacks.Event {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	events := make(chan stacks.Event, 4096)
	go func() {
		defer close(events)
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if data, found := strings.CutPrefix(lines.Text(), "data: "); found {
				var e stacks.Event
				if json.Unmarshal([]byte(data), &e) == nil {
					events <- e
				}
			}
		}
	}()
	return events
}

// until takes events up to the end of an operation.
func until(events <-chan stacks.Event, operation string) (all []stacks.Event) {
	for e := range events {
		all = append(all, e)
		if e.Kind == stacks.EventEnded && e.Operation == operation {
			break
		}
	}
	return all
}

func TestTheServiceOverHTTP(t *testing.T) {
	t.Parallel()
	tree, err := config.LoadTree(filepath.Join(enginetest.Root(), "Pulumi.dev.yaml"))
	require.NoError(t, err)
	cfg, err := rehearsal.FilledConfig("dev", tree, enginetest.Root())
	require.NoError(t, err)
	cloud, err := rehearsal.NewCloud(cfg)
	require.NoError(t, err)
	servers, err := cloud.Serve(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = servers.Close() })
	server := httptest.NewServer(newService(stacks.Options{
		Backend: "file://" + t.TempDir(), Home: t.TempDir(), Passphrase: stacks.NewSecret("a-passphrase"),
		Pulumi: enginetest.Pulumi(t), PolicyPack: enginetest.PolicyPack(t), Providers: servers.Attach(),
	}).handler())
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	dev := server.URL + "/environments/dev"

	code, a := post(t, dev+"/preview", "config: {gcp:zone: nowhere}")
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, a.Error, "gcp:zone")

	code, a = post(t, dev+"/preview", body(t, cfg))
	require.Equal(t, http.StatusOK, code, a.Error)
	require.Positive(t, a.Changes["create"])

	small := cfg.Clone()
	small.Pools.Engine.MachineType = "g2-standard-4"
	code, a = post(t, dev+"/up", body(t, small))
	require.Equal(t, http.StatusUnprocessableEntity, code, a.Error)
	require.NotEmpty(t, a.Findings)

	// Cancelled in the middle of a create, and seen over the stream.
	events := listen(t, dev+"/events")
	cloud.Inject(standin.Fault{Type: "gcp:compute/disk:Disk", Method: "Create", Mode: standin.Hang, Func: func() {
		code, _ := post(t, dev+"/cancel", "")
		if code != http.StatusAccepted {
			t.Errorf("cancel answers %d", code)
		}
	}})
	code, a = post(t, dev+"/up", body(t, cfg))
	require.Equal(t, 499, code, a.Error)
	seen := until(events, "up")
	require.Equal(t, stacks.EventEnded, seen[len(seen)-1].Kind)
	require.NotEmpty(t, seen[len(seen)-1].Ended.Error)

	code, a = post(t, dev+"/up", body(t, cfg))
	require.Equal(t, http.StatusOK, code, a.Error)
	require.Equal(t, "https://dg.dev.example.com", a.Outputs["apiUrl"])
	require.Equal(t, "[secret]", a.Outputs["kubeconfig"])
	seen = append(seen, until(events, "up")...)
	require.Empty(t, seen[len(seen)-1].Ended.Error)
	text, err := json.Marshal(map[string]any{"answer": a, "events": seen})
	require.NoError(t, err)
	require.Equal(t, string(text), engine.Redactor(engine.Revealed(cfg))(string(text)), "no secret is told")
}
