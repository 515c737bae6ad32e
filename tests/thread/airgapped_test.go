package thread

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
)

// imageReference finds what looks like an image: registry/path:tag.
var imageReference = regexp.MustCompile(`[a-z0-9.-]+\.[a-z]{2,}(:[0-9]+)?/[a-z0-9./_-]+:[A-Za-z0-9._-]+`)

func TestAirgapped(t *testing.T) {
	t.Parallel()
	o := options(t, "airgapped")
	o.Destroy = true
	result := rehearse(t, o)
	require.Len(t, result.Steps, 4)
	require.Equal(t, result.Steps[0].Changes, result.Steps[1].Changes, "preview foretells up")
	require.Len(t, result.Steps[2].Changes, 1, "the second up changes nothing: %v", result.Steps[2].Changes)

	types := byType(result.Resources)
	for token, count := range map[string]int{
		"deepgram:index:Billing":                             1,
		"kubernetes:core/v1:PersistentVolumeClaim":           1,
		"kubernetes:batch/v1:CronJob":                        1,
		"gcp:storage/bucket:Bucket":                          1,
		"gcp:storage/bucketIAMMember:BucketIAMMember":        2,
		"gcp:container/nodePool:NodePool":                    5,
		"kubernetes:networking.gke.io/v1:ManagedCertificate": 0,
	} {
		assert.Len(t, types[token], count, token)
	}
	prefix, _ := result.Outputs["registry"].(string)
	require.NotEmpty(t, prefix)
	nothingFromOutside(t, result, prefix)

	release := types["kubernetes:helm.sh/v3:Release"][0].Inputs
	assert.Equal(t, "deepgram-postrender", release["postrender"])
	values := release["values"].(map[string]any)
	assert.Equal(t, false, values["licenseProxy"].(map[string]any)["keepUpstreamServerAsBackup"])
	assert.Equal(t, true, values["licenseProxy"].(map[string]any)["deploySecondReplica"])
	assert.Contains(t, result.Outputs["licenseRoute"], "licence proxy")
	assert.NotEmpty(t, result.Outputs["journalBucket"])

	kept := strings.Join(result.Retained, "\n")
	for _, name := range []string{"billing-journal", "billing-journals", "models-disk"} {
		assert.Contains(t, kept, name, "is kept")
	}
	assert.Len(t, result.Retained, 3)
}

// nothingFromOutside looks for images and addresses that an airgapped deployment
// cannot reach.
func nothingFromOutside(t *testing.T, result *rehearsal.Result, prefix string) {
	t.Helper()
	images := 0
	for _, r := range result.Resources {
		if strings.HasPrefix(r.Type, "pulumi:providers:") {
			continue
		}
		text, err := json.Marshal(r.Inputs)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "license.deepgram.com", r.URN)
		for _, registry := range []string{"quay.io", "docker.io", "registry.k8s.io", "ghcr.io", "gcr.io"} {
			assert.NotContains(t, string(text), registry, r.URN)
		}
		for _, image := range imageReference.FindAllString(string(text), -1) {
			images++
			assert.True(t, strings.HasPrefix(image, prefix+"/"), "%s: %s is not below %s", r.URN, image, prefix)
		}
	}
	assert.Positive(t, images)
	require.IsType(t, map[string]any{}, result.Outputs["images"])
	for name, image := range result.Outputs["images"].(map[string]any) {
		assert.True(t, strings.HasPrefix(image.(string), prefix+"/"), "%s: %s", name, image)
	}
}

// TestAirgappedVariants rehearses every architecture on every storage, or is
// told why not.
func TestAirgappedVariants(t *testing.T) {
	t.Parallel()
	one := []string{"billing.replicas", "1", "licenseProxy.replicas", "1"}
	for name, c := range map[string]struct {
		sets    []string
		refused string
	}{
		"standard on shared storage": {sets: []string{"billing.architecture", "standard"}},
		"standard on block storage": {sets: append([]string{
			"billing.architecture", "standard", "billing.storage", "block", "billing.journalGb", "10",
		}, one...)},
		"highly available on block storage": {
			sets:    append([]string{"billing.storage", "block", "billing.journalGb", "10"}, one...),
			refused: "a block journal means downtime",
		},
		"two replicas on block storage": {
			sets:    []string{"billing.architecture", "standard", "billing.storage", "block", "billing.journalGb", "10"},
			refused: "a block volume is for one pod",
		},
		"highly available without proxy": {sets: []string{"licenseProxy.enabled", "false"}, refused: "needs licenseProxy.enabled"},
		"a bad licence key":              {sets: []string{"billing.licenseKey", "a|b"}, refused: "which the chart cannot carry"},
		"copies to S3": {sets: []string{
			"billing.backup.target", "s3", "billing.backup.s3", "{region: us-west-2, endpoint: 'https://s3.airgapped.example.com'}",
		}},
		"copies to NFS": {sets: []string{
			"billing.backup.target", "volume", "billing.backup.volume", "{server: 10.10.0.9, path: /exports/journals}",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, "airgapped", c.sets...)
			if c.refused != "" {
				_, err := rehearsal.Run(t.Context(), o)
				assert.ErrorContains(t, err, c.refused)
				return
			}
			result := rehearse(t, o)
			nothingFromOutside(t, result, result.Outputs["registry"].(string))
			standard := strings.HasPrefix(name, "standard")
			route, _ := result.Outputs["licenseRoute"].(string)
			assert.Equal(t, !standard, strings.Contains(route, "proxy"), route)
			release := byType(result.Resources)["kubernetes:helm.sh/v3:Release"][0].Inputs
			assert.Equal(t, !standard, release["postrender"] != nil)
		})
	}
}
