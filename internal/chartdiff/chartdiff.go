package chartdiff

import (
	"context"
	"fmt"
	"strings"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// Input is what Diff compares.
type Input struct {
	// Release and Namespace are where the chart is installed.
	Release, Namespace string
	// OldChart and OldValues are what is installed; nil for a new release.
	OldChart  *Chart
	OldValues map[string]any
	// NewChart and NewValues are what will be installed; nil for a deletion.
	NewChart  *Chart
	NewValues map[string]any
	// KubeVersion is the cluster's version, such as v1.34.4; empty is KubeVersion.
	KubeVersion string
	// APIVersions are API groups of the cluster beside Kubernetes' own and those
	// that the chart defines.
	APIVersions []string
	// SecretPaths are paths of values that must not be seen, such as
	// grafana.adminPassword.
	SecretPaths []string
	// Secrets are known values that must not be seen.
	Secrets []string
	// Cache is the folder where Helm keeps downloaded charts; empty is Helm's own.
	Cache string
	// Offline asks no repository: only files and the cache.
	Offline bool
	// OldPostRender and NewPostRender change what is rendered, as the release's
	// post-renderer does; nil changes nothing.
	OldPostRender, NewPostRender func([]byte) ([]byte, error)
	// Notes are passed on to the reader.
	Notes []string
}

// Result is what Diff found.
type Result = report.ChartDiff

// Diff compares. Where a chart cannot be had or rendered, the result says why
// and carries a diff of the values; the error is the context's alone. Secrets are
// compared, and shown as [secret].
func Diff(ctx context.Context, in Input) (*Result, error) {
	result := &Result{
		Release: in.Release, Namespace: in.Namespace, Objects: []report.ObjectChange{},
		Values: report.DiffValues(orEmpty(in.OldValues), orEmpty(in.NewValues), true), Notes: in.Notes,
	}
	if err := in.objects(ctx, result); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		result.Rendered = false
		result.Objects, result.Unchanged, result.Relabelled = []report.ObjectChange{}, 0, 0
		for problem := range strings.SplitSeq(err.Error(), "\n") {
			result.Notes = append(result.Notes, problem)
		}
	}
	redacted := report.RedactChart(*result, in.secrets())
	return &redacted, nil
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// side is one of the two that are compared.
type side struct {
	found        *found
	first, again *rendering
	err          error
}

// objects renders both sides and compares them.
func (in *Input) objects(ctx context.Context, result *Result) error {
	var sides [2]side
	charts := [2]*Chart{in.OldChart, in.NewChart}
	// What is named is known even where it cannot be had.
	for i, c := range charts {
		if c != nil {
			source := report.ChartSource{Name: baseName(*c), Version: c.Version, From: withoutUser(c.Repository)}
			if i == 0 {
				result.Old = source
			} else {
				result.New = source
			}
		}
	}
	f := finder{cache: in.Cache, offline: in.Offline}
	shared := in.OldChart != nil && in.NewChart != nil && *in.OldChart == *in.NewChart
	for i, c := range charts {
		switch {
		case c == nil:
		case i == 1 && shared:
			sides[1].found, sides[1].err = sides[0].found, sides[0].err
		default:
			sides[i].found, sides[i].err = f.find(ctx, *c)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	var problems []string
	renderers := [2]*renderer{
		{in: in, values: in.OldValues, postRender: in.OldPostRender},
		{in: in, values: in.NewValues, postRender: in.NewPostRender, strict: true},
	}
	for i, name := range []string{"before", "after"} {
		s := &sides[i]
		if s.found != nil {
			if i == 0 {
				result.Old = s.found.source
			} else {
				result.New = s.found.source
			}
			if i == 0 || !shared {
				result.Notes = append(result.Notes, s.found.notes...)
			}
		}
		if s.err == nil {
			s.first, s.again, s.err = renderers[i].twice(s.found)
		}
		if s.err != nil {
			problems = append(problems, fmt.Sprintf("%s: %s", name, reason(s.err)))
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s", strings.Join(problems, "\n"))
	}
	result.Rendered = true
	result.Notes = append(result.Notes, sides[1].first.notes...)
	compare(result, sides[0].first, sides[0].again, sides[1].first, sides[1].again, in.Namespace)
	return nil
}

// twice renders two times. Nothing renders to nothing.
func (r *renderer) twice(f *found) (first, again *rendering, err error) {
	if f == nil {
		nothing := &rendering{}
		return nothing, nothing, nil
	}
	if first, err = r.render(f); err != nil {
		return nil, nil, err
	}
	if again, err = r.render(f); err != nil {
		return nil, nil, err
	}
	return first, again, nil
}

// secrets are all values that must not be seen.
func (in *Input) secrets() []string {
	list := append([]string(nil), in.Secrets...)
	for _, c := range []*Chart{in.OldChart, in.NewChart} {
		if c != nil && c.Password != "" {
			list = append(list, c.Password)
		}
	}
	for _, path := range in.SecretPaths {
		for _, values := range []map[string]any{in.OldValues, in.NewValues} {
			var v any = values
			for key := range strings.SplitSeq(path, ".") {
				m, _ := v.(map[string]any)
				v = m[key]
			}
			list = append(list, texts(v)...)
		}
	}
	return list
}

// texts are all texts inside a value.
func texts(v any) (list []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, item := range v {
			list = append(list, texts(item)...)
		}
	case map[string]any:
		for _, item := range v {
			list = append(list, texts(item)...)
		}
	}
	return list
}
