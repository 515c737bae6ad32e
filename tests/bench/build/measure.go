//go:build unix

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// toolexecArg makes this program the go command's -toolexec wrapper.
const toolexecArg = "toolexec"

// tool is one run of a compiler, assembler or linker.
type tool struct {
	// Name is the tool, such as "compile".
	Name string `json:"tool"`
	// Package is what it worked on.
	Package string `json:"package"`
	// CPUSeconds is its user and system time.
	CPUSeconds float64 `json:"cpuSeconds"`
	// PeakBytes is the most memory that it held.
	PeakBytes int64 `json:"peakBytes"`
}

// result is what one build cost.
type result struct {
	// CPUSeconds is the user and system time of the build and its tools.
	CPUSeconds float64 `json:"cpuSeconds"`
	// WallSeconds is how long it took.
	WallSeconds float64 `json:"wallSeconds"`
	// Processes is how many tools ran.
	Processes int `json:"processes"`
	// Largest are the tools that held most memory, the largest first.
	Largest []tool `json:"largest"`
	// Slowest are the tools that used most CPU, the slowest first.
	Slowest []tool `json:"slowest"`
}

// peak is the memory of the largest process in bytes.
func (r *result) peak() int64 {
	return r.Largest[0].PeakBytes
}

// measure builds s with an empty build cache.
func measure(ctx context.Context, s subject) (*result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "bench-build")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	record := filepath.Join(temp, "tools.jsonl")
	if err := os.WriteFile(record, nil, 0o600); err != nil {
		return nil, err
	}

	env := append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOCACHE="+filepath.Join(temp, "cache"))
	// Fetching modules is the network's work, not the build's.
	list := goCommand(ctx, s.dir, env, "list", "-deps", s.pkg)
	if err := list.Run(); err != nil {
		return nil, failure("list packages", err, list)
	}

	args := append([]string{"build", "-toolexec", self + " " + toolexecArg + " " + record}, s.flags...)
	args = append(args, "-ldflags", "-s -w", "-o", filepath.Join(temp, "program"), s.pkg)
	build := goCommand(ctx, s.dir, append(env, s.env...), args...)
	start := time.Now()
	if err := build.Run(); err != nil {
		return nil, failure("build", err, build)
	}
	wall := time.Since(start)

	tools, err := readTools(record)
	if err != nil {
		return nil, err
	}
	return &result{
		CPUSeconds:  (build.ProcessState.UserTime() + build.ProcessState.SystemTime()).Seconds(),
		WallSeconds: wall.Seconds(),
		Processes:   len(tools),
		Largest:     top(tools, func(t tool) float64 { return float64(t.PeakBytes) }),
		Slowest:     top(tools, func(t tool) float64 { return t.CPUSeconds }),
	}, nil
}

func goCommand(ctx context.Context, dir string, env []string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "go", args...)
	c.Dir, c.Env = dir, env
	c.Stderr = &bytes.Buffer{}
	// Interrupted together, the go command and its tools end and clear up; a
	// tool that lived on would write into a folder that is being removed.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGINT) }
	c.WaitDelay = 30 * time.Second
	return c
}

func failure(step string, err error, c *exec.Cmd) error {
	said := ""
	if b, ok := c.Stderr.(*bytes.Buffer); ok {
		said = b.String()
	}
	return fmt.Errorf("%s: %w\n%s", step, err, said)
}

func readTools(path string) ([]tool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the record of the tools: %w", err)
	}
	defer f.Close()
	var tools []tool
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var t tool
		if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
			return nil, fmt.Errorf("read the record of the tools: %w", err)
		}
		tools = append(tools, t)
	}
	if len(tools) == 0 {
		return nil, errors.New("the build ran no tool: its cache was not empty")
	}
	return tools, lines.Err()
}

// top gives the five tools with the largest figure.
func top(tools []tool, figure func(tool) float64) []tool {
	sorted := slices.Clone(tools)
	slices.SortFunc(sorted, func(a, b tool) int { return cmp.Compare(figure(b), figure(a)) })
	return sorted[:min(5, len(sorted))]
}

