// Package commenttest has stand-ins of the GitHub and GitLab APIs on loopback,
// as far as comments on a request go: pages, limits, authors, and faults to
// order. They are for tests, and claim nothing of the real services beyond what
// their documents say.
package commenttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// Comment is one comment on the request.
type Comment struct {
	ID     int64
	Author string
	Body   string
	// Hidden is set by GitHub's minimizeComment.
	Hidden bool
	// Edits counts the changes.
	Edits int
}

// Request is one call that the server got.
type Request struct {
	Method, Path, Query, Body string
	Header                    http.Header
}

// Fault makes requests fail.
type Fault struct {
	// Method and Path choose the requests; Path is a part of it, "" is all.
	Method, Path string
	// Times is how often; 0 means once, -1 always.
	Times int
	// Status and Body are the answer; Header is added to it.
	Status int
	Body   string
	Header map[string]string
	// After answers so only after the request was done.
	After bool
	// Truncate cuts the good answer in its middle, with a length that says so;
	// Break closes the connection without an answer.
	Truncate, Break bool
}

// Server is what both stand-ins share.
type Server struct {
	// URL is the address of the REST API.
	URL string
	// Token is what requests have to carry, and Author whom it belongs to.
	Token, Author string

	mutex    sync.Mutex
	comments []*Comment
	nextID   int64
	faults   []*Fault
	requests []Request
}

func (s *Server) start(t testing.TB, handler func(http.ResponseWriter, *http.Request, []byte)) *httptest.Server {
	t.Helper()
	s.nextID = 1000
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mutex.Lock()
		defer s.mutex.Unlock()
		s.requests = append(s.requests, Request{
			Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery,
			Body: string(body), Header: r.Header,
		})
		fault := s.fault(r)
		if fault == nil {
			handler(w, r, body)
			return
		}
		done := httptest.NewRecorder()
		if fault.After || fault.Truncate {
			handler(done, r, body)
		}
		answer(w, fault, done)
	}))
	t.Cleanup(server.Close)
	return server
}

// answer gives the answer that the fault asks for.
func answer(w http.ResponseWriter, fault *Fault, done *httptest.ResponseRecorder) {
	if fault.Break {
		panic(http.ErrAbortHandler)
	}
	if fault.Truncate {
		whole := done.Body.Bytes()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
		w.WriteHeader(done.Code)
		_, _ = w.Write(whole[:len(whole)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for name, value := range fault.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(fault.Status)
	_, _ = io.WriteString(w, fault.Body)
}

// fault takes the first fault that the request meets.
func (s *Server) fault(r *http.Request) *Fault {
	for i, f := range s.faults {
		if f.Method != "" && f.Method != r.Method || !strings.Contains(r.URL.EscapedPath(), f.Path) {
			continue
		}
		if f.Times >= 0 {
			if f.Times--; f.Times <= 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return f
	}
	return nil
}

// Fail orders faults; the first that fits a request is taken.
func (s *Server) Fail(faults ...Fault) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &f)
	}
}

// Add puts a comment on the request.
func (s *Server) Add(author, body string) int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.add(author, body).ID
}

func (s *Server) add(author, body string) *Comment {
	s.nextID++
	c := &Comment{ID: s.nextID, Author: author, Body: body}
	s.comments = append(s.comments, c)
	return c
}

// Comments are the comments on the request, oldest first.
func (s *Server) Comments() []Comment {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	all := make([]Comment, len(s.comments))
	for i, c := range s.comments {
		all[i] = *c
	}
	return all
}

// By are the comments of one author.
func (s *Server) By(author string) []Comment {
	return slices.DeleteFunc(s.Comments(), func(c Comment) bool { return c.Author != author })
}

// Requests are the calls so far.
func (s *Server) Requests() []Request {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.requests)
}

// Writes are the calls that change something.
func (s *Server) Writes() []Request {
	return slices.DeleteFunc(s.Requests(), func(r Request) bool {
		return r.Method == http.MethodGet || strings.HasSuffix(r.Path, "/graphql") && !strings.Contains(r.Body, "mutation")
	})
}

func (s *Server) find(id int64) *Comment {
	for _, c := range s.comments {
		if c.ID == id {
			return c
		}
	}
	return nil
}

func (s *Server) remove(id int64) {
	s.comments = slices.DeleteFunc(s.comments, func(c *Comment) bool { return c.ID == id })
}

// page is one page of the comments, and the number of the last page.
func (s *Server) page(number, size int) (page []*Comment, last int) {
	last = max((len(s.comments)+size-1)/size, 1)
	from := min((number-1)*size, len(s.comments))
	return s.comments[from:min(from+size, len(s.comments))], last
}

func write(w http.ResponseWriter, status int, value any) {
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(value); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// length counts as the services do: characters, not bytes.
func length(text string) int { return utf8.RuneCountInString(text) }
