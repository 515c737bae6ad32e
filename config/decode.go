package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/agext/levenshtein"
)

// Option changes how a configuration is read.
type Option func(*options)

type options struct{ allowMissingSecrets bool }

// AllowMissingSecrets reads a configuration whose secrets are not there yet, for
// a rehearsal or a check of committed files: problems that only say so are left
// out. Config.Missing still tells them.
func AllowMissingSecrets() Option {
	return func(o *options) { o.allowMissingSecrets = true }
}

// FromTree makes the configuration of a stack: defaults, then the tree's values,
// then Complete, then Validate. Every mistake is collected; the error is then an
// *Error. The Config is never nil, so that callers may look at it all the same.
// Other namespaces, and the gcp provider's other keys, are left alone.
func FromTree(stack string, tree Tree, opts ...Option) (*Config, error) {
	c := Default()
	c.Stack = stack
	d := decoder{}
	d.tree(c, tree)
	return finish(c, d.problems, opts)
}

// FromEngine is FromTree for what the Pulumi engine hands to a program: plain
// text by key, JSON for structured keys, secrets decrypted.
func FromEngine(stack string, values map[string]string, opts ...Option) (*Config, error) {
	tree := Tree{}
	var problems []Problem
	for key, text := range values {
		name, ours := strings.CutPrefix(key, Namespace+":")
		field, known := fieldByKey(reflect.TypeFor[Config](), name)
		if !ours || !known || field.Type.Kind() == reflect.String {
			tree[key] = text
			continue
		}
		value, err := parseJSON(text)
		if err != nil {
			// The text may hold a secret: neither it nor the parser's quotation is shown.
			problems = append(problems, Problem{
				Key: key, Message: "is not a map", Allowed: "a map of keys and values",
				Fix: fmt.Sprintf("see docs/configuration.md, and set single keys with pulumi config set --path '%s.<key>' <value>", key),
			})
			continue
		}
		tree[key] = value
	}
	c := Default()
	c.Stack = stack
	d := decoder{problems: problems}
	d.tree(c, tree)
	return finish(c, d.problems, opts)
}

// parseJSON reads one JSON value, keeping numbers as they are written.
func parseJSON(text string) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return value, nil
}

// finish completes and validates what was decoded.
func finish(c *Config, problems []Problem, opts []Option) (*Config, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	c.Complete()
	// A key that could not be read keeps its default: further problems of the same
	// key would only repeat it.
	unreadable := slices.Clone(problems)
	for _, p := range c.Problems() {
		repeated := slices.ContainsFunc(unreadable, func(u Problem) bool { return p.Key == u.Key || strings.HasPrefix(p.Key, u.Key+".") })
		if repeated || o.allowMissingSecrets && p.MissingSecret {
			continue
		}
		problems = append(problems, p)
	}
	return c, newError(problems)
}

// decoder lays plain values over typed ones and collects what does not fit.
type decoder struct{ problems []Problem }

func (d *decoder) add(p Problem) { d.problems = append(d.problems, p) }

// tree decodes the keys of both namespaces.
func (d *decoder) tree(c *Config, tree Tree) {
	root := reflect.ValueOf(c).Elem()
	gcp := reflect.ValueOf(&c.GCP).Elem()
	for _, key := range sortedKeys(tree) {
		namespace, name, ok := strings.Cut(key, ":")
		switch {
		case !ok:
			d.add(Problem{Key: key, Message: "has no namespace", Fix: fmt.Sprintf("write %s:%s", Namespace, key)})
		case namespace == gcpNamespace:
			if field, known := fieldByKey(gcp.Type(), name); known {
				d.value(key, tree[key], gcp.FieldByIndex(field.Index), field)
			}
		case namespace == Namespace:
			field, known := fieldByKey(root.Type(), name)
			if !known {
				d.unknown(key, name, root.Type(), Namespace+":")
				continue
			}
			d.value(key, tree[key], root.FieldByIndex(field.Index), field)
		}
	}
}

// unknown reports a key that the type has not, with the nearest that it has.
func (d *decoder) unknown(path, name string, t reflect.Type, prefix string) {
	known := keysOf(t)
	fix := "see docs/configuration.md"
	if near := nearest(name, known); near != "" {
		fix = fmt.Sprintf("did you mean %s%s?", prefix, near)
	}
	d.add(Problem{Key: path, Message: "is not a known key", Allowed: strings.Join(known, ", "), Fix: fix})
}

// nearest is the most similar of the names, or empty where none is similar.
func nearest(name string, names []string) string {
	best, bestDistance := "", math.MaxInt
	for _, candidate := range names {
		distance := levenshtein.Distance(strings.ToLower(name), strings.ToLower(candidate), nil)
		if distance < bestDistance {
			best, bestDistance = candidate, distance
		}
	}
	if bestDistance > max(2, len(name)/2) {
		return ""
	}
	return best
}