// toolexec runs one tool and appends what it cost to the file record.
func toolexec(stdin io.Reader, stdout, stderr io.Writer, record string, argv []string) int {
	c := exec.Command(argv[0], argv[1:]...) //nolint:noctx // it lives and dies with the go command
	c.Stdin, c.Stdout, c.Stderr = stdin, stdout, stderr
	err := c.Run()
	if c.ProcessState == nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	// The go command asks each tool for its version first.
	if slices.Contains(argv, "-V=full") {
		return c.ProcessState.ExitCode()
	}
	if err := appendTool(record, argv[0], c.ProcessState); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if code := c.ProcessState.ExitCode(); code != 0 || err == nil {
		return code
	}
	return 1
}

func appendTool(record, name string, state *os.ProcessState) error {
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("this system does not tell what a process used")
	}
	// Linux and the BSDs count kilobytes, Darwin bytes.
	unit := int64(1024)
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		unit = 1
	}
	line, err := json.Marshal(tool{
		Name:       filepath.Base(name),
		Package:    os.Getenv("TOOLEXEC_IMPORTPATH"),
		CPUSeconds: (state.UserTime() + state.SystemTime()).Seconds(),
		PeakBytes:  int64(usage.Maxrss) * unit, //nolint:unconvert // 32 bits wide on some systems
	})
	if err != nil {
		return err
	}
	// Tools run at the same time: one short write to a file opened for
	// appending is not torn. The file is never created here: a tool that ends
	// after an interrupted build must not bring its folder back.
	f, err := os.OpenFile(record, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// target is one promise about the builds.
type target struct {
	Name  string `json:"name"`
	Found string `json:"found"`
	Met   bool   `json:"met"`
}

const gib = 1 << 30

// judge holds the results against the targets; one that lacks its builds is left
// out.
func judge(results map[string]*result) []target {
	targets := []target{}
	usual, lowmem, plain := results["default"], results["lowmem"], results["plain"]
	if usual != nil && plain != nil {
		ratio := usual.CPUSeconds / plain.CPUSeconds
		targets = append(targets, target{
			"default build: at most half the CPU of the plain one",
			fmt.Sprintf("%.0f s of %.0f s, %.2f", usual.CPUSeconds, plain.CPUSeconds, ratio), ratio <= 0.5,
		})
	}
	if usual != nil {
		targets = append(targets, memoryTarget("default build: largest process under 4 GB", usual, 4))
	}
	if lowmem != nil {
		targets = append(targets, memoryTarget("low-memory build: largest process under 2.5 GB", lowmem, 2.5))
	}
	return targets
}

func memoryTarget(name string, r *result, limit float64) target {
	found := float64(r.peak()) / gib
	return target{name, fmt.Sprintf("%.2f GB", found), found < limit}
}

func report(w io.Writer, subjects []subject, results map[string]*result, targets []target) {
	fmt.Fprintf(w, "%-10s %8s %8s %10s  %s\n", "build", "CPU s", "wall s", "peak GB", "largest process")
	for _, s := range subjects {
		r := results[s.name]
		if r == nil {
			continue
		}
		fmt.Fprintf(w, "%-10s %8.0f %8.0f %10.2f  %s %s\n", s.name, r.CPUSeconds, r.WallSeconds,
			float64(r.peak())/gib, r.Largest[0].Name, r.Largest[0].Package)
	}
	for _, s := range subjects {
		r := results[s.name]
		if r == nil {
			continue
		}
		fmt.Fprintf(w, "\n%s, most memory:\n", s.name)
		for _, t := range r.Largest {
			fmt.Fprintf(w, "  %6.2f GB  %s %s\n", float64(t.PeakBytes)/gib, t.Name, t.Package)
		}
		fmt.Fprintf(w, "%s, most CPU:\n", s.name)
		for _, t := range r.Slowest {
			fmt.Fprintf(w, "  %6.1f s   %s %s\n", t.CPUSeconds, t.Name, t.Package)
		}
	}
	fmt.Fprintln(w)
	for _, t := range targets {
		word := "met   "
		if !t.Met {
			word = "MISSED"
		}
		fmt.Fprintf(w, "%s  %s: %s\n", word, t.Name, t.Found)
	}
}
