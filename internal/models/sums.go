package models

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"hash/crc32"
	"io"
)

// bufferSize keeps the number of switches between reading and hashing low.
const bufferSize = 512 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sums hashes what passes through it on a goroutine of its own, so that one
// core reads and writes while another hashes.
type sums struct {
	sha    hash.Hash
	crc    uint32
	digest []byte
	// wantCRC is set while the server has told a CRC32C to compare with. It is
	// changed only while nothing is under way.
	wantCRC bool

	work chan []byte   // filled buffers; nil asks for a rendezvous
	idle chan []byte   // empty buffers
	met  chan struct{} // answers nil
	shut bool
}

func newSums(wantCRC bool) *sums {
	const buffers = 4
	h := &sums{
		wantCRC: wantCRC, sha: sha256.New(), work: make(chan []byte, buffers),
		idle: make(chan []byte, buffers), met: make(chan struct{}),
	}
	for range buffers {
		h.idle <- make([]byte, bufferSize)
	}
	go func() {
		for b := range h.work {
			if b == nil {
				h.met <- struct{}{}
				continue
			}
			h.sha.Write(b)
			if h.wantCRC {
				h.crc = crc32.Update(h.crc, castagnoli, b)
			}
			h.idle <- b[:bufferSize]
		}
	}()
	return h
}

// meet waits until everything given so far is hashed.
func (h *sums) meet() {
	h.work <- nil
	<-h.met
}

func (h *sums) reset() {
	h.meet()
	h.sha.Reset()
	h.crc = 0
}

func (h *sums) finish() {
	h.meet()
	h.digest = h.sha.Sum(nil)
}

func (h *sums) crc32c() uint32 { return h.crc }

func (h *sums) close() {
	if !h.shut {
		h.shut = true
		close(h.work)
	}
}

// copy writes r to w at offset at, hashing it, until r ends. It returns what
// was written; err is nil at the end of r.
func (h *sums) copy(w io.WriterAt, r io.Reader, at int64, done func(int64)) (int64, error) {
	var written int64
	for {
		b := <-h.idle
		n, rerr := r.Read(b)
		if n > 0 {
			_, werr := w.WriteAt(b[:n], at+written)
			if werr != nil {
				h.idle <- b
				// What reached the disk of this piece is not hashed: it is
				// written again.
				return written, werr
			}
			written += int64(n)
			done(int64(n))
			h.work <- b[:n]
		} else {
			h.idle <- b
		}
		if errors.Is(rerr, io.EOF) && !errors.Is(rerr, io.ErrUnexpectedEOF) {
			return written, nil
		}
		if rerr != nil {
			return written, rerr
		}
	}
}

// readFrom hashes what is on the disk already.
func (h *sums) readFrom(ctx context.Context, r io.Reader) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := <-h.idle
		n, err := r.Read(b)
		if n > 0 {
			h.work <- b[:n]
		} else {
			h.idle <- b
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
