package smoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// pollEvery is how often --wait asks.
const pollEvery = 2 * time.Second

// patiently asks again while there is time: load balancers and engines take
// minutes to be there.
func (s *tester) patiently(ctx context.Context, ask func(context.Context) (string, error)) (string, error) {
	until := time.Now().Add(s.o.Wait)
	told := ""
	for {
		message, err := ask(ctx)
		if err == nil || !time.Now().Add(pollEvery).Before(until) || asFailure(err).stays() {
			return message, err
		}
		if f := asFailure(err); f.Message != told {
			told = f.Message
			s.o.Note(fmt.Sprintf("waiting ≤ %s: %s", s.o.Wait, told))
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

func (s *tester) status(ctx context.Context) (string, error) {
	return s.patiently(ctx, func(ctx context.Context) (string, error) {
		var v struct {
			Health  string `json:"system_health"`
			Batch   int    `json:"active_batch_requests"`
			Streams int    `json:"active_stream_requests"`
		}
		if err := s.t.get(ctx, s.o.Timeout, "/v1/status", &v); err != nil {
			return "", err
		}
		load := fmt.Sprintf("%s, %d batch requests and %d streams active", v.Health, v.Batch, v.Streams)
		switch v.Health {
		case "Ready", "Healthy":
			return load, nil
		case "Initializing":
			return "", fail(KindHealth, "wait (--wait 10m); if it stays, the engine does not come: kubectl logs -l app=deepgram-engine", "the API is still initializing")
		case "":
			return "", fail(KindAnswer, "check that --url is Deepgram's API and not something before it", "/v1/status tells no system_health")
		}
		return "", fail(KindHealth, "Degraded is under 90 % of requests that succeed, Critical under 40 %: read the logs of API and Engine", "the API says %s", load)
	})
}

func (s *tester) engine(ctx context.Context) (string, error) {
	return s.patiently(ctx, func(ctx context.Context) (string, error) {
		var v struct {
			Status string `json:"engine_connection_status"`
		}
		err := s.t.get(ctx, s.o.Timeout, "/v1/status/engine", &v)
		var f *Failure
		switch {
		case errors.As(err, &f) && !f.everywhere() && f.Kind != KindNotFound && f.Kind != KindAnswer:
			// Without an engine the code is not documented.
			return "", s.noEngine(f.Message)
		case err != nil:
			return "", err
		case v.Status != "Connected":
			return "", s.noEngine(fmt.Sprintf("engine_connection_status is %q", v.Status))
		}
		return "Connected", nil
	})
}

func (s *tester) noEngine(why string) error {
	return fail(KindEngine, "kubectl get pods -l app=deepgram-engine: Pending is a node or GPU that is missing, a restart is in its log (licence, GPU, models); loading models takes minutes (--wait 10m)",
		"no engine is connected to the API: %s", short(why, 200))
}

// model is one that is loaded.
type model struct {
	Name      string   `json:"name"`
	Canonical string   `json:"canonical_name"`
	Arch      string   `json:"architecture"`
	Languages []string `json:"languages"`
	UUID      string   `json:"uuid"`
	Batch     *bool    `json:"batch"`
	Streaming *bool    `json:"streaming"`
}

type modelList struct {
	STT []model `json:"stt"`
	TTS []model `json:"tts"`
}

// is tells whether a wanted name means this model.
func (m *model) is(want string) bool {
	want = strings.ToLower(want)
	for _, have := range []string{m.Canonical, m.Name, m.Arch, m.UUID, m.Arch + "-" + m.Name} {
		if have != "" && strings.ToLower(have) == want {
			return true
		}
	}
	return false
}

func (m *model) can(yes *bool) bool { return yes == nil || *yes }

func (m *model) speaks(language string) bool {
	if len(m.Languages) == 0 {
		return true
	}
	for _, l := range m.Languages {
		if l == "multi" || strings.EqualFold(l, language) || strings.HasPrefix(strings.ToLower(l), strings.ToLower(language)+"-") {
			return true
		}
	}
	return false
}

func (s *tester) loaded(ctx context.Context) (string, error) {
	if err := s.t.get(ctx, s.o.Timeout, "/v1/models", &s.models); err != nil {
		return "", err
	}
	s.known = true
	all := append(append([]model{}, s.models.STT...), s.models.TTS...)
	if len(all) == 0 {
		return "", fail(KindModels, "see what is on the disk (deepgram-ops models list in the loader's Job) and that the engine mounts it: models.active, engine.modelManager", "no model is loaded")
	}
	var names, missing []string
	seen := map[string]bool{}
	for _, m := range all {
		name := m.Canonical
		if name == "" {
			name = m.Name
		}
		if !seen[name] {
			names = append(names, name)
		}
		seen[name] = true
	}
	for _, want := range append(append([]string{}, s.o.Models...), nonEmpty(s.o.Model)...) {
		found := false
		for _, m := range all {
			found = found || m.is(want)
		}
		if !found && !slices.Contains(missing, want) {
			missing = append(missing, want)
		}
	}
	list := short(strings.Join(names, ", "), 300)
	if len(missing) > 0 {
		return "", fail(KindModels, "load them (models.files, deepgram-ops models load) and see that the engine's log names them; engines read the disk when they start",
			"models that are expected are not loaded: %s; loaded are %s", strings.Join(missing, ", "), list)
	}
	return fmt.Sprintf("%d loaded: %s", len(all), list), nil
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// choose is the model for a way of transcribing; empty leaves it to the API.
func (s *tester) choose(streaming bool) (string, error) {
	if s.o.Model != "" || !s.known {
		return s.o.Model, nil
	}
	language := s.o.Language
	if language == "" {
		language = "en"
	}
	best := ""
	for _, m := range s.models.STT {
		how := m.Batch
		if streaming {
			how = m.Streaming
		}
		name := m.Canonical
		if name == "" {
			name = m.Name
		}
		// Flux is asked for elsewhere (/v2/listen).
		if !m.can(how) || !m.speaks(language) || strings.HasPrefix(m.Arch, "flux") || name == "" {
			continue
		}
		if best == "" || rank(name) > rank(best) {
			best = name
		}
	}
	if best == "" {
		return "", fail(KindModels, "load one; or choose (--model, --language with --audio); or leave the check out with --skip",
			"no model is loaded that transcribes %s %s", language, map[bool]string{true: "streams", false: "files"}[streaming])
	}
	s.r.Model = best
	return best, nil
}

// rank orders models: the newest family, and its general model before special ones.
func rank(name string) int {
	order := 0
	for i, family := range []string{"base", "enhanced", "nova", "nova-2", "nova-3"} {
		if name == family || strings.HasPrefix(name, family+"-") {
			order = 2*i + 2
		}
	}
	if strings.HasSuffix(name, "-general") {
		order++
	}
	return order
}

// listen transcribes the recording in one request, several times.
func (s *tester) listen(ctx context.Context) (string, error) {
	chosen, err := s.choose(false)
	if err != nil {
		return "", err
	}
	query := url.Values{"smart_format": {"true"}}
	if chosen != "" {
		query.Set("model", chosen)
	}
	if s.o.Language != "" {
		query.Set("language", s.o.Language)
	}
	message := ""
	for i := range s.o.Samples {
		begin := time.Now()
		_, body, err := s.t.do(ctx, s.o.Timeout, http.MethodPost, "/v1/listen", query, "audio/wav", s.o.Audio.WAV)
		if err != nil {
			return "", err
		}
		s.batch = append(s.batch, time.Since(begin))
		m, err := s.transcribed(body)
		if err != nil {
			return "", err
		}
		if i == 0 {
			message = m
		}
	}
	return message, nil
}

// transcribed checks the answer of a batch request.
func (s *tester) transcribed(body []byte) (string, error) {
	var v struct {
		Metadata struct {
			RequestID string  `json:"request_id"`
			Duration  float64 `json:"duration"`
		} `json:"metadata"`
		Results struct {
			Channels []struct {
				Alternatives []struct {
					Transcript string `json:"transcript"`
				} `json:"alternatives"`
			} `json:"channels"`
		} `json:"results"`
	}
	if err := s.t.decode("/v1/listen", body, &v); err != nil {
		return "", err
	}
	if v.Metadata.RequestID == "" {
		return "", fail(KindAnswer, "check that --url is Deepgram's API and not something before it", "/v1/listen answered without a request_id")
	}
	if want := s.pcm.Duration().Seconds(); v.Metadata.Duration < want*0.9 || v.Metadata.Duration > want*1.1 {
		return "", fail(KindAnswer, "look for what changes or cuts request bodies before the API: proxies, size limits",
			"the API heard %.1f s of a recording of %.1f s (request %s)", v.Metadata.Duration, want, v.Metadata.RequestID)
	}
	text := ""
	for _, c := range v.Results.Channels {
		if len(c.Alternatives) > 0 {
			text += c.Alternatives[0].Transcript + " "
		}
	}
	return s.rightWords(text, v.Metadata.RequestID)
}

// rightWords compares what came back with what was said.
func (s *tester) rightWords(text, request string) (string, error) {
	o := Overlap(s.o.Audio.Text, text)
	text = short(text, 300)
	if text == "" {
		return "", fail(KindWords, "check that the model is for the recording's language, and read the engine's log: a damaged model file (deepgram-ops models verify) hears nothing",
			"nothing was heard where %q was said (request %s)", s.o.Audio.Text, request)
	}
	if o < s.o.MinOverlap {
		return "", fail(KindWords, "check that the model is for the recording's language (--model, --language) and that its file is whole (deepgram-ops models verify); --min-overlap sets how much must be right",
			"%.0f %% of the words are right, at least %.0f %% must be: heard %q, said %q (request %s)", o*100, s.o.MinOverlap*100, text, s.o.Audio.Text, request)
	}
	return fmt.Sprintf("%.0f %% of the words are right: %q", o*100, text), nil
}

// streaming sends the recording as a stream: once, then several at a time.
func (s *tester) streaming(ctx context.Context) (string, error) {
	chosen, err := s.choose(true)
	if err != nil {
		return "", err
	}
	spec := streamSpec{model: chosen, language: s.o.Language, pcm: s.pcm, pace: s.o.Pace, patience: s.o.Timeout}
	message, err := s.oneStream(ctx, spec)
	if err != nil {
		return "", err
	}
	var all sync.WaitGroup
	errs := make([]error, max(0, s.o.Samples-1))
	var mu sync.Mutex
	for i := range errs {
		all.Go(func() {
			// Not all at the same moment, as nobody's clients are.
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration(float64(i) / s.o.Pace * float64(200*time.Millisecond))):
			}
			r, err := s.t.stream(ctx, spec)
			if err == nil {
				_, err = s.rightStream(r)
			}
			if errs[i] = err; err == nil {
				mu.Lock()
				defer mu.Unlock()
				s.streams = append(s.streams, r)
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			f := *asFailure(err)
			f.Message = fmt.Sprintf("one stream works, but of %d at a time: %s", len(errs), f.Message)
			return "", &f
		}
	}
	return message, nil
}

func (s *tester) oneStream(ctx context.Context, spec streamSpec) (string, error) {
	r, err := s.t.stream(ctx, spec)
	if err != nil {
		return "", err
	}
	message, err := s.rightStream(r)
	if err == nil {
		s.streams = append(s.streams, r)
	}
	return message, err
}

// rightStream checks what came of a stream.
func (s *tester) rightStream(r *streamResult) (string, error) {
	switch {
	case r.Finals == 0:
		return "", fail(KindFinal, "read the engine's log at this time; the API must answer CloseStream with final results",
			"the stream ended with %d interim results and no final one (request %s)", r.Interim, r.RequestID)
	case r.Interim == 0:
		return "", fail(KindInterim, "look for a proxy before the API that holds answers back (buffering), and check engine.chunking",
			"the stream brought %d final results and no interim one, though they were asked for (request %s)", r.Finals, r.RequestID)
	}
	words, err := s.rightWords(r.Transcript, r.RequestID)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d interim and %d final results, %s", r.Interim, r.Finals, words), nil
}

// speak lets a voice say something, and looks whether there is sound.
func (s *tester) speak(ctx context.Context) (string, error) {
	if !s.o.Speak {
		return "", skipped("--speak tests it")
	}
	voice := s.o.SpeakModel
	if voice == "" && s.known {
		if len(s.models.TTS) == 0 {
			return "", fail(KindModels, "load a voice (aura-2), or leave --speak out", "no voice is loaded")
		}
		if voice = s.models.TTS[0].Canonical; voice == "" {
			voice = s.models.TTS[0].Name
		}
	}
	query := url.Values{"encoding": {"linear16"}, "sample_rate": {"16000"}, "container": {"wav"}}
	if voice != "" {
		query.Set("model", voice)
	}
	body, err := json.Marshal(map[string]string{"text": SampleText})
	if err != nil {
		return "", err
	}
	begin := time.Now()
	header, sound, err := s.t.do(ctx, s.o.Timeout, http.MethodPost, "/v1/speak", query, "application/json", body)
	if err != nil {
		return "", err
	}
	took := time.Since(begin)
	s.spoken = append(s.spoken, took)
	pcm, err := readWAV(sound)
	switch {
	case err != nil:
		return "", fail(KindSpeech, "read the logs of API and Engine at this time", "/v1/speak answered %d bytes of %s that are no sound", len(sound), short(header.Get("Content-Type"), 40))
	case pcm.Duration() < time.Second || pcm.loudness() < 0.02:
		return "", fail(KindSpeech, "read the engine's log: a voice needs its GPUs (aura-2 two of them) and whole files", "the voice %s said %s of silence or less than a second", voice, pcm.Duration().Round(10*time.Millisecond))
	}
	return fmt.Sprintf("%s spoke for %s after %s", voice, pcm.Duration().Round(10*time.Millisecond), took.Round(time.Millisecond)), nil
}

// latency judges what the checks before it measured.
func (s *tester) latency(context.Context) (string, error) {
	l := s.latencies()
	if len(l) == 0 {
		return "", skipped("nothing was transcribed")
	}
	var slow, seen []string
	judge := func(name, what string, limit time.Duration) {
		p, ok := l[name]
		if !ok {
			return
		}
		text := fmt.Sprintf("%s p50 %s p90 %s p99 %s", what, duration(p.P50), duration(p.P90), duration(p.P99))
		seen = append(seen, text)
		if exactly(p.P99) > limit {
			slow = append(slow, fmt.Sprintf("%s (at most %s)", text, limit))
		}
	}
	judge("batch", "batch", s.o.MaxBatch)
	judge("first", "first result", s.o.MaxLatency)
	judge("result", "any result", s.o.MaxLatency)
	judge("final", "last result", s.o.MaxLatency)
	if len(slow) > 0 {
		return "", fail(KindSlow, "see whether the engine uses its GPU and how full it is; add engines (scaling.engine), or test from nearer; --max-latency and --max-batch-time set what is slow",
			"too slow: %s", strings.Join(slow, "; "))
	}
	return strings.Join(seen, "; "), nil
}

func (s *tester) gpu(ctx context.Context) (string, error) {
	if s.o.GPU == nil {
		return "", skipped("needs the cluster: give --kubeconfig or set KUBECONFIG")
	}
	return s.o.GPU(ctx)
}
