package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// everything is one resource of every kind that a rule looks at.
func everything() []given {
	return append(goodStack(
		ingress("gce-internal", nil), apiService(nil), backend(86400),
		given{kind: firewallType, name: "f", in: obj{"allows": []any{obj{"protocol": "tcp"}}, "sourceRanges": []any{"10.0.0.0/8"}, "direction": "INGRESS"}},
		given{kind: certificateTypes[0], name: "c", in: obj{"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}},
		given{kind: "gcp:projects/iAMMember:IAMMember", name: "m", in: obj{"role": "roles/container.defaultNodeServiceAccount", "member": "serviceAccount:a@b.c"}},
		given{kind: secretType, name: "s", in: obj{"stringData": secret{obj{"DEEPGRAM_LICENSE_KEY": "abc"}}}},
		given{kind: claimType, name: "journal", protect: true, in: obj{"metadata": obj{"name": "journal"}, "spec": obj{"accessModes": []any{"ReadWriteMany"}}}},
		given{kind: cronJobType, name: "backup", in: obj{"spec": obj{"suspend": false, "jobTemplate": obj{"spec": obj{"template": obj{"spec": obj{
			"containers": []any{obj{"env": []any{obj{"name": "A", "value": "b"}}}}, "volumes": []any{obj{"persistentVolumeClaim": obj{"claimName": "journal"}}},
		}}}}}}},
		given{kind: bucketType, name: "b", protect: true, in: obj{"retentionPolicy": obj{"retentionPeriod": 31536000}}},
		given{kind: clusterType, name: "c", protect: true, in: obj{"name": "c", "location": "us-central1", "removeDefaultNodePool": true, "deletionProtection": true}},
		given{kind: modelVolumeType, name: "v", in: obj{"retired": false}},
		given{kind: configMapType, name: "cm", in: obj{"data": obj{"a": "b"}}},
		goodRelease(obj{
			"values/billing": obj{
				"enabled": true, "replicas": 2, "image": image("billing"), "journal": obj{"existingPvcName": "journal"},
				"updateStrategy": obj{"rollingUpdate": obj{"maxUnavailable": 1}}, "pdb": obj{"enabled": true, "maxUnavailable": 1},
			},
		}),
	), given{kind: releaseType, name: "static", in: goodRelease(obj{"values/scaling": obj{"replicas": obj{"api": 1, "engine": 2}}}).in})
}

// paths are all places in a tree of properties.
func paths(v any, prefix string) []string {
	var all []string
	switch v := v.(type) {
	case obj:
		for _, k := range sortedKeys(v) {
			p := prefix + "\x00" + k
			all = append(all, p)
			all = append(all, paths(v[k], p)...)
		}
	case []any:
		for i, e := range v {
			p := fmt.Sprintf("%s\x00%d", prefix, i)
			all = append(all, p)
			all = append(all, paths(e, p)...)
		}
	case secret:
		all = append(all, paths(v.v, prefix)...)
	}
	return all
}

// replace is a copy with change applied at the path.
func replace(v any, path []string, change func(any) any) any {
	if len(path) == 0 {
		return change(v)
	}
	switch v := v.(type) {
	case obj:
		c := obj{}
		for k, e := range v {
			c[k] = e
		}
		c[path[0]] = replace(c[path[0]], path[1:], change)
		return c
	case []any:
		c := slices.Clone(v)
		var i int
		_, _ = fmt.Sscan(path[0], &i)
		c[i] = replace(c[i], path[1:], change)
		return c
	case secret:
		return secret{replace(v.v, path, change)}
	}
	return v
}

func deep(n int) any {
	var v any = "x"
	for range n {
		v = obj{"enabled": v, "a": []any{v}}
		if n > 12 {
			v = obj{"enabled": v.(obj)["enabled"]}
		}
	}
	return v
}

var replacements = map[string]func(any) any{
	"unknown":        func(any) any { return unknown{} },
	"secret unknown": func(any) any { return secret{unknown{}} },
	"null":           func(any) any { return nil },
	"secret":         func(v any) any { return secret{v} },
	"number":         func(any) any { return 7 },
	"negative":       func(any) any { return -1 },
	"huge number":    func(any) any { return math.MaxFloat64 },
	"NaN":            func(any) any { return math.NaN() },
	"infinity":       func(any) any { return math.Inf(1) },
	"true":           func(any) any { return true },
	"text":           func(any) any { return "\x00|&%s${}[secret" },
	"empty text":     func(any) any { return "" },
	"huge text":      func(any) any { return strings.Repeat("9", 1<<14) },
	"list":           func(any) any { return []any{1, "a", nil, unknown{}} },
	"empty list":     func(any) any { return []any{} },
	"object":         func(any) any { return obj{"a": unknown{}, "name": 1, "type": nil} },
	"empty object":   func(any) any { return obj{} },
	"deep":           func(any) any { return deep(100) },
	"redacted":       func(any) any { return "[secret]" },
}

// TestAnyPropertyMayBeAnything replaces every property by everything: nothing
// escapes, and no rule is so surprised that it cannot judge.
func TestAnyPropertyMayBeAnything(t *testing.T) {
	t.Parallel()
	all := everything()
	for name, change := range replacements {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, g := range all {
				for _, path := range append(paths(g.in, ""), "") {
					mutated := slices.Clone(all)
					changed, ok := replace(g.in, strings.Split(path, "\x00")[1:], change).(obj)
					if path == "" || !ok {
						continue
					}
					mutated[i].in = changed
					for _, dryRun := range []bool{true, false} {
						if dryRun && !strings.Contains(name, "unknown") && name != "list" && name != "object" {
							continue // only unknown values are another matter in a preview
						}
						for _, v := range judged(t, Options{DryRun: dryRun, Config: Config{Production: true}}, mutated[i:i+1]...) {
							if strings.Contains(v.message, "could not judge") {
								t.Fatalf("%s %s of %s: %s", name, strings.ReplaceAll(path, "\x00", "."), g.kind, v.message)
							}
						}
					}
					if !slices.Contains(inStackRules, g.kind) {
						continue
					}
					// Rules over the stack see all resources; once is enough.
					for _, v := range judged(t, Options{DryRun: false}, relevant(mutated, i)...) {
						if strings.Contains(v.message, "could not judge") {
							t.Fatalf("%s %s of %s: %s", name, strings.ReplaceAll(path, "\x00", "."), g.kind, v.message)
						}
					}
				}
			}
		})
	}
}

