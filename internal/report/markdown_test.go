package report

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	goldhtml "github.com/yuin/goldmark/renderer/html"
	"golang.org/x/net/html"
)

// page renders Markdown as GitHub does, raw HTML and all.
func page(t testing.TB, markdown string) string {
	t.Helper()
	var b bytes.Buffer
	md := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(goldhtml.WithUnsafe()))
	require.NoError(t, md.Convert([]byte(markdown), &b))
	return b.String()
}

// ours are the elements that a report is made of.
var ours = map[string]bool{
	"h2": true, "h3": true, "p": true, "strong": true, "em": true, "code": true, "pre": true, "br": true, "sub": true, "blockquote": true,
	"details": true, "summary": true, "table": true, "thead": true, "tbody": true, "tr": true, "th": true, "td": true, "a": true,
}

var (
	mention   = regexp.MustCompile(`(^|[^\w/])@[A-Za-z0-9]`)
	reference = regexp.MustCompile(`(^|[^&\w])(#|GH-|![0-9])[0-9]`)
	address   = regexp.MustCompile(`(https?|ftp)://|www\.`)
)

// wellFormed checks a comment as a browser and as a plain reader sees it: within
// its limit, everything that is opened is closed, and no foreign text does more
// than stand there.
func wellFormed(t testing.TB, text string, limit int, link string) {
	t.Helper()
	require.LessOrEqual(t, len(text), limit, "bytes")
	require.LessOrEqual(t, len(utf16.Encode([]rune(text))), limit, "characters")
	require.True(t, utf8.ValidString(text))
	require.Zero(t, strings.Count(text, "```")%2, "fences")
	require.Equal(t, strings.Count(text, "<details"), strings.Count(text, "</details>"))
	require.Equal(t, strings.Count(text, "<summary>"), strings.Count(text, "</summary>"))
	require.NotContains(t, text, "<!--", "a marker finds comments: a report must not hold one")
	if text == "" || limit < 200 {
		return
	}
	// What follows a balanced text is a paragraph of its own.
	rendered := page(t, text+"\n\nSENTINEL\n")
	require.True(t, strings.HasSuffix(rendered, "<p>SENTINEL</p>\n"), "something is left open: …%s", rendered[max(0, len(rendered)-300):])
	z := html.NewTokenizer(strings.NewReader(rendered))
	var open []string
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			require.ErrorIs(t, z.Err(), io.EOF)
			break
		}
		token := z.Token()
		switch kind {
		case html.StartTagToken:
			require.True(t, ours[token.Data], "a report makes no <%s>", token.Data)
			if token.Data == "a" {
				require.Equal(t, []html.Attribute{{Key: "href", Val: link}}, token.Attr, "the only link is the report's own")
			}
			if token.Data != "br" {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			require.NotEmpty(t, open)
			require.Equal(t, open[len(open)-1], token.Data)
			open = open[:len(open)-1]
		case html.TextToken:
			quoted := strings.Contains(strings.Join(open, " "), "code")
			if !quoted {
				require.NotRegexp(t, mention, token.Data)
				require.NotRegexp(t, reference, token.Data)
				require.NotRegexp(t, address, token.Data)
			}
		case html.CommentToken, html.DoctypeToken:
			t.Fatalf("a report makes no comment: %s", token)
		case html.SelfClosingTagToken, html.ErrorToken:
		}
	}
	require.Empty(t, open)
}

// hostile texts try to break out of where they stand.
var hostile = []string{
	"```", "\n```\n\n# mine", "    ```", "~~~\n", "`` ` ``", "</details>", "</summary></details><script>alert(1)</script>", "<details><summary>x",
	"<!-- deepgram-gke: project/stack/preview -->", "| a | b |\n|---|---|", "\\| x", "@deepgram/admins", "x@example.com", "#1", "org/repo#2", "GH-3",
	"!4", "https://evil.example/?q=1", "www.evil.example", "[x](javascript:alert(1))", "![x](http://evil.example/x.png)", "<img src=x onerror=alert(1)>",
	"- item", "1. item", "12) item", "+ x", "===", "---", "> quote", "&lt;b&gt; &amp;", "&#64;admins", "$x^2$", "**bold** _it_ ~~s~~", ":tada:", "\x00\x1b[31m",
	"\u202eevil\u2066", "日本語テキスト", "💥🇩🇪", "\xff\xfe", "a\tb\rc", strings.Repeat("`", 70), strings.Repeat("ä", 3000), "", " ", "\n\n",
	"[^1]: note", "[x]: http://evil.example", "\\", "<a href=x>", "</code>", "</td></table>", "[ ] task", "*", "_", "<https://evil.example>", "mailto:a@b.c",
}

