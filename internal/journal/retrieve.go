package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// RetrieveOptions set up Retrieve.
type RetrieveOptions struct {
	SourceOptions
	// To is the folder for the copies. It is made if it is missing. Required.
	To    string
	Fetch FetchOptions
}

// Retrieved is one journal that was copied here.
type Retrieved struct {
	Pod string `json:"pod"`
	// File is the copy: <pod>-<time>.journal.
	File string `json:"file"`
	Fetched
	// Proof is about the copy before it in the same folder; nil for the first.
	Proof *Proof `json:"proof,omitempty"`
	// Seconds is how long the transfer took.
	Seconds float64 `json:"seconds"`
	Error   string  `json:"error,omitempty"`
}

// Retrieval is the result of Retrieve.
type Retrieval struct {
	Journals []Retrieved `json:"journals"`
	// Downtime is how long billing was not ready, in seconds; 0 for a live copy.
	Downtime float64 `json:"downtimeSeconds"`
}

// Retrieve copies every replica's journal into a folder (guide A-RET). Each file
// appears under its name when it is complete and its digest is the source's.
// Errors of single replicas are joined; the others are retrieved all the same.
func (c *Cluster) Retrieve(ctx context.Context, o RetrieveOptions) (Retrieval, error) {
	c.init()
	result := Retrieval{Journals: []Retrieved{}}
	if err := os.MkdirAll(o.To, 0o750); err != nil {
		return result, fmt.Errorf("folder: %w", err)
	}
	o.Copy = true
	down, err := c.WithSources(ctx, o.SourceOptions, func(ctx context.Context, _ *Layout, sources []*Source) error {
		var errs []error
		for _, s := range sources {
			r, err := c.retrieve(ctx, s, o)
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r.Error = err.Error()
				errs = append(errs, err)
			}
			result.Journals = append(result.Journals, r)
		}
		return errors.Join(errs...)
	})
	result.Downtime = down.Seconds()
	return result, err
}

func (c *Cluster) retrieve(ctx context.Context, s *Source, o RetrieveOptions) (Retrieved, error) {
	r := Retrieved{Pod: s.Pod}
	before, err := lastFile(o.To, s.Pod)
	if err != nil {
		return r, fmt.Errorf("folder %s: %w", o.To, err)
	}
	began := c.Now()
	file := filepath.Join(o.To, fmt.Sprintf("%s-%s%s", s.Pod, began.UTC().Format(stamp), copySuffix))
	fetch := o.Fetch
	fetch.Beginning = before
	r.Fetched, err = FetchFile(ctx, s.Open, file, fetch)
	switch {
	case before == "":
	case err == nil:
		// The digest of both halves together is the source's.
		r.Proof = &Proof{Previous: before, Size: r.Resumed, AppendOnly: true, Differs: -1}
	case errors.Is(err, ErrBeginning):
		// That has to be shown, byte by byte.
		c.Note(fmt.Sprintf("journal of %s: %v; copying all of it", s.Pod, err))
		r.Fetched, err = FetchFile(ctx, s.Open, file, o.Fetch)
	}
	if err != nil {
		return r, fmt.Errorf("journal of %s: %w", s.Pod, err)
	}
	r.File, r.Seconds = file, c.Now().Sub(began).Seconds()
	var wrong []error
	if before != "" && r.Proof == nil {
		_, p, err := Verify(ctx, file, before)
		if err != nil {
			return r, fmt.Errorf("journal of %s: %w", s.Pod, err)
		}
		r.Proof = p
		wrong = append(wrong, p.Err())
	}
	wrong = append(wrong, r.Err())
	if err := errors.Join(wrong...); err != nil {
		return r, &Alarm{fmt.Errorf("journal of %s: %w", s.Pod, err)}
	}
	return r, nil
}

// FetchFile is Fetch into a new file, which appears when it is complete.
func FetchFile(ctx context.Context, open Open, path string, o FetchOptions) (Fetched, error) {
	f, err := createNew(path)
	if err != nil {
		return Fetched{}, err
	}
	defer f.discard()
	got, err := Fetch(ctx, open, f, o)
	if err != nil {
		return Fetched{}, err
	}
	return got, f.commit(0o640)
}

