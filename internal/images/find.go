package images

import (
	"context"
	"fmt"
	"path"

	"github.com/google/go-containerregistry/pkg/name"
)

// Find is the digest that a reference (registry/path:tag) stands for; empty where
// its registry does not have it. The error is an *Error: the registry cannot be
// reached, or refuses the credentials.
func (c *Client) Find(ctx context.Context, reference string) (digest string, err error) {
	ref, err := name.NewTag(reference)
	if err != nil {
		return "", fmt.Errorf("image %q: must be registry/path:tag", reference)
	}
	desc, found, err := c.head(ctx, ref)
	switch {
	case err != nil:
		return "", explain(Image{Name: path.Base(ref.RepositoryStr()), Source: reference}, at(ref.Context().Name(), true, err))
	case !found:
		return "", nil
	}
	return desc.Digest.String(), nil
}
