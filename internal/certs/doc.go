// Package certs judges certificates (guide G-IV.1, G-M.cert): a bundle and its key
// as text, or what an endpoint shows. It knows X.509 and what Google Cloud's
// self-managed certificates take, and nothing of configurations or flags: config
// asks it about keys, internal/opscmd and internal/preflight about whole chains.
//
// No text of this package shows any of a private key.
package certs
