package kubetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
)

// Decode reads the objects of a YAML or JSON text.
func Decode(text string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewBufferString(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading objects: %w", err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// resource is where the API server keeps objects of this one's kind.
func (c *Cluster) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset() // a definition may have been added since
		mapping, err = c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = "default"
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

// Check asks the API server whether it would create an object, and creates
// nothing. An unknown or doubled field is an error.
func (c *Cluster) Check(ctx context.Context, object *unstructured.Unstructured) error {
	return c.create(ctx, object, metav1.DryRunAll)
}

// Create creates an object. An unknown or doubled field is an error.
func (c *Cluster) Create(ctx context.Context, object *unstructured.Unstructured) error {
	return c.create(ctx, object)
}

func (c *Cluster) create(ctx context.Context, object *unstructured.Unstructured, dryRun ...string) error {
	resource, err := c.resource(object)
	if err == nil {
		_, err = resource.Create(ctx, object, metav1.CreateOptions{
			DryRun: dryRun, FieldValidation: metav1.FieldValidationStrict,
		})
	}
	if err != nil {
		return fmt.Errorf("%s %s/%s: %w", object.GetKind(), object.GetNamespace(), object.GetName(), err)
	}
	return nil
}

// Apply creates or changes the objects of a YAML text, in its order.
func (c *Cluster) Apply(ctx context.Context, text string) error {
	objects, err := Decode(text)
	if err != nil {
		return err
	}
	for _, object := range objects {
		resource, err := c.resource(object)
		if err == nil {
			_, err = resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: "kubetest", Force: true})
		}
		if err != nil {
			return fmt.Errorf("applying %s %s/%s: %w", object.GetKind(), object.GetNamespace(), object.GetName(), err)
		}
	}
	return nil
}

// Namespace makes a namespace of a name of its own, ready for pods. It is deleted
// when the test ends, without waiting for it.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	created, err := c.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if t.Failed() {
			t.Log(c.Describe(ctx, created.Name))
		}
		now := int64(0)
		_ = c.client.CoreV1().Namespaces().Delete(ctx, created.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	})
	require.NoError(t, c.waitForNamespace(t.Context(), created.Name))
	return created.Name
}

// Describe tells how the pods of a namespace are and what happened there.
func (c *Cluster) Describe(ctx context.Context, namespace string) string {
	var out bytes.Buffer
	for _, args := range [][]string{
		{"get", "pods,pvc,jobs,statefulsets", "-o", "wide"},
		{"get", "events", "--sort-by=.lastTimestamp"},
	} {
		command := c.KubectlCommand(ctx, append([]string{"-n", namespace}, args...)...)
		command.Stdout, command.Stderr = &out, &out
		if err := command.Run(); err != nil {
			fmt.Fprintln(&out, err)
		}
	}
	return out.String()
}

// KubectlCommand is kubectl on this cluster, ready to run. It ends with ctx.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, c.components, args...)
	command.Args[0] = "kubectl"
	command.Dir = c.state.dir
	// Its cache of what the API server knows would go into the user's home.
	command.Env = append(os.Environ(), "KUBECONFIG="+c.KubeconfigFile(), "KUBECACHEDIR="+c.state.dir+"/kubectl")
	return command
}

// Kubectl runs kubectl on this cluster; it must succeed. The result is what it
// wrote to standard output.
func (c *Cluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	command := c.KubectlCommand(t.Context(), args...)
	command.Stdout, command.Stderr = &out, &errs
	require.NoError(t, command.Run(), "kubectl %v: %s", args, &errs)
	return out.String()
}

// Eventually waits until a condition holds, at most three minutes. An error of
// the condition is shown when it never did.
func (c *Cluster) Eventually(t testing.TB, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	require.NoError(t, c.waitFor(ctx, what, condition))
}

// PodReady waits until a pod is ready to serve.
func (c *Cluster) PodReady(t testing.TB, namespace, name string) *corev1.Pod {
	t.Helper()
	var found *corev1.Pod
	c.Eventually(t, "pod "+namespace+"/"+name, func(ctx context.Context) (bool, error) {
		pod, err := c.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		found = pod
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady {
				return condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil, nil
			}
		}
		return false, nil
	})
	return found
}
