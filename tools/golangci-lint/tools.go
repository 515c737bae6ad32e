//go:build tools

// Package tools pins golangci-lint apart from the project's own dependencies.
package tools

import _ "github.com/golangci/golangci-lint/v2/cmd/golangci-lint"