// inStackRules are the kinds that rules over the stack read.
var inStackRules = []string{
	releaseType, nodePoolType, diskType, serviceType, ingressType, backendConfigType, claimType, clusterType, cronJobType, bucketType, certificateTypes[0],
}

// relevant keeps the run short: a mutated resource with those that rules pair it with.
func relevant(all []given, i int) []given {
	pairs := []string{releaseType, nodePoolType, diskType, serviceType, claimType, clusterType}
	var keep []given
	for n, g := range all {
		if n == i || slices.Contains(pairs, all[i].kind) && slices.Contains(pairs, g.kind) || g.kind == releaseType && g.name == "deepgram" {
			keep = append(keep, g)
		}
	}
	return keep
}

// TestNoFalsePass takes what a rule reads away: in an update the rule must
// refuse, in a preview it must be noted, and another kind is refused in both.
func TestNoFalsePass(t *testing.T) {
	t.Parallel()
	at := func(s string) []string { return strings.Split(s, "/") }
	for _, row := range []struct {
		policy string
		given  given
		path   []string
	}{
		{"engine-node-has-memory", enginePool(nil), at("nodeConfig/machineType")},
		{"engine-node-has-cores", enginePool(nil), at("nodeConfig/machineType")},
		{"engine-node-has-cores", enginePool(nil), at("nodeConfig")},
		{"engine-gpu-is-present", enginePool(nil), at("nodeConfig/machineType")},
		{"engine-gpu-has-memory", enginePool(nil), at("nodeConfig/guestAccelerators")},
		{"engine-gpu-has-memory", enginePool(nil), at("nodeConfig/guestAccelerators/0/type")},
		{"engine-gpu-has-compute-capability", enginePool(nil), at("nodeConfig/guestAccelerators/0/type")},
		{"engine-gpu-is-whole", enginePool(nil), at("nodeConfig/guestAccelerators/0/gpuPartitionSize")},
		{"gpu-suits-machine", enginePool(nil), at("nodeConfig/guestAccelerators/0/count")},
		{"engine-node-has-storage", enginePool(nil), at("nodeConfig/diskSizeGb")},
		{"engine-node-has-memory", enginePool(nil), append(at("nodeConfig/labels"), roleLabel)},
		{"api-node-has-memory", cpuPool(roleAPI, "n2-standard-4", nil), at("nodeConfig/labels")},
		{"node-image-is-linux", enginePool(nil), at("nodeConfig/imageType")},
		{"node-service-account-is-own", enginePool(nil), at("nodeConfig/serviceAccount")},
		{"engine-pool-is-in-one-zone", enginePool(nil), at("nodeLocations")},
		{"chart-is-pinned", goodRelease(nil), at("version")},
		{"chart-is-pinned", goodRelease(nil), at("chart")},
		{"release-is-atomic", goodRelease(nil), at("timeout")},
		{"release-is-atomic", goodRelease(nil), at("atomic")},
		{"image-tags-are-one", goodRelease(nil), at("values/engine/image/tag")},
		{"engine-gpu-is-required", goodRelease(nil), at("values/engine/health/gpuRequired")},
		{"engine-pod-has-room", goodRelease(nil), at("values/engine/resources/limits/cpu")},
		{"gpu-request-equals-limit", goodRelease(nil), at("values/engine/resources/requests/gpu")},
		{"engine-to-api-ratio-is-in-range", goodRelease(nil), at("values/scaling/auto/api/metrics/engineToApiRatio")},
		{"firewall-is-not-open", given{kind: firewallType, name: "f", in: obj{"allows": []any{obj{}}, "sourceRanges": []any{"10.0.0.0/8"}}}, at("sourceRanges")},
		{"ingress-has-tls", ingress("gce-internal", nil), at("metadata/annotations")},
		{"roles-are-not-basic", given{kind: iamTypes[0], name: "m", in: obj{"role": "roles/x.reader", "member": "user:a@b.c"}}, at("role")},
		{"stateful-is-protected", given{kind: clusterType, name: "c", in: obj{"removeDefaultNodePool": true, "deletionProtection": true}}, at("deletionProtection")},
	} {
		change := func(v any) given {
			g := row.given
			in := deepCopy(g.in)
			g.in = replace(in, row.path, func(any) any { return v }).(obj)
			return g
		}
		label := row.policy + " without " + strings.Join(row.path, ".")
		production := Config{Production: true}
		up := judged(t, Options{Config: production}, change(unknown{}))
		assert.Contains(t, names(up, "mandatory"), row.policy, label+", in an update")
		preview := judged(t, Options{Config: production, DryRun: true}, change(unknown{}))
		assert.NotContains(t, names(preview), row.policy, label+", in a preview")
		assert.Contains(t, messages(preview, "values-are-known"), row.policy, label+", in a preview")
		for _, wrong := range []any{obj{"a": 1.5}, []any{"a", "b"}} {
			if row.path[len(row.path)-1] == "nodeConfig" || row.path[len(row.path)-1] == "annotations" || row.path[len(row.path)-1] == "labels" {
				wrong = []any{"a", "b"}
			}
			if row.path[len(row.path)-1] == "nodeLocations" || row.path[len(row.path)-1] == "sourceRanges" || row.path[len(row.path)-1] == "guestAccelerators" {
				wrong = obj{"a": 1.5}
			}
			assert.Contains(t, names(judged(t, Options{Config: production, DryRun: true}, change(wrong)), "mandatory"), row.policy, "%s, with %v", label, wrong)
		}
	}
}

