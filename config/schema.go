package config

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// typesSource is the source of the types: their comments are the documentation.
//
//go:embed types.go
var typesSource string

// comments are the doc comments of the types by "Type" and "Type.Field", each on
// one line.
func comments() (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "types.go", typesSource, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("reading the comments of the types: %w", err)
	}
	line := func(group *ast.CommentGroup) string { return strings.Join(strings.Fields(group.Text()), " ") }
	out := map[string]string{}
	for _, decl := range file.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			named, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			out[named.Name.Name] = line(general.Doc)
			structure, ok := named.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					out[named.Name.Name+"."+name.Name] = line(field.Doc)
				}
			}
		}
	}
	return out, nil
}

// JSONSchema is the schema (draft 2020-12) of a stack file, Pulumi.<stack>.yaml,
// for completion and checks in editors. It asks for true, false and numbers without
// quotes, where FromTree also takes them as text; and it knows single keys only:
// what keys mean together is checked by Validate.
func JSONSchema() ([]byte, error) {
	docs, err := comments()
	if err != nil {
		return nil, err
	}
	s := schemaMaker{docs: docs, defs: map[string]any{"secret": secretSchema()}}
	properties := map[string]any{}
	def := Default()
	for _, part := range []struct {
		namespace string
		value     reflect.Value
	}{{gcpNamespace, reflect.ValueOf(def.GCP)}, {Namespace, reflect.ValueOf(*def)}} {
		for i := range part.value.NumField() {
			field := part.value.Type().Field(i)
			if name := keyOf(field); field.IsExported() && name != "" {
				properties[part.namespace+":"+name] = s.property(part.value.Type(), field, part.value.Field(i))
			}
		}
	}
	root := map[string]any{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "Stack file of deepgram-stack",
		"description": "Configuration of one environment, Pulumi.<stack>.yaml. The documentation is docs/configuration.md.",
		"type":        "object",
		"properties": map[string]any{
			"config": map[string]any{
				"type":       "object",
				"properties": properties,
				// Other providers' keys, and other keys of gcp, are theirs to check.
				"propertyNames": map[string]any{"anyOf": []any{
					map[string]any{"enum": sortedKeys(properties)},
					map[string]any{"pattern": ".:.", "not": map[string]any{"pattern": "^" + Namespace + ":"}},
				}},
			},
			"secretsprovider": map[string]any{"type": "string"},
			"encryptedkey":    map[string]any{"type": "string"},
			"encryptionsalt":  map[string]any{"type": "string"},
			"environment":     true,
		},
		"additionalProperties": false,
		"$defs":                s.defs,
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return b.Bytes(), nil
}

func secretSchema() map[string]any {
	one := func(key string, value map[string]any) map[string]any {
		return map[string]any{"type": "object", "properties": map[string]any{key: value}, "required": []string{key}, "additionalProperties": false}
	}
	return map[string]any{
		"description": "A secret: encrypted by pulumi config set --secret, or a version in Google Secret Manager.",
		"anyOf": []any{
			one("secure", map[string]any{"type": "string"}),
			one("secretManager", map[string]any{"type": "string", "pattern": secretForm.String()}),
			map[string]any{"type": "string"},
		},
	}
}

type schemaMaker struct {
	docs map[string]string
	defs map[string]any
}

// property is the schema of a field. def is its default value.
func (s *schemaMaker) property(parent reflect.Type, field reflect.StructField, def reflect.Value) map[string]any {
	out := s.ofType(field.Type, field)
	out["description"] = asKey(s.docs[parent.Name()+"."+field.Name], field)
	if derived := field.Tag.Get("derived"); derived != "" {
		out["description"] = fmt.Sprintf("%s Default: %s.", out["description"], derived)
	} else if isScalar(field.Type) && !def.IsZero() || field.Tag.Get("default") != "" {
		out["default"] = def.Interface()
	}
	return out
}

func isScalar(t reflect.Type) bool {
	return t.Kind() == reflect.String || t.Kind() == reflect.Bool || t.Kind() == reflect.Int
}

// ofType is the schema of a type as the field uses it.
func (s *schemaMaker) ofType(t reflect.Type, field reflect.StructField) map[string]any {
	switch {
	case t == secretType:
		return ref("secret")
	case t == quantityType:
		return map[string]any{"type": []string{"string", "number"}, "pattern": quantityForm}
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		return map[string]any{"anyOf": []any{s.ofType(t.Elem(), field), map[string]any{"type": "null"}}}
	case t.Kind() == reflect.Pointer:
		return s.ofType(t.Elem(), field)
	case t.Kind() == reflect.Struct:
		s.define(t)
		return ref(t.Name())
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": s.ofType(t.Elem(), field)}
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Interface:
		return map[string]any{"type": "object"}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.ofType(t.Elem(), reflect.StructField{})}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case t.Kind() == reflect.Int, t.Kind() == reflect.Float64:
		out := map[string]any{"type": "number"}
		if t.Kind() == reflect.Int {
			out["type"] = "integer"
		}
		for tag, keyword := range map[string]string{"min": "minimum", "max": "maximum"} {
			if n, err := strconv.Atoi(field.Tag.Get(tag)); err == nil {
				out[keyword] = n
			}
		}
		return out
	default:
		return textSchema(field)
	}
}

func textSchema(field reflect.StructField) map[string]any {
	out := map[string]any{"type": "string"}
	if enum, ok := field.Tag.Lookup("enum"); ok {
		out["enum"] = strings.Split(enum, ",")
		return out
	}
	if form := formats[field.Tag.Get("format")]; form.pattern != "" {
		// An empty text is the same as none, except where one is required.
		if field.Tag.Get("required") != "" {
			out["pattern"] = form.pattern
		} else {
			out["pattern"] = "^$|" + form.pattern
		}
	}
	if limit, err := strconv.Atoi(field.Tag.Get("maxlen")); err == nil {
		out["maxLength"] = limit
	}
	return out
}

func ref(name string) map[string]any { return map[string]any{"$ref": "#/$defs/" + name} }

// define adds the definition of a struct.
func (s *schemaMaker) define(t reflect.Type) {
	if _, ok := s.defs[t.Name()]; ok {
		return
	}
	def := reflect.New(t).Elem()
	applyDefaults(def)
	properties := map[string]any{}
	var required []string
	definition := map[string]any{"type": "object", "description": s.docs[t.Name()], "properties": properties, "additionalProperties": false}
	s.defs[t.Name()] = definition
	for i := range t.NumField() {
		field := t.Field(i)
		name := keyOf(field)
		if !field.IsExported() || name == "" {
			continue
		}
		properties[name] = s.property(t, field, def.Field(i))
		if field.Tag.Get("required") != "" {
			required = append(required, name)
		}
	}
	if len(required) > 0 {
		slices.Sort(required)
		definition["required"] = required
	}
}
