package rules

import (
	"fmt"
	"math"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// Value is a property of a resource on the way to being read. Reading one that
// is not known yet, or of another kind than asked for, ends the rule: run turns
// that into a note or a violation. An absent property reads as the zero value.
type Value struct {
	judge  *Judge
	path   string
	v      property.Value
	secret bool
}

// notKnown ends a rule that needs a value which is only known after an apply.
type notKnown struct{ path string }

// wrongKind ends a rule that finds something else than it must be.
type wrongKind struct{ path, want, got string }

func (v Value) child(name string, p property.Value) Value {
	path := name
	switch {
	case v.path != "" && strings.HasPrefix(name, "["):
		path = v.path + name
	case v.path != "":
		path = v.path + "." + name
	}
	if p.IsString() && p.AsString() == redacted {
		p = property.New(property.Computed).WithSecret(true)
	}
	return Value{judge: v.judge, path: path, v: p, secret: v.secret || p.Secret()}
}

// redacted is what the engine shows instead of a secret that it cannot decrypt,
// in an analysis of a state file.
const redacted = "[secret]"

// Get goes down by keys; an absent step gives an absent value.
func (v Value) Get(keys ...string) Value {
	for _, key := range keys {
		v.mustBeKnown()
		if v.v.IsNull() {
			v = v.child(key, property.Value{})
			continue
		}
		if v.v.IsArray() && v.v.AsArray().Len() <= 1 {
			// Providers write a single block as a list of one in some versions.
			inner := property.Value{}
			if v.v.AsArray().Len() == 1 {
				inner = v.v.AsArray().Get(0)
			}
			v = Value{judge: v.judge, path: v.path, v: inner, secret: v.secret || inner.Secret()}
			v.mustBeKnown()
			if v.v.IsNull() {
				v = v.child(key, property.Value{})
				continue
			}
		}
		if !v.v.IsMap() {
			panic(wrongKind{v.path, "an object", kindOf(v.v)})
		}
		v = v.child(key, v.v.AsMap().Get(key))
	}
	return v
}

func (v Value) mustBeKnown() {
	if v.v.IsComputed() {
		panic(notKnown{v.path})
	}
}

// Known tells whether the value itself can be read now.
func (v Value) Known() bool { return !v.v.IsComputed() }

// Present tells whether there is a value; null counts as none.
func (v Value) Present() bool {
	v.mustBeKnown()
	return !v.v.IsNull()
}

// Text is a text, "" where it is absent.
func (v Value) Text() string {
	v.mustBeKnown()
	switch {
	case v.v.IsNull():
		return ""
	case v.v.IsString():
		s := v.v.AsString()
		if v.secret {
			v.judge.hide(s)
		}
		return s
	}
	panic(wrongKind{v.path, "a text", kindOf(v.v)})
}

// Number is a number, or absent where there is none.
func (v Value) Number(absent float64) float64 {
	v.mustBeKnown()
	switch {
	case v.v.IsNull():
		return absent
	case v.v.IsNumber():
		n := v.v.AsNumber()
		if math.IsNaN(n) || math.IsInf(n, 0) {
			panic(wrongKind{v.path, "a finite number", fmt.Sprint(n)})
		}
		if v.secret {
			v.judge.hide(number(n))
		}
		return n
	}
	panic(wrongKind{v.path, "a number", kindOf(v.v)})
}

// Flag is true or false, or absent where there is none.
func (v Value) Flag(absent bool) bool {
	v.mustBeKnown()
	switch {
	case v.v.IsNull():
		return absent
	case v.v.IsBool():
		return v.v.AsBool()
	}
	panic(wrongKind{v.path, "true or false", kindOf(v.v)})
}

// List are the elements of a list.
func (v Value) List() []Value {
	v.mustBeKnown()
	if v.v.IsNull() {
		return nil
	}
	if !v.v.IsArray() {
		panic(wrongKind{v.path, "a list", kindOf(v.v)})
	}
	var all []Value
	for i, e := range v.v.AsArray().All {
		all = append(all, v.child(fmt.Sprintf("[%d]", i), e))
	}
	return all
}

// Fields are the fields of an object, in the order of their names.
func (v Value) Fields() []Field {
	v.mustBeKnown()
	if v.v.IsNull() {
		return nil
	}
	if !v.v.IsMap() {
		panic(wrongKind{v.path, "an object", kindOf(v.v)})
	}
	var all []Field
	for k, e := range v.v.AsMap().AllStable {
		all = append(all, Field{k, v.child(k, e)})
	}
	return all
}

// Field is a named value.
type Field struct {
	Name  string
	Value Value
}

// Quantity is a Kubernetes quantity in its base unit (cores, bytes), given as a
// text or a number; absent where there is none.
func (v Value) Quantity(absent float64) float64 {
	v.mustBeKnown()
	if v.v.IsNull() {
		return absent
	}
	if v.v.IsNumber() {
		return v.Number(absent)
	}
	text := v.Text()
	q, ok := parseQuantity(text)
	if !ok {
		panic(wrongKind{v.path, "a quantity such as 2, 500m or 4Gi", "another text"})
	}
	return q
}

var suffixes = map[string]float64{
	"": 1, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60,
}

func parseQuantity(text string) (float64, bool) {
	digits := strings.TrimRight(text, "numkKMGTPEi")
	factor, ok := suffixes[text[len(digits):]]
	if !ok || digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return 0, false
	}
	var n float64
	if _, err := fmt.Sscanf(digits, "%f", &n); err != nil || strings.Count(digits, ".") > 1 {
		return 0, false
	}
	return n * factor, true
}

func number(n float64) string { return strings.TrimSuffix(fmt.Sprintf("%.10g", n), ".0") }

func kindOf(v property.Value) string {
	switch {
	case v.IsNull():
		return "nothing"
	case v.IsBool():
		return "true or false"
	case v.IsNumber():
		return "a number"
	case v.IsString():
		return "a text"
	case v.IsArray():
		return "a list"
	case v.IsMap():
		return "an object"
	case v.IsAsset(), v.IsArchive():
		return "a file"
	case v.IsResourceReference():
		return "a resource"
	default:
		return "not known yet"
	}
}
