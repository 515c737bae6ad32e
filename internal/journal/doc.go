// Package journal rescues the usage journals of airgapped billing: it finds
// them in the cluster, copies them while they are being written, proves that
// nothing was lost, keeps the copies in a target that is only ever added to,
// and remembers what was handed to Deepgram (airgapped guide, A-RET, A-CHECK,
// A-CRON, A-MULTI, A-BEST).
//
// A journal is a file of JSON lines, {"d":"…","s":"…"}, that billing appends
// to. Three things here rely on that and check it: a copy ends at the end of a
// line, an older copy is a byte prefix of a newer one, and the digest that the
// source computed is the digest of what arrived.
//
// In here: the format (scan.go), the transfer (snapshot.go, cat.go, fetch.go,
// handover.go) and its quick way through the API server (direct.go, lanes.go,
// bulk.go, ahead.go), files (atomic.go, disk_*.go), targets (target*.go), the book of backups and deliveries
// (book.go, backup.go, deliver.go, prune.go), the cluster (layout.go,
// helper.go, scale.go, sources.go) and what the commands do with them
// (retrieve.go, restore.go, check.go).
package journal
