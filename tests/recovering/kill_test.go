package recovering

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/cloudid"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// entries is the state, one line for each resource with all that matters of it.
// Secrets are encrypted anew each time, and what a stand-in makes up differs.
func (w *world) entries(t *testing.T) (list []string) {
	t.Helper()
	text, err := w.Export(t.Context())
	require.NoError(t, err)
	var state apitype.DeploymentV3
	require.NoError(t, json.Unmarshal(text, &state))
	require.Empty(t, state.PendingOperations)
	for _, r := range state.Resources {
		id := string(r.ID)
		if strings.HasPrefix(string(r.Type), "pulumi:providers:") || strings.HasPrefix(string(r.Type), "command:") {
			id = "" // a random one
		}
		needs := make([]string, 0, len(r.Dependencies))
		for _, urn := range r.Dependencies {
			needs = append(needs, string(urn))
		}
		sort.Strings(needs)
		// Hashes of made-up secrets are in them; that they are right shows in the last
		// up, which changes nothing.
		delete(r.Inputs, "values")
		inputs, err := json.Marshal(names(r.Inputs))
		require.NoError(t, err)
		list = append(list, stable(fmt.Sprintf("%s %s parent=%s provider=%t protect=%t retain=%t delete=%t outputs=%t needs=%v inputs=%s",
			r.Type, id, r.URN+" "+r.Parent, r.Provider != "", r.Protect, r.RetainOnDelete, r.Delete, len(r.Outputs) > 0, needs, inputs)))
	}
	sort.Strings(list)
	return list
}

// names are the inputs that are plain texts and numbers.
func names(inputs map[string]any) map[string]any {
	plain := map[string]any{}
	for key, value := range inputs {
		switch v := value.(type) {
		case string:
			if !strings.Contains(v, "-----BEGIN") {
				plain[key] = v
			}
		case float64, bool:
			plain[key] = v
		case map[string]any:
			if _, hidden := v["4dabf18193072939515e22adb298388d"]; !hidden { // how a state marks a secret
				plain[key] = names(v)
			}
		}
	}
	return plain
}

// undisturbed is a deployment that nothing happened to: its cloud, its state and
// its calls that change something.
func undisturbed(t *testing.T, stack string) (cloud, state []string, calls []standin.Call) {
	t.Helper()
	w := newWorld(t, stack)
	_, err := w.Up(t.Context(), rehearsal.StepUp)
	require.NoError(t, err)
	for _, call := range w.Cloud.Calls() {
		if call.N > 0 {
			calls = append(calls, call)
		}
	}
	return w.inventory(), w.entries(t), calls
}

func (w *world) requireAsUndisturbed(t *testing.T, cloud, state []string) {
	t.Helper()
	requireSame(t, cloud, w.inventory(), "the cloud")
	requireSame(t, state, w.entries(t), "the state")
	disks := 0
	for _, line := range w.inventory() {
		if strings.HasPrefix(line, "gcp:compute/disk:Disk ") {
			disks++
		}
	}
	require.Equal(t, 1, disks, "no second models disk")
	last, err := w.Up(t.Context(), rehearsal.StepSecondUp)
	require.NoError(t, err)
	require.Zero(t, last.Changed())
}

// TestKilledAtEachType kills one update after the other, each in the middle of the
// creation of another type of resource: every second time before it was made, and
// every second time after.
func TestKilledAtEachType(t *testing.T) {
	t.Parallel()
	const stack = "dev"
	cloud, state, calls := undisturbed(t, stack)
	// Slow enough that several creations are under way at each kill.
	w := newWorld(t, stack, standin.Latency(300*time.Millisecond))
	var left []string
	for _, call := range calls {
		if !slices.Contains(left, call.Type) {
			left = append(left, call.Type)
		}
	}
	all := len(left)
	require.Greater(t, all, 10)
	outcomes := map[string]int{}
	kills := 0
	for {
		mode := standin.Die
		if kills%2 == 1 {
			mode = standin.FailAfter // made, and nobody is told
		}
		var faults []standin.Fault
		for _, typ := range left {
			faults = append(faults, standin.Fault{Type: typ, Method: "Create", Mode: mode})
		}
		if !w.up(t, faults...) {
			break
		}
		kills++
		done := w.recover(t)
		require.Len(t, done.Locks, 1, "the dead process held the lock")
		require.True(t, done.Locks[0].Removed)
		require.NotEmpty(t, done.Operations)
		for _, o := range done.Operations {
			outcomes[o.Outcome]++
			require.NotEqual(t, stacks.Unknown, o.Outcome, "%s", o.URN)
			left = slices.DeleteFunc(left, func(typ string) bool { return typ == o.Type })
		}
		require.Less(t, kills, 2*all, "each kill is at a type that was not killed at before")
	}
	require.Empty(t, left, "every type of resource was in the middle of its creation once")
	require.Positive(t, outcomes[stacks.Adopted], "%v", outcomes)
	require.Positive(t, outcomes[stacks.Dropped], "%v", outcomes)
	t.Logf("%d types in %d kills: %v", all, kills, outcomes)
	w.requireAsUndisturbed(t, cloud, state)
}

