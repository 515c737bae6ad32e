package chart

import "github.com/blang/semver"

// The chart versions between which API and Engine ask billing themselves even
// where the licence proxy is installed: 0.27.1 brought billing, 0.46.0 is the last
// version that is known to do so.
var firstBypass, lastBypass = semver.MustParse("0.27.1"), semver.MustParse("0.46.0")

// BypassesProxy tells whether the chart of this version, left alone, sends API and
// Engine past the licence proxy where billing is enabled (airgapped guide, A-ARCH).
func BypassesProxy(version string) bool {
	v, err := semver.Parse(version)
	return err == nil && v.GTE(firstBypass) && v.LTE(lastBypass)
}

// PostRenderer is the program that puts API and Engine back behind the licence
// proxy: Helm hands it the rendered chart. It is looked up on PATH.
const PostRenderer = "deepgram-postrender"
