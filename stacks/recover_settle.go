package stacks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/deepgram-gke/deepgram-gke/internal/cloudid"
)

const (
	secretVersionType = "gcp:secretmanager/secretVersion:SecretVersion"
	commandPrefix     = "command:"
)

// settlement is what was presumed of pending operations, until the cloud is asked.
type settlement struct {
	operations []Resolved
	// replaced are entries that give way to a new one of the same URN, by URN, if the
	// new one exists.
	replaced map[string]string
}

// settle presumes of each pending create that it succeeded and enters it into the
// state under the id that it must have. The operations stay pending: a kill in
// between changes nothing.
func settle(state *apitype.DeploymentV3) *settlement {
	s := &settlement{replaced: map[string]string{}}
	for _, pending := range state.PendingOperations {
		r := pending.Resource
		resolved := Resolved{
			PendingOperation: PendingOperation{
				Operation: string(pending.Type), URN: string(r.URN), Type: string(r.Type), Name: r.URN.Name(),
			},
			ID: string(r.ID),
		}
		if pending.Type == apitype.OperationTypeCreating {
			s.presume(state, r, &resolved)
		}
		s.operations = append(s.operations, resolved)
	}
	return s
}

// presume enters a resource whose creation was under way.
func (s *settlement) presume(state *apitype.DeploymentV3, r apitype.ResourceV3, resolved *Resolved) {
	id, known := idOf(state, r)
	switch {
	case !r.Custom:
		resolved.Outcome, resolved.Note = Repeated, "it is no thing of the cloud"
		return
	case cloudid.Repeatable(string(r.Type)):
		resolved.Outcome = Repeated
		resolved.Note = "the next up says it again, which changes nothing where it is so"
		return
	case strings.HasPrefix(string(r.Type), commandPrefix):
		resolved.Outcome = Repeated
		resolved.Note = "the next up runs the command again"
		return
	case !known:
		resolved.Outcome = Unknown
		resolved.Note = "its id cannot be known before it is made; the next up makes one: look by hand whether there is one already"
		return
	}
	resolved.ID = id
	r.ID, r.Outputs, r.PendingReplacement, r.Delete = resource.ID(id), map[string]any{}, false, false
	at := len(state.Resources)
	for i := range state.Resources {
		old := &state.Resources[i]
		if old.URN != r.URN || old.Delete {
			continue
		}
		switch {
		case string(old.ID) == id && !old.PendingReplacement:
			return // entered before; or a replacement in place
		case old.PendingReplacement: // it was deleted first
			state.Resources[i] = r
			return
		}
		// Made beside the old one, which the next up then deletes.
		old.Delete, at = true, i
		s.replaced[string(r.URN)] = string(old.ID)
		break
	}
	// What it depends on comes first.
	needs := map[string]bool{r.Provider[:max(0, strings.LastIndex(r.Provider, "::"))]: true, string(r.Parent): true}
	for _, urn := range r.Dependencies {
		needs[string(urn)] = true
	}
	for i := at; i < len(state.Resources); i++ {
		if needs[string(state.Resources[i].URN)] {
			at = i + 1
		}
	}
	state.Resources = slices.Insert(state.Resources, at, r)
}

// idOf is the id that a resource must have; of what the cloud numbers, the next
// number.
func idOf(state *apitype.DeploymentV3, r apitype.ResourceV3) (string, bool) {
	if string(r.Type) != secretVersionType {
		return cloudid.Of(string(r.Type), r.Inputs, providerOf(state, r))
	}
	secret, _ := r.Inputs["secret"].(string)
	if secret == "" {
		return "", false
	}
	last := 0
	for _, other := range state.Resources {
		number, found := strings.CutPrefix(string(other.ID), secret+"/versions/")
		if n, err := strconv.Atoi(number); found && err == nil && string(other.Type) == secretVersionType {
			last = max(last, n)
		}
	}
	return fmt.Sprintf("%s/versions/%d", secret, last+1), true
}

// targets are the entries that the cloud is to be asked for.
func (s *settlement) targets() (urns []string) {
	for _, o := range s.operations {
		if o.Outcome == "" && !slices.Contains(urns, o.URN) {
			urns = append(urns, o.URN)
		}
	}
	return urns
}

// conclude reads what the cloud said, makes nothing pending any more, and lets
// what was to give way to something that does not exist stay.
func (s *settlement) conclude(state *apitype.DeploymentV3) []Resolved {
	type key struct{ urn, id string }
	there := map[key]bool{}
	byURN := map[string]bool{}
	for _, r := range state.Resources {
		there[key{string(r.URN), string(r.ID)}] = true
		byURN[string(r.URN)] = byURN[string(r.URN)] || !r.Delete
	}
	for i := range s.operations {
		o := &s.operations[i]
		if o.Outcome != "" {
			continue
		}
		creating := o.Operation == string(apitype.OperationTypeCreating)
		switch exists := there[key{o.URN, o.ID}] || !creating && byURN[o.URN]; {
		case creating && exists:
			o.Outcome, o.Note = Adopted, "it was made; the state has it now"
		case creating:
			o.Outcome, o.Note = Dropped, "it was not made; the next up makes it"
		case exists:
			o.Outcome, o.Note = Refreshed, "the state has it as it is; the next up does what is left"
		default:
			o.Outcome, o.Note = Gone, "the cloud does not have it any more"
		}
		if creating && o.Outcome == Dropped && s.replaced[o.URN] != "" {
			for j := range state.Resources {
				if r := &state.Resources[j]; string(r.URN) == o.URN && string(r.ID) == s.replaced[o.URN] {
					r.Delete = false
				}
			}
		}
	}
	state.PendingOperations = nil
	return s.operations
}
