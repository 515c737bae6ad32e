package stacks

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/stretchr/testify/require"
)

const (
	testProvider = "urn:pulumi:s::p::pulumi:providers:gcp::default_7_38_0"
	testDisk     = "urn:pulumi:s::p::gcp:compute/disk:Disk::models"
)

func testState(resources []apitype.ResourceV3, pending ...apitype.OperationV2) *apitype.DeploymentV3 {
	provider := apitype.ResourceV3{
		URN: testProvider, Type: "pulumi:providers:gcp", ID: "1", Custom: true,
		Inputs: map[string]any{"project": "acme", "zone": "us-central1-a"},
	}
	return &apitype.DeploymentV3{Resources: append([]apitype.ResourceV3{provider}, resources...), PendingOperations: pending}
}

func creating(typ, name string, inputs map[string]any) apitype.OperationV2 {
	return apitype.OperationV2{Type: apitype.OperationTypeCreating, Resource: apitype.ResourceV3{
		URN: resource.URN("urn:pulumi:s::p::" + typ + "::" + name), Type: tokens.Type(typ), Custom: true, Inputs: inputs,
		Provider: testProvider + "::1",
	}}
}

func diskNamed(name string) apitype.OperationV2 {
	return creating("gcp:compute/disk:Disk", "models", map[string]any{"name": name})
}

func ids(state *apitype.DeploymentV3) map[string]bool {
	found := map[string]bool{}
	for _, r := range state.Resources[1:] {
		found[string(r.ID)] = r.Delete
	}
	return found
}

func TestSettleAPlainCreate(t *testing.T) {
	t.Parallel()
	const id = "projects/acme/zones/us-central1-a/disks/d"
	state := testState(nil, diskNamed("d"))
	s := settle(state)
	require.Equal(t, map[string]bool{id: false}, ids(state))
	require.Len(t, state.PendingOperations, 1, "a kill from here on loses nothing")
	require.Equal(t, []string{testDisk}, s.targets())

	again := settle(state)
	require.Equal(t, map[string]bool{id: false}, ids(state), "once is enough")
	require.Equal(t, []string{testDisk}, again.targets())

	require.Equal(t, Adopted, again.conclude(state)[0].Outcome)
	require.Empty(t, state.PendingOperations)

	state.Resources = state.Resources[:1] // what a refresh does with a thing that is not there
	require.Equal(t, Dropped, s.conclude(state)[0].Outcome)
}

func TestSettleAReplacement(t *testing.T) {
	t.Parallel()
	old := apitype.ResourceV3{URN: testDisk, Type: "gcp:compute/disk:Disk", Custom: true, ID: "projects/acme/zones/us-central1-a/disks/old"}
	const made = "projects/acme/zones/us-central1-a/disks/new"

	state := testState([]apitype.ResourceV3{old}, diskNamed("new"))
	s := settle(state)
	require.Equal(t, map[string]bool{string(old.ID): true, made: false}, ids(state), "the next up deletes the old one")
	require.Equal(t, resource.URN(testProvider), state.Resources[0].URN, "what it depends on stays before it")
	require.Equal(t, Adopted, s.conclude(state)[0].Outcome)

	state = testState([]apitype.ResourceV3{old}, diskNamed("new"))
	s = settle(state)
	state.Resources = append(state.Resources[:1], apitype.ResourceV3{URN: old.URN, Type: old.Type, Custom: true, ID: old.ID, Delete: true})
	require.Equal(t, Dropped, s.conclude(state)[0].Outcome)
	require.Equal(t, map[string]bool{string(old.ID): false}, ids(state), "the old one gives way to nothing, so it stays")

	gone := old
	gone.PendingReplacement = true
	state = testState([]apitype.ResourceV3{gone}, diskNamed("new"))
	settle(state)
	require.Equal(t, map[string]bool{made: false}, ids(state), "it was deleted first")
}

func TestSettleWhatHasNoKnownID(t *testing.T) {
	t.Parallel()
	version := apitype.ResourceV3{
		URN: "urn:pulumi:s::p::gcp:secretmanager/secretVersion:SecretVersion::other", Custom: true,
		Type: secretVersionType, ID: "projects/acme/secrets/s/versions/4",
	}
	state := testState([]apitype.ResourceV3{version},
		creating("command:local:Command", "mirror", nil),
		creating("gcp:projects/iAMMember:IAMMember", "role", map[string]any{"role": "r"}),
		creating("gcp:compute/disk:Disk", "unnamed", map[string]any{}),
		creating(secretVersionType, "version", map[string]any{"secret": "projects/acme/secrets/s"}),
		apitype.OperationV2{Type: apitype.OperationTypeUpdating, Resource: version},
		apitype.OperationV2{Type: apitype.OperationTypeDeleting, Resource: apitype.ResourceV3{URN: testDisk, ID: "gone", Custom: true}},
	)
	s := settle(state)
	var outcomes []string
	for _, o := range s.conclude(state) {
		outcomes = append(outcomes, o.Outcome)
	}
	require.Equal(t, []string{Repeated, Repeated, Unknown, Adopted, Refreshed, Gone}, outcomes)
	require.Equal(t, "projects/acme/secrets/s/versions/5", s.operations[3].ID, "the cloud counts on")
}
