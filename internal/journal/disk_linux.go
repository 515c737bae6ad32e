package journal

import (
	"os"

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
