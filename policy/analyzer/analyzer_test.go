package analyzer

import (
	"context"
	"errors"
	"testing"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

func policy(name string, judge func(policyx.PolicyManager) error) policyx.Policy {
	return policyx.NewResourceValidationPolicy(name, policyx.ResourceValidationPolicyArgs{
		Description: "about " + name, EnforcementLevel: policyx.EnforcementLevelMandatory,
		ValidateResource: func(_ context.Context, args policyx.ResourceValidationArgs) error { return judge(args.Manager) },
	})
}

func serving(policies ...policyx.Policy) *server {
	return &server{factory: func(Stack) (policyx.PolicyPack, error) {
		return policyx.NewPolicyPack("p", semver.MustParse("1.0.0"), policyx.EnforcementLevelMandatory, policies)
	}}
}

func TestNothingThatGoesWrongHidesWhatOthersFound(t *testing.T) {
	t.Parallel()
	s := serving(
		policy("panics", func(policyx.PolicyManager) error { panic("secret value") }),
		policy("fails", func(policyx.PolicyManager) error { return errors.New("no luck") }),
		policy("finds", func(m policyx.PolicyManager) error { m.ReportViolation("too small", ""); return nil }),
	)
	answer, err := s.Analyze(t.Context(), &pulumirpc.AnalyzeRequest{Type: "t", Urn: "urn:x::y"})
	require.NoError(t, err)
	found := map[string]string{}
	for _, d := range answer.GetDiagnostics() {
		found[d.GetPolicyName()] = d.GetMessage()
		assert.Equal(t, "urn:x::y", d.GetUrn())
		assert.Equal(t, pulumirpc.EnforcementLevel_MANDATORY, d.GetEnforcementLevel())
	}
	assert.Equal(t, map[string]string{
		"panics": "about panics\nthe policy could not be judged: it ended early",
		"fails":  "about fails\nthe policy could not be judged: no luck",
		"finds":  "about finds\ntoo small",
	}, found)
}

func TestConfiguredLevelsAreApplied(t *testing.T) {
	t.Parallel()
	s := serving(policy("finds", func(m policyx.PolicyManager) error { m.ReportViolation("too small", ""); return nil }))
	for level, want := range map[pulumirpc.EnforcementLevel]int{
		pulumirpc.EnforcementLevel_MANDATORY: 1, pulumirpc.EnforcementLevel_ADVISORY: 1, pulumirpc.EnforcementLevel_DISABLED: 0,
	} {
		_, err := s.Configure(t.Context(), &pulumirpc.ConfigureAnalyzerRequest{PolicyConfig: map[string]*pulumirpc.PolicyConfig{"finds": {EnforcementLevel: level}}})
		require.NoError(t, err)
		answer, err := s.Analyze(t.Context(), &pulumirpc.AnalyzeRequest{})
		require.NoError(t, err)
		require.Len(t, answer.GetDiagnostics(), want, level.String())
		if want == 1 {
			assert.Equal(t, level, answer.GetDiagnostics()[0].GetEnforcementLevel())
		}
	}
}

func TestAResourceThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	// A signature that no version of the protocol knows.
	odd, err := structpb.NewStruct(map[string]any{"a": map[string]any{"4dabf18193072939515e22adb298388d": "no such signature"}})
	require.NoError(t, err)
	s := serving(policy("finds", func(policyx.PolicyManager) error { return nil }))
	answer, err := s.Analyze(t.Context(), &pulumirpc.AnalyzeRequest{Urn: "urn:x::y", Properties: odd})
	require.NoError(t, err)
	require.Len(t, answer.GetDiagnostics(), 1)
	assert.Equal(t, "resource-is-readable", answer.GetDiagnostics()[0].GetPolicyName())
	assert.Equal(t, pulumirpc.EnforcementLevel_MANDATORY, answer.GetDiagnostics()[0].GetEnforcementLevel())
}

func TestAFactoryThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	s := &server{factory: func(Stack) (policyx.PolicyPack, error) { return nil, errors.New("no pack") }}
	_, err := s.GetAnalyzerInfo(t.Context(), &emptypb.Empty{})
	require.ErrorContains(t, err, "making the policy pack: no pack")
	_, err = s.ConfigureStack(t.Context(), &pulumirpc.AnalyzerStackConfigureRequest{})
	require.ErrorContains(t, err, "no pack")
	_, err = s.Analyze(t.Context(), &pulumirpc.AnalyzeRequest{})
	require.Error(t, err)
	_, err = s.AnalyzeStack(t.Context(), &pulumirpc.AnalyzeStackRequest{})
	require.Error(t, err)
}
