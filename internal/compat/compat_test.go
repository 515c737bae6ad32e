package compat_test

import (
	"testing"

	"github.com/blang/semver"
	"github.com/stretchr/testify/assert"

	"github.com/deepgram-gke/deepgram-gke/internal/compat"
)

func TestBadPairs(t *testing.T) {
	t.Parallel()
	for pair, bad := range map[[2]string]bool{
		{"0.40.1", "release-260610"}:      false,
		{"0.40.2", "release-260610"}:      true,
		{"0.41.0", "release-260610"}:      true,
		{"0.41.1", "release-260610"}:      false,
		{"0.40.2", "release-260611"}:      false,
		{"0.36.9", "release-260611"}:      true,
		{"0.37.0", "release-260611"}:      false,
		{"0.42.0", "release-260812-fips"}: true,
		{"0.43.0", "release-260812-fips"}: false,
		{"0.42.0", "release-250331"}:      false,
		{"0.40.2", "latest"}:              false,
	} {
		p, got := compat.Bad(semver.MustParse(pair[0]), pair[1])
		assert.Equal(t, bad, got, pair)
		assert.Equal(t, bad, p.Why != "" && p.Source != "" && p.Fix != "", pair)
	}
}

func TestDrivers(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{
		"release-250331": "550.163.01", "release-251028": "550.163.01", "release-251029": "570.172.08",
		"release-260914": "570.172.08", "release-260915": "580 with open kernel modules", "release-260915-fips": "580 with open kernel modules",
		"release-241231": "", "latest": "",
	} {
		d, ok := compat.DriverFor(tag)
		assert.Equal(t, want, d.Version, tag)
		assert.Equal(t, want != "", ok, tag)
	}
	assert.Equal(t, "release-260812", compat.OwnTag("0.42.0"))
	assert.Empty(t, compat.OwnTag("0.1.0"))
}
