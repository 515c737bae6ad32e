package standin

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// change is one difference between what was asked for before and now.
type change struct {
	kind    pulumirpc.PropertyDiff_Kind // without the replacing variants
	replace bool
}

// differ compares inputs with the help of facts.
type differ struct {
	changes map[string]change
	ignore  []string
	// same says that two different strings mean the same.
	same func(property, a, b string) bool
	// sets says that lists of strings have no order.
	sets bool
}

func (d *differ) note(path string, kind pulumirpc.PropertyDiff_Kind, replace bool) {
	if !d.ignored(path) {
		d.changes[path] = change{kind, replace}
	}
}

func (d *differ) ignored(path string) bool { return ignores(d.ignore, path) }

// ignores says whether a list of ignoreChanges covers a path.
func ignores(list []string, path string) bool {
	for _, i := range list {
		i = strings.TrimPrefix(i, ".")
		if i == "*" || i == path || strings.HasPrefix(path, i+".") || strings.HasPrefix(path, i+"[") {
			return true
		}
	}
	return false
}

// object compares two property maps. state is what the cloud said last; what it
// computed counts as the old value where no input was given.
func (d *differ) object(path string, old, now, state props, fields map[string]*fact) {
	keys := map[string]bool{}
	for k := range old {
		keys[string(k)] = true
	}
	for k := range now {
		keys[string(k)] = true
	}
	for _, k := range sortedKeys(keys) {
		if strings.HasPrefix(k, "__") {
			continue
		}
		f := fields[k]
		if f == nil {
			f = &fact{kind: "any"}
		}
		d.value(join(path, k), k, old[resource.PropertyKey(k)], now[resource.PropertyKey(k)], state[resource.PropertyKey(k)], f)
	}
}

func (d *differ) value(path, name string, old, now, state value, f *fact) {
	old, now, state = bare(old), bare(now), bare(state)
	switch {
	case old.IsNull() && now.IsNull():
	case now.IsNull():
		if !f.computed { // what the cloud computes stays as it is when it is no longer given
			d.note(path, pulumirpc.PropertyDiff_DELETE, f.replaces(old))
		}
	case old.IsNull():
		if f.computed && !state.IsNull() && !now.IsComputed() {
			if f.kind == "object" && now.IsObject() && state.IsObject() {
				// Only what is given is compared; the rest is the cloud's.
				d.given(path, now.ObjectValue(), state.ObjectValue(), f.fields)
				return
			}
			d.scalar(path, name, state, now, f)
			return
		}
		d.note(path, pulumirpc.PropertyDiff_ADD, f.replaces(now))
	case now.IsComputed() || old.IsComputed():
		d.note(path, pulumirpc.PropertyDiff_UPDATE, f.replace)
	case f.kind == "object" && old.IsObject() && now.IsObject():
		var s props
		if state.IsObject() {
			s = state.ObjectValue()
		}
		d.object(path, old.ObjectValue(), now.ObjectValue(), s, f.fields)
	case (f.kind == "map" || f.kind == "any") && old.IsObject() && now.IsObject():
		d.entries(path, old.ObjectValue(), now.ObjectValue(), f)
	case old.IsArray() && now.IsArray() && f.kind == "list":
		d.list(path, name, old.ArrayValue(), now.ArrayValue(), f)
	default:
		d.scalar(path, name, old, now, f)
	}
}

func (d *differ) given(path string, now, state props, fields map[string]*fact) {
	for _, k := range now.StableKeys() {
		f := fields[string(k)]
		if f == nil {
			f = &fact{kind: "any"}
		}
		d.value(join(path, string(k)), string(k), state[k], now[k], state[k], f)
	}
}

func (d *differ) entries(path string, old, now props, f *fact) {
	for _, k := range old.StableKeys() {
		if _, ok := now[k]; !ok {
			d.note(entry(path, string(k)), pulumirpc.PropertyDiff_DELETE, f.replace)
		}
	}
	for _, k := range now.StableKeys() {
		o, ok := old[k]
		p := entry(path, string(k))
		switch {
		case !ok:
			d.note(p, pulumirpc.PropertyDiff_ADD, f.replace)
		case !equal(o, now[k]):
			d.note(p, pulumirpc.PropertyDiff_UPDATE, f.replace)
		}
	}
}

