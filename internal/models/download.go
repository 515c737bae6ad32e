package models

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// download is a file on its way: what is known of it, and what is on the disk.
type download struct {
	partial string
	// size is -1 where the server does not tell.
	size, offset int64
	// validator is the server's name for this very content: an ETag or a date.
	validator string
	// crc is what Cloud Storage says the CRC32C is; nil where it does not.
	crc *uint32
}

// begun is kept beside a file that is not whole yet.
type begun struct {
	Origin    string `json:"origin"`
	SHA256    string `json:"sha256,omitempty"`
	Size      int64  `json:"size"`
	Validator string `json:"validator,omitempty"`
}

// begin asks the server for the file's size and decides what of an earlier
// download can be kept.
func (l *loader) begin(ctx context.Context, j *job) (*download, error) {
	d := &download{partial: filepath.Join(l.dir, stateDir, "partial", j.Name), size: -1}
	if err := l.probe(ctx, j, d); err != nil {
		return d, err
	}
	if j.Size > 0 {
		if d.size >= 0 && d.size != j.Size {
			return d, fmt.Errorf("the server's file has %d bytes, the list says %d: check the link and the size", d.size, j.Size)
		}
		d.size = j.Size
	}
	note := begun{Origin: j.origin, SHA256: j.SHA256, Size: d.size, Validator: d.validator}
	if l.continues(d, note) {
		return d, nil
	}
	if err := errors.Join(os.RemoveAll(d.partial), os.RemoveAll(d.partial+".json")); err != nil {
		return d, diskError(err)
	}
	b, err := json.Marshal(note)
	if err != nil {
		return d, err
	}
	if err := os.WriteFile(d.partial+".json", b, 0o644); err != nil {
		return d, diskError(err)
	}
	return d, nil
}

// continues says whether what an earlier run left is the beginning of this
// very file; d.offset is then its length.
func (l *loader) continues(d *download, want begun) bool {
	b, err := os.ReadFile(d.partial + ".json")
	if err != nil {
		return false
	}
	var old begun
	if json.Unmarshal(b, &old) != nil || old.SHA256 != want.SHA256 || old.Size != want.Size || old.Validator != want.Validator {
		return false
	}
	// Without a digest, only the server's own word ties the two together.
	if want.SHA256 == "" && (want.Validator == "" || old.Origin != want.Origin) {
		return false
	}
	st, err := os.Stat(d.partial)
	if err != nil || want.Size >= 0 && st.Size() > want.Size {
		return false
	}
	d.offset = st.Size()
	return true
}

// probe asks for the first byte: signed links are often good for GET only, so
// HEAD is no way to ask.
func (l *loader) probe(ctx context.Context, j *job, d *download) error {
	for try := 1; ; try++ {
		err := l.probeOnce(ctx, j, d)
		if err == nil {
			return nil
		}
		retry, after := again(err)
		if !retry || try >= l.o.Tries || after > l.o.MaxWait || ctx.Err() != nil {
			return l.told(ctx, err, after)
		}
		if err := l.wait(ctx, try+1, after); err != nil {
			return err
		}
	}
}

func (l *loader) probeOnce(ctx context.Context, j *job, d *download) error {
	resp, err := l.client.get(ctx, j.URL, 0, 0, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		d.size = resp.ContentLength
	case http.StatusPartialContent:
		_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
		if n, err := strconv.ParseInt(total, 10, 64); err == nil {
			d.size = n
		}
	case http.StatusRequestedRangeNotSatisfiable:
		d.size = 0 // the file is empty: not even byte 0 is there
	default:
		return newAnswer(resp, j.URL)
	}
	d.validator = validator(resp.Header)
	d.crc = googleCRC(resp.Header)
	return nil
}

// validator is the content's name that If-Range takes: a strong ETag, or a date.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}

// googleCRC reads the checksum that Cloud Storage sends with every file.
func googleCRC(h http.Header) *uint32 {
	for _, v := range h.Values("X-Goog-Hash") {
		for part := range strings.SplitSeq(v, ",") {
			text, ok := strings.CutPrefix(strings.TrimSpace(part), "crc32c=")
			b, err := base64.StdEncoding.DecodeString(text)
			if ok && err == nil && len(b) == 4 {
				n := binary.BigEndian.Uint32(b)
				return &n
			}
		}
	}
	return nil
}

// load downloads, checks and finishes one file.
func (l *loader) load(ctx context.Context, j *job) error {
	d := j.d
	f, err := os.OpenFile(d.partial, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return diskError(err)
	}
	defer f.Close()
	const corruptionsBelieved = 2 // the second time it is the server's file, not the way
	for damaged := 1; ; damaged++ {
		sums, err := l.fill(ctx, j, f)
		if err != nil {
			return err
		}
		err = l.check(j, sums)
		if err == nil {
			return l.finish(j, f, sums)
		}
		l.restart(d, f)
		if damaged >= corruptionsBelieved {
			return err
		}
		l.o.Progress.Note("damaged: " + j.Name + " does not match its digest and is downloaded again")
	}
}

// restart throws away what is there of a file.
func (l *loader) restart(d *download, f *os.File) {
	l.o.Progress.Done(-d.offset)
	d.offset = 0
	f.Truncate(0) //nolint:errcheck // the next write says what is wrong
}

