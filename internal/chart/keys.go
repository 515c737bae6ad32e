package chart

import (
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/blang/semver"
)

// The data files list what each chart version reads, one "path kind" a line:
// every key of the chart's default values and every key that only its templates
// read. Below a path of kind map any key is allowed. later.txt adds, for versions
// whose default values were not at hand, what their release notes say is new.
//
//go:embed data/*.txt
var data embed.FS

// DefaultVersion is the chart version installed where none is named.
const DefaultVersion = "0.42.0"

// The kinds of the data files.
const (
	kindBool   = "bool"
	kindInt    = "int"
	kindNumber = "number"
	kindString = "string"
	kindScalar = "scalar" // a quantity, a count or a percentage: number or string
	kindList   = "list"
	kindMap    = "map" // free: the keys below are the user's
	kindAny    = "any"
	kindGroup  = "" // a map whose keys are listed
)

// keysByVersion holds path → kind for each supported version.
var keysByVersion = readKeys()

func readKeys() map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, version := range []string{"0.41.1", "0.42.0"} {
		all[version] = map[string]string{}
		for _, f := range fields("data/" + version + ".txt") {
			addKey(all[version], f[0], f[1])
		}
	}
	last := all["0.42.0"]
	for _, f := range fields("data/later.txt") {
		if all[f[0]] == nil {
			all[f[0]] = maps.Clone(last)
			last = all[f[0]]
		}
		if len(f) == 3 {
			addKey(last, f[1], f[2])
		}
	}
	return all
}

// addKey adds a path and the groups above it.
func addKey(keys map[string]string, path, kind string) {
	keys[path] = kind
	for i := strings.LastIndexByte(path, '.'); i > 0; i = strings.LastIndexByte(path[:i], '.') {
		if _, ok := keys[path[:i]]; !ok {
			keys[path[:i]] = kindGroup
		}
	}
}

func fields(file string) [][]string {
	text, err := data.ReadFile(file)
	if err != nil {
		panic(err) // embedded: cannot be missing in a program that compiles
	}
	var out [][]string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// Versions are the supported chart versions, oldest first.
func Versions() []string {
	return slices.SortedFunc(maps.Keys(keysByVersion), func(a, b string) int {
		return semver.MustParse(a).Compare(semver.MustParse(b))
	})
}

// Supported tells whether version is one whose keys are known.
func Supported(version string) bool { return keysByVersion[version] != nil }

// CheckKeys returns one message for every key of values that the chart of this
// version does not read, with the nearest key that it does read, and for every
// value of the wrong kind: the chart has no schema, ignores an unknown key
// without a word, and takes the string "false" for true. The messages are sorted
// by path; none means that all is well. A value of nil is always allowed.
func CheckKeys(version string, values map[string]any) []string {
	keys := keysByVersion[version]
	if keys == nil {
		return []string{fmt.Sprintf("chart version %q is not supported: use one of %s",
			version, strings.Join(Versions(), ", "))}
	}
	var out []string
	checkMap(keys, "", values, &out)
	slices.Sort(out)
	return out
}

func checkMap(keys map[string]string, prefix string, values map[string]any, out *[]string) {
	for name, v := range values {
		path := name
		if prefix != "" {
			path = prefix + "." + name
		}
		kind, known := keys[path]
		switch {
		case !known && openAbove(keys, path):
			if m, ok := v.(map[string]any); ok {
				checkMap(keys, path, m, out)
			}
		case !known:
			*out = append(*out, unknown(keys, prefix, path))
		case v == nil:
		default:
			m, isMap := v.(map[string]any)
			if isMap && (kind == kindGroup || kind == kindMap) {
				checkMap(keys, path, m, out)
			} else if want := mismatch(kind, v); want != "" {
				*out = append(*out, fmt.Sprintf("%s must be %s, not %s", path, want, describe(v)))
			}
		}
	}
}

// openAbove tells whether path lies below a free map.
func openAbove(keys map[string]string, path string) bool {
	for i := strings.LastIndexByte(path, '.'); i > 0; i = strings.LastIndexByte(path[:i], '.') {
		if kind, ok := keys[path[:i]]; ok {
			return kind == kindMap
		}
	}
	return false
}

// mismatch says what the kind wants where v is not that, and "" where it is.
func mismatch(kind string, v any) string {
	switch kind {
	case kindBool:
		if _, ok := v.(bool); !ok {
			return "true or false"
		}
	case kindInt:
		if n, ok := number(v); !ok || n != float64(int64(n)) {
			return "a whole number"
		}
	case kindNumber:
		if _, ok := number(v); !ok {
			return "a number"
		}
	case kindString:
		if _, ok := v.(string); !ok {
			return "text"
		}
	case kindScalar:
		if _, ok := v.(string); ok {
			return ""
		}
		if _, ok := number(v); !ok {
			return "a number or text"
		}
	case kindList:
		switch v.(type) {
		case []any, []string, []map[string]any:
		default:
			return "a list"
		}
	case kindMap, kindGroup:
		return "a map"
	}
	return ""
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// describe names a value's kind. It never shows the value, which could be a
// secret put in the wrong place.
func describe(v any) string {
	switch v.(type) {
	case bool:
		return "true or false"
	case string:
		return "text"
	case map[string]any:
		return "a map"
	case []any, []string, []map[string]any:
		return "a list"
	}
	if _, ok := number(v); ok {
		return "a number"
	}
	return fmt.Sprintf("%T", v)
}

// children are the names of the keys right below prefix.
func children(keys map[string]string, prefix string) (names []string) {
	for _, known := range slices.Sorted(maps.Keys(keys)) {
		cut := strings.LastIndexByte(known, '.')
		if known[:max(cut, 0)] == prefix {
			names = append(names, known[cut+1:])
		}
	}
	return names
}

// advice is what to do instead, for keys that guides and forks of the chart have.
var advice = map[string]string{
	"scaling.static": "use scaling.replicas",
	"api.ingress":    "the chart has no Ingress, so the stack makes its own: use the configuration key ingress",
}

// unknown is the message about a path that the chart does not read. The nearest
// known path is looked for among the siblings first, because most mistakes are a
// letter; a name that exists elsewhere in the chart comes second.
func unknown(keys map[string]string, prefix, path string) string {
	name := path[strings.LastIndexByte(path, '.')+1:]
	best, bestScore := "", 0.0
	for _, known := range slices.Sorted(maps.Keys(keys)) {
		cut := strings.LastIndexByte(known, '.')
		knownName := known[cut+1:]
		parent := known[:max(cut, 0)]
		score := levenshtein.Match(strings.ToLower(name), strings.ToLower(knownName), nil)
		if parent != prefix {
			score *= 0.5 + 0.4*levenshtein.Match(prefix, parent, nil)
		}
		if score > bestScore {
			best, bestScore = known, score
		}
	}
	msg := path + " is not a key of the chart"
	switch {
	case advice[path] != "":
		return msg + "; " + advice[path]
	case bestScore >= 0.5:
		return msg + "; did you mean " + best + "?"
	default:
		return msg + "; there are " + strings.Join(children(keys, prefix), ", ")
	}
}
