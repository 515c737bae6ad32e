package comment

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// gitlabService speaks to GitLab. It needs six calls: the client that GitLab
// publishes has a thousand, and would take longer to compile than all of this
// program that knows no cloud.
type gitlabService struct {
	*courier
	http *http.Client
	// request is the merge request's address in the API.
	request string
	// web is its address for people; asked for once.
	web string
}

func newGitLab(c *courier) (*gitlabService, error) {
	c.header = func(h http.Header, token string) { h.Set("Private-Token", token) }
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	request := fmt.Sprintf("%s/projects/%s/merge_requests/%d", c.target.api(), url.PathEscape(c.target.Repository), c.target.Number)
	return &gitlabService{courier: c, http: client, request: request}, nil
}

// gitlabNote is GitLab's form of a comment.
type gitlabNote struct {
	ID     int64  `json:"id"`
	Body   string `json:"body"`
	System bool   `json:"system"`
	Author struct {
		ID int64 `json:"id"`
	} `json:"author"`
}

func (s *gitlabService) find(ctx context.Context, key Key) ([]note, error) {
	step := "listing the comments of " + s.target.String()
	if err := s.address(ctx, step); err != nil {
		return nil, err
	}
	authors := map[int64]int64{}
	var found []note
	for page := 1; ; {
		var notes []gitlabNote
		header, err := s.call(ctx, http.MethodGet, fmt.Sprintf("%s/notes?order_by=created_at&sort=asc&per_page=100&page=%d", s.request, page), nil, &notes)
		if err != nil {
			return nil, s.explain(step, err)
		}
		for _, n := range notes {
			if m, body, ok := parseMarker(n.Body); ok && m.key == key && !n.System {
				found = append(found, note{id: n.ID, url: s.page(n.ID), body: body, marker: m, hidden: m.state == folded})
				authors[n.ID] = n.Author.ID
			}
		}
		next, _ := strconv.Atoi(header.Get("X-Next-Page"))
		if next <= page {
			break
		}
		page = next
	}
	if len(found) == 0 {
		return nil, nil
	}
	var me struct {
		ID int64 `json:"id"`
	}
	if _, err := s.call(ctx, http.MethodGet, s.target.api()+"/user", nil, &me); err != nil {
		return nil, s.explain("asking whose comments these are", err)
	}
	found = slices.DeleteFunc(found, func(n note) bool { return me.ID == 0 || authors[n.id] != me.ID })
	slices.SortFunc(found, func(a, b note) int { return cmp.Compare(a.id, b.id) })
	return found, nil
}

// address asks for the page of the merge request, to which notes are anchors.
func (s *gitlabService) address(ctx context.Context, step string) error {
	if s.web != "" {
		return nil
	}
	var request struct {
		WebURL string `json:"web_url"`
	}
	if _, err := s.call(ctx, http.MethodGet, s.request, nil, &request); err != nil {
		return s.explain(step, err)
	}
	s.web = request.WebURL
	return nil
}

func (s *gitlabService) page(id int64) string {
	if s.web == "" {
		return ""
	}
	return fmt.Sprintf("%s#note_%d", s.web, id)
}

func (s *gitlabService) create(ctx context.Context, text string) (int64, string, error) {
	var made gitlabNote
	_, err := s.call(once(ctx), http.MethodPost, s.request+"/notes", map[string]string{"body": text}, &made)
	return made.ID, s.page(made.ID), s.explain("commenting on "+s.target.String(), err)
}

func (s *gitlabService) edit(ctx context.Context, id int64, text string) error {
	_, err := s.call(ctx, http.MethodPut, fmt.Sprintf("%s/notes/%d", s.request, id), map[string]string{"body": text}, nil)
	return s.explain(fmt.Sprintf("changing comment %d of %s", id, s.target), err)
}

func (s *gitlabService) remove(ctx context.Context, id int64) error {
	_, err := s.call(ctx, http.MethodDelete, fmt.Sprintf("%s/notes/%d", s.request, id), nil, nil)
	return s.explain(fmt.Sprintf("removing comment %d of %s", id, s.target), err)
}

// hide is nil: GitLab hides no comments, so that they are folded up.
func (s *gitlabService) hide() func(context.Context, note) error { return nil }

// call sends one request and reads the answer's JSON into out, if there is one.
func (s *gitlabService) call(ctx context.Context, method, address string, in, out any) (http.Header, error) {
	var body bytes.Buffer
	if in != nil {
		encoder := json.NewEncoder(&body)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(in); err != nil {
			return nil, err
		}
	}
	// Of a *bytes.Buffer, the request can give the body again.
	req, err := http.NewRequestWithContext(ctx, method, address, &body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "deepgram-stack")
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return nil, fmt.Errorf("it leads elsewhere (%d)", resp.StatusCode)
	}
	if out == nil {
		return resp.Header, nil
	}
	return resp.Header, json.NewDecoder(resp.Body).Decode(out)
}
