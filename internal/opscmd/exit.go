package opscmd

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Exit codes of every command.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitDifferences = 4
	ExitInterrupted = 130
)

// UsageError is a command line or a configuration that cannot be used: exit 2.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error {
	return &UsageError{Err: fmt.Errorf(format, args...)}
}

// DifferencesError says that something differs where nothing may: exit 4.
type DifferencesError struct{ Err error }

func (e *DifferencesError) Error() string { return e.Err.Error() }
func (e *DifferencesError) Unwrap() error { return e.Err }

// exitCode turns what a command returned into the process's exit code and
// tells the person why on w.
func exitCode(ctx context.Context, err error, w io.Writer) int {
	if err == nil {
		return ExitDone
	}
	// A command that was told to stop reports whatever broke first; the
	// person pressed Ctrl-C and wants to hear just that.
	if ctx.Err() != nil {
		fmt.Fprintln(w, "interrupted: nothing half-written is left in use; run the same command again to go on")
		return ExitInterrupted
	}
	fmt.Fprintf(w, "error: %v\n", err)
	var usage *UsageError
	var differs *DifferencesError
	switch {
	case errors.As(err, &usage):
		return ExitUsage
	case errors.As(err, &differs):
		return ExitDifferences
	}
	return ExitFailed
}
