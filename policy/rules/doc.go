// Package rules holds the policies: what a Pulumi stack must be so that
// Deepgram can run in it. They judge resources by type and inputs, whoever wrote
// them, and know nothing of the project's components.
//
// A rule reads properties through Value, which ends the rule where something is
// not known yet or is of another kind than it must be, so that no rule can take
// silence for a yes. Report decides what becomes of a finding: its level, an
// exemption, a note that it cannot be judged yet.
//
// What belongs here: rules, their settings, and the readers they share. Figures
// of machines and GPUs belong to internal/hardware; what a configuration must be
// to make sense belongs to config.
package rules
