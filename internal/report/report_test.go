package report

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/require"
)

const (
	stackURN = "urn:pulumi:dev::deepgram-stack::pulumi:pulumi:Stack::deepgram-stack-dev"
	partURN  = "urn:pulumi:dev::deepgram-stack::deepgram:index:ModelVolume::models"
	diskURN  = "urn:pulumi:dev::deepgram-stack::deepgram:index:ModelVolume$gcp:compute/disk:Disk::models-disk"
)

func pre(op apitype.OpType, urn, kind, parent string, custom bool) events.EngineEvent {
	return events.EngineEvent{EngineEvent: apitype.EngineEvent{ResourcePreEvent: &apitype.ResourcePreEvent{
		Metadata: apitype.StepEventMetadata{Op: op, URN: urn, Type: kind, New: &apitype.StepEventStateMetadata{
			Parent: parent, Custom: custom, Protect: custom,
		}},
	}}}
}

func out(op apitype.OpType, urn string) events.EngineEvent {
	return events.EngineEvent{EngineEvent: apitype.EngineEvent{ResOutputsEvent: &apitype.ResOutputsEvent{
		Metadata: apitype.StepEventMetadata{Op: op, URN: urn},
	}}}
}

func TestTreeShowsComponentsStatesAndTimes(t *testing.T) {
	t.Parallel()
	o := NewOperation("up", nil)
	clock := time.Unix(0, 0)
	o.now = func() time.Time { clock = clock.Add(500 * time.Millisecond); return clock }
	o.Handle(pre("create", diskURN, "gcp:compute/disk:Disk", partURN, true))
	o.Handle(pre("create", partURN, "deepgram:index:ModelVolume", stackURN, false))
	o.Handle(pre("create", stackURN, "pulumi:pulumi:Stack", "", false))
	o.Handle(pre("create", "urn:pulumi:dev::p::pulumi:providers:gcp::default", "pulumi:providers:gcp", "", true))
	o.Handle(out("create", diskURN))
	var b bytes.Buffer
	require.NoError(t, Tree(&b, o.Resources(), false, Style{Width: 90}))
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	require.Len(t, lines, 3, b.String())
	require.Regexp(t, `^◆ Stack  dev`, lines[0])
	require.Regexp(t, `^└─◆ ModelVolume  models +2\.0s$`, lines[1])
	require.Regexp(t, `^  └─\+ compute Disk  models-disk protected +created +2\.0s$`, lines[2])
	for _, line := range lines {
		require.LessOrEqual(t, columns(line), 90)
	}
}

func TestReplacementIsOneWordAndNamesItsCause(t *testing.T) {
	t.Parallel()
	o := NewOperation("preview", nil)
	for _, op := range []apitype.OpType{"create-replacement", "replace", "delete-replaced"} {
		e := pre(op, diskURN, "gcp:compute/disk:Disk", "", true)
		e.ResourcePreEvent.Metadata.Keys = []string{"zone"}
		o.Handle(e)
	}
	require.Len(t, o.Resources(), 1)
	require.Equal(t, "replace", o.Resources()[0].Op)
	var b bytes.Buffer
	require.NoError(t, Tree(&b, o.Resources(), true, Style{}))
	require.Contains(t, b.String(), "to replace")
	require.Contains(t, b.String(), "forced by zone")
}

func TestMessagesAreRedactedAndPlain(t *testing.T) {
	t.Parallel()
	o := NewOperation("up", func(s string) string { return strings.ReplaceAll(s, "canary", "[secret]") })
	o.Handle(events.EngineEvent{EngineEvent: apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{
		Severity: "error", Message: "<{%fg 9%}>bad canary<{%reset%}>\n",
	}}})
	require.Equal(t, "bad [secret]", o.Errors()[0].Message)
}

func TestChangesAndStepLine(t *testing.T) {
	t.Parallel()
	o := NewOperation("second-up", nil)
	o.Handle(events.EngineEvent{EngineEvent: apitype.EngineEvent{SummaryEvent: &apitype.SummaryEvent{
		ResourceChanges: map[apitype.OpType]int{"same": 40},
	}}})
	o.Finish(nil)
	require.Zero(t, o.Changed())
	require.Contains(t, StepLine(o), "nothing to change")

	o.Handle(events.EngineEvent{EngineEvent: apitype.EngineEvent{SummaryEvent: &apitype.SummaryEvent{
		ResourceChanges: map[apitype.OpType]int{"same": 40, "update": 1, "create-replacement": 2},
	}}})
	require.Equal(t, 3, o.Changed())
	require.Equal(t, "1 updated, 2 replaced, 40 unchanged", Counts(o.Changes(), false))
}

func TestShortType(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{
		"gcp:compute/disk:Disk":                        "compute Disk",
		"gcp:serviceaccount/account:Account":           "serviceaccount Account",
		"kubernetes:core/v1:Secret":                    "Secret",
		"kubernetes:helm.sh/v3:Release":                "Helm Release",
		"kubernetes:cloud.google.com/v1:BackendConfig": "BackendConfig",
		"deepgram:index:Registry":                      "Registry",
		"pulumi:pulumi:Stack":                          "Stack",
	} {
		require.Equal(t, want, ShortType(token), token)
	}
}

func TestFindingsAreGroupedAndWrapped(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	Findings(&b, []Violation{
		{Policy: "limits-fit", Level: "advisory", Message: "A limit above the node is never reached\nthe API is limited to 4 cores, and its node leaves 3.92"},
		{Policy: "gpu", Level: "mandatory", Message: "GPUs need memory\nno GPU"},
		{Policy: "limits-fit", Level: "advisory", Message: "A limit above the node is never reached\nthe proxy"},
	}, Style{Width: 60})
	require.Equal(t, `
policy findings
  mandatory  gpu
             GPUs need memory
             • no GPU
  advisory   limits-fit
             A limit above the node is never reached
             • the API is limited to 4 cores, and its node
               leaves 3.92
             • the proxy
`, b.String())
}
