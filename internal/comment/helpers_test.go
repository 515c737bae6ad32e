package comment

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/comment/commenttest"
)

// canary is the token of all tests; it must come up nowhere.
const canary = "ghs_canary0123456789abcdefCANARY"

var prod = Key{Project: "deepgram-stack", Stack: "prod", Command: "preview"}

// bench is a posting to a stand-in, with a clock that waits for nobody.
type bench struct {
	*commenttest.Server
	target Target

	mutex  sync.Mutex
	log    bytes.Buffer
	slept  []time.Duration
	clock  time.Time
	onWait func()
}

func (b *bench) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.log.Write(p)
}

func (b *bench) progress() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.log.String()
}

func (b *bench) options(mode Mode) Options {
	return Options{
		Mode: mode, Progress: b,
		now: func() time.Time {
			b.mutex.Lock()
			defer b.mutex.Unlock()
			return b.clock
		},
		sleep: func(ctx context.Context, d time.Duration) error {
			b.mutex.Lock()
			b.slept = append(b.slept, d)
			b.clock = b.clock.Add(d)
			b.mutex.Unlock()
			if b.onWait != nil {
				b.onWait()
			}
			return ctx.Err()
		},
	}
}

// post posts, and looks for the token in everything that comes back.
func (b *bench) post(t *testing.T, key Key, mode Mode, body ...string) (Result, error) {
	t.Helper()
	result, err := Post(t.Context(), b.target, key, body, b.options(mode))
	b.clean(t, fmt.Sprintf("%+v %#v %v %s", result, result, err, b.progress()))
	return result, err
}

func (b *bench) clean(t *testing.T, text string) {
	t.Helper()
	require.NotContains(t, text, canary)
	for _, c := range b.Comments() {
		require.NotContains(t, c.Body, canary)
	}
}

func (b *bench) body(id int64) string {
	for _, c := range b.Comments() {
		if c.ID == id {
			return c.Body
		}
	}
	return ""
}

// visible are the reports that a reader sees, without their markers.
func (b *bench) visible() []string {
	var all []string
	for _, c := range b.Comments() {
		if !c.Hidden && c.Author == b.Author {
			_, rest, _ := strings.Cut(c.Body, "\n")
			all = append(all, rest)
		}
	}
	return all
}

func onGitHub(t *testing.T) (*bench, *commenttest.GitHub) {
	t.Helper()
	g := commenttest.NewGitHub(t, canary, false)
	return &bench{Server: &g.Server, clock: time.Unix(1790000000, 0), target: Target{
		Provider: GitHub, Repository: commenttest.Repository, Number: commenttest.Number, APIURL: g.URL, Token: NewToken(canary),
	}}, g
}

func onGitLab(t *testing.T) (*bench, *commenttest.GitLab) {
	t.Helper()
	g := commenttest.NewGitLab(t, canary)
	return &bench{Server: &g.Server, clock: time.Unix(1790000000, 0), target: Target{
		Provider: GitLab, Repository: commenttest.ProjectID, Number: commenttest.Number, APIURL: g.URL, Token: NewToken(canary),
	}}, g
}

// onBoth runs the test on each service.
func onBoth(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	t.Run("GitHub", func(t *testing.T) {
		t.Parallel()
		b, _ := onGitHub(t)
		test(t, b)
	})
	t.Run("GitLab", func(t *testing.T) {
		t.Parallel()
		b, _ := onGitLab(t)
		test(t, b)
	})
}
