package journal

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// The stream of Cat is a line of JSON (head), the bytes, and a line of JSON
// (foot). Whoever reads it knows by the foot that nothing is missing, and by its
// digest that nothing is changed; without the foot it goes on from where it is.
// Empty lines before the head are signs of life: the digest is of the whole
// journal, and what the reader has already is read here before anything is sent.
// In several lanes, the first has head and foot, and every lane its stripes.

// lifeSign is how often one is sent.
const lifeSign = 5 * time.Second

// head is the first line of a stream.
type head struct {
	Snapshot
	Offset int64 `json:"offset"`
	// Lanes says that the bytes come in so many lanes; 0 means one.
	Lanes int `json:"lanes,omitempty"`
}

// foot is the last line of a stream.
type foot struct {
	// SHA256 is the digest of the whole snapshot, from its first byte.
	SHA256 string `json:"sha256"`
}

// CatOptions set up Cat.
type CatOptions struct {
	// Path is the journal. Required.
	Path string
	// Offset is the first byte to send.
	Offset int64
	// Size is that of the snapshot that is being continued; 0 takes one.
	Size int64
	// Wait is how long to wait for the end of a line; 0 means 5 s.
	Wait time.Duration
	// Compress packs the stream with zstd.
	Compress bool
	// LifeSign is how often something is sent while the part before Offset is
	// read; 0 means 5 s.
	LifeSign time.Duration
	// Lanes is in how many lanes the bytes may be sent, and Lane which of them this
	// is, from 0. The head says whether they are; all but lane 0 need Size, and are
	// nothing but bytes.
	Lanes, Lane int
	// Hashed is what was hashed of the journal already; the zero value nothing.
	Hashed Hashed
	// Length hears, before head or bytes, how many bytes are going to be written from
	// then on, where that is known; nil nobody.
	Length func(bytes int64)
}

// Cat writes a snapshot of the journal, with its digest, for Fetch to read. It
// runs beside the journal, in the helper pod.
func Cat(ctx context.Context, w io.Writer, o CatOptions) error {
	if o.Wait == 0 {
		o.Wait = 5 * time.Second
	}
	f, err := os.Open(o.Path)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	h := head{Snapshot: Snapshot{Size: o.Size}, Offset: o.Offset}
	if o.Size == 0 {
		if h.Snapshot, err = TakeSnapshot(ctx, f, o.Wait); err != nil {
			return err
		}
	}
	if o.Offset < 0 || o.Size > 0 && o.Offset > o.Size {
		return fmt.Errorf("offset %d: must be 0 to %d", o.Offset, h.Size)
	}
	lanes := stripes{from: o.Offset, to: h.Size, lanes: 1}
	if o.Lanes > 1 && !o.Compress && lanes.to-lanes.from > int64(o.Lanes)*stripe {
		lanes.lanes, h.Lanes = o.Lanes, o.Lanes
	}
	if o.Lane < 0 || o.Lane >= lanes.lanes || o.Lane > 0 && o.Size == 0 {
		return fmt.Errorf("lane %d: must be 0 to %d, and needs the size", o.Lane, lanes.lanes-1)
	}
	r := &reading{ctx: ctx, f: f, size: h.Size, buf: make([]byte, chunkSize), digest: sha256.New()}
	if o.Lane > 0 {
		if o.Length != nil {
			o.Length(lanes.length(o.Lane))
		}
		return lanes.each(func(lane int, from, to int64) error {
			if lane != o.Lane {
				return nil
			}
			return r.pass(from, to, w)
		})
	}
	if o.Hashed.Size > 0 && o.Hashed.Size <= h.Size {
		r.digest, r.hashed = o.Hashed.digest, o.Hashed.Size
	}
	out := bufio.NewWriterSize(w, 64<<10)
	var body io.Writer = out
	finish := out.Flush
	if o.Compress {
		z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		body, finish = z, func() error { return errors.Join(z.Close(), out.Flush()) }
	}
	e := json.NewEncoder(body)
	if o.Offset > h.Size {
		// Who reads this has more than there is: the head says so.
		return errors.Join(e.Encode(h), finish())
	}
	if err := r.pass(r.hashed, o.Offset, &lively{every: cmp.Or(o.LifeSign, lifeSign), last: time.Now(), sign: func() error {
		_, err := io.WriteString(body, "\n")
		if z, ok := body.(*zstd.Encoder); ok {
			err = errors.Join(err, z.Flush())
		}
		if err = errors.Join(err, out.Flush()); err == nil {
			if flusher, ok := w.(interface{ Flush() error }); ok {
				err = flusher.Flush()
			}
		}
		return err
	}}); err != nil {
		return err
	}
	if o.Length != nil && !o.Compress {
		o.Length(around(h) + lanes.length(0))
	}
	if err := e.Encode(h); err != nil {
		return err
	}
	if err := lanes.each(func(lane int, from, to int64) error {
		if lane != 0 {
			return r.pass(max(from, r.hashed), to, io.Discard) // for the digest only
		}
		return r.pass(from, to, body)
	}); err != nil {
		return err
	}
	if err := e.Encode(foot{SHA256: hex.EncodeToString(r.digest.Sum(nil))}); err != nil {
		return err
	}
	return finish()
}

// reading is a journal that is being read from its beginning to its end.
type reading struct {
	ctx context.Context
	f   *os.File
	// size is that of the snapshot.
	size   int64
	buf    []byte
	digest hash.Hash
	// hashed is how much of it is in the digest.
	hashed int64
}

// pass reads the part from one byte to another, hashes what follows on what is hashed
// already, and writes all of it.
func (r *reading) pass(from, to int64, w io.Writer) error {
	for from < to {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		part := r.buf[:min(int64(len(r.buf)), to-from)]
		if n, err := r.f.ReadAt(part, from); n < len(part) {
			return shrunk(err, from+int64(n), r.size)
		}
		end := from + int64(len(part))
		if from <= r.hashed && r.hashed < end {
			_, _ = r.digest.Write(part[r.hashed-from:]) // never fails
			r.hashed = end
		}
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		from = end
	}
	return nil
}

// around is how long head and foot of a stream are.
func around(h head) int64 {
	begin, _ := json.Marshal(h)
	end, _ := json.Marshal(foot{SHA256: strings.Repeat("0", hex.EncodedLen(sha256.Size))})
	return int64(len(begin) + len("\n") + len(end) + len("\n"))
}

func shrunk(err error, at, size int64) error {
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("journal: %w", err)
	}
	return fmt.Errorf("journal: ends at byte %d, though it had %d: a journal never shrinks", at, size)
}

// lively gives a sign of life now and then while it is written to.
type lively struct {
	every time.Duration
	last  time.Time
	sign  func() error
}

func (l *lively) Write(p []byte) (int, error) {
	if now := time.Now(); now.Sub(l.last) >= l.every {
		l.last = now
		if err := l.sign(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// withContext is a writer that ends with its context.
type withContext struct {
	ctx context.Context
	w   io.Writer
}

func (w withContext) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}
