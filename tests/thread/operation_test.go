package thread

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/certs/certtest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

// TestOperation rehearses what an operator may switch on: another Prometheus,
// another autoscaler, backups.
func TestOperation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stack string
		sets  []string
		want  map[string]int
	}{
		"Google Managed Prometheus, KEDA and Backup for GKE": {
			stack: "prod-omi",
			sets: []string{
				"monitoring.mode", "google", "grafana", "{enabled: false}", "scaling.keda.enabled", "true",
				"backup", "{mode: gke, retentionDays: 30, lockDays: 7}",
			},
			want: map[string]int{
				"kubernetes:monitoring.googleapis.com/v1:ClusterRules":  1,
				"kubernetes:monitoring.googleapis.com/v1:PodMonitoring": 1,
				"kubernetes:keda.sh/v1alpha1:ScaledObject":              2,
				"kubernetes:keda.sh/v1alpha1:TriggerAuthentication":     1,
				"kubernetes:core/v1:ConfigMap":                          1, // the dashboard
				"gcp:gkebackup/backupPlan:BackupPlan":                   1,
				"kubernetes:gkebackup.gke.io/v1:ProtectedApplication":   0,
			},
		},
		"journals in Backup for GKE": {
			stack: "airgapped",
			sets: []string{
				"billing.architecture", "standard", "billing.storage", "block", "billing.replicas", "1", "billing.journalGb", "10",
				"backup.mode", "gke",
			},
			want: map[string]int{
				"gcp:gkebackup/backupPlan:BackupPlan":                 2,
				"kubernetes:gkebackup.gke.io/v1:ProtectedApplication": 1,
			},
		},
		"journals in Velero": {
			stack: "airgapped",
			sets:  []string{"backup.mode", "velero"},
			want: map[string]int{
				"kubernetes:velero.io/v1:Schedule":    1,
				"gcp:gkebackup/backupPlan:BackupPlan": 0,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, c.stack, c.sets...)
			o.Destroy = true
			result := rehearse(t, o)
			require.Len(t, result.Steps, 4)
			assert.Equal(t, result.Steps[0].Changes, result.Steps[1].Changes, "preview foretells up")
			assert.Len(t, result.Steps[2].Changes, 1, "the second up changes nothing: %v", result.Steps[2].Changes)
			types := byType(result.Resources)
			for token, count := range c.want {
				assert.Len(t, types[token], count, token)
			}
			for _, plan := range types["gcp:gkebackup/backupPlan:BackupPlan"] {
				assert.Regexp(t, "^projects/.+/locations/.+/clusters/.+$", plan.Inputs["cluster"])
			}
		})
	}
}

// TestSecretsFromSecretManager gives every secret of the configuration as a
// reference, whose value is a canary: it must arrive where it is needed, and be
// seen nowhere else.
func TestSecretsFromSecretManager(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stack string
		sets  []string
	}{
		"online": {stack: "prod-omi", sets: []string{
			"models.files", "[{url: 'https://models.example.com/a.dg', name: a.dg}]", "registry.distribution.username", "deepgram+rehearsal",
		}},
		"airgapped, copies to S3": {stack: "airgapped", sets: []string{
			"billing.backup.target", "s3", "billing.backup.s3", "{region: us-west-2, accessKeyId: a, secretAccessKey: b}",
			"registry.distribution", "{username: deepgram+rehearsal, password: x}",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(t, c.stack, c.sets...)
			cfg, err := config.FromTree(o.Stack, o.Tree, config.AllowMissingSecrets())
			require.NoError(t, err)
			pki := certtest.New(t, time.Now(), cfg.Ingress.Host)
			require.NoError(t, o.Tree.Set("ingress.certificate.bundle", strconv.Quote(certtest.Bundle(pki.Host, pki.Intermediate, pki.Root))))

			values := map[string]string{} // by path: what must arrive
			var versions []standin.Option
			for i, field := range cfg.Secrets() {
				if field.Secret.IsZero() && !field.Required {
					continue
				}
				value := canary(field.Path)
				whole := value
				switch field.Kind {
				case config.KindPEMKey:
					whole = pki.Host.KeyPEM(t)
					value = strings.Split(whole, "\n")[1]
				case config.KindURL:
					whole = "https://models.example.com/" + value + "?signature=1"
				}
				reference := fmt.Sprintf("projects/%s/secrets/dg-secret-%d/versions/%d", cfg.GCP.Project, i, i+1)
				require.NoError(t, o.Tree.Set(field.Path, "{secretManager: "+reference+"}"))
				versions = append(versions, standin.SecretValue(reference, whole))
				values[field.Path] = value
			}
			require.GreaterOrEqual(t, len(values), 4, "%v", slices.Collect(maps.Keys(values)))

			cfg, err = config.FromTree(o.Stack, o.Tree)
			require.NoError(t, err, "no secret is missing")
			o.Cloud, err = rehearsal.NewCloud(cfg, versions...)
			require.NoError(t, err)
			var told strings.Builder
			encoder := json.NewEncoder(&told)
			o.Sink = func(e events.EngineEvent) { _ = encoder.Encode(e.EngineEvent) }
			result := rehearse(t, o)

			var arrived strings.Builder
			for _, object := range o.Cloud.Objects() {
				if object.CreatedBy != "" {
					text, err := json.Marshal(object.Inputs.Mappable())
					require.NoError(t, err)
					fmt.Fprintf(&arrived, "%s\n%#v\n", text, object.Inputs)
				}
			}
			for path, value := range values {
				if !strings.Contains(arrived.String(), value) { // assert.Contains would print them all
					t.Errorf("%s did not arrive in any object", path)
				}
			}
			canaries := slices.Collect(maps.Values(values))
			text, err := json.Marshal(result)
			require.NoError(t, err)
			hunt(t, "an event", []byte(told.String()), canaries)
			hunt(t, "the result", text, canaries)
		})
	}
}
