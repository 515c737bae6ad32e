package commenttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// The request of the GitHub stand-in.
const (
	Repository = "acme/speech"
	Number     = 7
)

// GitHub is a stand-in of GitHub's API for one pull request, Number of
// Repository.
type GitHub struct {
	Server
	// GraphQLURL is the address of the other API.
	GraphQLURL string
	// Limit is the most characters of a comment: 65,536.
	Limit int
}

// NewGitHub starts the stand-in as api.github.com is, or with enterprise as an
// Enterprise Server is, until the test ends.
func NewGitHub(t testing.TB, token string, enterprise bool) *GitHub {
	t.Helper()
	g := &GitHub{Server: Server{Token: token, Author: "github-actions[bot]"}, Limit: 65536}
	server := g.start(t, g.serve)
	g.URL, g.GraphQLURL = server.URL, server.URL+"/graphql"
	if enterprise {
		g.URL, g.GraphQLURL = server.URL+"/api/v3", server.URL+"/api/graphql"
	}
	return g
}

func (g *GitHub) serve(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Header.Get("Authorization") != "Bearer "+g.Token {
		write(w, http.StatusUnauthorized, map[string]string{"message": "Bad credentials"})
		return
	}
	address := "http://" + r.Host + r.URL.Path
	path, rest := strings.CutPrefix(address, g.URL)
	switch {
	case address == g.GraphQLURL && r.Method == http.MethodPost:
		g.graphQL(w, body)
	case rest && path == fmt.Sprintf("/repos/%s/issues/%d/comments", Repository, Number):
		switch r.Method {
		case http.MethodGet:
			g.list(w, r)
			return
		case http.MethodPost:
			if text, ok := g.text(w, body); ok {
				write(w, http.StatusCreated, g.form(g.add(g.Author, text)))
			}
			return
		}
		notFound(w)
	case rest && strings.HasPrefix(path, "/repos/"+Repository+"/issues/comments/"):
		id, _ := strconv.ParseInt(path[strings.LastIndex(path, "/")+1:], 10, 64)
		g.one(w, r, id, body)
	default:
		notFound(w)
	}
}

func notFound(w http.ResponseWriter) {
	write(w, http.StatusNotFound, map[string]string{"message": "Not Found"})
}

// text reads the body of a comment, and refuses one that is too long.
func (g *GitHub) text(w http.ResponseWriter, body []byte) (string, bool) {
	var in struct {
		Body string `json:"body"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		write(w, http.StatusBadRequest, map[string]string{"message": "Problems parsing JSON"})
		return "", false
	}
	if length(in.Body) > g.Limit {
		write(w, http.StatusUnprocessableEntity, map[string]any{"message": "Validation Failed", "errors": []any{map[string]string{
			"resource": "IssueComment", "code": "unprocessable", "field": "data",
			"message": fmt.Sprintf("Body is too long (maximum is %d characters)", g.Limit),
		}}})
		return "", false
	}
	return in.Body, true
}

func (g *GitHub) one(w http.ResponseWriter, r *http.Request, id int64, body []byte) {
	c := g.find(id)
	switch {
	case c == nil:
		notFound(w)
	case c.Author != g.Author:
		write(w, http.StatusForbidden, map[string]string{"message": "Resource not accessible by integration"})
	case r.Method == http.MethodPatch:
		if text, ok := g.text(w, body); ok {
			c.Body = text
			c.Edits++
			write(w, http.StatusOK, g.form(c))
		}
	case r.Method == http.MethodDelete:
		g.remove(id)
		w.WriteHeader(http.StatusNoContent)
	default:
		notFound(w)
	}
}

// list gives a page of at most 100, and the links to the others.
func (g *GitHub) list(w http.ResponseWriter, r *http.Request) {
	number, size := figure(r, "page", 1), min(figure(r, "per_page", 30), 100)
	page, last := g.page(number, size)
	var links []string
	link := func(to int, rel string) {
		links = append(links, fmt.Sprintf(`<%s%s?per_page=%d&page=%d>; rel=%q`, g.URL, strings.TrimPrefix(r.URL.Path, "/api/v3"), size, to, rel))
	}
	if number < last {
		link(number+1, "next")
		link(last, "last")
		w.Header().Set("Link", strings.Join(links, ", "))
	}
	all := []any{}
	for _, c := range page {
		all = append(all, g.form(c))
	}
	write(w, http.StatusOK, all)
}

func figure(r *http.Request, name string, preset int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && n > 0 {
		return n
	}
	return preset
}

func (g *GitHub) form(c *Comment) map[string]any {
	return map[string]any{
		"id": c.ID, "node_id": node(c.ID), "body": c.Body,
		"html_url": fmt.Sprintf("https://github.com/%s/pull/%d#issuecomment-%d", Repository, Number, c.ID),
		"user":     map[string]any{"login": c.Author, "type": "Bot"},
	}
}

func node(id int64) string { return fmt.Sprintf("IC_%d", id) }

// graphQL answers the two questions that comments need: whose they are, and to
// hide one.
func (g *GitHub) graphQL(w http.ResponseWriter, body []byte) {
	var in struct {
		Query     string `json:"query"`
		Variables struct {
			IDs []string `json:"ids"`
			ID  string   `json:"id"`
		} `json:"variables"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		write(w, http.StatusBadRequest, map[string]string{"message": "Problems parsing JSON"})
		return
	}
	byNode := func(name string) *Comment {
		id, _ := strconv.ParseInt(strings.TrimPrefix(name, "IC_"), 10, 64)
		return g.find(id)
	}
	if strings.Contains(in.Query, "minimizeComment") {
		c := byNode(in.Variables.ID)
		if c == nil {
			failure := map[string]string{"type": "NOT_FOUND", "message": "Could not resolve to a node"}
			write(w, http.StatusOK, map[string]any{"data": nil, "errors": []any{failure}})
			return
		}
		c.Hidden = true
		done := map[string]any{"minimizedComment": map[string]any{"isMinimized": true}}
		write(w, http.StatusOK, map[string]any{"data": map[string]any{"minimizeComment": done}})
		return
	}
	if len(in.Variables.IDs) > 100 {
		write(w, http.StatusOK, map[string]any{"errors": []any{map[string]string{"type": "ARGUMENT_LIMIT", "message": "You may not provide more than 100 node ids"}}})
		return
	}
	nodes := []any{}
	for _, name := range in.Variables.IDs {
		c := byNode(name)
		if c == nil {
			nodes = append(nodes, nil)
			continue
		}
		nodes = append(nodes, map[string]any{"id": name, "isMinimized": c.Hidden, "viewerDidAuthor": c.Author == g.Author})
	}
	write(w, http.StatusOK, map[string]any{"data": map[string]any{"viewer": map[string]string{"login": g.Author}, "nodes": nodes}})
}
