package smoke_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
	"github.com/deepgram-gke/deepgram-gke/internal/smoke/smoketest"
)

func outcomes(r *smoke.Report) map[string]smoke.Outcome {
	m := map[string]smoke.Outcome{}
	for _, c := range r.Checks {
		m[c.Name] = c.Outcome
	}
	return m
}

func TestAllIsWell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := &smoketest.API{Delay: func(int) time.Duration { return 200 * time.Millisecond }}
		r, err := smoke.Run(t.Context(), serve(t, api), smoke.Options{
			Speak: true, Models: []string{"nova-3", "aura-2-thalia-en"},
			GPU: func(context.Context) (string, error) { return "engine-0: NVIDIA L4", nil },
		})
		require.NoError(t, err)
		require.NoError(t, r.Err())
		assert.True(t, r.Passed)
		assert.Equal(t, "nova-3-general", r.Model)
		for name, outcome := range outcomes(r) {
			assert.Equal(t, smoke.Pass, outcome, name)
		}
		// Sound is sent as it is spoken, and the stand-in is late by exactly so much.
		assert.InDelta(t, .2, r.Latency["result"].P99, .001)
		assert.InDelta(t, .2, r.Latency["first"].P50, .001)
		assert.InDelta(t, .2, r.Latency["final"].P90, .001)
		assert.Equal(t, smoke.Percentiles{Count: 5, P50: .2, P90: .2, P99: .2, Max: .2}, r.Latency["batch"])
		assert.Equal(t, 5, r.Latency["final"].Count)
		assert.Equal(t, 4, api.Most(), "after the first, streams run at the same time")
	})
}

