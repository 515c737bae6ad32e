package components

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/chart"
)

// releaseRecorder records registrations and answers what the cluster would.
type releaseRecorder struct {
	mu   sync.Mutex
	regs []pulumi.MockResourceArgs
}

func (r *releaseRecorder) NewResource(a pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.regs = append(r.regs, a)
	out := a.Inputs.Copy()
	if a.TypeToken == "kubernetes:helm.sh/v3:Release" {
		out["status"] = resource.NewObjectProperty(resource.PropertyMap{"status": resource.NewStringProperty("deployed")})
	}
	return a.Name + "-id", out, nil
}

func (r *releaseRecorder) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) { return nil, nil }

func (r *releaseRecorder) of(token string) (found []pulumi.MockResourceArgs) {
	for _, reg := range r.regs {
		if reg.TypeToken == token {
			found = append(found, reg)
		}
	}
	slices.SortFunc(found, func(a, b pulumi.MockResourceArgs) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// named is the registration of a name; there must be exactly one.
func (r *releaseRecorder) named(t *testing.T, name string) pulumi.MockResourceArgs {
	t.Helper()
	var found []pulumi.MockResourceArgs
	for _, reg := range r.regs {
		if reg.Name == name {
			found = append(found, reg)
		}
	}
	require.Len(t, found, 1, name)
	return found[0]
}

// dependsOn are the names of the resources that a registration waits for.
func dependsOn(reg pulumi.MockResourceArgs) (names []string) {
	for _, urn := range reg.RegisterRPC.GetDependencies() {
		names = append(names, urn[strings.LastIndex(urn, "::")+2:])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// plain turns inputs into plain maps; a secret becomes "[secret]".
func plain(v resource.PropertyValue) any {
	switch {
	case v.IsSecret():
		return "[secret]"
	case v.IsOutput():
		if v.OutputValue().Secret {
			return "[secret]"
		}
		return plain(v.OutputValue().Element)
	case v.IsObject():
		m := map[string]any{}
		for k, x := range v.ObjectValue() {
			m[string(k)] = plain(x)
		}
		return m
	case v.IsArray():
		list := []any{}
		for _, x := range v.ArrayValue() {
			list = append(list, plain(x))
		}
		return list
	}
	return v.V
}

func inputsOf(reg pulumi.MockResourceArgs) map[string]any {
	return plain(resource.NewObjectProperty(reg.Inputs)).(map[string]any)
}

// dig reads a value inside nested maps and lists, by a path with slashes.
func dig(t *testing.T, v any, path string) any {
	t.Helper()
	for _, k := range strings.Split(path, "/") {
		k = strings.ReplaceAll(k, "~", "/") // a slash in a key
		switch vv := v.(type) {
		case map[string]any:
			require.Contains(t, vv, k, path)
			v = vv[k]
		case []any:
			var i int
			_, err := fmt.Sscan(k, &i)
			require.NoError(t, err, path)
			require.Less(t, i, len(vv), path)
			v = vv[i]
		default:
			require.Failf(t, "too deep", "%s: %q is below a %T", path, k, v)
		}
	}
	return v
}

// prodRelease are the arguments of the guide's production environment.
func prodRelease() *DeepgramReleaseArgs {
	c := config.Default()
	c.Release.Tag = "release-250331"
	c.Ingress.Host, c.Grafana.Host = "dg.omi.me", "dg-monitor.omi.me"
	streams := 30
	c.Scaling.Engine.StreamsPerPod = &streams
	return &DeepgramReleaseArgs{
		Release: c.Release, API: c.API, Engine: c.Engine, LicenseProxy: c.LicenseProxy, Scaling: c.Scaling,
		Monitoring: c.Monitoring, Grafana: c.Grafana, Ingress: c.Ingress, Billing: c.Billing,
		Zone: "us-central1-a", Labels: map[string]string{"team": "voice"}, Production: true, CreateNamespace: true,
		ImagePrefix:     pulumi.String("us-central1-docker.pkg.dev/based-hardware/deepgram"),
		APIKey:          pulumi.String("canary-api-key"),
		PullUsername:    pulumi.String("deepgram+omi"),
		PullPassword:    pulumi.String("canary-pull-password"),
		GrafanaPassword: pulumi.String("canary-grafana-password"),
		VolumeHandle: pulumi.String(
			"projects/based-hardware/zones/us-central1-a/disks/prod-omi-deepgram-model-storage"),
		StorageCapacity: pulumi.String("200G"), ModelNamePrefix: pulumi.String("dg-models-0a1b2c3d"),
		IngressAddressName:     pulumi.String("prod-omi-deepgram-ilb-ip-address"),
		CertificateNames:       pulumi.ToStringArray([]string{"new-cert", "old-cert"}),
		GrafanaAddressName:     pulumi.String("prod-omi-deepgram-grafana-alb-ip-address"),
		GrafanaCertificateName: pulumi.String("prod-omi-deepgram-grafana-alb-cert"),
	}
}

func runRelease(t *testing.T, body pulumi.RunFunc, opts ...pulumi.RunOption) *releaseRecorder {
	t.Helper()
	rec := &releaseRecorder{}
	opts = append([]pulumi.RunOption{pulumi.WithMocks("deepgram", "test", rec)}, opts...)
	require.NoError(t, pulumi.RunErr(body, opts...))
	return rec
}

func one(args *DeepgramReleaseArgs) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		_, err := NewDeepgramRelease(ctx, "dg", args)
		return err
	}
}

// bothModes runs a test as an update and as a preview.
func bothModes(t *testing.T, test func(*testing.T, pulumi.RunOption)) {
	t.Helper()
	for mode, dry := range map[string]bool{"update": false, "preview": true} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			test(t, func(i *pulumi.RunInfo) { i.DryRun = dry })
		})
	}
}

