package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A journal may come in several lanes at once, each a request of its own: the API
// server passes every request on with one goroutine, which is slower than the rest
// of the way, and one connection is slower than several where the way is long. The
// bytes are dealt out in stripes, so that all lanes are busy until the end.

const (
	// stripe is how much of a journal one lane sends before it is the next one's
	// turn.
	stripe = 256 << 10
	// laneCount is how many lanes are asked for.
	laneCount = 3
)

// stripes deals out the bytes of a journal.
type stripes struct {
	from, to int64
	lanes    int
}

// each calls do for every stripe, until one fails.
func (s stripes) each(do func(lane int, from, to int64) error) error {
	lane := 0
	for at := s.from; at < s.to; lane = (lane + 1) % s.lanes {
		end := s.to
		if s.lanes > 1 {
			end = min(at+stripe, s.to)
		}
		if err := do(lane, at, end); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// length is how many bytes one lane has.
func (s stripes) length(lane int) (n int64) {
	_ = s.each(func(l int, from, to int64) error {
		if l == lane {
			n += to - from
		}
		return nil
	}) // never fails
	return n
}

// merged reads a stream of Cat from its lanes.
type merged struct {
	// open opens another lane of a snapshot of that size.
	open func(lane int, size int64) (io.ReadCloser, error)
	// lanes has the first one; the others follow when the head is known.
	lanes []io.ReadCloser
	// first buffers the first lane, as the head is a line.
	first *bufio.Reader
	line  []byte
	began bool
	// at is the byte that comes next of a journal in several lanes, to its end, and
	// left how much of its stripe is missing.
	lane   int
	at, to int64
	left   int64
}

func newMerged(first io.ReadCloser, open func(lane int, size int64) (io.ReadCloser, error)) *merged {
	return &merged{open: open, lanes: []io.ReadCloser{first}, first: bufio.NewReader(first)}
}

// Read reads the stream as if it had come in one lane.
func (m *merged) Read(p []byte) (int, error) {
	if len(m.line) == 0 && !m.began {
		line, err := m.first.ReadBytes('\n')
		if m.line = line; err != nil {
			m.began = true // whatever it is, it is not in lanes
			return m.rest(p, err)
		}
		if !bytes.Equal(line, []byte("\n")) { // not a sign of life
			m.began = true
			if err := m.split(line); err != nil {
				return 0, err
			}
		}
	}
	if len(m.line) > 0 {
		return m.rest(p, nil)
	}
	if m.at == m.to {
		return m.first.Read(p) // the foot, or all of it
	}
	var in io.Reader = m.first
	if m.lane > 0 {
		in = m.lanes[m.lane]
	}
	n, err := in.Read(p[:min(int64(len(p)), m.left)])
	m.at, m.left = m.at+int64(n), m.left-int64(n)
	if m.left == 0 {
		m.lane, m.left = (m.lane+1)%len(m.lanes), min(stripe, m.to-m.at)
		err = nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// rest hands out the line.
func (m *merged) rest(p []byte, err error) (int, error) {
	n := copy(p, m.line)
	if m.line = m.line[n:]; len(m.line) > 0 {
		err = nil
	}
	return n, err
}

// split opens the lanes that the head tells of.
func (m *merged) split(line []byte) error {
	var h head
	_ = json.Unmarshal(line, &h) // who reads the stream will say what is wrong
	if h.Lanes < 2 {
		return nil // an older helper's, for example
	}
	if h.Lanes > laneCount {
		return fmt.Errorf("source sends %d lanes, though it was asked for %d", h.Lanes, laneCount)
	}
	if h.Offset < 0 || h.Size < h.Offset {
		return nil // likewise
	}
	for lane := 1; lane < h.Lanes; lane++ {
		in, err := m.open(lane, h.Size)
		if err != nil {
			return fmt.Errorf("lane %d: %w", lane, err)
		}
		m.lanes = append(m.lanes, in)
	}
	m.at, m.to, m.left = h.Offset, h.Size, min(stripe, h.Size-h.Offset)
	return nil
}

// Close closes all lanes.
func (m *merged) Close() error {
	var errs []error
	for _, lane := range m.lanes {
		errs = append(errs, lane.Close())
	}
	return errors.Join(errs...)
}