// lastFile is the newest copy of a pod's journal in a folder; empty if there is
// none.
func lastFile(dir, pod string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var names []string
	for _, e := range entries {
		at, ok := strings.CutPrefix(e.Name(), pod+"-")
		if at, ok2 := strings.CutSuffix(at, copySuffix); ok && ok2 && e.Type().IsRegular() {
			if _, err := time.Parse(stamp, at); err == nil {
				names = append(names, e.Name())
			}
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	return filepath.Join(dir, slices.Max(names)), nil
}

// BackUp copies every replica's journal through helper pods into the target.
// Errors of single replicas are joined; the others are stored all the same.
func (c *Cluster) BackUp(
	ctx context.Context, t Target, so SourceOptions, fo FetchOptions, bo BackupOptions,
) ([]Backup, time.Duration, error) {
	c.init()
	list := []Backup{}
	dir, err := os.MkdirTemp("", "deepgram-journal-")
	if err != nil {
		return list, 0, err
	}
	defer os.RemoveAll(dir)
	files := map[string]string{}
	var order []*Source
	// Only the copying needs billing to be down; the upload does not.
	so.Copy = true
	down, err := c.WithSources(ctx, so, func(ctx context.Context, l *Layout, sources []*Source) error {
		var errs []error
		for _, s := range sources {
			file := filepath.Join(dir, s.Pod)
			if _, err := FetchFile(ctx, s.Open, file, fo); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				errs = append(errs, fmt.Errorf("journal of %s: %w", s.Pod, err))
				continue
			}
			files[s.Pod] = file
			order = append(order, s)
		}
		return errors.Join(errs...)
	})
	errs := []error{err}
	for _, s := range order {
		o := bo
		// The file does not grow: there is no end of a line to wait for.
		o.Wait = time.Nanosecond
		o.Source = fmt.Sprintf("%s/%s:%s", c.Namespace, s.Claim, s.Path)
		r, err := Store(ctx, t, s.Pod, files[s.Pod], o)
		if r.Name != "" {
			list = append(list, r)
		}
		if err == nil {
			// A person who may copy need not have the right to tell monitoring so.
			if merr := c.Mark(ctx, s.Pod, r.TakenAt); merr != nil {
				c.Note(merr.Error())
			}
		}
		errs = append(errs, err)
	}
	return list, down, errors.Join(errs...)
}

// Local is a journal on a volume that is mounted here.
type Local struct{ Pod, Path string }

// FindLocal finds the journals under mounted volumes. Each of dirs is the root
// of a claim that replicas share (journal-POD/journal below it), or POD=DIR for
// the folder that holds the journal of one pod.
func FindLocal(dirs []string) ([]Local, error) {
	var found []Local
	var errs []error
	for _, d := range dirs {
		if pod, dir, ok := strings.Cut(d, "="); ok {
			if !podName(pod) {
				errs = append(errs, fmt.Errorf("source %q: must be DIR or POD=DIR", d))
				continue
			}
			found = append(found, Local{pod, filepath.Join(dir, journalFile)})
			continue
		}
		matches, err := filepath.Glob(filepath.Join(escapeGlob(d), "journal-*", journalFile))
		if err != nil {
			errs = append(errs, err)
		}
		if len(matches) == 0 {
			why := "holds no journal-POD/journal: has billing written nothing yet, or is another volume mounted?"
			if _, err := os.Stat(filepath.Join(d, journalFile)); err == nil {
				why = "holds the journal of one pod: name it, as POD=DIR"
			}
			errs = append(errs, fmt.Errorf("source %s: %s", d, why))
		}
		for _, m := range matches {
			found = append(found, Local{strings.TrimPrefix(filepath.Base(filepath.Dir(m)), "journal-"), m})
		}
	}
	slices.SortFunc(found, func(a, b Local) int { return strings.Compare(a.Pod, b.Pod) })
	for i := 1; i < len(found); i++ {
		if found[i].Pod == found[i-1].Pod {
			errs = append(errs, fmt.Errorf("pod %s: has two journals, %s and %s", found[i].Pod, found[i-1].Path, found[i].Path))
		}
	}
	return found, errors.Join(errs...)
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
