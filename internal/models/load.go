package models

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Progress hears what a load does. Its methods are called from several
// goroutines.
type Progress interface {
	// Expect adds bytes to what is to be done.
	Expect(bytes int64)
	// Done adds bytes to what is done; negative where a file starts again.
	Done(bytes int64)
	// Note is one line for the person waiting.
	Note(line string)
}

// NoProgress hears nothing.
type NoProgress struct{}

// Expect implements Progress.
func (NoProgress) Expect(int64) {}

// Done implements Progress.
func (NoProgress) Done(int64) {}

// Note implements Progress.
func (NoProgress) Note(string) {}

// Options sets up a load. The zero value works.
type Options struct {
	// Parallel is how many files are under way at a time; 0 means 4.
	Parallel int
	// Tries is how often in a row a download may fail without a byte of
	// progress; 0 means 6.
	Tries int
	// FirstWait is the wait before the second try, doubled after; 0 means 1 s.
	FirstWait time.Duration
	// MaxWait is the longest that a server may ask to wait; 0 means 5 minutes.
	MaxWait time.Duration
	// Stall is how long a download may be silent; 0 means 1 minute.
	Stall time.Duration
	// Verify reads and hashes files that are there, instead of looking at their
	// size and time.
	Verify bool
	// Prune removes files of the disk that are no source of this load.
	Prune bool
	// Transport carries the requests; nil means the network.
	Transport http.RoundTripper
	// Token gives the access token for gs://; nil means Google's application
	// default credentials (Workload Identity in a cluster).
	Token func(context.Context) (string, error)
	// StorageEndpoint is where Cloud Storage is; empty means Google's.
	StorageEndpoint string
	// Progress hears what is done; nil means nobody.
	Progress Progress
}

// States of a file after a load or a verification.
const (
	Loaded  = "loaded"  // downloaded now
	Present = "present" // was there: nothing was done
	Removed = "removed" // was no source, and Prune was asked for
	Failed  = "failed"  // see the error
)

// Result is what became of one file.
type Result struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Bytes were downloaded by this run.
	Bytes int64  `json:"bytes,omitempty"`
	Error string `json:"error,omitempty"`
}

// Load brings every source onto the disk that is mounted at dir. What is there
// and known to the manifest is left alone; what was begun is continued. Errors
// of all files are joined; the results tell each file's own.
func Load(ctx context.Context, dir string, sources []Source, o Options) ([]Result, error) {
	o.Parallel = cmp.Or(o.Parallel, 4)
	o.Tries = cmp.Or(o.Tries, 6)
	o.FirstWait = cmp.Or(o.FirstWait, time.Second)
	o.MaxWait = cmp.Or(o.MaxWait, 5*time.Minute)
	o.Stall = cmp.Or(o.Stall, time.Minute)
	if o.Progress == nil {
		o.Progress = NoProgress{}
	}
	sources = slices.Clone(sources)
	if err := complete(sources); err != nil {
		return nil, err
	}
	release, err := open(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	l := &loader{dir: dir, o: o, store: &store{dir: dir, m: m}, client: newClient(o)}
	return l.run(ctx, sources)
}

// open prepares our folder on the disk and keeps other loaders out.
func open(dir string) (release func(), err error) {
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", dir, diskError(err))
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("folder %s: is not a folder", dir)
	}
	state := filepath.Join(dir, stateDir)
	if err := os.MkdirAll(filepath.Join(state, "partial"), 0o755); err != nil {
		return nil, fmt.Errorf("folder %s: %w", dir, diskError(err))
	}
	f, err := os.OpenFile(filepath.Join(state, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", dir, diskError(err))
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("folder %s: another models load is running on it; wait for it or stop it", dir)
	}
	return func() { f.Close() }, nil
}

// diskError adds a remedy to what a file system says.
func diskError(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("the disk is full: enlarge models.disk.sizeGb, or remove files that are no models: %w", err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("the disk is mounted read-only: load before any engine mounts it: %w", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("user %d may not write to the disk: set fsGroup: 65532 in the Job's securityContext: %w", os.Getuid(), err)
	}
	return err
}

type loader struct {
	dir    string
	o      Options
	store  *store
	client *client
}

// job is one source on its way.
type job struct {
	Source
	origin string
	d      *download
	result *Result
}

func (l *loader) run(ctx context.Context, sources []Source) ([]Result, error) {
	results := make([]Result, len(sources))
	errs := make([]error, len(sources))
	var todo []*job
	for i, s := range sources {
		results[i] = Result{Name: s.Name}
		if err := ctx.Err(); err != nil {
			return results, err
		}
		there, err := l.present(ctx, s, &results[i])
		if err != nil {
			return results, err
		}
		if !there {
			todo = append(todo, &job{Source: s, origin: origin(s.URL), result: &results[i]})
		}
	}
	if err := l.sweep(todo); err != nil {
		return results, err
	}
	fail := func(j *job, err error) {
		i := slices.IndexFunc(sources, func(s Source) bool { return s.Name == j.Name })
		if err != nil {
			errs[i] = fmt.Errorf("model %s: %w", j.Name, err)
			results[i].Status, results[i].Error = Failed, errs[i].Error()
		}
	}
	// Ask for every size before the first byte: a disk that is too small is
	// found now, not after an hour.
	l.parallel(todo, func(j *job) {
		d, err := l.begin(ctx, j)
		j.d = d
		fail(j, err)
	})
	if err := errors.Join(errs...); err != nil {
		return results, err
	}
	if err := l.room(todo); err != nil {
		return results, err
	}
	l.parallel(todo, func(j *job) { fail(j, l.load(ctx, j)) })
	err := errors.Join(errs...)
	if err == nil && l.o.Prune {
		var removed []Result
		removed, err = l.prune(sources)
		results = slices.Concat(results, removed)
	}
	return results, err
}

func (l *loader) parallel(jobs []*job, f func(*job)) {
	slots := make(chan struct{}, l.o.Parallel)
	var wg sync.WaitGroup
	for _, j := range jobs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(j)
		})
	}
	wg.Wait()
}

