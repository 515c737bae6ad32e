package postrender

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// routeAnnotation is on the pods of an API or Engine whose configuration was
// changed. The chart's own checksum is of what it rendered, so without this a
// changed route would restart nothing.
const routeAnnotation = "deepgram-gke/license-route"

// document is one object of a manifest.
type document struct {
	// text is the document with the separator above it.
	text string
	root yaml.Node
	// changed tells that text is out of date.
	changed bool
}

var separator = regexp.MustCompile(`(?m)^---([ \t].*)?$`)

// split cuts a manifest into its documents.
func split(manifest []byte) ([]*document, error) {
	var docs []*document
	cuts := append(separator.FindAllIndex(manifest, -1), []int{len(manifest), len(manifest)})
	start := 0
	for _, cut := range cuts {
		if cut[0] == start && start == 0 && len(manifest) > 0 {
			continue // a separator at the very beginning
		}
		d := &document{text: string(manifest[start:cut[0]])}
		body := separator.ReplaceAllString(d.text, "")
		if err := yaml.Unmarshal([]byte(body), &d.root); err != nil {
			return nil, fmt.Errorf("document %d of the rendered chart: %w", len(docs)+1, err)
		}
		docs = append(docs, d)
		start = cut[0]
	}
	return docs, nil
}

// join is the manifest of all documents.
func join(docs []*document) ([]byte, error) {
	var out bytes.Buffer
	for _, d := range docs {
		if !d.changed {
			out.WriteString(d.text)
			continue
		}
		if sep := separator.FindString(d.text); sep != "" {
			out.WriteString(sep + "\n")
		}
		e := yaml.NewEncoder(&out)
		e.SetIndent(2)
		if err := e.Encode(&d.root); err != nil {
			return nil, err
		}
		if err := e.Close(); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func (d *document) kind() string { return d.get("kind") }
func (d *document) name() string { return d.get("metadata", "name") }

// get is the text at a path; empty where there is none.
func (d *document) get(path ...string) string {
	if n := d.node(path...); n != nil && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

// node is the value at a path; nil where there is none.
func (d *document) node(path ...string) *yaml.Node {
	if len(d.root.Content) == 0 {
		return nil
	}
	n := d.root.Content[0]
	for _, key := range path {
		if n = child(n, key); n == nil {
			return nil
		}
	}
	return n
}

// child is the value of a key of a map.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// keys are those of a map.
func (d *document) keys(path ...string) (keys []string) {
	n := d.node(path...)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		keys = append(keys, n.Content[i].Value)
	}
	return keys
}

// set changes a text that is there.
func (d *document) set(value string, path ...string) {
	n := d.node(path...)
	n.Value, n.Style, n.Tag = value, yaml.LiteralStyle, "!!str"
	d.changed = true
}

// restart gives the pods of a workload that mount a changed ConfigMap an
// annotation that changes with it.
func (d *document) restart(changed map[string]string) {
	volumes := d.node("spec", "template", "spec", "volumes")
	meta := d.node("spec", "template", "metadata")
	if volumes == nil || meta == nil {
		return
	}
	var marks []string
	for _, v := range volumes.Content {
		source := child(v, "configMap")
		if source == nil {
			continue
		}
		if name := child(source, "name"); name != nil && changed[name.Value] != "" {
			marks = append(marks, changed[name.Value])
		}
	}
	if len(marks) == 0 {
		return
	}
	slices.Sort(marks)
	annotations := child(meta, "annotations")
	if annotations == nil || annotations.Kind != yaml.MappingNode {
		annotations = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		meta.Content = append(meta.Content, scalar("annotations"), annotations)
	}
	if old := child(annotations, routeAnnotation); old != nil {
		old.Value = strings.Join(marks, ".")
	} else {
		annotations.Content = append(annotations.Content, scalar(routeAnnotation), scalar(strings.Join(marks, ".")))
	}
	d.changed = true
}

func scalar(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	if text != "annotations" {
		n.Style = yaml.DoubleQuotedStyle // a fingerprint of digits alone stays a text
	}
	return n
}
