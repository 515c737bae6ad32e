package thread

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

const (
	diskKind    = "gcp:compute/disk:Disk"
	jobKind     = "kubernetes:batch/v1:Job"
	releaseKind = "kubernetes:helm.sh/v3:Release"
	secretKind  = "kubernetes:core/v1:Secret"
)

// files is a list of one model file; token is what a signed link ends in.
func files(model, token string) string {
	return fmt.Sprintf(`[{url: "https://models.example.com/%s.dg?signature=%s"}]`, model, token)
}

// sets is a value of models.sets.
func sets(list ...string) string { return "{" + strings.Join(list, ", ") + "}" }

func set(name, more string) string {
	return fmt.Sprintf("%s: {files: %s%s}", name, files(name, "a"), more)
}

// text is a string deep inside the properties of an object.
func text(m resource.PropertyMap, path string) string {
	p, err := resource.ParsePropertyPath(path)
	if err != nil {
		return ""
	}
	v, _ := p.Get(resource.NewProperty(m))
	for v.IsSecret() {
		v = v.SecretValue().Element
	}
	if !v.IsString() {
		return ""
	}
	return v.StringValue()
}

const handlePath = "values.engine.modelManager.volumes.gcp.gpd.volumeHandle"

// modelWorld is what matters of the pretended world: disks by volume handle, and
// what is on them.
type modelWorld struct {
	disks, loaded map[string]bool
	// reading is the disk of the engines; empty before there is a release.
	reading string
}

func look(cloud *standin.Cloud) modelWorld {
	w := modelWorld{disks: map[string]bool{}, loaded: map[string]bool{}}
	volumes, claims := map[string]string{}, map[string]string{}
	objects := cloud.Objects()
	for _, o := range objects {
		switch o.Type {
		case diskKind:
			w.disks[o.ID] = true
		case "kubernetes:core/v1:PersistentVolume":
			volumes[o.ID] = text(o.Outputs, "spec.csi.volumeHandle")
		case "kubernetes:core/v1:PersistentVolumeClaim":
			claims[o.ID] = text(o.Outputs, "spec.volumeName")
		case releaseKind:
			w.reading = text(o.Inputs, handlePath)
		}
	}
	for _, o := range objects {
		if o.Type == jobKind && text(o.Outputs, "status.conditions[0].type") == "Complete" {
			claim := text(o.Inputs, "metadata.namespace") + "/" +
				text(o.Inputs, "spec.template.spec.volumes[0].persistentVolumeClaim.claimName")
			w.loaded[volumes[claims[claim]]] = true
		}
	}
	return w
}

// requireServing wants that the engines' disk is there and was filled.
func requireServing(t *testing.T, s *rehearsal.Session, when string) modelWorld {
	t.Helper()
	w := look(s.Cloud)
	if w.reading != "" {
		require.True(t, w.disks[w.reading], "%s: the engines' disk %s is gone", when, w.reading)
		require.True(t, w.loaded[w.reading], "%s: the engines read %s, which nobody has filled", when, w.reading)
	}
	return w
}

// requireSafePlan previews, and wants that nothing happens to the disk that the
// engines read.
func requireSafePlan(t *testing.T, s *rehearsal.Session, when string) {
	t.Helper()
	w := look(s.Cloud)
	operation, err := s.Preview(t.Context())
	require.NoError(t, err, when)
	for _, r := range operation.Resources() {
		if r.Type != diskKind || !strings.Contains(r.Op, "delete") && !strings.Contains(r.Op, "replace") {
			continue
		}
		for _, o := range s.Cloud.Objects() {
			if o.CreatedBy == r.URN {
				require.NotEqual(t, w.reading, o.ID, "%s: the plan would %s the disk that the engines read", when, r.Op)
			}
		}
	}
}

