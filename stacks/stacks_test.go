package stacks

import (
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

func TestConfigKeysAreTheTypesKeys(t *testing.T) {
	t.Parallel()
	keys := configKeys()
	for _, key := range []string{"gcp:zone", "deepgram-stack:release", "deepgram-stack:values", "deepgram-stack:policy"} {
		require.Contains(t, keys, key)
	}
	require.NotContains(t, keys, "deepgram-stack:-")
}

func TestProgramRefusesABadConfigurationBeforeItRegistersAnything(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.Stack = "dev"
	mocks := &counter{}
	err := pulumi.RunErr(Program(cfg), pulumi.WithMocks("deepgram-stack", "dev", mocks))
	var bad *config.Error
	require.ErrorAs(t, err, &bad)
	require.ErrorContains(t, err, "gcp:project")
	require.ErrorContains(t, err, "deepgram-stack:release.tag")
	require.Zero(t, mocks.registered)
}

type counter struct{ registered int }

func (c *counter) NewResource(pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	c.registered++
	return "", nil, nil
}
func (c *counter) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) { return nil, nil }

func TestRetiredOnItsDayAndNeverWhileActive(t *testing.T) {
	t.Parallel()
	at := func(day string) *builder {
		now, err := time.Parse(time.RFC3339, day)
		require.NoError(t, err)
		return &builder{now: func() time.Time { return now }}
	}
	set := config.NamedModelSet{Name: "nova-2", Retire: "2026-12-01"}
	require.False(t, at("2026-11-30T23:59:59Z").retired(set))
	require.True(t, at("2026-12-01T00:00:00Z").retired(set))
	set.Active = true
	require.False(t, at("2027-01-01T00:00:00Z").retired(set))
	require.False(t, at("2027-01-01T00:00:00Z").retired(config.NamedModelSet{}))
}

func TestLabelValue(t *testing.T) {
	t.Parallel()
	require.Equal(t, "prod-omi", labelValue("prod-omi"))
	require.Equal(t, "team-x-prod_1", labelValue("Team.X-Prod_1"))
}
