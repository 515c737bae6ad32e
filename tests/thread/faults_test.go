package thread

import (
	"context"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

// failing is a fault at the first creation of a type.
func failing(kind, message string) standin.Fault {
	return standin.Fault{Type: kind, Method: "Create", Mode: standin.FailBefore, Message: message}
}

// certificateHash is in the names of a made-up certificate, which differs from
// rehearsal to rehearsal.
var certificateHash = regexp.MustCompile(`(cert|certificate)-[0-9a-f]{8}$`)

// commandNumber is what the stand-in counts commands with; they have no names.
var commandNumber = regexp.MustCompile(`^(command:local:Command .*?)[0-9]+$`)

func stable(name string) string {
	return commandNumber.ReplaceAllString(certificateHash.ReplaceAllString(name, "$1-hash"), "$1")
}

// inventory is what exists in the pretended world, made by the program.
func inventory(cloud *standin.Cloud) []string {
	var list []string
	for _, object := range cloud.Objects() {
		if object.CreatedBy != "" {
			list = append(list, stable(object.Type+" "+object.CloudName))
		}
	}
	sort.Strings(list)
	return list
}

// registered is what the state holds.
func registered(result *rehearsal.Result) []string {
	var list []string
	for _, r := range result.Resources {
		list = append(list, stable(r.URN))
	}
	sort.Strings(list)
	return list
}

// requireSame compares two sorted lists and shows only where they differ.
func requireSame(t *testing.T, want, got []string) {
	t.Helper()
	left, right := without(want, got), without(got, want)
	require.Empty(t, left, "missing")
	require.Empty(t, right, "too many")
	require.Len(t, got, len(want))
}

func without(list, others []string) (rest []string) {
	known := map[string]bool{}
	for _, other := range others {
		known[other] = true
	}
	for _, item := range list {
		if !known[item] {
			rest = append(rest, item)
		}
	}
	return rest
}

func disks(list []string) (found []string) {
	for _, line := range list {
		if strings.HasPrefix(line, "gcp:compute/disk:Disk") {
			found = append(found, line)
		}
	}
	return found
}

// reference is an undisturbed deployment: what it makes, and its calls.
func reference(t *testing.T) (world, state []string, calls []standin.Call) {
	t.Helper()
	s, err := rehearsal.Open(t.Context(), options(t, "prod-omi"))
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Up(t.Context(), rehearsal.StepUp)
	require.NoError(t, err)
	for _, call := range s.Cloud.Calls() {
		if call.N > 0 {
			calls = append(calls, call)
		}
	}
	require.Len(t, disks(inventory(s.Cloud)), 1)
	return inventory(s.Cloud), registered(s.Result()), calls
}

// disturb lets one call go wrong, then deploys again and wants what an
// undisturbed deployment makes: the same things, none twice, none forgotten.
func disturb(t *testing.T, fault standin.Fault, world, state []string) {
	t.Helper()
	o := options(t, "prod-omi")
	o.PolicyPack = "" // judged elsewhere; the engine is quicker without
	s, err := rehearsal.Open(t.Context(), o)
	require.NoError(t, err)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if fault.Mode == standin.Hang {
		// The person at the keyboard loses patience once the call hangs.
		fault.Func = func() { time.AfterFunc(100*time.Millisecond, cancel) }
	}
	s.Cloud.Inject(fault)
	_, err = s.Up(ctx, rehearsal.StepUp)
	require.Error(t, err, "the fault must be told")
	require.Empty(t, s.Cloud.Pending(), "the fault has struck")
	if fault.Mode == standin.Hang {
		require.ErrorIs(t, err, context.Canceled)
	}

	_, err = s.Up(t.Context(), "again")
	require.NoError(t, err)
	requireSame(t, world, inventory(s.Cloud))
	requireSame(t, state, registered(s.Result()))
	require.Len(t, disks(inventory(s.Cloud)), 1, "no second models disk")

	last, err := s.Up(t.Context(), rehearsal.StepSecondUp)
	require.NoError(t, err)
	require.Zero(t, last.Changed())
}

// TestFaults fails, half finishes or hangs the creation of each type of resource;
// with SOAK set, every single call in all three ways.
func TestFaults(t *testing.T) {
	t.Parallel()
	world, state, calls := reference(t)
	var faults []standin.Fault
	seen := map[string]bool{}
	for _, call := range calls {
		if soak() {
			for _, mode := range []standin.FaultMode{standin.FailBefore, standin.FailPartial, standin.Hang} {
				faults = append(faults, standin.Fault{N: call.N, Mode: mode})
			}
			continue
		}
		if !seen[call.Type] {
			seen[call.Type] = true
			mode := []standin.FaultMode{standin.FailBefore, standin.FailPartial, standin.Hang}[len(seen)%3]
			faults = append(faults, standin.Fault{Type: call.Type, Method: "Create", Mode: mode})
		}
	}
	require.NotEmpty(t, faults)
	for _, fault := range faults {
		t.Run(fmt.Sprintf("%s-%d-mode-%d", fault.Type, fault.N, fault.Mode), func(t *testing.T) {
			t.Parallel()
			disturb(t, fault, world, state)
		})
	}
}
