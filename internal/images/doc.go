// Package images knows every image that an environment needs, and copies them
// by digest from registry to registry (or through a folder, for sites without
// a route) without Docker (guide G-II). It also builds and publishes the
// project's own image.
//
// What belongs here: the list, the copy, the comparison, credentials and the
// sentences that say what went wrong. What does not: flags and printing
// (internal/opscmd), cloud resources (components).
package images
