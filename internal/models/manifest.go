package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// stateDir is the folder on the disk that is ours: the manifest, and files that
// are not whole yet. It is on the same file system as the models, so that a
// rename is enough to finish one.
const stateDir = ".deepgram-ops"

// Entry is one file of the manifest.
type Entry struct {
	// Name is the file's name on the disk.
	Name string `json:"name"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is the digest of what was written.
	SHA256 string `json:"sha256"`
	// LoadedAt is when the file was finished.
	LoadedAt time.Time `json:"loadedAt"`
	// Modified is the file's own time; with Size it tells quickly that nobody
	// changed the file.
	Modified time.Time `json:"modified"`
	// Origin is a digest of where the file came from, without what is secret:
	// another origin under the same name is another file.
	Origin string `json:"origin,omitempty"`
}

// Manifest is what was loaded onto a disk.
type Manifest struct {
	// Version is 1.
	Version int `json:"version"`
	// Files are in the order of their names.
	Files []Entry `json:"files"`
}

// ReadManifest reads the manifest of a disk. One that does not exist is empty.
func ReadManifest(dir string) (*Manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, stateDir, "manifest.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return &Manifest{Version: 1}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("manifest %s: %w; remove it, and models load makes a new one", filepath.Join(dir, stateDir, "manifest.json"), err)
	}
	if m.Version != 1 {
		return nil, fmt.Errorf("manifest: version %d was written by a newer deepgram-ops; use that one", m.Version)
	}
	return m, nil
}

func (m *Manifest) find(name string) (Entry, bool) {
	i := slices.IndexFunc(m.Files, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return Entry{}, false
	}
	return m.Files[i], true
}

// store is the manifest of a disk under change.
type store struct {
	dir string
	mu  sync.Mutex
	m   *Manifest
}

func (s *store) entry(name string) (Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m.find(name)
}

func (s *store) put(e Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.Files = slices.DeleteFunc(s.m.Files, func(o Entry) bool { return o.Name == e.Name })
	s.m.Files = append(s.m.Files, e)
	slices.SortFunc(s.m.Files, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return s.write()
}

func (s *store) drop(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.Files = slices.DeleteFunc(s.m.Files, func(o Entry) bool { return o.Name == name })
	return s.write()
}

// write replaces the file on the disk: a kill leaves the old one or the new one.
func (s *store) write() error {
	b, err := json.MarshalIndent(s.m, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, stateDir)
	tmp := filepath.Join(dir, "manifest.json.new")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, werr := f.Write(append(b, '\n'))
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, "manifest.json")); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// matches says whether the file is the one of the entry, without reading it.
func (e Entry) matches(dir string) bool {
	st, err := os.Lstat(filepath.Join(dir, e.Name))
	return err == nil && st.Mode().IsRegular() && st.Size() == e.Size && st.ModTime().Equal(e.Modified)
}
