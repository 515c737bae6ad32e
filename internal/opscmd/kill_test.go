package opscmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kills is how often a test kills the program: a handful, or 100 times with
// SOAK=1.
func kills() int {
	if os.Getenv("SOAK") == "1" {
		return 100
	}
	return 5
}

// killed runs the program and kills it after d, as a power cut does. It says
// whether the program was still running.
func killed(t *testing.T, d time.Duration, env []string, args ...string) bool {
	t.Helper()
	cmd := program(t, env, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	timer := time.AfterFunc(d, func() { cmd.Process.Kill() }) //nolint:errcheck // it may be gone
	err := cmd.Wait()
	timer.Stop()
	if err == nil {
		return false
	}
	require.Contains(t, err.Error(), "signal: killed", "%s", &out)
	return true
}

func TestAMirrorKilledAtAnyPointIsContinued(t *testing.T) {
	t.Parallel()
	const release = "release-250331"
	src := newRegistry(t, "", slowly(2*time.Millisecond))
	want := map[string]string{}
	for i, c := range []string{"api", "engine", "license-proxy"} {
		ref := fmt.Sprintf("/self-hosted-%s:%s", c, release)
		want[ref] = pushImage(t, src+"/deepgram"+ref, byte(10*(i+1)), 600_000, 900_000, 10_000).String()
	}
	hit := 0
	for i := range kills() {
		dst := newRegistry(t, "")
		args := []string{"images", "mirror", "--release", release, "--from", src + "/deepgram", "--to", dst + "/m"}
		// Several times the same target, at another point each time.
		for range 2 {
			if killed(t, time.Duration(30+rand.IntN(250))*time.Millisecond, nil, args...) {
				hit++
			}
			// A tag that is there stands for the whole image.
			for ref := range want {
				if cmd := program(t, nil, "images", "verify", "--blobs", "--image", src+"/deepgram"+ref+"="+dst+"/m"+ref, "--output", "json"); i == 0 {
					out, _ := cmd.Output()
					assert.NotContains(t, string(out), `"broken"`)
				}
			}
		}
		out, err := program(t, nil, args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		for ref, digest := range want {
			require.Equal(t, digest, pullWhole(t, dst+"/m"+ref).String())
		}
	}
	require.Positive(t, hit, "the program was killed while it worked")
}

func TestALoadKilledAtAnyPointIsContinued(t *testing.T) {
	t.Parallel()
	killLoads(t, kills(), func(t *testing.T) string { return t.TempDir() })
}

// killLoads kills loads onto disks and checks that every file is whole or
// absent, and that a second run finishes.
func killLoads(t *testing.T, times int, disk func(*testing.T) string) {
	t.Helper()
	content := map[string][]byte{"a.dg": noise(1, 1_500_000), "b.dg": noise(2, 700_000), "c.dg": noise(3, 900_000)}
	url := files(t, content, slowly(2*time.Millisecond))
	var list []map[string]any
	for name, b := range content {
		// One of them without a digest.
		s := map[string]any{"url": url + "/" + name + "?X-Goog-Signature=canary-kill"}
		if name != "b.dg" {
			s["sha256"] = sum(b)
		}
		list = append(list, s)
	}
	b, err := json.Marshal(list)
	require.NoError(t, err)
	sources := filepath.Join(t.TempDir(), "sources.json")
	require.NoError(t, os.WriteFile(sources, b, 0o600))
	hit := 0
	for range times {
		dir := disk(t)
		args := []string{"models", "load", "--dir", dir, "--sources", sources, "--parallel", "2"}
		for range 2 {
			if killed(t, time.Duration(20+rand.IntN(200))*time.Millisecond, nil, args...) {
				hit++
			}
			for name, want := range content {
				got, err := os.ReadFile(filepath.Join(dir, name))
				if os.IsNotExist(err) {
					continue
				}
				require.NoError(t, err)
				require.Equal(t, sum(want), sum(got), "%s is whole or absent", name)
			}
		}
		out, err := program(t, nil, args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NotContains(t, string(out), "canary")
		for name, want := range content {
			got, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			require.Equal(t, sum(want), sum(got))
		}
		left, err := os.ReadDir(filepath.Join(dir, ".deepgram-ops", "partial"))
		require.NoError(t, err)
		require.Empty(t, left)
		out, err = program(t, nil, "models", "verify", "--dir", dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	require.Positive(t, hit, "the program was killed while it worked")
}

func TestInterruptEndsWith130(t *testing.T) {
	t.Parallel()
	content := map[string][]byte{"a.dg": noise(1, 3_000_000)}
	url := files(t, content, slowly(20*time.Millisecond))
	dir := t.TempDir()
	cmd := program(t, nil, "models", "load", "--dir", dir, "--sources", "-")
	cmd.Stdin = strings.NewReader(`[{"url": "` + url + `/a.dg?X-Goog-Signature=canary"}]`)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		st, err := os.Stat(filepath.Join(dir, ".deepgram-ops", "partial", "a.dg"))
		return err == nil && st.Size() > 0
	}, 20*time.Second, time.Millisecond)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	err := cmd.Wait()
	require.Error(t, err)
	assert.Equal(t, ExitInterrupted, cmd.ProcessState.ExitCode(), "%s", &out)
	assert.Contains(t, out.String(), "interrupted")
	assert.NoFileExists(t, filepath.Join(dir, "a.dg"))
}

func TestNoSecretIsSeenFromOutside(t *testing.T) {
	t.Parallel()
	src := newRegistry(t, "", slowly(30*time.Millisecond))
	dst := newRegistry(t, "")
	pushImage(t, src+"/deepgram/self-hosted-api:r1", 1, 300_000)
	cmd := program(t, []string{"DEEPGRAM_DIST_USERNAME=deepgram+acme", "DEEPGRAM_DIST_PASSWORD=canary-password-1", "DEEPGRAM_TARGET_USERNAME=w", "DEEPGRAM_TARGET_PASSWORD=canary-password-2"},
		"images", "mirror", "--image", src+"/deepgram/self-hosted-api:r1="+dst+"/api:r1", "--from", src+"/deepgram", "--progress", "1ms")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	require.NoError(t, cmd.Start())
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), "%s", &out)
	assert.NotContains(t, string(line), "canary")
	assert.NotContains(t, out.String(), "canary")
	assert.Contains(t, out.String(), "progress: ")
}
