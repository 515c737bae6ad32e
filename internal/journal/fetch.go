package journal

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Open starts the stream of Cat at a journal's source, from offset on, of the
// snapshot of that size (0 takes one), and writes it to w until it ends.
type Open func(ctx context.Context, offset, size int64, compress bool, w io.Writer) error

// FetchOptions set up Fetch. The zero value works.
type FetchOptions struct {
	// Tries is how often in a row the stream may end without a byte of
	// progress; 0 means 6.
	Tries int
	// FirstWait is the wait before the second try, doubled after, at most 10 s;
	// 0 means 500 ms.
	FirstWait time.Duration
	// Stall ends a stream that is silent for so long; 0 means 1 minute.
	Stall time.Duration
	// Compress packs the stream with zstd.
	Compress bool
	// Beginning is a file with the beginning of the journal, such as an older copy
	// of it, which is not sent again: the source only hashes it. Empty means that
	// all is sent. Fetch fails with ErrBeginning where the journal begins
	// otherwise.
	Beginning string
	// Progress hears how many bytes came; nil nobody.
	Progress func(bytes int64)
	// Note hears of a cut; nil nobody.
	Note func(line string)
}

// fatal is an error that another try does not mend.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// ErrBeginning says that a journal does not begin as an older copy of it does.
var ErrBeginning = errors.New("does not begin as the older copy does")

// errAnother says that the source has other bytes than were taken for its own.
var errAnother = errors.New("it is not the same journal")

// Fetched is what a transfer brought.
type Fetched struct {
	Report
	// Resumed is how many bytes came from FetchOptions.Beginning.
	Resumed int64 `json:"resumed,omitempty"`
	// Cuts counts how often the connection was lost.
	Cuts int `json:"cuts,omitempty"`
}

// Fetch copies a journal from its source to w, goes on where a cut ended it,
// and returns only after the digest of what was written is the source's.
func Fetch(ctx context.Context, open Open, w io.Writer, o FetchOptions) (Fetched, error) {
	o.Tries = cmp.Or(o.Tries, 6)
	o.FirstWait = cmp.Or(o.FirstWait, 500*time.Millisecond)
	o.Stall = cmp.Or(o.Stall, time.Minute)
	t := &transfer{o: o, open: open, sink: newSink(), to: w}
	wait, left := o.FirstWait, o.Tries
	var cuts int
	if err := t.begin(ctx); err != nil {
		return Fetched{}, err
	}
	begun := t.sink.r.Size
	for {
		before := t.sink.r.Size
		err := t.try(ctx)
		if err == nil {
			return Fetched{Report: t.sink.report(), Resumed: begun, Cuts: cuts}, nil
		}
		if ctx.Err() != nil {
			return Fetched{}, ctx.Err()
		}
		if f := (fatal{}); errors.As(err, &f) {
			if o.Beginning != "" && errors.Is(err, errAnother) {
				return Fetched{}, fmt.Errorf("%w %s: %w", ErrBeginning, o.Beginning, f.error)
			}
			return Fetched{}, f.error
		}
		if t.sink.r.Size > before {
			wait, left = o.FirstWait, o.Tries
		}
		if left--; left <= 0 {
			return Fetched{}, fmt.Errorf("transfer stopped at byte %d of %d after %d tries without progress: %w", t.sink.r.Size, t.size, o.Tries, err)
		}
		cuts++
		if o.Note != nil {
			o.Note(fmt.Sprintf("transfer cut at byte %d: %v; going on in %s", t.sink.r.Size, err, wait))
		}
		select {
		case <-ctx.Done():
			return Fetched{}, ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 10*time.Second)
	}
}

// transfer is a copy under way.
type transfer struct {
	o    FetchOptions
	open Open
	sink *sink
	to   io.Writer
	// size is that of the snapshot, known after the first head.
	size    int64
	started bool
}

// begin takes what is there already.
func (t *transfer) begin(ctx context.Context) error {
	if t.o.Beginning == "" {
		return nil
	}
	f, err := os.Open(t.o.Beginning)
	if err != nil {
		return err
	}
	defer f.Close()
	return spread(ctx, f, []io.Writer{t.to, t.sink.d, &t.sink.l})
}

