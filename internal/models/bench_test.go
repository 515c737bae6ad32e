package models

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const benchSize = 512 << 20

// benchFile serves one file of benchSize from memory.
func benchFile(b *testing.B) string {
	b.Helper()
	content := string(noise(1, benchSize))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"bench"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	}))
	b.Cleanup(s.Close)
	return s.URL + "/m.dg"
}

// memoryDir is a folder in memory, so that the disk is not what is measured.
func memoryDir(b *testing.B) string {
	b.Helper()
	if _, err := os.Stat("/dev/shm"); err == nil {
		b.Setenv("TMPDIR", "/dev/shm")
	}
	return b.TempDir()
}

func BenchmarkLoad(b *testing.B) {
	b.Run("models load", func(b *testing.B) {
		url, dir := benchFile(b), memoryDir(b)
		b.SetBytes(benchSize)
		for b.Loop() {
			require.NoError(b, os.RemoveAll(filepath.Join(dir, stateDir)))
			require.NoError(b, os.RemoveAll(filepath.Join(dir, "m.dg")))
			_, err := Load(context.Background(), dir, []Source{{URL: NewLink(url)}}, Options{})
			require.NoError(b, err)
		}
	})
	for name, script := range map[string]string{
		"curl":            `curl -sSf -o "$0/m.dg" "$1"`,
		"curl, sha256sum": `curl -sSf -o "$0/m.dg" "$1" && sha256sum "$0/m.dg"`,
	} {
		b.Run(name, func(b *testing.B) {
			if _, err := exec.LookPath("curl"); err != nil {
				b.Skip("curl is not installed")
			}
			url, dir := benchFile(b), memoryDir(b)
			b.SetBytes(benchSize)
			for b.Loop() {
				require.NoError(b, os.RemoveAll(filepath.Join(dir, "m.dg")))
				out, err := exec.Command("sh", "-c", script, dir, url).CombinedOutput()
				require.NoError(b, err, "%s", out)
			}
		})
	}
}
