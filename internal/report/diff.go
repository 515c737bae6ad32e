package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// DiffValues compares two values as they come out of JSON or YAML. Lists of
// things with names, such as containers, are compared by name when keyed is set,
// so that one more at the front does not change all others; other lists go by
// position. The result is sorted by path.
func DiffValues(old, next any, keyed bool) []FieldChange {
	d := differ{keyed: keyed}
	d.compare("", old, next)
	slices.SortStableFunc(d.found, func(a, b FieldChange) int { return cmp.Compare(a.Path, b.Path) })
	return d.found
}

type differ struct {
	keyed bool
	found []FieldChange
}

func (d *differ) add(path, change string, old, next any) {
	if path == "" {
		path = "(all)"
	}
	d.found = append(d.found, FieldChange{Path: path, Change: change, Old: old, New: next})
}

func (d *differ) compare(path string, old, next any) {
	switch a := old.(type) {
	case map[string]any:
		if b, ok := next.(map[string]any); ok {
			d.maps(path, a, b)
			return
		}
	case []any:
		if b, ok := next.([]any); ok {
			d.lists(path, a, b)
			return
		}
	}
	switch {
	case same(old, next):
	case old == nil:
		d.add(path, Added, nil, next)
	case next == nil:
		d.add(path, Removed, old, nil)
	default:
		d.add(path, Changed, old, next)
	}
}

func (d *differ) maps(path string, old, next map[string]any) {
	for key, a := range old {
		b, both := next[key]
		at := join(path, key)
		switch {
		case both:
			d.compare(at, a, b)
		case !empty(a):
			d.add(at, Removed, a, nil)
		}
	}
	for key, b := range next {
		if _, both := old[key]; !both && !empty(b) {
			d.add(join(path, key), Added, nil, b)
		}
	}
}

// listKeys are the fields by which things in lists are known, the best first.
var listKeys = []string{"name", "key", "mountPath", "containerPort", "port", "host", "path", "id"}

func (d *differ) lists(path string, old, next []any) {
	if d.keyed {
		for _, key := range listKeys {
			a, okA := index(old, key)
			b, okB := index(next, key)
			if okA && okB && len(a)+len(b) > 0 {
				d.named(path, a, b, old, next, key)
				return
			}
		}
	}
	// What is equal at both ends did not change, it moved.
	head := 0
	for head < len(old) && head < len(next) && same(old[head], next[head]) {
		head++
	}
	tail := 0
	if len(old) != len(next) {
		for tail < len(old)-head && tail < len(next)-head && same(old[len(old)-1-tail], next[len(next)-1-tail]) {
			tail++
		}
	}
	for i := head; i < max(len(old), len(next))-tail; i++ {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(old)-tail:
			d.add(at, Added, nil, next[i])
		case i >= len(next)-tail:
			d.add(at, Removed, old[i], nil)
		default:
			d.compare(at, old[i], next[i])
		}
	}
}

func (d *differ) named(path string, a, b map[string]any, old, next []any, key string) {
	moved := len(a) == len(b)
	for _, name := range slices.Sorted(maps.Keys(a)) {
		at := path + "[" + name + "]"
		if other, both := b[name]; both {
			d.compare(at, a[name], other)
			continue
		}
		moved = false
		d.add(at, Removed, a[name], nil)
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, both := a[name]; !both {
			moved = false
			d.add(path+"["+name+"]", Added, nil, b[name])
		}
	}
	if moved && !slices.Equal(names(old, key), names(next, key)) {
		d.add(path+" (order)", Changed, strings.Join(names(old, key), ", "), strings.Join(names(next, key), ", "))
	}
}

// index finds things by one of their fields, where each has it and no two alike.
func index(list []any, key string) (map[string]any, bool) {
	found := make(map[string]any, len(list))
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			return nil, false
		}
		name := scalar(m[key])
		if _, twice := found[name]; name == "" || twice {
			return nil, false
		}
		found[name] = item
	}
	return found, true
}

func names(list []any, key string) []string {
	found := make([]string, 0, len(list))
	for _, item := range list {
		m, _ := item.(map[string]any)
		found = append(found, scalar(m[key]))
	}
	return found
}

// same tells whether two values are equal; numbers by value, whatever their type.
func same(a, b any) bool {
	if x, ok := Number(a); ok {
		y, ok := Number(b)
		return ok && x == y
	}
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for key, v := range a {
			w, ok := b[key]
			if !ok || !same(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, same)
	}
	return reflect.DeepEqual(a, b)
}

// empty tells that a value says no more than its absence.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

// Number is a value as a number, whatever its type.
func Number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case int32:
		return float64(v), true
	case uint64:
		return float64(v), true
	case float32:
		return float64(v), true
	}
	return 0, false
}

// scalar is a plain value as text; empty for nil, maps and lists.
func scalar(v any) string {
	if n, ok := Number(v); ok {
		if n == math.Trunc(n) && math.Abs(n) < 1e15 {
			return strconv.FormatFloat(n, 'f', 0, 64)
		}
		return strconv.FormatFloat(n, 'g', -1, 64)
	}
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// join appends a key to a path.
func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + strconv.Quote(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// split takes a path apart into keys and positions.
func split(path string) []string {
	var parts []string
	for path != "" {
		switch {
		case path[0] == '.':
			path = path[1:]
		case strings.HasPrefix(path, `["`):
			quoted, err := strconv.QuotedPrefix(path[1:])
			if err != nil {
				return append(parts, path)
			}
			key, err := strconv.Unquote(quoted)
			if err != nil {
				return append(parts, path)
			}
			parts = append(parts, key)
			path = strings.TrimPrefix(path[1+len(quoted):], "]")
		case path[0] == '[':
			end := strings.IndexByte(path, ']')
			if end < 0 {
				return append(parts, path)
			}
			parts = append(parts, path[1:end])
			path = path[end+1:]
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			parts = append(parts, path[:end])
			path = path[end:]
		}
	}
	return parts
}

// lookup follows a path into a value.
func lookup(value any, path string) any {
	for _, part := range split(path) {
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		case string:
			if v == Hidden {
				return Hidden // all below it is secret, too
			}
			return nil
		default:
			return nil
		}
	}
	return value
}

// under tells whether a path is another one or lies below it.
func under(path, other string) bool {
	a, b := split(path), split(other)
	return len(a) >= len(b) && slices.Equal(a[:len(b)], b)
}
