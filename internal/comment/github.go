package comment

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-github/v74/github"
)

// githubService speaks to GitHub and GitHub Enterprise.
type githubService struct {
	*courier
	rest        *github.Client
	owner, name string
}

func newGitHub(c *courier) (*githubService, error) {
	c.header = func(h http.Header, token string) { h.Set("Authorization", "Bearer "+token) }
	transport, err := c.client()
	if err != nil {
		return nil, err
	}
	client := github.NewClient(transport)
	// The courier waits where it must.
	client.DisableRateLimitCheck = true
	client.UserAgent = "deepgram-stack"
	if client.BaseURL, err = url.Parse(c.target.api() + "/"); err != nil {
		return nil, err
	}
	owner, name, _ := strings.Cut(c.target.Repository, "/")
	return &githubService{courier: c, rest: client, owner: owner, name: name}, nil
}

func (s *githubService) find(ctx context.Context, key Key) ([]note, error) {
	step := "listing the comments of " + s.target.String()
	logins := map[int64]string{}
	var found []note
	options := &github.IssueListCommentsOptions{ListOptions: github.ListOptions{PerPage: 100, Page: 1}}
	for {
		page, resp, err := s.rest.Issues.ListComments(ctx, s.owner, s.name, s.target.Number, options)
		if err != nil {
			return nil, s.explain(step, err)
		}
		for _, c := range page {
			if m, body, ok := parseMarker(c.GetBody()); ok && m.key == key {
				found = append(found, note{id: c.GetID(), node: c.GetNodeID(), url: c.GetHTMLURL(), body: body, marker: m})
				logins[c.GetID()] = c.GetUser().GetLogin()
			}
		}
		if resp.NextPage <= options.Page {
			break
		}
		options.Page = resp.NextPage
	}
	if len(found) == 0 {
		return nil, nil
	}
	own, err := s.own(ctx, found, logins)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(own, func(a, b note) int { return cmp.Compare(a.id, b.id) })
	return own, nil
}

// own keeps what the token's identity wrote. GraphQL is asked because the REST
// API does not tell a workflow's token who it is.
func (s *githubService) own(ctx context.Context, notes []note, logins map[int64]string) ([]note, error) {
	const query = `query($ids: [ID!]!) { viewer { login } nodes(ids: $ids) { ... on IssueComment { id isMinimized viewerDidAuthor } } }`
	var own []note
	for batch := range slices.Chunk(notes, 100) { // nodes takes no more
		ids := make([]string, len(batch))
		for i, n := range batch {
			ids[i] = n.node
		}
		var answer struct {
			Viewer struct {
				Login string `json:"login"`
			} `json:"viewer"`
			Nodes []*struct {
				ID        string `json:"id"`
				Minimized bool   `json:"isMinimized"`
				Authored  bool   `json:"viewerDidAuthor"`
			} `json:"nodes"`
		}
		if err := s.graphQL(ctx, "asking whose comments these are", query, map[string]any{"ids": ids}, &answer); err != nil {
			return nil, err
		}
		for i, n := range batch {
			mine := answer.Viewer.Login != "" && answer.Viewer.Login == logins[n.id]
			if i < len(answer.Nodes) && answer.Nodes[i] != nil {
				mine = mine || answer.Nodes[i].Authored
				n.hidden = answer.Nodes[i].Minimized
			}
			if mine {
				own = append(own, n)
			}
		}
	}
	return own, nil
}

func (s *githubService) create(ctx context.Context, text string) (int64, string, error) {
	c, _, err := s.rest.Issues.CreateComment(once(ctx), s.owner, s.name, s.target.Number, &github.IssueComment{Body: &text})
	return c.GetID(), c.GetHTMLURL(), s.explain("commenting on "+s.target.String(), err)
}

func (s *githubService) edit(ctx context.Context, id int64, text string) error {
	_, _, err := s.rest.Issues.EditComment(ctx, s.owner, s.name, id, &github.IssueComment{Body: &text})
	return s.explain(fmt.Sprintf("changing comment %d of %s", id, s.target), err)
}

func (s *githubService) remove(ctx context.Context, id int64) error {
	_, err := s.rest.Issues.DeleteComment(ctx, s.owner, s.name, id)
	return s.explain(fmt.Sprintf("removing comment %d of %s", id, s.target), err)
}

func (s *githubService) hide() func(context.Context, note) error {
	const mutation = `mutation($id: ID!) { minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) { minimizedComment { isMinimized } } }`
	return func(ctx context.Context, n note) error {
		var answer struct{}
		return s.graphQL(ctx, fmt.Sprintf("hiding comment %d of %s", n.id, s.target), mutation, map[string]any{"id": n.node}, &answer)
	}
}

// graphQL asks GitHub's other API; what we ask may be asked again.
func (s *githubService) graphQL(ctx context.Context, step, query string, variables map[string]any, data any) error {
	req, err := s.rest.NewRequest(http.MethodPost, s.target.graphQL(), map[string]any{"query": query, "variables": variables})
	if err != nil {
		return s.explain(step, err)
	}
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors []struct {
			Type    string `json:"type"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if _, err := s.rest.Do(ctx, req, &answer); err != nil {
		return s.explain(step, err)
	}
	for _, e := range answer.Errors {
		said := s.clean(e.Message)
		switch e.Type {
		case "NOT_FOUND": // one node is gone: the others are answered
			continue
		case "FORBIDDEN", "INSUFFICIENT_SCOPES":
			return &Error{
				Kind: Permission, Step: step, Status: http.StatusOK,
				Message: s.target.advise(Permission, http.StatusForbidden, said),
			}
		}
		return &Error{Kind: Invalid, Step: step, Status: http.StatusOK, Message: "GitHub answers: " + said}
	}
	if err := json.Unmarshal(answer.Data, data); err != nil {
		return s.explain(step, err)
	}
	return nil
}
