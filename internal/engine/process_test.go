package engine

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// script is a CLI that is a shell script.
func script(t *testing.T, text string) *Command {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a POSIX shell")
	}
	file := filepath.Join(t.TempDir(), "pulumi")
	require.NoError(t, os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	return &Command{file: file}
}

func TestCommandLeavesTheSelectionAlone(t *testing.T) {
	t.Parallel()
	c := script(t, `echo "$@"`)
	for given, want := range map[string]string{
		"stack select --stack dev":            "--non-interactive stack --stack dev",
		"stack init dev":                      "--non-interactive stack init dev --no-select",
		"--non-interactive stack export":      "--non-interactive stack export",
		"preview --stack dev --event-log pip": "--non-interactive preview --stack dev --event-log pip",
	} {
		stdout, _, code, err := c.Run(t.Context(), t.TempDir(), nil, nil, nil, nil, strings.Fields(given)...)
		require.NoError(t, err)
		require.Zero(t, code)
		require.Equal(t, want, strings.TrimSpace(stdout))
	}
}

func TestCommandFindsItsPluginsFirst(t *testing.T) {
	t.Parallel()
	c := script(t, `echo "$PATH"; echo said >&2; exit 7`)
	stdout, stderr, code, err := c.Run(t.Context(), t.TempDir(), nil, nil, nil, []string{"PATH=/theirs"})
	require.Error(t, err)
	require.Equal(t, 7, code)
	require.Equal(t, "said\n", stderr)
	self, err := os.Executable()
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Dir(c.file), filepath.Dir(self), "/theirs"}, filepath.SplitList(strings.TrimSpace(stdout)))
}

// watcher calls a function when a line is written.
type watcher map[string]func()

func (w watcher) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		if f := w[strings.TrimSpace(line)]; f != nil {
			f()
		}
	}
	return len(text), nil
}

func TestCommandIsInterruptedOnceAndOnceMore(t *testing.T) {
	t.Parallel()
	c := script(t, `n=0
trap 'n=$((n+1)); echo "interrupt $n"; [ $n -lt 2 ] || exit 3' INT
echo ready
while :; do sleep 0.05; done`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hard := make(chan struct{})
	stdout, _, code, err := c.Run(WithStop(ctx, hard), t.TempDir(), nil,
		[]io.Writer{watcher{"ready": cancel, "interrupt 1": func() { close(hard) }}}, nil, nil)
	require.Error(t, err)
	require.Equal(t, 3, code, "it ended by itself")
	require.Equal(t, "ready\ninterrupt 1\ninterrupt 2\n", stdout)

	_, _, _, err = c.Run(ctx, t.TempDir(), nil, nil, nil, nil)
	require.ErrorIs(t, err, context.Canceled, "nothing is begun after the end")
}

func TestRedactorHidesLinesAndTheLongerFirst(t *testing.T) {
	t.Parallel()
	key := "-----BEGIN KEY-----\nMHcCAQEEIBd0aGlzIGlzIGEgdGVzdA\nshort\n-----END KEY-----\n"
	redact := Redactor([]string{"canary", key, "canary-and-more"})
	require.Equal(t, "[secret]!", redact("canary-and-more!"))
	require.Equal(t, "found [secret], short", redact("found MHcCAQEEIBd0aGlzIGlzIGEgdGVzdA, short"))
	require.Equal(t, map[string]any{"a": []any{"[secret]", 1}, "b": nil},
		RedactAll(redact, map[string]any{"a": []any{"canary", 1}, "b": nil}))
}
