package images

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/yaml"
)

// Lock pins each upstream reference to a digest. Its file belongs into the
// repository of the environment, so that a moved tag is a change somebody
// reviews.
type Lock struct {
	// Images are the pinned digests by upstream reference.
	Images map[string]Pin `json:"images"`
}

// Pin is what a reference stood for when it was pinned.
type Pin struct {
	// Digest is the digest upstream.
	Digest string `json:"digest"`
	// Mirrored is the digest that was copied, where it is another: the one
	// image of an index that --platform chose.
	Mirrored string `json:"mirrored,omitempty"`
	// Platform is that choice.
	Platform string `json:"platform,omitempty"`
}

// ReadLock reads a lock file; one that does not exist pins nothing.
func ReadLock(path string) (*Lock, error) {
	l := &Lock{Images: map[string]Pin{}}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	if err := yaml.UnmarshalStrict(b, l); err != nil {
		return nil, fmt.Errorf("lock file %s: %w", path, err)
	}
	var errs []error
	for ref, p := range l.Images {
		for _, d := range []string{p.Digest, p.Mirrored} {
			if _, err := v1.NewHash(d); err != nil && (d != "" || p.Digest == "") {
				errs = append(errs, fmt.Errorf("lock file %s: %s: %q is not a digest sha256:<64 hex digits>", path, ref, d))
			}
		}
	}
	if l.Images == nil {
		l.Images = map[string]Pin{}
	}
	return l, errors.Join(errs...)
}

// Write writes the file, whole or not at all.
func (l *Lock) Write(path string) error {
	b, err := yaml.Marshal(l)
	if err != nil {
		return err
	}
	head := "# Written by deepgram-ops images mirror --lock. Commit it; remove an entry to let its tag be looked up again.\n"
	return writeFile(path, append([]byte(head), b...))
}

// pin is the digest to copy for a reference, if it is pinned for this platform.
func (l *Lock) pin(ref, platform string) (upstream, copied v1.Hash, ok bool) {
	if l == nil {
		return upstream, copied, ok
	}
	p, ok := l.Images[ref]
	if !ok || p.Platform != platform {
		return upstream, copied, false
	}
	upstream, _ = v1.NewHash(p.Digest)
	copied = upstream
	if p.Mirrored != "" {
		copied, _ = v1.NewHash(p.Mirrored)
	}
	return upstream, copied, true
}

func (l *Lock) set(ref, platform string, upstream, copied v1.Hash) {
	p := Pin{Digest: upstream.String(), Platform: platform}
	if copied != upstream {
		p.Mirrored = copied.String()
	}
	l.Images[ref] = p
}

// writeFile writes to a temporary name, syncs and renames, so that a kill or a
// full disk leaves the old file or the new one.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
