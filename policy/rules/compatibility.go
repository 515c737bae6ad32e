package rules

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

// badPair is a set of chart versions and releases that do not work together.
type badPair struct {
	// chartFrom (inclusive) and chartBefore (exclusive) bound the chart; "" does not.
	chartFrom, chartBefore string
	// from (inclusive) and before (exclusive) bound the release's day, yymmdd; 0 does not.
	from, before int
	// fips restricts to -fips images.
	fips bool
	// why is what happens, source who says so.
	why, source, fix string
}

var badPairs = []badPair{
	{
		chartFrom: "0.40.2", chartBefore: "0.41.1", before: 260611,
		why: "the chart's LD_LIBRARY_PATH breaks engine images older than release-260611", source: "self-hosted-resources #177, #179, #180",
		fix: "use chart 0.41.1 or newer",
	},
	{
		chartBefore: "0.37.0", from: 260611,
		why: "engine images from release-260611 need the NVIDIA variables that the chart sets from 0.37.0", source: "self-hosted-resources changelog 0.37.0",
		fix: "use chart 0.41.1 or newer",
	},
	{
		chartBefore: "0.43.0", fips: true,
		why: "readiness probes fail in -fips images, so API and licence proxy never become ready", source: "self-hosted-resources #184",
		fix: "use chart 0.43.0 or newer, or images without -fips",
	},
}

// driverFloor is the NVIDIA driver that an engine image needs.
type driverFloor struct {
	from   int // yymmdd
	driver string
	// latestOnly tells that GKE's default driver may be older than that.
	latestOnly bool
	source     string
}

// driverFloors lists the newest first.
var driverFloors = []driverFloor{
	{from: 260915, driver: "580 with open kernel modules", latestOnly: true, source: "self-hosted-resources #189"},
	{from: 251029, driver: "570.172.08", source: "self-hosted-resources #187"},
	{from: 250101, driver: "550.163.01", source: "Deepgram's documentation, spring 2025"},
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

// bad is the known-bad pair that a chart and a tag make.
func bad(chart semver.Version, tag string) (badPair, bool) {
	day, fips, ok := releaseDay(tag)
	if !ok {
		return badPair{}, false
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
	return badPair{}, false
}

func floorFor(tag string) (driverFloor, bool) {
	day, _, ok := releaseDay(tag)
	if !ok {
		return driverFloor{}, false
	}
	for _, f := range driverFloors {
		if day >= f.from {
			return f, true
		}
	}
	return driverFloor{}, false
}
