package smoketest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
)

// enter counts a stream, if there is room for it.
func (a *API) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Capacity > 0 && a.streams >= a.Capacity {
		return false
	}
	a.streams++
	a.most = max(a.most, a.streams)
	return true
}

func (a *API) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams--
}

func (a *API) stream(w http.ResponseWriter, r *http.Request) {
	rate, err := strconv.Atoi(r.URL.Query().Get("sample_rate"))
	switch {
	case a.NoWebSocket:
		answer(w, http.StatusOK, map[string]any{})
		return
	case err != nil || r.URL.Query().Get("encoding") != "linear16":
		problem(w, http.StatusBadRequest, "Bad Request", "Bad Request: encoding and sample_rate are needed")
		return
	case !a.transcribes(w, r, true):
		return
	case a.Engine != "" && a.Engine != "Connected":
		problem(w, http.StatusServiceUnavailable, "Service Unavailable", "no engine is available")
		return
	case !a.enter():
		status := a.CapacityStatus
		if status == 0 {
			status = http.StatusTooManyRequests
		}
		problem(w, status, http.StatusText(status), "the engines are at capacity")
		return
	}
	defer a.leave()
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // it is closed by then, or broken
	s := &session{a: a, conn: conn, rate: rate, id: rand.Text(), interim: r.URL.Query().Get("interim_results") == "true", out: make(chan message, 1<<12)}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write(ctx)
	}()
	whole := s.read(ctx)
	close(s.out)
	if whole {
		// A client that does not wait for the rest has gone.
		go func() {
			<-conn.CloseRead(ctx).Done()
			cancel()
		}()
		<-written
		_ = conn.Close(websocket.StatusNormalClosure, "")
		return
	}
	cancel()
	<-written
	if a.Cut != 0 {
		_ = conn.Close(a.Cut, "the stand-in cuts streams")
	}
}

// session is one stream.
type session struct {
	a       *API
	conn    *websocket.Conn
	rate    int
	id      string
	interim bool
	out     chan message
	// sound of the utterance; before it were from bytes.
	sound []byte
	from  int
	told  int // of sound, in interim results
}

// message goes out at a time.
type message struct {
	at    time.Time
	value any
}

// write sends messages when their time has come, in their order.
func (s *session) write(ctx context.Context) {
	for m := range s.out {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(m.at)):
		}
		text, err := json.Marshal(m.value)
		if err != nil || s.conn.Write(ctx, websocket.MessageText, text) != nil {
			return
		}
	}
}

// read takes sound until the client asks to close; false means that the stream is
// to be cut, or was.
func (s *session) read(ctx context.Context) bool {
	known, err := smoke.Sample().Samples()
	if err != nil {
		return false
	}
	for {
		if s.a.Reads != nil {
			time.Sleep(s.a.Reads(s.a.Active()))
		}
		kind, data, err := s.conn.Read(ctx)
		if err != nil {
			s.a.mu.Lock()
			defer s.a.mu.Unlock()
			s.a.broken++
			return false
		}
		if kind == websocket.MessageText {
			var control struct {
				Type string `json:"type"`
			}
			if json.Unmarshal(data, &control) != nil {
				return false
			}
			if control.Type == "CloseStream" {
				if len(s.sound) > 0 {
					s.final()
				}
				if !s.a.NoMetadata {
					s.say(map[string]any{"type": "Metadata", "request_id": s.id, "duration": s.seconds(s.from), "channels": 1})
				}
				return true
			}
			continue
		}
		s.sound = append(s.sound, data...)
		total := s.from + len(s.sound)
		if s.a.CutAfter > 0 && s.seconds(total) >= s.a.CutAfter.Seconds() {
			return false
		}
		switch step := int(stepTime.Seconds() * float64(2*s.rate)); {
		case len(s.sound) >= len(known.Data):
			s.final()
		case s.interim && len(s.sound)-s.told >= step:
			s.told = len(s.sound)
			if !s.a.NoInterim {
				s.result(false)
			}
		}
	}
}

func (s *session) seconds(n int) float64 { return float64(n) / float64(2*s.rate) }

// final ends the utterance.
func (s *session) final() {
	if !s.a.NoFinal {
		s.result(true)
	}
	s.from += len(s.sound)
	s.sound, s.told = nil, 0
}

func (s *session) result(final bool) {
	words := ""
	if len(s.sound) > 0 {
		words = s.a.heard(s.sound, s.rate)
	}
	s.say(map[string]any{
		"type": "Results", "channel_index": []int{0, 1}, "start": s.seconds(s.from), "duration": s.seconds(len(s.sound)),
		"is_final": final, "speech_final": final,
		"channel": map[string]any{"alternatives": []any{map[string]any{"transcript": words, "confidence": 0.99}}},
		"metadata": map[string]any{
			"request_id": s.id,
			"model_info": map[string]any{"name": "general", "version": General.Version, "arch": "nova-3"},
		},
	})
}

// say sends a message, late if the stand-in is slow.
func (s *session) say(value any) {
	at := time.Now()
	if s.a.Delay != nil {
		at = at.Add(s.a.Delay(s.a.Active()))
	}
	select {
	case s.out <- message{at, value}:
	default: // a client that does not read for so long has gone
	}
}
