package engine

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/blang/semver"
)

// Patience is how long a cancelled command has to end where nobody said
// otherwise, and how long one that was told twice has before it is killed.
const Patience = 10 * time.Second

// Command is a Pulumi CLI in a process group of its own: what is typed at a
// terminal does not reach it, only what is asked of it here. It never changes
// which stack a person has selected. It is an auto.PulumiCommand.
type Command struct {
	file    string
	version semver.Version
}

// Version is the CLI's version.
func (c *Command) Version() semver.Version { return c.version }

// Run runs the CLI without asking anybody anything. When ctx ends, the CLI is
// interrupted, ends what it has begun and unlocks the stack; see WithStop for how
// much time it has.
func (c *Command) Run(
	ctx context.Context, workdir string, stdin io.Reader, out, errOut []io.Writer, env []string, args ...string,
) (stdout, stderr string, code int, err error) {
	const unknown = -2
	if err := ctx.Err(); err != nil {
		return "", "", unknown, err
	}
	cmd := exec.Command(c.file, leaveSelection(withoutQuestions(args))...) //nolint:noctx // ended by end, gently
	cmd.Dir, cmd.Stdin = workdir, stdin
	cmd.Env = withPath(append(append(os.Environ(), env...), "PULUMI_AUTOMATION_API=true"), filepath.Dir(c.file))
	var outText, errText bytes.Buffer
	cmd.Stdout = io.MultiWriter(append(slices.Clone(out), &outText)...)
	cmd.Stderr = io.MultiWriter(append(slices.Clone(errOut), &errText)...)
	// A plugin that outlives the CLI may hold its pipes.
	cmd.WaitDelay = Patience
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return "", "", unknown, err
	}
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { end(ctx, cmd, done) })
	err = cmd.Wait()
	close(done)
	watching.Wait()
	return outText.String(), errText.String(), cmd.ProcessState.ExitCode(), err
}

// end interrupts the process when ctx ends, once more when it is to stop hard,
// and kills it when that does not help either.
func end(ctx context.Context, cmd *exec.Cmd, done <-chan struct{}) {
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	interrupt(cmd)
	hard, given := ctx.Value(stopKey{}).(<-chan struct{})
	if !given {
		late := time.NewTimer(Patience)
		defer late.Stop()
		select {
		case <-done:
		case <-late.C:
			kill(cmd)
		}
		return
	}
	select {
	case <-done:
		return
	case <-hard:
	}
	interrupt(cmd)
	late := time.NewTimer(Patience)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
		kill(cmd)
	}
}

type stopKey struct{}

// WithStop gives the commands that run under ctx all the time they need to end
// gracefully once ctx has ended, until hard is closed: then the engine abandons
// what it was waiting for. Without it they have Patience.
func WithStop(ctx context.Context, hard <-chan struct{}) context.Context {
	return context.WithValue(ctx, stopKey{}, hard)
}

// withoutQuestions lets the CLI fail rather than wait for an answer.
func withoutQuestions(args []string) []string {
	if slices.Contains(args, "--non-interactive") {
		return args
	}
	return append([]string{"--non-interactive"}, args...)
}

// leaveSelection makes of the two commands that select a stack ones that do not:
// the selection belongs to the person who works in the folder.
func leaveSelection(args []string) []string {
	i := slices.Index(args, "stack")
	if i < 0 || i+1 >= len(args) {
		return args
	}
	switch args[i+1] {
	case "select":
		return slices.Delete(slices.Clone(args), i+1, i+2)
	case "init":
		return append(slices.Clone(args), "--no-select")
	}
	return args
}

// withPath puts the CLI's folder first on PATH, where it looks for its plugins,
// and this program's own folder next, where the post-renderer of Helm lies.
func withPath(env []string, folder string) []string {
	folders := []string{folder}
	if self, err := os.Executable(); err == nil && filepath.Dir(self) != folder {
		folders = append(folders, filepath.Dir(self))
	}
	for _, entry := range slices.Backward(env) {
		if name, value, _ := strings.Cut(entry, "="); strings.EqualFold(name, "PATH") {
			folders = append(folders, value)
			break
		}
	}
	return append(env, "PATH="+strings.Join(folders, string(os.PathListSeparator)))
}
