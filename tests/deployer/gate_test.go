package deployer

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/standin"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

const diskType = "gcp:compute/disk:Disk"

func diskIDs(p *place) (ids []string) {
	for _, object := range p.cloud.Objects() {
		if object.Type == diskType {
			ids = append(ids, object.ID)
		}
	}
	return ids
}

// TestTheGate deploys an environment without any protection and changes what
// forces another disk.
func TestTheGate(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "dev")
	_, err := p.deployer(t).Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err)
	disks := diskIDs(p)
	require.Len(t, disks, 1)

	changed := p.cfg.Clone()
	changed.Models.Disk.Type = "pd-balanced"
	// The policy is switched off: the gate is not.
	changed.Policy.Levels = map[string]string{"all": "advisory", "stateful-is-kept": "disabled"}
	d := p.deployer(t, func(o *stacks.Options) { o.Config = changed })
	p.cloud.ResetCalls()
	asked := false
	_, err = d.Up(t.Context(), stacks.UpOptions{Confirm: func(*stacks.Result) bool { asked = true; return true }})
	var gate *stacks.GateError
	require.ErrorAs(t, err, &gate)
	require.Len(t, gate.Refused, 1)
	require.Equal(t, diskType, gate.Refused[0].Type)
	require.ErrorContains(t, err, "because type changes")
	require.False(t, asked, "what is refused is not asked about")
	require.Equal(t, disks, diskIDs(p))
	for _, call := range p.cloud.Calls() {
		require.Zero(t, call.N, "%+v: nothing may change", call)
	}
	p.hunt(t, err)

	for urn, problem := range map[string]string{
		"urn:pulumi:*": "no URN", "urn:pulumi:dev::x::y::*": "more than one", gate.Refused[0].URN: "no reason",
	} {
		_, err = d.Up(t.Context(), stacks.UpOptions{Acknowledge: map[string]string{urn: ""}})
		var wrong *stacks.AcknowledgementError
		require.ErrorAs(t, err, &wrong)
		require.ErrorContains(t, err, problem)
	}
	_, err = d.Up(t.Context(), stacks.UpOptions{Acknowledge: map[string]string{gate.Refused[0].URN + "2": "another one"}})
	require.ErrorAs(t, err, &gate, "an acknowledgement is for one thing")

	preview, err := d.Preview(t.Context(), stacks.PreviewOptions{Acknowledge: map[string]string{gate.Refused[0].URN: "an empty disk"}})
	require.NoError(t, err)
	require.Positive(t, preview.Changes["replace"])
}

// TestTheGateOpens for what was acknowledged: here a disk that nothing uses.
func TestTheGateOpens(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "dev")
	kind := "pd-ssd"
	d := p.deployer(t, func(o *stacks.Options) {
		o.PolicyPack, o.Program = "", program(func(bool) pulumi.Map { return p.disk(kind) })
	})
	_, err := d.Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err)
	kind = "pd-balanced"
	_, err = d.Up(t.Context(), stacks.UpOptions{})
	var gate *stacks.GateError
	require.ErrorAs(t, err, &gate)
	urn := gate.Refused[0].URN
	up, err := d.Up(t.Context(), stacks.UpOptions{Acknowledge: map[string]string{urn: "nothing is on it"}})
	require.NoError(t, err)
	require.Equal(t, 1, up.Changes["replace"])
	up, err = d.Up(t.Context(), stacks.UpOptions{Acknowledge: map[string]string{urn: "nothing is on it"}})
	require.NoError(t, err)
	require.Len(t, up.Preview.Warnings, 1, "an acknowledgement that is no longer needed")
}

// disk are the inputs of a disk of a type.
func (p *place) disk(kind string) pulumi.Map {
	return pulumi.Map{
		"name": pulumi.String("models"), "project": pulumi.String(p.cfg.GCP.Project), "zone": pulumi.String(p.cfg.GCP.Zone),
		"size": pulumi.Int(200), "type": pulumi.String(kind),
	}
}

// program makes one disk; what of it differs between preview and update.
func program(what func(preview bool) pulumi.Map) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		inputs := what(ctx.DryRun())
		if inputs == nil {
			return nil
		}
		var disk struct{ pulumi.CustomResourceState }
		return ctx.RegisterResource(diskType, "models", inputs, &disk, pulumi.Version(standin.GCPVersion))
	}
}

// TestAnUpdateCannotDoOtherThanItsPreview runs a program that shows one thing and
// does another.
func TestAnUpdateCannotDoOtherThanItsPreview(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "dev")
	with := func(what func(preview bool) pulumi.Map) *stacks.Deployer {
		return p.deployer(t, func(o *stacks.Options) { o.Program, o.PolicyPack = program(what), "" })
	}
	_, err := with(func(bool) pulumi.Map { return p.disk("pd-ssd") }).Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err)
	for name, inUpdate := range map[string]pulumi.Map{"deleted": nil, "replaced": p.disk("pd-balanced")} {
		p.cloud.ResetCalls()
		_, err := with(func(preview bool) pulumi.Map {
			if preview {
				return p.disk("pd-ssd")
			}
			return inUpdate
		}).Up(t.Context(), stacks.UpOptions{})
		var failed *stacks.OperationError
		require.ErrorAs(t, err, &failed, name)
		for _, call := range p.cloud.Calls() {
			require.Zero(t, call.N, "%s: %+v", name, call)
		}
		require.Len(t, diskIDs(p), 1, name)
	}
}

