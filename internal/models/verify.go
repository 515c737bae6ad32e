package models

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// States of a file after Verify.
const (
	Good    = "good"    // is what the manifest says
	Changed = "changed" // is not
	Missing = "missing" // is in the manifest, not on the disk
	Unknown = "unknown" // is on the disk, not in the manifest
)

// Verify compares the disk with its manifest. Quick looks at sizes and times
// only. A disk without a manifest has only unknown files.
func Verify(ctx context.Context, dir string, quick bool) ([]Result, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	results := []Result{}
	for _, e := range m.Files {
		r := Result{Name: e.Name, Status: Good, Size: e.Size, SHA256: e.SHA256}
		st, err := os.Lstat(filepath.Join(dir, e.Name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			r.Status = Missing
		case err != nil:
			return results, err
		case !st.Mode().IsRegular() || st.Size() != e.Size, quick && !e.matches(dir):
			r.Status = Changed
		case !quick:
			sum, _, err := hashFile(ctx, filepath.Join(dir, e.Name))
			if err != nil {
				return results, err
			}
			if sum != e.SHA256 {
				r.Status = Changed
			}
		}
		results = append(results, r)
	}
	unknown, err := strangers(dir, func(name string) bool { _, ok := m.find(name); return ok })
	for _, name := range unknown {
		results = append(results, Result{Name: name, Status: Unknown})
	}
	return results, err
}

func hashFile(ctx context.Context, path string) (string, os.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, reader{ctx, f}, make([]byte, 1<<20)); err != nil {
		return "", nil, err
	}
	st, err := f.Stat()
	return hex.EncodeToString(h.Sum(nil)), st, err
}

// reader stops reading when its context is done.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