// value decodes x into v. A null keeps the default, and removes what a pointer
// points to.
func (d *decoder) value(path string, x any, v reflect.Value, field reflect.StructField) {
	t := v.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		d.pointer(path, x, v, field)
	case x == nil:
	case t == secretType:
		d.secret(path, x, v)
	case isEncrypted(x):
		if t.Kind() == reflect.Interface {
			v.Set(reflect.ValueOf("[secret]"))
			return
		}
		d.add(Problem{
			Key: path, Value: "[secret]", Message: "is encrypted, but is no secret and must be readable",
			Fix: "encrypt only the secrets inside it, and give the rest as plain text",
		})
	case t == quantityType:
		d.quantity(path, x, v)
	case t.Kind() == reflect.Struct:
		d.fields(path, x, v)
	case t.Kind() == reflect.Map:
		d.mapping(path, x, v)
	case t.Kind() == reflect.Slice:
		d.list(path, x, v, field)
	case t.Kind() == reflect.Interface:
		v.Set(reflect.ValueOf(plainValue(x)))
	default:
		d.scalar(path, x, v, field)
	}
}

func isEncrypted(x any) bool { _, ok := x.(encrypted); return ok }

// plainValue makes a value of unknown shape independent of how it was read, so
// that YAML and JSON give the same: whole numbers are int, others float64.
func plainValue(x any) any {
	switch n := x.(type) {
	case encrypted:
		return "[secret]"
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return int(i)
		}
		if f, err := n.Float64(); err == nil {
			return f
		}
		return n.String()
	case map[string]any:
		out := make(map[string]any, len(n))
		for key, element := range n {
			out[key] = plainValue(element)
		}
		return out
	case map[any]any:
		out := make(map[string]any, len(n))
		for key, element := range n {
			out[fmt.Sprint(key)] = plainValue(element)
		}
		return out
	case []any:
		out := make([]any, len(n))
		for i, element := range n {
			out[i] = plainValue(element)
		}
		return out
	case int64:
		return int(n)
	case float64:
		if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			return int(n)
		}
	}
	return x
}

func (d *decoder) pointer(path string, x any, v reflect.Value, field reflect.StructField) {
	if x == nil {
		v.SetZero()
		return
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
		// What inherits is completed from elsewhere, not from its type's defaults.
		if v.Type().Elem().Kind() == reflect.Struct && field.Tag.Get("inherits") == "" {
			applyDefaults(v.Elem())
		}
	}
	d.value(path, x, v.Elem(), field)
}

func (d *decoder) fields(path string, x any, v reflect.Value) {
	m, ok := asMap(x)
	if !ok {
		d.wrongType(path, x, "a map with the keys "+strings.Join(keysOf(v.Type()), ", "))
		return
	}
	for _, name := range sortedKeys(m) {
		field, known := fieldByKey(v.Type(), name)
		if !known {
			d.unknown(path+"."+name, name, v.Type(), path+".")
			continue
		}
		d.value(path+"."+name, m[name], v.FieldByIndex(field.Index), field)
	}
}

func (d *decoder) mapping(path string, x any, v reflect.Value) {
	m, ok := asMap(x)
	if !ok {
		d.wrongType(path, x, "a map")
		return
	}
	if len(m) == 0 {
		v.SetZero() // an empty map is none
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(m)))
	for _, name := range sortedKeys(m) {
		element := reflect.New(v.Type().Elem()).Elem()
		if element.Kind() == reflect.Struct {
			applyDefaults(element)
		}
		d.value(path+"."+name, m[name], element, reflect.StructField{})
		v.SetMapIndex(reflect.ValueOf(name), element)
	}
}

func (d *decoder) list(path string, x any, v reflect.Value, field reflect.StructField) {
	items, ok := x.([]any)
	if !ok {
		d.wrongType(path, x, "a list")
		return
	}
	if len(items) == 0 {
		v.SetZero() // an empty list is none
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", path, i)
		element := v.Index(i)
		if item == nil {
			d.add(Problem{Key: at, Message: "is empty", Fix: "give it a value or remove it"})
		}
		if element.Kind() == reflect.Struct && element.Type() != secretType {
			applyDefaults(element)
		}
		d.value(at, item, element, field)
	}
}

// secretForm is the name of a version in Secret Manager.
var secretForm = regexp.MustCompile(`^projects/[a-z0-9][a-z0-9:.-]*/secrets/[A-Za-z0-9_-]{1,255}/versions/(latest|[0-9]+)$`)

func (d *decoder) secret(path string, x any, v reflect.Value) {
	const forms = "a secret text, or {secretManager: projects/P/secrets/S/versions/V}"
	switch s := x.(type) {
	case encrypted:
		v.Set(reflect.ValueOf(EncryptedSecret()))
	case string:
		v.Set(reflect.ValueOf(NewSecret(s)))
	case map[string]any:
		name, ok := s["secretManager"].(string)
		if !ok || len(s) != 1 {
			d.add(Problem{Key: path, Message: "is a map", Allowed: forms, Fix: setSecretCommand(path)})
			return
		}
		if !secretForm.MatchString(name) {
			// The name is not shown: it could be the secret itself.
			d.add(Problem{
				Key: path, Message: "has a secretManager that is not the name of a secret's version",
				Allowed: "projects/P/secrets/S/versions/V, where V is a number or latest",
				Fix:     "list them with gcloud secrets versions list S --format='value(name)'",
			})
			return
		}
		v.Set(reflect.ValueOf(SecretReference(name)))
	default:
		// The value may be the secret itself, as a number: it is not shown.
		d.add(Problem{Key: path, Message: "is " + kindOf(x), Allowed: forms, Fix: setSecretCommand(path)})
	}
}

