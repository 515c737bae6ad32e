package journal

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
)

const journalText = `{"d":"one","s":"1"}` + "\n" + `{"d":"two","s":"2"}` + "\n"

// served is a running Serve with one journal.
func served(t *testing.T, token string) (address, file string) {
	t.Helper()
	root := t.TempDir()
	file = filepath.Join(root, "journal")
	require.NoError(t, os.WriteFile(file, []byte(journalText), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(root), "elsewhere"), []byte(journalText), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, ServeOptions{Root: root, TokenSHA256: tokenDigest(token)}) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return l.Addr().String(), file
}

func get(t *testing.T, address, path, token string, query map[string]string) (int, string) {
	t.Helper()
	q := url.Values{}
	for k, v := range query {
		q.Set(k, v)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+path+"?"+q.Encode(), nil)
	require.NoError(t, err)
	r.Header.Set(tokenHeader, token)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	answer, err := client.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(body)
}

func TestServeAnswersOnlyItsOwner(t *testing.T) {
	t.Parallel()
	address, file := served(t, "right")
	whole := map[string]string{"file": file, "offset": "0", "size": "0", "compress": "false"}
	with := func(key, value string) map[string]string {
		m := map[string]string{}
		for k, v := range whole {
			m[k] = v
		}
		m[key] = value
		return m
	}
	code, body := get(t, address, directPath, "right", whole)
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, journalText)

	code, body = get(t, address, directPath, "right", with("offset", "1000"))
	require.Equal(t, http.StatusOK, code)
	require.JSONEq(t, fmt.Sprintf(`{"size": %d, "offset": 1000}`, len(journalText)), body, "beyond its end: how long it is, and no more")
	beyond := with("offset", "1000")
	beyond["size"] = "40"
	code, _ = get(t, address, directPath, "right", beyond)
	require.Equal(t, http.StatusUnprocessableEntity, code, "beyond the end of the snapshot that is being continued")

	for name, c := range map[string]struct {
		path, token string
		query       map[string]string
		code        int
	}{
		"another token":      {directPath, "wrong", whole, http.StatusForbidden},
		"no token":           {directPath, "", whole, http.StatusForbidden},
		"the digest":         {directPath, tokenDigest("right"), whole, http.StatusForbidden},
		"outside the folder": {directPath, "right", with("file", filepath.Dir(file)+"/../elsewhere"), http.StatusBadRequest},
		"another path":       {"/else", "right", whole, http.StatusBadRequest},
		"no number":          {directPath, "right", with("offset", "x"), http.StatusBadRequest},
		"no such journal":    {directPath, "right", with("file", file+"-2"), http.StatusUnprocessableEntity},
		"before its start":   {directPath, "right", with("offset", "-1"), http.StatusUnprocessableEntity},
	} {
		code, body := get(t, address, c.path, c.token, c.query)
		require.Equal(t, c.code, code, name)
		require.NotContains(t, body, `"d"`, name)
	}
}

// ways are a Director and an Executor that tell who was asked.
type ways struct {
	direct func() (io.ReadCloser, error)
	asked  atomic.Int32
	execs  atomic.Int32
}

func (w *ways) Get(_ context.Context, _, _, _, _ string, _ map[string]string) (io.ReadCloser, error) {
	w.asked.Add(1)
	return w.direct()
}

func (w *ways) Exec(_ context.Context, _, _ string, _ []string, _ io.Reader, out, _ io.Writer) error {
	w.execs.Add(1)
	_, err := io.WriteString(out, "by exec")
	return err
}

func TestTheShortWayIsLeftWhereItIsClosed(t *testing.T) {
	t.Parallel()
	running := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	pods := schema.GroupResource{Resource: "pods"}
	body := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("by port")), nil }
	late := func() func() (io.ReadCloser, error) {
		n := 0
		return func() (io.ReadCloser, error) {
			if n++; n < 3 {
				return nil, apierrors.NewServiceUnavailable("connection refused")
			}
			return body()
		}
	}
	for name, c := range map[string]struct {
		direct func() (io.ReadCloser, error)
		got    string
		err    bool
		closed bool
	}{
		"open":                      {direct: body, got: "by port"},
		"not listening yet":         {direct: late(), got: "by port"},
		"no right to it":            {direct: func() (io.ReadCloser, error) { return nil, apierrors.NewForbidden(pods, "p", nil) }, got: "by exec", closed: true},
		"a port that is never open": {direct: func() (io.ReadCloser, error) { return nil, apierrors.NewServiceUnavailable("refused") }, got: "by exec", closed: true},
		"the API server is away":    {direct: func() (io.ReadCloser, error) { return nil, errors.New("connection refused") }, err: true},
		"the helper is gone":        {direct: func() (io.ReadCloser, error) { return nil, apierrors.NewNotFound(pods, "p") }, err: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &ways{direct: c.direct}
			var notes atomic.Int32
			cluster := &Cluster{Client: fake.NewClientset(running), Direct: w, Exec: w, Namespace: "n", Note: func(string) { notes.Add(1) }}
			cluster.init()
			h := &helper{c: cluster, name: "p", token: "t"}
			source := &Source{Place: Place{Path: "journal"}, seat: &seat{c: cluster, h: h}}
			for range 2 {
				var out bytes.Buffer
				err := source.Open(t.Context(), 0, 0, false, &out)
				if c.err {
					require.Error(t, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.got, out.String())
			}
			require.Equal(t, c.closed, h.closed.Load())
			if c.closed {
				require.EqualValues(t, 1, notes.Load(), "it is told once")
				require.EqualValues(t, 2, w.execs.Load())
			} else {
				require.Zero(t, w.execs.Load())
			}
		})
	}
}
