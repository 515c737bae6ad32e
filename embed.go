// Package deepgramgke holds what the programs carry with them: the production
// environment of the guide, so that a rehearsal runs anywhere. The library is in
// stacks, components and config.
package deepgramgke

import _ "embed"

// DefaultStack is the environment that is rehearsed when none is named.
const DefaultStack = "prod-omi"

// DefaultEnvironment is the text of Pulumi.prod-omi.yaml.
//
//go:embed Pulumi.prod-omi.yaml
var DefaultEnvironment []byte
