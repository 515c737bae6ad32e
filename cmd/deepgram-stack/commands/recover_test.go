package commands

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/stacks"
)

func TestTellRecovery(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	tellRecovery(&b, &stacks.Recovery{
		Export: "/tmp/state.json",
		Locks:  []stacks.Lock{{Holder: "process 7", Removed: true, Why: "it is dead"}},
		Operations: []stacks.Resolved{{
			PendingOperation: stacks.PendingOperation{Operation: "creating", Type: "gcp:compute/disk:Disk", Name: "models-disk"},
			ID:               "projects/p/zones/z/disks/d", Outcome: stacks.Adopted, Note: "it was made",
		}},
		Releases: []stacks.ReleaseRepair{{Name: "dg/deepgram", Note: "its cluster could not be asked", Commands: []string{"helm history deepgram -n dg"}}},
	})
	require.Equal(t, `the state as it was is in /tmp/state.json
lock removed: process 7: it is dead
release: dg/deepgram: its cluster could not be asked
  helm history deepgram -n dg
adopted: compute Disk models-disk (projects/p/zones/z/disks/d): it was made
`, b.String())

	b.Reset()
	tellRecovery(&b, &stacks.Recovery{Export: "x"})
	require.Contains(t, b.String(), "nothing was pending")
}
