package rehearsal

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"sigs.k8s.io/yaml"
)

// hidden is what is shown in place of a secret.
const hidden = "[secret]"

// The engine marks special values in a state with this key.
const (
	signatureKey    = "4dabf18193072939515e22adb298388d"
	secretSignature = "1b47061264138c4ac30d75fd1eb44270"
)

// Resource is one resource of the state, secrets shown as "[secret]".
type Resource struct {
	URN     string         `json:"urn"`
	Type    string         `json:"type"`
	Name    string         `json:"name"`
	Parent  string         `json:"parent"`
	Inputs  map[string]any `json:"inputs"`
	Outputs map[string]any `json:"outputs"`

	custom, protect, retain bool
	id                      string
	// shaped are the inputs with every secret's shape kept, for files that others
	// read.
	shaped map[string]any
}

// Import replaces the stack's state by one that Export gave.
func (s *Session) Import(ctx context.Context, deployment []byte) error {
	state, err := s.stack.Export(ctx)
	if err != nil {
		return fmt.Errorf("reading the state: %s", s.redact(err.Error()))
	}
	// Its secrets are encrypted by this stack's passphrase from here on.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(deployment, &fields); err != nil {
		return err
	}
	var own map[string]json.RawMessage
	if err := json.Unmarshal(state.Deployment, &own); err != nil {
		return err
	}
	fields["secrets_providers"] = own["secrets_providers"]
	if state.Deployment, err = json.Marshal(fields); err != nil {
		return err
	}
	if err := s.stack.Import(ctx, state); err != nil {
		return fmt.Errorf("writing the state: %s", s.redact(err.Error()))
	}
	return nil
}

// readState turns an exported state into resources. Its secrets are in plain
// there; none leaves this function.
func readState(state apitype.UntypedDeployment) ([]Resource, map[string]any, error) {
	var deployment apitype.DeploymentV3
	if err := json.Unmarshal(state.Deployment, &deployment); err != nil {
		return nil, nil, fmt.Errorf("reading the state: %w", err)
	}
	outputs := map[string]any{}
	resources := make([]Resource, 0, len(deployment.Resources))
	for _, r := range deployment.Resources {
		shown := Resource{
			URN: string(r.URN), Type: string(r.Type), Name: r.URN.Name(), Parent: string(r.Parent),
			Inputs: maskMap(r.Inputs, conceal), Outputs: maskMap(r.Outputs, conceal), shaped: maskMap(r.Inputs, hide),
			custom: r.Custom, protect: r.Protect, retain: r.RetainOnDelete, id: string(r.ID),
		}
		if r.Type == "pulumi:pulumi:Stack" {
			outputs = shown.Outputs
		}
		resources = append(resources, shown)
	}
	return resources, outputs, nil
}

// conceal shows nothing of a secret but that there is one.
func conceal(any) any { return hidden }

func maskMap(m map[string]any, secret func(any) any) map[string]any {
	masked := make(map[string]any, len(m))
	for k, v := range m {
		masked[k] = mask(v, secret)
	}
	return masked
}

// mask replaces every secret in a value of the state by what secret makes of it.
func mask(value any, secret func(any) any) any {
	switch v := value.(type) {
	case map[string]any:
		if v[signatureKey] == secretSignature {
			plaintext, _ := v["plaintext"].(string)
			var inner any
			if json.Unmarshal([]byte(plaintext), &inner) != nil {
				return hidden
			}
			return secret(inner)
		}
		if _, special := v[signatureKey]; special {
			return fmt.Sprintf("[%v]", specialName(v))
		}
		return maskMap(v, secret)
	case []any:
		masked := make([]any, len(v))
		for i := range v {
			masked[i] = mask(v[i], secret)
		}
		return masked
	}
	return value
}

func specialName(v map[string]any) string {
	if _, is := v["urn"]; is {
		return "resource"
	}
	return "asset"
}

// hide replaces every leaf of a secret and keeps its shape, so that what is
// written still is valid.
func hide(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if v[signatureKey] == secretSignature {
			return mask(v, hide)
		}
		// The key of a Secret's data is public, its value is not.
		hiddenMap := make(map[string]any, len(v))
		for k := range v {
			hiddenMap[k] = hide(v[k])
		}
		return hiddenMap
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = hide(v[i])
		}
		return list
	case string:
		return hiddenText(v)
	}
	return hidden
}

// hiddenText keeps JSON valid JSON and base64 valid base64, because API servers
// check both in some kinds of Secret.
func hiddenText(text string) string {
	var object map[string]any
	if json.Unmarshal([]byte(text), &object) == nil {
		shape, err := json.Marshal(hide(object))
		if err == nil {
			return string(shape)
		}
	}
	return hidden
}

// manifests are the Kubernetes objects that the program itself registered, by
// file name. The chart's own objects are not among them.
func manifests(resources []Resource) map[string]map[string]any {
	files := map[string]map[string]any{}
	for _, r := range resources {
		if !strings.HasPrefix(r.Type, "kubernetes:") || strings.HasPrefix(r.Type, "kubernetes:helm.sh/") || !r.custom {
			continue
		}
		object := map[string]any{}
		for k, v := range r.shaped {
			if !strings.HasPrefix(k, "__") {
				object[k] = v
			}
		}
		reencode(object)
		metadata, _ := object["metadata"].(map[string]any)
		kind, _ := object["kind"].(string)
		name, _ := metadata["name"].(string)
		if name == "" {
			name = r.Name
		}
		namespace, _ := metadata["namespace"].(string)
		if namespace == "" {
			namespace = "cluster"
		}
		files[strings.ToLower(kind)+"-"+namespace+"-"+name+".yaml"] = object
	}
	return files
}

// reencode makes the hidden values of a Secret's data base64 again.
func reencode(object map[string]any) {
	if object["kind"] != "Secret" {
		return
	}
	data, _ := object["data"].(map[string]any)
	for k, v := range data {
		if v == hidden {
			data[k] = base64.StdEncoding.EncodeToString([]byte(hidden))
		}
	}
}

// chartValues are what is passed to the charts, by the name of the release.
func chartValues(resources []Resource) map[string]any {
	values := map[string]any{}
	for _, r := range resources {
		if r.Type == "kubernetes:helm.sh/v3:Release" {
			values[r.Name] = r.shaped["values"]
		}
	}
	return values
}

// names lists what is kept on purpose when a stack is destroyed, sorted.
func retained(resources []Resource) []string {
	var list []string
	for _, r := range resources {
		if r.custom && r.retain {
			list = append(list, r.Type+" "+r.Name+" ("+r.id+")")
		}
	}
	sort.Strings(list)
	return list
}

// ValuesYAML is what is passed to the chart. With several releases it is a map by
// their names.
func (r *Result) ValuesYAML() ([]byte, error) {
	values := chartValues(r.Resources)
	if len(values) == 1 {
		for _, only := range values {
			return yaml.Marshal(only)
		}
	}
	return yaml.Marshal(values)
}

// Manifests are the Kubernetes objects that the program itself registered, by
// file name, "<kind>-<namespace>-<name>.yaml".
func (r *Result) Manifests() map[string]map[string]any { return manifests(r.Resources) }