// hostileInput puts texts everywhere where foreign text can stand.
func hostileInput(texts []string, n int) PlanInput {
	at := 0
	next := func() string { at++; return texts[at%len(texts)] }
	var steps []step
	ops := []string{"create", "update", "replace", "delete", "same", "import"}
	for i := range n {
		s := step{
			op: ops[i%len(ops)], urn: fmt.Sprintf("urn:pulumi:s::p::gcp:compute/disk:Disk::%s-%d", next(), i), kind: "gcp:compute/disk:Disk",
			parent: next(), keys: []string{next(), "zone"}, diffs: []string{next()},
			detailed: map[string]apitype.DiffKind{next(): "update-replace"},
			old:      m{next(): next(), "zone": next(), "list": []any{next(), m{next(): next()}}},
			new:      m{next(): next(), "zone": next(), "list": []any{next(), m{next(): next()}}, "name": next()},
		}
		if i%3 == 0 {
			s.kind = next()
		}
		steps = append(steps, s)
	}
	field := func() FieldChange {
		return FieldChange{Path: next(), Change: Changed, Old: next(), New: m{next(): next()}}
	}
	figures := &CapacityFigures{GPUTypes: []string{next()}, Items: []CostItem{{Name: next(), What: next()}, {Name: next(), What: next(), Unpriced: true}}}
	return PlanInput{
		Operation: preview(steps...), Command: next(), Project: next(), Stack: next(), Commit: next(), Versions: Versions{next(), next(), next()},
		Err: errors.New(next()),
		Violations: []Violation{
			{Policy: next(), Level: "mandatory", URN: next(), Message: next() + "\n" + next()},
			{Policy: gatePolicy, Level: "mandatory", URN: steps[2%len(steps)].urn, Message: next()},
			{Policy: next(), Level: next(), URN: "urn:pulumi:s::p::" + next() + "::" + next(), Message: next()},
		},
		Charts: []ChartDiff{{
			Release: next(), Namespace: next(), Old: ChartSource{next(), next(), next()}, New: ChartSource{next(), next(), next()},
			Rendered: n%2 == 0, Notes: []string{next(), next()}, Values: []FieldChange{field(), field()},
			Objects: []ObjectChange{
				{Kind: next(), Name: next(), Change: Changed, Effect: next(), Hook: next(), Fields: []FieldChange{field(), field(), field(), field()}},
				{Kind: next(), Name: next(), Change: Removed, Effect: next()},
			},
		}},
		Capacity: &Capacity{Old: figures, New: figures, Prices: PriceSource{next(), next(), next()}, Notes: []string{next()}},
	}
}

func TestHostileTextStaysText(t *testing.T) {
	t.Parallel()
	for shift := range hostile {
		texts := append(append([]string(nil), hostile[shift:]...), hostile[:shift]...)
		p := NewPlan(hostileInput(texts, 7))
		wellFormed(t, p.Markdown(GitHubLimit, ""), GitHubLimit, "")
	}
}

func TestMarkdownKeepsEveryLimit(t *testing.T) {
	t.Parallel()
	p := NewPlan(hostileInput(hostile, 40))
	const link = "https://github.com/o/r/actions/runs/1"
	for limit := range 3000 {
		text := p.Markdown(limit, link)
		require.LessOrEqual(t, len(text), limit)
		if limit%197 == 0 {
			wellFormed(t, text, limit, link)
		}
	}
	for _, limit := range []int{5000, 8192, 20000, 40000, 65535, 65536, 65537, 1 << 20} {
		wellFormed(t, p.Markdown(limit, link), limit, link)
	}
	require.Empty(t, p.Markdown(0, link))
}

// long is a plan whose report is just as many bytes long as asked for, in
// characters of several bytes.
func long(t *testing.T, size int, unit string) *Plan {
	t.Helper()
	build := func(rows, filler int) *Plan {
		values := m{"filler": strings.Repeat("x", filler)}
		for i := range rows {
			values[fmt.Sprintf("k%04d", i)] = strings.Repeat(unit, 300/len(unit))
		}
		return NewPlan(PlanInput{Operation: preview(step{op: "create", urn: "urn:pulumi:s::p::t:t:T::n", kind: "t:t:T", new: values}), Stack: "s"})
	}
	for rows := size/320 - 5; ; rows++ {
		missing := size - len(build(rows, 1).Markdown(1<<30, ""))
		require.GreaterOrEqual(t, missing, 0)
		if missing < longLine {
			p := build(rows, 1+missing)
			require.Len(t, p.Markdown(1<<30, ""), size)
			return p
		}
	}
}

