package chartdiff

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	helmregistry "helm.sh/helm/v3/pkg/registry"
	"helm.sh/helm/v3/pkg/repo"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

var update = flag.Bool("update", false, "write the golden files again")

const canary = "C4n4ry-p4ssw0rd"

type m = map[string]any

func shop(version string) string { return filepath.Join("testdata", "shop-"+version) }

// upgrade is the change of our own test chart from one version to the next.
func upgrade() Input {
	return Input{
		Release: "web", Namespace: "shop", SecretPaths: []string{"password"},
		OldChart: &Chart{Name: shop("1.0.0")}, OldValues: m{"password": canary + "-old"},
		NewChart: &Chart{Name: shop("1.1.0")}, NewValues: m{"password": canary, "replicas": 3.0},
	}
}

func diff(t *testing.T, in Input) *Result {
	t.Helper()
	result, err := Diff(t.Context(), in)
	require.NoError(t, err)
	return result
}

func find(t *testing.T, r *Result, kind, name string) report.ObjectChange {
	t.Helper()
	for _, o := range r.Objects {
		if o.Kind == kind && o.Name == name {
			return o
		}
	}
	t.Fatalf("%s %s does not change", kind, name)
	return report.ObjectChange{}
}

func TestTwoVersionsOfAChart(t *testing.T) {
	t.Parallel()
	result := diff(t, upgrade())
	text, err := json.MarshalIndent(result, "", "  ")
	require.NoError(t, err)
	file := filepath.Join("testdata", "shop.json")
	if *update {
		require.NoError(t, os.WriteFile(file, append(text, '\n'), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(text))
	require.NotContains(t, string(text), canary)
}

func TestWhatAReviewerLearns(t *testing.T) {
	t.Parallel()
	r := diff(t, upgrade())
	require.True(t, r.Rendered)
	require.Equal(t, "its pods are replaced", find(t, r, "Deployment", "web").Effect)
	require.Equal(t, report.Removed, find(t, r, "PersistentVolumeClaim", "web-uploads").Change)
	require.Contains(t, find(t, r, "PersistentVolumeClaim", "web-uploads").Effect, "the volume goes with it")
	require.Equal(t, report.Added, find(t, r, "Service", "web-cache").Change, "a subchart that the new defaults switch on")
	require.Equal(t, report.Added, find(t, r, "Order", "web-first").Change, "a kind that the chart itself defines")
	require.Equal(t, "pre-install, pre-upgrade", find(t, r, "Job", "web-migrate").Hook)
	require.Equal(t, 1, r.Relabelled, "the service has only another version in its label")
	var paths []string
	for _, f := range find(t, r, "Secret", "web-keys").Fields {
		paths = append(paths, f.Path)
		require.Equal(t, report.Hidden, f.Old)
	}
	require.Equal(t, []string{"data.given"}, paths, "what is made up at each rendering did not change")
	notes := strings.Join(r.Notes, "\n")
	require.Contains(t, notes, "Secret web-keys")
	require.Contains(t, notes, "orders.shop.example.com")
	require.NotContains(t, fmt.Sprint(r.Objects), "web-test", "tests run only when asked")
}

func TestNothingChanges(t *testing.T) {
	t.Parallel()
	in := upgrade()
	in.OldChart, in.OldValues = in.NewChart, in.NewValues
	r := diff(t, in)
	require.True(t, r.Rendered)
	require.Empty(t, r.Objects)
	require.Equal(t, 7, r.Unchanged)
}

func TestNewAndDeletedReleases(t *testing.T) {
	t.Parallel()
	in := upgrade()
	in.OldChart, in.OldValues = nil, nil
	for _, o := range diff(t, in).Objects {
		require.Equal(t, report.Added, o.Change)
	}
	in = upgrade()
	in.NewChart, in.NewValues = nil, nil
	gone := diff(t, in)
	require.NotEmpty(t, gone.Objects)
	for _, o := range gone.Objects {
		require.Equal(t, report.Removed, o.Change)
	}
}

func TestValuesThatTheChartRefuses(t *testing.T) {
	t.Parallel()
	in := upgrade()
	in.NewValues = m{"replicas": 0.0}
	r := diff(t, in)
	require.True(t, r.Rendered, "the change is shown nevertheless")
	require.Contains(t, strings.Join(r.Notes, "\n"), "shop 1.1.0 refuses these values")
}

func TestImmutableFields(t *testing.T) {
	t.Parallel()
	for kind, path := range map[string]string{
		"Deployment": "spec.selector.matchLabels.app", "StatefulSet": "spec.volumeClaimTemplates", "Job": "spec.template.spec.x",
		"ClusterRoleBinding": "roleRef.name", "StorageClass": "parameters.type",
	} {
		o := report.ObjectChange{Kind: kind, Change: report.Changed, Fields: []report.FieldChange{{Path: path}}}
		require.Contains(t, effect(o, nil), "Kubernetes refuses", kind)
		o.Fields[0].Path = "metadata.labels.x"
		require.Empty(t, effect(o, nil), kind)
	}
}

// archive packs a version of the test chart.
func archive(t *testing.T, folder, version string) string {
	t.Helper()
	c, err := loader.Load(shop(version))
	require.NoError(t, err)
	file, err := chartutil.Save(c, folder)
	require.NoError(t, err)
	return file
}

// repository serves both versions and asks for a password.
func repository(t *testing.T) *httptest.Server {
	t.Helper()
	folder := t.TempDir()
	archive(t, folder, "1.0.0")
	archive(t, folder, "1.1.0")
	index, err := repo.IndexDirectory(folder, "")
	require.NoError(t, err)
	require.NoError(t, index.WriteFile(filepath.Join(folder, "index.yaml"), 0o644))
	files := http.FileServer(http.Dir(folder))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != canary {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// ociRegistry holds both versions.
func ociRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New())
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	client, err := helmregistry.NewClient(helmregistry.ClientOptPlainHTTP(), helmregistry.ClientOptWriter(io.Discard))
	require.NoError(t, err)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		data, err := os.ReadFile(archive(t, t.TempDir(), version))
		require.NoError(t, err)
		_, err = client.Push(data, host+"/charts/shop:"+version)
		require.NoError(t, err)
	}
	return "oci://" + host + "/charts/shop"
}

func TestEverySourceShowsTheSame(t *testing.T) {
	t.Parallel()
	want := diff(t, upgrade())
	server, cache := repository(t), t.TempDir()
	archive(t, cache, "1.0.0")
	archive(t, cache, "1.1.0")
	for name, chart := range map[string]Chart{
		"repository": {Name: "shop", Repository: server.URL, Username: "me", Password: canary},
		"oci":        {Name: ociRegistry(t)},
		"file":       {Name: filepath.Join(cache, "shop-VERSION.tgz")},
		"cache":      {Name: "shop", Repository: "http://127.0.0.1:1/unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := upgrade()
			in.Cache = cache
			for version, side := range map[string]**Chart{"1.0.0": &in.OldChart, "1.1.0": &in.NewChart} {
				c := chart
				c.Version, c.Name = version, strings.ReplaceAll(c.Name, "VERSION", version)
				*side = &c
			}
			got := diff(t, in)
			require.True(t, got.Rendered, got.Notes)
			require.Equal(t, want.Objects, got.Objects)
			require.Equal(t, "1.0.0", got.Old.Version)
			require.Equal(t, "1.1.0", got.New.Version)
			require.Equal(t, name == "cache", strings.Contains(strings.Join(got.Notes, " "), "comes from Helm's cache"))
			require.NotContains(t, fmt.Sprintf("%+v", got), canary)
		})
	}
}