// TestSecretsAreJudgedAndNeverShown marks everything as a secret: the findings
// stay the same, and no message holds a value.
func TestSecretsAreJudgedAndNeverShown(t *testing.T) {
	t.Parallel()
	bad := []given{
		enginePool(obj{"nodeConfig/machineType": "g2-standard-4", "nodeConfig/diskSizeGb": 4711}),
		goodRelease(obj{"version": "0.40.7", "timeout": 1234, "values/kube-prometheus-stack/grafana/admin": nil, "values/engine/image/path": "quay.io/canary/engine"}),
		{kind: firewallType, name: "f", in: obj{"allows": []any{obj{}}, "sourceRanges": []any{"0.0.0.0/0"}}},
		{kind: certificateTypes[0], name: "c", in: obj{"certificate": "canary-certificate"}},
	}
	plain := judged(t, Options{}, bad...)
	secretly := slices.Clone(bad)
	for i, g := range secretly {
		in := obj{}
		for k, v := range g.in {
			in[k] = secret{v}
		}
		secretly[i].in = in
	}
	found := judged(t, Options{}, secretly...)
	assert.Equal(t, names(plain), names(found))
	for _, v := range found {
		for _, canary := range []string{"g2-standard-4 has", "0.40.7", "1234", "canary", "0.0.0.0/0"} {
			assert.NotContains(t, v.message, canary, v.policy)
		}
	}
}