func TestTruncationAtTheLimit(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"x", "é", "語", "💥"} {
		for _, over := range []int{-1, 0, 1} {
			p := long(t, GitHubLimit+over, unit)
			whole := p.Markdown(1<<30, "")
			text := p.Markdown(GitHubLimit, "")
			wellFormed(t, text, GitHubLimit, "")
			if over <= 0 {
				require.Equal(t, whole, text, "it fits, so nothing is cut")
				require.Len(t, p.Parts(GitHubLimit), 1)
			} else {
				require.Less(t, len(text), len(whole))
				require.Len(t, p.Parts(GitHubLimit), 2)
			}
		}
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	p := many(900)
	text := p.Markdown(20000, "https://example.com/run/7")
	wellFormed(t, text, 20000, "https://example.com/run/7")
	require.Regexp(t, `_\d+ more resources not shown: see the whole report_`, text)
	require.Contains(t, text, "[The whole report](https://example.com/run/7)")
	require.Contains(t, text, "### Capacity and cost", "the diff gives way first")
	require.Contains(t, text, "Refused by policy")
}

func TestPartsHoldEverything(t *testing.T) {
	t.Parallel()
	p := many(900)
	parts := p.Parts(GitHubLimit)
	require.GreaterOrEqual(t, len(parts), 3)
	all := strings.Join(parts, "\n")
	for i, part := range parts {
		wellFormed(t, part, GitHubLimit, "")
		require.Contains(t, part, fmt.Sprintf("(part %d of %d)\n", i+1, len(parts)))
	}
	for _, r := range p.Resources {
		require.Contains(t, all, "  "+r.Name+" ")
	}
	require.NotContains(t, all, "not shown")
	require.Len(t, NewPlan(sampleInput()).Parts(GitHubLimit), 1)
	for _, part := range NewPlan(hostileInput(hostile, 200)).Parts(10000) {
		wellFormed(t, part, 10000, "")
	}
}

// many is a plan of many resources.
func many(n int) *Plan {
	in := sampleInput()
	steps := sampleSteps()
	for i := range n {
		steps = append(steps, step{
			op: []string{"create", "update", "replace", "delete"}[i%4], kind: "kubernetes:core/v1:ConfigMap", parent: prodDG,
			urn:   fmt.Sprintf("%s$kubernetes:core/v1:ConfigMap::config-%04d", prodDG, i),
			old:   m{"metadata": m{"name": fmt.Sprintf("c-%d", i), "labels": m{"a": "b"}}, "data": m{"file": "one\ntwo\nthree\n", "n": float64(i)}},
			new:   m{"metadata": m{"name": fmt.Sprintf("c-%d", i), "labels": m{"a": "c"}}, "data": m{"file": "one\nzwei\nthree\n", "n": float64(i + 1)}},
			diffs: []string{"data", "metadata"},
		})
	}
	in.Operation = preview(steps...)
	return NewPlan(in)
}

func FuzzMarkdown(f *testing.F) {
	for i, text := range hostile {
		f.Add(text, hostile[(i+1)%len(hostile)], uint16(i*1500), uint8(i))
	}
	f.Fuzz(func(t *testing.T, a, b string, limit uint16, n uint8) {
		if len(a)+len(b) > 2000 {
			return
		}
		in := hostileInput([]string{a, b, a + b, "\n" + b}, 1+int(n)%30)
		in.Secrets = []string{b}
		p := NewPlan(in)
		wellFormed(t, p.Markdown(int(limit), ""), int(limit), "")
		for _, part := range p.Parts(GitHubLimit) {
			wellFormed(t, part, GitHubLimit, "")
		}
	})
}

