// Command api stands in for Deepgram's API container: it answers the paths that
// people and probes ask for on port 8080. What it hears it does not understand;
// it tells how long a WAV file is and always the same words.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os/signal"
	"syscall"
	"time"
)

const (
	transcript = "this is a test"
	model      = "1abfe86b-e047-4eed-858a-35e5625b41ee"
	// maxAudio is as much as the real one takes in a request: 2 GB.
	maxAudio = 2 << 30
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: ":8080", Handler: handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{
			"system_health": "Healthy", "active_batch_requests": 0, "active_stream_requests": 0,
		})
	})
	mux.HandleFunc("GET /v1/status/engine", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"engine_connection_status": "Connected"})
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"stt": []any{info()}, "tts": []any{}})
	})
	mux.HandleFunc("POST /v1/listen", listen)
	return mux
}

func info() map[string]any {
	return map[string]any{
		"name": "general", "canonical_name": "nova-3-general", "architecture": "nova-3", "languages": []string{"en"},
		"version": "2025-01-09.0", "uuid": model, "batch": true, "streaming": true,
	}
}

func listen(w http.ResponseWriter, r *http.Request) {
	audio, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAudio))
	if err != nil || len(audio) == 0 {
		answer(w, http.StatusBadRequest, map[string]any{
			"err_code": "Bad Request", "err_msg": "Bad Request: failed to process audio: corrupt or unsupported data",
		})
		return
	}
	sum := sha256.Sum256(audio)
	answer(w, http.StatusOK, map[string]any{
		"metadata": map[string]any{
			"request_id": rand.Text(), "sha256": hex.EncodeToString(sum[:]), "created": time.Now().UTC(),
			"duration": seconds(audio), "channels": 1, "models": []string{model},
			"model_info": map[string]any{model: map[string]any{"name": "general", "version": "2025-01-09.0", "arch": "nova-3"}},
		},
		"results": map[string]any{"channels": []any{map[string]any{
			"alternatives": []any{map[string]any{"transcript": transcript, "confidence": 0.99}},
		}}},
	})
}

// seconds is how long a plain WAV file is; other audio counts as a second.
func seconds(audio []byte) float64 {
	const header = 44
	if len(audio) < header || !bytes.HasPrefix(audio, []byte("RIFF")) {
		return 1
	}
	rate := binary.LittleEndian.Uint32(audio[28:])
	if rate == 0 {
		return 1
	}
	return float64(len(audio)-header) / float64(rate)
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Print(err)
	}
}
