// Package workloads tests that what the components register really runs: the very
// objects, on a real Kubernetes with a real node, with the real image of
// deepgram-ops. Where a cloud is missing, a test replaces one field and says which.
package workloads

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/images"
	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
)

func TestMain(m *testing.M) {
	// Tests wait, for minutes and for pods, more than they work.
	flag.Parse()
	if err := flag.Set("test.parallel", "5"); err != nil {
		panic(err)
	}
	kubetest.Main(m)
}

const (
	opsImage     = "registry.acme.example/deepgram/deepgram-ops:v1"
	billingImage = "quay.io/deepgram/self-hosted-billing:release-250331"
	// hostAddress is where pods reach this process.
	hostAddress = "10.245.0.2"
)

// node is the real node with the images that the objects here name; that of
// deepgram-ops is the one that `images publish` makes.
func node(t *testing.T) *kubetest.Node {
	t.Helper()
	n := kubetest.RealNode(t)
	n.Image(t, billingImage, "./tests/kubernetes/images/billing", "./tests/kubernetes/images/tar")
	image, err := images.Build(images.PublishOptions{Binary: opsProgram(t), Target: opsImage, Version: "test"})
	require.NoError(t, err)
	n.Give(t, opsImage, image)
	return n
}

// opsProgram is deepgram-ops, built for an image.
func opsProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "deepgram-ops")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", program, "./cmd/deepgram-ops")
	build.Dir, build.Env = enginetest.Root(), append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// recorder keeps the Kubernetes objects that a program registers.
type recorder struct {
	mu      sync.Mutex
	objects map[string]*unstructured.Unstructured
}

func (r *recorder) NewResource(a pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if strings.HasPrefix(a.TypeToken, "kubernetes:") {
		// Through JSON, as the provider sends it to the API server.
		text, err := json.Marshal(revealed(resource.NewObjectProperty(a.Inputs)))
		if err != nil {
			return "", nil, err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(text); err != nil {
			return "", nil, err
		}
		r.objects[a.Name] = object
	}
	return a.Name + "-id", a.Inputs, nil
}

func (r *recorder) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return resource.PropertyMap{"number": resource.NewStringProperty("1234567890")}, nil
}

// revealed is a value without the marks of secrets.
func revealed(v resource.PropertyValue) any {
	switch {
	case v.IsSecret():
		return revealed(v.SecretValue().Element)
	case v.IsOutput():
		return revealed(v.OutputValue().Element)
	case v.IsObject():
		m := map[string]any{}
		for key, value := range v.ObjectValue() {
			m[string(key)] = revealed(value)
		}
		return m
	case v.IsArray():
		list := []any{}
		for _, value := range v.ArrayValue() {
			list = append(list, revealed(value))
		}
		return list
	}
	return v.V
}

// register runs a program of components and returns the objects that it
// registers, by their names in the program.
func register(t *testing.T, program pulumi.RunFunc) map[string]*unstructured.Unstructured {
	t.Helper()
	r := &recorder{objects: map[string]*unstructured.Unstructured{}}
	require.NoError(t, pulumi.RunErr(program, pulumi.WithMocks("deepgram", "test", r)))
	return r.objects
}

// create creates objects, in the order of their names.
func create(t *testing.T, n *kubetest.Node, objects map[string]*unstructured.Unstructured) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		require.NoError(t, n.Create(t.Context(), objects[name]), name)
	}
}

// set changes one field of an object.
func set(t *testing.T, object *unstructured.Unstructured, value any, path ...string) {
	t.Helper()
	_, found, err := unstructured.NestedFieldNoCopy(object.Object, path...)
	require.NoError(t, err)
	require.True(t, found, "%v: to replace a field it must be there", path)
	require.NoError(t, unstructured.SetNestedField(object.Object, value, path...))
}
