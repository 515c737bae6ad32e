package rules

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

func exempt(policy, urn, expires string) []config.Exemption {
	return []config.Exemption{{Policy: policy, URN: urn, Reason: "a test", Owner: "ops", Expires: expires}}
}

func TestExemptions(t *testing.T) {
	t.Parallel()
	small := enginePool(obj{"nodeConfig/machineType": "g2-standard-4"})
	const policy = "engine-node-has-memory"
	for _, row := range []struct {
		name, urn, expires string
		covered            bool
	}{
		{"by URN", small.urn(), "2026-12-31", true},
		{"by URN with a wildcard", "urn:pulumi:*::foreign::*::engine", "2026-12-31", true},
		{"by type and name", nodePoolType + "::engine", "2026-12-31", true},
		{"by pattern", "gcp:container/*::eng*", "2026-12-31", true},
		{"on its last day", nodePoolType + "::engine", "2026-06-15", true},
		{"a day later", nodePoolType + "::engine", "2026-06-14", false},
		{"another name", nodePoolType + "::api", "2026-12-31", false},
		{"part of a name", nodePoolType + "::engin", "2026-12-31", false},
		{"a dot is no wildcard", "gcp.container/nodePool:NodePool::engine", "2026-12-31", false},
	} {
		found := judged(t, Options{Config: Config{Exemptions: exempt(policy, row.urn, row.expires)}}, small)
		assert.Equal(t, !row.covered, contains(names(found), policy), row.name)
	}
	other := judged(t, Options{Config: Config{Exemptions: exempt("engine-node-has-cores", small.urn(), "2026-12-31")}}, small)
	assert.Contains(t, names(other), policy, "an exemption is for one policy")
}

func TestStaleExemptionsAreReported(t *testing.T) {
	t.Parallel()
	const policy = "engine-node-has-memory"
	small, good := enginePool(obj{"nodeConfig/machineType": "g2-standard-4"}), enginePool(nil)
	report := func(given given, expires string, o Options) string {
		o.Config.Exemptions = exempt(policy, nodePoolType+"::engine", expires)
		return messages(judged(t, o, given), "exemptions-are-current")
	}
	assert.Empty(t, report(small, "2026-12-31", Options{}))
	assert.Contains(t, report(small, "2026-06-01", Options{}), "expired on 2026-06-01")
	assert.Contains(t, report(small, "2026-07-01", Options{}), "ends on 2026-07-01")
	assert.Contains(t, report(good, "2026-12-31", Options{}), "covers no violation")
	later := enginePool(obj{"nodeConfig/machineType": unknown{}})
	assert.Empty(t, report(later, "2026-12-31", Options{DryRun: true}), "not yet known is not unused")

	found := judged(t, Options{Config: Config{Exemptions: exempt(policy, nodePoolType+"::engine", "2026-06-01")}}, small)
	assert.Contains(t, messages(found, policy), "An exemption of ops expired on 2026-06-01.")

	acknowledgement := Config{Exemptions: exempt("stateful-is-kept", "urn:x::y", "2026-12-31")}
	assert.Empty(t, messages(judged(t, Options{Config: acknowledgement}, good), "exemptions-are-current"))
}

func TestMistakesInTheConfigurationAreViolations(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]Config{
		"levels.engine-gpu-has-memroy: no such policy; did you mean engine-gpu-has-memory?": {Levels: map[string]string{"engine-gpu-has-memroy": "advisory"}},
		`levels.engine-gpu-has-memory is "warn"; allowed: advisory, mandatory, disabled`:    {Levels: map[string]string{"engine-gpu-has-memory": "warn"}},
		"settings.no-such: no such policy":                                                  {Settings: map[string]map[string]any{"no-such": {}}},
		"settings.certificate-is-fresh.days is no setting":                                  {Settings: map[string]map[string]any{"certificate-is-fresh": {"days": 1}}},
		"settings.certificate-is-fresh.warnDays must be a number":                           {Settings: map[string]map[string]any{"certificate-is-fresh": {"warnDays": "60"}}},
		"warnDays is 0; it must be at least 1":                                              {Settings: map[string]map[string]any{"certificate-is-fresh": {"warnDays": 0}}},
		"settings.engine-gpu-is-present.x is no setting: the policy has none":               {Settings: map[string]map[string]any{"engine-gpu-is-present": {"x": 0}}},
		"exemptions[0].reason is missing":                                                   {Exemptions: []config.Exemption{{Policy: "gpu-suits-machine", URN: "a::b", Owner: "o", Expires: "2026-12-31"}}},
		`exemptions[0].expires is "soon"`:                                                   {Exemptions: exempt("gpu-suits-machine", "a::b", "soon")},
		"exemptions[0].urn is \"engine\"":                                                   {Exemptions: exempt("gpu-suits-machine", "engine", "2026-12-31")},
		"an exemption for everything is none":                                               {Exemptions: exempt("gpu-suits-machine", "*::*", "2026-12-31")},
		"exemptions[0].policy: no such policy as":                                           {Exemptions: exempt("gpu-suits-machines", "a::b", "2026-12-31")},
	} {
		found := judged(t, Options{Config: c})
		require.Equal(t, []string{"policy-configuration-is-valid"}, names(found, "mandatory"), text)
		assert.Contains(t, messages(found, "policy-configuration-is-valid"), text)
	}
	// An incomplete exemption covers nothing.
	small := enginePool(obj{"nodeConfig/machineType": "g2-standard-4"})
	incomplete := Config{Exemptions: []config.Exemption{{Policy: "engine-node-has-memory", URN: small.urn(), Owner: "o", Expires: "2026-12-31"}}}
	assert.Contains(t, names(judged(t, Options{Config: incomplete}, small)), "engine-node-has-memory")
}

func TestFromStack(t *testing.T) {
	t.Parallel()
	read := func(environment, policy string) Config {
		return FromStack(func(key string) (string, bool) {
			v := map[string]string{"deepgram-stack:environment": environment, "deepgram-stack:policy": policy}[key]
			return v, v != ""
		})
	}
	c := read(`{"production": true}`, `{"levels": {"all": "advisory"}, "settings": {"a": {"b": 1}}, "exemptions": [{"policy": "p", "urn": "u", "reason": "r", "owner": "o", "expires": "e"}]}`)
	assert.True(t, c.Production)
	assert.Equal(t, "advisory", c.Levels["all"])
	assert.Equal(t, map[string]any{"b": 1.0}, c.Settings["a"])
	assert.Equal(t, []config.Exemption{{Policy: "p", URN: "u", Reason: "r", Owner: "o", Expires: "e"}}, c.Exemptions)
	assert.Empty(t, c.problems)
	assert.True(t, read(`{"production": "true"}`, "").Production)
	assert.False(t, read("", "").Production)
	for _, bad := range [][2]string{{"{", ""}, {`{"production": "maybe"}`, ""}, {`{"production": 1}`, ""}, {"", "["}, {"", `{"level": {}}`}, {"", `{"levels": 1}`}} {
		assert.NotEmpty(t, read(bad[0], bad[1]).problems, bad)
	}
}
