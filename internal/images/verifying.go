package images

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// verifying is a stream that ends in an error where its size or digest is not
// what was promised.
type verifying struct {
	rc   io.ReadCloser
	d    v1.Descriptor
	h    hash.Hash
	read int64
}

func newVerifying(rc io.ReadCloser, d v1.Descriptor) (io.ReadCloser, error) {
	if d.Digest.Algorithm != "sha256" {
		rc.Close()
		return nil, fmt.Errorf("blob %s: only sha256 is known", d.Digest)
	}
	return &verifying{rc: rc, d: d, h: sha256.New()}, nil
}

func (v *verifying) Read(p []byte) (int, error) {
	n, err := v.rc.Read(p)
	v.h.Write(p[:n])
	v.read += int64(n)
	if err == io.EOF {
		if got := hex.EncodeToString(v.h.Sum(nil)); got != v.d.Digest.Hex || v.read != v.d.Size {
			return n, fmt.Errorf("error verifying: got %d bytes of sha256:%s, want %d of %s", v.read, got, v.d.Size, v.d.Digest)
		}
	}
	return n, err
}

func (v *verifying) Close() error { return v.rc.Close() }
