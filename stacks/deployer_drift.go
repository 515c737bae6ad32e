package stacks

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"

	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// DriftNote says what a comparison with the cloud cannot see.
const DriftNote = "Compared is what the stack manages, in the properties that its program sets: " +
	"roles, firewall rules, objects or settings that somebody added by hand are not seen."

// RefreshOptions change a refresh.
type RefreshOptions struct {
	// ForgetPending takes operations of which nobody knows how they ended for not
	// done. What was made all the same is then nobody's: look first.
	ForgetPending bool
}

// Difference is something in the cloud that is not as the stack has it.
type Difference struct {
	URN  string `json:"urn"`
	Type string `json:"type"`
	Name string `json:"name"`
	// Gone tells that it does not exist any more.
	Gone bool `json:"gone,omitempty"`
	// Fields are the properties that differ; empty where it is gone.
	Fields []FieldDifference `json:"fields,omitempty"`
}

// FieldDifference is one property: what the stack has and what the cloud has.
// Secrets are shown as [secret].
type FieldDifference struct {
	Path  string `json:"path"`
	Stack any    `json:"stack,omitempty"`
	Cloud any    `json:"cloud,omitempty"`
}

// String is the difference on one line.
func (d Difference) String() string {
	text := report.ShortType(d.Type) + " " + d.Name
	if d.Gone {
		return text + ": is gone"
	}
	fields := make([]string, 0, len(d.Fields))
	for _, f := range d.Fields {
		fields = append(fields, fmt.Sprintf("%s is %s, and the stack has %s", f.Path, Brief(f.Cloud), Brief(f.Stack)))
	}
	return text + ": " + strings.Join(fields, "; ")
}

// Brief is a value on one line, shortened.
func Brief(value any) string {
	if value == nil {
		return "not set"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "?"
	}
	if len(text) > 80 {
		return string([]rune(string(text))[:min(77, len([]rune(string(text))))]) + "…"
	}
	return string(text)
}

// Drift compares the stack with the cloud and changes neither. Where they differ
// the error is a *ChangesError, and Result.Differences has the whole of it. See
// DriftNote for what it cannot see.
func (d *Deployer) Drift(ctx context.Context) (*Result, error) {
	result, err := d.compare(ctx, "drift", RefreshOptions{})
	if err == nil && len(result.Differences) > 0 {
		e := &ChangesError{Where: "the cloud differs from stack " + d.o.Stack}
		for _, difference := range result.Differences {
			e.What = append(e.What, difference.String())
		}
		err = e
		result.record.Finish(err)
	}
	if result != nil {
		d.ended(result, err)
	}
	return result, err
}

// Refresh writes into the state what the cloud has. It changes nothing in the
// cloud; the next Up puts it right.
func (d *Deployer) Refresh(ctx context.Context, o RefreshOptions) (*Result, error) {
	release, err := d.alone()
	if err != nil {
		return nil, err
	}
	defer release()
	result, err := d.compare(ctx, "refresh", o)
	if result != nil {
		d.ended(result, err)
	}
	return result, err
}

func (d *Deployer) compare(ctx context.Context, name string, o RefreshOptions) (*Result, error) {
	ctx, stack, leave, err := d.enter(ctx, toRead)
	if err != nil {
		return nil, err
	}
	defer leave()
	file, err := d.configFile()
	if err != nil {
		return nil, fmt.Errorf("preparing the configuration: %w", err)
	}
	var found []Difference
	result, err := d.run(ctx, name, 0, func(ctx context.Context, channel chan<- events.EngineEvent) error {
		options := []optrefresh.Option{
			optrefresh.EventStreams(channel), optrefresh.SuppressOutputs(), optrefresh.ShowSecrets(false),
		}
		if file != "" {
			options = append(options, optrefresh.ConfigFile(file))
		}
		if o.ForgetPending {
			options = append(options, optrefresh.ClearPendingCreates())
		}
		if name == "drift" {
			_, err := stack.PreviewRefresh(ctx, options...)
			return err
		}
		_, err := stack.Refresh(ctx, options...)
		return err
	}, func(event events.EngineEvent) {
		if difference, differs := d.difference(event); differs {
			found = append(found, difference)
		}
	})
	slices.SortFunc(found, func(a, b Difference) int { return strings.Compare(a.URN, b.URN) })
	result.Differences = found
	return result, err
}

// difference is what a step of a refresh found.
func (d *Deployer) difference(event events.EngineEvent) (Difference, bool) {
	if event.ResOutputsEvent == nil {
		return Difference{}, false
	}
	m := event.ResOutputsEvent.Metadata
	found := Difference{URN: m.URN, Type: m.Type, Name: report.NameOf(m.URN)}
	switch {
	case m.Op == "delete" || m.Op == "refresh" && m.New == nil && m.Old != nil:
		found.Gone = true
		return found, true
	case m.Op != "update" || m.Old == nil || m.New == nil:
		return found, false
	}
	found.Fields = d.fields("", m.Old.Outputs, m.New.Outputs)
	if len(found.Fields) == 0 {
		found.Fields = d.fields("", m.Old.Inputs, m.New.Inputs)
	}
	if len(found.Fields) == 0 { // secrets, which the engine shows on neither side
		for _, path := range slices.Sorted(maps.Keys(m.DetailedDiff)) {
			found.Fields = append(found.Fields, FieldDifference{Path: path, Stack: engine.Hidden, Cloud: engine.Hidden})
		}
	}
	return found, true
}

// fields compares two decoded objects. Where one is a secret the engine shows
// neither, so that only the path is told.
func (d *Deployer) fields(path string, old, now any) (list []FieldDifference) {
	before, isMap := old.(map[string]any)
	after, bothMaps := now.(map[string]any)
	if isMap && bothMaps {
		keys := map[string]bool{}
		for key := range before {
			keys[key] = true
		}
		for key := range after {
			keys[key] = true
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if strings.HasPrefix(key, "__") {
				continue
			}
			at := key
			if path != "" {
				at = path + "." + key
			}
			list = append(list, d.fields(at, before[key], after[key])...)
		}
		return list
	}
	if reflect.DeepEqual(old, now) {
		return nil
	}
	return []FieldDifference{{Path: path, Stack: engine.RedactAll(d.hide, old), Cloud: engine.RedactAll(d.hide, now)}}
}
