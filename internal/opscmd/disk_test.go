package opscmd

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// ext4 mounts an ext4 file system of mb megabytes, formatted as the guide
// formats the models disk (guide G-S.4), from an image file. It gives the mount
// point.
func ext4(t *testing.T, mb int64) string {
	t.Helper()
	missing := func(what string) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s, and CI=true allows no skipped test", what)
		}
		t.Skip(what)
	}
	if os.Getuid() != 0 {
		missing("mounting a file system needs root")
	}
	for _, tool := range []string{"mkfs.ext4", "losetup", "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(tool + " is not installed")
		}
	}
	image := filepath.Join(t.TempDir(), "disk.img")
	f, err := os.Create(image)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(mb<<20))
	require.NoError(t, f.Close())
	run := func(args ...string) string {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		require.NoError(t, err, "%q: %s", args, out)
		return strings.TrimSpace(string(out))
	}
	run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0,discard", image)
	out, err := exec.Command("losetup", "--find", "--show", image).CombinedOutput()
	if err != nil {
		missing("no loop device is to be had: " + strings.TrimSpace(string(out)))
	}
	loop := strings.TrimSpace(string(out))
	dir := t.TempDir()
	t.Cleanup(func() {
		exec.Command("umount", dir).Run()         //nolint:errcheck // it may not be mounted
		exec.Command("losetup", "-d", loop).Run() //nolint:errcheck // best effort
	})
	if out, err := exec.Command("mount", "-o", "discard,defaults", loop, dir).CombinedOutput(); err != nil {
		missing("the image cannot be mounted: " + strings.TrimSpace(string(out)))
	}
	return dir
}

func TestALoadOntoARealDiskKilledAtAnyPoint(t *testing.T) {
	t.Parallel()
	dir := ext4(t, 64)
	killLoads(t, kills(), func(t *testing.T) string {
		// A fresh folder each time would hide the disk's own lost+found.
		for _, name := range []string{"a.dg", "b.dg", "c.dg", ".deepgram-ops"} {
			require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
		}
		return dir
	})
	assert.DirExists(t, filepath.Join(dir, "lost+found"))
}

func TestARealDiskThatIsTooSmall(t *testing.T) {
	t.Parallel()
	dir := ext4(t, 16)
	url := files(t, map[string][]byte{"a.dg": noise(1, 12<<20), "b.dg": noise(2, 12<<20)})
	cmd := program(t, nil, "models", "load", "--dir", dir, "--sources", "-")
	cmd.Stdin = strings.NewReader(`[{"url": "` + url + `/a.dg"}, {"url": "` + url + `/b.dg"}]`)
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, ExitFailed, cmd.ProcessState.ExitCode())
	assert.Contains(t, string(out), "the disk is too small")
	assert.Contains(t, string(out), "nothing was downloaded")
	left, err := os.ReadDir(filepath.Join(dir, ".deepgram-ops", "partial"))
	require.NoError(t, err)
	for _, e := range left {
		st, err := e.Info()
		require.NoError(t, err)
		assert.Less(t, st.Size(), int64(4096), "only notes about the files, not files")
	}
}

func TestARealDiskThatFillsUpOnTheWay(t *testing.T) {
	t.Parallel()
	dir := ext4(t, 32)
	content := noise(1, 14<<20)
	// The server does not tell the size, so only the disk can say no.
	url := files(t, map[string][]byte{"a.dg": content}, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			w.Write(content) //nolint:errcheck // the client leaves when its disk is full
		})
	})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ballast"), noise(9, 16<<20), 0o600))
	list := `[{"url": "` + url + `/a.dg?X-Goog-Signature=canary", "sha256": "` + sum(content) + `"}]`
	cmd := program(t, nil, "models", "load", "--dir", dir, "--sources", "-")
	cmd.Stdin = strings.NewReader(list)
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Equal(t, ExitFailed, cmd.ProcessState.ExitCode())
	assert.Contains(t, string(out), "model a.dg: the disk is full: enlarge models.disk.sizeGb")
	assert.NotContains(t, string(out), "canary")
	assert.NoFileExists(t, filepath.Join(dir, "a.dg"))

	require.NoError(t, os.Remove(filepath.Join(dir, "ballast")))
	cmd = program(t, nil, "models", "load", "--dir", dir, "--sources", "-")
	cmd.Stdin = strings.NewReader(list)
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	got, err := os.ReadFile(filepath.Join(dir, "a.dg"))
	require.NoError(t, err)
	assert.Equal(t, sum(content), sum(got))
}

func TestAReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir := ext4(t, 16)
	require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	cmd := program(t, nil, "models", "load", "--dir", dir, "--sources", "-")
	cmd.Stdin = strings.NewReader(`[]`)
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "the disk is mounted read-only: load before any engine mounts it")
}

func TestAnExportOntoAFullDisk(t *testing.T) {
	t.Parallel()
	dir := ext4(t, 16)
	src := newRegistry(t, "")
	pushImage(t, src+"/deepgram/self-hosted-api:r1", 1, 12<<20, 8<<20)
	cmd := program(t, nil, "images", "export", "--image", src+"/deepgram/self-hosted-api:r1", "--dir", filepath.Join(dir, "usb"))
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "its disk is full: free or enlarge it, then run again")
	left, err := filepath.Glob(filepath.Join(dir, "usb", "blobs", "sha256", ".partial-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestCommandsRunWithinTheirContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	var out, errs strings.Builder
	code := Run(ctx, []string{"models", "load", "--dir", t.TempDir(), "--sources", "-"}, Streams{In: strings.NewReader(`[{"url": "https://h/a.dg"}]`), Out: &out, Err: &errs, LookupEnv: os.LookupEnv})
	assert.Equal(t, ExitInterrupted, code)
}
