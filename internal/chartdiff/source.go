package chartdiff

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/registry"
	"helm.sh/helm/v3/pkg/repo"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// Chart says where a chart is.
type Chart struct {
	// Name is the chart's name in Repository, an oci:// address, or the path of a
	// folder or .tgz file.
	Name string
	// Repository is an https:// chart repository; empty for the other two.
	Repository string
	// Version is the version wanted; a path may leave it empty.
	Version string
	// Username and Password are for a repository that asks for them.
	Username, Password string
}

// found is a chart that was found. Rendering changes a chart, so each rendering
// loads it anew.
type found struct {
	load   func() (*chart.Chart, error)
	source report.ChartSource
	notes  []string
}

// finder finds charts; one and the same only once.
type finder struct {
	cache   string
	offline bool
}

// find fetches a chart from where it is said to be, and where that cannot be
// reached, from Helm's cache.
func (f finder) find(ctx context.Context, c Chart) (*found, error) {
	var (
		archive []byte
		err     error
		from    string
	)
	switch {
	case registry.IsOCI(c.Name):
		from = c.Name
		if err = f.online(); err == nil {
			archive, err = await(ctx, func() ([]byte, error) { return pull(c) })
		}
	case c.Repository != "":
		from = c.Repository
		if err = f.online(); err == nil {
			archive, err = await(ctx, func() ([]byte, error) { return download(c) })
		}
	default:
		return local(c)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err == nil {
		return loaded(c, archive, from)
	}
	err = fmt.Errorf("chart %s %s from %s: %w", baseName(c), c.Version, withoutUser(from), err)
	cached, cacheErr := f.cached(c)
	if cacheErr != nil {
		return nil, errors.Join(err, cacheErr)
	}
	cached.notes = append(cached.notes, fmt.Sprintf("%s %s comes from Helm's cache, because %s", baseName(c), c.Version, reason(err)))
	return cached, nil
}

var errOffline = errors.New("no repository is asked offline")

func (f finder) online() error {
	if f.offline {
		return errOffline
	}
	return nil
}

// await ends with the context, although what it waits for does not know one.
func await(ctx context.Context, work func() ([]byte, error)) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := work()
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// download fetches a chart from a repository. Helm asks for the index each time.
func download(c Chart) ([]byte, error) {
	settings := cli.New()
	getters := getter.All(settings)
	address, err := repo.FindChartInAuthAndTLSAndPassRepoURL(c.Repository, c.Username, c.Password, c.Name, c.Version,
		"", "", "", false, false, getters)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("the index names %q: %w", address, err)
	}
	if registry.IsOCI(address) {
		return pull(Chart{Name: strings.TrimSuffix(address, ":"+c.Version), Version: c.Version})
	}
	get, err := getters.ByScheme(u.Scheme)
	if err != nil {
		return nil, err
	}
	options := []getter.Option{getter.WithURL(c.Repository)}
	if base, err := url.Parse(c.Repository); err == nil && base.Host == u.Host && base.Scheme == u.Scheme && c.Username != "" {
		// Only to whom they were given for.
		options = append(options, getter.WithBasicAuth(c.Username, c.Password))
	}
	data, err := get.Get(address, options...)
	if err != nil {
		return nil, err
	}
	return data.Bytes(), nil
}

// pull fetches a chart from an OCI registry.
func pull(c Chart) ([]byte, error) {
	reference := strings.TrimPrefix(c.Name, registry.OCIScheme+"://")
	host, _, _ := strings.Cut(reference, "/")
	options := []registry.ClientOption{registry.ClientOptWriter(io.Discard)}
	if c.Username != "" {
		options = append(options, registry.ClientOptBasicAuth(c.Username, c.Password))
	}
	if loopback(host) {
		options = append(options, registry.ClientOptPlainHTTP())
	}
	client, err := registry.NewClient(options...)
	if err != nil {
		return nil, err
	}
	if c.Version != "" {
		reference += ":" + c.Version
	}
	result, err := client.Pull(reference, registry.PullOptWithChart(true))
	if err != nil {
		return nil, err
	}
	return result.Chart.Data, nil
}

// loopback tells whether a registry runs on this machine, where TLS is unusual.
func loopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// local loads a chart from a folder or file.
func local(c Chart) (*found, error) {
	if _, err := os.Stat(c.Name); err != nil {
		return nil, fmt.Errorf("chart %q: there is no such file or folder, and no repository is given", c.Name)
	}
	load := func() (*chart.Chart, error) { return loader.Load(c.Name) }
	loadedChart, err := load()
	if err != nil {
		return nil, fmt.Errorf("chart %q: %w", c.Name, err)
	}
	m := loadedChart.Metadata
	if c.Version != "" && c.Version != m.Version {
		return nil, fmt.Errorf("chart %q: it is version %s now, and %s was wanted", c.Name, m.Version, c.Version)
	}
	return &found{load: load, source: report.ChartSource{Name: m.Name, Version: m.Version, From: c.Name}}, nil
}

func loaded(c Chart, archive []byte, from string) (*found, error) {
	load := func() (*chart.Chart, error) { return loader.LoadArchive(bytes.NewReader(archive)) }
	loadedChart, err := load()
	if err != nil {
		return nil, fmt.Errorf("chart %s %s from %s: %w", baseName(c), c.Version, withoutUser(from), err)
	}
	m := loadedChart.Metadata
	return &found{load: load, source: report.ChartSource{Name: m.Name, Version: m.Version, From: withoutUser(from)}}, nil
}

// cached looks into the folder where Helm keeps what it downloaded.
func (f finder) cached(c Chart) (*found, error) {
	folder := f.cache
	if folder == "" {
		folder = cli.New().RepositoryCache
	}
	file := fmt.Sprintf("%s-%s.tgz", baseName(c), c.Version)
	archive, err := os.ReadFile(filepath.Join(folder, file))
	if err != nil {
		return nil, fmt.Errorf("Helm's cache has no %s", file) //nolint:staticcheck // Helm is a name
	}
	result, err := loaded(c, archive, "Helm's cache")
	if err != nil {
		return nil, err
	}
	if result.source.Name != baseName(c) || result.source.Version != c.Version {
		return nil, fmt.Errorf("what Helm's cache has as %s is %s %s", file, result.source.Name, result.source.Version)
	}
	return result, nil
}

// baseName is a chart's name without where it is.
func baseName(c Chart) string {
	return strings.TrimSuffix(c.Name[strings.LastIndex(c.Name, "/")+1:], ".tgz")
}

// withoutUser is an address without the name and password that may stand in it.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	u.User = nil
	return u.String()
}

// reason is an error in one line.
func reason(err error) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", "; ")), " ")
}
