package preflight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/blang/semver"
	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/internal/images"
)

// deepgramImages are Deepgram's own images of the release, where they must be: at
// Deepgram, or in the registry that is there.
func (r *run) deepgramImages() ([]string, error) {
	need, err := images.FromConfig(r.c)
	if err != nil {
		return nil, err
	}
	need.Upstream = r.o.Upstream
	list, err := images.List(need)
	if err != nil {
		return nil, err
	}
	var refs []string
	for _, i := range list {
		switch {
		case !strings.HasPrefix(i.Source, r.o.Upstream+"/"):
		case r.c.Registry.Mode == "existing":
			refs = append(refs, i.Target)
		default:
			refs = append(refs, i.Source)
		}
	}
	if len(refs) == 0 {
		return nil, errors.New("the release has no images")
	}
	return refs, nil
}

// refused tells that a registry did not take the credentials.
func refused(err error) bool {
	var e *images.Error
	return errors.As(err, &e) && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
}

// noDistribution tells that Deepgram's registry is asked with credentials that are not at
// hand.
func (r *run) noDistribution() bool {
	fromDeepgram := r.c.Registry.Mode != "existing" || strings.HasPrefix(r.c.Registry.URL, r.o.Upstream)
	return fromDeepgram && !r.o.Distribution
}

const giveDistribution = "set " + images.EnvDistUsername + " and " + images.EnvDistPassword +
	" to the distribution credentials of the Deepgram console"

func (r *run) registry(ctx context.Context) verdict {
	refs, err := r.deepgramImages()
	if err != nil {
		return failed("", "%v", err)
	}
	host, _, _ := strings.Cut(refs[0], "/")
	_, err = r.o.Images.Find(ctx, refs[0])
	switch {
	case err == nil:
		return passed("%s answers and takes the credentials", host)
	case refused(err) && r.noDistribution():
		return skipped(giveDistribution, "%s wants credentials, and they are not readable in the configuration", host)
	}
	return failed("check address, proxy and credentials", "%v", plain(err))
}

func (r *run) releaseImages(ctx context.Context) verdict {
	refs, err := r.deepgramImages()
	if err != nil {
		return failed("", "%v", err)
	}
	var t tally
	for _, ref := range refs {
		digest, err := r.o.Images.Find(ctx, ref)
		switch {
		case refused(err):
			t.skip(skipped("see registry", "the registry refused the credentials"))
		case err != nil:
			t.skip(skipped("see registry", "%v", plain(err)))
		case digest == "":
			t.fail("check release.tag; Deepgram's release notes list them", "there is no %s", ref)
		default:
			t.ok("%s", ref[strings.LastIndex(ref, "/")+1:])
		}
	}
	return t.verdict()
}

// chartName is Deepgram's chart.
const chartName = "deepgram-self-hosted"

// chartIndex is what a chart repository says of the chart.
type chartIndex struct {
	// kubernetes are the wanted Kubernetes versions by version of the chart; nil for
	// an OCI registry, which does not say.
	kubernetes map[string]string
	// found tells that an OCI registry has the version.
	found bool
}

// indexLimit bounds a repository's index.
const indexLimit = 64 << 20

func (r *run) fetchIndex(ctx context.Context) (*chartIndex, error) {
	repository, version := strings.TrimSuffix(r.c.Release.ChartRepository, "/"), r.c.Release.ChartVersion
	if path, ok := strings.CutPrefix(repository, "oci://"); ok {
		// A tag cannot hold the + of a version.
		digest, err := r.o.Images.Find(ctx, path+"/"+chartName+":"+strings.ReplaceAll(version, "+", "_"))
		return &chartIndex{found: digest != ""}, err
	}
	limited, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(limited, http.MethodGet, repository+"/index.yaml", nil)
	if err != nil {
		return nil, err
	}
	answer, err := r.o.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s/index.yaml: %s", repository, answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, indexLimit))
	if err != nil {
		return nil, err
	}
	var index struct {
		Entries map[string][]struct{ Version, KubeVersion string }
	}
	if err := yaml.Unmarshal(text, &index); err != nil {
		return nil, fmt.Errorf("%s/index.yaml is not the index of a chart repository", repository)
	}
	found := &chartIndex{kubernetes: map[string]string{}}
	for _, e := range index.Entries[chartName] {
		found.kubernetes[e.Version] = e.KubeVersion
	}
	return found, nil
}

func (r *run) chart(context.Context) verdict {
	release := r.c.Release
	index, err := r.index()
	if err != nil {
		return failed("check release.chartRepository, network and proxy", "the chart repository does not answer: %s", plain(err))
	}
	if _, ok := index.kubernetes[release.ChartVersion]; ok || index.found {
		return passed("%s %s is in %s", chartName, release.ChartVersion, release.ChartRepository)
	}
	return failed(newest(index), "%s has no %s %s", release.ChartRepository, chartName, release.ChartVersion)
}

// newest names the newest versions of the chart.
func newest(index *chartIndex) string {
	var versions []semver.Version
	for text := range index.kubernetes {
		if v, err := semver.Parse(text); err == nil {
			versions = append(versions, v)
		}
	}
	if len(versions) == 0 {
		return "check release.chartRepository and release.chartVersion"
	}
	slices.SortFunc(versions, func(a, b semver.Version) int { return b.Compare(a) })
	words := make([]string, 0, 3)
	for _, v := range versions[:min(3, len(versions))] {
		words = append(words, v.String())
	}
	return "the newest versions are " + strings.Join(words, ", ")
}
