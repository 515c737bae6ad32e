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
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
)

// The stream of Cat is a line of JSON (head), the bytes, and a line of JSON
// (foot). Whoever reads it knows by the foot that nothing is missing, and by its
// digest that nothing is changed; without the foot it goes on from where it is.
// Empty lines before the head are signs of life: the digest is of the whole
// journal, and what the reader has already is read here before anything is sent.

// lifeSign is how often one is sent.
const lifeSign = 5 * time.Second

// head is the first line of a stream.
type head struct {
	Snapshot
	Offset int64 `json:"offset"`
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
	out := bufio.NewWriterSize(w, chunkSize)
	var body io.Writer = out
	finish := out.Flush
	if o.Compress {
		z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		body, finish = z, func() error { return errors.Join(z.Close(), out.Flush()) }
	}
	if o.Offset > h.Size {
		// Who reads this has more than there is: the head says so.
		return errors.Join(json.NewEncoder(body).Encode(h), finish())
	}
	digest := sha256.New()
	buf := make([]byte, chunkSize)
	alive := &lively{ctx: ctx, every: cmp.Or(o.LifeSign, lifeSign), last: time.Now(), sign: func() error {
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
	}}
	before := struct{ io.Reader }{io.LimitReader(f, o.Offset)}
	if n, err := io.CopyBuffer(io.MultiWriter(digest, alive), before, buf); err != nil || n < o.Offset {
		return shrunk(err, n, h.Size)
	}
	e := json.NewEncoder(body)
	if err := e.Encode(h); err != nil {
		return err
	}
	n, err := io.CopyBuffer(io.MultiWriter(digest, withContext{ctx, body}),
		struct{ io.Reader }{io.LimitReader(f, h.Size-o.Offset)}, buf)
	if err != nil || n < h.Size-o.Offset {
		return shrunk(err, o.Offset+n, h.Size)
	}
	if err := e.Encode(foot{SHA256: hex.EncodeToString(digest.Sum(nil))}); err != nil {
		return err
	}
	return finish()
}

func shrunk(err error, at, size int64) error {
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return fmt.Errorf("journal: ends at byte %d, though it had %d: a journal never shrinks", at, size)
}

// lively gives a sign of life now and then while it is written to.
type lively struct {
	ctx   context.Context
	every time.Duration
	last  time.Time
	sign  func() error
}

func (l *lively) Write(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
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
