package rules

import (
	"testing"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFromContext is how the SDK's own server (policyx.Main) makes the pack.
func TestFromContext(t *testing.T) {
	t.Parallel()
	ctx, err := pulumi.NewContext(t.Context(), pulumi.RunInfo{
		Project: "somebody-elses", Stack: "prod", DryRun: true,
		Config: map[string]string{"deepgram-stack:policy": `{"levels": {"engine-node-has-memory": "disabled"}}`},
	})
	require.NoError(t, err)
	pack, err := FromContext(ctx, semver.MustParse("1.2.3"))
	require.NoError(t, err)
	assert.Equal(t, "deepgram", pack.Name())
	assert.Equal(t, "1.2.3", pack.Version().String())
	for _, p := range pack.Policies() {
		want := p.Name() == "engine-node-has-memory"
		assert.Equal(t, want, p.EnforcementLevel() == policyx.EnforcementLevelDisabled, p.Name())
	}
}
