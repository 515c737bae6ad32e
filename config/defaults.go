package config

import (
	"fmt"
	"reflect"
	"strconv"

	"gopkg.in/yaml.v3"
)

var (
	secretType   = reflect.TypeFor[Secret]()
	quantityType = reflect.TypeFor[Quantity]()
)

// Default is the configuration before anything is set: the defaults of the
// types' tags. Names and other derived values are filled in by Complete.
func Default() *Config {
	c := &Config{}
	applyDefaults(reflect.ValueOf(c).Elem())
	return c
}

// applyDefaults fills a struct from its tags: `default` holds a single value,
// `defaults` a YAML map that is laid over the defaults of the field's own type.
// A tag that does not fit its field is a mistake in this package: it panics, and
// the tests see it.
func applyDefaults(v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		if text, ok := field.Tag.Lookup("default"); ok {
			if err := setScalarText(v.Field(i), text); err != nil {
				panic(fmt.Sprintf("default of %s.%s: %v", v.Type(), field.Name, err))
			}
		}
		if field.Type.Kind() == reflect.Struct && field.Type != secretType {
			applyDefaults(v.Field(i))
		}
		if text, ok := field.Tag.Lookup("defaults"); ok {
			var tree any
			err := yaml.Unmarshal([]byte(text), &tree)
			d := decoder{}
			if err == nil {
				d.value(field.Name, tree, v.Field(i), field)
			}
			if err != nil || len(d.problems) > 0 {
				panic(fmt.Sprintf("defaults of %s.%s: %v %v", v.Type(), field.Name, err, d.problems))
			}
		}
	}
}

// setScalarText parses the text of a `default` tag.
func setScalarText(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return err
		}
		v.SetBool(b)
	case reflect.Int:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		v.SetInt(n)
	default:
		return fmt.Errorf("a %s takes no default", v.Kind())
	}
	return nil
}
