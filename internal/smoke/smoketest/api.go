// Package smoketest stands in for Deepgram's API: HTTP and WebSocket, as clients
// and load balancers see them. It knows by heart what the recordings that it was
// given say, and says so only as far as it really got their sound; it can be slow,
// wrong, over capacity, without an engine, or cut streams.
package smoketest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
)

// API is a pretended API. Set its fields before it serves; the zero value works
// and knows the bundled recording.
type API struct {
	// Key must be sent by clients, if set: else 401.
	Key string
	// Health is system_health; empty means Healthy.
	Health string
	// Engine is engine_connection_status; empty means Connected.
	Engine string
	// Models and Voices are those loaded; nil means one of each.
	Models, Voices []Model
	// Words are said instead of what was heard.
	Words string
	// Deaf hears nothing.
	Deaf bool
	// Delay is how late results come, given the number of streams.
	Delay func(streams int) time.Duration
	// Reads is how long each piece of sound waits to be taken, likewise.
	Reads func(streams int) time.Duration
	// Capacity is how many streams are taken at a time; 0 is any number. Those
	// beyond get CapacityStatus, 0 means 429.
	Capacity, CapacityStatus int
	// CutAfter ends streams when so much sound has come, with the code Cut, or
	// without a word where it is 0.
	CutAfter time.Duration
	Cut      websocket.StatusCode
	// NoInterim, NoFinal and NoMetadata leave messages out.
	NoInterim, NoFinal, NoMetadata bool
	// NoWebSocket treats streams as a proxy does that does not know WebSockets.
	NoWebSocket bool
	// Silent voices say nothing.
	Silent bool
	// Answer, if it says so, answers a request instead.
	Answer func(w http.ResponseWriter, r *http.Request) bool

	mu      sync.Mutex
	streams int
	most    int
	broken  int
}

// Model is one of /v1/models.
type Model struct {
	Name      string   `json:"name"`
	Canonical string   `json:"canonical_name"`
	Arch      string   `json:"architecture"`
	Languages []string `json:"languages"`
	Version   string   `json:"version"`
	UUID      string   `json:"uuid"`
	Batch     bool     `json:"batch"`
	Streaming bool     `json:"streaming"`
}

// General is the model that is loaded where no other is named.
var General = Model{
	Name: "general", Canonical: "nova-3-general", Arch: "nova-3", Languages: []string{"en", "en-US"},
	Version: "2025-01-09.0", UUID: "1abfe86b-e047-4eed-858a-35e5625b41ee", Batch: true, Streaming: true,
}

// Voice likewise.
var Voice = Model{
	Name: "thalia", Canonical: "aura-2-thalia-en", Arch: "aura-2", Languages: []string{"en"},
	Version: "2025-04-07.0", UUID: "ecb76e9d-f2db-4127-8060-79b05590d22f",
}

// stepTime is how often an interim result comes.
const stepTime = time.Second

// ServeHTTP serves the paths of the API.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.Answer != nil && a.Answer(w, r) {
		return
	}
	if a.Key != "" && r.Header.Get("Authorization") != "Token "+a.Key {
		problem(w, http.StatusUnauthorized, "INVALID_AUTH", "Invalid credentials.")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /v1/status":
		a.mu.Lock()
		defer a.mu.Unlock()
		answer(w, http.StatusOK, map[string]any{
			"system_health": cmp.Or(a.Health, "Healthy"), "active_batch_requests": 0, "active_stream_requests": a.streams,
		})
	case "GET /v1/status/engine":
		answer(w, http.StatusOK, map[string]any{"engine_connection_status": cmp.Or(a.Engine, "Connected")})
	case "GET /v1/models":
		answer(w, http.StatusOK, map[string]any{"stt": a.models(), "tts": a.voices()})
	case "POST /v1/listen":
		a.listen(w, r)
	case "GET /v1/listen":
		a.stream(w, r)
	case "POST /v1/speak":
		a.speak(w, r)
	default:
		problem(w, http.StatusNotFound, "NOT_FOUND", "no such path")
	}
}

// Most is how many streams there were at a time.
func (a *API) Most() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.most
}

// Active is how many streams there are.
func (a *API) Active() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.streams
}

// Broken is how many streams clients did not close in order.
func (a *API) Broken() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}

func (a *API) models() []Model {
	if a.Models == nil {
		return []Model{General}
	}
	return a.Models
}

