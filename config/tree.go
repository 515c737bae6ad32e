package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Namespace is the project's configuration namespace.
const Namespace = "deepgram-stack"

// gcpNamespace is the namespace of the gcp provider's own configuration.
const gcpNamespace = "gcp"

// Tree is a configuration as it is written: keys with namespace
// ("gcp:project", "deepgram-stack:release") and their values.
type Tree map[string]any

// encrypted stands in a Tree for a value that a stack file holds encrypted.
type encrypted struct{}

// String never shows more than that there is a secret.
func (encrypted) String() string { return "[secret]" }

// LoadTree reads the configuration of a stack file (Pulumi.<stack>.yaml).
// Encrypted values ("secure") become a mark that decodes to EncryptedSecret:
// nothing is decrypted. A file without configuration gives an empty tree.
func LoadTree(file string) (Tree, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading stack file: %w", err)
	}
	tree, err := ParseTree(text)
	if err != nil {
		return nil, fmt.Errorf("reading stack file %s: %w", file, err)
	}
	return tree, nil
}

// ParseTree is LoadTree for a text.
func ParseTree(text []byte) (Tree, error) {
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return Tree{}, nil
		}
		return nil, fmt.Errorf("parsing YAML: %w", err)
	}
	plainTimes(&root)
	var file struct {
		Config map[string]any `yaml:"config"`
	}
	if err := root.Decode(&file); err != nil {
		return nil, fmt.Errorf("parsing YAML: %w", err)
	}
	tree := Tree{}
	for key, value := range file.Config {
		tree[key] = markEncrypted(value)
	}
	return tree, nil
}

// plainTimes keeps dates as the text that was written: YAML would make times of
// them, and 2026-12-01 would come back as 2026-12-01T00:00:00Z.
func plainTimes(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!timestamp" {
		node.Tag = "!!str"
	}
	for _, child := range node.Content {
		plainTimes(child)
	}
}

// markEncrypted replaces {secure: ciphertext} by the mark.
func markEncrypted(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if _, ok := v["secure"]; ok && len(v) == 1 {
			return encrypted{}
		}
		for key, element := range v {
			v[key] = markEncrypted(element)
		}
	case []any:
		for i, element := range v {
			v[i] = markEncrypted(element)
		}
	}
	return value
}

// Clone is a deep copy.
func (t Tree) Clone() Tree {
	out := make(Tree, len(t))
	for key, value := range t {
		out[key] = cloneValue(value)
	}
	return out
}

func cloneValue(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, element := range v {
			out[key] = cloneValue(element)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = cloneValue(element)
		}
		return out
	default:
		return value
	}
}

// Set puts a value, given as YAML, at a path: inside the project's namespace
// ("pools.engine.machineType", "models.files[0].name") or with a namespace
// ("gcp:zone"). Maps on the way are made; a list index may be one past the end.
// The tree is unchanged where an error is returned.
func (t Tree) Set(path, yamlValue string) error {
	key, parts, err := splitPath(path)
	if err != nil {
		return fmt.Errorf("setting %q: %w", path, err)
	}
	value, err := parseYAMLValue(yamlValue)
	if err != nil {
		return fmt.Errorf("setting %q: value is not YAML: %w", path, err)
	}
	changed, err := setIn(cloneValue(t[key]), parts, value, key)
	if err != nil {
		return fmt.Errorf("setting %q: %w", path, err)
	}
	t[key] = changed
	return nil
}

// parseYAMLValue reads one YAML value; the empty text is the empty string.
func parseYAMLValue(text string) (any, error) {
	if strings.TrimSpace(text) == "" {
		return "", nil
	}
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		return nil, err
	}
	plainTimes(&node)
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, err
	}
	return markEncrypted(value), nil
}

// step is one part of a path.
type step struct {
	name string
	// index tells that it was written as [0], which makes a list where none is.
	index bool
}

// splitPath gives the key with namespace and the parts below it. A part is
// written .name, [3] or ["name.with.dots"].
func splitPath(path string) (key string, parts []step, err error) {
	namespace, rest := Namespace, path
	if before, after, ok := strings.Cut(path, ":"); ok && !strings.ContainsAny(before, ".[") {
		namespace, rest = before, after
	}
	for i := 0; i < len(rest); {
		switch {
		case strings.HasPrefix(rest[i:], `["`):
			end := strings.Index(rest[i+2:], `"]`)
			if end < 0 {
				return "", nil, errors.New(`a ["name"] is not closed`)
			}
			parts = append(parts, step{name: rest[i+2 : i+2+end]})
			i += end + 4
		case rest[i] == '[':
			end := strings.IndexByte(rest[i:], ']')
			if end < 0 {
				return "", nil, errors.New("an [index] is not closed")
			}
			index := rest[i+1 : i+end]
			if _, err := strconv.ParseUint(index, 10, 31); err != nil {
				return "", nil, fmt.Errorf("index [%s] is not a number; write [0] or [\"name\"]", index)
			}
			parts = append(parts, step{name: index, index: true})
			i += end + 1
		case rest[i] == '.':
			i++
			if i == len(rest) || rest[i] == '.' || rest[i] == '[' {
				return "", nil, errors.New("a name between dots is empty")
			}
		default:
			end := strings.IndexAny(rest[i:], ".[")
			if end < 0 {
				end = len(rest) - i
			}
			parts = append(parts, step{name: rest[i : i+end]})
			i += end
		}
	}
	if namespace == "" || len(parts) == 0 || slices.ContainsFunc(parts, func(s step) bool { return s.name == "" }) {
		return "", nil, errors.New("a path is key.key=value, such as pools.engine.machineType=g2-standard-12 or gcp:zone=us-central1-a")
	}
	return namespace + ":" + parts[0].name, parts[1:], nil
}

// setIn gives node with value at parts.
func setIn(node any, parts []step, value any, at string) (any, error) {
	if len(parts) == 0 {
		return value, nil
	}
	part := parts[0].name
	if node == nil && parts[0].index {
		node = []any{}
	}
	switch n := node.(type) {
	case nil:
		n2, err := setIn(nil, parts[1:], value, at+"."+part)
		return map[string]any{part: n2}, err
	case map[string]any:
		child, err := setIn(n[part], parts[1:], value, at+"."+part)
		if err != nil {
			return nil, err
		}
		n[part] = child
		return n, nil
	case []any:
		index, err := strconv.Atoi(part)
		if err != nil || index < 0 {
			return nil, fmt.Errorf("%s is a list; use a number instead of %q", at, part)
		}
		if index > len(n) {
			return nil, fmt.Errorf("%s has %d elements; the index may be 0 to %d, not %d", at, len(n), len(n), index)
		}
		if index == len(n) {
			n = append(n, nil)
		}
		child, err := setIn(n[index], parts[1:], value, fmt.Sprintf("%s[%d]", at, index))
		if err != nil {
			return nil, err
		}
		n[index] = child
		return n, nil
	case encrypted:
		return nil, fmt.Errorf("%s is encrypted as a whole, so that nothing below it can be set; set all of %s", at, at)
	default:
		return nil, fmt.Errorf("%s holds a single value, so that nothing below it can be set", at)
	}
}
