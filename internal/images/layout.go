package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// refName is the annotation that holds an image's reference in an OCI layout.
const refName = "org.opencontainers.image.ref.name"

// Layout is a folder of images in the form of the OCI image layout, which
// skopeo and podman read too. Every file in it is written under a temporary
// name, synced and renamed: what is there is whole.
type Layout struct {
	dir string

	mu    sync.Mutex
	index v1.IndexManifest
}

// OpenLayout opens the folder dir; with create it is made where it is missing.
func OpenLayout(dir string, create bool) (*Layout, error) {
	l := &Layout{dir: dir, index: v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}}
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
			return nil, fmt.Errorf("folder %s: %w", dir, err)
		}
		if err := writeFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
			return nil, fmt.Errorf("folder %s: %w", dir, err)
		}
		return l, l.save()
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("folder %s: has no index.json, so it is not an OCI layout: make one with images export", dir)
	case err != nil:
		return nil, fmt.Errorf("folder %s: %w", dir, err)
	}
	if err := json.Unmarshal(b, &l.index); err != nil {
		return nil, fmt.Errorf("folder %s: index.json: %w", dir, err)
	}
	if create {
		// Leftovers of a copy that was killed.
		old, _ := filepath.Glob(filepath.Join(dir, "blobs", "sha256", ".partial-*"))
		for _, f := range old {
			os.Remove(f)
		}
	}
	return l, nil
}

func (l *Layout) save() error {
	b, err := json.MarshalIndent(l.index, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(l.dir, "index.json"), b)
}

// References are the images of the folder, by the reference they came from.
func (l *Layout) References() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var refs []string
	for _, d := range l.index.Manifests {
		ref := d.Annotations[refName]
		if ref != "" && !isAttachment(ref) {
			refs = append(refs, ref)
		}
	}
	slices.Sort(refs)
	return refs
}

func isAttachment(ref string) bool {
	_, tag, _ := cutTag(ref)
	return strings.HasPrefix(tag, "sha256-") && slices.ContainsFunc(cosignSuffixes, func(s string) bool { return strings.HasSuffix(tag, s) })
}

func cutTag(ref string) (repo, tag string, ok bool) {
	i := strings.LastIndex(ref, ":")
	if i < 0 || strings.Contains(ref[i:], "/") {
		return ref, "", false
	}
	return ref[:i], ref[i+1:], true
}

func (l *Layout) path(d v1.Hash) string {
	return filepath.Join(l.dir, "blobs", d.Algorithm, d.Hex)
}

func (l *Layout) find(ref string) (v1.Descriptor, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.index.Manifests {
		if d.Annotations[refName] == ref {
			return d, true
		}
	}
	return v1.Descriptor{}, false
}

// set puts d on the index: under ref, or only by digest where ref is empty.
func (l *Layout) set(ref string, d v1.Descriptor) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.Annotations = nil
	if ref != "" {
		d.Annotations = map[string]string{refName: ref}
	}
	for i, old := range l.index.Manifests {
		if old.Annotations[refName] == ref && (ref != "" || old.Digest == d.Digest) {
			if old.Digest == d.Digest {
				return nil
			}
			l.index.Manifests[i] = d
			return l.save()
		}
	}
	l.index.Manifests = append(l.index.Manifests, d)
	return l.save()
}

// folder is one image's place in a Layout, as source and as sink.
type folder struct {
	*Layout
	// repo is the repository part of the references.
	repo string
}

func (f folder) String() string { return "folder " + f.dir }

func (f folder) manifest(_ context.Context, d v1.Hash) ([]byte, types.MediaType, error) {
	b, err := os.ReadFile(f.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", &missing{what: "manifest " + d.String()}
	}
	if err != nil {
		return nil, "", err
	}
	if got := sum(b); got != d {
		return nil, "", fmt.Errorf("manifest digest: %q does not match requested digest: %q", got, d)
	}
	var l links
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, "", err
	}
	mt := l.MediaType
	if mt == "" {
		// OCI manifests may leave their media type out.
		mt = types.OCIManifestSchema1
		if len(l.Manifests) > 0 {
			mt = types.OCIImageIndex
		}
	}
	return b, mt, nil
}

