package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

const (
	// chunkSize is what is read at a time: large enough that the hand-over
	// between the goroutines costs nothing.
	chunkSize = 1 << 20
	// maxLine bounds the memory that one line may take.
	maxLine = 16 << 20
	// maxProblems bounds a report; the rest is only counted.
	maxProblems = 20
)

// Problem is one line that is not what a journal holds. It never quotes the
// line.
type Problem struct {
	// Line counts from 1.
	Line int64 `json:"line"`
	// Offset is where the line starts, in bytes.
	Offset int64  `json:"offset"`
	Text   string `json:"text"`
}

func (p Problem) String() string {
	return fmt.Sprintf("line %d (byte %d): %s", p.Line, p.Offset, p.Text)
}

// Report is what is known of a journal after reading all of it.
type Report struct {
	// Size is in bytes.
	Size int64 `json:"size"`
	// Lines counts complete lines.
	Lines  int64  `json:"lines"`
	SHA256 string `json:"sha256"`
	// Tail is how many bytes follow the last complete line; 0 is right.
	Tail int64 `json:"tail,omitempty"`
	// BadLines counts the lines that are not JSON objects with d and s.
	BadLines int64 `json:"badLines,omitempty"`
	// Problems names the first 20 of them.
	Problems []Problem `json:"problems,omitempty"`
	// marks are the digests of the prefixes that were asked for.
	marks map[int64]string
}

// Err says what is wrong with the journal; nil if nothing is.
func (r Report) Err() error {
	var errs []error
	for _, p := range r.Problems {
		errs = append(errs, errors.New(p.String()))
	}
	if more := r.BadLines - int64(len(r.Problems)); more > 0 {
		errs = append(errs, fmt.Errorf("and %d more lines", more))
	}
	if r.Tail > 0 {
		errs = append(errs, fmt.Errorf("line %d (byte %d): is not complete: %d bytes without a line end", r.Lines+1, r.Size-r.Tail, r.Tail))
	}
	if r.Size == 0 {
		errs = append(errs, errors.New("is empty: billing has written nothing yet"))
	}
	return errors.Join(errs...)
}

// Prefix is the digest of the first size bytes, if they were asked for and
// there are as many.
func (r Report) Prefix(size int64) (string, bool) {
	d, ok := r.marks[size]
	return d, ok
}

// lines checks journal lines as they are written to it.
type lines struct {
	r     *Report
	carry []byte
	// long says that the rest of an over-long line is being skipped.
	long  bool
	start int64
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.keep(p)
			break
		}
		line := p[:i]
		if len(l.carry) > 0 || l.long {
			l.keep(line)
			line = l.carry
		}
		l.line(line)
		p = p[i+1:]
	}
	l.r.Size += int64(n)
	return n, nil
}

// keep holds the beginning of a line until its end comes.
func (l *lines) keep(p []byte) {
	if l.long = l.long || len(l.carry)+len(p) > maxLine; !l.long {
		l.carry = append(l.carry, p...)
	}
	l.r.Tail += int64(len(p))
}

func (l *lines) line(b []byte) {
	length := int64(len(b)) + 1
	if l.r.Tail > 0 {
		length = l.r.Tail + 1
	}
	l.r.Lines++
	text := ""
	switch {
	case l.long:
		text = fmt.Sprintf("is longer than %d bytes", maxLine)
	case !usual(b):
		text = unusual(b)
	}
	if text != "" {
		l.r.BadLines++
		if len(l.r.Problems) < maxProblems {
			l.r.Problems = append(l.r.Problems, Problem{Line: l.r.Lines, Offset: l.start, Text: text})
		}
	}
	l.start += length
	l.carry, l.long, l.r.Tail = l.carry[:0], false, 0
}

var (
	usualStart  = []byte(`{"d":"`)
	usualMiddle = []byte(`","s":"`)
	usualEnd    = []byte(`"}`)
)