// fill downloads until the file is complete, and returns its sums.
func (l *loader) fill(ctx context.Context, j *job, f *os.File) (*sums, error) {
	d := j.d
	h := newSums(d.crc != nil)
	defer h.close()
	if d.offset > 0 {
		if err := h.readFrom(ctx, io.NewSectionReader(f, 0, d.offset)); err != nil {
			return nil, err
		}
		l.o.Progress.Note(fmt.Sprintf("continuing: %s from byte %d", j.Name, d.offset))
	}
	for try := 1; d.size < 0 || d.offset < d.size; try++ {
		before := d.offset
		done, err := l.attempt(ctx, j, f, h)
		if err == nil && done {
			break
		}
		if d.offset > before {
			try = 1
		}
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		retry, after := again(err)
		if !retry || try >= l.o.Tries || after > l.o.MaxWait || ctx.Err() != nil {
			return nil, l.told(ctx, err, after)
		}
		l.o.Progress.Note(fmt.Sprintf("retrying: %s at byte %d: %s", j.Name, d.offset, l.client.clean(bare(err).Error())))
		if err := l.wait(ctx, try+1, after); err != nil {
			return nil, err
		}
	}
	h.finish()
	return h, nil
}

// told is an error as the person may see it.
func (l *loader) told(ctx context.Context, err error, after time.Duration) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var a *answer
	var r *refusal
	switch {
	case errors.As(err, &a) && a.after > l.o.MaxWait:
		return fmt.Errorf("%w (it asks to wait %v)", err, after)
	case errors.As(err, &a), errors.As(err, &r):
		return err
	case errors.Is(err, errStalled):
		return fmt.Errorf("%w: check the network (proxy, firewall) or raise --stall, and run again; what was downloaded is kept", errStalled)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the server broke off again and again: run again; what was downloaded is kept")
	}
	if text := diskError(err); text != err { //nolint:errorlint // whether it was changed
		return text
	}
	return errors.New(l.client.clean(bare(err).Error()))
}

// attempt downloads as far as one request goes.
func (l *loader) attempt(ctx context.Context, j *job, f *os.File, h *sums) (done bool, err error) {
	d := j.d
	resp, err := l.client.get(ctx, j.URL, d.offset, -1, d.validator)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusPartialContent:
		var start int64 = -1
		fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &start) //nolint:errcheck // -1 is the answer then
		if start != d.offset || d.validator != "" && validator(resp.Header) != "" && validator(resp.Header) != d.validator {
			l.again(d, f, h)
			return false, errors.New("the file changed while it was downloaded; starting again")
		}
	case http.StatusOK:
		// Everything from the start: the server knows no ranges, or the file
		// is another one now.
		if d.offset > 0 {
			l.again(d, f, h)
		}
		if v := validator(resp.Header); v != d.validator {
			h.reset()
			d.validator, d.crc = v, googleCRC(resp.Header)
			h.wantCRC = d.crc != nil
			if j.Size == 0 {
				d.size = resp.ContentLength
			}
		}
	case http.StatusRequestedRangeNotSatisfiable:
		l.again(d, f, h)
		return false, errors.New("the file became shorter while it was downloaded; starting again")
	default:
		return false, newAnswer(resp, j.URL)
	}
	known := d.size
	if known < 0 && resp.ContentLength >= 0 {
		known = d.offset + resp.ContentLength
	}
	n, err := h.copy(f, resp.Body, d.offset, l.o.Progress.Done)
	d.offset += n
	j.result.Bytes += n
	switch {
	case err != nil:
		return false, err
	case known >= 0 && d.offset > known:
		return false, &refusal{fmt.Sprintf("the server sent %d bytes where it promised %d: check the link and the size", d.offset, known)}
	}
	return known < 0 || d.offset == known, nil
}

func (l *loader) again(d *download, f *os.File, h *sums) {
	l.restart(d, f)
	h.reset()
}

// check compares a complete file with what is known of it.
func (l *loader) check(j *job, h *sums) error {
	switch {
	case j.d.size >= 0 && j.d.offset != j.d.size:
		return fmt.Errorf("has %d bytes, must have %d", j.d.offset, j.d.size)
	case j.SHA256 != "" && h.sha256() != j.SHA256:
		return fmt.Errorf("has the digest sha256:%s, must have sha256:%s: check sha256 in the list, or ask Deepgram for it; nothing was kept", h.sha256(), j.SHA256)
	case j.d.crc != nil && h.crc32c() != *j.d.crc:
		return fmt.Errorf("has the checksum crc32c:%08x, Cloud Storage says %08x: it was damaged on its way; run again; nothing was kept", h.crc32c(), *j.d.crc)
	}
	return nil
}

// finish gives a complete file its name. The manifest is written first: after a
// kill in between, its entry does not match anything, and the next run finds
// the complete file under its temporary name.
func (l *loader) finish(j *job, f *os.File, h *sums) error {
	if err := f.Sync(); err != nil {
		return diskError(err)
	}
	st, err := f.Stat()
	if err != nil {
		return diskError(err)
	}
	e := Entry{Name: j.Name, Size: st.Size(), SHA256: h.sha256(), LoadedAt: now(), Modified: st.ModTime(), Origin: j.origin}
	if err := l.store.put(e); err != nil {
		return diskError(err)
	}
	if err := os.Rename(j.d.partial, filepath.Join(l.dir, j.Name)); err != nil {
		return diskError(err)
	}
	if err := errors.Join(syncDir(l.dir), os.RemoveAll(j.d.partial+".json")); err != nil {
		return diskError(err)
	}
	j.result.Status, j.result.Size, j.result.SHA256 = Loaded, e.Size, e.SHA256
	l.o.Progress.Note(fmt.Sprintf("loaded: %s (%d bytes, sha256:%s)", e.Name, e.Size, e.SHA256))
	return nil
}

func (h *sums) sha256() string { return hex.EncodeToString(h.digest) }
