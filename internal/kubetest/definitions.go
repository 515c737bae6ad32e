package kubetest

import (
	"context"
	"embed"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// definitions are the kinds that GKE and the Prometheus operator add and this
// project uses: the fields that matter here, with their types, limits and what is
// required. A field that is not listed is refused as unknown.
//
//go:embed crds/*.yaml
var definitions embed.FS

var definitionResource = schema.GroupVersionResource{
	Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
}

// install adds the definitions and those that the caller gives, and waits until
// the API server serves them.
func (c *Cluster) install(ctx context.Context, more []string) error {
	entries, err := definitions.ReadDir("crds")
	if err != nil {
		return err
	}
	var texts []string
	for _, entry := range entries {
		text, err := definitions.ReadFile("crds/" + entry.Name())
		if err != nil {
			return err
		}
		texts = append(texts, string(text))
	}
	var names []string
	for _, text := range append(texts, more...) {
		objects, err := Decode(text)
		if err != nil {
			return err
		}
		for _, object := range objects {
			if object.GetKind() != "CustomResourceDefinition" {
				return fmt.Errorf("%s %s is no CustomResourceDefinition", object.GetKind(), object.GetName())
			}
			if err := c.Create(ctx, object); err != nil {
				return err
			}
			names = append(names, object.GetName())
		}
	}
	return c.waitFor(ctx, "definitions "+strings.Join(names, ", "), func(ctx context.Context) (bool, error) {
		return c.established(ctx, names)
	})
}

func (c *Cluster) established(ctx context.Context, names []string) (bool, error) {
	for _, name := range names {
		object, err := c.dynamic.Resource(definitionResource).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if !isTrue(object, "Established") {
			return false, nil
		}
	}
	return true, nil
}

// isTrue tells whether an object has a condition that is true.
func isTrue(object *unstructured.Unstructured, condition string) bool {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == condition {
			return m["status"] == "True"
		}
	}
	return false
}