func (f folder) blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	file, err := os.Open(f.path(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &missing{what: "blob " + d.Digest.String()}
	}
	if err != nil {
		return nil, err
	}
	return newVerifying(file, d)
}

func (f folder) attached(ctx context.Context, d v1.Hash) ([]attachment, error) {
	f.mu.Lock()
	entries := slices.Clone(f.index.Manifests)
	f.mu.Unlock()
	var list []attachment
	for _, e := range entries {
		ref := e.Annotations[refName]
		if ref == "" {
			b, _, err := f.manifest(ctx, e.Digest)
			if err != nil {
				return nil, err
			}
			var l links
			if err := json.Unmarshal(b, &l); err != nil {
				return nil, err
			}
			if l.Subject != nil && l.Subject.Digest == d {
				list = append(list, attachment{desc: e})
			}
			continue
		}
		repo, tag, _ := cutTag(ref)
		for _, suffix := range cosignSuffixes {
			if repo == f.repo && tag == d.Algorithm+"-"+d.Hex+suffix {
				list = append(list, attachment{desc: e, tag: tag})
			}
		}
	}
	return list, nil
}

// hasManifest walks what is there: a folder may have been copied in part.
func (f folder) hasManifest(ctx context.Context, d v1.Hash) (bool, error) {
	b, _, err := f.manifest(ctx, d)
	if err != nil {
		return false, nil //nolint:nilerr // not there or not whole is to be written
	}
	var l links
	if err := json.Unmarshal(b, &l); err != nil {
		return false, nil //nolint:nilerr // same
	}
	blobs := append(l.Layers, l.Blobs...)
	if l.Config != nil {
		blobs = append(blobs, *l.Config)
	}
	for _, blob := range blobs {
		if !blob.MediaType.IsDistributable() && len(blob.URLs) > 0 {
			continue
		}
		if !f.hasBlob(blob) {
			return false, nil
		}
	}
	for _, m := range l.Manifests {
		if there, err := f.hasManifest(ctx, m.Digest); err != nil || !there {
			return false, err
		}
	}
	return true, nil
}

func (f folder) hasBlob(d v1.Descriptor) bool {
	st, err := os.Stat(f.path(d.Digest))
	return err == nil && st.Mode().IsRegular() && st.Size() == d.Size
}

func (f folder) putBlob(_ context.Context, d v1.Descriptor, open func() (io.ReadCloser, error)) (bool, error) {
	if f.hasBlob(d) {
		return true, nil
	}
	for try := 1; ; try++ {
		err := f.write(d, open)
		if err == nil || try >= 3 || !wrongDigest(err) {
			return false, err
		}
	}
}

func (f folder) write(d v1.Descriptor, open func() (io.ReadCloser, error)) error {
	rc, err := open()
	if err != nil {
		return err
	}
	defer rc.Close()
	dir := filepath.Dir(f.path(d.Digest))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".partial-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, werr := io.Copy(tmp, rc)
	if err := errors.Join(werr, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), f.path(d.Digest)); err != nil {
		return err
	}
	return syncDir(dir)
}

func (f folder) putManifest(_ context.Context, d v1.Descriptor, raw []byte, tag string) error {
	if _, err := os.Stat(f.path(d.Digest)); err != nil {
		if err := writeFile(f.path(d.Digest), raw); err != nil {
			return err
		}
	}
	if tag != "" {
		return f.set(f.repo+":"+tag, d)
	}
	var l links
	if err := json.Unmarshal(raw, &l); err != nil {
		return err
	}
	if l.Subject != nil {
		return f.set("", d)
	}
	return nil
}

