package kubetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FakeNode is a node on which pods run in name only.
type FakeNode struct {
	// Name is the node's name. Required.
	Name string
	// Labels are added to those that GKE gives every node.
	Labels map[string]string
	// Taints keep away pods that do not tolerate them. With GPUs the taint that
	// GKE gives such nodes is added.
	Taints []corev1.Taint
	// CPU is the number of cores; 0 means 32.
	CPU int
	// MemoryGiB is the memory that pods may ask for; 0 means 256.
	MemoryGiB int
	// GPUs is how many nvidia.com/gpu the node has.
	GPUs int
	// Zone is the node's zone; empty means us-central1-a.
	Zone string
}

// fakeLabel marks the nodes that kwok looks after.
const fakeLabel = "kubetest/node"

// gpuResource is how pods ask for GPUs.
const gpuResource = "nvidia.com/gpu"

func (n FakeNode) object() (*corev1.Node, error) {
	if n.Name == "" {
		return nil, errors.New("a node needs a name")
	}
	or := func(value, other int) string {
		if value == 0 {
			value = other
		}
		return strconv.Itoa(value)
	}
	zone := n.Zone
	if zone == "" {
		zone = "us-central1-a"
	}
	labels := map[string]string{
		corev1.LabelHostname: n.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		corev1.LabelTopologyZone: zone, corev1.LabelTopologyRegion: zone[:max(0, len(zone)-2)],
		fakeLabel: "fake",
	}
	maps.Copy(labels, n.Labels)
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse(or(n.CPU, 32)),
		corev1.ResourceMemory:           resource.MustParse(or(n.MemoryGiB, 256) + "Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("500Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
	taints := n.Taints
	if n.GPUs > 0 {
		capacity[gpuResource] = resource.MustParse(strconv.Itoa(n.GPUs))
		taints = append(taints, corev1.Taint{Key: gpuResource, Value: "present", Effect: corev1.TaintEffectNoSchedule})
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: labels},
		Spec:       corev1.NodeSpec{Taints: taints},
		Status:     corev1.NodeStatus{Capacity: capacity, Allocatable: capacity},
	}, nil
}

// kwokConfig limits kwok to its own nodes. It offers no exec and no logs: they
// would run on this machine and prove nothing.
const kwokConfig = `apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options:
  manageAllNodes: false
  manageNodesWithLabelSelector: ` + fakeLabel + `=fake
  nodeLeaseDurationSeconds: 40
  nodePort: 0
`

func (c *Cluster) startNodes(ctx context.Context, nodes []FakeNode) error {
	for _, node := range nodes {
		if err := c.createNode(ctx, node); err != nil {
			return err
		}
	}
	for _, node := range nodes {
		if err := c.waitForNode(ctx, node.Name); err != nil {
			return err
		}
	}
	return nil
}

// AddNode adds a pretended node and waits until it takes pods.
func (c *Cluster) AddNode(ctx context.Context, node FakeNode) error {
	return c.startNodes(ctx, []FakeNode{node})
}

func (c *Cluster) createNode(ctx context.Context, node FakeNode) error {
	object, err := node.object()
	if err != nil {
		return err
	}
	if err := c.startKwok(); err != nil {
		return err
	}
	if _, err := c.client.CoreV1().Nodes().Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("adding node %s: %w", node.Name, err)
	}
	return nil
}

// startKwok starts what looks after the pretended nodes, once.
func (c *Cluster) startKwok() error {
	c.kwok.Lock()
	defer c.kwok.Unlock()
	if c.kwok.started {
		return nil
	}
	if err := os.WriteFile(filepath.Join(c.state.dir, "kwok.yaml"), []byte(kwokConfig), 0o600); err != nil {
		return err
	}
	path, err := program(kwokProgram)
	if err != nil {
		return err
	}
	_, err = c.spawnProgram("kwok", path, "--kubeconfig="+c.KubeconfigFile(), "--config=kwok.yaml",
		"--node-ip="+c.address.String(), "--node-port=0")
	c.kwok.started = err == nil
	return err
}

func (c *Cluster) waitForNode(ctx context.Context, name string) error {
	return c.waitFor(ctx, "node "+name, func(ctx context.Context) (bool, error) {
		node, err := c.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, ignoreNotFound(err)
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				return condition.Status == corev1.ConditionTrue && !tainted(node), nil
			}
		}
		return false, nil
	})
}

// tainted tells whether pods are still kept away because the node was not ready.
func tainted(node *corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady {
			return true
		}
	}
	return false
}
