package postrender

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

const (
	proxyURLText   = "https://deepgram-license-proxy-internal:8443/"
	billingURLText = "https://deepgram-billing-internal:8443"
)

// rendered is the chart as versions up to 0.46.0 render it, with replacements.
func rendered(t *testing.T, replacements ...string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/bypass.yaml")
	require.NoError(t, err)
	out := string(text)
	for i := 0; i < len(replacements); i += 2 {
		require.Contains(t, out, replacements[i])
		out = strings.ReplaceAll(out, replacements[i], replacements[i+1])
	}
	return out
}

// object finds an object of a manifest.
func object(t *testing.T, manifest []byte, kind, name string) map[string]any {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(manifest))
	for {
		var o map[string]any
		require.NoError(t, d.Decode(&o), "%s %s", kind, name)
		meta, _ := o["metadata"].(map[string]any)
		if o["kind"] == kind && meta["name"] == name {
			return o
		}
	}
}

// served are the licence servers of a configuration.
func served(t *testing.T, manifest []byte, configMap, key string) (list []string, all map[string]any) {
	t.Helper()
	data, _ := object(t, manifest, "ConfigMap", configMap)["data"].(map[string]any)
	text, ok := data[key].(string)
	require.True(t, ok)
	_, err := toml.Decode(text, &all)
	require.NoError(t, err)
	return addresses(all["license"].(map[string]any)["server_url"]), all
}

func podAnnotations(o map[string]any) map[string]any {
	template := o["spec"].(map[string]any)["template"].(map[string]any)
	annotations, _ := template["metadata"].(map[string]any)["annotations"].(map[string]any)
	return annotations
}

func TestAPIAndEngineAskTheProxy(t *testing.T) {
	t.Parallel()
	in := rendered(t)
	out, err := Render([]byte(in))
	require.NoError(t, err)

	for configMap, key := range map[string]string{"deepgram-api-config": "api.toml", "deepgram-engine-config": "engine.toml"} {
		servers, now := served(t, out, configMap, key)
		assert.Equal(t, []string{proxyURLText}, servers, key)
		_, was := served(t, []byte(in), configMap, key)
		assert.Equal(t, "${DEEPGRAM_LICENSE_KEY}", now["license"].(map[string]any)["key"], "the key's place is kept for the init container")
		delete(now, "license")
		delete(was, "license")
		assert.Equal(t, was, now, "nothing else of %s changes", key)
	}
	servers, _ := served(t, out, "deepgram-license-proxy-config", "license-proxy.toml")
	assert.Equal(t, []string{billingURLText}, servers, "the proxy goes on asking billing")
	assert.Contains(t, string(out), `# server_url = ["not this"]`)
	assert.NotContains(t, string(out), upstream)
}

func TestPodsOfAChangedRouteRestart(t *testing.T) {
	t.Parallel()
	out, err := Render([]byte(rendered(t)))
	require.NoError(t, err)
	api := object(t, out, "Deployment", "deepgram-api")
	assert.Equal(t, "0d5c", podAnnotations(api)["checksum/config"])
	assert.Regexp(t, "^[0-9a-f]{16}$", podAnnotations(api)[routeAnnotation])
	assert.Regexp(t, "^[0-9a-f]{16}$", podAnnotations(object(t, out, "Deployment", "deepgram-engine"))[routeAnnotation])
	assert.NotContains(t, podAnnotations(object(t, out, "Deployment", "deepgram-license-proxy")), routeAnnotation)
	labels := api["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)["labels"]
	assert.Equal(t, map[string]any{"app": "deepgram-api", "app.kubernetes.io/instance": "deepgram"}, labels, "anchors survive")

	other, err := Render([]byte(rendered(t, "port = 8443\n      base_url", "port = 9443\n      base_url")))
	require.NoError(t, err)
	assert.NotEqual(t, podAnnotations(api)[routeAnnotation], podAnnotations(object(t, other, "Deployment", "deepgram-api"))[routeAnnotation],
		"another address is another annotation")
}

func TestOtherDocumentsStayToTheByte(t *testing.T) {
	t.Parallel()
	in := rendered(t)
	out, err := Render([]byte(in))
	require.NoError(t, err)
	for _, doc := range strings.Split(in, "\n---\n") {
		if !strings.Contains(doc, "name: deepgram-api") && !strings.Contains(doc, "name: deepgram-engine") {
			assert.Contains(t, string(out), strings.TrimSuffix(strings.TrimPrefix(doc, "---\n"), "\n"))
		}
	}
	again, err := Render(out)
	require.NoError(t, err)
	assert.Equal(t, string(out), string(again), "a second run changes nothing")
}

// A chart that is right is not touched.
func TestCorrectedChartStays(t *testing.T) {
	t.Parallel()
	in := rendered(t,
		`server_url = ["`+billingURLText+`"]`, `server_url = ["`+proxyURLText+`"]`,
		"server_url = [\n        \""+billingURLText+"\" ]", "server_url = [\n        \""+proxyURLText+"\"\n      ]")
	out, err := Render([]byte(in))
	require.NoError(t, err)
	assert.Equal(t, in, string(out))
}

func TestEveryOtherWayIsClosed(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]string{
		"billing behind the proxy": `["` + proxyURLText + `", "` + billingURLText + `"]`,
		"Deepgram as backup":       "[\n        \"" + proxyURLText + "\",\"https://license.deepgram.com\"\n      ]",
		"a text":                   `"` + billingURLText + `"`,
		"single quotes":            `'` + billingURLText + `'`,
	} {
		out, err := Render([]byte(rendered(t, `["`+billingURLText+`"]`, list)))
		require.NoError(t, err, name)
		servers, _ := served(t, out, "deepgram-api-config", "api.toml")
		assert.Equal(t, []string{proxyURLText}, servers, name)
	}
}

func TestNoRouteIsClaimedThatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		replacements []string
		want         string
	}{
		{"no proxy", []string{"license-proxy.toml:", "other.toml:"}, "has no licence proxy: set licenseProxy.enabled"},
		{"no billing", []string{"billing.toml:", "other.toml:"}, "has no billing: set billing.enabled"},
		{"no Service", []string{"  name: deepgram-license-proxy-internal", "  name: elsewhere"}, "no Service deepgram-license-proxy-internal"},
		{"proxy asks Deepgram", []string{`server_url = "` + billingURLText + `"`, `server_url = "https://license.deepgram.com"`}, "has to ask billing at deepgram-billing-internal"},
		{"proxy asks nobody", []string{`server_url = "` + billingURLText + `"`, "other = 1"}, "has no license.server_url"},
		{"proxy without port", []string{"port = 8443\n      base_url", "base_url"}, "has no server.port"},
		{"no clients", []string{"api.toml:", "a:", "engine.toml:", "b:"}, "no api.toml or engine.toml"},
		{"no address", []string{`server_url = ["` + billingURLText + `"]`, "other = 1"}, "ConfigMap deepgram-api-config, api.toml: has no license.server_url"},
		{"broken TOML", []string{"max_active_requests = 60", "max_active_requests ="}, "ConfigMap deepgram-engine-config, engine.toml"},
		{"unknown writing", []string{"[license]\n      server_url = [\"" + billingURLText + "\"]\n      key", "license = {server_url = [\"" + billingURLText + "\"]}\n    [x]\n      key"}, "in an unknown way"},
		{"broken YAML", []string{"kind: Service", "kind: [Service"}, "of the rendered chart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := Render([]byte(rendered(t, c.replacements...)))
			assert.ErrorContains(t, err, c.want)
			assert.Nil(t, out)
		})
	}
}

func TestProgram(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	require.Equal(t, 0, Main(nil, strings.NewReader(rendered(t)), &out, &errs), errs.String())
	assert.Contains(t, out.String(), proxyURLText)
	assert.Empty(t, errs.String())

	out.Reset()
	assert.Equal(t, 1, Main(nil, strings.NewReader("kind: ConfigMap\n"), &out, &errs))
	assert.Empty(t, out.String(), "helm must not get half of a chart")
	assert.Contains(t, errs.String(), "error: deepgram-postrender: the rendered chart has no billing")

	assert.Equal(t, 2, Main([]string{"--help"}, strings.NewReader(""), &out, &errs))
	assert.Equal(t, 1, Main(nil, broken{}, &out, &errs))
	for args0, is := range map[string]bool{
		"deepgram-postrender": true, "/usr/local/bin/deepgram-postrender": true, "deepgram-postrender.exe": true,
		"deepgram-ops": false, "/opt/deepgram-postrender/deepgram-ops": false,
	} {
		assert.Equal(t, is, IsName(args0), args0)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut") }
