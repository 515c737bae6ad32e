package standin

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Cloud is what exists in the pretended world. It outlives the engine runs that
// change it, and it is safe for concurrent use.
type Cloud struct {
	mu       sync.Mutex
	objects  map[objectKey]*object
	gone     map[objectKey]int // how many have been there before
	sequence int               // order of creation; also feeds numbers that the cloud gives out
	settings settings

	faults []*armedFault
	calls  []Call
}

type settings struct {
	project       string
	projectNumber string
	region        string
	zone          string
	latency       time.Duration
	file          string
	secrets       map[string]string
	bare          bool
	namespaces    []string
}

// Option changes how a Cloud begins.
type Option func(*settings)

// Project sets the project that is used where neither the provider nor the
// resource names one, and its number. Default: "rehearsal", "100000000001".
func Project(id, number string) Option {
	return func(s *settings) { s.project, s.projectNumber = id, number }
}

// Location sets the region and zone used where neither the provider nor the
// resource names one. Default: "us-central1", "us-central1-a".
func Location(region, zone string) Option {
	return func(s *settings) { s.region, s.zone = region, zone }
}

// Latency makes every call that changes something take this long. Default: 0.
func Latency(d time.Duration) Option { return func(s *settings) { s.latency = d } }

// File keeps the cloud in a file: it is read by NewCloud where it exists and
// written after every change, so that the cloud survives a killed process. The
// file holds secrets in plain and is written with mode 0600.
func File(path string) Option { return func(s *settings) { s.file = path } }

// SecretValue makes a version of a Secret Manager secret readable by functions.
// The name is "projects/P/secrets/S/versions/V" (V may be "latest").
func SecretValue(name, value string) Option {
	return func(s *settings) { s.secrets[name] = value }
}

// Namespaces are there in every cluster, as if somebody had installed what uses
// them, such as Velero.
func Namespaces(names ...string) Option {
	return func(s *settings) { s.namespaces = append(s.namespaces, names...) }
}

// Bare leaves out what a new project has: network and subnetworks "default".
func Bare() Option { return func(s *settings) { s.bare = true } }

// NewCloud makes a cloud that holds one project with the network "default" in
// automatic mode. With File, what the file holds is added; a file that cannot
// be read makes NewCloud panic, use Load to get an error instead.
func NewCloud(opts ...Option) *Cloud {
	c := &Cloud{
		objects: map[objectKey]*object{}, gone: map[objectKey]int{},
		settings: settings{
			project: "rehearsal", projectNumber: "100000000001",
			region: "us-central1", zone: "us-central1-a",
			secrets: map[string]string{},
		},
	}
	for _, o := range opts {
		o(&c.settings)
	}
	if c.settings.file != "" {
		found, err := c.loadIfExists(c.settings.file)
		if err != nil {
			panic(err)
		}
		if found {
			return c
		}
	}
	if !c.settings.bare {
		c.seedProject(c.settings.project)
	}
	return c
}

// objectKey tells one thing of the world from all others. Scope is the cluster
// for Kubernetes objects and empty otherwise.
type objectKey struct {
	Type, Scope, ID string
}

// object is one thing that exists. Inputs and outputs may hold secrets.
type object struct {
	key       objectKey
	provider  string
	inputs    resource.PropertyMap
	outputs   resource.PropertyMap
	createdBy string
	order     int
}

// Object is one thing that exists in the pretended world.
type Object struct {
	// Provider is "gcp", "kubernetes" or "command"; Type is the Pulumi type.
	Provider, Type string
	// ID is the identifier as the real provider would give it.
	ID string
	// Cluster is the id of the cluster that holds a Kubernetes object.
	Cluster string
	// CloudName is the last part of the ID.
	CloudName string
	// Inputs and Outputs are copies; secrets are in them as secret values.
	Inputs, Outputs resource.PropertyMap
	// CreatedBy is the URN that created it; empty for what was there before.
	CreatedBy string
}

// Objects returns what exists, in the order of creation.
func (c *Cloud) Objects() []Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Object
	for _, o := range c.sorted() {
		out = append(out, Object{
			Provider: o.provider, Type: o.key.Type, ID: o.key.ID, Cluster: o.key.Scope,
			CloudName: lastPart(o.key.ID), Inputs: o.inputs.Copy(), Outputs: o.outputs.Copy(), CreatedBy: o.createdBy,
		})
	}
	return out
}

