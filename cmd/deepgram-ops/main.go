// Command deepgram-ops does day-2 work that needs no Pulumi.
package main

import (
	"os"

	"github.com/deepgram-gke/deepgram-gke/internal/opscmd"
)

func main() { os.Exit(opscmd.Main(os.Args[1:], opscmd.System())) }
