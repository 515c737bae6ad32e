package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Target is where backups are kept: objects with names, written once.
type Target interface {
	// Put writes an object. It fails with ErrExists where the name is taken, and
	// an object is there whole or not at all.
	Put(ctx context.Context, name string, r io.Reader) error
	// Get reads an object; errors.Is(err, ErrNotFound) where there is none.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List finds the objects whose names begin with prefix, in order of names.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Delete removes an object. Only Prune asks for it.
	Delete(ctx context.Context, name string) error
	// String names the target for people, without credentials.
	String() string
	// Close ends its connections.
	Close() error
}

// Object is one entry of a target.
type Object struct {
	Name     string
	Size     int64
	Modified time.Time
}

// ErrNotFound says that there is no object of that name.
var ErrNotFound = errors.New("not found")

// TargetHelp says how targets are written.
const TargetHelp = `gs://BUCKET[/PREFIX]            Google Cloud Storage, by Workload Identity or application default credentials
s3://BUCKET[/PREFIX][?QUERY]    S3 or what speaks it; credentials and region from the AWS_* environment or the service account's role;
                                QUERY: region=…, endpoint=https://…, use_path_style=true
file:///FOLDER                  a mounted volume, NFS share or local folder`

// OpenTarget opens the target that a URL names (TargetHelp).
func OpenTarget(ctx context.Context, target string) (Target, error) {
	u, err := url.Parse(target)
	if err != nil {
		// The error of Parse quotes what may hold a password.
		return nil, errors.New("target: is not a URL; allowed are\n" + TargetHelp)
	}
	if u.User != nil {
		return nil, errors.New("target: holds a user name or password: credentials come from the environment, never from the URL")
	}
	prefix := strings.Trim(path.Clean("/"+u.Path), "/")
	if prefix != "" {
		prefix += "/"
	}
	switch u.Scheme {
	case "gs", "s3":
		if u.Host == "" {
			return nil, fmt.Errorf("target %q: has no bucket; allowed are\n%s", target, TargetHelp)
		}
		open := openGCS
		if u.Scheme == "s3" {
			open = openS3
		}
		t, err := open(ctx, u, prefix)
		if err != nil {
			return nil, fmt.Errorf("target %s://%s: %w", u.Scheme, u.Host, err)
		}
		return t, nil
	case "file":
		if u.Host != "" || u.Path == "" || u.RawQuery != "" {
			return nil, fmt.Errorf("target %q: must be file:///FOLDER, with three slashes", target)
		}
		return folder{filepath.Clean(u.Path)}, nil
	}
	return nil, fmt.Errorf("target %q: has no known scheme; allowed are\n%s", target, TargetHelp)
}
