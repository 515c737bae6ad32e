package commenttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// ProjectID is the project of the GitLab stand-in; Number is the merge request.
const ProjectID = "4711"

// GitLab is a stand-in of GitLab's API for one merge request.
type GitLab struct {
	Server
	// Limit is the most characters of a note: 1,000,000.
	Limit int
}

// NewGitLab starts the stand-in until the test ends. The project answers to its
// number and to its path, Repository.
func NewGitLab(t testing.TB, token string) *GitLab {
	t.Helper()
	g := &GitLab{Server: Server{Token: token, Author: "project_4711_bot"}, Limit: 1000000}
	g.URL = g.start(t, g.serve).URL + "/api/v4"
	return g
}

func (g *GitLab) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Header.Get("Private-Token") != g.Token {
		write(w, http.StatusUnauthorized, map[string]string{"message": "401 Unauthorized"})
		return
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/api/v4")
	if path == "/user" {
		write(w, http.StatusOK, map[string]any{"id": authorID(g.Author), "username": g.Author})
		return
	}
	path = strings.Replace(path, strings.ReplaceAll(Repository, "/", "%2F"), ProjectID, 1)
	request := fmt.Sprintf("/projects/%s/merge_requests/%d", ProjectID, Number)
	tail, ok := strings.CutPrefix(path, request)
	id, err := strconv.ParseInt(strings.TrimPrefix(tail, "/notes/"), 10, 64)
	switch {
	case ok && tail == "" && r.Method == http.MethodGet:
		write(w, http.StatusOK, map[string]any{"iid": Number, "web_url": fmt.Sprintf("https://gitlab.com/%s/-/merge_requests/%d", Repository, Number)})
	case ok && tail == "/notes" && r.Method == http.MethodGet:
		g.list(w, r)
	case ok && tail == "/notes" && r.Method == http.MethodPost:
		if text, ok := g.text(w, body); ok {
			write(w, http.StatusCreated, form(g.add(g.Author, text)))
		}
	case ok && err == nil && g.find(id) != nil:
		g.one(w, r, g.find(id), body)
	default:
		write(w, http.StatusNotFound, map[string]string{"message": "404 Not found"})
	}
}

func (g *GitLab) one(w http.ResponseWriter, r *http.Request, c *Comment, body []byte) {
	switch {
	case c.Author != g.Author:
		write(w, http.StatusForbidden, map[string]string{"message": "403 Forbidden"})
	case r.Method == http.MethodPut:
		if text, ok := g.text(w, body); ok {
			c.Body = text
			c.Edits++
			write(w, http.StatusOK, form(c))
		}
	case r.Method == http.MethodDelete:
		g.remove(c.ID)
		w.WriteHeader(http.StatusNoContent)
	default:
		write(w, http.StatusMethodNotAllowed, map[string]string{"error": "405 Not Allowed"})
	}
}

func (g *GitLab) text(w http.ResponseWriter, body []byte) (string, bool) {
	var in struct {
		Body string `json:"body"`
	}
	switch err := json.Unmarshal(body, &in); {
	case err != nil || in.Body == "":
		write(w, http.StatusBadRequest, map[string]string{"error": "body is missing"})
		return "", false
	case length(in.Body) > g.Limit:
		write(w, http.StatusBadRequest, map[string]any{"message": map[string]any{"note": []string{fmt.Sprintf("is too long (maximum is %d characters)", g.Limit)}}})
		return "", false
	}
	return in.Body, true
}

func (g *GitLab) list(w http.ResponseWriter, r *http.Request) {
	number, size := figure(r, "page", 1), min(figure(r, "per_page", 20), 100)
	page, last := g.page(number, size)
	if number < last {
		w.Header().Set("X-Next-Page", strconv.Itoa(number+1))
	} else {
		w.Header().Set("X-Next-Page", "")
	}
	all := []any{}
	for _, c := range page {
		all = append(all, form(c))
	}
	write(w, http.StatusOK, all)
}

func form(c *Comment) map[string]any {
	return map[string]any{
		"id": c.ID, "body": c.Body, "system": false,
		"author": map[string]any{"id": authorID(c.Author), "username": c.Author},
	}
}

// authorID makes a number of a name.
func authorID(name string) int {
	id := 0
	for _, r := range name {
		id = id*31%1000003 + int(r)
	}
	return id
}
