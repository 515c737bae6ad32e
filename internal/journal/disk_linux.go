package journal

import (
	"errors"
	"io/fs"
	"os"
	"reflect"

	"golang.org/x/sys/unix"
)

// rename gives a file its new name unless something has it.
func rename(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

// forget lets the kernel use the memory that holds the first size bytes of a file
// for something else. It is only advice.
func forget(f *os.File, size int64) {
	_ = unix.Fadvise(int(f.Fd()), 0, size, unix.FADV_DONTNEED)
}

// block is what a disk wants its direct writes to be multiples of, in memory and in
// the file. No disk has larger ones.
const block = 4096

// directIO writes large pieces to the disk without a copy in the page cache, which
// for a file of gigabytes costs about as much as its digest.
type directIO struct {
	// on says that the file is open for it, and not that it cannot be.
	on, not bool
}

// newDirectIO asks whether the file system is one of a disk's. On those of the
// network each piece would be waited for.
func newDirectIO(f *os.File) directIO {
	var s unix.Statfs_t
	err := unix.Fstatfs(int(f.Fd()), &s)
	return directIO{not: err != nil || s.Type != unix.EXT4_SUPER_MAGIC && s.Type != unix.XFS_SUPER_MAGIC}
}

// write adds p to a file of size bytes. It says whether p is on the disk.
func (s *directIO) write(f *os.File, p []byte, size int64) (int, bool, error) {
	fits := len(p) >= chunkSize && len(p)%block == 0 && size%block == 0 && reflect.ValueOf(p).Pointer()%block == 0
	if want := fits && !s.not; want != s.on {
		if err := s.set(f, want); err != nil && s.on {
			return 0, false, err
		}
	}
	n, err := f.Write(p)
	if !s.on || !errors.Is(err, unix.EINVAL) {
		return n, s.on, err
	}
	// This file system takes none, or larger blocks.
	if err := s.set(f, false); err != nil {
		return n, false, err
	}
	s.not = true
	more, err := f.Write(p[n:])
	return n + more, false, err
}

func (s *directIO) set(f *os.File, on bool) error {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err == nil {
		if flags &^= unix.O_DIRECT; on {
			flags |= unix.O_DIRECT
		}
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, flags)
	}
	if err != nil {
		s.not = true
		return &fs.PathError{Op: "fcntl", Path: f.Name(), Err: err}
	}
	s.on = on
	return nil
}
