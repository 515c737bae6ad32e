package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcerrors"
)

// s3 is a Target in S3, or in what speaks it.
type s3 struct {
	b            *blob.Bucket
	prefix, name string
}

// openS3 opens a bucket with the credentials of the environment: AWS_*
// variables, or the role of the service account.
func openS3(ctx context.Context, u *url.URL, prefix string) (Target, error) {
	// Copies are read back and compared by SHA-256; the SDK would only warn where
	// a store has no checksum of its own.
	q := u.Query()
	if !q.Has("response_checksum_validation") {
		q.Set("response_checksum_validation", "when_required")
	}
	u.RawQuery = q.Encode()
	b, err := (&s3blob.URLOpener{}).OpenBucketURL(ctx, u)
	if err != nil {
		return nil, err
	}
	return &s3{b: b, prefix: prefix, name: strings.TrimSuffix("s3://"+u.Host+"/"+prefix, "/")}, nil
}

func (b *s3) String() string { return b.name }
func (b *s3) Close() error   { return b.b.Close() }

func (b *s3) Put(ctx context.Context, name string, r io.Reader) error {
	// An upload counts only after Close; cancelling before it discards it.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := b.b.NewWriter(ctx, b.prefix+name, &blob.WriterOptions{
		IfNotExist: true, ContentType: contentType(name), DisableContentTypeDetection: true, BufferSize: 8 << 20, MaxConcurrency: 2,
	})
	if err != nil {
		return b.explain("writing", name, err)
	}
	src := &remember{r: r}
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{src}, make([]byte, chunkSize)); err != nil {
		cancel()
		_ = w.Close()
		if src.err != nil {
			return src.err
		}
		return b.explain("writing", name, err)
	}
	return b.explain("writing", name, w.Close())
}

func contentType(name string) string {
	if strings.HasSuffix(name, ".json") {
		return "application/json"
	}
	return "application/jsonl"
}

func (b *s3) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := b.b.NewReader(ctx, b.prefix+name, nil)
	if err != nil {
		return nil, b.explain("reading", name, err)
	}
	return r, nil
}

func (b *s3) List(ctx context.Context, prefix string) ([]Object, error) {
	var list []Object
	it := b.b.List(&blob.ListOptions{Prefix: b.prefix + prefix})
	for {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, b.explain("listing", prefix, err)
		}
		list = append(list, Object{Name: strings.TrimPrefix(o.Key, b.prefix), Size: o.Size, Modified: o.ModTime})
	}
}

func (b *s3) Delete(ctx context.Context, name string) error {
	return b.explain("deleting", name, b.b.Delete(ctx, b.prefix+name))
}

// explain says what an answer of the store means and what to do.
func (b *s3) explain(doing, name string, err error) error {
	if err == nil {
		return nil
	}
	code := gcerrors.Code(err)
	text := err.Error()
	err = fmt.Errorf("%s %s/%s: %w", doing, b.name, name, err)
	switch {
	case doing == "writing" && (code == gcerrors.FailedPrecondition || code == gcerrors.AlreadyExists || strings.Contains(text, "PreconditionFailed")):
		return fmt.Errorf("%w: %w", err, ErrExists)
	case code == gcerrors.NotFound && doing != "writing" && doing != "listing":
		return fmt.Errorf("%w: %w", err, ErrNotFound)
	case doing == "writing" && strings.Contains(text, "NotImplemented"):
		return fmt.Errorf("%w: this store does not know If-None-Match, without which an object could be overwritten: use a newer version of it, or a file:/// target", err)
	case code == gcerrors.PermissionDenied:
		return fmt.Errorf("%w: the identity needs s3:PutObject, s3:GetObject and s3:ListBucket", err)
	}
	return err
}