// Object returns the thing with this type and id.
func (c *Cloud) Object(typ, id string) (Object, bool) {
	for _, o := range c.Objects() {
		if o.Type == typ && o.ID == id {
			return o, true
		}
	}
	return Object{}, false
}

// Mutate changes the outputs of everything with this id, as if somebody had
// done it by hand in the cloud: a refresh then finds drift.
func (c *Cloud) Mutate(id string, change func(outputs resource.PropertyMap)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := false
	for _, o := range c.objects {
		if o.key.ID == id {
			o.outputs = deepCopy(o.outputs)
			change(o.outputs)
			found = true
		}
	}
	if !found {
		return fmt.Errorf("mutate %q: nothing with this id exists", id)
	}
	return c.persist()
}

// Remove deletes everything with this id without any check, as if somebody had
// done it by hand.
func (c *Cloud) Remove(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := false
	for k := range c.objects {
		if k.ID == id {
			c.drop(k)
			found = true
		}
	}
	if !found {
		return fmt.Errorf("remove %q: nothing with this id exists", id)
	}
	return c.persist()
}

// Seed puts a thing of the gcp provider into the world as if it had been made
// there by hand, and returns its id. Inputs are those of the Pulumi resource;
// no rule of the cloud but the uniqueness of names is applied.
func (c *Cloud) Seed(typ string, inputs map[string]any) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := &gcp{cloud: c}
	in := resource.NewPropertyMapFromMap(inputs)
	e := g.environment(nil)
	id, out, err := g.build(e, typ, in, false)
	if err != nil {
		return "", fmt.Errorf("seed %s: %w", typ, err)
	}
	key := objectKey{Type: typ, ID: id}
	if _, exists := c.objects[key]; exists {
		return "", fmt.Errorf("seed %s: %q exists already", typ, id)
	}
	c.put(&object{key: key, provider: "gcp", inputs: in, outputs: out})
	return id, c.persist()
}

// PutBucketObject puts an object into a bucket, so that the bucket is not empty.
func (c *Cloud) PutBucketObject(bucket, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects[objectKey{Type: typeBucket, ID: bucket}] == nil {
		return fmt.Errorf("put object %q: no bucket %q exists", name, bucket)
	}
	c.put(&object{key: objectKey{Type: typeBucketObject, ID: bucket + "/" + name}, provider: "gcp"})
	return c.persist()
}

func (c *Cloud) seedProject(project string) {
	g := &gcp{cloud: c}
	e := g.environment(nil)
	e.project = project
	add := func(typ string, in map[string]any) {
		m := resource.NewPropertyMapFromMap(in)
		id, out, err := g.build(e, typ, m, false)
		if err != nil {
			panic(err) // the inputs are constants of this package
		}
		c.put(&object{key: objectKey{Type: typ, ID: id}, provider: "gcp", inputs: m, outputs: out})
	}
	add(typeNetwork, map[string]any{"name": "default", "autoCreateSubnetworks": true})
	for region, cidr := range autoModeRanges {
		add(typeSubnetwork, map[string]any{
			"name": "default", "network": "default", "region": region, "ipCidrRange": cidr, "privateIpGoogleAccess": false,
		})
	}
}

// put stores an object; the caller holds the lock.
func (c *Cloud) put(o *object) {
	if old, ok := c.objects[o.key]; ok {
		o.order = old.order
		if o.createdBy == "" {
			o.createdBy = old.createdBy
		}
	} else {
		c.sequence++
		o.order = c.sequence
	}
	c.objects[o.key] = o
}

// drop removes an object; the caller holds the lock.
func (c *Cloud) drop(key objectKey) {
	if c.objects[key] != nil {
		delete(c.objects, key)
		c.gone[key]++
	}
}

// sorted returns all objects in order of creation; the caller holds the lock.
func (c *Cloud) sorted() []*object {
	all := slices.Collect(maps.Values(c.objects))
	sort.Slice(all, func(i, j int) bool { return all[i].order < all[j].order })
	return all
}

// ofType returns the objects of a type; the caller holds the lock.
func (c *Cloud) ofType(typ string) []*object {
	return slices.DeleteFunc(c.sorted(), func(o *object) bool { return o.key.Type != typ })
}