// entry is the path of a map entry; keys with dots are quoted as the engine does.
func entry(path, key string) string {
	if strings.ContainsAny(key, `.[]"`) {
		return fmt.Sprintf("%s[%q]", path, key)
	}
	return join(path, key)
}

func (d *differ) list(path, name string, old, now []value, f *fact) {
	if f.elem.kind == "string" && d.sets && sameSet(old, now) {
		return
	}
	for i := range max(len(old), len(now)) {
		p := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(now):
			d.note(p, pulumirpc.PropertyDiff_DELETE, f.replace || f.elem.replaces(old[i]))
		case i >= len(old):
			d.note(p, pulumirpc.PropertyDiff_ADD, f.replace || f.elem.replaces(now[i]))
		default:
			elem := *f.elem
			if elem.kind != "object" {
				elem.replace = f.replace
			}
			d.value(p, name, old[i], now[i], value{}, &elem)
		}
	}
}

func (d *differ) scalar(path, name string, old, now value, f *fact) {
	if equal(old, now) {
		return
	}
	if old.IsString() && now.IsString() && d.same != nil && d.same(name, old.StringValue(), now.StringValue()) {
		return
	}
	if old.IsArray() && now.IsArray() && d.sets && sameSet(old.ArrayValue(), now.ArrayValue()) {
		return
	}
	d.note(path, pulumirpc.PropertyDiff_UPDATE, f.replace)
}

// replaces says whether adding or removing v as a whole replaces the resource:
// it does if the block itself does or anything that is set in it.
func (f *fact) replaces(v value) bool {
	if f.replace {
		return true
	}
	v = bare(v)
	switch {
	case f.kind == "object" && v.IsObject():
		for k, e := range v.ObjectValue() {
			if n := f.fields[string(k)]; n != nil && !absent(e) && n.replaces(e) {
				return true
			}
		}
	case f.kind == "list" && v.IsArray():
		return slices.ContainsFunc(v.ArrayValue(), f.elem.replaces)
	}
	return false
}

func equal(a, b value) bool { return plain(a).DeepEquals(plain(b)) }

func sameSet(a, b []value) bool {
	key := func(vs []value) string {
		out := make([]string, 0, len(vs))
		for _, v := range vs {
			if v = bare(v); !v.IsString() {
				return ""
			}
			out = append(out, v.StringValue())
		}
		sort.Strings(out)
		return strings.Join(out, "\x00") + "\x01"
	}
	ka := key(a)
	return ka != "" && ka == key(b)
}

// response is the answer to the engine.
func (d *differ) response(deleteBeforeReplace bool) *pulumirpc.DiffResponse {
	r := &pulumirpc.DiffResponse{
		Changes:         pulumirpc.DiffResponse_DIFF_NONE,
		HasDetailedDiff: true,
		DetailedDiff:    map[string]*pulumirpc.PropertyDiff{},
	}
	for _, path := range sortedKeys(d.changes) {
		c := d.changes[path]
		r.Changes = pulumirpc.DiffResponse_DIFF_SOME
		kind := c.kind
		top := topOf(path)
		if c.replace {
			kind = replacing(kind)
			if !slices.Contains(r.Replaces, top) {
				r.Replaces = append(r.Replaces, top)
			}
		}
		if !slices.Contains(r.Diffs, top) {
			r.Diffs = append(r.Diffs, top)
		}
		r.DetailedDiff[path] = &pulumirpc.PropertyDiff{Kind: kind, InputDiff: true}
	}
	r.DeleteBeforeReplace = len(r.Replaces) > 0 && deleteBeforeReplace
	return r
}

func topOf(path string) string {
	if i := strings.IndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return path
}

func replacing(k pulumirpc.PropertyDiff_Kind) pulumirpc.PropertyDiff_Kind {
	switch k {
	case pulumirpc.PropertyDiff_ADD:
		return pulumirpc.PropertyDiff_ADD_REPLACE
	case pulumirpc.PropertyDiff_DELETE:
		return pulumirpc.PropertyDiff_DELETE_REPLACE
	default:
		return pulumirpc.PropertyDiff_UPDATE_REPLACE
	}
}
