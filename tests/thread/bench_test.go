package thread

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// BenchmarkPreview measures a warm preview of prod-omi that changes nothing,
// beside an empty program on the same engine. Target: at most 1.5 times as long.
// The policy pack is left out of both; the policies have a benchmark of their own.
func BenchmarkPreview(b *testing.B) {
	for _, program := range []struct {
		name string
		run  pulumi.RunFunc
	}{
		{"empty", func(*pulumi.Context) error { return nil }},
		{"prod-omi", stacks.Run},
	} {
		b.Run(program.name, func(b *testing.B) {
			o := options(b, "prod-omi")
			o.PolicyPack, o.Program = "", program.run
			s, err := rehearsal.Open(b.Context(), o)
			require.NoError(b, err)
			defer s.Close()
			_, err = s.Up(b.Context(), rehearsal.StepUp)
			require.NoError(b, err)
			for b.Loop() {
				operation, err := s.Preview(b.Context())
				require.NoError(b, err)
				require.Zero(b, operation.Changed())
			}
		})
	}
}
