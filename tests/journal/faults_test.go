package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/journal"
)

// The faults that a journal command may meet. Each run is one command that meets
// one; after each, nothing may be lost, doubled or half there, and billing and the
// namespace must be as before.
var faults = []struct {
	name string
	// few runs are made normally, many with SOAK=1.
	few, many int
	run       func(t *testing.T, v *victim, i, n int)
}{
	{"killed retrieve", 4, 160, killedRetrieve},
	{"killed backup", 3, 80, killedBackup},
	{"cut connections", 4, 120, cutConnections},
	{"full target", 3, 60, fullTarget},
	{"refused upload", 4, 70, refusedUpload},
	{"killed upload", 4, 60, killedUpload},
}

const (
	// runsOfSite is how many runs a site is used for: its journals grow.
	runsOfSite = 18
	// soakParallel sites at once keep two cores busy: most of a run is waiting.
	soakParallel = 6
	// leastLines is how many lines each journal has at least, before it is live.
	leastLines = 10000
)

// inParallel lets the long test run more sites at once than there are cores.
func inParallel() {
	if soak(0, 1) > 0 {
		flag.Parse()
		if err := flag.Set("test.parallel", fmt.Sprint(soakParallel)); err != nil {
			panic(err)
		}
	}
}

// TestFaults: kills with -9 and Ctrl-C at any time, connections that are cut, targets
// that are full or refuse.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			n := soak(f.few, f.many)
			for from := 0; from < n; from += runsOfSite {
				t.Run(fmt.Sprintf("from %d", from), func(t *testing.T) {
					t.Parallel()
					v := newVictim(t, from/runsOfSite%2 == 0)
					for i := from; i < min(from+runsOfSite, n); i++ {
						f.run(t, v, i, n)
						v.settle(t)
					}
					v.end(t)
				})
			}
		})
	}
}

// TestAPIServerRestarts: the API server crashes and comes back while every site
// runs a command. It is not parallel, because all sites of the node have the one
// API server.
func TestAPIServerRestarts(t *testing.T) {
	// Most of a run is waiting for what has to reconnect, so many sites go at once.
	sites, restarts := 2, 1
	if n := soak(0, 60); n > 0 {
		sites, restarts = 10, (n+9)/10
	}
	var victims []*victim
	for i := range sites {
		victims = append(victims, newVictim(t, i%2 == 0))
	}
	ended := map[int]int{}
	for i := range restarts {
		var running []*running
		for j, v := range victims {
			switch (i + j) % 3 {
			case 0:
				running = append(running, v.start(t, "retrieve", "--to", v.to))
			case 1:
				running = append(running, v.start(t, "backup", "--target", v.target))
			case 2:
				running = append(running, v.start(t, "retrieve", "--to", v.to, "--scale-down"))
			}
		}
		time.Sleep(wait(4*time.Second, i, restarts))
		require.NoError(t, victims[0].RestartAPIServer(t.Context(), func() {
			time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
		}))
		for _, r := range running {
			code := r.wait(t)
			require.Contains(t, []int{0, 1}, code, r.errs.String())
			ended[code]++
		}
		for _, v := range victims {
			v.settle(t)
		}
	}
	for _, v := range victims {
		v.end(t)
	}
	t.Logf("%d commands with %d restarts of the API server; exit codes: %v", sites*restarts, restarts, ended)
}

// victim is a site whose commands meet faults, and what they have copied so far.
type victim struct {
	*site
	to, target string
	// seen are the copies that were proven to be whole.
	seen map[string]bool
	// ended counts exit codes, cuts the connections that were lost in commands
	// which succeeded all the same.
	ended map[int]int
	cuts  int
}

