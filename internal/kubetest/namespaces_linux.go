package kubetest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A test binary that has a real node starts itself twice: in namespaces of its
// own, where it is the first process and nothing but that, and from there to run
// the tests. When the first process ends, the kernel ends all others and removes
// mounts and network with them.
const (
	stageVariable = "KUBETEST_STAGE"
	stageInit     = "init"
	stageTests    = "tests"
)

// unable says why this process cannot have a real node; empty when it can. Main
// sets it.
var unable = "a TestMain that calls kubetest.Main"

// Main runs the tests of a package that uses RealNode, where it can in namespaces
// of their own: those tests see another network, other processes and another
// /run, and they have no way out to the network. It ends the program. Call it from
// TestMain:
//
//	func TestMain(m *testing.M) { kubetest.Main(m) }
func Main(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubetest:", err) //nolint:forbidigo // no test can show it
		code = max(code, 1)
	}
	os.Exit(code) //nolint:forbidigo // a TestMain is a main
}

func run(m *testing.M) (int, error) {
	switch os.Getenv(stageVariable) {
	case stageInit:
		return first()
	case stageTests:
		unable = ""
		code := m.Run()
		haltRealNode()
		return code, nil
	}
	if unable = lacking(); unable == "" {
		code, err := isolate()
		if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
			return code, err
		}
		unable = "the right to make namespaces"
	}
	return m.Run(), nil
}

// nodePrograms are what a real node needs, and Debian's package of each.
var nodePrograms = map[string]string{
	"containerd": "containerd", "ctr": "containerd", "runc": "runc", "iptables": "iptables", "ip": "iproute2",
	cniPlugins + "/bridge": "containernetworking-plugins",
}

// cniPlugins is where Debian keeps the network plugins.
const cniPlugins = "/usr/lib/cni"

// lacking says what this machine lacks for a real node.
func lacking() string {
	if os.Geteuid() != 0 {
		return "root"
	}
	if _, err := program(componentsProgram); err != nil {
		return "bin/kubernetes; run `make kubernetes`"
	}
	var packages []string
	for program, name := range nodePrograms {
		if _, err := exec.LookPath(program); err != nil {
			packages = append(packages, name)
		}
	}
	if len(packages) > 0 {
		slices.Sort(packages)
		return "Debian's packages " + strings.Join(slices.Compact(packages), ", ")
	}
	if trees, err := hierarchies(); err != nil || len(trees) == 0 {
		return "control groups"
	}
	return ""
}

// isolate runs this binary again in namespaces of its own, and removes what is
// left of it.
func isolate() (code int, err error) {
	s, err := newState()
	if err != nil {
		return 1, err
	}
	// What the tests left has no lock any more.
	defer func() { err = errors.Join(err, s.remove(), removeStale()) }()
	name := filepath.Base(s.dir)
	if err := listGroups(s.dir, name); err != nil {
		return 1, err
	}
	// The group that a process is in when it gets a namespace of groups is all
	// that the namespace shows.
	leave, err := enterGroups(name)
	if err != nil {
		return 1, err
	}
	command := again(stageInit)
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS |
			syscall.CLONE_NEWIPC | cloneNewCgroup,
		Pdeathsig: syscall.SIGKILL,
	}
	// The signal comes when the thread ends that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = command.Start()
	if err := errors.Join(err, leave()); err != nil {
		return 1, err
	}
	return outcome(command)
}

const cloneNewCgroup = 0x02000000 // missing in package syscall

// again is this test binary with the same arguments, for another stage.
func again(stage string) *exec.Cmd {
	command := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:noctx // TestMain has no context
	command.Args[0] = os.Args[0]
	command.Env = append(os.Environ(), stageVariable+"="+stage)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr //nolint:forbidigo // it takes our place
	return command
}

// outcome waits for a stage and hands on the signals that are for it.
func outcome(command *exec.Cmd) (int, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT)
	defer signal.Stop(signals)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-signals:
				_ = command.Process.Signal(s)
			case <-done:
				return
			}
		}
	}()
	err := command.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// first is what the first process of the namespaces does: it makes them a place
// for a node, starts the tests, and takes in the processes that lost their parent.
func first() (int, error) {
	if err := furnish(); err != nil {
		return 1, err
	}
	command := again(stageTests)
	if err := command.Start(); err != nil {
		return 1, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT)
	go func() {
		for s := range signals {
			_ = command.Process.Signal(s)
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 1, fmt.Errorf("waiting for the tests: %w", err)
		case pid == command.Process.Pid && status.Exited():
			return status.ExitStatus(), nil
		case pid == command.Process.Pid:
			return 1, fmt.Errorf("the tests were ended by %s", status.Signal())
		}
	}
}

// furnish sets up the mounts and the network of new namespaces.
func furnish() error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	// Nothing that is mounted here may show outside.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	// Mounted again, a tree of groups shows nothing above our own.
	for _, h := range trees {
		if err := syscall.Unmount(h.dir, 0); err != nil {
			return fmt.Errorf("unmounting %s: %w", h.dir, err)
		}
		flags := uintptr(syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC)
		if err := syscall.Mount("cgroup", h.dir, h.kind, flags, h.options); err != nil {
			return fmt.Errorf("mounting %s: %w", h.dir, err)
		}
		if err := h.settle(); err != nil {
			return fmt.Errorf("control groups: %w", err)
		}
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mounting /run: %w", err)
	}
	// The kubelet shares the mounts of its pods with them.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing mounts: %w", err)
	}
	if err := syscall.Sethostname([]byte(RealNodeName)); err != nil {
		return fmt.Errorf("setting the host's name: %w", err)
	}
	return ip("link set lo up")
}

// ip runs one command of iproute2.
func ip(line string) error {
	out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput() //nolint:noctx // ends at once
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", line, err, out)
	}
	return nil
}

// bind mounts a file or folder over another.
func bind(from, to string) error {
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", to, err)
	}
	return nil
}

// bound makes a program end with the process that starts it.
func bound() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
