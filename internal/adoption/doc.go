// Package adoption plans how an environment that was made by hand along the guide
// comes under a stack: the files for `pulumi import --file`, their order, and what
// changes afterwards. It reads a deployment as a rehearsal made it, which knows
// every name, parent and provider; it touches no cloud and no stack.
package adoption
