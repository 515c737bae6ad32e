package report

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files again")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

const (
	releaseURN = "urn:pulumi:prod-omi::deepgram-stack::deepgram:index:DeepgramRelease$kubernetes:helm.sh/v3:Release::deepgram-release"
	prodDisk   = "urn:pulumi:prod-omi::deepgram-stack::deepgram:index:ModelVolume$gcp:compute/disk:Disk::models-disk"
	prodPart   = "urn:pulumi:prod-omi::deepgram-stack::deepgram:index:ModelVolume::models"
	prodDG     = "urn:pulumi:prod-omi::deepgram-stack::deepgram:index:DeepgramRelease::deepgram"
	prodStack  = "urn:pulumi:prod-omi::deepgram-stack::pulumi:pulumi:Stack::deepgram-stack-prod-omi"
)

// step is one step of a preview as the engine tells it.
type step struct {
	op, urn, kind, parent string
	component             bool
	old, new              map[string]any
	keys, diffs           []string
	detailed              map[string]apitype.DiffKind
	protect, retain       bool
}

func (s step) event() events.EngineEvent {
	m := apitype.StepEventMetadata{Op: apitype.OpType(s.op), URN: s.urn, Type: s.kind, Keys: s.keys, Diffs: s.diffs}
	state := func(in map[string]any) *apitype.StepEventStateMetadata {
		return &apitype.StepEventStateMetadata{
			Parent: s.parent, Custom: !s.component, Inputs: in, Protect: s.protect, RetainOnDelete: s.retain,
		}
	}
	if s.old != nil {
		m.Old = state(s.old)
	}
	if s.new != nil {
		m.New = state(s.new)
	}
	if s.detailed != nil {
		m.DetailedDiff = map[string]apitype.PropertyDiff{}
		for path, kind := range s.detailed {
			m.DetailedDiff[path] = apitype.PropertyDiff{Kind: kind}
		}
	}
	return events.EngineEvent{EngineEvent: apitype.EngineEvent{ResourcePreEvent: &apitype.ResourcePreEvent{Metadata: m}}}
}

type m = map[string]any

func preview(steps ...step) *Operation {
	o := NewOperation("preview", nil)
	for _, s := range steps {
		o.Handle(s.event())
	}
	return o
}

func sampleSteps() []step {
	disk := m{"name": "prod-omi-deepgram-model-storage", "size": 200.0, "type": "pd-ssd", "zone": "us-central1-a"}
	moved := m{"name": "prod-omi-deepgram-model-storage", "size": 200.0, "type": "pd-ssd", "zone": "us-central1-b"}
	return []step{
		{op: "same", urn: prodStack, kind: "pulumi:pulumi:Stack", component: true, old: m{}, new: m{}},
		{op: "same", urn: prodPart, kind: "deepgram:index:ModelVolume", parent: prodStack, component: true, old: m{}, new: m{}},
		{op: "same", urn: prodDG, kind: "deepgram:index:DeepgramRelease", parent: prodStack, component: true, old: m{}, new: m{}},
		{
			op: "create-replacement", urn: prodDisk, kind: "gcp:compute/disk:Disk", parent: prodPart,
			old: disk, new: moved, keys: []string{"zone"}, protect: true,
		},
		{op: "replace", urn: prodDisk, kind: "gcp:compute/disk:Disk", parent: prodPart, old: disk, new: moved, keys: []string{"zone"}, protect: true},
		{
			op: "update", urn: releaseURN, kind: "kubernetes:helm.sh/v3:Release", parent: prodDG,
			old:   m{"name": "deepgram", "version": "0.41.1", "values": m{"engine": m{"image": m{"tag": "release-260728"}}}},
			new:   m{"name": "deepgram", "version": "0.42.0", "values": m{"engine": m{"image": m{"tag": "release-260812"}}}},
			diffs: []string{"values", "version"},
		},
		{
			op: "update", urn: prodDG + "$kubernetes:core/v1:Secret::dg-self-hosted-api-key", kind: "kubernetes:core/v1:Secret", parent: prodDG,
			old:      m{"metadata": m{"name": "dg-self-hosted-api-key"}, "stringData": "[secret]"},
			new:      m{"metadata": m{"name": "dg-self-hosted-api-key"}, "stringData": "[secret]"},
			detailed: map[string]apitype.DiffKind{"stringData.DEEPGRAM_API_KEY": "update"},
		},
		{
			op: "create", urn: prodDG + "$kubernetes:core/v1:ConfigMap::alerts", kind: "kubernetes:core/v1:ConfigMap", parent: prodDG,
			new: m{"metadata": m{"name": "deepgram-alerts"}, "data": m{"rules.yaml": "groups:\n- name: deepgram\n  rules: []\n", "zone": unknown}},
		},
		{
			op: "same", urn: prodDG + "$kubernetes:core/v1:Namespace::deepgram", kind: "kubernetes:core/v1:Namespace", parent: prodDG,
			old: m{"metadata": m{"name": "deepgram"}}, new: m{"metadata": m{"name": "deepgram"}},
		},
	}
}

