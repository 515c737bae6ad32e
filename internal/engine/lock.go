package engine

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"regexp"
	"strconv"
	"time"
)

// Holder is who holds the lock of a stack, as a file or bucket backend tells it.
type Holder struct {
	User string `json:"user"`
	Host string `json:"host"`
	PID  int    `json:"pid"`
	// Since is when the lock was taken.
	Since time.Time `json:"since"`
}

// String names the holder.
func (h Holder) String() string {
	return fmt.Sprintf("process %d of %s on %s since %s", h.PID, h.User, h.Host, h.Since.Format(time.RFC3339))
}

var holderForm = regexp.MustCompile(`created by (.+)@([^@\s]+) \(pid (\d+)\) at (\S+)`)

// ParseHolder reads what a backend says of a lock; false where it says something
// else, as Pulumi Cloud does.
func ParseHolder(text string) (Holder, bool) {
	m := holderForm.FindStringSubmatch(text)
	if m == nil {
		return Holder{}, false
	}
	pid, err := strconv.Atoi(m[3])
	since, timeErr := time.Parse(time.RFC3339, m[4])
	if err != nil || timeErr != nil || pid <= 0 {
		return Holder{}, false
	}
	return Holder{User: m[1], Host: m[2], PID: pid, Since: since}, true
}

// Dead tells whether the holder's process is known to be dead: it was of this user
// and host, and no process has its number, or only one that began later. why says
// so, or says what keeps this from being known.
func (h Holder) Dead() (dead bool, why string) {
	host, err := os.Hostname()
	if err != nil || host != h.Host {
		return false, fmt.Sprintf("it is of host %s, and this is %s: nobody can tell from here whether its process lives", h.Host, host)
	}
	me, err := user.Current()
	if err != nil || me.Username != h.User {
		return false, fmt.Sprintf("it is of user %s: ask them", h.User)
	}
	switch began, state := processOf(h.PID); {
	case state == processUnknown:
		return false, fmt.Sprintf("whether process %d lives cannot be told here", h.PID)
	case state == processDead:
		return true, fmt.Sprintf("process %d does not exist any more", h.PID)
	// The lock's time is cut to seconds.
	case !began.IsZero() && began.After(h.Since.Add(2*time.Second)):
		return true, fmt.Sprintf("process %d is another one, which began later", h.PID)
	}
	return false, fmt.Sprintf("process %d is alive", h.PID)
}

type processState int

const (
	processUnknown processState = iota
	processDead
	processAlive
)

// Conflict is the error of a plain command that found the stack locked; nil where
// that was not why it failed.
func Conflict(stack string, redact func(string) string, cause error) *ConflictError {
	var e *ConflictError
	errors.As(conflict(stack, redact, cause), &e)
	return e
}
