package config

import (
	"fmt"
	"net/url"
	"path"
	"strings"
)

// NamedModelSet is one set of models with everything settled: what the program
// makes a disk of.
type NamedModelSet struct {
	// Name is the set's name; empty for the only set of models.files.
	Name string
	// Key is where the set is configured, such as "models" or "models.sets.nova-3".
	Key string
	// Active tells that the engines use it.
	Active bool
	// Files are its files; none for a disk that is filled by other means.
	Files []ModelFile
	// Disk has its name, unless it is existing.
	Disk Disk
	// Retire is the earliest day of removal (YYYY-MM-DD), or empty.
	Retire string
	// ChartNamePrefix is the chart's gpd.namePrefix: another disk has another one,
	// because the chart's volume and claim cannot change their disk.
	ChartNamePrefix string
	// Hash is 8 hex digits that tell this disk and these files from others; empty
	// without files. A link that was signed again has the same hash.
	Hash string
}

// defaultChartPrefix is the chart's own default of gpd.namePrefix.
const defaultChartPrefix = "dg-models"

// ModelSets are the sets of models, sorted by name; where none are named, the
// only one. Complete must have been called.
func (m *Models) ModelSets() []NamedModelSet {
	if len(m.Sets) == 0 {
		return []NamedModelSet{m.settle(NamedModelSet{Key: "models", Active: true, Files: m.Files, Disk: m.Disk})}
	}
	out := make([]NamedModelSet, 0, len(m.Sets))
	for _, name := range sortedKeys(m.Sets) {
		set := m.Sets[name]
		disk := m.Disk
		if set.Disk != nil {
			disk = *set.Disk
		} else if len(m.Sets) > 1 {
			// A name, or a disk that is there, can be one set's only.
			disk.Name, disk.Existing = "", ""
		}
		out = append(out, m.settle(NamedModelSet{
			Name: name, Key: "models.sets." + name, Files: set.Files, Disk: disk, Retire: set.Retire,
			Active: name == m.Active || len(m.Sets) == 1 && m.Active == "",
		}))
	}
	return out
}

// ActiveSet is the set that the engines use; ok is false where models.active
// names none.
func (m *Models) ActiveSet() (set NamedModelSet, ok bool) {
	for _, set := range m.ModelSets() {
		if set.Active {
			return set, true
		}
	}
	return NamedModelSet{}, false
}

// settle derives names.
func (m *Models) settle(s NamedModelSet) NamedModelSet {
	plain := m.prefix + "-model-storage"
	var id string
	if len(s.Files) > 0 {
		id = filesHash(s.Files)
	}
	switch {
	case s.Disk.Existing != "":
		s.Disk.Name = ""
	case s.Disk.Name == "" && id == "":
		s.Disk.Name = plain
	case s.Disk.Name == "":
		s.Disk.Name = fitName(plain, id)
	default:
		id += s.Disk.Name
	}
	switch name := s.Disk.Existing + s.Disk.Name; {
	case len(s.Files) == 0 && name == plain:
		s.ChartNamePrefix = defaultChartPrefix
	case s.Disk.Existing != "":
		s.ChartNamePrefix = defaultChartPrefix + "-" + shortHash([]byte(name))
	case len(id) == 8 && strings.HasSuffix(name, id):
		s.ChartNamePrefix = defaultChartPrefix + "-" + id
	default:
		s.ChartNamePrefix = defaultChartPrefix + "-" + shortHash([]byte(id))
	}
	if len(s.Files) > 0 {
		s.Hash = strings.TrimPrefix(s.ChartNamePrefix, defaultChartPrefix+"-")
	}
	return s
}

// fitName is name-id, with name cut so that the whole is a Google Cloud name.
func fitName(name, id string) string {
	if room := maxName - 1 - len(id); len(name) > room {
		name = strings.TrimRight(name[:room], "-")
	}
	return name + "-" + id
}

// filesHash tells two lists of files apart. It looks at where each file comes
// from without the query, so that a link that was signed again is the same file.
func filesHash(files []ModelFile) string {
	var b strings.Builder
	for _, file := range files {
		fmt.Fprintf(&b, "%q %q %q\n", file.origin(), strings.ToLower(file.Sha256), file.FileName())
	}
	return shortHash([]byte(b.String()))
}

// origin is the file's address without what changes when a link is signed again.
func (f ModelFile) origin() string {
	if name := f.URL.Reference(); name != "" {
		return name
	}
	text := f.URL.Reveal()
	if before, _, ok := strings.Cut(text, "?"); ok {
		return before
	}
	before, _, _ := strings.Cut(text, "#")
	return before
}

// FileName is the file's name on the disk: name, or the last part of the url; empty
// where the url is not known here.
func (f ModelFile) FileName() string {
	if f.Name != "" || f.URL.Reveal() == "" {
		return f.Name
	}
	u, err := url.Parse(f.URL.Reveal())
	if err != nil || u.Path == "" || strings.HasSuffix(u.Path, "/") {
		return ""
	}
	return path.Base(u.Path)
}
