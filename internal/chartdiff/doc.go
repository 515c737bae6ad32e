// Package chartdiff shows what a change of a Helm release does to the Kubernetes
// objects: it renders the old chart with the old values and the new chart with
// the new values, in this process and without a cluster, and compares them.
//
// What belongs here: finding charts, rendering, comparing. What does not: facts
// about Deepgram's own chart (internal/chart), and how a diff looks
// (internal/report).
package chartdiff
