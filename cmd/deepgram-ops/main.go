// Command deepgram-ops does day-2 work that needs no Pulumi.
package main

import (
	"os"

	"github.com/deepgram-gke/deepgram-gke/internal/opscmd"
	"github.com/deepgram-gke/deepgram-gke/internal/postrender"
)

func main() {
	if postrender.IsName(os.Args[0]) { // a link; Helm passes no arguments
		os.Exit(postrender.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(opscmd.Main(os.Args[1:], opscmd.System()))
}
