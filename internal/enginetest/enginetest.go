// Package enginetest is what tests need that run the real Pulumi engine: where
// its CLI and the compiled policy pack are, and a plain word when they are not
// there. On CI a missing one fails the test instead of skipping it.
package enginetest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Root is the project's folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Pulumi is the path of the Pulumi CLI: $PULUMI, else bin/pulumi.
func Pulumi(t testing.TB) string {
	t.Helper()
	return find(t, "PULUMI", "pulumi", "make pulumi")
}

// PolicyPack is the path of the compiled pack: $DEEPGRAM_POLICY_PACK, else
// bin/deepgram-policy.
func PolicyPack(t testing.TB) string {
	t.Helper()
	return find(t, "DEEPGRAM_POLICY_PACK", "deepgram-policy", "make build")
}

// Ops is the path of deepgram-ops: $DEEPGRAM_OPS, else bin/deepgram-ops.
func Ops(t testing.TB) string {
	t.Helper()
	return find(t, "DEEPGRAM_OPS", "deepgram-ops", "make build")
}

func find(t testing.TB, variable, name, remedy string) string {
	t.Helper()
	for _, path := range []string{os.Getenv(variable), filepath.Join(Root(), "bin", name)} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	Missing(t, "bin/"+name+" (or the variable "+variable+"); run `"+remedy+"`")
	return ""
}

// Missing skips a test that cannot run here, and says what it lacks. On CI, where
// everything is installed, that is a failure.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("on CI this must not be missing: %s", what)
	}
	t.Skipf("needs %s", what)
}
