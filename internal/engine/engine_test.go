package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

func event(e apitype.EngineEvent) events.EngineEvent { return events.EngineEvent{EngineEvent: e} }

func TestWatchDoesNotHangOnAnOpenChannel(t *testing.T) {
	t.Parallel()
	var seen []int
	channel, done := Watch(func(e events.EngineEvent) { seen = append(seen, e.Sequence) })
	for i := range 3 {
		channel <- event(apitype.EngineEvent{Sequence: i})
	}
	done() // the channel was never closed, as when the CLI fails early
	require.Equal(t, []int{0, 1, 2}, seen)
}

func TestRedactorHidesEveryForm(t *testing.T) {
	t.Parallel()
	redact := Redactor([]string{"hunter2-\"quoted\"", "short"})
	require.Equal(t, "a [secret] b", redact(`a hunter2-"quoted" b`))
	require.Equal(t, "a [secret] b", redact(`a hunter2-\"quoted\" b`))
	require.Equal(t, "a [secret] b", redact(`a aHVudGVyMi0icXVvdGVkIg== b`))
	require.Equal(t, "short", redact("short"), "too short to be told from ordinary words")
}

func TestExplain(t *testing.T) {
	t.Parallel()
	cause := errors.New("exit status 255: canary-secret")
	same := func(s string) string { return s }

	failed := report.NewOperation("up", nil)
	failed.Handle(event(apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{
		Severity: "error", URN: "urn:pulumi:dev::p::deepgram:index:Registry$gcp:compute/disk:Disk::models", Message: "<{%fg 1%}>quota<{%reset%}> exceeded",
	}}))
	err := Explain(failed, same, cause, nil)
	require.EqualError(t, err, "up failed:\n  compute Disk models: quota exceeded")
	require.ErrorIs(t, err, cause, "what the Automation API said can still be found")
	require.NotContains(t, fmt.Sprintf("%v", err), "canary")

	refused := report.NewOperation("preview", nil)
	refused.Handle(event(apitype.EngineEvent{PolicyEvent: &apitype.PolicyEvent{
		PolicyName: "engine-memory", EnforcementLevel: "mandatory", Message: "16 GB found, 32 GB needed",
	}}))
	var policy *PolicyError
	require.ErrorAs(t, Explain(refused, same, cause, nil), &policy)
	require.EqualError(t, policy, "refused by 1 policy findings:\n  engine-memory: 16 GB found, 32 GB needed")

	require.ErrorIs(t, Explain(refused, same, cause, context.Canceled), context.Canceled)
	require.NoError(t, Explain(refused, same, nil, nil))
}

func TestFindSaysWhereItLooked(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv(PathVariable, "")
	_, err := Find(t.Context(), "")
	require.ErrorContains(t, err, "make build")

	_, err = Find(t.Context(), filepath.Join(t.TempDir(), "nowhere"))
	require.ErrorContains(t, err, "--pulumi")
}

func TestFindRefusesAnOldCommand(t *testing.T) {
	t.Parallel()
	old := filepath.Join(t.TempDir(), "old-pulumi")
	require.NoError(t, os.WriteFile(old, []byte("#!/bin/sh\necho v3.100.0\n"), 0o700))
	_, err := Find(t.Context(), old)
	require.ErrorContains(t, err, "3.255.0 or newer is needed")
}
