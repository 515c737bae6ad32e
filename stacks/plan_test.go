package stacks

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

func TestJudgePlan(t *testing.T) {
	t.Parallel()
	const volume = "urn:pulumi:prod::deepgram-stack::deepgram:index:ModelVolume::models"
	disk := report.Resource{
		URN: "urn:pulumi:prod::deepgram-stack::deepgram:index:ModelVolume$gcp:compute/disk:Disk::models-disk", Type: "gcp:compute/disk:Disk",
		Name: "models-disk", Parent: volume, Op: "replace", Replaces: []string{"zone"},
		Old: map[string]any{"size": 200.0}, New: map[string]any{"size": 200.0},
	}
	cfg := DefaultConfig()
	cfg.Environment.Production = true

	found := JudgePlan(cfg, []report.Resource{disk})
	require.Len(t, found, 1)
	require.Equal(t, "mandatory", found[0].Level)
	require.Equal(t, disk.URN, found[0].URN)
	require.Contains(t, found[0].Message, "zone")

	smaller := disk
	smaller.Op, smaller.New = "update", map[string]any{"size": 100.0}
	found = JudgePlan(cfg, []report.Resource{smaller})
	require.Len(t, found, 1)
	require.Equal(t, "disk-never-shrinks", found[0].Policy)

	acknowledged := DefaultConfig()
	acknowledged.Environment.Production = true
	acknowledged.Policy.Exemptions = []config.Exemption{{
		Policy: "stateful-is-kept", URN: disk.URN, Reason: "moved to another zone", Owner: "speech", Expires: "2999-01-01",
	}}
	require.Empty(t, JudgePlan(acknowledged, []report.Resource{disk}))

	gone := disk
	gone.Op, gone.New = "delete", nil
	require.Len(t, JudgePlan(cfg, []report.Resource{gone}), 1)
	retired := report.Resource{URN: volume, Type: "deepgram:index:ModelVolume", Op: "delete", Old: map[string]any{"retired": true}}
	require.Empty(t, JudgePlan(cfg, []report.Resource{gone, retired}), "its day has come")
}
