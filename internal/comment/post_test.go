package comment

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/comment/commenttest"
)

func TestUpdateKeepsOneReportPerStack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		omi := Key{Project: prod.Project, Stack: "prod-omi", Command: "preview"}
		up := Key{Project: prod.Project, Stack: "prod", Command: "up"}
		other := Key{Project: "deepgram", Stack: "prod", Command: "preview"}
		ids := map[Key]int64{}
		for _, key := range []Key{omi, prod, up, other} {
			r, err := b.post(t, key, Update, "first of "+key.Stack)
			require.NoError(t, err)
			assert.Equal(t, Created, r.Action)
			assert.Equal(t, 1, r.Parts)
			assert.Contains(t, r.URL, fmt.Sprint(r.ID))
			ids[key] = r.ID
		}
		require.Len(t, b.Comments(), 4)

		r, err := b.post(t, prod, Update, "second of prod")
		require.NoError(t, err)
		assert.Equal(t, Updated, r.Action)
		assert.Equal(t, ids[prod], r.ID)
		assert.Contains(t, r.URL, fmt.Sprint(r.ID))
		assert.Equal(t, []string{"first of prod-omi", "second of prod", "first of prod", "first of prod"}, b.visible())

		before := len(b.Writes())
		r, err = b.post(t, prod, Update, "second of prod")
		require.NoError(t, err)
		assert.Equal(t, Unchanged, r.Action)
		assert.Len(t, b.Writes(), before, "nothing is written where nothing changes")
	})
}

// 150 comments lie over two pages; what is wanted lies on the second, and
// everything that only looks like it lies before and after.
func TestOwnCommentIsFoundOnAnyPage(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		report := render(marker{key: prod, part: 1, run: newRun(), state: current}, "the old report")
		var own int64
		for i := range 150 {
			switch i {
			case 3:
				b.Add("mallory", report) // the same marker, by somebody else
			case 5:
				b.Add(b.Author, "> "+strings.ReplaceAll(report, "\n", "\n> "))
			case 7:
				b.Add(b.Author, "see:\n"+report)
			case 9:
				b.Add(b.Author, render(marker{key: Key{prod.Project, "prod-omi", "preview"}, part: 1, run: newRun(), state: current}, "of prod-omi"))
			case 11:
				b.Add(b.Author, strings.Replace(report, "stack=prod ", "stack=prod  ", 1))
			case 120:
				own = b.Add(b.Author, report)
			default:
				b.Add("reviewer", fmt.Sprintf("remark %d", i))
			}
		}
		before := b.Comments()
		r, err := b.post(t, prod, Update, "the new report")
		require.NoError(t, err)
		assert.Equal(t, own, r.ID)
		assert.Equal(t, Updated, r.Action)
		after := b.Comments()
		require.Len(t, after, 150)
		for i := range after {
			if after[i].ID != own {
				assert.Equal(t, before[i], after[i])
			}
		}
		_, rest, _ := strings.Cut(b.body(own), "\n")
		assert.Equal(t, "the new report", rest)
	})
}

func TestForeignReportIsLeftAlone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		report := render(marker{key: prod, part: 1, run: newRun(), state: current}, "a trap")
		b.Add("mallory", report)
		for _, mode := range Modes {
			_, err := b.post(t, prod, mode, "ours by "+string(mode))
			require.NoError(t, err)
		}
		_, err := MarkStale(t.Context(), b.target, prod, "A newer commit.", b.options(Update))
		require.NoError(t, err)
		assert.Equal(t, []commenttest.Comment{{ID: 1001, Author: "mallory", Body: report}}, b.By("mallory"))
	})
}

func TestNewMarksEarlierReports(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		for _, text := range []string{"one", "two", "three"} {
			r, err := b.post(t, prod, New, text)
			require.NoError(t, err)
			assert.Equal(t, Created, r.Action)
			assert.Empty(t, r.Warnings)
		}
		seen := b.visible()
		require.Len(t, seen, 3)
		for i, text := range []string{"one", "two"} {
			assert.True(t, strings.HasPrefix(seen[i], "> [!WARNING]\n> **Out of date.**"), seen[i])
			assert.True(t, strings.HasSuffix(seen[i], "\n\n"+text), seen[i])
			assert.Equal(t, 1, b.Comments()[i].Edits, "a report is marked once")
		}
		assert.Equal(t, "three", seen[2])

		// An update changes the newest, and leaves the others as they are.
		r, err := b.post(t, prod, Update, "four")
		require.NoError(t, err)
		assert.Equal(t, b.Comments()[2].ID, r.ID)
		assert.Equal(t, []string{seen[0], seen[1], "four"}, b.visible())
	})
}

