package smoke

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// chunkTime is how much sound is sent at a time, as telephones and browsers do.
const chunkTime = 100 * time.Millisecond

// streamSpec is one stream.
type streamSpec struct {
	model, language string
	pcm             PCM
	// repeat says the sound again and again until stop is closed.
	stop <-chan struct{}
	// pace is how many times faster than spoken it is sent.
	pace float64
	// patience is how long the last results may take after the last sound, and the
	// connection to be made.
	patience time.Duration
	// heard hears how far behind its sound each result was.
	heard func(at time.Time, latency time.Duration)
}

// streamResult is what came of a stream.
type streamResult struct {
	RequestID       string
	Transcript      string
	Interim, Finals int
	// Connect is how long the connection took; First and Final how long after their
	// sound the first and the last result came.
	Connect, First, Final time.Duration
	// Results is how far behind its sound each result was.
	Results []time.Duration
	// Lag is how late this machine was with sending, at most.
	Lag time.Duration
}

// result is a message of the API.
type result struct {
	Type     string  `json:"type"`
	IsFinal  bool    `json:"is_final"`
	Start    float64 `json:"start"`
	Duration float64 `json:"duration"`
	Channel  struct {
		Alternatives []struct {
			Transcript string `json:"transcript"`
		} `json:"alternatives"`
	} `json:"channel"`
	Metadata struct {
		RequestID string `json:"request_id"`
	} `json:"metadata"`
	RequestID string `json:"request_id"`
	// Of errors.
	Description string `json:"description"`
	Message     string `json:"message"`
}

// book keeps when each piece of sound was spoken. Where the API takes it late, that
// is part of the latency; where this machine sends it late, it is the lag.
type book struct {
	mu   sync.Mutex
	sent []time.Time // the end of chunk i was spoken then
	lag  time.Duration
}

func (b *book) add(spoken time.Time, late time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent = append(b.sent, spoken)
	b.lag = max(b.lag, late)
}

// when the sound up to a position was spoken; the position may lie a little beyond.
func (b *book) when(position time.Duration) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.sent) == 0 {
		return time.Time{}, false
	}
	i := int((position+chunkTime-1)/chunkTime) - 1
	return b.sent[max(0, min(i, len(b.sent)-1))], true
}

func (b *book) duration() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Duration(len(b.sent)) * chunkTime
}

// stream sends sound as fast as it is spoken, and collects what comes back.
func (t *Target) stream(ctx context.Context, s streamSpec) (*streamResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	query := url.Values{
		"encoding": {"linear16"}, "sample_rate": {strconv.Itoa(s.pcm.Rate)}, "channels": {"1"},
		"interim_results": {"true"}, "smart_format": {"true"},
	}
	if s.model != "" {
		query.Set("model", s.model)
	}
	if s.language != "" {
		query.Set("language", s.language)
	}
	begin := time.Now()
	conn, err := t.dial(ctx, s.patience, query)
	if err != nil {
		return nil, err
	}
	defer conn.CloseNow() //nolint:errcheck // it is closed by then, or broken
	conn.SetReadLimit(1 << 20)

	r := &streamResult{Connect: time.Since(begin)}
	var b book
	sendErr := make(chan error, 1)
	var timedOut atomic.Bool
	go func() {
		err := s.send(ctx, conn, &b)
		sendErr <- err
		if err != nil {
			return // reading says more
		}
		// The API answers CloseStream with the last results, and closes.
		select {
		case <-ctx.Done():
		case <-time.After(s.patience):
			timedOut.Store(true)
			cancel()
		}
	}()
	readErr := r.read(ctx, conn, &b, s.heard)
	cancelled := ctx.Err() // only we end ctx: by the time above, or the caller did
	cancel()
	err = <-sendErr
	r.Lag = b.lag
	whole := s.pcm.Duration()
	if s.stop != nil {
		whole = b.duration()
	}
	switch {
	case readErr == nil && err == nil:
		return r, nil
	case cancelled != nil && timedOut.Load():
		return r, fail(KindSlow, "the engine is too busy or too small: see the latency panels and GPU use, add engines, or raise --timeout",
			"no last result came within %s of the last sound", s.patience)
	case cancelled != nil:
		return r, context.Cause(ctx)
	case readErr == nil:
		// The API had all that it wanted before we had sent all.
		return r, cutFailure(err, b.duration(), whole)
	}
	var known *Failure
	if errors.As(readErr, &known) {
		return r, known
	}
	return r, cutFailure(readErr, b.duration(), whole)
}

