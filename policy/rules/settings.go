package rules

import (
	"fmt"
	"maps"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
)

func bound(n float64) *float64 { return &n }

func (s Setting) kind() string {
	switch s.Default.(type) {
	case float64:
		return "number"
	case bool:
		return "boolean"
	case []string:
		return "array"
	default:
		return "string"
	}
}

// schema is the settings' JSON schema. What the stack sets is its default, so
// that --policy-pack-config wins over the stack, and the stack over the rule.
func (rule *Rule) schema(stack map[string]any) *policyx.ConfigSchema {
	if len(rule.Settings) == 0 {
		return nil
	}
	values := rule.values(stack, nil)
	properties := map[string]map[string]any{}
	for _, s := range rule.Settings {
		p := map[string]any{"type": s.kind(), "description": s.Help, "default": values[s.Name]}
		if list, ok := values[s.Name].([]string); ok {
			texts := make([]any, len(list))
			for i, t := range list {
				texts[i] = t
			}
			p["default"] = texts
		}
		if s.kind() == "array" {
			p["items"] = map[string]any{"type": "string"}
		}
		if s.Min != nil {
			p["minimum"] = *s.Min
		}
		if s.Max != nil {
			p["maximum"] = *s.Max
		}
		properties[s.Name] = p
	}
	return &policyx.ConfigSchema{Properties: properties}
}

// values are the settings in force: the rule's, over them the stack's, over
// them the pack's configuration. Values that the setting does not take are left
// out; checkConfig reports them.
func (rule *Rule) values(stack, pack map[string]any) map[string]any {
	all := map[string]any{}
	for _, s := range rule.Settings {
		all[s.Name] = s.Default
		for _, from := range []map[string]any{stack, pack} {
			if v, ok := from[s.Name]; ok && s.check(v) == "" {
				all[s.Name] = plain(v)
			}
		}
	}
	return all
}

// plain makes whole numbers of any origin a float64, as JSON has them.
func plain(v any) any {
	switch n := v.(type) {
	case int:
		return float64(n)
	case int64:
		return float64(n)
	}
	return v
}

func (rule *Rule) checkSetting(name string, v any) string {
	known := map[string]bool{}
	for _, s := range rule.Settings {
		if s.Name == name {
			return s.check(v)
		}
		known[s.Name] = true
	}
	if len(known) == 0 {
		return "is no setting: the policy has none"
	}
	return fmt.Sprintf("is no setting of the policy; it has %v", sorted(maps.Keys(known)))
}

func (s Setting) check(v any) string {
	switch s.Default.(type) {
	case float64:
		n, ok := plain(v).(float64)
		switch {
		case !ok:
			return "must be a number"
		case s.Min != nil && n < *s.Min:
			return fmt.Sprintf("is %s; it must be at least %s", number(n), number(*s.Min))
		case s.Max != nil && n > *s.Max:
			return fmt.Sprintf("is %s; it must be at most %s", number(n), number(*s.Max))
		}
	case bool:
		if _, ok := v.(bool); !ok {
			return "must be true or false"
		}
	case string:
		if _, ok := v.(string); !ok {
			return "must be a text"
		}
	case []string:
		if list, ok := v.([]any); ok {
			for _, e := range list {
				if _, ok := e.(string); !ok {
					return "must be a list of texts"
				}
			}
			return ""
		}
		if _, ok := v.([]string); !ok {
			return "must be a list of texts"
		}
	}
	return ""
}
