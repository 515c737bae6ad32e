package journal

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest/journalfile"
)

// asStore makes the test binary one backup: a process of its own that tests
// kill. Its arguments are target, pod and file.
const asStore = "JOURNAL_TEST_STORE"

func TestMain(m *testing.M) {
	if os.Getenv(asStore) != "" {
		os.Exit(storeProcess())
	}
	os.Exit(m.Run())
}

func storeProcess() int {
	ctx := context.Background()
	t, err := OpenTarget(ctx, os.Args[1])
	if err == nil {
		fmt.Println("ready")
		_, err = Store(ctx, t, os.Args[2], os.Args[3], BackupOptions{FirstWait: time.Millisecond})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func storeCommand(t testing.TB, target, pod, file string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, target, pod, file)
	cmd.Env = append(append(os.Environ(), asStore+"=1"), env...)
	return cmd
}

const pod0 = "deepgram-billing-0"

// content is n lines of a journal, from line first on.
func content(first, n int) []byte {
	var b bytes.Buffer
	for i := range n {
		b.Write(journalfile.Line(pod0, first+i, 60))
	}
	return b.Bytes()
}

func write(t testing.TB, path string, parts ...[]byte) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, bytes.Join(parts, nil), 0o600))
	return path
}

func add(t testing.TB, path string, part []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.Write(part)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// soak is n normally and many with SOAK=1.
func soak(n, many int) int {
	if s := os.Getenv("SOAK"); s != "" && s != "0" {
		if k, err := strconv.Atoi(s); err == nil && k > 1 {
			return k
		}
		return many
	}
	return n
}

// folders counts the files of a folder, hidden ones too.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, p)
			names = append(names, rel)
		}
		return err
	}))
	return names
}
