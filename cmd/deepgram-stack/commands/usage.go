package commands

import (
	"strings"

	"github.com/spf13/cobra"
)

// isCobraUsage tells cobra's own complaints, which have no type: unknown
// commands, and arguments where none are taken.
func isCobraUsage(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "unknown command ") || strings.HasPrefix(text, "required flag(s) ") ||
		strings.HasPrefix(text, "accepts ")
}

// noArgs refuses arguments with a word about flags, which is what people meant.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, only flags, and got %q; see `%s --help`", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// oneOf refuses a flag's value that is not among the allowed ones.
func oneOf(flag, value string, allowed ...string) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return usagef("--%s %q is not known; allowed: %s", flag, value, strings.Join(allowed, ", "))
}
