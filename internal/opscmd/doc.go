// Package opscmd is the command line of deepgram-ops: day-2 work that needs no
// Pulumi. One file a command; a command parses its flags, calls the room that
// does the work (internal/images, internal/models, …) and prints what came of
// it. Results go to stdout, everything else to stderr, and nothing here
// touches the process: streams, environment and arguments are handed in.
package opscmd