// TestKilledAtEachCall kills an update at every single call, before and after it
// was done.
func TestKilledAtEachCall(t *testing.T) {
	t.Parallel()
	if !soak() {
		t.Skip("takes an hour: make soak")
	}
	for _, stack := range []string{"dev", "prod-omi", "airgapped"} {
		cloud, state, calls := undisturbed(t, stack)
		for _, call := range calls {
			for name, mode := range map[string]standin.FaultMode{"before": standin.Die, "after": standin.FailAfter} {
				t.Run(fmt.Sprintf("%s-%d-%s", stack, call.N, name), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, stack)
					require.True(t, w.up(t, standin.Fault{N: call.N, Mode: mode}), "the update was killed")
					w.recover(t)
					require.False(t, w.up(t))
					w.requireAsUndisturbed(t, cloud, state)
				})
			}
		}
	}
}

func TestTheExportedStateHoldsNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "dev")
	require.True(t, w.up(t, standin.Fault{Type: "kubernetes:helm.sh/v3:Release", Mode: standin.Die}))
	done := w.recover(t)
	text, err := os.ReadFile(done.Export)
	require.NoError(t, err)
	require.Contains(t, string(text), `"pending_operations"`, "it is the state of before")
	for _, field := range w.Config().Secrets() {
		if value := field.Secret.Reveal(); value != "" {
			require.NotContains(t, string(text), value, field.Path)
		}
	}
	// Its cluster is a pretended one, which does not answer.
	require.Len(t, done.Releases, 1)
	require.NotEmpty(t, done.Releases[0].Commands)
	require.False(t, done.Releases[0].Repaired)
}

// TestAttributesThatWereCutOff leaves a folder of states as a kill leaves it in
// the moment in which the backend overwrites what it keeps beside a state.
func TestAttributesThatWereCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "dev")
	root := strings.TrimPrefix(w.env["PULUMI_BACKEND_URL"], "file://")
	file := filepath.Join(root, ".pulumi", "stacks", "deepgram-stack", "dev.json.attrs")
	require.FileExists(t, file)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := w.deployer(t).Outputs(t.Context())
	require.Error(t, err, "nothing can be read any more")

	done := w.recover(t)
	require.Empty(t, done.Operations)
	_, err = w.deployer(t).Outputs(t.Context())
	require.NoError(t, err)
}

// TestIDsFollowFromInputs compares the ids that are computed with those that were
// given.
func TestIDsFollowFromInputs(t *testing.T) {
	t.Parallel()
	for _, stack := range []string{"prod-omi", "airgapped"} {
		t.Run(stack, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, stack)
			_, err := w.Up(t.Context(), rehearsal.StepUp)
			require.NoError(t, err)
			text, err := w.Export(t.Context())
			require.NoError(t, err)
			var state apitype.DeploymentV3
			require.NoError(t, json.Unmarshal(text, &state))
			providers := map[string]map[string]any{}
			for _, r := range state.Resources {
				providers[string(r.URN)+"::"+string(r.ID)] = r.Inputs
			}
			computed := 0
			for _, r := range state.Resources {
				typ := string(r.Type)
				if !r.Custom || strings.HasPrefix(typ, "pulumi:") || strings.HasPrefix(typ, "command:") || cloudid.Repeatable(typ) ||
					typ == "gcp:secretmanager/secretVersion:SecretVersion" {
					continue
				}
				id, known := cloudid.Of(typ, r.Inputs, providers[r.Provider])
				require.True(t, known, r.URN)
				require.Equal(t, string(r.ID), id, r.URN)
				computed++
			}
			require.Greater(t, computed, 10)
		})
	}
}
