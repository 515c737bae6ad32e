// Command policy is the CrossGuard pack: it serves the rules of policy/rules to
// the Pulumi engine, which starts it.
package main

import (
	"fmt"
	"os"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"

	"github.com/deepgram-gke/deepgram-gke/policy/analyzer"
	"github.com/deepgram-gke/deepgram-gke/policy/rules"
)

// version is the project's version; a release build sets it.
var version = "0.1.0"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "policy pack:", err)
		os.Exit(1)
	}
}

func run() error {
	v, err := semver.ParseTolerant(version)
	if err != nil {
		return fmt.Errorf("version %q: %w", version, err)
	}
	return analyzer.Main(os.Stdout, func(stack analyzer.Stack) (policyx.PolicyPack, error) {
		get := func(key string) (string, bool) { text, ok := stack.Config[key]; return text, ok }
		return rules.New(rules.Options{Version: v, Config: rules.FromStack(get), DryRun: stack.DryRun, Settings: analyzer.Settings})
	})
}