func sampleInput() PlanInput {
	figures := func(most int, cost float64) *CapacityFigures {
		return &CapacityFigures{
			Engines: Range{2, most}, StreamsPerPod: 30, Streams: Range{60, 30 * most}, GPUs: Range{1, most + 1}, GPUTypes: []string{"nvidia-l4"},
			Nodes: Range{3, most + 15}, MonthlyMin: 1403.4, MonthlyMax: cost,
			Items: []CostItem{
				{Name: "engine-pool", What: fmt.Sprintf("1–%d × g2-standard-12", most+1), Min: 740.5, Max: cost - 600},
				{Name: "prod-omi-deepgram-model-storage", What: "disk of 200 GB, pd-ssd", Min: 34, Max: 34},
				{Name: "odd", What: "1 × x9-huge", Unpriced: true},
			},
		}
	}
	return PlanInput{
		Operation: preview(sampleSteps()...), Command: "preview", Project: "deepgram-stack", Stack: "prod-omi",
		Commit: "4f3c2b1a9e8d7c6b5a49382716051423a2b3c4d5", Time: time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC),
		Versions: Versions{CLI: "v3.259.0", Library: "1.3.0", Chart: "0.42.0"},
		Violations: []Violation{
			{
				Policy: "stateful-is-kept", Level: "mandatory", URN: prodDisk,
				Message: "A plan that replaces or deletes models disk, journal storage, bucket or cluster needs an acknowledgement\n" +
					`Disk "models-disk": the plan replaces it, because zone changes; needed: an acknowledgement that names its URN (guide G-S.1).`,
			},
			{
				Policy: "limits-fit", Level: "advisory", URN: releaseURN,
				Message: "A limit above the node is never reached\nthe API is limited to 4 cores, and its node leaves 3.92",
			},
		},
		Charts: []ChartDiff{{
			Release: "deepgram", Namespace: "deepgram", Rendered: true, Unchanged: 93, Relabelled: 18,
			Old: ChartSource{Name: "deepgram-self-hosted", Version: "0.41.1", From: "https://deepgram.github.io/self-hosted-resources"},
			New: ChartSource{Name: "deepgram-self-hosted", Version: "0.42.0", From: "https://deepgram.github.io/self-hosted-resources"},
			Objects: []ObjectChange{
				{
					APIVersion: "v1", Kind: "ConfigMap", Name: "deepgram-api-config", Change: Changed,
					Fields: []FieldChange{{
						Path: `data["api.toml"]`, Change: Changed,
						Old: "redact_usage = true\nlisten_v2 = false\n\n[[driver_pool.standard]]\n",
						New: "redact_usage = true\nlisten_v2 = false\nspeak_v2 = false\n\n[[driver_pool.standard]]\n",
					}},
				},
				{
					APIVersion: "apps/v1", Kind: "Deployment", Name: "deepgram-engine", Change: Changed, Effect: "its pods are replaced",
					Fields: []FieldChange{
						{
							Path: "spec.template.spec.containers[deepgram-engine].image", Change: Changed,
							Old: "quay.io/deepgram/self-hosted-engine:release-260728", New: "quay.io/deepgram/self-hosted-engine:release-260812",
						},
						{Path: "spec.template.spec.containers[deepgram-engine].env[API_TOKEN].value", Change: Changed, Old: "a", New: "b"},
					},
				},
				{APIVersion: "v1", Kind: "PersistentVolumeClaim", Name: "old-models", Change: Removed, Effect: "the volume goes with it"},
			},
		}},
		Capacity: &Capacity{
			Old: figures(10, 9310.7), New: figures(20, 17320.2),
			Prices: PriceSource{Date: "2026-06-22", Region: "us-central1", From: "Google's list prices"},
			Notes:  []string{"the price table has no price for x9-huge: odd is not in the sum"},
		},
	}
}

