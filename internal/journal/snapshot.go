package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// Snapshot is the part of a journal that a copy holds: its first Size bytes.
type Snapshot struct {
	// Size is in bytes.
	Size int64 `json:"size"`
	// Tail is how many of them follow the last line end: 0, unless whoever was
	// writing stopped in the middle of a line.
	Tail int64 `json:"tail,omitempty"`
}

// TakeSnapshot chooses the part of the growing file that a copy is to hold: all
// that is there now and, where the last line is being written, the rest of that
// line, for which it waits up to wait. If its end does not come, the snapshot
// holds the piece as well (nothing is ever cut off a journal) and says so in
// Tail.
func TakeSnapshot(ctx context.Context, f *os.File, wait time.Duration) (Snapshot, error) {
	info, err := f.Stat()
	if err != nil {
		return Snapshot{}, fmt.Errorf("journal: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Snapshot{}, fmt.Errorf("journal %s: is not a file", f.Name())
	}
	size := info.Size()
	tail, err := tailOf(f, size)
	if err != nil || tail == 0 {
		return Snapshot{Size: size}, err
	}
	// The rest of the line is looked for beyond size, and nothing after it.
	buf := make([]byte, 64<<10)
	end := size
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		n, err := f.ReadAt(buf, end)
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			return Snapshot{Size: end + int64(i) + 1}, nil
		}
		end += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			return Snapshot{}, fmt.Errorf("journal: %w", err)
		}
		if n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return Snapshot{}, ctx.Err()
		case <-deadline.C:
			return Snapshot{Size: end, Tail: tail + end - size}, nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tailOf counts the bytes after the last line end before size.
func tailOf(f *os.File, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for end := size; end > 0; {
		n := min(int64(len(buf)), end)
		if _, err := f.ReadAt(buf[:n], end-n); err != nil {
			return 0, fmt.Errorf("journal: %w", err)
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return size - (end - n + int64(i) + 1), nil
		}
		end -= n
	}
	return size, nil
}
