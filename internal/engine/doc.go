// Package engine is how this project starts the Pulumi engine: finding a CLI
// that is new enough, listening to its events without ever hanging on them, and
// telling its failures apart. What is run, and what the events mean to people,
// lives elsewhere (stacks, internal/rehearsal, internal/report).
package engine
