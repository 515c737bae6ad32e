package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var today = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// obj, list and unknown write properties down.
type obj = map[string]any

type unknown struct{}

type secret struct{ v any }

func value(t testing.TB, v any) property.Value {
	t.Helper()
	switch v := v.(type) {
	case nil:
		return property.Value{}
	case unknown:
		return property.New(property.Computed)
	case secret:
		return value(t, v.v).WithSecret(true)
	case property.Value:
		return v
	case obj:
		m := map[string]property.Value{}
		for k, e := range v {
			m[k] = value(t, e)
		}
		return property.New(property.NewMap(m))
	case []any:
		var a []property.Value
		for _, e := range v {
			a = append(a, value(t, e))
		}
		return property.New(property.NewArray(a))
	case int:
		return property.New(float64(v))
	case float64:
		return property.New(v)
	case bool:
		return property.New(v)
	case string:
		return property.New(v)
	}
	require.Failf(t, "cannot write", "%T", v)
	return property.Value{}
}

// given is a resource of a test.
type given struct {
	kind, name string
	in         obj
	protect    bool
	parent     string // type chain in the URN
	under      string // URN of the parent
}

func (g given) urn() string {
	return "urn:pulumi:test::foreign::" + g.parent + g.kind + "::" + g.name
}

func (g given) analyzer(t testing.TB) policyx.AnalyzerResource {
	t.Helper()
	return policyx.AnalyzerResource{
		Type: g.kind, Name: g.name, URN: g.urn(), Properties: value(t, g.in).AsMap(), Parent: g.under, Options: pulumi.ResourceOptions{Protect: g.protect},
	}
}

// violation is what a policy reported.
type violation struct{ policy, level, urn, message string }

type collect func(message, urn string)

func (c collect) ReportViolation(message, urn string) { c(message, urn) }

// judged runs the whole pack as the engine does: each resource, then the stack.
func judged(t testing.TB, o Options, resources ...given) []violation {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return today }
	}
	o.Version = semver.MustParse("1.2.3")
	pack, err := New(o)
	require.NoError(t, err)
	resources = append([]given{{kind: stackType, name: "foreign-test", in: obj{}}}, resources...)
	var found []violation
	manager := func(p policyx.Policy, urn string) collect {
		level := map[policyx.EnforcementLevel]string{
			policyx.EnforcementLevelAdvisory: "advisory", policyx.EnforcementLevelMandatory: "mandatory",
		}[p.EnforcementLevel()]
		return func(message, on string) {
			if on == "" {
				on = urn
			}
			found = append(found, violation{p.Name(), level, on, message})
		}
	}
	var stack policyx.StackValidationArgs
	for _, g := range resources {
		a := g.analyzer(t)
		stack.Resources = append(stack.Resources, a)
		for _, p := range pack.Policies() {
			if r, ok := p.(policyx.ResourceValidationPolicy); ok && p.EnforcementLevel() != policyx.EnforcementLevelDisabled {
				require.NoError(t, r.Validate(t.Context(), policyx.ResourceValidationArgs{Manager: manager(p, a.URN), Resource: a}))
			}
		}
	}
	for _, p := range pack.Policies() {
		if s, ok := p.(policyx.StackValidationPolicy); ok && p.EnforcementLevel() != policyx.EnforcementLevelDisabled {
			stack.Manager = manager(p, "")
			require.NoError(t, s.Validate(t.Context(), stack))
		}
	}
	return found
}

// names are the policies that reported, at least at the level.
func names(found []violation, levels ...string) []string {
	all := []string{}
	for _, v := range found {
		if (len(levels) == 0 || slices.Contains(levels, v.level)) && !slices.Contains(all, v.policy) {
			all = append(all, v.policy)
		}
	}
	slices.Sort(all)
	return all
}

func messages(found []violation, policy string) string {
	var all []string
	for _, v := range found {
		if v.policy == policy {
			all = append(all, v.message)
		}
	}
	return strings.Join(all, "\n")
}

