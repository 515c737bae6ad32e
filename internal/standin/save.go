package standin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// wire is how property maps travel and how they are stored.
var wire = plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true, KeepResources: true, SkipNulls: false}

type savedCloud struct {
	Sequence int           `json:"sequence"`
	Objects  []savedObject `json:"objects"`
}

type savedObject struct {
	Provider  string          `json:"provider"`
	Type      string          `json:"type"`
	Scope     string          `json:"scope,omitempty"`
	ID        string          `json:"id"`
	CreatedBy string          `json:"createdBy,omitempty"`
	Order     int             `json:"order"`
	Inputs    json.RawMessage `json:"inputs"`
	Outputs   json.RawMessage `json:"outputs"`
}

// Snapshot returns what exists as JSON. It holds secrets in plain.
func (c *Cloud) Snapshot() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot()
}

func (c *Cloud) snapshot() ([]byte, error) {
	s := savedCloud{Sequence: c.sequence}
	for _, o := range c.sorted() {
		in, err := encodeProperties(o.inputs)
		if err != nil {
			return nil, fmt.Errorf("snapshot of %s: %w", o.key.ID, err)
		}
		out, err := encodeProperties(o.outputs)
		if err != nil {
			return nil, fmt.Errorf("snapshot of %s: %w", o.key.ID, err)
		}
		s.Objects = append(s.Objects, savedObject{
			Provider: o.provider, Type: o.key.Type, Scope: o.key.Scope, ID: o.key.ID,
			CreatedBy: o.createdBy, Order: o.order, Inputs: in, Outputs: out,
		})
	}
	return json.Marshal(s)
}

// Restore replaces what exists by what a Snapshot holds.
func (c *Cloud) Restore(data []byte) error {
	var s savedCloud
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("restore cloud: %w", err)
	}
	objects := map[objectKey]*object{}
	for _, so := range s.Objects {
		in, err := decodeProperties(so.Inputs)
		if err != nil {
			return fmt.Errorf("restore %s: %w", so.ID, err)
		}
		out, err := decodeProperties(so.Outputs)
		if err != nil {
			return fmt.Errorf("restore %s: %w", so.ID, err)
		}
		k := objectKey{Type: so.Type, Scope: so.Scope, ID: so.ID}
		objects[k] = &object{
			key: k, provider: so.Provider, inputs: in, outputs: out, createdBy: so.CreatedBy, order: so.Order,
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects, c.sequence = objects, s.Sequence
	return nil
}

// Save writes what exists to a file with mode 0600; it holds secrets in plain.
func (c *Cloud) Save(path string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.save(path)
}

func (c *Cloud) save(path string) error {
	data, err := c.snapshot()
	if err != nil {
		return err
	}
	// Written aside and renamed: a process killed in between leaves the old file.
	tmp, err := os.CreateTemp(filepath.Dir(path), ".cloud-*")
	if err != nil {
		return fmt.Errorf("save cloud: %w", err)
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("save cloud: %w", err)
	}
	return nil
}

// Load replaces what exists by what the file written by Save holds.
func (c *Cloud) Load(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("load cloud: %w", err)
	}
	return c.Restore(data)
}

func (c *Cloud) loadIfExists(path string) (bool, error) {
	err := c.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// persist writes the file of option File; the caller holds the lock.
func (c *Cloud) persist() error {
	if c.settings.file == "" {
		return nil
	}
	return c.save(c.settings.file)
}

func encodeProperties(m resource.PropertyMap) (json.RawMessage, error) {
	s, err := plugin.MarshalProperties(m, wire)
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(s)
}

func decodeProperties(raw json.RawMessage) (resource.PropertyMap, error) {
	s := &structpb.Struct{}
	if err := protojson.Unmarshal(raw, s); err != nil {
		return nil, err
	}
	return plugin.UnmarshalProperties(s, wire)
}
