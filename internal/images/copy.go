package images

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// A source is where one repository is read from, a sink where one is written
// to: a registry or a folder.
type source interface {
	// manifest reads a manifest by digest and checks it.
	manifest(ctx context.Context, d v1.Hash) ([]byte, types.MediaType, error)
	// blob opens a blob; reading it to the end checks it.
	blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
	// attached are signatures and other referrers of a manifest.
	attached(ctx context.Context, d v1.Hash) ([]attachment, error)
	fmt.Stringer
}

type sink interface {
	// hasManifest says whether a manifest is there, whole, with all below it.
	hasManifest(ctx context.Context, d v1.Hash) (bool, error)
	// putBlob writes a blob unless it is there. open may be called again.
	putBlob(ctx context.Context, d v1.Descriptor, open func() (io.ReadCloser, error)) (existed bool, err error)
	// putManifest writes a manifest under its digest, or also under a tag.
	putManifest(ctx context.Context, d v1.Descriptor, raw []byte, tag string) error
	fmt.Stringer
}

// attachment is a manifest that belongs to another: by a tag made of its digest
// (cosign), or by its subject field (OCI referrers; tag is empty).
type attachment struct {
	desc v1.Descriptor
	tag  string
}

// copier copies manifests with all below them from one repository to another.
type copier struct {
	c    *Client
	from source
	to   sink
	// moved and skipped count bytes of blobs.
	moved, skipped counter
	attachments    counter
}

// links is what a manifest names, whatever its kind.
type links struct {
	MediaType types.MediaType `json:"mediaType"`
	Manifests []v1.Descriptor `json:"manifests"`
	Config    *v1.Descriptor  `json:"config"`
	Layers    []v1.Descriptor `json:"layers"`
	Blobs     []v1.Descriptor `json:"blobs"`
	Subject   *v1.Descriptor  `json:"subject"`
	FSLayers  []any           `json:"fsLayers"`
}

// manifest copies the manifest d and all below it; a manifest is written after
// everything it names, so whatever a registry has is whole.
func (k *copier) manifest(ctx context.Context, d v1.Hash, force bool) (v1.Descriptor, []byte, error) {
	raw, mt, err := k.from.manifest(ctx, d)
	if err != nil {
		return v1.Descriptor{}, nil, from(k.from, err)
	}
	desc := v1.Descriptor{MediaType: mt, Digest: d, Size: int64(len(raw))}
	if !force {
		there, err := k.to.hasManifest(ctx, d)
		if err != nil {
			return desc, raw, to(k.to, err)
		}
		if there {
			return desc, raw, nil
		}
	}
	var l links
	if err := json.Unmarshal(raw, &l); err != nil {
		return desc, raw, from(k.from, fmt.Errorf("manifest %s: not JSON: %w", d, err))
	}
	if mt.IsSchema1() || len(l.FSLayers) > 0 {
		return desc, raw, from(k.from, fmt.Errorf("manifest %s: is of Docker's schema 1, which no current registry takes: pull and push it once with a current tool", d))
	}
	if err := k.children(ctx, l); err != nil {
		return desc, raw, err
	}
	if err := k.to.putManifest(ctx, desc, raw, ""); err != nil {
		return desc, raw, to(k.to, err)
	}
	return desc, raw, nil
}

func (k *copier) children(ctx context.Context, l links) error {
	blobs := append(l.Layers, l.Blobs...)
	if l.Config != nil {
		blobs = append(blobs, *l.Config)
	}
	seen := map[v1.Hash]bool{}
	g, inGroup := errgroup.WithContext(ctx)
	for _, b := range blobs {
		if seen[b.Digest] || !b.MediaType.IsDistributable() && len(b.URLs) > 0 {
			continue
		}
		seen[b.Digest] = true
		k.c.o.Progress.Expect(b.Size)
		g.Go(func() error { return k.blob(inGroup, b) })
	}
	err := g.Wait()
	for _, m := range l.Manifests {
		if err != nil {
			return err
		}
		_, _, err = k.manifest(ctx, m.Digest, false)
	}
	return err
}

func (k *copier) blob(ctx context.Context, d v1.Descriptor) error {
	var read counter
	var failed error // what went wrong on the reading side
	existed, err := k.to.putBlob(ctx, d, func() (io.ReadCloser, error) {
		k.c.o.Progress.Done(-read.reset())
		failed = nil
		rc, err := k.from.blob(ctx, d)
		if err != nil {
			failed = err
			return nil, err
		}
		return &counting{ReadCloser: rc, n: &read, progress: k.c.o.Progress, failed: &failed}, nil
	})
	switch {
	case err != nil && failed != nil && ctx.Err() == nil:
		return from(k.from, fmt.Errorf("blob %s: %w", d.Digest, failed))
	case err != nil:
		return to(k.to, fmt.Errorf("blob %s: %w", d.Digest, err))
	case existed:
		k.skipped.add(d.Size)
		k.c.o.Progress.Done(d.Size)
	default:
		k.moved.add(d.Size)
	}
	return nil
}

// attach copies signatures and referrers of d, and theirs in turn (a signature
// of an SBOM).
func (k *copier) attach(ctx context.Context, d v1.Hash, seen map[v1.Hash]bool) error {
	if seen[d] {
		return nil
	}
	seen[d] = true
	list, err := k.from.attached(ctx, d)
	if err != nil {
		return from(k.from, fmt.Errorf("signatures of %s: %w", d, err))
	}
	for _, a := range list {
		// A referrer is written again even where it is there: writing it is
		// what puts it on its subject's list.
		desc, raw, err := k.manifest(ctx, a.desc.Digest, a.tag == "")
		if err != nil {
			return err
		}
		if a.tag != "" {
			if err := k.to.putManifest(ctx, desc, raw, a.tag); err != nil {
				return to(k.to, err)
			}
		}
		k.attachments.add(1)
		if err := k.attach(ctx, a.desc.Digest, seen); err != nil {
			return err
		}
	}
	return nil
}

// narrow finds the manifest of the client's platform in an index; an image of
// one platform is left as it is.
func (c *Client) narrow(ctx context.Context, s source, d v1.Descriptor) (v1.Hash, error) {
	if c.platform == nil || !d.MediaType.IsIndex() {
		return d.Digest, nil
	}
	raw, _, err := s.manifest(ctx, d.Digest)
	if err != nil {
		return v1.Hash{}, from(s, err)
	}
	idx, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return v1.Hash{}, from(s, fmt.Errorf("index %s: %w", d.Digest, err))
	}
	var have []string
	for _, m := range idx.Manifests {
		if m.Platform == nil {
			continue
		}
		if m.Platform.Satisfies(*c.platform) {
			return m.Digest, nil
		}
		have = append(have, m.Platform.String())
	}
	return v1.Hash{}, from(s, fmt.Errorf("has no image for %s, only for %q: change --platform", c.o.Platform, have))
}

// counting is a blob's stream that counts, and remembers that it broke: the
// sink's error then only repeats it.
type counting struct {
	io.ReadCloser
	n        *counter
	progress Progress
	failed   *error
}

func (r *counting) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.n.add(int64(n))
	r.progress.Done(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		*r.failed = err
	}
	return n, err
}
