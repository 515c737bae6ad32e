package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

type counter struct{ n atomic.Int64 }

func (c *counter) add(n int64)  { c.n.Add(n) }
func (c *counter) reset() int64 { return c.n.Swap(0) }
func (c *counter) value() int64 { return c.n.Load() }

// repository is one repository of a registry, as source and as sink.
type repository struct {
	c    *Client
	repo name.Repository
}

func (r repository) String() string { return r.repo.String() }

func (r repository) digest(d v1.Hash) name.Digest { return r.repo.Digest(d.String()) }

func (r repository) manifest(ctx context.Context, d v1.Hash) ([]byte, types.MediaType, error) {
	got, err := r.c.puller.Get(ctx, r.digest(d))
	if err != nil {
		return nil, "", err
	}
	return got.Manifest, got.MediaType, nil
}

func (r repository) blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	l, err := r.c.puller.Layer(ctx, r.digest(d.Digest))
	if err != nil {
		return nil, err
	}
	return l.Compressed()
}

// cosignSuffixes are the tags that cosign makes of a digest.
var cosignSuffixes = []string{".sig", ".att", ".sbom"}

func (r repository) attached(ctx context.Context, d v1.Hash) ([]attachment, error) {
	var list []attachment
	idx, err := remote.Referrers(r.digest(d), remote.Reuse(r.c.puller), remote.WithContext(ctx))
	// Registries without referrers answer in many ways; a signature that they
	// cannot list is one that they do not have.
	if s := status(err); err != nil && (s < 400 || s == 429 || s >= 500) {
		return nil, err
	}
	if err == nil {
		m, err := idx.IndexManifest()
		if err != nil {
			return nil, err
		}
		for _, desc := range m.Manifests {
			list = append(list, attachment{desc: desc})
		}
	}
	for _, suffix := range cosignSuffixes {
		tag := d.Algorithm + "-" + d.Hex + suffix
		desc, found, err := r.c.head(ctx, r.repo.Tag(tag))
		if err != nil {
			return nil, err
		}
		if found {
			list = append(list, attachment{desc: desc, tag: tag})
		}
	}
	return list, nil
}

func (r repository) hasManifest(ctx context.Context, d v1.Hash) (bool, error) {
	_, found, err := r.c.head(ctx, r.digest(d))
	return found, err
}

// raw is a manifest for the library to put as it is.
type raw struct {
	b  []byte
	mt types.MediaType
}

func (m raw) RawManifest() ([]byte, error)        { return m.b, nil }
func (m raw) MediaType() (types.MediaType, error) { return m.mt, nil }

func (r repository) putManifest(ctx context.Context, d v1.Descriptor, b []byte, tag string) error {
	var ref name.Reference = r.digest(d.Digest)
	if tag != "" {
		ref = r.repo.Tag(tag)
	}
	return r.c.pusher.Put(ctx, ref, raw{b, d.MediaType})
}

// layer is a blob for the library to upload.
type layer struct {
	d    v1.Descriptor
	open func() (io.ReadCloser, error)
	read bool
}

func (l *layer) Digest() (v1.Hash, error) { return l.d.Digest, nil }
func (l *layer) DiffID() (v1.Hash, error) {
	return v1.Hash{}, fmt.Errorf("blob %s: not unpacked", l.d.Digest)
}
func (l *layer) Size() (int64, error)                { return l.d.Size, nil }
func (l *layer) MediaType() (types.MediaType, error) { return types.DockerLayer, nil }
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	return nil, fmt.Errorf("blob %s: not unpacked", l.d.Digest)
}

func (l *layer) Compressed() (io.ReadCloser, error) {
	l.read = true
	return l.open()
}

func (r repository) putBlob(ctx context.Context, d v1.Descriptor, open func() (io.ReadCloser, error)) (bool, error) {
	key := r.repo.RegistryStr() + "@" + d.Digest.String()
	for {
		r.c.mu.Lock()
		o, busy := r.c.blobs[key]
		if !busy {
			o = &once{done: make(chan struct{}), repo: r.repo}
			r.c.blobs[key] = o
		}
		r.c.mu.Unlock()
		if !busy {
			existed, err := r.upload(ctx, d, open, nil)
			if o.err = err; err != nil {
				// Whoever waits shall try for itself.
				r.c.mu.Lock()
				delete(r.c.blobs, key)
				r.c.mu.Unlock()
			}
			close(o.done)
			return existed, err
		}
		select {
		case <-o.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if o.err != nil {
			continue
		}
		if o.repo == r.repo {
			return true, nil
		}
		return r.upload(ctx, d, open, &o.repo)
	}
}

// upload uploads a blob, or mounts it from another repository of the registry,
// and tries again as a whole where that can help.
func (r repository) upload(ctx context.Context, d v1.Descriptor, open func() (io.ReadCloser, error), other *name.Repository) (bool, error) {
	select {
	case r.c.slots <- struct{}{}:
		defer func() { <-r.c.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	for try := 1; ; try++ {
		l := &layer{d: d, open: open}
		var up v1.Layer = l
		if other != nil {
			up = &remote.MountableLayer{Layer: l, Reference: other.Digest(d.Digest.String())}
		}
		err := r.c.pusher.Upload(ctx, r.repo, up)
		if err == nil {
			return !l.read, nil
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if try >= r.c.o.Tries || !uploadAgain(err) {
			return false, err
		}
		if serr := sleep(ctx, backoff(r.c.o.FirstWait, try)); serr != nil {
			return false, serr
		}
	}
}

func sum(b []byte) v1.Hash {
	h := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h[:])}
}
