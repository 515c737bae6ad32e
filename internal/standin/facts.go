package standin

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/agext/levenshtein"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// fact is what is known of one property.
type fact struct {
	kind                                            string // string int number bool quantity any object list map
	required, computed, outputOnly, secret, replace bool
	fields                                          map[string]*fact // of an object; nil means anything
	elem                                            *fact            // of a list or map
}

// facts are those of one resource type.
type facts struct {
	fields              map[string]*fact
	deleteBeforeReplace bool
}

func (f *facts) object() *fact { return &fact{kind: "object", fields: f.fields} }

//go:embed data/gcp.json
var gcpData []byte

// gcpFacts are the facts by Pulumi type.
var gcpFacts = sync.OnceValue(func() map[string]*facts {
	var raw map[string]map[string]any
	if err := json.Unmarshal(gcpData, &raw); err != nil {
		panic(fmt.Sprintf("data/gcp.json: %v", err)) // embedded; a test reads it
	}
	out := map[string]*facts{}
	for typ, fields := range raw {
		f := &facts{fields: map[string]*fact{}}
		for name, v := range fields {
			if name == "$" {
				f.deleteBeforeReplace = v == "deleteBeforeReplace"
				continue
			}
			f.fields[name] = gcpFact(v)
		}
		out[typ] = f
	}
	return out
})

func gcpFact(v any) *fact {
	var spec string
	var nested map[string]*fact
	switch v := v.(type) {
	case string:
		spec = v
	case map[string]any:
		nested = map[string]*fact{}
		for k, n := range v {
			if k == "$" {
				spec, _ = n.(string)
				continue
			}
			nested[k] = gcpFact(n)
		}
	}
	f := &fact{}
	for {
		switch {
		case strings.HasSuffix(spec, "!"):
			f.required = true
		case strings.HasSuffix(spec, "~"):
			f.computed = true
		case strings.HasSuffix(spec, "@"):
			f.outputOnly = true
		case strings.HasSuffix(spec, "*"):
			f.secret = true
		case strings.HasSuffix(spec, "#"):
			f.replace = true
		default:
			f.kind = spec
			switch spec {
			case "objects":
				f.kind, f.elem = "list", &fact{kind: "object", fields: nested}
			case "strings":
				f.kind, f.elem = "list", &fact{kind: "string"}
			case "map":
				f.elem = &fact{kind: "string"}
			case "object":
				f.fields = nested
			}
			return f
		}
		spec = spec[:len(spec)-1]
	}
}

// complaints collects what is wrong with inputs.
type complaints []*pulumirpc.CheckFailure

func (c *complaints) add(property, format string, args ...any) {
	*c = append(*c, &pulumirpc.CheckFailure{Property: property, Reason: fmt.Sprintf(format, args...)})
}

// check compares a value with its fact and reports everything that is wrong.
func (f *fact) check(path string, v value, out *complaints) {
	v = bare(v)
	if v.IsNull() || v.IsComputed() {
		return
	}
	switch f.kind {
	case "object":
		if !v.IsObject() {
			out.add(path, "must be an object, not %s", describe(v))
			return
		}
		f.checkFields(path, v.ObjectValue(), out)
	case "list":
		if !v.IsArray() {
			out.add(path, "must be a list, not %s", describe(v))
			return
		}
		for i, e := range v.ArrayValue() {
			f.elem.check(fmt.Sprintf("%s[%d]", path, i), e, out)
		}
	case "map":
		if !v.IsObject() {
			out.add(path, "must be a map, not %s", describe(v))
			return
		}
		for k, e := range v.ObjectValue() {
			f.elem.check(join(path, string(k)), e, out)
		}
	case "string":
		if !v.IsString() {
			out.add(path, "must be a string, not %s", describe(v))
		}
	case "bool":
		if !v.IsBool() {
			out.add(path, "must be true or false, not %s", describe(v))
		}
	case "number":
		if !v.IsNumber() {
			out.add(path, "must be a number, not %s", describe(v))
		}
	case "int":
		if !v.IsNumber() || v.NumberValue() != float64(int64(v.NumberValue())) {
			out.add(path, "must be a whole number, not %s", describe(v))
		}
	case "quantity":
		if !v.IsNumber() && !v.IsString() {
			out.add(path, "must be a quantity such as 500m or 4Gi, not %s", describe(v))
		}
	}
}

func (f *fact) checkFields(path string, m props, out *complaints) {
	if f.fields == nil {
		return
	}
	for _, k := range m.StableKeys() {
		name := string(k)
		if strings.HasPrefix(name, "__") {
			continue
		}
		field, known := f.fields[name]
		switch {
		case absent(m[k]):
		case !known:
			out.add(join(path, name), "unknown property%s", f.suggestion(name))
		case field.outputOnly:
			out.add(join(path, name), "is set by the cloud and cannot be given")
		default:
			field.check(join(path, name), m[k], out)
		}
	}
	for _, name := range sortedKeys(f.fields) {
		if f.fields[name].required && absent(at(m, name)) {
			out.add(join(path, name), "is required and missing")
		}
	}
}

// suggestion names the known property that a wrong one is nearest to.
func (f *fact) suggestion(name string) string {
	best, score := "", 0.6 // below this the words have little in common
	for _, k := range sortedKeys(f.fields) {
		if f.fields[k].outputOnly {
			continue
		}
		if s := levenshtein.Similarity(strings.ToLower(name), strings.ToLower(k), nil); s > score {
			best, score = k, s
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

func describe(v value) string {
	switch {
	case v.IsString():
		return "a string"
	case v.IsNumber():
		return "a number"
	case v.IsBool():
		return "a boolean"
	case v.IsArray():
		return "a list"
	case v.IsObject():
		return "an object"
	}
	return "another kind of value"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
