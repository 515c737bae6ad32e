package compat

import (
	"fmt"
	"regexp"

	"github.com/blang/semver"
)

// ownTags are the image tags that chart versions carry as their default: pairs
// that Deepgram itself published (Chart.yaml appVersion; releases 0.44.0 and
// 0.46.0: deepgram/self-hosted-resources #187, #189).
var ownTags = map[string]string{
	"0.42.0": "release-260812",
	"0.44.0": "release-260826",
	"0.46.0": "release-260915",
}

// OwnTag is the release that a chart version was published with; empty where that
// is not known.
func OwnTag(chart string) string { return ownTags[chart] }

// BadPair is a set of chart versions and releases that do not work together.
type BadPair struct {
	// Why is what happens, Source who says so, Fix what to do.
	Why, Source, Fix string

	// chartFrom (inclusive) and chartBefore (exclusive) bound the chart; "" does not.
	chartFrom, chartBefore string
	// from (inclusive) and before (exclusive) bound the release's day, yymmdd; 0 does not.
	from, before int
	// fips restricts to -fips images.
	fips bool
}

var badPairs = []BadPair{
	{
		chartFrom: "0.40.2", chartBefore: "0.41.1", before: 260611,
		Why: "the chart's LD_LIBRARY_PATH breaks engine images older than release-260611", Source: "self-hosted-resources #177, #179, #180",
		Fix: "use chart 0.41.1 or newer",
	},
	{
		chartBefore: "0.37.0", from: 260611,
		Why: "engine images from release-260611 need the NVIDIA variables that the chart sets from 0.37.0", Source: "self-hosted-resources changelog 0.37.0",
		Fix: "use chart 0.41.1 or newer",
	},
	{
		chartBefore: "0.43.0", fips: true,
		Why: "readiness probes fail in -fips images, so API and licence proxy never become ready", Source: "self-hosted-resources #184",
		Fix: "use chart 0.43.0 or newer, or images without -fips",
	},
}

// Driver is the NVIDIA driver that an engine image needs.
type Driver struct {
	// Version is the least version, in words.
	Version string
	// LatestOnly tells that GKE's default driver may be older than that.
	LatestOnly bool
	// Source says who says so.
	Source string

	from int // yymmdd
}

// drivers lists the newest first.
var drivers = []Driver{
	{from: 260915, Version: "580 with open kernel modules", LatestOnly: true, Source: "self-hosted-resources #189"},
	{from: 251029, Version: "570.172.08", Source: "self-hosted-resources #187"},
	{from: 250101, Version: "550.163.01", Source: "Deepgram's documentation, spring 2025"},
}

var tagForm = regexp.MustCompile(`^release-(\d{6})(-fips)?(?:$|[-.])`)

// releaseDay is the day in a tag of the form release-260812, with -fips or not.
func releaseDay(tag string) (day int, fips, ok bool) {
	m := tagForm.FindStringSubmatch(tag)
	if m == nil {
		return 0, false, false
	}
	_, err := fmt.Sscanf(m[1], "%d", &day)
	return day, m[2] != "", err == nil
}

// Bad is the pair known not to work that a chart and a release's tag make.
func Bad(chart semver.Version, tag string) (BadPair, bool) {
	day, fips, ok := releaseDay(tag)
	if !ok {
		return BadPair{}, false
	}
	for _, p := range badPairs {
		if p.chartFrom != "" && chart.LT(semver.MustParse(p.chartFrom)) || p.chartBefore != "" && chart.GE(semver.MustParse(p.chartBefore)) {
			continue
		}
		if p.from > 0 && day < p.from || p.before > 0 && day >= p.before || p.fips && !fips {
			continue
		}
		return p, true
	}
	return BadPair{}, false
}

// DriverFor is the driver that the engine image of a release needs; false where
// nothing is known.
func DriverFor(tag string) (Driver, bool) {
	day, _, ok := releaseDay(tag)
	if !ok {
		return Driver{}, false
	}
	for _, d := range drivers {
		if day >= d.from {
			return d, true
		}
	}
	return Driver{}, false
}
