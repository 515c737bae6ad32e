package models

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Source is one model file to load.
type Source struct {
	// URL is https:// (often a signed link, which is a secret) or gs://. Required.
	// http:// is taken from this machine only.
	URL Link `json:"url"`
	// SHA256 is the file's digest, 64 hex digits; empty checks none.
	SHA256 string `json:"sha256,omitempty"`
	// Size is the file's size in bytes; 0 checks none.
	Size int64 `json:"size,omitempty"`
	// Name is the file's name on the disk; empty means the last part of the URL.
	Name string `json:"name,omitempty"`
}

// Link is a URL that must not be seen: printing it in any way shows its host.
type Link struct{ raw string }

// NewLink is a link.
func NewLink(raw string) Link { return Link{raw: raw} }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Link) UnmarshalText(b []byte) error {
	l.raw = string(b)
	return nil
}

// MarshalText never shows the link.
func (l Link) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// GoString never shows the link.
func (l Link) GoString() string { return "models.Link(" + l.String() + ")" }

// String is what may be shown of the link: scheme and host.
func (l Link) String() string {
	u, err := url.Parse(l.raw)
	if err != nil || u.Host == "" {
		return "[link]"
	}
	return u.Scheme + "://" + u.Host + "/…"
}

func (l Link) parse() (*url.URL, error) {
	u, err := url.Parse(l.raw)
	if err != nil {
		return nil, errors.New("url: is not a URL")
	}
	return u, nil
}

var (
	digest   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	fileName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+@=-]{0,200}$`)
)

// ReadSources reads a list of sources: a JSON array, or an object with the
// array under "files". Every mistake is reported, and no link with it.
func ReadSources(r io.Reader) ([]Source, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var list []Source
	into := any(&list)
	wrapped := struct {
		Files *[]Source `json:"files"`
	}{&list}
	if t := bytes.TrimSpace(text); len(t) > 0 && t[0] == '{' {
		into = &wrapped
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		// The parser's words may quote a link.
		return nil, fmt.Errorf("sources: not a JSON list of {url, sha256, size, name}%s", where(err))
	}
	return list, complete(list)
}

func where(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf(" (syntax error at byte %d)", syntax.Offset)
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok && len(field) < 40 {
		return " (unknown field " + field + ")"
	}
	var typ *json.UnmarshalTypeError
	if errors.As(err, &typ) {
		return fmt.Sprintf(" (%s must be a %s)", typ.Field, typ.Type)
	}
	return ""
}

// complete names what has no name and checks the list.
func complete(list []Source) error {
	var errs []error
	seen := map[string]int{}
	for i := range list {
		s := &list[i]
		bad := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("sources[%d]: %w", i, fmt.Errorf(format, args...)))
		}
		u, err := s.URL.parse()
		switch {
		case s.URL.raw == "":
			bad("url: required")
			continue
		case err != nil:
			bad("%w", err)
			continue
		case u.Scheme == "http" && !loopback(u.Hostname()):
			bad("url: http:// would show the link to everybody on the way; use https:// or gs://")
		case u.Scheme != "https" && u.Scheme != "gs" && u.Scheme != "http":
			bad("url: scheme must be https or gs")
		case u.Host == "":
			bad("url: has no host or bucket")
		case u.Scheme == "gs" && strings.Trim(u.Path, "/") == "":
			bad("url: gs:// needs a bucket and an object: gs://bucket/path/model.dg")
		}
		if s.Name == "" {
			s.Name = path.Base(u.Path)
			if !fileName.MatchString(s.Name) {
				bad("name: required, because the url does not end in a file name")
				continue
			}
		}
		if !fileName.MatchString(s.Name) {
			bad("name %q: must be a file name of letters, digits and ._+@=-, not beginning with a dot", s.Name)
		}
		if first, twice := seen[s.Name]; twice {
			bad("name %q: is also the name of sources[%d]; names must differ", s.Name, first)
		}
		seen[s.Name] = i
		s.SHA256 = strings.ToLower(s.SHA256)
		if s.SHA256 != "" && !digest.MatchString(s.SHA256) {
			bad("sha256: must be 64 hex digits")
		}
		if s.Size < 0 {
			bad("size %d: must not be negative", s.Size)
		}
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// scrubber replaces whatever was secret in a text, as the last of several
// fences: errors are taken apart before they are printed.
type scrubber struct{ words []string }

func (s *scrubber) add(u *url.URL) {
	for _, w := range []string{u.String(), u.RawQuery, u.User.String(), u.RequestURI()} {
		if len(w) > 3 && !slices.Contains(s.words, w) {
			s.words = append(s.words, w)
		}
	}
	for _, values := range u.Query() {
		for _, v := range values {
			if len(v) > 7 {
				s.words = append(s.words, v, url.QueryEscape(v))
			}
		}
	}
	if p, ok := u.User.Password(); ok && p != "" {
		s.words = append(s.words, p)
	}
}

func (s *scrubber) clean(text string) string {
	for _, w := range s.words {
		text = strings.ReplaceAll(text, w, "[link]")
	}
	return text
}