func TestHideOldHidesOnGitHub(t *testing.T) {
	t.Parallel()
	b, _ := onGitHub(t)
	for _, text := range []string{"one", "two", "three"} {
		r, err := b.post(t, prod, HideOld, text)
		require.NoError(t, err)
		assert.Empty(t, r.Warnings)
	}
	assert.Equal(t, []string{"three"}, b.visible())
	hidden := 0
	for _, r := range b.Writes() {
		if strings.Contains(r.Body, "minimizeComment") {
			hidden++
		}
	}
	assert.Equal(t, 2, hidden, "what is hidden is not hidden again")

	// What a person hid is not brought up to date where nobody sees it.
	_, err := b.post(t, prod, HideOld, "four")
	require.NoError(t, err)
	assert.Equal(t, []string{"four"}, b.visible())
}

func TestHideOldFoldsOnGitLab(t *testing.T) {
	t.Parallel()
	b, _ := onGitLab(t)
	_, err := b.post(t, prod, New, "one")
	require.NoError(t, err)
	_, err = b.post(t, prod, New, "two") // marks the first as stale
	require.NoError(t, err)
	for _, text := range []string{"three", "four"} {
		_, err := b.post(t, prod, HideOld, text)
		require.NoError(t, err)
	}
	seen := b.visible()
	require.Len(t, seen, 4)
	for _, text := range seen[:3] {
		assert.True(t, strings.HasPrefix(text, "<details><summary>Out of date</summary>\n\n> [!WARNING]"), text)
		assert.Equal(t, 1, strings.Count(text, "<details>"))
		assert.Equal(t, 1, strings.Count(text, "[!WARNING]"))
		assert.True(t, strings.HasSuffix(text, "\n\n</details>"), text)
	}
	assert.Equal(t, "four", seen[3])
}

func TestHidingFailsWithoutHarm(t *testing.T) {
	t.Parallel()
	b, _ := onGitHub(t)
	_, err := b.post(t, prod, HideOld, "one")
	require.NoError(t, err)
	b.Fail(commenttest.Fault{Method: "PATCH", Status: 403, Body: `{"message":"Resource not accessible by integration"}`})
	r, err := b.post(t, prod, HideOld, "two")
	require.NoError(t, err)
	require.Len(t, r.Warnings, 1)
	assert.Contains(t, r.Warnings[0], "pull-requests: write")
	assert.Equal(t, []string{"one", "two"}, b.visible())
}

func TestMarkStaleThenUpdate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		n, err := MarkStale(t.Context(), b.target, prod, "Nothing there yet.", b.options(Update))
		require.NoError(t, err)
		assert.Zero(t, n)
		first, err := b.post(t, prod, Update, "part one", "part two")
		require.NoError(t, err)
		_, err = b.post(t, Key{prod.Project, "prod-omi", "preview"}, Update, "of prod-omi")
		require.NoError(t, err)

		n, err = MarkStale(t.Context(), b.target, prod, "Commit abc1234 is being previewed.\n<!-- -->", b.options(Update))
		require.NoError(t, err)
		assert.Equal(t, 2, n)
		seen := b.visible()
		assert.Equal(t, "> [!WARNING]\n> **Out of date.** Commit abc1234 is being previewed. <!-- -->\n\npart one", seen[0])
		assert.Equal(t, "of prod-omi", seen[2])

		n, err = MarkStale(t.Context(), b.target, prod, "Again.", b.options(Update))
		require.NoError(t, err)
		assert.Zero(t, n, "what is marked is not marked again")

		r, err := b.post(t, prod, Update, "part one, new", "part two, new")
		require.NoError(t, err)
		assert.Equal(t, first.ID, r.ID)
		assert.Equal(t, []string{"part one, new", "part two, new", "of prod-omi"}, b.visible())
	})
}

func TestPartsFollowTheReport(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		first, err := b.post(t, prod, Update, "a", "b", "c")
		require.NoError(t, err)
		assert.Equal(t, 3, first.Parts)
		b.Add("reviewer", "a remark between")

		r, err := b.post(t, prod, Update, "a", "B")
		require.NoError(t, err)
		assert.Equal(t, Unchanged, r.Action)
		assert.Equal(t, []string{"a", "B"}, b.visible(), "the part too much is gone")

		r, err = b.post(t, prod, Update, "A", "B", "C", "D")
		require.NoError(t, err)
		assert.Equal(t, first.ID, r.ID)
		assert.Equal(t, []string{"A", "B", "C", "D"}, b.visible())
		assert.Len(t, b.By("reviewer"), 1)

		_, err = b.post(t, prod, New, "next")
		require.NoError(t, err)
		seen := b.visible()
		require.Len(t, seen, 5)
		for _, text := range seen[:4] {
			assert.Contains(t, text, "Out of date")
		}
	})
}

