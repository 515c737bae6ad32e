// Package postrender puts API and Engine behind the licence proxy where the chart
// sends them past it (airgapped guide, A-ARCH): up to 0.46.0 the chart writes
// billing's address into their configuration whenever billing is enabled, and the
// licence proxy that it installs too is asked by nobody.
//
// Helm calls a post-renderer with the rendered chart on stdin, and installs what
// it writes to stdout. Here it is deepgram-ops under the name deepgram-postrender.
//
// What belongs here: that one correction, found in the rendered configuration and
// not by a version number, so that a chart that is right stays as it is. What does
// not: values, and anything that a value can do.
package postrender