// dial opens a stream.
func (t *Target) dial(ctx context.Context, limit time.Duration, query url.Values) (*websocket.Conn, error) {
	// The time is for the handshake; the connection must outlive it.
	type dialled struct {
		conn *websocket.Conn
		res  *http.Response
		err  error
	}
	hctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	const path = "/v1/listen"
	var d dialled
	//nolint:bodyclose // of no use after the handshake
	d.conn, d.res, d.err = websocket.Dial(hctx, t.address(path, query), &websocket.DialOptions{
		HTTPClient: t.client, HTTPHeader: t.header(), Host: t.Host,
	})
	if d.err == nil {
		context.AfterFunc(ctx, func() { cancel(context.Canceled) })
		return d.conn, nil
	}
	defer cancel(nil)
	switch {
	case d.res != nil && d.res.StatusCode != http.StatusSwitchingProtocols:
		body, _ := io.ReadAll(io.LimitReader(d.res.Body, 1<<10))
		f := answerFailure(t, path, d.res.StatusCode, d.res.Header, body)
		if f.Kind == KindAnswer {
			f.Message = "the connection does not become a WebSocket: " + f.Message
			f.Do = "let what stands before the API pass WebSockets on (HTTP/1.1, Upgrade)"
		}
		return nil, f
	case d.res != nil:
		return nil, fail(KindAnswer, "let what stands before the API pass WebSockets on (HTTP/1.1, Upgrade)", "the connection does not become a WebSocket: %v", root(d.err))
	case errors.Is(context.Cause(hctx), context.DeadlineExceeded):
		return nil, transportFailure(context.DeadlineExceeded, t, limit)
	}
	return nil, transportFailure(d.err, t, limit)
}

// send sends the sound at its pace, then asks for the rest.
func (s *streamSpec) send(ctx context.Context, conn *websocket.Conn, b *book) error {
	size := int(chunkTime.Seconds()*float64(s.pcm.Rate)) * 2
	start := time.Now()
	free := start // when the API had taken what was before
	for i, from := 0, 0; ; i++ {
		if s.stop != nil {
			select {
			case <-s.stop:
				return conn.Write(ctx, websocket.MessageText, []byte(`{"type":"CloseStream"}`))
			default:
			}
			if from >= len(s.pcm.Data) {
				from = 0
			}
		} else if from >= len(s.pcm.Data) {
			return conn.Write(ctx, websocket.MessageText, []byte(`{"type":"CloseStream"}`))
		}
		to := min(from+size, len(s.pcm.Data))
		chunk := s.pcm.Data[from:to]
		if s.stop != nil && len(chunk) < size {
			// Chunks are of one length there, so that positions stay true.
			chunk = append(append(make([]byte, 0, size), chunk...), make([]byte, size-len(chunk))...)
		}
		// A microphone gives a piece when it has heard the whole of it.
		due := start.Add(time.Duration(float64(time.Duration(i+1)*chunkTime) / s.pace))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(due)):
		}
		if free.Before(due) {
			free = due
		}
		b.add(due, time.Since(free))
		if err := conn.Write(ctx, websocket.MessageBinary, chunk); err != nil {
			return err
		}
		free = time.Now()
		from = to
	}
}

// read collects results until the API has closed the stream.
func (r *streamResult) read(ctx context.Context, conn *websocket.Conn, b *book, heard func(time.Time, time.Duration)) error {
	var said []string
	metadata := false
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			r.Transcript = strings.Join(said, " ")
			// Some proxies do not pass the closing on; the metadata is the end anyway.
			if metadata || websocket.CloseStatus(err) == websocket.StatusNormalClosure && r.Finals > 0 {
				return nil
			}
			return err
		}
		now := time.Now()
		var m result
		if json.Unmarshal(text, &m) != nil {
			return fail(KindAnswer, "check that --url is Deepgram's API and not something before it", "the stream brought something that is not Deepgram's JSON: %s", short(string(text), 80))
		}
		if id := m.Metadata.RequestID + m.RequestID; r.RequestID == "" {
			r.RequestID = id
		}
		switch m.Type {
		case "Results":
			latency := time.Duration(-1)
			position := time.Duration((m.Start + m.Duration) * float64(time.Second))
			if sent, ok := b.when(position); ok && m.Duration > 0 {
				latency = max(0, now.Sub(sent))
				r.Results = append(r.Results, latency)
				if heard != nil {
					heard(now, latency)
				}
			}
			words := ""
			if len(m.Channel.Alternatives) > 0 {
				words = m.Channel.Alternatives[0].Transcript
			}
			if words != "" && r.Interim+r.Finals == 0 && latency >= 0 {
				r.First = latency
			}
			switch {
			case m.IsFinal:
				r.Finals++
				if words != "" {
					said = append(said, words)
				}
				if latency >= 0 {
					r.Final = latency
				}
			case words != "":
				r.Interim++
			}
		case "Metadata":
			metadata = true
		case "Error":
			return fail(KindServer, "read the logs of API and Engine at this time", "the stream brought an error: %s", short(m.Description+" "+m.Message, 200))
		}
	}
}
