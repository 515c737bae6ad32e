package rules

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const registryPrefix = "us-central1-docker.pkg.dev/p/deepgram/self-hosted-"

func image(name string) obj { return obj{"path": registryPrefix + name, "tag": "release-260812"} }

func sizes(cpu any, mem string, lcpu any, lmem string) obj {
	return obj{"requests": obj{"cpu": cpu, "memory": mem}, "limits": obj{"cpu": lcpu, "memory": lmem}}
}

// goodRelease is a release as the guide's production environment has it.
func goodRelease(changes obj) given {
	return given{kind: releaseType, name: "deepgram", in: with(obj{
		"chart": chartName, "version": "0.42.0", "namespace": "deepgram", "atomic": true, "timeout": 3600,
		"repositoryOpts": obj{"repo": "https://deepgram.github.io/self-hosted-resources"},
		"values": obj{
			"global": obj{"deepgramSecretRef": "dg-self-hosted-api-key"},
			"scaling": obj{"auto": obj{"enabled": true, "api": obj{"metrics": obj{"engineToApiRatio": 1}}, "engine": obj{
				"minReplicas": 2, "maxReplicas": 10, "metrics": obj{"speechToText": obj{"streaming": obj{"requestsPerPod": 30}}},
			}}},
			"api": obj{"image": image("api"), "resources": sizes(2, "4Gi", 4, "12Gi"), "pdb": obj{"enabled": true, "maxUnavailable": 1}},
			"engine": obj{
				"image": image("engine"), "health": obj{"gpuRequired": true},
				"resources": obj{"requests": obj{"cpu": 5, "memory": "24Gi", "gpu": 1}, "limits": obj{"cpu": 11, "memory": "40Gi", "gpu": 1}},
				"modelManager": obj{"volumes": obj{"gcp": obj{"gpd": obj{
					"enabled": true, "volumeHandle": "projects/p/zones/us-central1-a/disks/models", "storageCapacity": "200G",
				}}}},
			},
			"licenseProxy":          obj{"enabled": true, "image": image("license-proxy"), "resources": sizes(1, "4Gi", 2, "8Gi")},
			"billing":               obj{"enabled": false},
			"gpu-operator":          obj{"enabled": false},
			"kube-prometheus-stack": obj{"includeDependency": true, "grafana": obj{"enabled": true, "admin": obj{"existingSecret": "grafana"}}},
		},
	}, changes)}
}

func goodDisk(changes obj) given {
	return given{kind: diskType, name: "models", protect: true, in: with(obj{"name": "models", "zone": "us-central1-a", "size": 200, "type": "pd-ssd"}, changes)}
}

// goodStack is the guide's production environment in plain resources. Only what
// nobody can know here, the driver's version, is remarked on.
func goodStack(replace ...given) []given {
	all := []given{
		goodDisk(nil), enginePool(nil), cpuPool(roleAPI, "n2-standard-4", nil), cpuPool(roleProxy, "n2-standard-2", nil), goodRelease(nil),
	}
	for _, r := range replace {
		found := false
		for i := range all {
			if all[i].kind == r.kind && all[i].name == r.name {
				all[i], found = r, true
			}
		}
		if !found {
			all = append(all, r)
		}
	}
	return all
}

func TestTheGuidesStackPasses(t *testing.T) {
	t.Parallel()
	found := judged(t, Options{Config: Config{Production: true}}, goodStack()...)
	assert.Equal(t, []string{"driver-is-checked", "limits-fit-nodes"}, names(found), fmt.Sprint(found))
	assert.Empty(t, names(found, "mandatory"))
}

// accept is what the good stack itself is remarked on.
var accept = map[string]bool{"driver-is-checked": true, "limits-fit-nodes": true}

// broken judges the good stack with one thing changed.
func broken(t *testing.T, o Options, replace ...given) []violation {
	t.Helper()
	var rest []violation
	for _, v := range judged(t, o, goodStack(replace...)...) {
		if !accept[v.policy] {
			rest = append(rest, v)
		}
	}
	return rest
}

