package stacks

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// protectedURN is what the engine will not replace or delete, in its message.
var protectedURN = regexp.MustCompile(`(?s)resource "(urn:pulumi:[^"]+)".*(?:marked for protection|because it is protected)`)

// locked finds the protected resources that made the engine fail a preview, which
// it shows to its end all the same. It finds none where something else failed,
// too: that has to be told first.
func locked(record *Operation) (urns []string) {
	for _, d := range engine.WithoutEchoes(record.Errors()) {
		found := protectedURN.FindStringSubmatch(d.Message)
		if found == nil {
			return nil
		}
		if !slices.Contains(urns, found[1]) {
			urns = append(urns, found[1])
		}
	}
	slices.Sort(urns)
	return urns
}

// unlock takes the engine's failure out of a preview: whether protection falls is
// the gate's to say, in words that lead to a decision.
func unlock(result *Result, urns []string, acknowledged map[string]string) []Refusal {
	byURN := map[string]Resource{}
	for _, r := range result.Resources {
		byURN[r.URN] = r
	}
	things := make([]Refusal, 0, len(urns))
	for _, urn := range urns {
		r, known := byURN[urn]
		if !known || r.Op == "same" {
			u := resource.URN(urn)
			r.URN, r.Type, r.Name, r.Op = urn, string(u.Type()), u.Name(), "replace"
		}
		text := why(r) + "; it is protected"
		if r.Retain {
			text += ", and what it was stays in the cloud"
		}
		things = append(things, Refusal{URN: urn, Type: r.Type, Name: shown(r), Why: text})
	}
	result.record.Reword(func(d report.Diagnostic) (string, bool) {
		if engine.IsEcho(d.Message) {
			return "", true
		}
		found := protectedURN.FindStringSubmatch(d.Message)
		if found == nil {
			return "", false
		}
		i := slices.IndexFunc(things, func(t Refusal) bool { return t.URN == found[1] })
		what := "; up needs an acknowledgement"
		if acknowledged[found[1]] != "" {
			what = "; acknowledged, so up lifts its protection for that"
		}
		return report.ShortType(things[i].Type) + " " + things[i].Name + ": " + things[i].Why + what, true
	})
	result.record.Finish(nil)
	result.Warnings = result.record.Warnings()
	return things
}

// lift takes the protection off the things that were acknowledged, for one update.
// restore gives it back to those that are there still: after an update that was
// declined or that failed. An update that succeeds protects by itself what it made.
func (d *Deployer) lift(ctx context.Context, things []Refusal, acknowledged map[string]string) (restore func() error, err error) {
	those := map[string]string{}
	for _, thing := range things {
		those[thing.URN] = acknowledged[thing.URN]
	}
	before, err := d.state(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.unprotect(ctx, those); err != nil {
		return nil, err
	}
	n := &narrator{d: d, name: "up"}
	for _, thing := range things {
		n.tell(Event{Kind: EventDiagnostic, Diagnostic: &DiagnosticEvent{
			Severity: "warning", URN: thing.URN, Message: "its protection is lifted for this update: " + those[thing.URN],
		}})
	}
	return func() error {
		err := d.changeState(context.WithoutCancel(ctx), func(state *apitype.DeploymentV3) (changed bool) {
			return protectAgain(state, before, those)
		})
		if err != nil {
			return fmt.Errorf("protecting again what is there still: %w", err)
		}
		return nil
	}, nil
}

// protectAgain gives the protection that things had before to those that are the
// same still.
func protectAgain(state, before *apitype.DeploymentV3, urns map[string]string) (changed bool) {
	for i := range state.Resources {
		r := &state.Resources[i]
		j := slices.IndexFunc(before.Resources, func(old apitype.ResourceV3) bool {
			return old.URN == r.URN && old.ID == r.ID && !old.Delete
		})
		if _, lifted := urns[string(r.URN)]; !lifted || r.Delete || j < 0 {
			continue
		}
		old := before.Resources[j]
		if old.Protect != r.Protect {
			r.Protect, changed = old.Protect, true
		}
		if deletionProtected(&old) && !deletionProtected(r) {
			protectDeletion(r, true)
			changed = true
		}
	}
	return changed
}
