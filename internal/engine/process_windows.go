package engine

import (
	"os/exec"
	"strconv"
	"syscall"
)

func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// interrupt sends CTRL_BREAK, the only event that reaches another group.
func interrupt(cmd *exec.Cmd) {
	event := syscall.NewLazyDLL("kernel32.dll").NewProc("GenerateConsoleCtrlEvent")
	if sent, _, _ := event.Call(syscall.CTRL_BREAK_EVENT, uintptr(cmd.Process.Pid)); sent == 0 {
		_ = cmd.Process.Kill()
	}
}

// kill ends the process and what it started.
func kill(cmd *exec.Cmd) {
	_ = exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(cmd.Process.Pid)).Run() //nolint:noctx,gosec // our own child
	_ = cmd.Process.Kill()
}
