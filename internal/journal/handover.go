package journal

import (
	"errors"
	"io"
	"sync"
)

// handover connects who opens a stream, in one goroutine, with who reads it in
// another. It is a pipe with a short way: what is itself a reader (ReadFrom) is read
// by the other side at once, so that gigabytes are not copied once more.
type handover struct {
	pipe *io.PipeReader
	into *io.PipeWriter
	// first is what is to be read before the pipe.
	first  chan *lent
	choose sync.Once
	lent   *lent // of who reads
	asked  bool
	// stopped is closed when who reads wants no more, for the reason why.
	stopped chan struct{}
	stop    sync.Once
	why     error
}

// lent is a reader that the other side reads.
type lent struct {
	io.Reader
	n     int64
	ended chan error
}

func newHandover() *handover {
	h := &handover{first: make(chan *lent, 1), stopped: make(chan struct{})}
	h.pipe, h.into = io.Pipe()
	return h
}

// Write is for who opens the stream.
func (h *handover) Write(p []byte) (int, error) {
	h.choose.Do(func() { h.first <- nil })
	return h.into.Write(p)
}

// ReadFrom is for who opens the stream. It returns when the other side has read r to
// its end, or wants no more of it.
func (h *handover) ReadFrom(r io.Reader) (int64, error) {
	var mine *lent
	h.choose.Do(func() {
		mine = &lent{Reader: r, ended: make(chan error, 1)}
		h.first <- mine
	})
	if mine == nil {
		return io.Copy(h.into, r) // something came before it
	}
	select {
	case err := <-mine.ended:
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return mine.n, err
	case <-h.stopped:
		return 0, h.why
	}
}

// CloseWithError is for who opens the stream: the other side hears err, or io.EOF if
// it is nil, after all that was given.
func (h *handover) CloseWithError(err error) {
	h.choose.Do(func() { h.first <- nil })
	_ = h.into.CloseWithError(err) // never fails
}

// Read is for who reads the stream.
func (h *handover) Read(p []byte) (int, error) {
	if !h.asked {
		h.lent, h.asked = <-h.first, true
	}
	if h.lent != nil {
		n, err := h.lent.Read(p)
		h.lent.n += int64(n)
		if err == nil {
			return n, nil
		}
		// Who opened the stream hears of its end, and has the last word.
		h.lent.ended <- err
		if h.lent = nil; n > 0 {
			return n, nil
		}
	}
	return h.pipe.Read(p)
}

// Stop is for who reads the stream: the other side hears err.
func (h *handover) Stop(err error) {
	h.stop.Do(func() {
		h.why = err
		close(h.stopped)
		_ = h.pipe.CloseWithError(err) // never fails
	})
}
