package rules

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// Config is what a stack says about policies.
type Config struct {
	// Production switches the rules on that protect production environments.
	Production bool
	// Levels are levels by policy; "all" is for those not named.
	Levels map[string]string
	// Settings are settings by policy.
	Settings map[string]map[string]any
	// Exemptions are recorded exceptions.
	Exemptions []config.Exemption

	problems []string
}

// Namespace is the namespace of the stack's configuration keys.
const Namespace = "deepgram-stack"

// FromStack reads the keys deepgram-stack:policy and deepgram-stack:environment
// of a stack's configuration. A mistake shows as a violation of
// policy-configuration-is-valid.
func FromStack(get func(key string) (string, bool)) Config {
	var c Config
	if text, ok := get(Namespace + ":environment"); ok {
		var environment struct {
			Production any `json:"production"`
		}
		if err := json.Unmarshal([]byte(text), &environment); err != nil {
			c.problem("%s:environment cannot be read: %s", Namespace, err)
		}
		switch p := environment.Production.(type) {
		case nil:
		case bool:
			c.Production = p
		case string:
			c.Production = p == "true"
			if p != "true" && p != "false" {
				c.problem("%s:environment.production is %q; allowed: true, false", Namespace, p)
			}
		default:
			c.problem("%s:environment.production must be true or false", Namespace)
		}
	}
	if text, ok := get(Namespace + ":policy"); ok {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.DisallowUnknownFields()
		var p config.Policy
		if err := decoder.Decode(&p); err != nil {
			c.problem("%s:policy cannot be read: %s; known keys: levels, settings, exemptions", Namespace, err)
		}
		c.Levels, c.Settings, c.Exemptions = p.Levels, p.Settings, p.Exemptions
	}
	return c
}

func (c *Config) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (r *runner) level(rule *Rule) Level {
	for _, name := range []string{rule.Name, "all"} {
		if l, ok := r.config.Levels[name]; ok && valid(Level(l)) {
			return Level(l)
		}
	}
	return rule.Level
}

func valid(l Level) bool { return l == Advisory || l == Mandatory || l == Disabled }

// checkConfig finds names that no rule has and values that no setting takes.
func (r *runner) checkConfig() []string {
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(r.config.Levels)) {
		if name != "all" && find(name) == nil {
			problem("levels.%s: no such policy%s", name, similar(name))
		}
		if l := r.config.Levels[name]; !valid(Level(l)) {
			problem("levels.%s is %q; allowed: advisory, mandatory, disabled", name, l)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.config.Settings)) {
		rule := find(name)
		if rule == nil {
			problem("settings.%s: no such policy%s", name, similar(name))
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(r.config.Settings[name])) {
			if text := rule.checkSetting(key, r.config.Settings[name][key]); text != "" {
				problem("settings.%s.%s %s", name, key, text)
			}
		}
	}
	for i, e := range r.config.Exemptions {
		if find(e.Policy) == nil {
			problem("exemptions[%d].policy: no such policy as %q%s", i, e.Policy, similar(e.Policy))
		}
	}
	return append(problems, r.exemptions.problems...)
}

func find(name string) *Rule {
	for i := range catalogue {
		if catalogue[i].Name == name {
			return &catalogue[i]
		}
	}
	return nil
}

func similar(name string) string {
	best, distance := "", 6
	for i := range catalogue {
		if d := levenshtein.Distance(name, catalogue[i].Name, nil); d < distance {
			best, distance = catalogue[i].Name, d
		}
	}
	if best == "" {
		return "; docs/policies.md lists them"
	}
	return fmt.Sprintf("; did you mean %s?", best)
}
