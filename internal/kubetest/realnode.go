package kubetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
)

// Node is a cluster whose first node, RealNodeName, runs pods for real. It has
// the label k8s.deepgram.com/node-type=billing. Fake nodes may be added.
//
// Images come from the tests: nothing is pulled, and there is no DNS in the pods.
type Node struct {
	*Cluster
	images images
}

// nodeAddress is the node's own; pods get theirs from podRange.
var nodeAddress = net.IPv4(10, 245, 0, 2)

const (
	podRange   = "10.244.0.0/24"
	socketPath = "/run/containerd/containerd.sock"
)

// realNode is the one of this process: a machine has room for one.
var realNode struct {
	sync.Mutex
	node *Node
	err  error
}

// RealNode is the cluster with the real node that all tests of a package share:
// the first that asks starts it, and it is stopped after the last. A test that
// cannot have it skips, and on CI it fails. Work in a namespace of your own, see
// [Cluster.Namespace].
func RealNode(t testing.TB) *Node {
	t.Helper()
	RequireRealNode(t)
	realNode.Lock()
	defer realNode.Unlock()
	if realNode.node == nil && realNode.err == nil {
		realNode.node, realNode.err = startRealNode(t.Context())
	}
	require.NoError(t, realNode.err)
	node := realNode.node
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(node.Logs(20))
		}
	})
	return node
}

// RequireRealNode skips a test that cannot have a real node, without starting it;
// on CI it fails.
func RequireRealNode(t testing.TB) {
	t.Helper()
	requirePrograms(t)
	if unable != "" {
		enginetest.Missing(t, unable)
	}
}

// haltRealNode ends the node's own processes. Its pods end with the namespaces, and
// only then can its files be removed: see isolate.
func haltRealNode() {
	realNode.Lock()
	defer realNode.Unlock()
	if realNode.node != nil {
		realNode.node.halt()
	}
}

func startRealNode(ctx context.Context) (*Node, error) {
	if err := nodeNetwork(); err != nil {
		return nil, err
	}
	if err := privateSettings(); err != nil {
		return nil, err
	}
	c, err := newCluster(nodeAddress)
	if err != nil {
		return nil, err
	}
	n := &Node{Cluster: c}
	if err := n.begin(ctx); err != nil {
		err = fmt.Errorf("%w\n%s", err, c.Logs(15))
		c.halt()
		return nil, err
	}
	return n, nil
}

func (n *Node) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := n.startRuntime(); err != nil {
		return err
	}
	if err := n.Cluster.begin(ctx, Options{}); err != nil {
		return err
	}
	if err := n.images.load(ctx, n.Cluster, "./internal/kubetest/pause", pauseImage); err != nil {
		return err
	}
	if err := n.startKubelet(ctx); err != nil {
		return err
	}
	labels := `{"metadata": {"labels": {"k8s.deepgram.com/node-type": "billing", "topology.kubernetes.io/zone": "us-central1-a"}}}`
	_, err := n.client.CoreV1().Nodes().Patch(ctx, RealNodeName, types.MergePatchType, []byte(labels), metav1.PatchOptions{})
	return err
}

// nodeNetwork gives the node an address that is not loopback. Both ends of the
// cable stay here; not every kernel has a dummy device.
func nodeNetwork() error {
	var errs []error
	for _, line := range []string{
		"link add eth0 type veth peer name eth0p",
		"link set eth0p up",
		"addr add 10.245.0.2/24 dev eth0",
		"link set eth0 up",
		"route add default via 10.245.0.1 dev eth0",
	} {
		errs = append(errs, ip(line))
	}
	errs = append(errs, os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644))
	return errors.Join(errs...)
}

// privateSettings puts copies over the kernel's settings that the kubelet wants to
// change: they are those of the whole machine.
func privateSettings() error {
	dir := "/run/settings"
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
	} {
		setting := "/proc/sys/" + name
		value, err := os.ReadFile(setting)
		if err != nil {
			return err
		}
		private := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
		if err := os.WriteFile(private, value, 0o644); err != nil {
			return err
		}
		if err := bind(private, setting); err != nil {
			return err
		}
	}
	return nil
}

// startRuntime starts containerd.
func (n *Node) startRuntime() error {
	network := filepath.Join(n.state.dir, "cni")
	if err := os.Mkdir(network, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(network, "10-kubetest.conflist"), []byte(networkConfig), 0o600); err != nil {
		return err
	}
	config := filepath.Join(n.state.dir, "containerd.toml")
	text := fmt.Sprintf(runtimeConfig, filepath.Join(n.state.dir, "containerd"), socketPath, pauseImage, cniPlugins, network)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	path, err := exec.LookPath("containerd")
	if err != nil {
		return err
	}
	_, err = n.spawnProgram("containerd", path, "--config="+config)
	return err
}

// runtimeConfig: without CAP_SYS_RESOURCE no process may be made safer from the
// kernel's want of memory than it is.
const runtimeConfig = `version = 2
root = %q
state = "/run/containerd"
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`

const networkConfig = `{"cniVersion": "0.4.0", "name": "kubetest", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "` + podRange + `"}]],
           "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
`

// startKubelet starts the kubelet and the proxy of services, and waits until the
// node takes pods.
func (n *Node) startKubelet(ctx context.Context) error {
	config := filepath.Join(n.state.dir, "kubelet.yaml")
	text := fmt.Sprintf(kubeletConfig, n.pki.path("ca.crt"), n.pki.path(nodeUser+".crt"), n.pki.path(nodeUser+".key"),
		socketPath, filepath.Join(n.state.dir, "podlogs"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	// Its sockets lie deep in its folder, which therefore needs a short name too.
	const short = "/run/kubelet"
	long := filepath.Join(n.state.dir, "kubelet")
	if err := errors.Join(os.Mkdir(long, 0o755), os.Mkdir(short, 0o755)); err != nil {
		return err
	}
	if err := bind(long, short); err != nil {
		return err
	}
	if _, err := n.spawn("kubelet", "--config="+config, "--kubeconfig="+n.kubeconfigFile(nodeUser),
		"--root-dir="+short, "--hostname-override="+RealNodeName,
		"--node-ip="+nodeAddress.String()); err != nil {
		return err
	}
	// Settings of connection tracking belong to the whole machine: 0 leaves them.
	if _, err := n.spawn("kube-proxy", "--kubeconfig="+n.KubeconfigFile(), "--hostname-override="+RealNodeName,
		"--proxy-mode=iptables", "--cluster-cidr="+podRange, "--conntrack-max-per-core=0",
		"--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"); err != nil {
		return err
	}
	return n.waitForNode(ctx, RealNodeName)
}

// kubeletConfig: disks are as full as the machine's are, which is no reason to
// evict pods.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: %q}}
authorization: {mode: AlwaysAllow}
tlsCertFile: %q
tlsPrivateKeyFile: %q
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://%s
resolvConf: ""
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%"}
enforceNodeAllocatable: []
podLogsDir: %q
syncFrequency: 5s
nodeStatusUpdateFrequency: 5s
`

// Pods lists the pods of a namespace, in the order of their names.
func (n *Node) Pods(ctx context.Context, namespace string) ([]corev1.Pod, error) {
	list, err := n.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, nil
}