func (d *decoder) quantity(path string, x any, v reflect.Value) {
	switch n := x.(type) {
	case string:
		v.SetString(strings.TrimSpace(n))
	case json.Number:
		v.SetString(n.String())
	case int, int64, uint64:
		v.SetString(fmt.Sprint(n))
	case float64:
		v.SetString(strconv.FormatFloat(n, 'f', -1, 64))
	default:
		d.wrongType(path, x, "a quantity such as 2, 500m or 4Gi")
	}
}

func (d *decoder) scalar(path string, x any, v reflect.Value, field reflect.StructField) {
	switch v.Kind() {
	case reflect.String:
		switch s := x.(type) {
		case string:
			v.SetString(writtenTime(s, field.Tag.Get("format")))
		default:
			d.wrongType(path, x, "a text; numbers and true or false need quotes")
		}
	case reflect.Bool:
		switch b := x.(type) {
		case bool:
			v.SetBool(b)
		case string:
			parsed, ok := map[string]bool{"true": true, "false": false}[strings.ToLower(strings.TrimSpace(b))]
			if !ok {
				d.wrongType(path, x, "true or false")
				return
			}
			v.SetBool(parsed)
		default:
			d.wrongType(path, x, "true or false")
		}
	case reflect.Int:
		n, ok := asFloat(x)
		if !ok || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
			d.wrongType(path, x, "a whole number")
			return
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		n, ok := asFloat(x)
		if !ok {
			d.wrongType(path, x, "a number")
			return
		}
		v.SetFloat(n)
	default:
		panic("config: no decoding for " + v.Type().String())
	}
}

// writtenTime undoes what the engine does to a date without quotes: YAML makes a
// time of it, and the engine writes that as Go prints times.
func writtenTime(s, format string) string {
	if format != "date" && format != "time" {
		return s
	}
	t, err := time.Parse("2006-01-02 15:04:05 -0700 MST", s)
	switch {
	case err != nil:
		return s
	case format == "date":
		return t.Format(time.DateOnly)
	default:
		return t.Format(time.RFC3339)
	}
}

func (d *decoder) wrongType(path string, x any, want string) {
	value := ""
	switch s := x.(type) {
	case string:
		value = quote(s)
	case map[string]any, map[any]any, []any, encrypted:
	default:
		value = fmt.Sprint(x)
	}
	d.add(Problem{Key: path, Value: value, Message: "is " + kindOf(x), Allowed: want})
}

// asFloat reads a number, also one that is written as text.
func asFloat(x any) (float64, bool) {
	switch n := x.(type) {
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case float64:
		return n, !math.IsNaN(n) && !math.IsInf(n, 0)
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(n), 64)
		return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
	default:
		return 0, false
	}
}

// kindOf names the type of a value in words.
func kindOf(x any) string {
	switch x.(type) {
	case nil:
		return "empty"
	case string:
		return "a text"
	case bool:
		return "true or false"
	case map[string]any, map[any]any:
		return "a map"
	case []any:
		return "a list"
	case encrypted:
		return "encrypted"
	default:
		return "a number"
	}
}

// asMap reads a map with text keys; YAML gives others where a key looks like a
// number.
func asMap(x any) (map[string]any, bool) {
	switch m := x.(type) {
	case map[string]any:
		return m, true
	case Tree:
		return m, true
	case map[any]any:
		out := make(map[string]any, len(m))
		for key, element := range m {
			out[fmt.Sprint(key)] = element
		}
		return out, true
	default:
		return nil, false
	}
}

// fieldByKey finds the field of a key.
func fieldByKey(t reflect.Type, key string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if field := t.Field(i); field.IsExported() && keyOf(field) == key {
			return field, key != ""
		}
	}
	return reflect.StructField{}, false
}

// keyOf is the key of a field, or empty where it is none.
func keyOf(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	if name == "-" {
		return ""
	}
	return name
}

// keysOf are the keys of a struct, in the order of the type.
func keysOf(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		if field := t.Field(i); field.IsExported() && keyOf(field) != "" {
			out = append(out, keyOf(field))
		}
	}
	return out
}

func sortedKeys[V any, M ~map[string]V](m M) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// quote shows a text in a message: quoted, and not longer than a line.
func quote(s string) string {
	if runes := []rune(s); len(runes) > 80 {
		s = string(runes[:77]) + "..."
	}
	return strconv.Quote(s)
}

// setSecretCommand is how to set a secret.
func setSecretCommand(path string) string {
	return fmt.Sprintf("set it with pulumi config set --secret --path '%s'", path)
}
