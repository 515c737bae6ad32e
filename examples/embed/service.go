package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// service keeps, for each environment, who works on it and who listens.
type service struct {
	options stacks.Options

	mutex     sync.Mutex
	working   map[string]map[*stacks.Deployer]bool
	listening map[string]map[chan stacks.Event]bool
}

func newService(o stacks.Options) *service {
	return &service{
		options:   o,
		working:   map[string]map[*stacks.Deployer]bool{},
		listening: map[string]map[chan stacks.Event]bool{},
	}
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /environments/{name}/preview", s.operation(
		func(ctx context.Context, d *stacks.Deployer) (*stacks.Result, error) {
			return d.Preview(ctx, stacks.PreviewOptions{})
		}))
	mux.HandleFunc("POST /environments/{name}/up", s.operation(
		func(ctx context.Context, d *stacks.Deployer) (*stacks.Result, error) {
			return d.Up(ctx, stacks.UpOptions{})
		}))
	mux.HandleFunc("POST /environments/{name}/cancel", func(w http.ResponseWriter, r *http.Request) {
		s.cancel(r.PathValue("name"))
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("GET /environments/{name}/events", s.events)
	return mux
}

// answer is what preview and up give back.
type answer struct {
	Changes  map[string]int   `json:"changes,omitempty"`
	Findings []stacks.Finding `json:"findings,omitempty"`
	Outputs  map[string]any   `json:"outputs,omitempty"`
	Error    string           `json:"error,omitempty"`
}

// operation runs one operation with a Deployer of its own. A client that goes away
// cancels it.
func (s *service) operation(run func(context.Context, *stacks.Deployer) (*stacks.Result, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result, err := s.run(r, run)
		var a answer
		if result != nil {
			a = answer{Changes: result.Changes, Findings: result.Findings, Outputs: result.Outputs.Plain()}
		}
		if err != nil {
			a.Error = err.Error()
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status(err))
		_ = json.NewEncoder(w).Encode(a)
	}
}

func (s *service) run(
	r *http.Request, run func(context.Context, *stacks.Deployer) (*stacks.Result, error),
) (*stacks.Result, error) {
	name := r.PathValue("name")
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	tree, err := config.ParseTree(text)
	if err != nil {
		return nil, &stacks.OptionsError{Problems: []error{err}}
	}
	o := s.options
	if o.Config, err = config.FromTree(name, tree); err != nil {
		return nil, err
	}
	o.Stack = name
	o.Events = func(e stacks.Event) { s.tell(name, e) }
	d, err := stacks.New(r.Context(), o)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	s.mutex.Lock()
	if s.working[name] == nil {
		s.working[name] = map[*stacks.Deployer]bool{}
	}
	s.working[name][d] = true
	s.mutex.Unlock()
	defer func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		delete(s.working[name], d)
	}()
	return run(r.Context(), d)
}

// status is the one place where an error's kind becomes a number.
func status(err error) int {
	var (
		wrong    *stacks.ConfigError
		options  *stacks.OptionsError
		policy   *stacks.PolicyError
		gate     *stacks.GateError
		conflict *stacks.ConflictError
		pending  *stacks.PendingOperationsError
		failed   *stacks.OperationError
	)
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &wrong), errors.As(err, &options):
		return http.StatusBadRequest
	case errors.As(err, &policy), errors.As(err, &gate):
		return http.StatusUnprocessableEntity
	case errors.As(err, &conflict), errors.As(err, &pending):
		return http.StatusConflict
	case errors.Is(err, context.Canceled):
		return 499 // nginx's word for a request that its client gave up
	case errors.As(err, &failed):
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

func (s *service) cancel(name string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for d := range s.working[name] {
		d.Cancel()
	}
}

func (s *service) cancelAll() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, all := range s.working {
		for d := range all {
			d.Cancel()
		}
	}
}

// events streams what happens in an environment until the client goes away.
func (s *service) events(w http.ResponseWriter, r *http.Request) {
	name, channel := r.PathValue("name"), make(chan stacks.Event, 1024)
	s.mutex.Lock()
	if s.listening[name] == nil {
		s.listening[name] = map[chan stacks.Event]bool{}
	}
	s.listening[name][channel] = true
	s.mutex.Unlock()
	defer func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		delete(s.listening[name], channel)
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	if flush.Flush() != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-channel:
			text, err := json.Marshal(e)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", e.Kind, text); err != nil {
				return
			}
			if flush.Flush() != nil {
				return
			}
		}
	}
}

// tell passes an event on. A listener that does not keep up misses some: the
// update does not wait for it.
func (s *service) tell(name string, e stacks.Event) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for channel := range s.listening[name] {
		select {
		case channel <- e:
		default:
		}
	}
}
