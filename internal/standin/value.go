package standin

import (
	"path"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

type (
	props = resource.PropertyMap
	value = resource.PropertyValue
)

// bare takes one layer of secret or output wrapping off a value.
func bare(v value) value {
	for {
		switch {
		case v.IsSecret():
			v = v.SecretValue().Element
		case v.IsOutput():
			o := v.OutputValue()
			if !o.Known {
				return unknown()
			}
			v = o.Element
		default:
			return v
		}
	}
}

// plain returns v without secret marks at any depth.
func plain(v value) value {
	v = bare(v)
	switch {
	case v.IsArray():
		out := make([]value, len(v.ArrayValue()))
		for i, e := range v.ArrayValue() {
			out[i] = plain(e)
		}
		return resource.NewArrayProperty(out)
	case v.IsObject():
		return resource.NewObjectProperty(plainMap(v.ObjectValue()))
	}
	return v
}

func plainMap(m props) props {
	out := make(props, len(m))
	for k, v := range m {
		out[k] = plain(v)
	}
	return out
}

func deepCopy(m props) props {
	out := make(props, len(m))
	for k, v := range m {
		out[k] = copyValue(v)
	}
	return out
}

func copyValue(v value) value {
	switch {
	case v.IsSecret():
		return resource.MakeSecret(copyValue(v.SecretValue().Element))
	case v.IsArray():
		out := make([]value, len(v.ArrayValue()))
		for i, e := range v.ArrayValue() {
			out[i] = copyValue(e)
		}
		return resource.NewArrayProperty(out)
	case v.IsObject():
		return resource.NewObjectProperty(deepCopy(v.ObjectValue()))
	}
	return v
}

// markLike marks what is secret in pattern as secret in v, path by path.
func markLike(v, pattern value) value {
	switch {
	case pattern.IsOutput() && pattern.OutputValue().Secret:
		return secret(v)
	case pattern.IsSecret():
		return secret(v)
	case v.IsSecret():
		return secret(markLike(bare(v), pattern))
	case v.IsObject() && pattern.IsObject():
		return resource.NewObjectProperty(markMapLike(v.ObjectValue(), pattern.ObjectValue()))
	case v.IsArray() && pattern.IsArray():
		out := append([]value{}, v.ArrayValue()...)
		for i := range out {
			if i < len(pattern.ArrayValue()) {
				out[i] = markLike(out[i], pattern.ArrayValue()[i])
			}
		}
		return resource.NewArrayProperty(out)
	}
	return v
}

func markMapLike(m, pattern props) props {
	out := make(props, len(m))
	for k, v := range m {
		if p, ok := pattern[k]; ok {
			v = markLike(v, p)
		}
		out[k] = v
	}
	return out
}

func secret(v value) value {
	if v.IsSecret() {
		return v
	}
	return resource.MakeSecret(v)
}

func unknown() value { return resource.MakeComputed(resource.NewProperty("")) }

func text(s string) value { return resource.NewProperty(s) }

// absent says that a value is not given at all.
func absent(v value) bool { return bare(v).IsNull() }

// at returns what stands at a dotted path, or null.
func at(m props, dotted string) value {
	v := resource.NewProperty(m)
	for _, k := range strings.Split(dotted, ".") {
		v = bare(v)
		if !v.IsObject() {
			if v.IsComputed() {
				return v
			}
			return resource.NewNullProperty()
		}
		next, ok := v.ObjectValue()[resource.PropertyKey(k)]
		if !ok {
			return resource.NewNullProperty()
		}
		v = next
	}
	return v
}

// stringAt is the string at a dotted path; "" where it is absent or unknown.
func stringAt(m props, dotted string) string {
	if v := bare(at(m, dotted)); v.IsString() {
		return v.StringValue()
	}
	return ""
}

func numberAt(m props, dotted string) (float64, bool) {
	if v := bare(at(m, dotted)); v.IsNumber() {
		return v.NumberValue(), true
	}
	return 0, false
}

func boolAt(m props, dotted string) bool {
	v := bare(at(m, dotted))
	return v.IsBool() && v.BoolValue()
}

// setAt puts a value at a dotted path and makes the objects on the way. m must
// be the caller's own copy.
func setAt(m props, dotted string, v value) {
	keys := strings.Split(dotted, ".")
	for _, k := range keys[:len(keys)-1] {
		next := bare(m[resource.PropertyKey(k)])
		if !next.IsObject() {
			next = resource.NewProperty(props{})
			m[resource.PropertyKey(k)] = next
		}
		m = next.ObjectValue()
	}
	m[resource.PropertyKey(keys[len(keys)-1])] = v
}

// setDefault is setAt for what is not given.
func setDefault(m props, dotted string, v value) {
	if absent(at(m, dotted)) {
		setAt(m, dotted, v)
	}
}

// hasUnknown says whether any part of v is unknown.
func hasUnknown(v value) bool { return v.ContainsUnknowns() }

// lastPart is the part of a reference after its last slash.
func lastPart(ref string) string {
	if ref == "" {
		return ""
	}
	return path.Base(ref)
}

// segment is the part of a reference after the given collection, such as
// segment(".../zones/us-central1-a/disks/d", "zones").
func segment(ref, collection string) string {
	parts := strings.Split(ref, "/")
	for i, p := range parts {
		if p == collection && i+1 < len(parts) {
			return parts[i+1]
		}
	}
	return ""
}
