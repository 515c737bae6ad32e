// Package policy_test runs the compiled policy pack: over the analyzer protocol,
// in the real engine with stacks that use none of this project's components, and
// against the same rules written for Pulumi's Node policy SDK.
package policy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// pack is the compiled pack.
var pack string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "deepgram-policy")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	pack = filepath.Join(dir, "deepgram-policy")
	build := exec.Command("go", "build", "-o", pack, "../../policy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the pack:", err)
		return 1
	}
	return m.Run()
}