func TestReportOfAPlan(t *testing.T) {
	t.Parallel()
	p := NewPlan(sampleInput())
	golden(t, "plan.md", p.Markdown(GitHubLimit, ""))
	var b strings.Builder
	require.NoError(t, p.Text(&b, Style{Width: 100}))
	golden(t, "plan.txt", b.String())
	text, err := p.JSON()
	require.NoError(t, err)
	golden(t, "plan.json", string(text))
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	disk := func(op string) step {
		return step{op: op, urn: prodDisk, kind: "gcp:compute/disk:Disk", old: m{"zone": "a"}, new: m{"zone": "b"}, keys: []string{"zone"}}
	}
	secret := func(op string) step {
		return step{op: op, urn: prodDG + "$x::s", kind: "kubernetes:core/v1:Secret", old: m{"a": 1.0}, new: m{"a": 2.0}}
	}
	claim := func(name string) step {
		return step{op: "delete", urn: "urn:pulumi:s::p::kubernetes:core/v1:PersistentVolumeClaim::" + name, kind: "kubernetes:core/v1:PersistentVolumeClaim", old: m{}}
	}
	mandatory := Violation{Policy: "p", Level: "mandatory", Message: "no"}
	advisory := Violation{Policy: "p", Level: "advisory", Message: "hm"}
	for name, c := range map[string]struct {
		steps    []step
		found    []Violation
		err      error
		want     Verdict
		headline string
	}{
		"nothing":               {[]step{secret("same")}, nil, nil, VerdictNoChange, "No change"},
		"no resources":          {nil, nil, nil, VerdictNoChange, "No change"},
		"advice alone":          {[]step{secret("same")}, []Violation{advisory}, nil, VerdictNoChange, "No change"},
		"update":                {[]step{secret("update")}, []Violation{advisory}, nil, VerdictSafe, "Safe: nothing stateful is replaced or deleted"},
		"disk grows":            {[]step{disk("update")}, nil, nil, VerdictSafe, "Safe: nothing stateful is replaced or deleted"},
		"other replaced":        {[]step{secret("replace")}, nil, nil, VerdictSafe, "Safe: nothing stateful is replaced or deleted"},
		"loader's claim":        {[]step{claim("loader")}, nil, nil, VerdictSafe, "Safe: nothing stateful is replaced or deleted"},
		"journal's claim":       {[]step{claim("journal")}, nil, nil, VerdictDestructive, "Replaces or deletes 1 stateful resource"},
		"disk replaced":         {[]step{disk("create-replacement"), disk("replace"), disk("delete-replaced")}, nil, nil, VerdictDestructive, "Replaces or deletes 1 stateful resource"},
		"policy":                {[]step{secret("update")}, []Violation{mandatory, advisory}, nil, VerdictPolicy, "Refused by policy: 1 mandatory finding"},
		"policy and disk":       {[]step{disk("replace")}, []Violation{mandatory}, nil, VerdictPolicy, "Refused by policy: 1 mandatory finding; replaces or deletes 1 stateful resource"},
		"policy's error":        {[]step{secret("update")}, []Violation{mandatory}, errors.New("exit 255"), VerdictPolicy, "Refused by policy: 1 mandatory finding"},
		"failed":                {[]step{secret("update")}, nil, errors.New("boom"), VerdictFailed, "The preview failed, and does not show everything"},
		"failed after a disk":   {[]step{disk("replace")}, nil, errors.New("boom"), VerdictFailed, "The preview failed, and does not show everything; replaces or deletes 1 stateful resource"},
		"disabled finding":      {nil, []Violation{{Policy: "p", Level: "disabled"}}, nil, VerdictNoChange, "No change"},
		"the engine's provider": {[]step{{op: "update", urn: "u", kind: "pulumi:providers:gcp", old: m{}, new: m{}}}, nil, nil, VerdictNoChange, "No change"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := NewPlan(PlanInput{Operation: preview(c.steps...), Violations: c.found, Err: c.err, Stack: "s"})
			require.Equal(t, c.want, p.Verdict)
			require.Equal(t, c.headline, p.Headline)
			require.True(t, strings.HasPrefix(p.Markdown(GitHubLimit, ""), "## "+marks[c.want]+" <code>s</code>: "))
		})
	}
}

