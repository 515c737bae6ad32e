// Command gendocs writes the generated documents, or with -check only tells
// whether they are up to date. It knows which documents there are, and nothing
// of their content; it links no cloud SDK, so that it is quick to build.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/policy/rules"
)

// document is one generated file.
type document struct {
	// path is relative to the module's folder.
	path string
	// make gives the content; root is the module's folder.
	make func(root string) ([]byte, error)
}

// documents are all generated files. A room that has one adds it here.
var documents = []document{
	{"docs/configuration.md", func(root string) ([]byte, error) {
		example, err := os.ReadFile(filepath.Join(root, "Pulumi.dev.yaml"))
		if err != nil {
			return nil, err
		}
		return config.Documentation(string(example))
	}},
	{"docs/configuration.schema.json", func(string) ([]byte, error) { return config.JSONSchema() }},
	{"docs/policies.md", func(string) ([]byte, error) { return []byte(rules.Markdown()), nil }},
}

func main() {
	check := flag.Bool("check", false, "change nothing; fail if a document is not up to date")
	flag.Parse()
	root, err := moduleRoot()
	if err == nil {
		err = run(os.Stdout, root, *check)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

// run writes or checks every document below root, and goes on after an error.
func run(out io.Writer, root string, check bool) error {
	var errs []error
	for _, d := range documents {
		want, err := d.make(root)
		if err != nil {
			errs = append(errs, fmt.Errorf("making %s: %w", d.path, err))
			continue
		}
		file := filepath.Join(root, filepath.FromSlash(d.path))
		have, err := os.ReadFile(file)
		switch {
		case err == nil && bytes.Equal(have, want):
		case check:
			errs = append(errs, fmt.Errorf("%s is not up to date; run make docs", d.path))
		default:
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				errs = append(errs, err)
				continue
			}
			if err := os.WriteFile(file, want, 0o644); err != nil {
				errs = append(errs, err)
				continue
			}
			fmt.Fprintln(out, "wrote", d.path)
		}
	}
	return errors.Join(errs...)
}

// moduleRoot is the nearest folder upwards with a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("finding go.mod: not inside the module")
		}
		dir = parent
	}
}
