package smoke

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPercentiles(t *testing.T) {
	t.Parallel()
	list := make([]time.Duration, 0, 200)
	for i := 200; i > 0; i-- {
		list = append(list, time.Duration(i)*time.Millisecond)
	}
	assert.Equal(t, Percentiles{Count: 200, P50: .1, P90: .18, P99: .198, Max: .2}, percentiles(list))
	assert.Equal(t, Percentiles{Count: 1, P50: .2, P90: .2, P99: .2, Max: .2}, percentiles(list[:1]))
	assert.Equal(t, Percentiles{}, percentiles(nil))
	assert.Equal(t, 200*time.Millisecond, list[0], "the list is left as it is")
}

// Where this machine is late, the engines are not blamed.
func TestJudgeBlamesTheRightOne(t *testing.T) {
	t.Parallel()
	good, bad := Percentiles{Count: 100, P99: .5}, Percentiles{Count: 100, P99: 3}
	for name, row := range map[string]struct {
		latency, lag Percentiles
		failures     []*Failure
		silent       int
		limit        string
	}{
		"holds":            {good, Percentiles{P90: .1}, nil, 0, ""},
		"slow engines":     {bad, Percentiles{P90: .1}, nil, 0, LimitLatency},
		"slow machine":     {bad, Percentiles{P90: 2}, nil, 0, LimitClient},
		"refused":          {good, Percentiles{P90: 2}, []*Failure{{Kind: KindDisconnected}, {Kind: KindCapacity}}, 0, LimitCapacity},
		"no engine left":   {good, Percentiles{}, []*Failure{{Kind: KindUnavailable}}, 0, LimitCapacity},
		"cut":              {good, Percentiles{}, []*Failure{{Kind: KindDisconnected}}, 0, LimitErrors},
		"one says nothing": {good, Percentiles{}, nil, 1, LimitErrors},
		"all say nothing":  {Percentiles{}, Percentiles{}, nil, 0, LimitErrors},
	} {
		l := &loader{o: LoadOptions{TargetP99: 1500 * time.Millisecond}}
		step := LoadStep{Latency: row.latency}
		l.judge(&step, row.failures, row.silent, row.lag)
		assert.Equal(t, row.limit, step.Limit, name)
		assert.Equal(t, row.limit == "", step.Held, name)
		assert.Equal(t, row.limit == "", step.Why == "", name)
	}
}
