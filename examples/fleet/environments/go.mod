// The operator runs `pulumi install` before it deploys, and that runs `go mod tidy`.
// This program is built already: there is nothing to tidy.
module environments

go 1.21