func TestDeepgramReleaseInstallsTheChart(t *testing.T) {
	t.Parallel()
	bothModes(t, func(t *testing.T, mode pulumi.RunOption) {
		rec := runRelease(t, one(prodRelease()), mode)
		reg := rec.named(t, "dg-release")
		in := inputsOf(reg)
		for path, want := range map[string]any{
			"name": "deepgram", "namespace": "deepgram", "chart": "deepgram-self-hosted", "version": "0.42.0",
			"repositoryOpts/repo": "https://deepgram.github.io/self-hosted-resources",
			"atomic":              true, "cleanupOnFail": true, "skipAwait": false, "createNamespace": false, "timeout": 3600.0,
			"values/api/image/path":                                                    "us-central1-docker.pkg.dev/based-hardware/deepgram/self-hosted-api",
			"values/billing/image/tag":                                                 "release-250331",
			"values/gpu-operator/enabled":                                              false,
			"values/global/deepgramSecretRef":                                          "dg-self-hosted-api-key",
			"values/global/additionalLabels/team":                                      "voice",
			"values/engine/health/gpuRequired":                                         true,
			"values/engine/resources/requests/gpu":                                     1.0,
			"values/engine/resources/limits/cpu":                                       "12",
			"values/licenseProxy/enabled":                                              true,
			"values/scaling/auto/engine/minReplicas":                                   2.0,
			"values/engine/modelManager/volumes/gcp/gpd/volumeHandle":                  "projects/based-hardware/zones/us-central1-a/disks/prod-omi-deepgram-model-storage",
			"values/engine/modelManager/volumes/gcp/gpd/storageCapacity":               "200G",
			"values/engine/modelManager/volumes/gcp/gpd/namePrefix":                    "dg-models-0a1b2c3d",
			"values/scaling/auto/engine/metrics/speechToText/streaming/requestsPerPod": 30.0,
			"values/scaling/auto/engine/behavior/scaleUp/stabilizationWindowSeconds":   120.0,
			"values/kube-prometheus-stack/grafana/persistence/size":                    "20Gi",
		} {
			assert.Equal(t, want, dig(t, in, path), path)
		}
		assert.Equal(t, "4200s", reg.RegisterRPC.GetCustomTimeouts().GetCreate(), "longer than helm's own")
		assert.NotContains(t, dig(t, in, "values/global"), "pullSecretRef")
		assert.Equal(t, "deepgram:index:DeepgramRelease", typeOfURN(reg.RegisterRPC.GetParent()))
		assert.Equal(t, "4.33.0", reg.RegisterRPC.GetVersion())
		text, err := json.Marshal(in)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "\uE000", "every token is replaced")
	})
}

// typeOfURN is the last type in a URN.
func typeOfURN(urn string) string {
	parts := strings.Split(urn, "::")
	types := strings.Split(parts[2], "$")
	return types[len(types)-1]
}

func TestDeepgramReleaseValuesAreKnownBeforeTheRegistryIs(t *testing.T) {
	t.Parallel()
	args := prodRelease()
	rec := runRelease(t, func(ctx *pulumi.Context) error {
		// An output that a preview does not know, as of a registry to be created.
		args.ImagePrefix = pulumi.UnsafeUnknownOutput(nil).ApplyT(func(any) string { return "x" }).(pulumi.StringOutput)
		return one(args)(ctx)
	}, func(i *pulumi.RunInfo) { i.DryRun = true })
	values := inputsOf(rec.named(t, "dg-release"))["values"]
	assert.Equal(t, true, dig(t, values, "engine/health/gpuRequired"))
	assert.Equal(t, "release-250331", dig(t, values, "api/image/tag"))
	path, ok := dig(t, values, "api/image").(map[string]any)["path"]
	assert.False(t, ok && path == "x", "only what comes from the registry is not known")
}

