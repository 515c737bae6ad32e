package thread

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
)

// dangerous are changes of one key that could touch the models disk. The rest of
// the keys is tried too, with SOAK set.
var dangerous = [][2]string{
	{"gcp:project", "other-project"},
	{"gcp:region", "us-east1"},
	{"gcp:zone", "us-central1-b"},
	{"environment.production", "false"},
	{"environment.namePrefix", "renamed"},
	{"environment.labels", "{team: speech}"},
	{"models.disk.sizeGb", "400"},
	{"models.disk.sizeGb", "100"},
	{"models.disk.type", "pd-balanced"},
	{"models.disk.name", "other-disk"},
	{"models.disk.existing", "filled-by-hand"},
	{"models.files", "[{url: 'https://models.example.com/nova-3.dg'}]"},
	{"cluster.name", "other-cluster"},
	{"cluster.location", "us-central1-a"},
	{"cluster.existing", "their-cluster"},
	{"pools.engine.machineType", "g2-standard-16"},
	{"release.name", "other"},
	{"release.namespace", "other"},
	{"release.tag", "release-250710"},
	{"network.network", "other-network"},
}

// harmless are changes of every other room of the configuration.
var harmless = [][2]string{
	{"release.chartVersion", "0.41.1"},
	{"release.timeoutSeconds", "7200"},
	{"registry.mode", "pull-through"},
	{"registry.repository", "other"},
	{"registry.location", "us"},
	{"network.proxyOnlySubnet.cidr", "192.168.200.0/23"},
	{"network.proxyOnlySubnet.existing", "theirs"},
	{"ingress.enabled", "false"},
	{"ingress.host", "other.omi.me"},
	{"ingress.address", "10.128.0.99"},
	{"ingress.dnsZone", "omi-me"},
	{"ingress.streamTimeoutSeconds", "600"},
	{"grafana.enabled", "false"},
	{"grafana.storageGb", "40"},
	{"cluster.releaseChannel", "STABLE"},
	{"cluster.imageStreaming", "false"},
	{"cluster.private", "{enabled: true, controlPlaneCidr: 172.16.0.0/28}"},
	{"cluster.deletionProtection", "false"},
	{"pools.engine.maxNodes", "20"},
	{"pools.engine.spot", "true"},
	{"pools.api.machineType", "n2-standard-8"},
	{"pools.engine.diskGb", "200"},
	{"api.resources.requests.cpu", "3"},
	{"engine.resources.requests.memory", "28Gi"},
	{"engine.activeRequests", "40"},
	{"licenseProxy.enabled", "false"},
	{"scaling.auto", "false"},
	{"scaling.engine.maxReplicas", "8"},
	{"scaling.engineToApiRatio", "4"},
	{"monitoring.retentionDays", "30"},
	{"monitoring.mode", "existing"},
	{"values", "{api: {features: {listenV2: true}}}"},
}

// TestNoSingleChangeTouchesTheModelsDisk previews single changes of production:
// the models disk is never deleted nor replaced. That a change is refused with a
// reason counts.
func TestNoSingleChangeTouchesTheModelsDisk(t *testing.T) {
	t.Parallel()
	o := options(t, "prod-omi")
	o.PolicyPack = "" // the disk must be safe without any policy
	s, err := rehearsal.Open(t.Context(), o)
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Up(t.Context(), rehearsal.StepUp)
	require.NoError(t, err)

	changes := dangerous
	if soak() {
		changes = append(changes, harmless...)
	}
	for _, change := range changes {
		refused := previewOf(t.Context(), t, s, environment(t, "prod-omi", change[0], change[1]), change[0]+"="+change[1])
		if refused != nil {
			require.NotEmpty(t, refused.Error(), change[0])
		}
	}
}

// previewOf previews a configuration and fails the test when a disk would go.
func previewOf(ctx context.Context, t *testing.T, s *rehearsal.Session, tree map[string]any, what string) error {
	t.Helper()
	if err := s.Configure(ctx, tree); err != nil {
		return err
	}
	operation, err := s.Preview(ctx)
	if err != nil {
		// The engine names what it refuses; a refusal for another reason would be a
		// mistake of the test.
		require.Regexp(t, "protect|exists|not found|refuse|shrink|cannot|could not", err.Error(), what)
		return err
	}
	for _, r := range operation.Resources() {
		if strings.HasPrefix(r.Type, "gcp:compute/disk:") {
			require.NotContains(t, []string{"delete", "replace"}, r.Op, "%s would %s the models disk", what, r.Op)
		}
	}
	return nil
}