// stepwise brings a configuration about one change at a time: each up is stopped
// after the first thing that it did, and looked at.
func stepwise(t *testing.T, s *rehearsal.Session, when string, values ...string) modelWorld {
	t.Helper()
	require.NoError(t, s.Configure(t.Context(), environment(t, "prod-omi", values...)), when)
	requireSafePlan(t, s, when)
	for stop := 1; ; stop++ {
		require.Less(t, stop, 40, "%s: does not come to an end", when)
		s.Cloud.Inject(standin.Fault{N: 2, Mode: standin.FailBefore, Message: "stopped"})
		_, err := s.Up(t.Context(), fmt.Sprintf("%s, stop %d", when, stop))
		done := len(s.Cloud.Pending()) > 0
		s.Cloud.ClearFaults()
		requireServing(t, s, fmt.Sprintf("%s, stopped %d times", when, stop))
		if done {
			require.NoError(t, err, when)
			break
		}
		require.ErrorContains(t, err, "stopped", when)
	}
	again, err := s.Up(t.Context(), when+", again")
	require.NoError(t, err)
	require.Zero(t, again.Changed(), when)
	return requireServing(t, s, when)
}

func open(t *testing.T, values ...string) *rehearsal.Session {
	t.Helper()
	o := options(t, "prod-omi", values...)
	s, err := rehearsal.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	_, err = s.Preview(t.Context())
	require.NoError(t, err)
	_, err = s.Up(t.Context(), rehearsal.StepUp)
	require.NoError(t, err)
	return s
}

// calls are the calls that changed something, as "Create type", in their order.
func calls(s *rehearsal.Session) (list []string) {
	for _, call := range s.Cloud.Calls() {
		if call.N > 0 {
			list = append(list, call.Method+" "+call.Type)
		}
	}
	return list
}

// TestRollingModelChange goes the whole way from one set of models to another,
// stopped after every step: set beside the old one, switch, back again, retire,
// remove.
func TestRollingModelChange(t *testing.T) {
	t.Parallel()
	s := open(t, "models.files", files("nova-2", "a"))
	first := requireServing(t, s, "installed")
	require.Len(t, first.disks, 1)
	old := first.reading
	require.NotEmpty(t, old)

	order := calls(s)
	require.Less(t, slices.Index(order, "Create "+diskKind), slices.Index(order, "Create "+jobKind))
	require.Less(t, slices.Index(order, "Create "+jobKind), slices.Index(order, "Create "+releaseKind),
		"the engines wait for the loader")

	s.Cloud.ResetCalls()
	two := sets(set("nova-2", ""), set("nova-3", ""))
	w := stepwise(t, s, "beside", "models.active", "nova-2", "models.sets", two)
	require.Equal(t, old, w.reading, "models.files moved into models.sets and kept its disk")
	require.Len(t, w.disks, 2)
	require.Len(t, w.loaded, 2)
	for _, call := range calls(s) {
		require.NotContains(t, call, "Delete", "nothing goes when a set comes")
		require.NotEqual(t, "Update "+releaseKind, call, "the engines are left alone")
	}

	w = stepwise(t, s, "switch", "models.active", "nova-3", "models.sets", two)
	fresh := w.reading
	require.NotEqual(t, old, fresh)
	require.Len(t, w.disks, 2, "the old disk stays for the way back")

	s.Cloud.ResetCalls()
	w = stepwise(t, s, "back", "models.active", "nova-2", "models.sets", two)
	require.Equal(t, old, w.reading)
	require.Equal(t, []string{"Update " + releaseKind}, slices.Compact(calls(s)), "rolling back is changing one key")
	stepwise(t, s, "forward", "models.active", "nova-3", "models.sets", two)

	// Taken out of the list while it is protected: refused, and nothing happens.
	require.NoError(t, s.Configure(t.Context(), environment(t, "prod-omi", "models.active", "nova-3", "models.sets", sets(set("nova-3", "")))))
	s.Cloud.ResetCalls()
	_, err := s.Preview(t.Context())
	require.ErrorContains(t, err, "protect")
	require.Empty(t, calls(s))

	w = stepwise(t, s, "retire", "models.active", "nova-3", "models.sets", sets(set("nova-2", ", retire: 2026-01-01"), set("nova-3", "")))
	require.Len(t, w.disks, 2, "the first up lifts the protection only")
	s.Cloud.ResetCalls()
	w = stepwise(t, s, "remove", "models.active", "nova-3", "models.sets", sets(set("nova-3", "")))
	require.Equal(t, map[string]bool{fresh: true}, w.disks)
	order = calls(s)
	require.Less(t, slices.Index(order, "Delete "+jobKind), slices.Index(order, "Delete "+diskKind))

	// One set needs no name.
	w = stepwise(t, s, "single", "models.files", files("nova-3", "a"))
	require.Equal(t, fresh, w.reading)
}