func TestDeepgramReleaseAPIEntrance(t *testing.T) {
	t.Parallel()
	bothModes(t, func(t *testing.T, mode pulumi.RunOption) {
		rec := runRelease(t, one(prodRelease()), mode)
		ingress := inputsOf(rec.named(t, "dg-deepgram-api-ingress"))
		annotations := dig(t, ingress, "metadata/annotations").(map[string]any)
		for k, want := range map[string]any{
			"kubernetes.io/ingress.class":                   "gce-internal",
			"kubernetes.io/ingress.regional-static-ip-name": "prod-omi-deepgram-ilb-ip-address",
			"kubernetes.io/ingress.allow-http":              "false",
			"ingress.gcp.kubernetes.io/pre-shared-cert":     "new-cert,old-cert",
			"pulumi.com/waitFor":                            "jsonpath={.metadata.uid}",
		} {
			assert.Equal(t, want, annotations[k], k)
		}
		assert.Equal(t, "dg.omi.me", dig(t, ingress, "spec/rules/0/host"))
		path := dig(t, ingress, "spec/rules/0/http/paths/0")
		assert.Equal(t, "/", dig(t, path, "path"))
		assert.Equal(t, "Prefix", dig(t, path, "pathType"))
		assert.EqualValues(t, 8080, dig(t, path, "backend/service/port/number"))

		service := inputsOf(rec.named(t, "dg-deepgram-api-ingress-service"))
		assert.Equal(t, dig(t, path, "backend/service/name"), dig(t, service, "metadata/name"))
		assert.Equal(t, map[string]any{"app": "deepgram-api", "app.kubernetes.io/instance": "deepgram"},
			dig(t, service, "spec/selector"))
		assert.Equal(t, "ClusterIP", dig(t, service, "spec/type"))
		assert.EqualValues(t, 8080, dig(t, service, "spec/ports/0/targetPort"))
		assert.JSONEq(t, `{"ingress": true}`,
			dig(t, service, "metadata/annotations").(map[string]any)["cloud.google.com/neg"].(string))

		backend := inputsOf(rec.named(t, "dg-deepgram-api-ingress-backend"))
		assert.JSONEq(t, fmt.Sprintf(`{"default": %q}`, dig(t, backend, "metadata/name")),
			dig(t, service, "metadata/annotations").(map[string]any)["cloud.google.com/backend-config"].(string))
		for path, want := range map[string]any{
			"apiVersion": "cloud.google.com/v1", "spec/timeoutSec": 86400.0,
			"spec/connectionDraining/drainingTimeoutSec": 1800.0, "spec/healthCheck/requestPath": "/v1/status",
			"spec/healthCheck/port": 8080.0, "spec/healthCheck/type": "HTTP",
		} {
			assert.Equal(t, want, dig(t, backend, path), path)
		}
	})
}

func TestDeepgramReleaseGrafanaEntrance(t *testing.T) {
	t.Parallel()
	bothModes(t, func(t *testing.T, mode pulumi.RunOption) {
		rec := runRelease(t, one(prodRelease()), mode)
		ingress := inputsOf(rec.named(t, "dg-deepgram-grafana-ingress"))
		annotations := dig(t, ingress, "metadata/annotations").(map[string]any)
		for k, want := range map[string]any{
			"kubernetes.io/ingress.class":                 "gce",
			"kubernetes.io/ingress.global-static-ip-name": "prod-omi-deepgram-grafana-alb-ip-address",
			"kubernetes.io/ingress.allow-http":            "false",
			"networking.gke.io/managed-certificates":      "prod-omi-deepgram-grafana-alb-cert",
		} {
			assert.Equal(t, want, annotations[k], k)
		}
		assert.Equal(t, "dg-monitor.omi.me", dig(t, ingress, "spec/rules/0/host"))
		certificate := inputsOf(rec.named(t, "dg-grafana-certificate"))
		assert.Equal(t, "prod-omi-deepgram-grafana-alb-cert", dig(t, certificate, "metadata/name"))
		assert.Equal(t, []any{"dg-monitor.omi.me"}, dig(t, certificate, "spec/domains"))
		assert.Equal(t, "/api/health", dig(t, inputsOf(rec.named(t, "dg-deepgram-grafana-ingress-backend")), "spec/healthCheck/requestPath"))
		assert.Equal(t, "grafana", dig(t, inputsOf(rec.named(t, "dg-deepgram-grafana-ingress-service")), "spec/selector/app.kubernetes.io~name"))
	})
}

