package thread

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// TestFleetDeploysWithPolicies deploys an environment of examples/fleet as its
// image does: the CLI, the built program, and the policies by a variable alone.
func TestFleetDeploysWithPolicies(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, sets ...string) *rehearsal.Session {
		t.Helper()
		tree, err := config.LoadTree(filepath.Join(enginetest.Root(), "examples", "fleet", "environments", "Pulumi.acme-eu.yaml"))
		require.NoError(t, err)
		for i := 0; i+1 < len(sets); i += 2 {
			require.NoError(t, tree.Set(sets[i], sets[i+1]))
		}
		s, err := rehearsal.Open(t.Context(), rehearsal.Options{
			Program: stacks.Run, Stack: "acme-eu", Tree: tree, Dir: enginetest.Root(), Pulumi: enginetest.Pulumi(t),
		})
		require.NoError(t, err)
		t.Cleanup(s.Close)
		return s
	}
	policies := []string{"PULUMI_OPTION_POLICY_PACK=" + enginetest.PolicyPack(t)}

	t.Run("up", func(t *testing.T) {
		t.Parallel()
		s := open(t)
		out, err := pulumiCLIWith(t, s, policies, "up", "--yes", "--skip-preview")
		require.NoError(t, err, out)
		require.Contains(t, out, "https://dg.eu.acme.example")
		require.Contains(t, out, "deepgram-policy", "the pack is named among the policies that ran")
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		s := open(t, "pools.engine.machineType", "g2-standard-4")
		out, err := pulumiCLIWith(t, s, policies, "preview")
		require.Error(t, err)
		require.Contains(t, out, "engine-node-has-memory")
	})
}