// TestFilesThatChangeAreAnotherDisk: with models.files alone, another list would
// be another disk, and the old one is protected.
func TestFilesThatChangeAreAnotherDisk(t *testing.T) {
	t.Parallel()
	s := open(t, "models.files", files("nova-2", "a"))
	before := look(s.Cloud)
	require.NoError(t, s.Configure(t.Context(), environment(t, "prod-omi", "models.files", files("nova-3", "a"))))
	_, err := s.Preview(t.Context())
	require.ErrorContains(t, err, "protect")
	require.Equal(t, before, look(s.Cloud))
}

// TestSignedAgain: a link that is signed again is the same file. It changes the
// Secret in place, and nothing is loaded again: the disk could not be written.
func TestSignedAgain(t *testing.T) {
	t.Parallel()
	s := open(t, "models.files", files("nova-2", "a"))
	s.Cloud.ResetCalls()
	require.NoError(t, s.Configure(t.Context(), environment(t, "prod-omi", "models.files", files("nova-2", "b"))))
	operation, err := s.Up(t.Context(), "signed again")
	require.NoError(t, err)
	require.Equal(t, 1, operation.Changed())
	require.Equal(t, []string{"Update " + secretKind}, calls(s))

	// The disk grows while engines read it: no Job either.
	s.Cloud.ResetCalls()
	require.NoError(t, s.Configure(t.Context(), environment(t, "prod-omi", "models.files", files("nova-2", "b"), "models.disk.sizeGb", "300")))
	_, err = s.Up(t.Context(), "grown")
	require.NoError(t, err)
	require.NotContains(t, strings.Join(calls(s), "\n"), "Create")
	require.NotContains(t, strings.Join(calls(s), "\n"), "Delete")
	requireServing(t, s, "grown")
}

// TestFailedLoad: the release waits for models, and the next up tries again with
// links that are valid.
func TestFailedLoad(t *testing.T) {
	t.Parallel()
	o := options(t, "prod-omi", "models.files", files("nova-2", "expired"))
	s, err := rehearsal.Open(t.Context(), o)
	require.NoError(t, err)
	defer s.Close()
	s.Cloud.Inject(standin.Fault{Type: jobKind, Method: "Create", Mode: standin.FailPartial, Message: "Job failed: BackoffLimitExceeded"})
	_, err = s.Up(t.Context(), rehearsal.StepUp)
	require.ErrorContains(t, err, "BackoffLimitExceeded")
	require.Empty(t, look(s.Cloud).reading, "no engine starts without models")
	require.Empty(t, look(s.Cloud).loaded)

	s.Cloud.ResetCalls()
	require.NoError(t, s.Configure(t.Context(), environment(t, "prod-omi", "models.files", files("nova-2", "valid"))))
	_, err = s.Up(t.Context(), "again")
	require.NoError(t, err)
	w := requireServing(t, s, "again")
	require.NotEmpty(t, w.reading)
	order := calls(s)
	require.Less(t, slices.Index(order, "Update "+secretKind), slices.Index(order, "Create "+jobKind), "with the new link")
	require.NotContains(t, order, "Delete "+diskKind)
	last, err := s.Up(t.Context(), rehearsal.StepSecondUp)
	require.NoError(t, err)
	require.Zero(t, last.Changed())
}
