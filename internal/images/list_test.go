package images

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

func environment(t *testing.T, change func(*config.Config)) *config.Config {
	t.Helper()
	c := config.Default()
	c.Stack = "test"
	c.GCP = config.GCP{Project: "acme", Region: "us-central1", Zone: "us-central1-a"}
	c.Release.Tag = "release-250331"
	if change != nil {
		change(c)
	}
	return c
}

func names(list []Image) []string {
	var n []string
	for _, i := range list {
		n = append(n, i.Name)
	}
	return n
}

func TestTheListFollowsTheEnvironment(t *testing.T) {
	t.Parallel()
	monitoring := []string{"prometheus-operator", "prometheus-config-reloader", "prometheus", "kube-state-metrics", "prometheus-adapter", "kube-webhook-certgen"}
	grafana := []string{"grafana", "k8s-sidecar", "busybox", "bats"}
	base := []string{"api", "engine", "license-proxy"}
	join := func(lists ...[]string) (all []string) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	for name, tc := range map[string]struct {
		change func(*config.Config)
		want   []string
	}{
		"defaults":        {nil, join(base, monitoring, grafana)},
		"static scaling":  {func(c *config.Config) { c.Scaling.Auto = false }, base},
		"own monitoring":  {func(c *config.Config) { c.Monitoring.Mode = "existing" }, base},
		"no grafana":      {func(c *config.Config) { c.Grafana.Enabled = false }, join(base, monitoring)},
		"no proxy":        {func(c *config.Config) { c.LicenseProxy.Enabled = false; c.Scaling.Auto = false }, []string{"api", "engine"}},
		"airgapped":       {func(c *config.Config) { c.Billing.Enabled = true }, join(base, []string{"billing", "init"}, monitoring, grafana)},
		"airgapped, calm": {func(c *config.Config) { c.Billing.Enabled = true; c.Scaling.Auto = false; c.Grafana.Enabled = false }, join(base, []string{"billing", "init"}, monitoring)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			need, err := FromConfig(environment(t, tc.change))
			require.NoError(t, err)
			list, err := List(need)
			require.NoError(t, err)
			assert.Equal(t, tc.want, names(list))
			for _, i := range list {
				assert.NotContains(t, i.Target, "quay.io")
				assert.Contains(t, i.Target, "us-central1-docker.pkg.dev/acme/deepgram/")
			}
		})
	}
}

func TestTargetPrefix(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*config.Config){
		"us-central1-docker.pkg.dev/acme/deepgram": nil,
		"europe-docker.pkg.dev/images/dg": func(c *config.Config) {
			c.Registry.Location, c.Registry.Project, c.Registry.Repository = "europe", "images", "dg"
		},
		"us-central1-docker.pkg.dev/acme/deepgram/deepgram": func(c *config.Config) { c.Registry.Mode = "pull-through" },
		"registry.example.com/x":                            func(c *config.Config) { c.Registry.Mode, c.Registry.URL = "existing", "registry.example.com/x/" },
	} {
		got, err := TargetPrefix(environment(t, change))
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, err := TargetPrefix(&config.Config{})
	assert.ErrorContains(t, err, "gcp:project")
}

func TestListRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	_, err := List(Need{})
	assert.ErrorContains(t, err, "release.tag: required")
	_, err = List(Need{Tag: "r", Monitoring: true, ChartVersion: "0.99.0"})
	assert.ErrorContains(t, err, `release.chartVersion "0.99.0": its monitoring images are not known; known are ["0.41.1" "0.42.0"]`)
	_, err = List(Need{Tag: "not a tag", Prefix: "nohost"})
	assert.ErrorContains(t, err, `image api: "quay.io/deepgram/self-hosted-api:not a tag" is not a reference`)
	assert.ErrorContains(t, err, `"nohost/self-hosted-api:not a tag"`)
}

func TestTargetFor(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"quay.io/deepgram/self-hosted-api:r1": "h.io/p/self-hosted-api:r1",
		"127.0.0.1:5000/a/b/self-hosted-x:r1": "h.io/p/self-hosted-x:r1",
		"docker.io/ubuntu:22.04":              "h.io/p/ubuntu:22.04",
		"docker.io/library/busybox:1.31.1":    "h.io/p/library/busybox:1.31.1",
		"quay.io/prometheus/prometheus:v1":    "h.io/p/prometheus/prometheus:v1",
	} {
		got, err := TargetFor("h.io/p/", source)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, err := TargetFor("h.io", "quay.io/a@sha256:"+sum(nil).Hex)
	assert.ErrorContains(t, err, "give it by tag")
}

func TestLockFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "images.lock")
	l, err := ReadLock(path)
	require.NoError(t, err)
	a, b := sum([]byte("a")), sum([]byte("b"))
	l.set("quay.io/x:1", "linux/amd64", a, b)
	l.set("quay.io/y:1", "", a, a)
	require.NoError(t, l.Write(path))
	l, err = ReadLock(path)
	require.NoError(t, err)
	up, copied, ok := l.pin("quay.io/x:1", "linux/amd64")
	assert.True(t, ok)
	assert.Equal(t, a, up)
	assert.Equal(t, b, copied)
	_, _, ok = l.pin("quay.io/x:1", "")
	assert.False(t, ok, "pinned for one platform only")
	_, copied, ok = l.pin("quay.io/y:1", "")
	assert.True(t, ok)
	assert.Equal(t, a, copied)

	require.NoError(t, os.WriteFile(path, []byte("images: {x: {digest: latest}, z: {digest: ''}}"), 0o600))
	_, err = ReadLock(path)
	assert.ErrorContains(t, err, `x: "latest" is not a digest`)
	assert.ErrorContains(t, err, `z: "" is not a digest`)
	require.NoError(t, os.WriteFile(path, []byte("pins: {}"), 0o600))
	_, err = ReadLock(path)
	assert.ErrorContains(t, err, "pins")
}
