// Package version holds the version of the project's programs, which is also the
// tag of the image that its jobs run. It knows nothing else.
package version

// Development is the version of a program that is not a release.
const Development = "dev"

// Version is set when a release is built
// (-ldflags "-X …/internal/version.Version=v1.2.3"). It must be a valid image tag.
var Version = Development
