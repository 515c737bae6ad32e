package commands

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/adoption"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
)

func TestAdoptUsage(t *testing.T) {
	t.Parallel()
	taken := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(taken, adoption.ClusterFile), []byte("mine"), 0o600))
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "--stack is missing"},
		{[]string{"--stack", "nowhere"}, `for the environment "nowhere"`},
		{[]string{"--stack", "dev", "--id", "models-disk"}, `--id "models-disk" has no id; write it as NAME=ID`},
		{[]string{"--stack", "dev", "--set", "gcp"}, `--set "gcp" has no =`},
		{[]string{"--stack", "dev", "--dir", taken}, "has a file " + adoption.ClusterFile + " already"},
		{[]string{"--stack", "dev", "--output", "xml"}, "allowed: text, json"},
	} {
		code, stdout, stderr := run(t.Context(), append([]string{"adopt"}, c.args...)...)
		require.Equal(t, ExitUsage, code, "%s", stderr)
		require.Empty(t, stdout)
		require.Contains(t, stderr, c.want)
	}
	left, err := os.ReadDir(taken)
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing half done")
}

// TestAdopt plans for an environment that was made by hand.
func TestAdopt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "adopt")
	args := []string{
		"adopt", "--stack", "prod-omi", "--pulumi", enginetest.Pulumi(t),
		"--config", filepath.Join(enginetest.Root(), "Pulumi.prod-omi.yaml"),
		"--set", "ingress.certificate={existing: dg-omi-me-2026}", "--set", "ingress.address=10.128.0.50",
	}
	code, stdout, stderr := run(t.Context(), append(args, "--dir", dir)...)
	require.Zero(t, code, stderr)
	for _, want := range []string{
		"how prod-omi comes under the stack", "to be done first:", "in this order:",
		"pulumi import --stack prod-omi --file " + filepath.ToSlash(dir) + "/" + adoption.CloudFile, "the import files are in " + dir,
	} {
		require.Contains(t, stdout, want)
	}
	files := map[string]adoption.ImportFile{}
	for _, name := range []string{adoption.CloudFile, adoption.ClusterFile} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		var file adoption.ImportFile
		require.NoError(t, json.Unmarshal(text, &file))
		require.NotEmpty(t, file.Resources)
		files[name] = file
	}

	const disk = "models-disk"
	code, stdout, stderr = run(t.Context(), append(args, "--output", "json",
		"--id", disk+"=projects/based-hardware/zones/us-central1-a/disks/mine", "--skip", "registry-repository")...)
	require.Zero(t, code, stderr)
	var plan struct {
		adoption.Plan
		Files map[string]adoption.ImportFile `json:"files"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &plan), "the result alone is on stdout")
	ids := map[string]string{}
	for _, item := range plan.Imported {
		ids[item.Name] = item.ID
	}
	require.Equal(t, "projects/based-hardware/zones/us-central1-a/disks/mine", ids[disk])
	require.NotContains(t, ids, "registry-repository")
	require.Less(t, len(plan.Files[adoption.CloudFile].Resources), len(files[adoption.CloudFile].Resources))

	code, _, stderr = run(t.Context(), append(args, "--skip", "no-such-thing")...)
	require.Equal(t, ExitUsage, code)
	require.Contains(t, stderr, "no-such-thing")
}
