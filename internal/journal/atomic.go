package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// partSuffix ends the names of files that are being written. Nothing reads
// them, and the next writer in the same folder removes those that nobody holds.
const partSuffix = ".part"

// ErrExists says that a file or object of that name is there already. Nothing
// here ever overwrites one.
var ErrExists = errors.New("exists already and is never overwritten")

// newFile is a file that appears under its name when it is complete, and never
// takes the place of another.
type newFile struct {
	*os.File
	path   string
	done   bool
	direct directIO

	// size is how much was written, onDisk how much of it was sent to the disk.
	size, onDisk int64
	// syncing hears how the last part of it arrived there; nil where none is on
	// its way.
	syncing chan error
}

// writeBehind is how much of a file is held in memory before it goes to the disk.
const writeBehind = 64 << 20

// createNew begins the file path. The folder is made if it is missing.
func createNew(path string) (*newFile, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s: %w", path, ErrExists)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	removeParts(dir)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*"+partSuffix)
	if err != nil {
		return nil, err
	}
	// The lock tells others that somebody is at work; it ends with the process.
	// Where the file system has no locks, a part is never taken for abandoned.
	_ = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	return &newFile{File: f, path: path, direct: newDirectIO(f)}, nil
}

// removeParts removes what killed writers left in dir.
func removeParts(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), partSuffix) || !e.Type().IsRegular() {
			continue
		}
		f, err := os.OpenFile(filepath.Join(dir, e.Name()), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.Remove(f.Name())
		}
		f.Close()
	}
}

// Write adds to the file. A long file goes to the disk while it is written, and its
// memory is given back: a copy of many gigabytes needs neither the machine's cache
// nor a long wait at its end.
func (f *newFile) Write(p []byte) (int, error) {
	n, there, err := f.direct.write(f.File, p, f.size)
	f.size += int64(n)
	if there && f.syncing == nil {
		f.onDisk = f.size
	}
	if err != nil || f.size-f.onDisk < writeBehind {
		return n, err
	}
	if f.syncing != nil {
		select {
		case err := <-f.syncing:
			if f.syncing = nil; err != nil {
				return n, err
			}
		default:
			return n, nil // the disk is slower than the line
		}
	}
	done, size := make(chan error, 1), f.size
	f.syncing, f.onDisk = done, size
	go func() {
		err := f.Sync()
		forget(f.File, size)
		done <- err
	}()
	return n, nil
}

// settled waits for what is on its way to the disk.
func (f *newFile) settled() error {
	if f.syncing == nil {
		return nil
	}
	err := <-f.syncing
	f.syncing = nil
	return err
}

// commit puts the file under its name, on the disk for good. It fails with
// ErrExists where something of that name has appeared.
func (f *newFile) commit(mode fs.FileMode) error {
	defer f.discard()
	if err := errors.Join(f.settled(), f.Chmod(mode), f.Sync()); err != nil {
		return err
	}
	if err := link(f.Name(), f.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.path))
}

// link gives the file a second name, or its new name where the file system has
// no links; never one that is taken.
func link(from, to string) error {
	err := os.Link(from, to)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = rename(from, to)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s: %w", to, ErrExists)
	case err != nil:
		return fmt.Errorf("naming %s: the file system must have hard links or renames that do not replace: %w", to, err)
	}
	return nil
}

// discard removes what is not committed. It may be called twice.
func (f *newFile) discard() {
	if f.done {
		return
	}
	f.done = true
	_ = f.settled() // the file is closed after it
	_ = os.Remove(f.Name())
	_ = f.Close()
}

// syncDir makes names in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	// Some network file systems do not sync folders; the file itself is synced.
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}

// writeNew writes all of r to the new file path.
func writeNew(ctx context.Context, path string, r io.Reader, mode fs.FileMode) error {
	f, err := createNew(path)
	if err != nil {
		return err
	}
	defer f.discard()
	if _, err := io.CopyBuffer(withContext{ctx, f}, struct{ io.Reader }{r}, make([]byte, chunkSize)); err != nil {
		return err
	}
	return f.commit(mode)
}
