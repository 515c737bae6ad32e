// Command policy is the CrossGuard pack: it serves the rules of policy/rules to
// the Pulumi engine, which starts it.
package main

import (
	"fmt"
	"os"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"

	"github.com/deepgram-gke/deepgram-gke/policy/rules"
)

// version is the project's version; a release build sets it.
var version = "0.1.0"

func main() {
	// Nothing may be written to stdout before this: the engine reads the port there.
	err := policyx.Main(func(ctx *pulumi.Context) (policyx.PolicyPack, error) {
		return rules.FromContext(ctx, semver.MustParse(version))
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "policy pack:", err)
		os.Exit(1)
	}
}