// Every failure has its kind, a sentence of its own, and something to do.
func TestEachFailure(t *testing.T) {
	t.Parallel()
	answers := func(path string, code int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != path {
				return false
			}
			http.Error(w, body, code)
			return true
		}
	}
	late := func(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }
	spanish := smoketest.General
	spanish.Languages = []string{"es"}
	for name, row := range map[string]struct {
		api   *smoketest.API
		o     smoke.Options
		check string
		kind  string
		says  string
	}{
		"slow results":       {&smoketest.API{Delay: late(4 * time.Second)}, smoke.Options{}, "latency", smoke.KindSlow, "any result p50 4s p90 4s p99 4s (at most 3s)"},
		"slow files":         {&smoketest.API{Delay: late(2 * time.Second)}, smoke.Options{MaxBatch: time.Second}, "latency", smoke.KindSlow, "batch p50 2s"},
		"no answer":          {&smoketest.API{Delay: late(time.Minute)}, smoke.Options{}, "batch", smoke.KindTimeout, "gave no answer within 30s"},
		"no last result":     {&smoketest.API{Delay: late(20 * time.Second)}, smoke.Options{Skip: []string{"batch"}, Timeout: 10 * time.Second}, "streaming", smoke.KindSlow, "no last result came within 10s of the last sound"},
		"wrong words":        {&smoketest.API{Words: "the quick brown fox"}, smoke.Options{}, "batch", smoke.KindWords, `of the words are right, at least 80 % must be: heard "the quick brown fox"`},
		"wrong in a stream":  {&smoketest.API{Words: "the quick brown fox"}, smoke.Options{Skip: []string{"batch"}}, "streaming", smoke.KindWords, "of the words are right"},
		"deaf":               {&smoketest.API{Deaf: true}, smoke.Options{}, "batch", smoke.KindWords, "nothing was heard"},
		"no key":             {&smoketest.API{Key: "k"}, smoke.Options{}, "status", smoke.KindUnauthorized, "asks for an API key and got none"},
		"forbidden":          {&smoketest.API{Answer: answers("/v1/status", 403, "<html>Forbidden")}, smoke.Options{}, "status", smoke.KindForbidden, "access is refused: /v1/status answered 403"},
		"another host":       {&smoketest.API{Answer: answers("/v1/status", 404, "response 404 (backend NotFound)")}, smoke.Options{}, "status", smoke.KindNotFound, "nothing at this path: /v1/status answered 404 (response 404 (backend NotFound))"},
		"over capacity":      {&smoketest.API{Capacity: 2}, smoke.Options{}, "streaming", smoke.KindCapacity, "one stream works, but of 4 at a time: the engines are over capacity: /v1/listen answered 429"},
		"capacity with 503":  {&smoketest.API{Capacity: 1, CapacityStatus: 503}, smoke.Options{}, "streaming", smoke.KindCapacity, "answered 503 (the engines are at capacity)"},
		"files over it":      {&smoketest.API{Answer: answers("/v1/listen", 429, "")}, smoke.Options{}, "batch", smoke.KindCapacity, "over capacity: /v1/listen answered 429"},
		"no engine":          {&smoketest.API{Engine: "Disconnected"}, smoke.Options{}, "engine", smoke.KindEngine, `engine_connection_status is "Disconnected"`},
		"no engine, files":   {&smoketest.API{Engine: "Disconnected"}, smoke.Options{}, "batch", smoke.KindUnavailable, "no engine takes the request: /v1/listen answered 503 (no engine is available)"},
		"no engine, streams": {&smoketest.API{Engine: "Disconnected"}, smoke.Options{}, "streaming", smoke.KindUnavailable, "no engine takes the request"},
		"engine 503":         {&smoketest.API{Answer: answers("/v1/status/engine", 503, "")}, smoke.Options{}, "engine", smoke.KindEngine, "answered 503"},
		"no backend":         {&smoketest.API{Answer: answers("/v1/status", 502, "")}, smoke.Options{}, "status", smoke.KindUnavailable, "the proxy before the API has no answer from it"},
		"critical":           {&smoketest.API{Health: "Critical"}, smoke.Options{}, "status", smoke.KindHealth, "the API says Critical"},
		"initializing":       {&smoketest.API{Health: "Initializing"}, smoke.Options{}, "status", smoke.KindHealth, "still initializing"},
		"something else":     {&smoketest.API{Answer: answers("/v1/status", 200, "<html>hello")}, smoke.Options{}, "status", smoke.KindAnswer, "not answered in Deepgram's JSON: <html>hello"},
		"redirect": {&smoketest.API{Answer: func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "https://dg.test/v1/status", http.StatusMovedPermanently)
			return true
		}}, smoke.Options{}, "status", smoke.KindRedirect, "redirects to https://dg.test/v1/status"},
		"no models":      {&smoketest.API{Models: []smoketest.Model{}, Voices: []smoketest.Model{}}, smoke.Options{}, "models", smoke.KindModels, "no model is loaded"},
		"missing models": {&smoketest.API{}, smoke.Options{Models: []string{"nova-3-medical", "nova-3-general"}}, "models", smoke.KindModels, "not loaded: nova-3-medical; loaded are nova-3-general, aura-2-thalia-en"},
		"only Spanish":   {&smoketest.API{Models: []smoketest.Model{spanish}}, smoke.Options{}, "batch", smoke.KindModels, "no model is loaded that transcribes en files"},
		"unknown model":  {&smoketest.API{}, smoke.Options{Model: "nova-9"}, "batch", smoke.KindRequest, "No such model/language/tier combination found"},
		"cut":            {&smoketest.API{CutAfter: 2 * time.Second}, smoke.Options{}, "streaming", smoke.KindDisconnected, "the stream was cut without a word after 2s of 4.5s of sound"},
		"cut with a code": {
			&smoketest.API{CutAfter: 2 * time.Second, Cut: websocket.StatusInternalError},
			smoke.Options{},
			"streaming", smoke.KindDisconnected, "the stream was cut with close code 1011 the stand-in cuts streams after 2s of 4.5s",
		},
		"told to come back": {&smoketest.API{CutAfter: 2 * time.Second, Cut: websocket.StatusTryAgainLater}, smoke.Options{}, "streaming", smoke.KindCapacity, "close code 1013"},
		"no interim":        {&smoketest.API{NoInterim: true}, smoke.Options{}, "streaming", smoke.KindInterim, "1 final results and no interim one"},
		"no final":          {&smoketest.API{NoFinal: true}, smoke.Options{}, "streaming", smoke.KindFinal, "4 interim results and no final one"},
		"no WebSocket":      {&smoketest.API{NoWebSocket: true}, smoke.Options{}, "streaming", smoke.KindAnswer, "does not become a WebSocket"},
		"silent voice":      {&smoketest.API{Silent: true}, smoke.Options{Speak: true}, "speak", smoke.KindSpeech, "the voice aura-2-thalia-en said 4.5s of silence"},
		"no voice":          {&smoketest.API{Voices: []smoketest.Model{}}, smoke.Options{Speak: true}, "speak", smoke.KindModels, "no voice is loaded"},
		"on the CPU": {&smoketest.API{}, smoke.Options{GPU: func(context.Context) (string, error) {
			return "", &smoke.Failure{Kind: smoke.KindCPU, Message: "engine x runs on the CPU", Do: "look"}
		}}, "gpu", smoke.KindCPU, "runs on the CPU"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, err := smoke.Run(t.Context(), serve(t, row.api), row.o)
				require.NoError(t, err)
				require.ErrorContains(t, r.Err(), row.check)
				assert.False(t, r.Passed)
				for _, c := range r.Checks {
					if c.Name != row.check {
						continue
					}
					require.NotNil(t, c.Failure, "%+v", r.Checks)
					assert.Equal(t, row.kind, c.Failure.Kind)
					assert.Contains(t, c.Failure.Message, row.says)
					assert.NotEmpty(t, c.Failure.Do)
				}
			})
		})
	}
}

// What fails for every request is told once.
func TestOneCauseOneFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, err := smoke.Run(t.Context(), serve(t, &smoketest.API{Key: "k"}), smoke.Options{})
		require.NoError(t, err)
		for name, outcome := range outcomes(r) {
			if name == smoke.CheckStatus {
				assert.Equal(t, smoke.Fail, outcome)
			} else {
				assert.Equal(t, smoke.Skip, outcome, name)
			}
		}
	})
}

func TestKeyIsSentAndHidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		target := serve(t, &smoketest.API{Key: "canary"})
		target.Key = "canary"
		r, err := smoke.Run(t.Context(), target, smoke.Options{Samples: 1})
		require.NoError(t, err)
		require.NoError(t, r.Err())
		var out bytes.Buffer
		require.NoError(t, r.WriteText(&out))
		require.NoError(t, r.WriteJUnit(&out))
		assert.NotContains(t, out.String(), "canary")
		assert.NotContains(t, fmt.Sprintf("%v %+v", target, *target), "canary")
	})
}

func TestWaitsForTheEngine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		api := &smoketest.API{Answer: func(w http.ResponseWriter, r *http.Request) bool {
			switch since := time.Since(begin); {
			case since < time.Minute:
				http.Error(w, "no healthy upstream", http.StatusServiceUnavailable)
				return true
			case since < 2*time.Minute && r.URL.Path == "/v1/status/engine":
				_, _ = w.Write([]byte(`{"engine_connection_status": "Disconnected"}`))
				return true
			}
			return false
		}}
		target := serve(t, api)
		r, err := smoke.Run(t.Context(), target, smoke.Options{Wait: time.Second})
		require.NoError(t, err)
		require.Error(t, r.Err())
		r, err = smoke.Run(t.Context(), target, smoke.Options{Wait: 5 * time.Minute})
		require.NoError(t, err)
		require.NoError(t, r.Err())

		// A key that is missing does not come by waiting.
		begin = time.Now()
		_, err = smoke.Run(t.Context(), serve(t, &smoketest.API{Key: "k"}), smoke.Options{Wait: 5 * time.Minute})
		require.NoError(t, err)
		assert.Zero(t, time.Since(begin))
	})
}

func TestRunIsInterrupted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		r, err := smoke.Run(ctx, serve(t, &smoketest.API{}), smoke.Options{})
		require.ErrorIs(t, err, context.Canceled)
		assert.False(t, r.Passed)
		assert.Equal(t, smoke.Pass, outcomes(r)[smoke.CheckBatch], "what was found is told")
		assert.NotContains(t, outcomes(r), smoke.CheckStreaming)
	})
}

// A stream of a proxy that swallows the end still counts, as all has come.
func TestStreamWithoutMetadata(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, err := smoke.Run(t.Context(), serve(t, &smoketest.API{NoMetadata: true}), smoke.Options{Samples: 1})
		require.NoError(t, err)
		require.NoError(t, r.Err())
	})
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	r := &smoke.Report{Target: "https://dg.test", Checks: []smoke.Check{
		{Name: "status", Outcome: smoke.Pass, Message: "Healthy <&>", Seconds: 1},
		{Name: "batch", Outcome: smoke.Fail, Message: "m", Failure: &smoke.Failure{Kind: "slow", Message: "m", Do: "d"}, Seconds: .5},
	}}
	r.Add(smoke.Check{Name: "engine", Outcome: smoke.Skip, Message: "why"})
	assert.Equal(t, "engine", r.Checks[1].Name, "in the order of the checks")
	var out bytes.Buffer
	require.NoError(t, r.WriteJUnit(&out))
	var suite struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure struct {
				Type    string `xml:"type,attr"`
				Message string `xml:"message,attr"`
				Text    string `xml:",chardata"`
			} `xml:"failure"`
			Skipped struct {
				Message string `xml:"message,attr"`
			} `xml:"skipped"`
			Out string `xml:"system-out"`
		} `xml:"testcase"`
	}
	require.NoError(t, xml.Unmarshal(out.Bytes(), &suite))
	assert.Equal(t, []any{3, 1, 1, "1.500"}, []any{suite.Tests, suite.Failures, suite.Skipped, suite.Time})
	assert.Equal(t, "Healthy <&>", suite.Cases[0].Out)
	assert.Equal(t, "why", suite.Cases[1].Skipped.Message)
	assert.Equal(t, "slow m d", strings.Join([]string{suite.Cases[2].Failure.Type, suite.Cases[2].Failure.Message, suite.Cases[2].Failure.Text}, " "))
	require.EqualError(t, r.Err(), "smoke test: 1 of 3 checks failed: batch")
}

func TestBadTargets(t *testing.T) {
	t.Parallel()
	for says, target := range map[string]smoke.Target{
		"must be http:// or https:// and a host": {URL: "dg.example.com"},
		"must have no user":                      {URL: "https://token:canary@dg.example.com"},
		"must be HOST:PORT:ADDRESS":              {URL: "https://dg.example.com", Resolve: []string{"dg.example.com:443"}},
		"holds no certificate":                   {URL: "https://dg.example.com", CA: []byte("hello")},
	} {
		_, err := smoke.Run(t.Context(), &target, smoke.Options{})
		require.ErrorContains(t, err, says)
		assert.NotContains(t, err.Error(), "canary")
		var f *smoke.Failure
		assert.NotErrorAs(t, err, &f)
	}
}