func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	const canary = `C4n4ry<|>"p@ss`
	pem := "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nQ2FuYXJ5S2V5TGluZVR3b0V4YW1wbGU\n-----END PRIVATE KEY-----\n"
	encoded := base64.StdEncoding.EncodeToString([]byte(`{"auths":{"quay.io":{"password":"` + canary + `"}}}`))
	in := hostileInput([]string{"x " + canary + " y", canary, "q=" + url.QueryEscape(canary), "a | " + canary, pem, encoded}, 40)
	in.Secrets = []string{canary, pem, "4711-0815"}
	in.Err = fmt.Errorf("bad password %q at https://u:%s@host", canary, canary)
	in.Charts[0].Objects = append(in.Charts[0].Objects, ObjectChange{
		Kind: "Secret", Name: "s", Change: Changed,
		Fields: []FieldChange{
			{Path: "data.password", Change: Changed, Old: "dW5rbm93bi1vbGQ=", New: "dW5rbm93bi1uZXc="},
			{Path: "stringData", Change: Added, New: m{"key": "unknown-text"}},
		},
	})
	in.Operation.Handle(step{
		op: "create", urn: "urn:pulumi:s::p::kubernetes:core/v1:Secret::s", kind: "kubernetes:core/v1:Secret",
		new: m{"data": m{"k": "dW5rbm93bi1kYXRh"}, "values": m{"adminPassword": "unknown-by-name"}, "n": m{"env": []any{m{"name": "API_KEY", "value": "unknown-env"}}}},
	}.event())
	p := NewPlan(in)
	text, err := p.JSON()
	require.NoError(t, err)
	var terminal strings.Builder
	require.NoError(t, p.Text(&terminal, Style{}))
	all := append([]string{string(text), terminal.String(), fmt.Sprintf("%+v", *p), p.Markdown(GitHubLimit, "")}, p.Parts(GitHubLimit)...)
	for _, shown := range all {
		for _, secret := range []string{
			"C4n4ry", "anary", "MIIEvQ", "Q2FuYXJ5S2V5", encoded, base64.RawStdEncoding.EncodeToString([]byte("password\":\"" + canary))[4:20],
			"dW5rbm93bi", "unknown-text", "unknown-by-name", "unknown-env",
		} {
			if at := strings.Index(shown, secret); at >= 0 {
				t.Errorf("%s is shown: …%s…", secret, shown[max(0, at-60):min(len(shown), at+60)])
			}
		}
	}
	require.Contains(t, string(text), Hidden)
	wellFormed(t, p.Markdown(GitHubLimit, ""), GitHubLimit, "")
}

// TestMarkdownOfChartsThatCouldNotBeCompared shows why, and no empty table.
func TestMarkdownOfChartsThatCouldNotBeCompared(t *testing.T) {
	t.Parallel()
	in := sampleInput()
	in.Charts = []ChartDiff{{
		Release: "deepgram", Namespace: "deepgram", Notes: []string{"no repository is asked offline"},
		Values: []FieldChange{{Path: "api.image.tag", Old: "a", New: "b"}},
	}}
	text := NewPlan(in).Markdown(GitHubLimit, "")
	require.Contains(t, text, "the charts could not be compared")
	require.Contains(t, text, "no repository is asked offline")
	require.Contains(t, text, "Values given to the chart: 1 change")
	require.NotContains(t, text, "Kubernetes object | Effect")
	wellFormed(t, text, GitHubLimit, "")
}

// BenchmarkPlan makes the comment of a preview of 5,000 resources from its events;
// BenchmarkRawText cuts as much terminal text, as pulumi/actions does.
func BenchmarkPlan(b *testing.B) {
	in := sampleInput()
	steps := make([]step, 0, 5000)
	for i := range 5000 {
		steps = append(steps, step{
			op: []string{"create", "update", "replace", "same", "delete"}[i%5], kind: "kubernetes:core/v1:ConfigMap", parent: prodDG,
			urn: fmt.Sprintf("%s$kubernetes:core/v1:ConfigMap::config-%04d", prodDG, i),
			old: m{"metadata": m{"name": fmt.Sprintf("c-%d", i), "labels": m{"a": "b", "c": "d"}}, "data": m{"file": strings.Repeat("line\n", 20), "n": float64(i)}},
			new: m{"metadata": m{"name": fmt.Sprintf("c-%d", i), "labels": m{"a": "c", "c": "d"}}, "data": m{"file": strings.Repeat("line\n", 10) + "x\n", "n": 1.0}},
		})
	}
	for range 20 {
		in.Secrets = append(in.Secrets, fmt.Sprintf("secret-value-%d-%d", len(in.Secrets), 4711*len(in.Secrets)))
	}
	for b.Loop() {
		in.Operation = preview(steps...)
		p := NewPlan(in)
		if n := len(p.Markdown(GitHubLimit, "")); n > GitHubLimit || len(p.Resources) != 4000 {
			b.Fatal(n, len(p.Resources))
		}
	}
}

func BenchmarkRawText(b *testing.B) {
	text := strings.Repeat(" +  kubernetes:core/v1:ConfigMap config-0000 create\n", 5000)
	for b.Loop() {
		lines := strings.Split(text, "\n")
		n := 0
		for i, line := range lines {
			if n += len(line) + 1; n > 64000 {
				lines = lines[:i]
				break
			}
		}
		_ = "<details><summary>Details</summary><pre>" + strings.Join(lines, "\n") + "</pre></details>"
	}
}