func (a *API) voices() []Model {
	if a.Voices == nil {
		return []Model{Voice}
	}
	return a.Voices
}

// transcribes finds the model that a request names.
func (a *API) transcribes(w http.ResponseWriter, r *http.Request, streaming bool) bool {
	name := r.URL.Query().Get("model")
	for _, m := range a.models() {
		if (m.Batch && !streaming || m.Streaming && streaming) && (name == m.Canonical || name == m.Arch || name == m.UUID) {
			return true
		}
	}
	problem(w, http.StatusBadRequest, "Bad Request", "Bad Request: No such model/language/tier combination found.")
	return false
}

func (a *API) listen(w http.ResponseWriter, r *http.Request) {
	if !a.transcribes(w, r, false) {
		return
	}
	if a.Engine != "" && a.Engine != "Connected" {
		problem(w, http.StatusServiceUnavailable, "Service Unavailable", "no engine is available")
		return
	}
	audio, err := io.ReadAll(r.Body)
	if err != nil || len(audio) == 0 {
		problem(w, http.StatusBadRequest, "Bad Request", "Bad Request: failed to process audio: corrupt or unsupported data")
		return
	}
	a.wait(r.Context(), 1)
	pcm, _ := smoke.Audio{WAV: audio}.Samples() // other formats count as a second
	seconds := 1.0
	if pcm.Rate > 0 {
		seconds = pcm.Duration().Seconds()
	}
	answer(w, http.StatusOK, map[string]any{
		"metadata": map[string]any{
			"request_id": rand.Text(), "created": time.Now().UTC(), "duration": seconds, "channels": 1, "models": []string{General.UUID},
			"model_info": map[string]any{General.UUID: map[string]any{"name": "general", "version": General.Version, "arch": "nova-3"}},
		},
		"results": map[string]any{"channels": []any{map[string]any{
			"alternatives": []any{map[string]any{"transcript": a.heard(pcm.Data, pcm.Rate), "confidence": 0.99}},
		}}},
	})
}

func (a *API) wait(ctx context.Context, streams int) {
	if a.Delay == nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(a.Delay(streams)):
	}
}

// heard is what sound says: of a recording that it knows, as many words as there
// is sound of it.
func (a *API) heard(sound []byte, rate int) string {
	switch {
	case a.Deaf:
		return ""
	case a.Words != "":
		return a.Words
	}
	known, err := smoke.Sample().Samples()
	if err != nil || rate != known.Rate || len(sound) == 0 || !bytes.HasPrefix(known.Data, sound[:min(len(sound), len(known.Data))]) {
		return "something else is being said"
	}
	words := strings.Fields(smoke.SampleText)
	return strings.Join(words[:len(words)*min(len(sound), len(known.Data))/len(known.Data)], " ")
}

func (a *API) speak(w http.ResponseWriter, r *http.Request) {
	var v struct {
		Text string `json:"text"`
	}
	if len(a.voices()) == 0 || json.NewDecoder(r.Body).Decode(&v) != nil || v.Text == "" {
		problem(w, http.StatusBadRequest, "Bad Request", "Bad Request: no text, or no voice is loaded")
		return
	}
	a.wait(r.Context(), 1)
	// A tone as long as the text takes.
	const rate = 16000
	sound := make([]byte, 2*rate*len(strings.Fields(v.Text))*3/10)
	for i := 0; i < len(sound)/2 && !a.Silent; i++ {
		binary.LittleEndian.PutUint16(sound[2*i:], uint16(int16(9000*math.Sin(float64(i)*2*math.Pi*220/rate))))
	}
	w.Header().Set("Content-Type", "audio/wav")
	_, _ = w.Write(WAV(sound, rate))
}

// WAV puts sound of 16 bits, mono, into a file.
func WAV(sound []byte, rate int) []byte {
	b := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(36+len(sound)))...)
	b = append(b, "WAVEfmt "...)
	for _, v := range []any{uint32(16), uint16(1), uint16(1), uint32(rate), uint32(2 * rate), uint16(2), uint16(16)} {
		b, _ = binary.Append(b, binary.LittleEndian, v) // never fails with numbers
	}
	b = binary.LittleEndian.AppendUint32(append(b, "data"...), uint32(len(sound)))
	return append(b, sound...)
}

func problem(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"err_code": code, "err_msg": message, "request_id": rand.Text()})
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that has gone
}
