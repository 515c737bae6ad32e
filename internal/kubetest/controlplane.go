package kubetest

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	adminUser = "admin"
	nodeUser  = "node"

	// RealNodeName is the name of the node that runs pods for real.
	RealNodeName = "real-0"

	etcdSocket   = "etcd.sock:1"
	serviceRange = "10.96.0.0/16"
	// poll is how often a condition is looked at while something starts.
	poll = 50 * time.Millisecond
)

// serviceAddress is the first of the range: Kubernetes gives it to its API server.
var serviceAddress = net.IPv4(10, 96, 0, 1)

func (c *Cluster) certificates() error {
	var err error
	if c.pki, err = newAuthority(filepath.Join(c.state.dir, "pki")); err != nil {
		return err
	}
	local := net.IPv4(127, 0, 0, 1)
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	return errors.Join(
		c.pki.issue("apiserver", pkix.Name{CommonName: "kube-apiserver", Organization: []string{"system:masters"}},
			names, local, serviceAddress, c.address),
		c.pki.issue(adminUser, pkix.Name{CommonName: adminUser, Organization: []string{"system:masters"}}, nil),
		c.pki.issue(nodeUser, pkix.Name{CommonName: "system:node:" + RealNodeName, Organization: []string{"system:nodes"}},
			[]string{"localhost", RealNodeName}, local, c.address),
	)
}

// spawn starts a component.
func (c *Cluster) spawn(name string, args ...string) (*process, error) {
	return c.spawnProgram(name, c.components, args...)
}

func (c *Cluster) spawnProgram(name, path string, args ...string) (*process, error) {
	p, err := spawn(c.state.dir, name, path, args...)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.processes = append(c.processes, p)
	return p, nil
}

// running are the processes that should be running, first the one started first.
func (c *Cluster) running() []*process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.processes)
}

// end kills a process that is not needed any more, or not for now.
func (c *Cluster) end(p *process) {
	p.kill()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.processes = slices.DeleteFunc(c.processes, func(other *process) bool { return other == p })
}

func (c *Cluster) startControlPlane(ctx context.Context) error {
	// A Unix socket in the cluster's folder needs no port, though etcd wants the
	// form of one. Nothing outlives the test, so nothing is forced to the disk.
	const peers = "unix://peer.sock:1"
	if _, err := c.spawn("etcd", "--data-dir=etcd", "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=unix://"+etcdSocket, "--advertise-client-urls=unix://"+etcdSocket,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers); err != nil {
		return err
	}
	if err := c.startAPIServer(); err != nil {
		return err
	}
	if err := c.waitForAPIServer(ctx); err != nil {
		return err
	}
	admin := c.KubeconfigFile()
	common := []string{
		"--kubeconfig=" + admin, "--authentication-kubeconfig=" + admin, "--authorization-kubeconfig=" + admin,
		"--leader-elect=false", "--secure-port=0",
	}
	if _, err := c.spawn("kube-controller-manager", append(common,
		"--service-account-private-key-file="+c.pki.path("sa.key"), "--root-ca-file="+c.pki.path("ca.crt"),
		"--use-service-account-credentials=true", "--pvclaimbinder-sync-period=1s")...); err != nil {
		return err
	}
	_, err := c.spawn("kube-scheduler", common...)
	return err
}

func (c *Cluster) startAPIServer() (err error) {
	reconciler := "none"
	if !c.address.IsLoopback() {
		reconciler = "lease" // pods reach it through its service
	}
	c.api, err = c.spawn("kube-apiserver",
		"--etcd-servers=unix://"+filepath.Join(c.state.dir, etcdSocket), "--storage-media-type=application/vnd.kubernetes.protobuf",
		fmt.Sprintf("--secure-port=%d", c.port.number), "--permit-port-sharing=true",
		"--bind-address="+c.bindAddress().String(), "--advertise-address="+c.address.String(),
		"--endpoint-reconciler-type="+reconciler, "--service-cluster-ip-range="+serviceRange,
		"--client-ca-file="+c.pki.path("ca.crt"),
		"--tls-cert-file="+c.pki.path("apiserver.crt"), "--tls-private-key-file="+c.pki.path("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.pki.path("sa.pub"), "--service-account-signing-key-file="+c.pki.path("sa.key"),
		"--authorization-mode=Node,RBAC", "--allow-privileged=true",
		"--kubelet-client-certificate="+c.pki.path("apiserver.crt"), "--kubelet-client-key="+c.pki.path("apiserver.key"),
		"--kubelet-certificate-authority="+c.pki.path("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--shutdown-delay-duration=0s",
	)
	return err
}

// waitForAPIServer waits until the API server says that it is ready.
func (c *Cluster) waitForAPIServer(ctx context.Context) error {
	return c.waitFor(ctx, "the API server", func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		text, err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err == nil && string(text) == "ok", nil
	})
}

// RestartAPIServer ends the API server as a crash does, and starts it again. down
// is called in between and may be nil. Connections of everybody are cut.
func (c *Cluster) RestartAPIServer(ctx context.Context, down func()) error {
	c.end(c.api)
	if down != nil {
		down()
	}
	if err := c.startAPIServer(); err != nil {
		return err
	}
	return c.waitForAPIServer(ctx)
}

// waitForNamespace waits until pods can be made in a namespace: they need its
// default service account and the certificate that is mounted with it.
func (c *Cluster) waitForNamespace(ctx context.Context, name string) error {
	return c.waitFor(ctx, "the service account of namespace "+name, func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			_, err = c.client.CoreV1().ConfigMaps(name).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		}
		return err == nil, ignoreNotFound(err)
	})
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// waitFor waits for a condition while every process of the cluster lives.
func (c *Cluster) waitFor(ctx context.Context, what string, condition wait.ConditionWithContextFunc) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, poll, true, func(ctx context.Context) (bool, error) {
		for _, p := range c.running() {
			if p.ended() {
				return false, fmt.Errorf("%s has ended: %s", p.name, p.tail(5))
			}
		}
		done, err := condition(ctx)
		if err != nil {
			last = err
		}
		return done, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", what, errors.Join(err, last))
	}
	return nil
}

// Logs are the last lines of every component.
func (c *Cluster) Logs(lines int) string {
	var b strings.Builder
	for _, p := range c.running() {
		fmt.Fprintf(&b, "--- %s\n%s\n", p.name, p.tail(lines))
	}
	return b.String()
}