// present says whether the source is on the disk already.
func (l *loader) present(ctx context.Context, s Source, r *Result) (bool, error) {
	path := filepath.Join(l.dir, s.Name)
	if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
		return false, fmt.Errorf("model %s: %s is there and is not a file; remove it or choose another name", s.Name, path)
	} else if err != nil {
		return false, nil //nolint:nilerr // not there is to be loaded
	}
	e, known := l.store.entry(s.Name)
	switch {
	case known && (s.SHA256 != "" && s.SHA256 != e.SHA256 || s.Size != 0 && s.Size != e.Size):
		return false, nil
	case known && s.SHA256 == "" && e.Origin != "" && e.Origin != origin(s.URL):
		return false, nil
	case known && e.matches(l.dir) && !l.o.Verify:
		r.Status, r.Size, r.SHA256 = Present, e.Size, e.SHA256
		return true, nil
	}
	// Read it: the manifest does not vouch for it, or the caller does not
	// trust the manifest.
	want := s.SHA256
	if want == "" {
		want = e.SHA256
	}
	if want == "" {
		return false, nil
	}
	l.o.Progress.Note("verifying: " + s.Name)
	sum, st, err := hashFile(ctx, path)
	if err != nil {
		return false, err
	}
	if sum != want || s.Size != 0 && s.Size != st.Size() {
		l.o.Progress.Note("differs: " + s.Name + " is not what it should be and is loaded again")
		return false, nil
	}
	e = Entry{Name: s.Name, Size: st.Size(), SHA256: sum, LoadedAt: now(), Modified: st.ModTime(), Origin: origin(s.URL)}
	r.Status, r.Size, r.SHA256 = Present, e.Size, e.SHA256
	if err := l.store.put(e); err != nil {
		return false, diskError(err)
	}
	return true, nil
}

// sweep removes leftovers of earlier loads that no download here will continue.
func (l *loader) sweep(todo []*job) error {
	dir := filepath.Join(l.dir, stateDir, "partial")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return diskError(err)
	}
	for _, e := range entries {
		base, _ := strings.CutSuffix(e.Name(), ".json")
		if slices.ContainsFunc(todo, func(j *job) bool { return j.Name == base }) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return diskError(err)
		}
	}
	return nil
}

// room refuses to begin what does not fit.
func (l *loader) room(todo []*job) error {
	var need int64
	var unknown []string
	for _, j := range todo {
		if j.d.size < 0 {
			unknown = append(unknown, j.Name)
			continue
		}
		need += j.d.size - j.d.offset
		l.o.Progress.Expect(j.d.size)
		l.o.Progress.Done(j.d.offset)
	}
	for _, name := range unknown {
		l.o.Progress.Note("unknown size: the server does not tell how large " + name + " is, so the disk's room is not checked for it")
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(l.dir, &fs); err != nil {
		return fmt.Errorf("folder %s: %w", l.dir, err)
	}
	free := int64(fs.Bavail * uint64(fs.Bsize))
	// The file system's own records of large files, and the manifest.
	const slack = 1 << 20
	if need > 0 && need+slack > free {
		return &TooSmallError{Dir: l.dir, Need: need + slack, Free: free}
	}
	return nil
}

// TooSmallError says that the disk cannot hold what is to be loaded.
type TooSmallError struct {
	Dir        string
	Need, Free int64
}

func (e *TooSmallError) Error() string {
	const gb = 1e9
	return fmt.Sprintf("folder %s: the disk is too small: %.2f GB more are needed and %.2f GB are free: raise models.disk.sizeGb by at least %d; nothing was downloaded",
		e.Dir, float64(e.Need)/gb, float64(e.Free)/gb, int64(float64(e.Need-e.Free)/(1<<30))+1)
}

// prune removes files that are no source. Our own folder and the file system's
// lost+found stay.
func (l *loader) prune(sources []Source) ([]Result, error) {
	unknown, err := strangers(l.dir, func(name string) bool {
		return slices.ContainsFunc(sources, func(s Source) bool { return s.Name == name })
	})
	var removed []Result
	for _, name := range unknown {
		if err := os.RemoveAll(filepath.Join(l.dir, name)); err != nil {
			return removed, diskError(err)
		}
		if err := l.store.drop(name); err != nil {
			return removed, diskError(err)
		}
		removed = append(removed, Result{Name: name, Status: Removed})
	}
	if len(removed) > 0 {
		err = errors.Join(err, syncDir(l.dir))
	}
	return removed, err
}

// strangers are the names in dir that are neither known nor the system's.
func strangers(dir string, known func(string) bool) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		if n := e.Name(); n != stateDir && n != "lost+found" && !known(n) {
			names = append(names, n)
		}
	}
	return names, err
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