func TestEachReleaseRuleAlone(t *testing.T) {
	t.Parallel()
	const v = "values/"
	gpdPath := v + "engine/modelManager/volumes/gcp/gpd/"
	billing := obj{
		v + "billing/enabled": true, v + "billing/image": image("billing"), v + "billing/journal/existingPvcName": "journal",
		v + "billing/updateStrategy/rollingUpdate/maxUnavailable": 1, v + "global/initContainer/image/registry": "us-central1-docker.pkg.dev/p/deepgram",
		v + "kube-prometheus-stack/global/imageRegistry": "us-central1-docker.pkg.dev/p/deepgram",
		v + "prometheus-adapter/image/repository":        "us-central1-docker.pkg.dev/p/deepgram/prometheus-adapter",
	}
	and := func(base, more obj) obj {
		c := obj{}
		for _, m := range []obj{base, more} {
			for k, e := range m {
				c[k] = e
			}
		}
		return c
	}
	claim := func(mode string) given {
		return given{kind: claimType, name: "journal", protect: true, in: obj{"metadata": obj{"name": "journal"}, "spec": obj{"accessModes": []any{mode}}}}
	}
	backup := given{kind: cronJobType, name: "backup", in: obj{"spec": obj{"jobTemplate": obj{"spec": obj{"template": obj{"spec": obj{
		"containers": []any{}, "volumes": []any{obj{"persistentVolumeClaim": obj{"claimName": "journal"}}},
	}}}}}}}
	for _, row := range []struct {
		name string
		with []given
		want []string
		says string
	}{
		{"chart not pinned", []given{goodRelease(obj{"version": nil})}, []string{"chart-is-pinned"}, "exact version"},
		{"chart range", []given{goodRelease(obj{"version": ">=0.41"})}, []string{"chart-is-pinned"}, ">=0.41"},
		{"chart too old", []given{goodRelease(obj{"version": "0.41.0"})}, []string{"chart-and-images-are-tested-together", "chart-is-pinned"}, "0.41.0"},
		{"oldest chart", []given{goodRelease(obj{"version": "0.41.1"})}, []string{"chart-and-images-are-tested-together"}, "nothing is known"},
		{"chart from a file", []given{goodRelease(obj{"version": nil, "chart": "./charts/deepgram-self-hosted-0.42.0.tgz"})}, nil, ""},
		{
			"unknown pair is a doubt",
			[]given{goodRelease(obj{v + "api/image/tag": "release-250331", v + "engine/image/tag": "release-250331", v + "licenseProxy/image/tag": "release-250331"})},
			[]string{"chart-and-images-are-tested-together"},
			"chart 0.42.0 with release-250331",
		},
		{
			"fips",
			[]given{goodRelease(obj{v + "api/image/tag": "release-260812-fips", v + "engine/image/tag": "release-260812-fips", v + "licenseProxy/image/tag": "release-260812-fips"})},
			[]string{"chart-suits-images"},
			"Use chart 0.43.0 or newer",
		},
		{"mixed tags", []given{goodRelease(obj{v + "api/image/tag": "release-260611"})}, []string{"image-tags-are-one"}, "release-260611 (API), release-260812 (engine)"},
		{
			"latest",
			[]given{goodRelease(obj{v + "api/image/tag": "latest", v + "engine/image/tag": "latest", v + "licenseProxy/image/tag": "latest"})},
			[]string{"chart-and-images-are-tested-together", "image-tags-are-one"},
			"latest",
		},
		{
			"public image beside private ones",
			[]given{goodRelease(obj{v + "engine/image/path": "quay.io/deepgram/self-hosted-engine"})},
			[]string{"images-come-from-private-registry"},
			"quay.io/deepgram/self-hosted-engine",
		},
		{"public image by default", []given{goodRelease(obj{v + "licenseProxy/image/path": nil})}, []string{"images-come-from-private-registry"}, "licence proxy is quay.io"},
		{"not atomic", []given{goodRelease(obj{"atomic": false})}, []string{"release-is-atomic"}, "not atomic"},
		{"59 minutes", []given{goodRelease(obj{"timeout": 3599})}, []string{"release-is-atomic"}, "3599 s; needed: 3600 s"},
		{"default timeout", []given{goodRelease(obj{"timeout": nil})}, []string{"release-is-atomic"}, "300 s"},
		{"text for a switch", []given{goodRelease(obj{v + "billing/pdb/enabled": "false"})}, []string{"chart-booleans-are-booleans"}, `values.billing.pdb.enabled is the text "false"`},
		{"budget of 0", []given{goodRelease(obj{v + "engine/pdb/enabled": true, v + "engine/pdb/minAvailable": 0})}, []string{"pdb-allows-eviction"}, "engine.pdb.minAvailable is 0"},
		{"budget of 0%", []given{goodRelease(obj{v + "api/pdb/maxUnavailable": "0%"})}, []string{"pdb-allows-eviction"}, "api.pdb.maxUnavailable is 0"},
		{"GPU not required", []given{goodRelease(obj{v + "engine/health": nil})}, []string{"engine-gpu-is-required"}, "gpuRequired is false"},
		{"GPU operator by default", []given{goodRelease(obj{v + "gpu-operator": nil})}, []string{"gpu-operator-is-off"}, "gpu-operator"},
		{"no GPU", []given{goodRelease(obj{v + "engine/resources/requests/gpu": 0, v + "engine/resources/limits/gpu": 0})}, []string{"gpu-request-equals-limit"}, "0 GPUs"},
		{"17 engines to an API pod", []given{goodRelease(obj{v + "scaling/auto/api/metrics/engineToApiRatio": 17})}, []string{"engine-to-api-ratio-is-in-range"}, "17 engines"},
		{"16 engines to an API pod", []given{goodRelease(obj{v + "scaling/auto/api/metrics/engineToApiRatio": 16})}, nil, ""},
		{
			"half an engine to an API pod",
			[]given{goodRelease(obj{v + "scaling/auto/api/metrics/engineToApiRatio": 0.5}), cpuPool(roleAPI, "n2-standard-4", obj{"autoscaling/totalMaxNodeCount": 30})},
			[]string{"engine-to-api-ratio-is-in-range"},
			"0.5 engines",
		},
		{"no metric", []given{goodRelease(obj{v + "scaling/auto/engine/metrics": nil})}, []string{"autoscaling-has-metric"}, "without a target"},
		{"share without capacity", []given{goodRelease(obj{v + "scaling/auto/engine/metrics": obj{"requestCapacityRatio": 0.8}})}, []string{"autoscaling-has-metric"}, "activeRequests"},
		{"least above most", []given{goodRelease(obj{v + "scaling/auto/engine/minReplicas": 11})}, []string{"autoscaling-bounds-are-ordered"}, "11 to 10"},
		{"other names", []given{goodRelease(obj{v + "engine/namePrefix": "speech"})}, []string{"autoscaling-keeps-chart-names"}, "engine.namePrefix is speech"},
		{
			"Omi's own figures",
			[]given{goodRelease(obj{v + "scaling/auto/engine/maxReplicas": 20, v + "scaling/auto/api/metrics/engineToApiRatio": 4}), enginePool(obj{"autoscaling/totalMaxNodeCount": 8})},
			[]string{"replicas-fit-nodes"},
			"up to 20 engine pods and 1 more during an update, and its pools hold 8",
		},
		{"no room for the surge", []given{enginePool(obj{"autoscaling/totalMaxNodeCount": 10})}, []string{"replicas-fit-nodes"}, "pools hold 10; needed: room for 11"},
		{"request too large", []given{goodRelease(obj{v + "engine/resources/requests/memory": "44Gi", v + "engine/resources/limits/memory": "44Gi"})}, []string{"requests-fit-nodes"}, "engine requests 44 GiB, and g2-standard-12"},
		{
			"chart's default request on 32 GB",
			[]given{goodRelease(obj{v + "engine/resources/requests": obj{"gpu": 1}}), enginePool(obj{"nodeConfig/machineType": "g2-standard-8"})},
			[]string{"engine-node-memory-is-ample", "requests-fit-nodes"},
			"Smallest machine type that would do: g2-standard-12",
		},
		{"guide's request on 32 GB", []given{enginePool(obj{"nodeConfig/machineType": "g2-standard-8"})}, []string{"engine-node-memory-is-ample"}, ""},
		{"more GPUs than the node", []given{goodRelease(obj{v + "engine/resources/requests/gpu": 2, v + "engine/resources/limits/gpu": 2})}, []string{"requests-fit-nodes"}, "requests 2 GPUs"},
		{"API cores", []given{goodRelease(obj{v + "api/resources/limits/cpu": "1999m"})}, []string{"api-pod-has-room"}, "1.999; needed: 2 cores"},
		{"API memory", []given{goodRelease(obj{v + "api/resources/limits/memory": "3900M"})}, []string{"api-pod-has-room"}, "needed: 4 GB"},
		{"engine cores", []given{goodRelease(obj{v + "engine/resources/limits/cpu": 3})}, []string{"engine-pod-has-room"}, "needed: 4 cores"},
		{"proxy memory", []given{goodRelease(obj{v + "licenseProxy/resources/limits/memory": "4Gi"})}, []string{"license-proxy-pod-has-room"}, "needed: 5 GB"},
		{"proxy off", []given{goodRelease(obj{v + "licenseProxy": obj{"enabled": false, "resources": obj{"limits": obj{"memory": "4Gi"}}}})}, nil, ""},
		{"default driver for CUDA 13", []given{
			goodRelease(obj{"version": "0.46.0", v + "api/image/tag": "release-260915", v + "engine/image/tag": "release-260915", v + "licenseProxy/image/tag": "release-260915"}),
			enginePool(obj{"nodeConfig/guestAccelerators": []any{obj{"type": "nvidia-l4", "count": 1, "gpuDriverInstallationConfig": obj{"gpuDriverVersion": "DEFAULT"}}}}),
		}, []string{"driver-suits-images"}, "needs 580"},
		{
			"two zones",
			[]given{enginePool(obj{"nodeLocations": []any{"us-central1-a", "us-central1-b"}})},
			[]string{"engine-pool-is-in-one-zone", "engine-pool-is-in-the-disks-zone"},
			"us-central1-a, us-central1-b",
		},
		{"another zone", []given{enginePool(obj{"nodeLocations": []any{"us-central1-b"}})}, []string{"engine-pool-is-in-the-disks-zone"}, "is in us-central1-a"},
		{"a region", []given{enginePool(obj{"nodeLocations": nil})}, []string{"engine-pool-is-in-the-disks-zone"}, "several zones of us-central1"},
		{"regional disk", []given{goodRelease(obj{gpdPath + "volumeHandle": "projects/p/regions/us-central1/disks/models-r"})}, []string{"models-disk-suits-machine"}, "which is regional"},
		{"disk for another series", []given{goodDisk(obj{"type": "pd-standard"})}, []string{"models-disk-suits-machine"}, "g2-standard-12 cannot attach"},
		{"other capacity", []given{goodRelease(obj{gpdPath + "storageCapacity": "100G"})}, []string{"models-capacity-is-disk-size"}, "100G and models disk"},
		{"chart's capacity", []given{goodRelease(obj{gpdPath + "storageCapacity": nil})}, []string{"models-capacity-is-disk-size"}, "40G"},
		{"binary capacity", []given{goodRelease(obj{gpdPath + "storageCapacity": "200Gi"})}, nil, ""},
		{"small models disk", []given{goodDisk(obj{"size": 47}), goodRelease(obj{gpdPath + "storageCapacity": "47G"})}, []string{"models-disk-has-storage"}, "47 GB; needed: 48 GB"},
		{"smallest models disk", []given{goodDisk(obj{"size": 48}), goodRelease(obj{gpdPath + "storageCapacity": "48G"})}, nil, ""},
		{"Grafana's own password", []given{goodRelease(obj{v + "kube-prometheus-stack/grafana/admin": nil})}, []string{"grafana-has-own-password"}, "default password"},
		{"public load balancer", []given{goodRelease(obj{v + "api/service/type": "LoadBalancer"})}, []string{"load-balancer-has-source-ranges"}, "api.service.type is LoadBalancer"},
		{"password in the values", []given{goodRelease(obj{v + "kube-prometheus-stack/grafana/adminPassword": "hunter22"})}, []string{"values-hold-no-plain-secret"}, "adminPassword holds a secret in plain"},
		{"key in the environment", []given{goodRelease(obj{v + "api/extraEnv": []any{obj{"name": "OPENAI_API_KEY", "value": secret{"sk-123456"}}}})}, []string{"values-hold-no-plain-secret"}, "OPENAI_API_KEY"},
		{"billing as it should be", []given{goodRelease(billing), claim("ReadWriteMany"), backup}, nil, ""},
		{"billing without a claim", []given{goodRelease(and(billing, obj{v + "billing/journal/existingPvcName": nil, v + "billing/journal/aws/efs/enabled": false})), {
			kind: cronJobType, name: "backup", in: with(backup.in, obj{"spec/jobTemplate/spec/template/spec/volumes": []any{obj{"persistentVolumeClaim": obj{"claimName": unknown{}}}}}),
		}}, []string{"billing-has-own-claim"}, "claim template"},
		{"two replicas on one node's disk", []given{goodRelease(and(billing, obj{v + "billing/replicas": 2})), claim("ReadWriteOnce"), backup}, []string{"billing-replicas-share-storage"}, "ReadWriteOnce; needed: ReadWriteMany"},
		{"two replicas on Filestore", []given{goodRelease(and(billing, obj{v + "billing/replicas": 2})), claim("ReadWriteMany"), backup}, nil, ""},
		{"no budget for billing", []given{goodRelease(and(billing, obj{v + "billing/updateStrategy": nil})), claim("ReadWriteMany"), backup}, []string{"billing-can-be-updated"}, "maxUnavailable is 0"},
		{"no backup", []given{goodRelease(billing), claim("ReadWriteMany")}, []string{"billing-journal-is-backed-up"}, "no CronJob"},
		{"no backup of a claim to come", []given{goodRelease(and(billing, obj{v + "billing/journal/existingPvcName": unknown{}})), claim("ReadWriteMany")}, []string{"billing-has-own-claim", "billing-journal-is-backed-up"}, "no CronJob of the stack mounts the journals' claim"},
		{
			"airgapped with public images",
			[]given{goodRelease(and(billing, obj{v + "global/initContainer": nil, v + "prometheus-adapter": nil})), claim("ReadWriteMany"), backup},
			[]string{"images-come-from-private-registry"},
			"init container is docker.io",
		},
		{
			"bucket without retention",
			[]given{goodRelease(billing), claim("ReadWriteMany"), backup, {kind: bucketType, name: "journals", protect: true, in: obj{}}},
			[]string{"journal-bucket-has-retention"},
			"0 days; needed: 30 days",
		},
		{"bucket with retention", []given{goodRelease(billing), claim("ReadWriteMany"), backup, {kind: bucketType, name: "journals", protect: true, in: obj{"retentionPolicy": obj{"retentionPeriod": 31536000}}}}, nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			found := broken(t, Options{}, row.with...)
			if row.want == nil {
				row.want = []string{}
			}
			require.Equal(t, row.want, names(found), fmt.Sprint(found))
			text := ""
			for _, v := range found {
				text += v.message + "\n"
			}
			assert.Contains(t, text, row.says)
		})
	}
}

