package smoke_test

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
	"github.com/deepgram-gke/deepgram-gke/internal/smoke/smoketest"
)

// knee is an engine that keeps up with so many streams, and no more.
func knee(most int) func(int) time.Duration {
	return func(streams int) time.Duration {
		if streams <= most {
			return 300 * time.Millisecond
		}
		return 2 * time.Second
	}
}

func TestLoadFindsTheKnee(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		api     *smoketest.API
		o       smoke.LoadOptions
		streams int
		pods    int
		limit   string
		why     string
	}{
		"latency":     {&smoketest.API{Delay: knee(11)}, smoke.LoadOptions{Engines: 1}, 11, 8, smoke.LimitLatency, "p99 2s is more than 1.5s"},
		"two engines": {&smoketest.API{Delay: knee(11)}, smoke.LoadOptions{Engines: 2}, 11, 4, smoke.LimitLatency, ""},
		"no headroom": {&smoketest.API{Delay: knee(11)}, smoke.LoadOptions{Engines: 1, Headroom: 1}, 11, 11, smoke.LimitLatency, ""},
		"429":         {&smoketest.API{Capacity: 7}, smoke.LoadOptions{Engines: 1}, 7, 5, smoke.LimitCapacity, "refused: the engines are over capacity"},
		"503":         {&smoketest.API{Capacity: 5, CapacityStatus: 503}, smoke.LoadOptions{Engines: 1}, 5, 4, smoke.LimitCapacity, "over capacity"},
		"enough":      {&smoketest.API{Delay: knee(100)}, smoke.LoadOptions{Engines: 1, MaxStreams: 6}, 6, 4, smoke.LimitMaxStreams, ""},
		"not one":     {&smoketest.API{Delay: knee(0)}, smoke.LoadOptions{Engines: 1}, 0, 0, smoke.LimitLatency, "p99 2s"},
		"silent":      {&smoketest.API{NoFinal: true}, smoke.LoadOptions{Engines: 1}, 0, 0, smoke.LimitErrors, "no final result"},
		// An engine that takes sound late is slow, whatever it says about what it took.
		"takes late": {&smoketest.API{Reads: func(n int) time.Duration {
			if n > 4 {
				return 300 * time.Millisecond
			}
			return 0
		}}, smoke.LoadOptions{Engines: 1}, 4, 3, smoke.LimitLatency, "is more than 1.5s"},
		// Results that do not come must not look like good ones.
		"stalls": {&smoketest.API{Delay: func(n int) time.Duration {
			if n > 4 {
				return time.Hour
			}
			return 0
		}}, smoke.LoadOptions{Engines: 1}, 4, 3, smoke.LimitLatency, "no last result came within 30s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				row.o.StepDuration = 10 * time.Second
				r, err := smoke.Load(t.Context(), serve(t, row.api), row.o)
				require.NoError(t, err)
				assert.Equal(t, row.streams, r.Streams, "%+v", r.Steps)
				assert.Equal(t, row.pods, r.StreamsPerPod)
				assert.Equal(t, row.limit, r.Limit)
				var why string
				for _, step := range r.Steps {
					why += step.Why + "\n"
				}
				assert.Contains(t, why, row.why)
				var out bytes.Buffer
				require.NoError(t, r.WriteText(&out))
				if row.pods > 0 {
					require.NoError(t, r.Err())
					assert.Regexp(t, `Set scaling\.engine\.streamsPerPod: \d+ `, out.String())
				} else {
					require.ErrorContains(t, r.Err(), "not a single stream holds 1.5s")
				}
			})
		})
	}
}

// Streams are real ones: as many as are said, as fast as people speak.
func TestLoadIsPaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := &smoketest.API{}
		begin := time.Now()
		r, err := smoke.Load(t.Context(), serve(t, api), smoke.LoadOptions{Engines: 1, Start: 3, MaxStreams: 3, StepDuration: 20 * time.Second})
		require.NoError(t, err)
		assert.Equal(t, 3, api.Most())
		took := time.Since(begin).Seconds()
		assert.True(t, took >= 20 && took < 21, "%g s", took)
		// Of 20 s of sound three streams bring a result a second, beside the first two
		// seconds in which they start.
		assert.InDelta(t, 3*21, r.Steps[0].Latency.Count, 9)
	})
}

func TestLoadIsInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		api := &smoketest.API{}
		time.AfterFunc(40*time.Second, cancel)
		r, err := smoke.Load(ctx, serve(t, api), smoke.LoadOptions{Engines: 1, StepDuration: 10 * time.Second})
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, smoke.LimitInterrupted, r.Limit)
		assert.Equal(t, 8, r.Streams, "2, 4 and 8 had held")
		assert.Equal(t, 6, r.StreamsPerPod)
		synctest.Wait()
		assert.Zero(t, api.Active(), "every stream was closed")
		assert.Zero(t, api.Broken(), "and none was cut")
	})
}

func TestLoadCountsEngines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		r, err := smoke.Load(t.Context(), serve(t, &smoketest.API{}), smoke.LoadOptions{
			MaxStreams: 8, StepDuration: 10 * time.Second,
			CountEngines: func(context.Context) (int, error) { asked++; return asked, nil },
		})
		require.NoError(t, err)
		assert.Equal(t, 1, r.Engines)
		require.Len(t, r.Warnings, 1)
		assert.Contains(t, r.Warnings[0], "engines were 1 and are 2: autoscaling took part")
	})
}

// What would fail for any number of streams is a failure, not a measurement.
func TestLoadCannotBegin(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		api  *smoketest.API
		kind string
	}{
		"key":       {&smoketest.API{Key: "k"}, smoke.KindUnauthorized},
		"no models": {&smoketest.API{Models: []smoketest.Model{}}, smoke.KindModels},
		"cut":       {&smoketest.API{CutAfter: time.Second}, smoke.KindDisconnected},
		"down": {&smoketest.API{Answer: func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "", http.StatusBadGateway)
			return true
		}}, smoke.KindUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, err := smoke.Load(t.Context(), serve(t, row.api), smoke.LoadOptions{})
				var f *smoke.Failure
				require.ErrorAs(t, err, &f)
				assert.Equal(t, row.kind, f.Kind)
			})
		})
	}
}
