package postrender

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// Name is the name under which deepgram-ops is a post-renderer.
const Name = "deepgram-postrender"

// IsName tells whether a program was called as the post-renderer: args0 is
// os.Args[0].
func IsName(args0 string) bool {
	return strings.TrimSuffix(filepath.Base(args0), ".exe") == Name
}

// Main reads a rendered chart and writes the corrected one. Nothing is written
// where it fails: helm then installs nothing. It returns the exit code.
func Main(args []string, in io.Reader, out, errs io.Writer) int {
	if len(args) > 0 {
		fmt.Fprintf(errs, "%s is a post-renderer of Helm: it takes no arguments, reads the rendered chart on stdin,\n"+
			"and writes it to stdout with API and Engine behind the licence proxy. Pulumi calls it by itself.\n", Name)
		return 2
	}
	manifest, err := io.ReadAll(in)
	if err == nil {
		manifest, err = Render(manifest)
	}
	if err == nil {
		_, err = out.Write(manifest)
	}
	if err != nil {
		fmt.Fprintf(errs, "error: %s: %v\n", Name, err)
		return 1
	}
	return 0
}

// upstream is Deepgram's licence server, which an airgapped deployment never asks.
const upstream = "license.deepgram.com"

// Render corrects a rendered chart: API and Engine ask the licence proxy, and
// nobody else, for their licence. Documents that are right already, and all others,
// stay as they are to the byte; a second Render changes nothing.
//
// It fails where the way that it is to make does not exist: no licence proxy, no
// billing, a proxy that does not ask billing, or an API or Engine whose
// configuration has no place for it.
func Render(manifest []byte) ([]byte, error) {
	docs, err := split(manifest)
	if err != nil {
		return nil, err
	}
	proxy, err := findProxy(docs)
	if err != nil {
		return nil, err
	}
	clients, changed := 0, map[string]string{} // ConfigMap → fingerprint
	var problems []error
	for _, d := range docs {
		if d.kind() != "ConfigMap" {
			continue
		}
		for _, key := range d.keys("data") {
			if !isClient(key) {
				continue
			}
			clients++
			text := d.get("data", key)
			routed, err := route(text, proxy)
			switch {
			case err != nil:
				problems = append(problems, fmt.Errorf("ConfigMap %s, %s: %w", d.name(), key, err))
			case routed != text:
				d.set(routed, "data", key)
				changed[d.name()] = fingerprint(routed)
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if clients == 0 {
		return nil, errors.New("found no api.toml or engine.toml in the rendered chart: is it deepgram-self-hosted?")
	}
	for _, d := range docs {
		d.restart(changed)
	}
	return join(docs)
}

// isClient tells whether a file is the configuration of an API or Engine.
func isClient(file string) bool {
	return strings.HasSuffix(file, ".toml") && (strings.HasPrefix(file, "api") || strings.HasPrefix(file, "engine"))
}

// findProxy is the address of the licence proxy. It must be there, and ask billing.
func findProxy(docs []*document) (string, error) {
	var proxy, billing *document
	services := map[string]bool{}
	for _, d := range docs {
		switch d.kind() {
		case "ConfigMap":
			if d.get("data", "license-proxy.toml") != "" {
				proxy = d
			}
			if d.get("data", "billing.toml") != "" {
				billing = d
			}
		case "Service":
			services[d.name()] = true
		}
	}
	switch {
	case billing == nil:
		return "", errors.New("the rendered chart has no billing: set billing.enabled, or do not use this post-renderer")
	case proxy == nil:
		return "", errors.New("the rendered chart has no licence proxy: set licenseProxy.enabled")
	}
	host := strings.TrimSuffix(proxy.name(), "-config") + "-internal"
	terminal := strings.TrimSuffix(billing.name(), "-config") + "-internal"
	for _, s := range []string{host, terminal} {
		if !services[s] {
			return "", fmt.Errorf("the rendered chart has no Service %s: the way through the licence proxy would lead nowhere", s)
		}
	}
	return proxyURL(host, terminal, proxy.get("data", "license-proxy.toml"))
}
