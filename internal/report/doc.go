// Package report turns the engine's events into what people and programs read:
// a record of an operation, the tree of components on a terminal, JSON. It reads
// events only, never the engine's terminal text, and shows no secret.
package report
