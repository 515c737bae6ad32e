package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// only is the only set of a configuration with changes.
func only(t *testing.T, changes ...string) config.NamedModelSet {
	t.Helper()
	c, err := config.FromTree("dev", changed(t, changes...))
	require.NoError(t, err)
	sets := c.Models.ModelSets()
	require.Len(t, sets, 1)
	require.True(t, sets[0].Active)
	return sets[0]
}

func TestDiskAndChartNames(t *testing.T) {
	t.Parallel()
	plain := only(t)
	assert.Equal(t, "dev-deepgram-model-storage", plain.Disk.Name)
	assert.Equal(t, "dg-models", plain.ChartNamePrefix)

	one := only(t, `models.files=[{url: "https://m.example.com/a.dg?sig=1"}]`)
	assert.Regexp(t, `^dev-deepgram-model-storage-[0-9a-f]{8}$`, one.Disk.Name)
	assert.Regexp(t, `^dg-models-[0-9a-f]{8}$`, one.ChartNamePrefix)
	assert.Equal(t, one.Disk.Name[len(one.Disk.Name)-8:], one.ChartNamePrefix[len(one.ChartNamePrefix)-8:])
	again := only(t, `models.files=[{url: "https://m.example.com/a.dg?sig=2"}]`)
	assert.Equal(t, one.Disk, again.Disk, "a link signed again is the same file")
	for _, other := range []string{
		`[{url: "https://m.example.com/b.dg"}]`, `[{url: "https://m.example.com/a.dg", name: c.dg}]`,
		`[{url: "https://m.example.com/a.dg", sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}]`,
	} {
		set := only(t, "models.files="+other)
		assert.NotEqual(t, one.Disk.Name, set.Disk.Name, other)
		assert.NotEqual(t, one.ChartNamePrefix, set.ChartNamePrefix, other)
	}

	named := only(t, `models={disk: {name: mine}, files: [{url: "https://m.example.com/a.dg"}]}`)
	assert.Equal(t, "mine", named.Disk.Name)
	assert.NotEqual(t, "dg-models", named.ChartNamePrefix)
	existing, another := only(t, "models.disk.existing=old"), only(t, "models.disk.existing=older")
	assert.Empty(t, existing.Disk.Name)
	assert.NotEqual(t, existing.ChartNamePrefix, another.ChartNamePrefix, "the chart's volume cannot change its disk")
	adopted := only(t, "models.disk.existing=dev-deepgram-model-storage")
	assert.Equal(t, "dg-models", adopted.ChartNamePrefix)
}

func TestLongPrefixLeavesRoomForTheHash(t *testing.T) {
	t.Parallel()
	set := only(t, "environment.namePrefix=a23456789-123456789-123456789-1", "cluster.name=c",
		`models.files=[{url: "https://m.example.com/a.dg"}]`)
	assert.LessOrEqual(t, len(set.Disk.Name), 63)
}

func TestSetsInheritAndOverrideTheDisk(t *testing.T) {
	t.Parallel()
	c, err := config.FromTree("dev", changed(t, `models={disk: {sizeGb: 300}, active: b, sets: {a: {disk: {type: pd-balanced}, files: [{url: "gs://m/a.dg"}], retire: 2027-01-31}, b: {files: [{url: "gs://m/b.dg"}]}}}`))
	require.NoError(t, err)
	sets := c.Models.ModelSets()
	require.Len(t, sets, 2)
	assert.Equal(t, []any{"a", false, 300, "pd-balanced", "2027-01-31"}, []any{sets[0].Name, sets[0].Active, sets[0].Disk.SizeGb, sets[0].Disk.Type, sets[0].Retire})
	assert.Equal(t, []any{"b", true, 300, "pd-ssd", ""}, []any{sets[1].Name, sets[1].Active, sets[1].Disk.SizeGb, sets[1].Disk.Type, sets[1].Retire})
	assert.NotEqual(t, sets[0].Disk.Name, sets[1].Disk.Name)
}
