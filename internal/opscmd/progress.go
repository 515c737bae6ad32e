package opscmd

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// meter prints how many bytes are done, at most one line an interval, and
// notes at once. It is the Progress of images and models.
type meter struct {
	w     io.Writer
	every time.Duration
	now   func() time.Time

	mu          sync.Mutex
	total, done int64
	start, last time.Time
}

func newMeter(w io.Writer, every time.Duration) *meter {
	return &meter{w: w, every: every, now: time.Now}
}

// Expect adds bytes to what is to be done.
func (m *meter) Expect(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total += n
}

// Done adds bytes to what is done; a negative number takes them back.
func (m *meter) Done(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	now := m.now()
	if m.start.IsZero() {
		m.start, m.last = now, now
	}
	if m.every <= 0 || now.Sub(m.last) < m.every {
		return
	}
	m.last = now
	line := "progress: " + byteSize(m.done)
	if m.total > 0 {
		line += fmt.Sprintf(" of %s (%d %%)", byteSize(m.total), min(100, m.done*100/m.total))
	}
	if s := now.Sub(m.start).Seconds(); s > 0 {
		line += fmt.Sprintf(", %s/s", byteSize(int64(float64(m.done)/s)))
	}
	fmt.Fprintln(m.w, line)
}

// Note prints one line.
func (m *meter) Note(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fmt.Fprintln(m.w, line)
}

// byteSize is a size for people.
func byteSize(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	div, exp := int64(unit), 0
	for v := n / unit; v >= unit; v /= unit {
		div *= unit
		exp++
	}
	return fmt.Sprintf("%.1f %ciB", float64(n)/float64(div), "KMGTPE"[exp])
}
