package chartdiff

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/deepgram-gke/deepgram-gke/internal/chart"
	"github.com/deepgram-gke/deepgram-gke/internal/postrender"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// ReleaseType is the resource type of a Helm release.
const ReleaseType = "kubernetes:helm.sh/v3:Release"

// Options are what FromResources cannot read from a plan.
type Options struct {
	// KubeVersion, APIVersions, Secrets, Cache and Offline are those of Input.
	KubeVersion string
	APIVersions []string
	Secrets     []string
	Cache       string
	Offline     bool
	// Dir is the folder that local charts are relative to.
	Dir string
}

// FromResources compares every Helm release that a plan changes: the old chart
// and values are those of the state, the new ones those of the program. The error
// is the context's alone.
func FromResources(ctx context.Context, resources []report.Resource, o Options) ([]report.ChartDiff, error) {
	var list []report.ChartDiff
	for i := range resources {
		r := &resources[i]
		if r.Type != ReleaseType {
			continue
		}
		in := Input{
			KubeVersion: o.KubeVersion, APIVersions: o.APIVersions, Secrets: o.Secrets, Cache: o.Cache, Offline: o.Offline,
		}
		switch r.Op {
		case "create", "import":
			in.take(r.New, o.Dir, false)
		case "delete":
			in.take(r.Old, o.Dir, true)
		case "update", "replace":
			in.take(r.Old, o.Dir, true)
			in.take(r.New, o.Dir, false)
		default:
			continue
		}
		diff, err := Diff(ctx, in)
		if err != nil {
			return nil, err
		}
		list = append(list, *diff)
	}
	return list, nil
}

// take reads one side of a comparison from a release's inputs.
func (in *Input) take(inputs map[string]any, dir string, old bool) {
	in.Release, in.Namespace = text(inputs, "name"), text(inputs, "namespace")
	c := &Chart{
		Name: text(inputs, "chart"), Version: text(inputs, "version"), Repository: text(inputs, "repositoryOpts", "repo"),
		Username: text(inputs, "repositoryOpts", "username"), Password: text(inputs, "repositoryOpts", "password"),
	}
	if c.Password == report.Hidden || c.Username == report.Hidden {
		c.Username, c.Password = "", ""
		in.note("the repository asks for a password, which is not passed on: without it the chart may be out of reach")
	}
	if c.Repository == "" && !strings.Contains(c.Name, "://") && dir != "" && !filepath.IsAbs(c.Name) {
		c.Name = filepath.Join(dir, c.Name)
	}
	values, _ := inputs["values"].(map[string]any)
	if files, ok := inputs["valueYamlFiles"].([]any); ok && len(files) > 0 {
		in.note("values from files are not part of a plan; this leaves them out")
	}
	if inputs["values"] == report.Hidden {
		in.note("the values are secret as a whole: a plan does not show them, and this compares the charts with their defaults")
	}
	post := in.postRender(text(inputs, "postrender"))
	if old {
		in.OldChart, in.OldValues, in.OldPostRender = c, orEmpty(values), post
	} else {
		in.NewChart, in.NewValues, in.NewPostRender = c, orEmpty(values), post
	}
}

func (in *Input) note(text string) {
	for _, n := range in.Notes {
		if n == text {
			return
		}
	}
	in.Notes = append(in.Notes, text)
}

// postRender is the post-renderer that a release names, where it is ours.
func (in *Input) postRender(program string) func([]byte) ([]byte, error) {
	switch {
	case program == "":
		return nil
	case filepath.Base(program) == chart.PostRenderer:
		return postrender.Render
	}
	in.note(fmt.Sprintf("the post-renderer %s is not run here; what it changes is not shown", program))
	return nil
}