func newVictim(t *testing.T, shared bool) *victim {
	t.Helper()
	class, mode, replicas := "standard-rwo", "ReadWriteOnce", 1
	if shared {
		class, mode, replicas = "standard-rwx", "ReadWriteMany", 2
	}
	env := fmt.Sprintf("{name: RATE, value: '50'}, {name: SPLIT, value: '1'}, {name: SIZE, value: '200'}, {name: FIRST, value: '%d'}", leastLines)
	v := &victim{
		site: newSiteWith(t, class, mode, replicas, env),
		to:   t.TempDir(), target: "file://" + t.TempDir(),
		seen: map[string]bool{}, ended: map[int]int{},
	}
	return v
}

// running is a command that has been started.
type running struct {
	cmd       *exec.Cmd
	out, errs bytes.Buffer
}

func (v *victim) start(t *testing.T, args ...string) *running {
	t.Helper()
	return v.startWith(t, nil, args...)
}

// startWith starts a command with further environment. A flag that is given twice
// has its last value.
func (v *victim) startWith(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	r := &running{cmd: v.command(t, args[0])}
	r.cmd.Args = append(r.cmd.Args, args[1:]...)
	r.cmd.Args = append(r.cmd.Args, "--output", "json")
	r.cmd.Env = append(r.cmd.Env, env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.errs
	require.NoError(t, r.cmd.Start())
	return r
}

// wait waits for the exit code, which is as a shell has it for Ctrl-C, which may come
// before the program listens; -1 of a command that was killed.
func (r *running) wait(t *testing.T) int {
	t.Helper()
	if err := r.cmd.Wait(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return r.code()
}

// code is the exit code of a command that has ended.
func (r *running) code() int {
	if s, is := r.cmd.ProcessState.Sys().(syscall.WaitStatus); is && s.Signaled() && s.Signal() == syscall.SIGINT {
		return 128 + int(syscall.SIGINT)
	}
	return r.cmd.ProcessState.ExitCode()
}

// finish waits and counts.
func (v *victim) finish(t *testing.T, r *running) int {
	t.Helper()
	code := r.wait(t)
	v.ended[code]++
	return code
}

// disorder tells what is not as it was before a command.
func (v *victim) disorder(t *testing.T) string {
	t.Helper()
	set := v.set(t)
	helpers := v.helpers(t)
	maps.DeleteFunc(helpers, func(_ string, leaving bool) bool { return leaving })
	switch {
	case *set.Spec.Replicas != int32(v.replicas):
		return fmt.Sprintf("billing has %d replicas, not %d", *set.Spec.Replicas, v.replicas)
	case set.Annotations["deepgram-ops/journal-scaled-down"] != "":
		return "the annotation is still there"
	case len(helpers) > 0:
		return fmt.Sprintf("helpers are left: %v", helpers)
	}
	return ""
}

// settle lets the next command put right what a killed one left, and proves that
// all is well.
func (v *victim) settle(t *testing.T) {
	t.Helper()
	for i := 0; ; i++ {
		what := v.disorder(t)
		if what == "" {
			break
		}
		require.Less(t, i, 60, what)
		time.Sleep(time.Second)
		v.must(t, nil, "list", "--quick")
	}
	v.ready(t)
	v.noHelpers(t)
	v.proveFolder(t, v.to)
	v.proveTarget(t, v.target, nil)
}

// proveFolder proves that what commands left in a folder are whole copies.
func (v *victim) proveFolder(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if v.seen[path] || filepath.Ext(e.Name()) == ".part" {
			continue // nobody reads a part
		}
		require.Equal(t, ".journal", filepath.Ext(e.Name()), e.Name())
		require.GreaterOrEqual(t, v.whole(t, v.podOf(t, e.Name()), path), leastLines)
		v.seen[path] = true
	}
}

func (v *victim) podOf(t *testing.T, name string) string {
	t.Helper()
	for _, pod := range v.pods() {
		if strings.HasPrefix(name, pod+"-") {
			return pod
		}
	}
	require.Fail(t, "no pod's copy", name)
	return ""
}

// proveTarget proves that what is recorded in a target is there and whole.
func (v *victim) proveTarget(t *testing.T, url string, target journal.Target) {
	t.Helper()
	if target == nil {
		var err error
		target, err = journal.OpenTarget(t.Context(), url)
		require.NoError(t, err)
		defer target.Close()
	}
	book, err := journal.ReadBook(t.Context(), target, "")
	require.NoError(t, err)
	require.Empty(t, book.Missing())
	for pod, backups := range book.Backups {
		for _, b := range backups {
			key := url + "/" + b.Object
			if v.seen[key] {
				continue
			}
			in, err := target.Get(t.Context(), b.Object)
			require.NoError(t, err)
			copied := filepath.Join(t.TempDir(), "copy")
			out, err := os.Create(copied)
			require.NoError(t, err)
			_, err = out.ReadFrom(in)
			require.NoError(t, errors.Join(err, out.Close(), in.Close()))
			require.GreaterOrEqual(t, v.whole(t, pod, copied), leastLines)
			require.NoError(t, os.Remove(copied))
			v.seen[key] = true
		}
	}
}

// end proves with a last, undisturbed copy that no line is missing.
func (v *victim) end(t *testing.T) {
	t.Helper()
	var r journal.Retrieval
	v.must(t, &r, "retrieve", "--to", v.to)
	require.Len(t, r.Journals, v.replicas)
	v.settle(t)
	entries, err := os.ReadDir(v.to)
	require.NoError(t, err)
	for _, e := range entries {
		assert.Equal(t, ".journal", filepath.Ext(e.Name()), "nothing half is left")
	}
	t.Logf("exit codes %v, %d cuts survived, %d copies proven whole", v.ended, v.cuts, len(v.seen))
}

// spans is how long commands take that nobody disturbs, so that kills are at every
// step.
var spans struct {
	sync.Mutex
	known map[string]time.Duration
}

func (v *victim) span(t *testing.T, args ...string) time.Duration {
	t.Helper()
	kind := args[0] + args[len(args)-1]
	if strings.Contains(kind, "/") {
		kind = args[0]
	}
	spans.Lock()
	defer spans.Unlock()
	if spans.known == nil {
		spans.known = map[string]time.Duration{}
	}
	if spans.known[kind] == 0 {
		began := time.Now()
		v.must(t, nil, args...)
		spans.known[kind] = min(time.Since(began)*6/5, 20*time.Second)
	}
	return spans.known[kind]
}

func killedRetrieve(t *testing.T, v *victim, i, n int) {
	v.kill(t, i, n, "retrieve", "--to", v.to)
}

func killedBackup(t *testing.T, v *victim, i, n int) {
	v.kill(t, i, n, "backup", "--target", v.target)
}

// kill ends a command with -9 or Ctrl-C at a time that is another in each run.
// After Ctrl-C everything is in order at once.
func (v *victim) kill(t *testing.T, i, n int, args ...string) {
	t.Helper()
	if i%2 == 1 {
		args = append(args, "--scale-down")
	}
	signal := syscall.SIGKILL
	if i/2%2 == 1 {
		signal = syscall.SIGINT
	}
	span := v.span(t, args...)
	r := v.start(t, args...)
	time.Sleep(wait(span, i*7%n, n+1))
	_ = r.cmd.Process.Signal(signal)
	code := v.finish(t, r)
	if signal == syscall.SIGINT {
		require.Contains(t, []int{0, 130}, code, r.errs.String())
		require.Empty(t, v.disorder(t), "after Ctrl-C")
	}
}

// cutConnections runs a command whose every connection to the API server is cut
// after some bytes.
func cutConnections(t *testing.T, v *victim, i, _ int) {
	proxy := newCutter(t, v.Config().Host)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := strings.Replace(string(v.Kubeconfig()), v.Config().Host, proxy.url, 1)
	require.Contains(t, text, proxy.url)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	args := [][]string{
		{"retrieve", "--to", v.to},
		{"retrieve", "--to", v.to, "--compress"},
		{"backup", "--target", v.target},
		{"retrieve", "--to", v.to, "--scale-down"},
	}[i%4]
	r := v.start(t, append(args, "--kubeconfig", file, "--tries", "20")...)
	code := v.finish(t, r)
	require.Contains(t, []int{0, 1}, code, r.errs.String())
	if code == 0 {
		v.cuts += int(proxy.cuts.Load())
		return
	}
	require.NotEmpty(t, r.errs.String())
}

// fullTarget gives a command too little room in the target, or in its own folder
// for temporary files.
func fullTarget(t *testing.T, v *victim, i, _ int) {
	dir := t.TempDir()
	size, err := os.Stat(v.source(t.Context(), v.pods()[0]))
	require.NoError(t, err)
	room := rand.Int64N(size.Size() * int64(v.replicas))
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", max(room, 4096))))
	defer func() { require.NoError(t, syscall.Unmount(dir, 0)) }()
	var r *running
	switch i % 3 {
	case 0:
		r = v.start(t, "retrieve", "--to", dir)
	case 1:
		r = v.start(t, "backup", "--target", "file://"+dir, "--upload-tries", "2")
	case 2:
		r = v.startWith(t, []string{"TMPDIR=" + dir}, "backup", "--target", v.target, "--upload-tries", "1")
	}
	require.Equal(t, 1, v.finish(t, r), "%s%s", &r.out, &r.errs)
	require.Contains(t, r.errs.String(), "no space left")
	require.Empty(t, v.disorder(t))
	switch i % 3 {
	case 0:
		v.proveFolder(t, dir)
	case 1:
		v.proveTarget(t, "file://"+dir, nil)
	}
}

// refusedUpload backs up to object stores that refuse, cut and stall; every fourth
// refuses everything.
func refusedUpload(t *testing.T, v *victim, i, _ int) {
	kind := []string{"s3", "gs"}[i/2%2]
	always := i%4 == 3
	s := newStore(t, kind, always)
	r := v.startWith(t, s.env, "backup", "--target", s.url)
	code := v.finish(t, r)
	require.Contains(t, []int{0, 1}, code, r.errs.String())
	if always {
		require.Equal(t, 1, code, "an upload that was refused is a failure")
	}
	s.faulty.Store(false)
	var b struct{ Backups []journal.Backup }
	require.NoError(t, json.Unmarshal(r.out.Bytes(), &b), r.out.String())
	if code == 0 {
		require.Len(t, b.Backups, v.replicas, "what has no copy is no success")
	}
	s.prove(t, v)
}

// killedUpload kills a backup while the store takes its journals.
func killedUpload(t *testing.T, v *victim, i, n int) {
	s := newStore(t, []string{"s3", "gs"}[i/2%2], false)
	s.faulty.Store(false)
	s.slow.Store(true)
	r := v.startWith(t, s.env, "backup", "--target", s.url)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = r.cmd.Wait()
	}()
	// Of the first replica's journal or, in every third run, of the last one's.
	for range 1 + i%3/2*(v.replicas-1) {
		select {
		case <-s.uploading:
		case <-ended:
			require.Fail(t, "nothing was uploaded", r.errs.String())
		}
	}
	time.Sleep(wait(time.Second, i*7%n, n+1))
	signal := syscall.SIGKILL
	if i%2 == 1 {
		signal = syscall.SIGINT
	}
	_ = r.cmd.Process.Signal(signal)
	<-ended
	code := r.code()
	v.ended[code]++
	if signal == syscall.SIGINT {
		require.Contains(t, []int{0, 130}, code, r.errs.String())
	}
	s.slow.Store(false)
	s.prove(t, v)
}

// prove proves what is recorded in the store.
func (s *store) prove(t *testing.T, v *victim) {
	t.Helper()
	target := s.open(t)
	defer target.Close()
	v.proveTarget(t, s.url, target)
	// What is not recorded is finished by the next backup.
	r := v.startWith(t, s.env, "backup", "--target", s.url)
	require.Zero(t, r.wait(t), r.errs.String())
	v.proveTarget(t, s.url, target)
	book, err := journal.ReadBook(t.Context(), target, "")
	require.NoError(t, err)
	require.Equal(t, v.pods(), book.Pods())
}
