package config

import (
	"bytes"
	_ "embed"
	"fmt"
	"reflect"
	"strings"
)

// KeyDoc documents one key.
type KeyDoc struct {
	// Key is the key as it is written, such as "deepgram-stack:release.tag"; [] is
	// any element of a list, <role> and <name> any name.
	Key string
	// Type is text, number, true or false, quantity, secret, list of …, map.
	Type string
	// Default is the default, how it is derived, "required" or empty.
	Default string
	// Allowed says what may be given; empty where the type says it all.
	Allowed string
	// Text says what the key is.
	Text string
}

// Keys documents every key, in the order of the types.
func Keys() ([]KeyDoc, error) {
	docs, err := comments()
	if err != nil {
		return nil, err
	}
	k := keyWalker{docs: docs}
	def := Default()
	k.fields(gcpNamespace+":", reflect.ValueOf(def.GCP))
	k.fields(Namespace+":", reflect.ValueOf(*def))
	return k.keys, nil
}

type keyWalker struct {
	docs map[string]string
	keys []KeyDoc
}

func (k *keyWalker) fields(prefix string, v reflect.Value) {
	if v.Type() == reflect.TypeFor[Pools]() {
		// All pools have the same keys; their defaults are in a table of their own.
		k.fields(strings.TrimSuffix(prefix, ".")+".<role>.", reflect.ValueOf(poolDefaults()))
		return
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || keyOf(field) == "" {
			continue
		}
		k.field(prefix+keyOf(field), v.Type(), field, v.Field(i))
	}
}

// poolDefaults are the defaults that all pools share.
func poolDefaults() Pool {
	var pool Pool
	applyDefaults(reflect.ValueOf(&pool).Elem())
	return pool
}

func (k *keyWalker) field(key string, parent reflect.Type, field reflect.StructField, def reflect.Value) {
	t := field.Type
	if t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct {
		t = t.Elem()
	}
	doc := KeyDoc{Key: key, Type: typeWords(field.Type), Text: asKey(k.docs[parent.Name()+"."+field.Name], field), Allowed: allowedWords(field)}
	switch {
	case field.Tag.Get("derived") != "":
		doc.Default = field.Tag.Get("derived")
	case field.Tag.Get("required") != "":
		doc.Default = "required"
	case isScalar(field.Type) && (!def.IsZero() || field.Tag.Get("default") != ""):
		doc.Default = fmt.Sprint(def.Interface())
	}
	inner, suffix := t, "."
	switch {
	case t.Kind() == reflect.Slice:
		inner, suffix = t.Elem(), "[]."
	case t.Kind() == reflect.Map:
		inner, suffix = t.Elem(), ".<name>."
	}
	if inner.Kind() != reflect.Struct || inner == secretType {
		k.keys = append(k.keys, doc)
		return
	}
	// A plain group is the heading of its keys only at the top; a list, a map and
	// what may be left out altogether need a line that says so.
	if suffix != "." || field.Type.Kind() == reflect.Pointer {
		k.keys = append(k.keys, doc)
	}
	value := reflect.New(inner).Elem()
	if suffix == "." && def.Kind() == reflect.Struct {
		value = def
	} else if field.Tag.Get("inherits") == "" {
		applyDefaults(value)
	}
	k.fields(key+suffix, value)
}

// asKey begins a comment, which begins with the field's name, with the key's.
func asKey(text string, field reflect.StructField) string {
	if rest, ok := strings.CutPrefix(text, field.Name+" "); ok {
		return keyOf(field) + " " + rest
	}
	return text
}

func typeWords(t reflect.Type) string {
	switch {
	case t == secretType:
		return "secret"
	case t == quantityType:
		return "quantity"
	case t.Kind() == reflect.Pointer:
		return typeWords(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list of " + typeWords(t.Elem())
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Interface:
		return "map"
	case t.Kind() == reflect.Map:
		return "map of " + typeWords(t.Elem())
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "whole number"
	case t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Struct:
		return "map"
	default:
		return "text"
	}
}

func allowedWords(field reflect.StructField) string {
	tag := field.Tag
	if enum, ok := tag.Lookup("enum"); ok {
		return strings.Join(strings.Split(strings.TrimPrefix(enum, ","), ","), ", ")
	}
	if tag.Get("min") != "" && tag.Get("max") != "" {
		return tag.Get("min") + " to " + tag.Get("max")
	}
	if tag.Get("min") != "" {
		return tag.Get("min") + " or more"
	}
	if tag.Get("format") == "pem" {
		return ""
	}
	allowed := formats[tag.Get("format")].allowed
	if allowed != "" && tag.Get("maxlen") != "" {
		allowed = strings.TrimSuffix(allowed, ", at most 63 characters") + ", at most " + tag.Get("maxlen") + " characters"
	}
	return allowed
}

// introduction is the written part of the documentation; {{example}} and {{pools}}
// are replaced.
//
//go:embed configuration.md.in
var introduction string

// Documentation is docs/configuration.md. example is the text of the smallest
// environment.
func Documentation(example string) ([]byte, error) {
	keys, err := Keys()
	if err != nil {
		return nil, err
	}
	docs, err := comments()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("<!-- Made by `make docs` from package config: change the comments there. -->\n")
	b.WriteString(strings.NewReplacer("{{example}}", strings.TrimSpace(example), "{{pools}}", poolTable()).Replace(introduction))
	group := ""
	for _, key := range keys {
		top := key.Key
		if i := strings.IndexAny(top, ".["); i >= 0 {
			top = top[:i]
		}
		if strings.HasPrefix(top, gcpNamespace+":") {
			top = gcpNamespace
		}
		if top != group {
			group = top
			heading(&b, group, docs)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", strings.TrimPrefix(key.Key, group+"."), key.Type, code(key.Default), cell(key))
	}
	return b.Bytes(), nil
}

func heading(b *bytes.Buffer, group string, docs map[string]string) {
	text := docs["GCP"]
	if field, ok := fieldByKey(reflect.TypeFor[Config](), strings.TrimPrefix(group, Namespace+":")); ok {
		text = docs["Config."+field.Name]
		if more := docs[field.Type.Name()]; more != "" && more != text {
			text = more
		}
	}
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n| key | type | default | what |\n|---|---|---|---|\n", group, escape(text))
}

// code shows a default.
func code(value string) string {
	if value == "" || value == "required" {
		return value
	}
	return "`" + strings.ReplaceAll(value, "|", `\|`) + "`"
}

func cell(key KeyDoc) string {
	text := escape(strings.TrimSuffix(key.Text, " Required."))
	if key.Allowed != "" {
		text += " Allowed: " + escape(key.Allowed) + "."
	}
	return text
}

// escape keeps a text inside its cell.
func escape(s string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(s) }

// poolTable shows the defaults that differ from pool to pool.
func poolTable() string {
	var b strings.Builder
	b.WriteString("| pool | name | machineType | minNodes | maxNodes | gpu |\n|---|---|---|---|---|---|\n")
	c := Default()
	c.Complete()
	for _, p := range c.Pools.byRole() {
		gpu := "none"
		if g := p.pool.GPU; g != nil {
			gpu = fmt.Sprintf("%d × %s, driver %s", g.Count, g.Type, g.Driver)
		}
		fmt.Fprintf(&b, "| `pools.%s` | %s | %s | %d | %d | %s |\n", p.key, p.pool.Name, p.pool.MachineType, p.pool.MinNodes, p.pool.MaxNodes, gpu)
	}
	return strings.TrimSpace(b.String())
}
