//go:build !windows

package engine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processOf tells whether a process lives and, where the system says so, when it
// began. One that has ended and that nobody has asked after is dead.
func processOf(pid int) (began time.Time, state processState) {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return began, processDead
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return began, processAlive // no Linux
	}
	// The name, in brackets, may hold anything.
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if len(fields) < 20 {
		return began, processAlive
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return began, processDead
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	if boot := bootTime(); err == nil && !boot.IsZero() {
		const ticksPerSecond = 100 // of Linux's user space, on every architecture
		began = boot.Add(time.Duration(ticks) * time.Second / ticksPerSecond)
	}
	return began, processAlive
}

func bootTime() time.Time {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}
	}
	for line := range strings.Lines(string(text)) {
		if after, found := strings.CutPrefix(line, "btime "); found {
			if seconds, err := strconv.ParseInt(strings.TrimSpace(after), 10, 64); err == nil {
				return time.Unix(seconds, 0)
			}
		}
	}
	return time.Time{}
}