func TestPoliciesRefuseBeforeAnythingIsMade(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "dev", "pools.engine.machineType", "g2-standard-4")
	d := p.deployer(t)
	for _, run := range []func() (*stacks.Result, error){
		func() (*stacks.Result, error) { return d.Preview(t.Context(), stacks.PreviewOptions{}) },
		func() (*stacks.Result, error) { return d.Up(t.Context(), stacks.UpOptions{}) },
	} {
		result, err := run()
		var refused *stacks.PolicyError
		require.ErrorAs(t, err, &refused)
		require.NotEmpty(t, refused.Violations)
		require.NotEmpty(t, result.Findings)
		p.hunt(t, result, err)
	}
	require.NotEmpty(t, p.seen(stacks.EventPolicy))
	for _, call := range p.cloud.Calls() {
		require.Zero(t, call.N)
	}
}

// TestTheGateKnowsProtection: the engine stops at what is protected, and only an
// acknowledgement lifts that, for as long as it takes.
func TestTheGateKnowsProtection(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "dev")
	kind := "pd-ssd"
	d := p.deployer(t, func(o *stacks.Options) {
		o.PolicyPack, o.Program = "", func(ctx *pulumi.Context) error {
			if kind == "" {
				return nil
			}
			var disk struct{ pulumi.CustomResourceState }
			return ctx.RegisterResource(diskType, "models", p.disk(kind), &disk, pulumi.Version(standin.GCPVersion), pulumi.Protect(true))
		}
	})
	_, err := d.Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err)
	before := diskIDs(p)
	protected := func() int {
		down, err := d.Teardown(t.Context())
		require.NoError(t, err)
		return len(down.Protected)
	}
	refuse := func(what string) (urn string) {
		p.cloud.ResetCalls()
		_, err := d.Up(t.Context(), stacks.UpOptions{})
		var gate *stacks.GateError
		require.ErrorAs(t, err, &gate)
		require.Len(t, gate.Refused, 1)
		require.Equal(t, diskType, gate.Refused[0].Type)
		require.Contains(t, gate.Refused[0].Why, what)
		require.ErrorContains(t, err, "--acknowledge '"+gate.Refused[0].URN+"=REASON'")
		require.NotContains(t, err.Error(), "pulumi state unprotect", "that would leave it without protection for good")
		preview, err := d.Preview(t.Context(), stacks.PreviewOptions{})
		require.Error(t, err)
		require.Len(t, preview.Warnings, 2, "%v", preview.Warnings)
		for _, call := range p.cloud.Calls() {
			require.Zero(t, call.N, "%+v", call)
		}
		require.Equal(t, before, diskIDs(p))
		require.Equal(t, 1, protected())
		return gate.Refused[0].URN
	}

	kind = "pd-balanced"
	reason := map[string]string{refuse("because type changes; it is protected"): "nothing is on it"}
	preview, err := d.Preview(t.Context(), stacks.PreviewOptions{Acknowledge: reason})
	require.NoError(t, err)
	require.Len(t, preview.Warnings, 1)
	require.Contains(t, preview.Warnings[0].Message, "acknowledged, so up lifts its protection")
	require.Equal(t, 1, protected(), "a preview lifts nothing")
	_, err = d.Up(t.Context(), stacks.UpOptions{Acknowledge: reason, Confirm: func(preview *stacks.Result) bool {
		require.Equal(t, 1, preview.Changes["replace"])
		return false
	}})
	require.ErrorIs(t, err, stacks.ErrDeclined)
	require.Equal(t, 1, protected(), "it is back")
	p.cloud.Inject(standin.Fault{Type: diskType, Method: "Delete", Mode: standin.FailBefore})
	_, err = d.Up(t.Context(), stacks.UpOptions{Acknowledge: reason})
	require.Error(t, err)
	require.Equal(t, before, diskIDs(p))
	require.Equal(t, 1, protected(), "it is back")
	p.cloud.ClearFaults()
	up, err := d.Up(t.Context(), stacks.UpOptions{Acknowledge: reason})
	require.NoError(t, err)
	require.Equal(t, 1, up.Changes["replace"])
	require.Equal(t, 1, protected(), "the new one is protected")

	kind, before = "", diskIDs(p)
	reason = map[string]string{refuse("deletes it; it is protected"): "nobody uses it"}
	_, err = d.Up(t.Context(), stacks.UpOptions{Acknowledge: reason})
	require.NoError(t, err)
	require.Empty(t, diskIDs(p))
}
