// Package compat knows which chart, images and GPU drivers work together, as
// Deepgram published it: pairs that were released together, pairs that are known
// not to work, and the driver that an engine image needs. Each row names its
// source. What is done about it is said elsewhere: by the policies, and by
// internal/preflight.
package compat
