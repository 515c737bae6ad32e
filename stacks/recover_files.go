package stacks

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// mendFiles removes broken attribute files of a backend that is a folder. The
// backend writes a state aside and renames it, so that a kill leaves the old one;
// but beside each file it keeps attributes (a content type, a checksum), which it
// overwrites in place. A kill in that moment leaves them cut off, and then nothing
// can read the state any more. Without them it is read as it is.
func (d *Deployer) mendFiles(ctx context.Context) (mended []string) {
	root, isFolder := d.backendFolder(ctx)
	if !isFolder {
		return nil
	}
	_ = filepath.WalkDir(filepath.Join(root, ".pulumi"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".attrs") || !strings.Contains(path, d.stackName()) {
			return nil //nolint:nilerr // what cannot be read is not ours to mend
		}
		text, err := os.ReadFile(path)
		if err == nil && !json.Valid(text) && os.Remove(path) == nil {
			mended = append(mended, path)
		}
		return nil
	})
	return mended
}

// backendFolder is the folder of a backend file://….
func (d *Deployer) backendFolder(ctx context.Context) (string, bool) {
	address := d.key().backend
	if address == "" {
		env := make([]string, 0, 16)
		for name, value := range d.environment() {
			env = append(env, name+"="+value)
		}
		if d.o.Home != "" {
			env = append(env, "PULUMI_HOME="+d.o.Home)
		}
		out, _, _, err := d.command.Run(ctx, d.work, nil, nil, nil, env, "whoami", "--json")
		var who struct{ URL string }
		if err != nil || json.Unmarshal([]byte(out), &who) != nil {
			return "", false
		}
		address = who.URL
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "file" {
		return "", false
	}
	path := u.Host + u.Path // a relative one begins in the place of the host
	if rest, home := strings.CutPrefix(path, "~"); home {
		folder, err := os.UserHomeDir()
		if err != nil {
			return "", false
		}
		path = filepath.Join(folder, rest)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.work, path)
	}
	return filepath.FromSlash(path), true
}