func TestAnotherChartIsNotJudged(t *testing.T) {
	t.Parallel()
	assert.Empty(t, judged(t, Options{}, given{kind: releaseType, name: "redis", in: obj{"chart": "redis", "values": obj{"auth": obj{"enabled": "true"}}}}))
}

func TestKnownBadPairs(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		chart, tag string
		bad        bool
	}{
		{"0.40.1", "release-260514", false},
		{"0.40.2", "release-260514", true},
		{"0.41.0", "release-260610", true},
		{"0.41.1", "release-260514", false},
		{"0.40.2", "release-260611", false},
		{"0.36.9", "release-260611", true},
		{"0.37.0", "release-260611", false},
		{"0.36.9", "release-260610", false},
		{"0.42.0", "release-260812-fips", true},
		{"0.43.0", "release-260812-fips", false},
		{"0.42.0", "something-else", false},
	} {
		in := goodRelease(obj{"version": row.chart, "values/api/image/tag": row.tag, "values/engine/image/tag": row.tag, "values/licenseProxy/image/tag": row.tag})
		got := names(judged(t, Options{}, in))
		assert.Equal(t, row.bad, contains(got, "chart-suits-images"), "%s with %s: %v", row.chart, row.tag, got)
	}
}

func contains(all []string, s string) bool {
	for _, e := range all {
		if e == s {
			return true
		}
	}
	return false
}
