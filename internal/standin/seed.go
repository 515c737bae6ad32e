package standin

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// SeedKubernetes puts an object, or a Helm release, into a cluster as if it had
// been made there by hand, and returns its id. cluster is the cluster's id; inputs
// are those of the Pulumi resource. No rule but the uniqueness of names is applied.
func (c *Cloud) SeedKubernetes(cluster, typ string, inputs map[string]any) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects[objectKey{Type: typeCluster, ID: cluster}] == nil {
		return "", fmt.Errorf("seed %s: no cluster %q exists", typ, cluster)
	}
	p := &kubernetes{cloud: c}
	r := &request{typ: typ, news: resource.NewPropertyMapFromMap(inputs)}
	var id string
	var out props
	if typ == typeRelease {
		id, out = stringAt(r.news, "namespace")+"/"+stringAt(r.news, "name"), p.releaseOutputs(r, 1)
	} else {
		id, out = objectID(r.news), p.outputs(r, nil)
	}
	key := objectKey{Type: typ, Scope: cluster, ID: id}
	if _, exists := c.objects[key]; exists {
		return "", fmt.Errorf("seed %s: %q exists already", typ, id)
	}
	c.put(&object{key: key, provider: p.name(), inputs: r.news, outputs: out})
	return id, c.persist()
}