func TestDeepgramReleaseOrder(t *testing.T) {
	t.Parallel()
	args := prodRelease()
	rec := runRelease(t, func(ctx *pulumi.Context) error {
		var disk, subnet pulumi.CustomResourceState
		if err := ctx.RegisterResource("test:index:Disk", "models-disk", nil, &disk); err != nil {
			return err
		}
		if err := ctx.RegisterResource("test:index:Subnet", "proxy-subnet", nil, &subnet); err != nil {
			return err
		}
		args.After, args.IngressAfter = []pulumi.Resource{&disk}, []pulumi.Resource{&subnet}
		return one(args)(ctx)
	})
	assert.Equal(t, []string{
		"dg-dg-grafana-admin", "dg-dg-regcred", "dg-dg-self-hosted-api-key", "dg-namespace", "models-disk",
	}, dependsOn(rec.named(t, "dg-release")))
	for _, e := range []string{"dg-deepgram-api-ingress", "dg-deepgram-grafana-ingress"} {
		ingress, service, backend := rec.named(t, e), rec.named(t, e+"-service"), rec.named(t, e+"-backend")
		assert.Contains(t, dependsOn(ingress), e+"-service", "removed before the Service")
		assert.Contains(t, dependsOn(ingress), "proxy-subnet", "removed before what the load balancer uses")
		assert.Contains(t, dependsOn(service), e+"-backend")
		assert.Equal(t, []string{"dg-namespace"}, dependsOn(backend))
		for _, reg := range []pulumi.MockResourceArgs{ingress, service, backend} {
			assert.NotContains(t, dependsOn(reg), "dg-release", "%s is made beside the slow release", reg.Name)
			assert.Contains(t, dependsOn(reg), "dg-namespace")
		}
	}
	namespace := rec.named(t, "dg-namespace")
	assert.True(t, namespace.RegisterRPC.GetProtect(), "production")
	assert.Equal(t, "2700s", namespace.RegisterRPC.GetCustomTimeouts().GetDelete(), "streams end first")
}

func TestDeepgramReleaseSecrets(t *testing.T) {
	t.Parallel()
	bothModes(t, func(t *testing.T, mode pulumi.RunOption) {
		rec := runRelease(t, one(prodRelease()), mode)
		secrets := map[string]map[string]any{}
		for _, reg := range rec.of("kubernetes:core/v1:Secret") {
			in := inputsOf(reg)
			secrets[dig(t, in, "metadata/name").(string)] = in
		}
		assert.Equal(t, []string{"dg-grafana-admin", "dg-regcred", "dg-self-hosted-api-key"}, slices.Sorted(maps.Keys(secrets)))
		assert.Equal(t, "kubernetes.io/dockerconfigjson", secrets["dg-regcred"]["type"])

		// Whatever is not marked secret is open to every reader of the state.
		open, err := json.Marshal(func() (all []any) {
			for _, reg := range rec.regs {
				all = append(all, inputsOf(reg))
			}
			return all
		}())
		require.NoError(t, err)
		assert.NotContains(t, string(open), "canary")
		assert.NotContains(t, string(open), "Y2FuYXJ5", "base64 of canary")
		assert.Contains(t, string(open), "[secret]")
	})
}

func TestDeepgramReleaseSecretContents(t *testing.T) {
	t.Parallel()
	rec := runRelease(t, one(prodRelease()))
	data := func(name, key string) string {
		v := rec.named(t, "dg-"+name).Inputs["stringData"]
		for v.IsSecret() || v.IsOutput() {
			if v.IsSecret() {
				v = v.SecretValue().Element
			} else {
				v = v.OutputValue().Element
			}
		}
		v = v.ObjectValue()[resource.PropertyKey(key)]
		for v.IsSecret() || v.IsOutput() {
			if v.IsSecret() {
				v = v.SecretValue().Element
			} else {
				v = v.OutputValue().Element
			}
		}
		return v.StringValue()
	}
	assert.Equal(t, "canary-api-key", data("dg-self-hosted-api-key", "DEEPGRAM_API_KEY"))
	assert.Equal(t, "canary-grafana-password", data("dg-grafana-admin", "admin-password"))
	assert.JSONEq(t, `{"auths": {"quay.io": {"username": "deepgram+omi", "password": "canary-pull-password",
		"auth": "ZGVlcGdyYW0rb21pOmNhbmFyeS1wdWxsLXBhc3N3b3Jk"}}}`, data("dg-regcred", ".dockerconfigjson"))
}

func TestDeepgramReleaseRotationRestartsPods(t *testing.T) {
	t.Parallel()
	hash := func(key string) string {
		args := prodRelease()
		args.APIKey = pulumi.ToSecret(pulumi.String(key)).(pulumi.StringOutput)
		annotations := dig(t, inputsOf(runRelease(t, one(args)).named(t, "dg-release")), "values/api/additionalAnnotations").(map[string]any)
		require.Len(t, annotations, 1)
		for _, v := range annotations {
			return v.(string)
		}
		return ""
	}
	before, after := hash("first"), hash("second")
	assert.NotEqual(t, before, after)
	assert.Equal(t, chart.Fingerprint("first"), before, "known to the policies, not secret")
}
