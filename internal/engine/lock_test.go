package engine

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseHolder(t *testing.T) {
	t.Parallel()
	h, known := ParseHolder("file:///x/1.json: created by DOMAIN\\a@b.example@host-1 (pid 4711) at 2026-05-01T12:00:00Z")
	require.True(t, known)
	require.Equal(t, Holder{
		User: "DOMAIN\\a@b.example", Host: "host-1", PID: 4711, Since: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC),
	}, h)
	for _, other := range []string{"", "[409] Conflict: Another update is currently in progress.", "created by a@b (pid x) at now"} {
		_, known := ParseHolder(other)
		require.False(t, known, other)
	}
}

func TestOnlyTheDeadOfThisUserAndHostAreDead(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("locks are removed by force only there")
	}
	me, err := user.Current()
	require.NoError(t, err)
	host, err := os.Hostname()
	require.NoError(t, err)
	mine := func(pid int, since time.Time) Holder {
		return Holder{User: me.Username, Host: host, PID: pid, Since: since}
	}

	dead, why := mine(os.Getpid(), time.Now()).Dead()
	require.False(t, dead)
	require.Contains(t, why, "is alive")

	ended := exec.Command(os.Args[0], "-test.run", "^$")
	require.NoError(t, ended.Start())
	pid := ended.Process.Pid
	require.Eventually(t, func() bool { dead, _ := mine(pid, time.Now()).Dead(); return dead }, time.Minute, 10*time.Millisecond,
		"a process that has ended is dead, also before its parent has asked after it")
	require.NoError(t, ended.Wait())
	dead, why = mine(pid, time.Now()).Dead()
	require.True(t, dead)
	require.Contains(t, why, fmt.Sprintf("process %d does not exist", pid))

	if runtime.GOOS == "linux" {
		dead, why = mine(os.Getpid(), time.Now().AddDate(-1, 0, 0)).Dead()
		require.True(t, dead, "the number was given to another process since")
		require.Contains(t, why, "began later")
	}

	other := mine(pid, time.Now())
	other.Host = "elsewhere"
	dead, why = other.Dead()
	require.False(t, dead)
	require.Contains(t, why, "elsewhere")
	other = mine(pid, time.Now())
	other.User = "somebody"
	dead, why = other.Dead()
	require.False(t, dead)
	require.Contains(t, why, "somebody")
}
