// Command samerules is a pack with the rules that tests/policy/node has, so that
// the comparison of the two compares the same work. Linked with -X main.only=NAME
// it has that one rule alone: what it adds to a preview then is what the engine
// needs for any pack.
package main

import (
	"fmt"
	"os"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"

	"github.com/deepgram-gke/deepgram-gke/policy/analyzer"
	"github.com/deepgram-gke/deepgram-gke/policy/rules"
)

var same = []string{
	"engine-gpu-is-present", "engine-gpu-has-memory", "engine-gpu-has-compute-capability", "engine-gpu-is-whole", "machine-type-is-known",
	"gpu-suits-machine", "engine-node-has-cores", "engine-node-has-memory", "api-node-has-cores", "api-node-has-memory",
	"license-proxy-node-has-cores", "license-proxy-node-has-memory", "engine-node-has-storage", "engine-node-is-x86", "node-image-is-linux",
	"engine-node-image-is-cos",
}

// only is set by the linker.
var only string

func main() {
	if only != "" {
		same = []string{only}
	}
	err := analyzer.Main(os.Stdout, func(stack analyzer.Stack) (policyx.PolicyPack, error) {
		return rules.New(rules.Options{Version: semver.MustParse("0.0.0"), DryRun: stack.DryRun, Only: same})
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
