package components

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Name rules of Google Cloud.
var (
	nameRule    = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	projectRule = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]$`)
	regionRule  = regexp.MustCompile(`^[a-z]+-[a-z]+[0-9]+$`)
	zoneRule    = regexp.MustCompile(`^[a-z]+-[a-z]+[0-9]+-[a-z]$`)
	hostRule    = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
)

// keptDescription leaves a description as it is: of disks, addresses and
// subnetworks it can be given at their creation only, and what was made by hand
// and adopted later has another one, or none. To change it is to replace them.
var keptDescription = pulumi.IgnoreChanges([]string{"description"})

// shortHash is 8 hex digits of text's SHA-256.
func shortHash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:8]
}

// shorten cuts a name to limit characters. What is cut off is replaced by a hash
// of the whole name, so that different names stay different and the same name
// comes out the same.
func shorten(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	return strings.TrimRight(name[:limit-9], "-") + "-" + shortHash([]byte(name))
}

// certificateHash is 8 hex digits of a bundle's first certificate.
func certificateHash(bundle string) string {
	if block, _ := pem.Decode([]byte(bundle)); block != nil {
		return shortHash(block.Bytes)
	}
	return shortHash([]byte(strings.Join(strings.Fields(bundle), "\n")))
}

// networkPath is how a resource of project names a network of networkProject:
// by name in its own project, by path elsewhere (Shared VPC).
func networkPath(project, networkProject, network string) string {
	if networkProject == "" || networkProject == project {
		return network
	}
	return "projects/" + networkProject + "/global/networks/" + network
}

// subnetworkPath is the same for a subnetwork.
func subnetworkPath(project, networkProject, region, subnetwork string) string {
	if networkProject == "" || networkProject == project {
		return subnetwork
	}
	return "projects/" + networkProject + "/regions/" + region + "/subnetworks/" + subnetwork
}

// regionOf is the region of a zone, or the region itself.
func regionOf(location string) string {
	if zoneRule.MatchString(location) {
		return location[:strings.LastIndex(location, "-")]
	}
	return location
}

// argumentErrors collects the mistakes in a component's arguments.
type argumentErrors []error

// addf records a mistake in an argument.
func (e *argumentErrors) addf(argument, format string, a ...any) {
	*e = append(*e, fmt.Errorf("%s: %s", argument, fmt.Sprintf(format, a...)))
}

// require records that an argument is missing.
func (e *argumentErrors) require(argument, value, example string) {
	if value == "" {
		e.addf(argument, "is required, such as %q", example)
	}
}

// match records a value that does not keep to a rule; empty values pass.
func (e *argumentErrors) match(argument, value string, rule *regexp.Regexp, what string) {
	if value != "" && !rule.MatchString(value) {
		e.addf(argument, "%q is not %s", value, what)
	}
}

// project, region, zone and name check values that are required.
func (e *argumentErrors) project(argument, value string) {
	e.require(argument, value, "acme-speech")
	e.match(argument, value, projectRule, "a project id (6 to 30 lower-case letters, digits and hyphens)")
}

func (e *argumentErrors) region(argument, value string) {
	e.require(argument, value, "us-central1")
	e.match(argument, value, regionRule, `a region, such as "us-central1"`)
}

func (e *argumentErrors) zone(argument, value string) {
	e.require(argument, value, "us-central1-a")
	e.match(argument, value, zoneRule, `a zone, such as "us-central1-a"`)
}

func (e *argumentErrors) name(argument, value string) {
	e.require(argument, value, "acme-deepgram")
	e.optionalName(argument, value)
}

// optionalName checks a cloud object's name; empty passes.
func (e *argumentErrors) optionalName(argument, value string) {
	e.match(argument, value, nameRule,
		"a name (lower-case letters, digits and hyphens, a letter first, at most 63 characters)")
}

// host checks a DNS name.
func (e *argumentErrors) host(argument, value string) {
	e.require(argument, value, "api.example.com")
	e.match(argument, value, hostRule, `a lower-case DNS name with a dot, such as "api.example.com"`)
}

// cidr checks an IPv4 range; empty passes.
func (e *argumentErrors) cidr(argument, value string) {
	if value == "" {
		return
	}
	p, err := netip.ParsePrefix(value)
	switch {
	case err != nil || !p.Addr().Is4():
		e.addf(argument, `%q is not an IPv4 range, such as "192.168.100.0/23"`, value)
	case p != p.Masked():
		e.addf(argument, "%q has bits set behind its prefix; did you mean %q?", value, p.Masked())
	}
}

// err is all mistakes together, or nil.
func (e argumentErrors) err() error { return errors.Join(e...) }

// childOptions puts the options that every child of a component has before more.
func childOptions(parent pulumi.Resource, more ...pulumi.ResourceOption) []pulumi.ResourceOption {
	return append([]pulumi.ResourceOption{pulumi.Parent(parent)}, more...)
}

// stringMap is m as an input; nil where it is empty, so that "no labels" is not
// an empty map in the state.
func stringMap(m map[string]string) pulumi.StringMapInput {
	if len(m) == 0 {
		return nil
	}
	return pulumi.ToStringMap(m)
}

// optionalString is s as an input; nil where it is empty.
func optionalString(s string) pulumi.StringPtrInput {
	if s == "" {
		return nil
	}
	return pulumi.String(s)
}