func TestPartsOverTheMostAreLeftOut(t *testing.T) {
	t.Parallel()
	b, _ := onGitHub(t)
	o := b.options(Update)
	o.MaxParts, o.MoreLink = 2, "https://github.com/acme/speech/actions/runs/1"
	body := []string{"a", strings.Repeat("🦻", b.target.Limit()), "c", "d"}
	r, err := Post(t.Context(), b.target, prod, body, o)
	require.NoError(t, err)
	assert.Equal(t, 2, r.Parts)
	seen := b.visible()
	require.Len(t, seen, 2)
	assert.True(t, strings.HasSuffix(seen[1], "**2 further parts of this report are left out.** The whole: "+o.MoreLink))
	assert.Equal(t, "c", body[2], "the caller's parts are left alone")
}

// A comment of the greatest length is taken, can be marked as out of date, and
// hidden or folded; one character more is refused before anything is sent.
func TestLimit(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		key := Key{Project: prod.Project, Stack: strings.Repeat("ü-", 80), Command: "preview"}
		limit := b.target.Limit()
		for _, n := range []int{limit - 1, limit} {
			_, err := b.post(t, key, HideOld, strings.Repeat("🦻", n))
			require.NoError(t, err)
		}
		changed, err := MarkStale(t.Context(), b.target, key, strings.Repeat("reason ", 100), b.options(Update))
		require.NoError(t, err)
		assert.Equal(t, 1, changed)
		_, err = b.post(t, key, HideOld, "short")
		require.NoError(t, err)

		before := len(b.Requests())
		_, err = b.post(t, key, Update, "fine", strings.Repeat("🦻", limit+1))
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, TooLong, e.Kind)
		assert.Contains(t, err.Error(), fmt.Sprintf("part 2 has %d characters, of at most %d", limit+1, limit))
		assert.Len(t, b.Requests(), before)
	})
}

// The stand-ins count as the services do, or TestLimit would show nothing.
func TestStandInsRefuseOneCharacterMore(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		p, err := newPoster(b.target, prod, prepared(t, b))
		require.NoError(t, err)
		hard := b.target.hardLimit()
		_, _, err = p.service.create(t.Context(), strings.Repeat("🦻", hard))
		require.NoError(t, err)
		_, _, err = p.service.create(t.Context(), strings.Repeat("🦻", hard+1))
		var e *Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, TooLong, e.Kind)
		assert.Contains(t, err.Error(), fmt.Sprintf("a comment may have %d characters", hard))
	})
}

// prepared are the options as Post hands them on.
func prepared(t *testing.T, b *bench) Options {
	t.Helper()
	o := b.options(Update)
	require.NoError(t, check(b.target, prod, []string{"x"}, &o))
	return o
}

func TestManyStacksAtOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, b *bench) {
		const stacks = 20
		for round := range 3 {
			var group sync.WaitGroup
			errs := make([]error, stacks)
			for i := range stacks {
				group.Go(func() {
					key := Key{Project: "p", Stack: fmt.Sprintf("env-%d", i), Command: "preview"}
					_, errs[i] = Post(t.Context(), b.target, key, []string{fmt.Sprintf("%d of %d", round, i)}, b.options(Update))
				})
			}
			group.Wait()
			for _, err := range errs {
				require.NoError(t, err)
			}
		}
		want := make([]string, stacks)
		for i := range want {
			want[i] = fmt.Sprintf("2 of %d", i)
		}
		assert.ElementsMatch(t, want, b.visible())
	})
}

func TestEverythingWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Post(t.Context(), Target{Provider: "bitbucket"}, Key{Stack: "prod\xff"}, []string{" "}, Options{Mode: "replace"})
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, Invalid, e.Kind)
	for _, part := range []string{
		`provider: "bitbucket" is none of "github", "gitlab"`, "repository: missing", "number: 0", "token: GITHUB_TOKEN is not set",
		"key: project is missing", "key: stack is not UTF-8", "key: command is missing", `mode: "replace" is none of "update", "new", "hide-old"`,
		"body: part 1 is empty",
	} {
		assert.Contains(t, err.Error(), part)
	}
}

func TestBodyWithTheTokenIsRefused(t *testing.T) {
	t.Parallel()
	b, _ := onGitHub(t)
	_, err := b.post(t, prod, Update, "env: GITHUB_TOKEN="+canary)
	require.ErrorContains(t, err, "part 1 holds the token itself")
	assert.Empty(t, b.Requests())
}
