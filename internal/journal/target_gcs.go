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
	"time"

	"golang.org/x/oauth2/google"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/storage/v1"
)

// gcs is a Target in Cloud Storage, over its JSON API. The Go CDK's own driver
// brings gRPC and telemetry with it, a third of the program's size.
type gcs struct {
	s              *storage.Service
	bucket, prefix string
}

// openGCS opens a bucket with application default credentials: Workload Identity
// in a cluster. STORAGE_EMULATOR_HOST names another server, without credentials,
// as in Google's own tools.
func openGCS(ctx context.Context, u *url.URL, prefix string) (Target, error) {
	if u.RawQuery != "" {
		return nil, errors.New("takes no query parameters")
	}
	var opts []option.ClientOption
	if host := os.Getenv("STORAGE_EMULATOR_HOST"); host != "" {
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		opts = append(opts, option.WithEndpoint(strings.TrimSuffix(host, "/")+"/storage/v1/"), option.WithHTTPClient(&http.Client{}))
	} else {
		creds, err := google.FindDefaultCredentials(ctx, storage.DevstorageReadWriteScope)
		if err != nil {
			return nil, errors.New("no Google credentials: in a cluster, let the service account use Workload Identity; elsewhere run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS")
		}
		opts = append(opts, option.WithTokenSource(creds.TokenSource))
	}
	s, err := storage.NewService(ctx, append(opts, option.WithUserAgent("deepgram-ops"))...)
	if err != nil {
		return nil, err
	}
	return &gcs{s: s, bucket: u.Host, prefix: prefix}, nil
}

func (g *gcs) String() string { return strings.TrimSuffix("gs://"+g.bucket+"/"+g.prefix, "/") }
func (*gcs) Close() error     { return nil }

func (g *gcs) Put(ctx context.Context, name string, r io.Reader) error {
	// Generation 0 means: only where there is none. An upload in pieces appears
	// when its last piece is there.
	src := &remember{r: r}
	_, err := g.s.Objects.Insert(g.bucket, &storage.Object{Name: g.prefix + name, ContentType: contentType(name)}).
		IfGenerationMatch(0).Media(src, googleapi.ChunkSize(8<<20), googleapi.ContentType(contentType(name))).Context(ctx).Do()
	if src.err != nil {
		return src.err // what the source said is clearer
	}
	return g.explain("writing", name, err)
}

// remember keeps the error of a reader. Without it, an upload might take a
// source that failed for one that has ended.
type remember struct {
	r   io.Reader
	err error
}

func (m *remember) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		m.err = err
	}
	return n, err
}

func (g *gcs) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	resp, err := g.s.Objects.Get(g.bucket, g.prefix+name).Context(ctx).Download()
	if err != nil {
		return nil, g.explain("reading", name, err)
	}
	return resp.Body, nil
}

func (g *gcs) List(ctx context.Context, prefix string) ([]Object, error) {
	var list []Object
	err := g.s.Objects.List(g.bucket).Prefix(g.prefix+prefix).Fields("nextPageToken", "items(name,size,updated)").
		Pages(ctx, func(page *storage.Objects) error {
			for _, o := range page.Items {
				at, _ := time.Parse(time.RFC3339, o.Updated)
				list = append(list, Object{Name: strings.TrimPrefix(o.Name, g.prefix), Size: int64(o.Size), Modified: at})
			}
			return nil
		})
	return list, g.explain("listing", prefix, err)
}

func (g *gcs) Delete(ctx context.Context, name string) error {
	return g.explain("deleting", name, g.s.Objects.Delete(g.bucket, g.prefix+name).Context(ctx).Do())
}

// explain says what an answer means and what to do.
func (g *gcs) explain(doing, name string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s %s/%s: %w", doing, g, name, err)
	var api *googleapi.Error
	if !errors.As(err, &api) {
		return err
	}
	switch {
	case api.Code == http.StatusPreconditionFailed && doing == "writing":
		return fmt.Errorf("%w: %w", err, ErrExists)
	case api.Code == http.StatusNotFound && doing != "writing" && doing != "listing":
		return fmt.Errorf("%w: %w", err, ErrNotFound)
	case api.Code == http.StatusForbidden && doing == "deleting":
		return fmt.Errorf("%w: the bucket's retention still holds it, or the identity may not delete", err)
	case api.Code == http.StatusForbidden || api.Code == http.StatusUnauthorized:
		return fmt.Errorf("%w: the identity needs storage.objects.create, .get and .list on this bucket", err)
	}
	return err
}

// release lifts the event-based hold of an object, after which the bucket's
// retention begins to count.
func (g *gcs) release(ctx context.Context, name string) error {
	_, err := g.s.Objects.Patch(g.bucket, g.prefix+name, &storage.Object{ForceSendFields: []string{"EventBasedHold"}}).Context(ctx).Do()
	var api *googleapi.Error
	if errors.As(err, &api) && api.Code == http.StatusForbidden {
		return fmt.Errorf("releasing the hold of %s/%s: this identity may not: let somebody with storage.objects.update run journal deliver again", g, name)
	}
	return g.explain("releasing", name, err)
}
