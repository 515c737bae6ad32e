// Package chart knows the deepgram-self-hosted Helm chart: which keys its
// supported versions read, and which values an environment on GKE needs.
//
// What belongs here: facts about the chart and pure functions from plain
// settings to chart values. What does not: resources, configuration loading,
// and anything that needs a cloud SDK.
package chart