func TestWithoutTheChartTheValuesAreCompared(t *testing.T) {
	t.Parallel()
	server := repository(t)
	for name, c := range map[string]struct {
		chart Chart
		says  string
	}{
		"unreachable":    {Chart{Name: "shop", Repository: "http://127.0.0.1:1", Version: "1.0.0"}, "cannot be reached"},
		"wrong password": {Chart{Name: "shop", Repository: server.URL, Version: "1.0.0", Username: "me", Password: "no"}, "401"},
		"no version":     {Chart{Name: "shop", Repository: server.URL, Version: "9.9.9", Username: "me", Password: canary}, "not found"},
		"no registry":    {Chart{Name: "oci://127.0.0.1:1/shop", Version: "1.0.0"}, "127.0.0.1:1"},
		"no folder":      {Chart{Name: "testdata/none"}, "there is no such file or folder"},
		"folder moved":   {Chart{Name: shop("1.1.0"), Version: "1.0.0"}, "it is version 1.1.0 now, and 1.0.0 was wanted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := upgrade()
			in.OldChart, in.Cache = &c.chart, t.TempDir()
			r := diff(t, in)
			require.False(t, r.Rendered)
			require.Empty(t, r.Objects)
			require.Contains(t, strings.Join(r.Notes, "\n"), c.says)
			require.Equal(t, []string{"password", "replicas"}, []string{r.Values[0].Path, r.Values[1].Path})
			require.Equal(t, report.Hidden, r.Values[0].New)
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cancel()
		<-held
	}))
	defer server.Close()
	defer close(held)
	in := upgrade()
	in.OldChart = &Chart{Name: "shop", Repository: server.URL, Version: "1.0.0"}
	_, err := Diff(ctx, in)
	require.ErrorIs(t, err, context.Canceled)
}

func TestReleasesOfAPlan(t *testing.T) {
	t.Parallel()
	inputs := func(version string, more m) m {
		in := m{
			"name": "web", "namespace": "shop", "chart": shop(version), "version": version,
			"values": m{"password": report.Hidden, "replicas": 1.0}, "repositoryOpts": m{},
		}
		for k, v := range more {
			in[k] = v
		}
		return in
	}
	list, err := FromResources(t.Context(), []report.Resource{
		{Type: "kubernetes:core/v1:Secret", Op: "update"},
		{Type: ReleaseType, Op: "same", Old: inputs("1.0.0", nil)},
		{Type: ReleaseType, Op: "update", Old: inputs("1.0.0", nil), New: inputs("1.1.0", m{"postrender": "/usr/bin/other"})},
		{Type: ReleaseType, Op: "create", New: inputs("1.1.0", nil)},
		{Type: ReleaseType, Op: "delete", Old: inputs("1.0.0", nil)},
	}, Options{})
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.True(t, list[0].Rendered, list[0].Notes)
	require.Contains(t, strings.Join(list[0].Notes, " "), "/usr/bin/other is not run here")
	require.Equal(t, report.ChartSource{}, list[1].Old)
	require.Equal(t, report.ChartSource{}, list[2].New)
	for _, o := range list[0].Objects {
		for _, f := range o.Fields {
			require.NotContains(t, fmt.Sprint(f.Old, f.New), hiddenToken)
		}
	}
}