// usual reports whether the line is exactly {"d":"…","s":"…"} with nothing to
// unescape. Nearly every line is; encoding/json would take ten times as long.
func usual(b []byte) bool {
	b, ok := bytes.CutPrefix(b, usualStart)
	if !ok {
		return false
	}
	if b, ok = bytes.CutPrefix(b[plain(b):], usualMiddle); !ok {
		return false
	}
	return bytes.Equal(b[plain(b):], usualEnd)
}

// unusual says what is wrong with a line, or nothing if it is a journal line in
// another spelling.
func unusual(b []byte) string {
	if len(bytes.TrimSpace(b)) == 0 {
		return "is empty"
	}
	var v struct {
		D, S json.RawMessage
	}
	// Exact keys: encoding/json also takes "D" for "d".
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil || m == nil {
		return "is not a JSON object"
	}
	v.D, v.S = m["d"], m["s"]
	for _, f := range []struct {
		key string
		v   json.RawMessage
	}{{"d", v.D}, {"s", v.S}} {
		if len(f.v) == 0 {
			return fmt.Sprintf("has no %q", f.key)
		}
		if f.v[0] != '"' {
			return fmt.Sprintf("has a %q that is not a string", f.key)
		}
	}
	return ""
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain counts the bytes at the start of b that stand for themselves in a JSON
// string: ASCII without control characters, quotes and backslashes. It looks at many
// bytes at a time.
func plain(b []byte) int {
	for _, special := range []byte{'"', '\\'} {
		if i := bytes.IndexByte(b, special); i >= 0 {
			b = b[:i]
		}
	}
	i := 0
	for ; i+32 <= len(b); i += 32 {
		if (odd(b[i:])|odd(b[i+8:])|odd(b[i+16:])|odd(b[i+24:]))&highs != 0 {
			break
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// odd has one of the highs unless the first eight bytes of b are ASCII without
// control characters.
func odd(b []byte) uint64 {
	w := binary.LittleEndian.Uint64(b)
	return w | (w - ones*' ')
}

// digester hashes what is written to it and remembers the digests at marks.
type digester struct {
	r *Report
	h interface {
		io.Writer
		Sum([]byte) []byte
	}
	n     int64
	marks []int64
}

func newDigester(r *Report, marks []int64) *digester {
	marks = slices.Clone(marks)
	slices.Sort(marks)
	r.marks = make(map[int64]string, len(marks))
	d := &digester{r: r, h: sha256.New(), marks: marks}
	d.mark()
	return d
}

func (d *digester) mark() {
	for len(d.marks) > 0 && d.marks[0] <= d.n {
		if d.marks[0] == d.n {
			d.r.marks[d.n] = hex.EncodeToString(d.h.Sum(nil))
		}
		d.marks = d.marks[1:]
	}
}

func (d *digester) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		q := p
		if len(d.marks) > 0 && d.marks[0] < d.n+int64(len(p)) {
			q = p[:d.marks[0]-d.n]
		}
		_, _ = d.h.Write(q)
		d.n += int64(len(q))
		p = p[len(q):]
		d.mark()
	}
	return n, nil
}

// sink checks a journal as it passes, in one goroutine: for a transfer, which
// is slower than that.
type sink struct {
	r Report
	l lines
	d *digester
}

func newSink(marks ...int64) *sink {
	s := &sink{}
	s.l.r = &s.r
	s.d = newDigester(&s.r, marks)
	return s
}

func (s *sink) Write(p []byte) (int, error) {
	_, _ = s.d.Write(p)
	return s.l.Write(p)
}

func (s *sink) report() Report {
	r := s.r
	r.SHA256 = hex.EncodeToString(s.d.h.Sum(nil))
	return r
}

// Scan reads a journal to its end, checks every line and computes its digest,
// and the digests of the prefixes that marks name. Hashing, checking and every
// extra consumer run beside each other.
func Scan(ctx context.Context, r io.Reader, marks []int64, also ...io.Writer) (Report, error) {
	s := newSink(marks...)
	if err := spread(ctx, r, append([]io.Writer{s.d, &s.l}, also...)); err != nil {
		return Report{}, err
	}
	return s.report(), nil
}

// chunk is a piece of the file that several consumers read.
type chunk struct {
	buf  []byte
	n    int
	left atomic.Int32
}

// spread reads r and writes all of it to every consumer, each in a goroutine of
// its own.
func spread(ctx context.Context, r io.Reader, to []io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	free := make(chan *chunk, 4)
	for range cap(free) {
		free <- &chunk{buf: make([]byte, chunkSize)}
	}
	feeds := make([]chan *chunk, len(to))
	var wg sync.WaitGroup
	for i, w := range to {
		feeds[i] = make(chan *chunk, cap(free))
		wg.Go(func() {
			for c := range feeds[i] {
				if context.Cause(ctx) == nil {
					if _, err := w.Write(c.buf[:c.n]); err != nil {
						cancel(err)
					}
				}
				if c.left.Add(-1) == 0 {
					free <- c
				}
			}
		})
	}
	err := func() error {
		for {
			var c *chunk
			select {
			case c = <-free:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			n, err := io.ReadFull(r, c.buf)
			if n > 0 {
				c.n = n
				c.left.Store(int32(len(to)))
				for _, f := range feeds {
					f <- c
				}
			}
			switch {
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				return nil
			case err != nil:
				return err
			}
		}
	}()
	for _, f := range feeds {
		close(f)
	}
	wg.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// Proof says whether an older copy is a byte prefix of a newer one.
type Proof struct {
	// Previous names the older copy.
	Previous string `json:"previous"`
	// Size is that of the older copy, in bytes.
	Size int64 `json:"size"`
	// AppendOnly is the answer.
	AppendOnly bool `json:"appendOnly"`
	// Differs is the first byte that is not the same; -1 where none is.
	Differs int64 `json:"differs"`
}

// Err says how the proof failed; nil if it did not.
func (p Proof) Err() error {
	if p.AppendOnly {
		return nil
	}
	if p.Differs < 0 {
		return fmt.Errorf("append-only: the older copy %s (%d bytes) is longer than the newer one: a journal never shrinks; keep both and tell Deepgram", p.Previous, p.Size)
	}
	return fmt.Errorf("append-only: the older copy %s (%d bytes) is no prefix of the newer one, they differ at byte %d: keep both and tell Deepgram", p.Previous, p.Size, p.Differs)
}

// comparer compares what is written to it with another reader.
type comparer struct {
	old     io.Reader
	buf     []byte
	n       int64
	ended   bool
	differs int64
}

func (c *comparer) Write(p []byte) (int, error) {
	n := len(p)
	if c.ended || c.differs >= 0 {
		return n, nil
	}
	if cap(c.buf) < n {
		c.buf = make([]byte, n)
	}
	got, err := io.ReadFull(c.old, c.buf[:n])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, fmt.Errorf("reading the older copy: %w", err)
	}
	c.ended = got < n
	if !bytes.Equal(p[:got], c.buf[:got]) {
		for i := range got {
			if p[i] != c.buf[i] {
				c.differs = c.n + int64(i)
				break
			}
		}
	}
	c.n += int64(got)
	return n, nil
}

// Verify reads a journal file, and proves that the file previous (if not empty)
// is a prefix of it.
func Verify(ctx context.Context, path, previous string) (Report, *Proof, error) {
	f, err := os.Open(path)
	if err != nil {
		return Report{}, nil, fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	if previous == "" {
		r, err := Scan(ctx, f, nil)
		return r, nil, err
	}
	old, err := os.Open(previous)
	if err != nil {
		return Report{}, nil, fmt.Errorf("previous journal: %w", err)
	}
	defer old.Close()
	info, err := old.Stat()
	if err != nil {
		return Report{}, nil, fmt.Errorf("previous journal: %w", err)
	}
	c := &comparer{old: old, differs: -1}
	r, err := Scan(ctx, f, nil, c)
	if err != nil {
		return Report{}, nil, err
	}
	p := &Proof{Previous: previous, Size: info.Size(), Differs: c.differs}
	p.AppendOnly = c.differs < 0 && r.Size >= p.Size
	return r, p, nil
}
