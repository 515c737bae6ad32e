//go:build !race

package opscmd

// raceDetector tells that the tests were built with -race.
const raceDetector = false