// try runs one stream to its end.
func (t *transfer) try(ctx context.Context) error {
	if t.started && t.size == 0 {
		t.started = false // an empty journal: look again
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(t.o.Stall, func() { cancel(fmt.Errorf("no byte for %s", t.o.Stall)) })
	defer watch.Stop()
	stream := newHandover()
	opened := make(chan error, 1)
	go func() {
		err := t.open(ctx, t.sink.r.Size, t.size, t.o.Compress, stream)
		opened <- err
		stream.CloseWithError(err)
	}()
	err := t.read(stream, func() { watch.Reset(t.o.Stall) })
	if err == nil {
		// Let the stream end by itself: the last bytes are there, only the
		// farewells are missing. Who does not say them is not waited for.
		end := time.AfterFunc(2*time.Second, func() {
			stream.Stop(errDone)
			cancel(errDone)
		})
		_, _ = io.Copy(io.Discard, stream)
		end.Stop()
	}
	stream.Stop(errDone)
	cancel(nil)
	openErr := <-opened
	if err == nil {
		return nil
	}
	if f := (fatal{}); errors.As(err, &f) {
		return err
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	if openErr != nil && !errors.Is(openErr, errDone) {
		return openErr
	}
	return err
}

var errDone = errors.New("done")

func (t *transfer) read(r io.Reader, alive func()) error {
	r = &alert{r, alive}
	if t.o.Compress {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return fatal{err}
		}
		defer z.Close()
		r = z
	}
	in := bufio.NewReaderSize(r, chunkSize)
	var h head
	if err := line(in, &h); err != nil {
		return err
	}
	switch {
	case h.Size < t.sink.r.Size:
		return fatal{fmt.Errorf("%w: source has %d bytes, and %d are here", errAnother, h.Size, t.sink.r.Size)}
	case h.Offset != t.sink.r.Size:
		return fatal{fmt.Errorf("source began at byte %d instead of %d", h.Offset, t.sink.r.Size)}
	case t.started && h.Size != t.size:
		return fatal{fmt.Errorf("source has a snapshot of %d bytes instead of %d", h.Size, t.size)}
	}
	t.size, t.started = h.Size, true
	// What has arrived is kept also when the stream is cut after it.
	rest := io.LimitReader(in, t.size-t.sink.r.Size)
	if err := spread(context.Background(), rest, []io.Writer{keeper{t}, t.sink.d, &t.sink.l}); err != nil {
		return err
	}
	if t.sink.r.Size < t.size {
		return io.ErrUnexpectedEOF
	}
	var f foot
	if err := line(in, &f); err != nil {
		return err
	}
	if got := t.sink.report().SHA256; got != f.SHA256 {
		return fatal{fmt.Errorf("%w: digest of what arrived is %s, of the source %s: the journal was changed while it was copied, or the transfer is broken; nothing is kept", errAnother, got, f.SHA256)}
	}
	return nil
}

// line reads one line of JSON. A line without its end is a cut.
func line(in *bufio.Reader, v any) error {
	b, err := in.ReadBytes('\n')
	for err == nil && len(b) == 1 { // a sign of life
		b, err = in.ReadBytes('\n')
	}
	if err != nil {
		return noEOF(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fatal{fmt.Errorf("source: answers something else than a journal: %w", err)}
	}
	return nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// keeper writes to the destination. One that fails (a full disk) is not asked
// again.
type keeper struct{ t *transfer }

func (k keeper) Write(p []byte) (int, error) {
	if n, err := k.t.to.Write(p); err != nil {
		return n, fatal{err}
	}
	if k.t.o.Progress != nil {
		k.t.o.Progress(int64(len(p)))
	}
	return len(p), nil
}

// alert tells of every byte that comes.
type alert struct {
	r     io.Reader
	alive func()
}

func (a *alert) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if n > 0 {
		a.alive()
	}
	return n, err
}
