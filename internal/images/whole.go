package images

import (
	"context"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
)

// absent is a sink that writes nothing and asks whether each blob is there:
// with it, walking an image verifies it.
type absent struct {
	t repository
	r *Result
}

func (a absent) String() string { return a.t.String() }

func (a absent) hasManifest(context.Context, v1.Hash) (bool, error) { return false, nil }

func (a absent) putManifest(context.Context, v1.Descriptor, []byte, string) error { return nil }

func (a absent) putBlob(ctx context.Context, d v1.Descriptor, _ func() (io.ReadCloser, error)) (bool, error) {
	l, err := a.t.c.puller.Layer(ctx, a.t.digest(d.Digest))
	if err != nil {
		return false, err
	}
	there, err := partial.Exists(l)
	if err == nil && !there {
		err = &missing{what: "blob " + d.Digest.String()}
	}
	return true, err
}
