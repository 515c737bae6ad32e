package images

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// QuayPrefix is where Deepgram publishes its images (guide G-II.1).
const QuayPrefix = "quay.io/deepgram"

// OpsName is the name of the project's own image, which loader and backup jobs
// run. It is published (Client.Publish), not mirrored.
const OpsName = "deepgram-ops"

// Image is one image: where it comes from and where the cluster pulls it.
type Image struct {
	// Name is the component's name, such as "engine".
	Name string `json:"name"`
	// Source is the reference upstream; empty for what is published from here.
	Source string `json:"source,omitempty"`
	// Target is the reference in the environment's registry; empty in an export.
	Target string `json:"target,omitempty"`
}

// Need says which images an environment needs.
type Need struct {
	// Tag is the Deepgram release, such as release-250331. Required.
	Tag string
	// ChartVersion decides the monitoring images. Required with Monitoring.
	ChartVersion string
	// Upstream is what comes before /self-hosted-api; empty means QuayPrefix.
	Upstream string
	// Prefix is the target: what comes before /self-hosted-api in the
	// environment's registry. Empty gives images without a target.
	Prefix string
	// LicenseProxy, Billing, Monitoring and Grafana switch on what they are called.
	LicenseProxy, Billing, Monitoring, Grafana bool
	// OpsTag is the tag of the project's own image; empty leaves it out.
	OpsTag string
}

// FromConfig is what the environment c needs. Monitoring is needed where it is
// bundled and scales the engines, or where the site is airgapped.
func FromConfig(c *config.Config) (Need, error) {
	prefix, err := TargetPrefix(c)
	if err != nil {
		return Need{}, err
	}
	monitoring := c.Monitoring.Mode == "bundled" && (c.Scaling.Auto || c.Billing.Enabled)
	return Need{
		Tag: c.Release.Tag, ChartVersion: c.Release.ChartVersion, Prefix: prefix,
		LicenseProxy: c.LicenseProxy.Enabled,
		Billing:      c.Billing.Enabled,
		Monitoring:   monitoring,
		Grafana:      monitoring && c.Grafana.Enabled,
	}, nil
}

// TargetPrefix is what comes before /self-hosted-api in the registry of c.
func TargetPrefix(c *config.Config) (string, error) {
	r := c.Registry
	if r.URL != "" {
		return strings.TrimSuffix(r.URL, "/"), nil
	}
	project, location := r.Project, r.Location
	if project == "" {
		project = c.GCP.Project
	}
	if location == "" {
		location = c.GCP.Region
	}
	if project == "" || location == "" || r.Repository == "" {
		return "", errors.New("registry: gcp:project, gcp:region and registry.repository (or registry.url) are needed to name the target")
	}
	prefix := fmt.Sprintf("%s-docker.pkg.dev/%s/%s", location, project, r.Repository)
	if r.Mode == "pull-through" {
		// A remote repository keeps the upstream's own path.
		prefix += "/deepgram"
	}
	return prefix, nil
}

// List is every image that n names, in a fixed order.
func List(n Need) ([]Image, error) {
	if n.Tag == "" {
		return nil, errors.New("release.tag: required, such as release-250331")
	}
	from := strings.TrimSuffix(n.Upstream, "/")
	if from == "" {
		from = QuayPrefix
	}
	to := strings.TrimSuffix(n.Prefix, "/")
	target := func(path, tag string) string {
		if to == "" {
			return ""
		}
		return to + "/" + path + ":" + tag
	}
	components := []string{"api", "engine"}
	if n.LicenseProxy {
		components = append(components, "license-proxy")
	}
	if n.Billing {
		components = append(components, "billing")
	}
	var list []Image
	for _, c := range components {
		path := "self-hosted-" + c
		list = append(list, Image{Name: c, Source: from + "/" + path + ":" + n.Tag, Target: target(path, n.Tag)})
	}
	var others []upstream
	if n.Billing {
		others = append(others, initImage)
	}
	if n.Monitoring {
		m, err := monitoringImages(n.ChartVersion)
		if err != nil {
			return nil, err
		}
		others = append(others, m...)
	}
	for _, u := range others {
		if u.only != nil && !u.only(n) {
			continue
		}
		list = append(list, Image{Name: u.name, Source: u.registry + "/" + u.path + ":" + u.tag, Target: target(u.path, u.tag)})
	}
	if n.OpsTag != "" {
		list = append(list, Image{Name: OpsName, Target: target(OpsName, n.OpsTag)})
	}
	return list, check(list)
}

// TargetFor is where an image goes that was named on a command line or comes
// from a folder: the prefix, and the path without its registry. Deepgram's own
// images (self-hosted-…) stand right below the prefix.
func TargetFor(prefix, source string) (string, error) {
	ref, err := name.ParseReference(source)
	if err != nil {
		return "", fmt.Errorf("image %q: not a reference: %w", source, err)
	}
	tag, ok := ref.(name.Tag)
	if !ok {
		return "", fmt.Errorf("image %q: give it by tag; digests belong into the lock file", source)
	}
	path := ref.Context().RepositoryStr()
	if i := strings.LastIndex(path, "/"); strings.HasPrefix(path[i+1:], "self-hosted-") {
		path = path[i+1:]
	}
	if !strings.Contains(source, "library/") {
		path = strings.TrimPrefix(path, "library/")
	}
	return strings.TrimSuffix(prefix, "/") + "/" + path + ":" + tag.TagStr(), nil
}

// full says whether a reference names registry, path and tag: nothing here
// falls back to Docker Hub or to "latest" by itself.
func full(ref string) bool {
	registry, path, _ := strings.Cut(ref, "/")
	_, tag, tagged := cutTag(ref)
	_, err := name.NewTag(ref)
	return err == nil && path != "" && tagged && tag != "" && strings.ContainsAny(registry, ".:")
}

// check reports every reference of the list that cannot be used.
func check(list []Image) error {
	var errs []error
	for _, i := range list {
		for _, r := range []string{i.Source, i.Target} {
			if r == "" {
				continue
			}
			if !full(r) {
				errs = append(errs, fmt.Errorf("image %s: %q is not a reference registry/path:tag", i.Name, r))
			}
		}
	}
	return errors.Join(errs...)
}
