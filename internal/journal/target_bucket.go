package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcerrors"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2/google"
)

// openBucket opens a bucket with the credentials of the environment.
func openBucket(ctx context.Context, u *url.URL) (*blob.Bucket, error) {
	if u.Scheme == "s3" {
		b, err := (&s3blob.URLOpener{}).OpenBucketURL(ctx, u)
		if err != nil {
			// Only the cause: the whole repeats the URL.
			if i := strings.Index(err.Error(), "unknown query parameter"); i >= 0 {
				return nil, errors.New(err.Error()[i:])
			}
			return nil, err
		}
		return b, nil
	}
	if u.RawQuery != "" {
		return nil, errors.New("takes no query parameters")
	}
	// gcsblob's own way prints a warning and goes on where there are no
	// credentials.
	client := &gcp.HTTPClient{Client: http.Client{}}
	if os.Getenv("STORAGE_EMULATOR_HOST") == "" {
		creds, err := google.FindDefaultCredentials(ctx, storage.ScopeReadWrite)
		if err != nil {
			return nil, errors.New("no Google credentials: in a cluster, let the service account use Workload Identity; elsewhere run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS")
		}
		if client, err = gcp.NewHTTPClient(gcp.DefaultTransport(), creds.TokenSource); err != nil {
			return nil, err
		}
	}
	return gcsblob.OpenBucket(ctx, client, u.Host, nil)
}

// bucket is a Target in an object store.
type bucket struct {
	b            *blob.Bucket
	prefix, name string
}

func (b *bucket) String() string { return b.name }
func (b *bucket) Close() error   { return b.b.Close() }

func (b *bucket) Put(ctx context.Context, name string, r io.Reader) error {
	// An upload counts only after Close; cancelling before it discards it.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := b.b.NewWriter(ctx, b.prefix+name, &blob.WriterOptions{
		IfNotExist: true, ContentType: contentType(name), DisableContentTypeDetection: true, BufferSize: 8 << 20,
	})
	if err != nil {
		return b.explain("writing", name, err)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, chunkSize)); err != nil {
		cancel()
		_ = w.Close()
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

func (b *bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := b.b.NewReader(ctx, b.prefix+name, nil)
	if err != nil {
		return nil, b.explain("reading", name, err)
	}
	return r, nil
}

func (b *bucket) List(ctx context.Context, prefix string) ([]Object, error) {
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

func (b *bucket) Delete(ctx context.Context, name string) error {
	return b.explain("deleting", name, b.b.Delete(ctx, b.prefix+name))
}

// explain says what an answer of the store means and what to do.
func (b *bucket) explain(doing, name string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s %s/%s: %w", doing, b.name, name, err)
	switch gcerrors.Code(err) {
	case gcerrors.FailedPrecondition, gcerrors.AlreadyExists:
		if doing == "writing" {
			return fmt.Errorf("%w: %w", err, ErrExists)
		}
	case gcerrors.NotFound:
		return fmt.Errorf("%w: %w", err, ErrNotFound)
	case gcerrors.PermissionDenied:
		return fmt.Errorf("%w: the identity needs to create, read and list objects of this bucket", err)
	}
	return err
}
