package kubetest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
)

// The programs that `make kubernetes` puts into bin/: every component of
// Kubernetes and etcd, by the name that it is called by, and kwok, which pretends
// nodes.
const (
	componentsProgram = "kubernetes"
	kwokProgram       = "kwok"
)

// program is the path of one of the programs: in the folder $KUBETEST_BIN, else
// in bin/.
func program(name string) (string, error) {
	dir := os.Getenv("KUBETEST_BIN")
	if dir == "" {
		dir = filepath.Join(enginetest.Root(), "bin")
	}
	path := filepath.Join(dir, name)
	_, err := os.Stat(path)
	return path, err
}

// requirePrograms skips a test that lacks a program; on CI it fails.
func requirePrograms(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		enginetest.Missing(t, "Linux")
	}
	for _, name := range []string{componentsProgram, kwokProgram} {
		if _, err := program(name); err != nil {
			enginetest.Missing(t, "bin/"+name+" (or a folder in the variable KUBETEST_BIN); run `make kubernetes`")
		}
	}
}
