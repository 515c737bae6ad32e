// Package preflight asks, before anything is created, whether an environment can
// be: Google Cloud, registries, DNS and certificates are read and compared with the
// configuration, in parallel, and nothing is changed.
//
// What belongs here: the checks, what they say and what to do. What does not:
// whether a configuration is coherent in itself (config), what a machine must have
// (policies), flags and printing (internal/opscmd).
//
// A check passes, fails, or is skipped: because it does not apply, or because
// something that it needs cannot be read; the latter names the role to grant.
package preflight
