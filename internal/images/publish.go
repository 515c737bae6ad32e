package images

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// NonRootUser is the user of the published image; a volume that it writes to
// needs the same fsGroup.
const NonRootUser = 65532

// certificateFiles are where systems keep the authorities that they trust.
var certificateFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem",
}

// PublishOptions say what goes into the project's own image.
type PublishOptions struct {
	// Binary is a statically linked deepgram-ops for Linux. Required.
	Binary string
	// Certificates is a PEM file of trusted authorities; empty takes this
	// system's.
	Certificates string
	// Target is the reference to publish. Required.
	Target string
	// Version goes into a label.
	Version string
}

// Build makes the image: the program, trusted certificates and a user that is
// not root; nothing else. The same files give the same digest.
func Build(o PublishOptions) (v1.Image, error) {
	arch, err := staticLinux(o.Binary)
	if err != nil {
		return nil, err
	}
	pem, err := certificates(o.Certificates)
	if err != nil {
		return nil, err
	}
	base, err := layerOf(
		entry{name: "etc/", mode: 0o755}, entry{name: "etc/ssl/", mode: 0o755}, entry{name: "etc/ssl/certs/", mode: 0o755},
		entry{name: "etc/passwd", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%d:%d:nonroot:/tmp:/sbin/nologin\n", NonRootUser, NonRootUser)},
		entry{name: "etc/group", mode: 0o644, data: fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", NonRootUser)},
		entry{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, data: pem},
		entry{name: "tmp/", mode: 0o1777},
	)
	if err != nil {
		return nil, err
	}
	program, err := layerOf(entry{name: "deepgram-ops", mode: 0o755, file: o.Binary})
	if err != nil {
		return nil, err
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	if img, err = mutate.AppendLayers(img, base, program); err != nil {
		return nil, err
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture = "linux", arch
	cf.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	cf.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", NonRootUser, NonRootUser),
		Entrypoint: []string{"/deepgram-ops"},
		WorkingDir: "/tmp",
		Env:        []string{"PATH=/", "HOME=/tmp", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		Labels:     map[string]string{"org.opencontainers.image.title": OpsName, "org.opencontainers.image.version": o.Version},
	}
	return mutate.ConfigFile(img, cf)
}

// Publish builds the image and puts it under o.Target, unless it is there.
func (c *Client) Publish(ctx context.Context, o PublishOptions) (Result, error) {
	r := Result{Image: Image{Name: OpsName, Target: o.Target}, Status: Copied}
	dst, err := name.NewTag(o.Target)
	if err != nil || !full(o.Target) {
		return r, fmt.Errorf("target %q: must be registry/path:tag", o.Target)
	}
	img, err := Build(o)
	if err != nil {
		return r, fmt.Errorf("building %s: %w", OpsName, err)
	}
	want, err := img.Digest()
	if err != nil {
		return r, fmt.Errorf("building %s: %w", OpsName, err)
	}
	r.Digest = want.String()
	t := repository{c, dst.Repository}
	return r, r.fail(c.publish(ctx, img, dst, t, want, &r))
}

func (c *Client) publish(ctx context.Context, img v1.Image, dst name.Tag, t repository, want v1.Hash, r *Result) error {
	have, found, err := c.head(ctx, dst)
	if err != nil {
		return to(t, err)
	}
	switch {
	case found && have.Digest == want:
		r.Status = Present
		return nil
	case found:
		r.Status = Updated
	}
	return c.transfer(ctx, built{img}, t, want, dst.TagStr(), r)
}

// built is an image made here, as a source.
type built struct{ img v1.Image }

func (b built) String() string { return "the built image" }

func (b built) manifest(context.Context, v1.Hash) ([]byte, types.MediaType, error) {
	raw, err := b.img.RawManifest()
	return raw, types.OCIManifestSchema1, err
}

func (b built) blob(_ context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	l, err := b.img.LayerByDigest(d.Digest)
	if err != nil {
		return nil, err
	}
	return l.Compressed()
}

func (b built) attached(context.Context, v1.Hash) ([]attachment, error) { return nil, nil }

// staticLinux checks that the file is a program that runs in an empty image.
func staticLinux(path string) (arch string, err error) {
	if path == "" {
		return "", errors.New("binary: give the deepgram-ops program for Linux with --binary")
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("binary %s: is not a Linux program: build it with GOOS=linux CGO_ENABLED=0 go build ./cmd/deepgram-ops: %w", path, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", fmt.Errorf("binary %s: is linked dynamically and would not start in an empty image: build it with CGO_ENABLED=0", path)
		}
	}
	switch f.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("binary %s: is for %s; GKE nodes are amd64 or arm64", path, f.Machine)
}

func certificates(path string) ([]byte, error) {
	candidates := certificateFiles
	if path != "" {
		candidates = []string{path}
	}
	for _, p := range candidates {
		b, err := os.ReadFile(p)
		if err == nil && bytes.Contains(b, []byte("-----BEGIN CERTIFICATE-----")) {
			return b, nil
		}
	}
	return nil, fmt.Errorf("certificates: none in %q: give a PEM file with --certificates", candidates)
}

// entry is a file of a layer: from data, from a file, or a folder.
type entry struct {
	name string
	mode int64
	data []byte
	file string
}

// layerOf is a layer with fixed times and owners, streamed anew at each reading.
func layerOf(entries ...entry) (v1.Layer, error) {
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(writeTar(w, entries)) }()
		return r, nil
	}, tarball.WithMediaType(types.OCILayer))
}

func writeTar(w io.Writer, entries []entry) error {
	t := tar.NewWriter(w)
	for _, e := range entries {
		h := &tar.Header{
			Name: e.name, Mode: e.mode, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg,
			Size: int64(len(e.data)), Format: tar.FormatPAX,
		}
		var r io.Reader = bytes.NewReader(e.data)
		if e.file != "" {
			f, err := os.Open(e.file)
			if err != nil {
				return err
			}
			defer f.Close()
			st, err := f.Stat()
			if err != nil {
				return err
			}
			h.Size, r = st.Size(), f
		}
		if e.name[len(e.name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		if _, err := io.Copy(t, r); err != nil {
			return err
		}
	}
	return t.Close()
}
