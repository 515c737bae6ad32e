package objects

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
)

// TestAPIServerTakesEveryBilling gives the API server the airgapped environment
// with every storage and every target of the copies.
func TestAPIServerTakesEveryBilling(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(enginetest.Root(), "Pulumi.airgapped.yaml"))
	require.NoError(t, err)
	cluster := kubetest.Start(t, kubetest.Options{})
	block := []string{
		"architecture: highly-available #", "architecture: standard #", "storage: shared #", "storage: block #",
		"replicas: 2\n    filestoreTier", "replicas: 1\n    filestoreTier", "journalGb: 1024 #", "journalGb: 10 #",
	}
	for name, c := range map[string]struct {
		replace []string
		kinds   map[string]int
	}{
		"block": {block, map[string]int{"CronJob": 2, "StorageClass": 1, "PersistentVolumeClaim": 1}},
		"s3": {
			[]string{"target: gcs #", "target: s3\n      s3: {region: us-west-2} #"},
			map[string]int{"CronJob": 1, "Secret": 3},
		},
		"role": {
			[]string{"target: gcs #", "target: s3\n      s3: {region: us-west-2, roleArn: 'arn:aws:iam::123456789012:role/journals'} #"},
			map[string]int{"CronJob": 1, "Secret": 2},
		},
		"nfs": {
			[]string{"target: gcs #", "target: volume\n      volume: {server: 10.0.0.9, path: /exports} #"},
			map[string]int{"CronJob": 1},
		},
		"claims": {
			[]string{
				"target: gcs #", "target: volume\n      volume: {claim: copies} #",
				"replicas: 2\n    filestoreTier: standard\n", "replicas: 1\n    existingClaim: journals\n",
			},
			map[string]int{"CronJob": 1, "PersistentVolumeClaim": 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := string(text)
			for i := 0; i < len(c.replace); i += 2 {
				require.Contains(t, changed, c.replace[i])
				changed = strings.ReplaceAll(changed, c.replace[i], c.replace[i+1])
			}
			file := filepath.Join(t.TempDir(), "Pulumi.airgapped.yaml")
			require.NoError(t, os.WriteFile(file, []byte(changed), 0o600))
			objects, kinds := manifests(t, file), map[string]int{}
			for _, key := range inOrder(objects) {
				kinds[objects[key].GetKind()]++
				if objects[key].GetKind() == "Namespace" {
					continue // made below, and the same in every variant
				}
				namespace(t, cluster, objects[key].GetNamespace())
				assert.NoError(t, cluster.Check(t.Context(), objects[key]), key)
			}
			for kind, count := range c.kinds {
				assert.Equal(t, count, kinds[kind], kind)
			}
		})
	}
}
