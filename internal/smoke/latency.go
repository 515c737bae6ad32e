package smoke

import (
	"math"
	"slices"
	"time"
)

// Percentiles of latencies, in seconds.
type Percentiles struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// percentiles are by nearest rank: each is a latency that somebody had.
func percentiles(list []time.Duration) Percentiles {
	if len(list) == 0 {
		return Percentiles{}
	}
	list = slices.Clone(list)
	slices.Sort(list)
	at := func(p float64) float64 {
		return list[max(0, int(math.Ceil(p*float64(len(list))))-1)].Round(time.Microsecond).Seconds()
	}
	return Percentiles{Count: len(list), P50: at(.5), P90: at(.9), P99: at(.99), Max: at(1)}
}

// exactly is a percentile as a time.
func exactly(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// duration likewise, for people.
func duration(seconds float64) time.Duration { return exactly(seconds).Round(time.Millisecond) }
