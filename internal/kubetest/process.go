package kubetest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// process is one running program of a cluster.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	once sync.Once
}

// spawn starts a program with its output in dir/name.log. It dies with the
// process that started it.
func spawn(dir, name, path string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// Not bound to a context: a test's ends before its cleanup begins.
	p.cmd = exec.CommandContext(context.Background(), path, args...)
	p.cmd.Args[0] = name
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = bound()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // that it ended is what counts; the log says why
	}()
	return p, nil
}

// ended tells whether the program has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the program at once: what it holds is thrown away.
func (p *process) kill() {
	p.once.Do(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
}

// tail is the end of the program's log.
func (p *process) tail(lines int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

// port is a TCP port that is kept for a program that shares its port: nobody
// else is given it, also while the program is restarted.
type port struct {
	number int
	socket int
}

// reservePort binds a free port without listening on it.
func reservePort(address net.IP) (*port, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, fmt.Errorf("reserving a port: %w", err)
	}
	unix.CloseOnExec(socket)
	p := &port{socket: socket}
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		p.release()
		return nil, fmt.Errorf("reserving a port: %w", err)
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte(address.To4())}); err != nil {
		p.release()
		return nil, fmt.Errorf("reserving a port: %w", err)
	}
	bound, err := unix.Getsockname(socket)
	if err != nil {
		p.release()
		return nil, fmt.Errorf("reserving a port: %w", err)
	}
	p.number = bound.(*unix.SockaddrInet4).Port
	return p, nil
}

func (p *port) release() { _ = unix.Close(p.socket) }
