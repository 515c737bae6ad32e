// Package models fills a models disk and says what is on it (guide G-S.4): it
// downloads model files in parallel, goes on where it was stopped, checks each
// file, and keeps a manifest on the disk. A file is on the disk whole, under
// its name, or not at all.
//
// What belongs here: sources, downloads, manifest, comparison. What does not:
// flags and printing (internal/opscmd), disks and Jobs (components). Links are
// secret (they are signed): nothing here puts one into an error, a note or a
// file.
package models