// with is a copy of an object with changes at dotted paths; a nil value removes.
func with(o, changes obj) obj {
	c := deepCopy(o).(obj)
	var order []string
	for _, removing := range []bool{false, true} {
		for _, path := range sortedKeys(changes) {
			if (changes[path] == nil) == removing {
				order = append(order, path)
			}
		}
	}
	for _, path := range order {
		at, v := c, changes[path]
		keys := strings.Split(path, "/")
		for _, k := range keys[:len(keys)-1] {
			next, ok := at[k].(obj)
			if !ok {
				next = obj{}
				at[k] = next
			}
			at = next
		}
		if v == nil {
			delete(at, keys[len(keys)-1])
			continue
		}
		at[keys[len(keys)-1]] = v
	}
	return c
}

func deepCopy(v any) any {
	switch v := v.(type) {
	case obj:
		c := obj{}
		for k, e := range v {
			c[k] = deepCopy(e)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = deepCopy(e)
		}
		return c
	}
	return v
}

// enginePool is a pool that the guide's production environment has.
func enginePool(changes obj) given {
	return given{kind: nodePoolType, name: "engine", in: with(obj{
		"name": "engine", "cluster": "c", "location": "us-central1", "nodeLocations": []any{"us-central1-a"},
		"autoscaling": obj{"totalMinNodeCount": 1, "totalMaxNodeCount": 11},
		"nodeConfig": obj{
			"machineType": "g2-standard-12", "imageType": "COS_CONTAINERD", "diskSizeGb": 100, "diskType": "pd-balanced",
			"serviceAccount": "nodes@p.iam.gserviceaccount.com",
			"labels":         obj{roleLabel: roleEngine},
			"guestAccelerators": []any{obj{
				"type": "nvidia-l4", "count": 1, "gpuDriverInstallationConfig": obj{"gpuDriverVersion": "LATEST"},
			}},
		},
	}, changes)}
}

// cpuPool is a pool of another role.
func cpuPool(role, machine string, changes obj) given {
	return given{kind: nodePoolType, name: role, in: with(obj{
		"name": role, "cluster": "c", "location": "us-central1", "nodeLocations": []any{"us-central1-a"},
		"autoscaling": obj{"totalMinNodeCount": 1, "totalMaxNodeCount": 11},
		"nodeConfig": obj{
			"machineType": machine, "imageType": "COS_CONTAINERD", "diskSizeGb": 100,
			"serviceAccount": "nodes@p.iam.gserviceaccount.com", "labels": obj{roleLabel: role},
		},
	}, changes)}
}

func TestRulesAreComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range Rules() {
		assert.Regexp(t, `^[a-z0-9]+(-[a-z0-9]+)+$`, r.Name)
		assert.False(t, seen[r.Name], "%s is there twice", r.Name)
		seen[r.Name] = true
		assert.Regexp(t, `^[GA]-`, r.Step, r.Name)
		assert.NotEmpty(t, r.Summary, r.Name)
		assert.True(t, strings.HasSuffix(r.Advice, "."), r.Name)
		assert.Contains(t, []Level{Advisory, Mandatory}, r.Level, "%s: the zero level would block nothing", r.Name)
		kinds := 0
		for _, has := range []bool{r.Resource != nil, r.Stack != nil, r.Plan != nil} {
			if has {
				kinds++
			}
		}
		assert.Equal(t, 1, kinds, "%s judges a resource, the stack or a plan", r.Name)
		assert.Equal(t, r.Resource != nil, len(r.Types) > 0, r.Name)
		assert.Contains(t, r.Example, "(guide "+r.Step+")", r.Name)
		for _, s := range r.Settings {
			assert.NotEmpty(t, s.Help, r.Name)
			assert.Empty(t, s.check(s.Default), "%s.%s: its default must be allowed", r.Name, s.Name)
		}
	}
}

func TestLevelsAreReallyApplied(t *testing.T) {
	t.Parallel()
	small := enginePool(obj{"nodeConfig/machineType": "g2-standard-4"})
	for _, row := range []struct {
		levels map[string]string
		want   string
	}{
		{nil, "mandatory"},
		{map[string]string{"engine-node-has-memory": "advisory"}, "advisory"},
		{map[string]string{"all": "advisory"}, "advisory"},
		{map[string]string{"all": "advisory", "engine-node-has-memory": "mandatory"}, "mandatory"},
		{map[string]string{"engine-node-has-memory": "disabled"}, ""},
	} {
		var level string
		for _, v := range judged(t, Options{Config: Config{Levels: row.levels}}, small) {
			if v.policy == "engine-node-has-memory" {
				level = v.level
			}
		}
		assert.Equal(t, row.want, level, fmt.Sprint(row.levels))
	}
}