func TestPreviewThatNeverBegan(t *testing.T) {
	t.Parallel()
	p := NewPlan(PlanInput{Stack: "s", Err: errors.New("the backend cannot be reached")})
	require.Equal(t, VerdictFailed, p.Verdict)
	require.Contains(t, p.Markdown(GitHubLimit, ""), "the backend cannot be reached")
	require.Equal(t, VerdictFailed, NewPlan(PlanInput{}).Verdict)
}

func TestRehearsalIsSaidLoudly(t *testing.T) {
	t.Parallel()
	p := NewPlan(PlanInput{Operation: preview(), Stack: "s", Rehearsed: true})
	require.Regexp(t, `^## .*\n\n> \[!WARNING\]\n> \*\*This is a rehearsal\.\*\*`, p.Markdown(GitHubLimit, ""))
	var b strings.Builder
	require.NoError(t, p.Text(&b, Style{}))
	require.True(t, strings.HasPrefix(b.String(), "REHEARSAL"))
	require.NotContains(t, NewPlan(PlanInput{Operation: preview(), Stack: "s"}).Markdown(GitHubLimit, ""), "rehearsal")
}

func TestFindingsCountOnce(t *testing.T) {
	t.Parallel()
	o := preview()
	v := Violation{Policy: "p", Level: "mandatory", URN: "u", Message: "no"}
	o.Judged([]Violation{v})
	p := NewPlan(PlanInput{Operation: o, Violations: []Violation{v, {Policy: "q", Level: "mandatory", URN: "u", Message: "no"}}})
	require.Len(t, p.Policy, 2)
}

func TestOrderOfTheReport(t *testing.T) {
	t.Parallel()
	text := NewPlan(sampleInput()).Markdown(GitHubLimit, "")
	last := -1
	for _, part := range []string{
		"Refused by policy", "### Stateful", "forced", "### Changes by component", "### Policy findings", "### Chart ",
		"### Capacity and cost", "### Full diff", "v3.259.0", "4f3c2b1a",
	} {
		at := strings.Index(strings.ToLower(text), strings.ToLower(part))
		require.Greater(t, at, last, part)
		if part != "forced" {
			last = at
		}
	}
	full := text[strings.Index(text, "### Full diff"):]
	assert.Contains(t, full, "<details><summary>", "the full diff is collapsed")
	assert.Contains(t, text, "List prices in US dollars of 2026-06-22")
}
