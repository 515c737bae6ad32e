// Package stacks is the deployment of one environment: the Pulumi program that
// wires the components together and exports the outputs. It reads the
// configuration and decides what exists; how each part is made is the components'
// business.
package stacks
