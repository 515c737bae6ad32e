package comment

import (
	"context"
	"net/http"
	"net/url"
)

// note is one comment of ours on the request.
type note struct {
	id   int64
	node string // GitHub's name for it in GraphQL
	url  string
	body string // without the marker
	marker
	hidden bool
}

// service is what posting needs of GitHub and GitLab.
type service interface {
	// find returns the comments with the key that the token's identity wrote,
	// oldest first, from all pages.
	find(ctx context.Context, key Key) ([]note, error)
	// create adds a comment. Its error is an *unsureError when the comment may
	// be there nevertheless.
	create(ctx context.Context, text string) (id int64, address string, err error)
	edit(ctx context.Context, id int64, text string) error
	remove(ctx context.Context, id int64) error
	// hide hides a comment; nil where the service has no such thing.
	hide() func(ctx context.Context, n note) error
}

// client is the HTTP client that carries through c to the API.
func (c *courier) client() (*http.Client, error) {
	u, err := url.Parse(c.target.api())
	if err != nil {
		return nil, err // validated before
	}
	c.host = u.Host
	return &http.Client{Transport: c}, nil
}