// Export copies every image into the folder l, under its upstream reference.
// The rules about locks and repeated runs are those of Mirror.
func (c *Client) Export(ctx context.Context, list []Image, l *Layout, lock *Lock) ([]Result, error) {
	list = withSource(list)
	results := make([]Result, len(list))
	var mu sync.Mutex
	err := c.each(ctx, len(list), func(ctx context.Context, i int) error {
		r := &results[i]
		r.Image = list[i]
		return r.fail(c.export(ctx, l, lock, &mu, r))
	})
	return results, err
}

func (c *Client) export(ctx context.Context, l *Layout, lock *Lock, mu *sync.Mutex, r *Result) error {
	src, err := name.NewTag(r.Source)
	if err != nil {
		return err
	}
	repo, tag, _ := cutTag(r.Source)
	f := folder{l, repo}
	upstream, want, pinned, err := c.resolve(ctx, src, r.Source, lock, mu)
	if err != nil {
		return err
	}
	have, found := l.find(r.Source)
	r.Upstream, r.Digest, r.Status = upstream.String(), want.String(), Copied
	switch {
	case found && have.Digest == want:
		if whole, err := f.hasManifest(ctx, want); err == nil && whole {
			r.Status = Present
		}
	case found && !pinned && !c.o.Follow:
		r.Status, r.Digest = Moved, have.Digest.String()
		return nil
	case found:
		r.Status = Updated
	}
	if r.Status != Present {
		err = c.transfer(ctx, repository{c, src.Repository}, f, want, tag, r)
	}
	if err == nil && lock != nil && !pinned {
		mu.Lock()
		lock.set(r.Source, c.o.Platform, upstream, want)
		mu.Unlock()
	}
	return err
}

// transfer copies one image with what is attached to it, its tag last.
func (c *Client) transfer(ctx context.Context, s source, t sink, want v1.Hash, tag string, r *Result) error {
	k := &copier{c: c, from: s, to: t}
	desc, raw, err := k.manifest(ctx, want, false)
	r.Bytes, r.Skipped = k.moved.value(), k.skipped.value()
	if err != nil {
		return err
	}
	if err := k.attach(ctx, want, map[v1.Hash]bool{}); err != nil {
		return err
	}
	r.Attachments = k.attachments.value()
	if err := t.putManifest(ctx, desc, raw, tag); err != nil {
		return to(t, err)
	}
	place := r.Target
	if place == "" {
		place = t.String()
	}
	c.o.Progress.Note(fmt.Sprintf("%s: %s → %s (%s)", r.Status, r.Source, place, want))
	return nil
}

// Import copies images from the folder l to their targets. Each image's Source
// is the reference under which the folder holds it.
func (c *Client) Import(ctx context.Context, list []Image, l *Layout) ([]Result, error) {
	list = withSource(list)
	results := make([]Result, len(list))
	err := c.each(ctx, len(list), func(ctx context.Context, i int) error {
		r := &results[i]
		r.Image = list[i]
		return r.fail(c.importOne(ctx, l, r))
	})
	return results, err
}

func (c *Client) importOne(ctx context.Context, l *Layout, r *Result) error {
	dst, err := name.NewTag(r.Target)
	if err != nil {
		return err
	}
	repo, _, _ := cutTag(r.Source)
	f, t := folder{l, repo}, repository{c, dst.Repository}
	d, found := l.find(r.Source)
	if !found {
		return from(f, &missing{what: r.Source})
	}
	want, err := c.narrow(ctx, f, d)
	if err != nil {
		return err
	}
	have, there, err := c.head(ctx, dst)
	if err != nil {
		return to(t, err)
	}
	r.Upstream, r.Digest, r.Status = d.Digest.String(), want.String(), Copied
	switch {
	case there && have.Digest == want:
		r.Status = Present
		return nil
	case there && !c.o.Follow:
		r.Status, r.Digest = Moved, have.Digest.String()
		return nil
	case there:
		r.Status = Updated
	}
	return c.transfer(ctx, f, t, want, dst.TagStr(), r)
}
