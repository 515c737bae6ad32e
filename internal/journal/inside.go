package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// What deepgram-ops does inside a helper pod, besides Cat.

// Hold keeps the helper pod alive, at most so long, and serves journals meanwhile
// where a token is given. A port that cannot be served is only told: exec is still
// there.
func Hold(ctx context.Context, limit time.Duration, o ServeOptions, note func(error)) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if o.TokenSHA256 != "" {
		l, err := Listen(ctx)
		if err == nil {
			err = Serve(ctx, l, o)
		}
		if err != nil {
			note(err)
		}
	}
	<-ctx.Done()
}

// WriteStat reads a journal and writes its Report as JSON; null where there is
// no journal yet.
func WriteStat(ctx context.Context, w io.Writer, path string, wait time.Duration) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return json.NewEncoder(w).Encode(nil)
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	wait = cmp.Or(wait, 5*time.Second)
	snap, err := TakeSnapshot(ctx, f, wait)
	if err != nil {
		return err
	}
	r, err := Scan(ctx, io.NewSectionReader(f, 0, snap.Size), nil)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return json.NewEncoder(w).Encode(r)
}

// Receive writes a journal to the new file path, if it has that size and
// digest; otherwise nothing is there afterwards.
func Receive(ctx context.Context, r io.Reader, path string, size int64, digest string) error {
	f, err := createNew(path)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer f.discard()
	s := newSink()
	if _, err := io.CopyBuffer(io.MultiWriter(withContext{ctx, f}, s), struct{ io.Reader }{io.LimitReader(r, size)},
		make([]byte, chunkSize)); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if got := s.report(); got.Size != size || got.SHA256 != digest {
		return fmt.Errorf("restore: %d bytes with digest %s arrived instead of %d with %s: nothing is written", got.Size, got.SHA256, size, digest)
	}
	if err := f.commit(0o644); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}
