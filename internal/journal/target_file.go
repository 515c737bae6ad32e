package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// folder is a Target on a mounted file system.
type folder struct{ dir string }

func (f folder) String() string { return "file://" + f.dir }
func (folder) Close() error     { return nil }

func (f folder) path(name string) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return "", fmt.Errorf("object %q: is not a name inside the target", name)
	}
	return filepath.Join(f.dir, filepath.FromSlash(name)), nil
}

func (f folder) Put(ctx context.Context, name string, r io.Reader) error {
	p, err := f.path(name)
	if err != nil {
		return err
	}
	// Nobody has to change what is there, so nobody may.
	return writeNew(ctx, p, r, 0o440)
}

func (f folder) Get(_ context.Context, name string) (io.ReadCloser, error) {
	p, err := f.path(name)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	return file, err
}

func (f folder) List(ctx context.Context, prefix string) ([]Object, error) {
	if _, err := os.Stat(f.dir); err != nil {
		return nil, fmt.Errorf("target %s: is not there: mount the volume, or make the folder: %w", f, err)
	}
	var list []Object
	err := filepath.WalkDir(f.dir, func(p string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed meanwhile
			}
			return err
		}
		rel, err := filepath.Rel(f.dir, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if d.IsDir() {
			// lost+found of a fresh file system cannot be read, and holds nothing.
			if name == "lost+found" || name != "." && !strings.HasPrefix(name+"/", prefix) && !strings.HasPrefix(prefix, name+"/") {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasPrefix(d.Name(), ".") || !strings.HasPrefix(name, prefix) || !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		list = append(list, Object{Name: name, Size: info.Size(), Modified: info.ModTime()})
		return nil
	})
	slices.SortFunc(list, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

func (f folder) Delete(_ context.Context, name string) error {
	p, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(p); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", name, ErrNotFound)
	} else if err != nil {
		return err
	}
	return syncDir(filepath.Dir(p))
}
