package config

import (
	"errors"
	"fmt"
	"reflect"
)

// Tree writes the configuration back as a tree, without what is default or
// derived: FromTree of it gives the same configuration. Each secret that holds a
// text or is encrypted is written as what secret gives for its path (such as
// "release.apiKey"), for instance map[string]any{"secure": ciphertext}; nil leaves
// it out. Without a function texts are written as they are. References are always
// written as references. Errors are those of secret, joined.
func (c *Config) Tree(secret func(path string, s Secret) (any, error)) (Tree, error) {
	if secret == nil {
		secret = func(_ string, s Secret) (any, error) {
			if s.Encrypted() {
				return encrypted{}, nil
			}
			return s.Reveal(), nil
		}
	}
	e := encoder{secret: secret}
	derived := c.derivedOnly()
	tree := Tree{}
	def := Default()
	for _, part := range []struct {
		namespace    string
		v, def, auto reflect.Value
	}{
		{gcpNamespace, reflect.ValueOf(c.GCP), reflect.ValueOf(def.GCP), reflect.ValueOf(derived.GCP)},
		{Namespace, reflect.ValueOf(*c), reflect.ValueOf(*def), reflect.ValueOf(*derived)},
	} {
		for name, value := range e.fields("", part.v, part.def, part.auto) {
			tree[part.namespace+":"+name] = value
		}
	}
	return tree, errors.Join(e.errs...)
}

// derivedOnly is the configuration with all derived keys as Complete makes them.
func (c *Config) derivedOnly() *Config {
	out := &Config{}
	deepCopy(reflect.ValueOf(out).Elem(), reflect.ValueOf(*c))
	clearDerived(reflect.ValueOf(out).Elem())
	out.Complete()
	return out
}

// deepCopy copies v so that nothing is shared with it.
func deepCopy(to, v reflect.Value) {
	to.Set(v)
	switch {
	case v.Type() == secretType:
	case v.Kind() == reflect.Pointer && !v.IsNil():
		to.Set(reflect.New(v.Type().Elem()))
		deepCopy(to.Elem(), v.Elem())
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				deepCopy(to.Field(i), v.Field(i))
			}
		}
	case v.Kind() == reflect.Slice && !v.IsNil():
		to.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		for i := range v.Len() {
			deepCopy(to.Index(i), v.Index(i))
		}
	case v.Kind() == reflect.Map && !v.IsNil():
		to.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
		for _, key := range v.MapKeys() {
			element := reflect.New(v.Type().Elem()).Elem()
			deepCopy(element, v.MapIndex(key))
			to.SetMapIndex(key, element)
		}
	case v.Kind() == reflect.Interface && !v.IsNil():
		to.Set(reflect.ValueOf(cloneValue(v.Interface())))
	}
}

// Clone is a deep copy.
func (c *Config) Clone() *Config {
	out := &Config{}
	deepCopy(reflect.ValueOf(out).Elem(), reflect.ValueOf(*c))
	return out
}

// clearDerived empties all derived fields.
func clearDerived(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			clearDerived(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || field.Type == secretType {
				continue
			}
			if _, ok := field.Tag.Lookup("derived"); ok {
				v.Field(i).SetZero()
				continue
			}
			clearDerived(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			clearDerived(v.Index(i))
		}
	case reflect.Map:
		if v.Type().Elem().Kind() != reflect.Struct {
			return
		}
		for _, key := range v.MapKeys() {
			element := reflect.New(v.Type().Elem()).Elem()
			element.Set(v.MapIndex(key))
			clearDerived(element)
			v.SetMapIndex(key, element)
		}
	}
}

// encoder writes typed values as plain ones.
type encoder struct {
	secret func(path string, s Secret) (any, error)
	errs   []error
}

// fields writes the fields of v that differ from their default, or, where they
// are derived, from what they would be by themselves.
func (e *encoder) fields(path string, v, def, auto reflect.Value) map[string]any {
	out := map[string]any{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := keyOf(field)
		if !field.IsExported() || name == "" {
			continue
		}
		at := name
		if path != "" {
			at = path + "." + name
		}
		compare := def.Field(i)
		if _, ok := field.Tag.Lookup("derived"); ok {
			compare = auto.Field(i)
		}
		if value, ok := e.value(at, v.Field(i), compare, auto.Field(i), field); ok {
			out[name] = value
		}
	}
	return out
}

// value writes v; ok is false where it equals def and may be left out.
func (e *encoder) value(path string, v, def, auto reflect.Value, field reflect.StructField) (value any, ok bool) {
	t := v.Type()
	switch {
	case t == secretType:
		return e.oneSecret(path, v.Interface().(Secret))
	case t.Kind() == reflect.Pointer:
		if v.IsNil() {
			return nil, !def.IsNil()
		}
		if t.Elem().Kind() != reflect.Struct {
			if !def.IsNil() && reflect.DeepEqual(v.Interface(), def.Interface()) {
				return nil, false
			}
			return v.Elem().Interface(), true
		}
		given := !def.IsNil()
		base := reflect.New(t.Elem()).Elem()
		if given {
			base = def.Elem()
		} else if field.Tag.Get("inherits") == "" {
			applyDefaults(base)
		}
		autoElem := v.Elem()
		if !auto.IsNil() {
			autoElem = auto.Elem()
		}
		m := e.fields(path, v.Elem(), base, autoElem)
		return m, len(m) > 0 || !given
	case t.Kind() == reflect.Struct:
		m := e.fields(path, v, def, auto)
		return m, len(m) > 0
	case t.Kind() == reflect.Slice:
		if v.Len() == 0 || reflect.DeepEqual(v.Interface(), def.Interface()) {
			return nil, false
		}
		items := make([]any, v.Len())
		for i := range items {
			autoItem := v.Index(i)
			if i < auto.Len() {
				autoItem = auto.Index(i)
			}
			items[i] = e.element(fmt.Sprintf("%s[%d]", path, i), v.Index(i), autoItem)
		}
		return items, true
	case t.Kind() == reflect.Map:
		if v.Len() == 0 {
			return nil, false
		}
		m := make(map[string]any, v.Len())
		for _, key := range v.MapKeys() {
			m[key.String()] = e.element(path+"."+key.String(), v.MapIndex(key), auto.MapIndex(key))
		}
		return m, true
	case t.Kind() == reflect.Interface:
		return cloneValue(v.Interface()), true
	case reflect.DeepEqual(v.Interface(), def.Interface()):
		return nil, false
	case t == quantityType:
		return v.String(), true
	default:
		return v.Interface(), true
	}
}

// element writes an element of a list or map, which is there even if empty.
func (e *encoder) element(path string, v, auto reflect.Value) any {
	def := reflect.New(v.Type()).Elem()
	if def.Kind() == reflect.Struct && def.Type() != secretType {
		applyDefaults(def)
	}
	value, ok := e.value(path, v, def, auto, reflect.StructField{})
	if !ok && v.Kind() != reflect.Struct && v.Kind() != reflect.Map {
		return v.Interface()
	}
	if value == nil && v.Kind() == reflect.Map {
		return map[string]any{}
	}
	return value
}

// oneSecret writes a secret.
func (e *encoder) oneSecret(path string, s Secret) (value any, ok bool) {
	if s.IsZero() {
		return nil, false
	}
	if s.Reference() != "" {
		return map[string]any{"secretManager": s.Reference()}, true
	}
	value, err := e.secret(path, s)
	if err != nil {
		e.errs = append(e.errs, fmt.Errorf("writing secret %s: %w", path, err))
		return nil, false
	}
	return value, value != nil
}
