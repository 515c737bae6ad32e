package kubetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// startLimit bounds every wait while a cluster starts. On two idle cores it is
// ready in 5 seconds; machines that run much else get time.
const startLimit = 3 * time.Minute

// Options say what a cluster holds. The zero value is a cluster without nodes.
type Options struct {
	// Nodes are pretended: pods are placed on them and reported as running, but
	// nothing runs. RealNode has one that runs them.
	Nodes []FakeNode
	// CRDs are custom resource definitions, as YAML, besides those of GKE and the
	// Prometheus operator that every cluster has.
	CRDs []string
}

// Cluster is a running Kubernetes. Its methods may be used by several tests at a
// time, but for those that say otherwise.
type Cluster struct {
	state      *state
	components string // the program of them all
	address    net.IP // of the API server, as pods reach it
	port       *port
	pki        *authority
	mu         sync.Mutex
	processes  []*process
	api        *process
	config     *rest.Config
	client     kubernetes.Interface
	dynamic    dynamic.Interface
	mapper     meta.ResettableRESTMapper
	storage    *provisioner
	kwok       struct {
		sync.Mutex
		started bool
	}
}

// Start starts a cluster, which is stopped and removed when the test ends. When
// the test failed, the end of every component's log is shown.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	requirePrograms(t)
	c, err := start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs(30))
		}
		require.NoError(t, c.stop())
	})
	return c
}

// start starts the control plane and everything in o.
func start(ctx context.Context, o Options) (*Cluster, error) {
	c, err := newCluster(net.IPv4(127, 0, 0, 1))
	if err != nil {
		return nil, err
	}
	if err := c.begin(ctx, o); err != nil {
		err = fmt.Errorf("%w\n%s", err, c.Logs(15))
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// begin starts what newCluster has prepared, and waits until it is ready.
func (c *Cluster) begin(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := c.startControlPlane(ctx); err != nil {
		return err
	}
	if err := c.install(ctx, o.CRDs); err != nil {
		return fmt.Errorf("installing definitions: %w", err)
	}
	if err := c.startStorage(ctx); err != nil {
		return fmt.Errorf("starting the storage: %w", err)
	}
	if err := c.startNodes(ctx, o.Nodes); err != nil {
		return fmt.Errorf("starting the nodes: %w", err)
	}
	return c.waitForNamespace(ctx, "default")
}

// newCluster makes the folder, the certificates and the kubeconfig of a cluster
// whose API server has an address.
func newCluster(address net.IP) (_ *Cluster, err error) {
	components, err := program(componentsProgram)
	if err != nil {
		return nil, err
	}
	s, err := newState()
	if err != nil {
		return nil, err
	}
	c := &Cluster{state: s, components: components, address: address}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if c.port, err = reservePort(c.bindAddress()); err != nil {
		return nil, err
	}
	if err := c.certificates(); err != nil {
		return nil, fmt.Errorf("making certificates: %w", err)
	}
	return c, c.connect()
}

// bindAddress is where the API server listens: pods reach it only if it listens
// everywhere.
func (c *Cluster) bindAddress() net.IP {
	if c.address.IsLoopback() {
		return c.address
	}
	return net.IPv4zero
}

// connect writes the kubeconfig files and makes the clients.
func (c *Cluster) connect() error {
	for _, user := range []string{adminUser, nodeUser} {
		text, err := c.kubeconfig(user)
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.kubeconfigFile(user), text, 0o600); err != nil {
			return err
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.KubeconfigFile())
	if err != nil {
		return err
	}
	config.QPS = -1 // tests need not be polite
	c.config = config
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.client.Discovery()))
	return nil
}

// kubeconfig is the configuration of a user, with the certificates in it.
func (c *Cluster) kubeconfig(user string) ([]byte, error) {
	read := func(name string) []byte {
		text, err := os.ReadFile(c.pki.path(name))
		if err != nil {
			panic(err) // certificates has just written it
		}
		return text
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["kubetest"] = &clientcmdapi.Cluster{
		Server: fmt.Sprintf("https://127.0.0.1:%d", c.port.number), CertificateAuthorityData: read("ca.crt"),
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{
		ClientCertificateData: read(user + ".crt"), ClientKeyData: read(user + ".key"),
	}
	config.Contexts["kubetest"] = &clientcmdapi.Context{Cluster: "kubetest", AuthInfo: user}
	config.CurrentContext = "kubetest"
	return clientcmd.Write(*config)
}

func (c *Cluster) kubeconfigFile(user string) string {
	return filepath.Join(c.state.dir, user+".kubeconfig")
}

// KubeconfigFile is the path of the administrator's kubeconfig.
func (c *Cluster) KubeconfigFile() string { return c.kubeconfigFile(adminUser) }

// Kubeconfig is the administrator's kubeconfig, complete in itself.
func (c *Cluster) Kubeconfig() []byte {
	text, err := c.kubeconfig(adminUser)
	if err != nil {
		panic(err) // connect has written the same
	}
	return text
}

// Config is the administrator's access, for clients of the caller's own.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Client is a typed client without a limit of requests.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// Dynamic is a client for objects of any kind.
func (c *Cluster) Dynamic() dynamic.Interface { return c.dynamic }

// Dir is a folder that is removed with the cluster.
func (c *Cluster) Dir() string { return c.state.dir }

// stop ends every process and removes every file.
func (c *Cluster) stop() error {
	c.halt()
	return c.state.remove()
}

// halt ends every process.
func (c *Cluster) halt() {
	if c.storage != nil {
		c.storage.stop()
	}
	// The last that was started first: nothing then looks for what has gone.
	for _, p := range slices.Backward(c.running()) {
		p.kill()
	}
	if c.port != nil {
		c.port.release()
	}
}