func TestNothingEscapesARule(t *testing.T) {
	t.Parallel()
	run := newRunner(Options{Now: func() time.Time { return today }})
	j := &Judge{rule: &catalogue[0], run: run, Resource: Resource{URN: "urn:a::b", Type: "t", Name: "n"}}
	var got []string
	j.report = func(message, _ string) { got = append(got, message) }
	j.guard(j.Resource, func() { panic("index out of range [3]\nwith more") })
	j.guard(j.Resource, func() { panic(errors.New("a mistake of the rule")) })
	j.guard(j.Resource, func() { _ = j.Number("no such setting") })
	assert.Len(t, got, 3)
	for _, message := range got {
		assert.Contains(t, message, "the policy could not judge it")
		assert.NotContains(t, message, "\n")
	}
	assert.Contains(t, got[1], "policy/rules/fuzz_test.go:")
}

// FuzzProperties judges resources of every type with whatever JSON makes.
func FuzzProperties(f *testing.F) {
	f.Add(0, `{"nodeConfig": {"machineType": "g2-standard-4", "labels": {"k8s.deepgram.com/node-type": "engine"}}}`)
	f.Add(1, `{"chart": "deepgram-self-hosted", "values": {"engine": {"resources": {"requests": {"cpu": "1e9", "memory": "-4Gi"}}}}}`)
	f.Add(2, `{"nodePools": [[[]], {"nodeConfig": [{}]}, "unknown"]}`)
	f.Add(3, `{"spec": {"rules": [{"http": {"paths": [null]}}]}}`)
	kinds := map[string]bool{}
	for i := range catalogue {
		for _, k := range catalogue[i].Types {
			kinds[k] = true
		}
	}
	types := append(sortedKeys(kinds), diskType, ingressType, serviceType, backendConfigType, cronJobType, certificateTypes[0])
	f.Fuzz(func(t *testing.T, kind int, text string) {
		var in obj
		if json.Unmarshal([]byte(text), &in) != nil {
			return
		}
		in, _ = unknowns(in).(obj)
		g := given{kind: types[((kind%len(types))+len(types))%len(types)], name: "x", in: in}
		for _, dryRun := range []bool{true, false} {
			for _, v := range judged(t, Options{DryRun: dryRun}, g, goodRelease(nil), enginePool(nil)) {
				if strings.Contains(v.message, "could not judge it") {
					t.Errorf("%s: %s", text, v.message)
				}
			}
		}
	})
}

// unknowns makes the text "unknown" an unknown value.
func unknowns(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = unknowns(v[k])
		}
	case []any:
		for i := range v {
			v[i] = unknowns(v[i])
		}
	case string:
		if v == "unknown" {
			return unknown{}
		}
	}
	return v
}
