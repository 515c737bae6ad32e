package journal

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"

	"github.com/deepgram-gke/deepgram-gke/internal/kube"
)

// Executor runs a program in a pod.
type Executor interface {
	// Exec returns when the program has ended or ctx has; an *ExitError where
	// the program ended with another code than 0.
	Exec(ctx context.Context, namespace, pod string, argv []string, in io.Reader, out, errs io.Writer) error
}

// ExitError is the exit code of a program in a pod.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("ended with code %d", e.Code) }

// Timing sets the waits of the work in a cluster. The zero value works.
type Timing struct {
	// Start is how long a helper may take to run; 0 means 3 minutes.
	Start time.Duration
	// Deadline ends a helper, whatever happens; 0 means 2 hours.
	Deadline time.Duration
	// Beat is how often a run says that it lives; 0 means 10 s.
	Beat time.Duration
	// Dead is how old the last beat of a run is when it is taken for killed;
	// 0 means 1 minute.
	Dead time.Duration
	// Down is how long billing may take to stop; 0 means 2 minutes. Up is how
	// long it may take to be ready again; 0 means 5 minutes.
	Down, Up time.Duration
	// Cleanup bounds putting things right after an interruption; 0 means 2
	// minutes.
	Cleanup time.Duration
	// Poll is how often the cluster is looked at, after a while (eight times as
	// long) in which it is looked at ten times as often; 0 means 500 ms.
	Poll time.Duration
}

func (t *Timing) defaults() {
	t.Start = cmp.Or(t.Start, 3*time.Minute)
	t.Deadline = cmp.Or(t.Deadline, 2*time.Hour)
	t.Beat = cmp.Or(t.Beat, 10*time.Second)
	t.Dead = cmp.Or(t.Dead, time.Minute)
	t.Down = cmp.Or(t.Down, 2*time.Minute)
	t.Up = cmp.Or(t.Up, 5*time.Minute)
	t.Cleanup = cmp.Or(t.Cleanup, 2*time.Minute)
	t.Poll = cmp.Or(t.Poll, 500*time.Millisecond)
}

// Cluster is the namespace in which billing runs.
type Cluster struct {
	Client kubernetes.Interface
	Exec   Executor
	// Direct is the short way for journals; nil means that there is none, and all
	// goes through Exec.
	Direct    Director
	Namespace string
	// Helper sets up the helper pods.
	Helper HelperSpec
	Timing Timing
	// Note hears what is done; nil nobody.
	Note func(line string)
	// Now is the clock; nil means the real one.
	Now func() time.Time

	run string
	by  string
}

// init fills what is not set. Run names this process's work.
func (c *Cluster) init() {
	if c.run != "" {
		return
	}
	c.Timing.defaults()
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Note == nil {
		c.Note = func(string) {}
	}
	id := make([]byte, 4)
	_, _ = rand.Read(id) // never fails
	c.run = hex.EncodeToString(id)
	host, _ := os.Hostname()
	who := "unknown"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	c.by = fmt.Sprintf("%s@%s", who, host)
}

// Run is the id of this run, which is on everything that it makes.
func (c *Cluster) Run() string {
	c.init()
	return c.run
}

// after gives cleaning up its own time, also after Ctrl-C.
func (c *Cluster) after(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), c.Timing.Cleanup)
}

// poll asks until done answers yes, or until the time is over.
func (c *Cluster) poll(ctx context.Context, limit time.Duration, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	began := time.Now()
	for {
		ok, err := done(ctx)
		var f fatal
		switch {
		case errors.As(err, &f):
			return f.error
		case err == nil && ok:
			return nil
		case err != nil && ctx.Err() == nil:
			last = err // an API server that restarts is asked again
		}
		wait := c.Timing.Poll
		if time.Since(began) < 8*c.Timing.Poll {
			wait /= 10
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), last)
		case <-time.After(wait):
		}
	}
}

// Connect reaches a cluster as kubectl does: by kubeconfig (empty means
// KUBECONFIG or the usual file), or by the service account inside a cluster.
// An empty namespace is the kubeconfig's.
func Connect(kubeconfig, kubeContext, namespace string) (*Cluster, error) {
	cfg, namespace, err := kube.Connect(kubeconfig, kubeContext, namespace)
	if err != nil {
		return nil, err
	}
	return NewCluster(cfg, namespace)
}

// NewCluster is the cluster that cfg reaches.
func NewCluster(cfg *rest.Config, namespace string) (*Cluster, error) {
	client, cfg, err := kube.Client(cfg)
	if err != nil {
		return nil, err
	}
	// HTTP/2 cuts a stream into small frames; HTTP/1.1 brings a journal faster.
	plain := rest.CopyConfig(cfg)
	plain.NextProtos = []string{"http/1.1"}
	plain.Dial = bulkDial(cfg.Dial)
	direct, err := kubernetes.NewForConfig(plain)
	if err != nil {
		return nil, fmt.Errorf("reaching the cluster: %w", err)
	}
	return &Cluster{
		Client: client, Exec: &execer{cfg, client.CoreV1().RESTClient()}, Direct: &proxier{direct.CoreV1().RESTClient()},
		Namespace: namespace,
	}, nil
}

// execer runs programs through the API server: by WebSocket, or by SPDY where
// that is all that is understood.
type execer struct {
	cfg  *rest.Config
	rest rest.Interface
}

func (e *execer) Exec(ctx context.Context, namespace, pod string, argv []string, in io.Reader, out, errs io.Writer) error {
	u := e.rest.Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: helperContainer, Command: argv, Stdin: in != nil, Stdout: true, Stderr: true,
		}, scheme.ParameterCodec).URL()
	ws, err := remotecommand.NewWebSocketExecutor(e.cfg, http.MethodGet, u.String())
	if err != nil {
		return err
	}
	spdy, err := remotecommand.NewSPDYExecutor(e.cfg, http.MethodPost, u)
	if err != nil {
		return err
	}
	x, err := remotecommand.NewFallbackExecutor(ws, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return err
	}
	err = x.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: out, Stderr: errs})
	var code exec.CodeExitError
	if errors.As(err, &code) {
		return &ExitError{code.Code}
	}
	return err
}
