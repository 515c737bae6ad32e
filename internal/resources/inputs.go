package resources

import (
	"fmt"
	"reflect"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// GCPVersion and KubernetesVersion are the provider versions of the pinned
// SDKs. Without a version the engine would fetch the newest provider, which is
// another major.
const (
	GCPVersion        = "7.38.0"
	KubernetesVersion = "4.33.0"
)

// Kind says how the SDK registers a resource kind.
type Kind struct {
	// Token is the type token.
	Token string
	// Version is the provider's version.
	Version string
	// SecretOutputs are outputs that are secret in the state.
	SecretOutputs []string
	// SecretInputs are inputs that are made secret before they are sent.
	SecretInputs []string
	// Aliases are the tokens under which older SDKs registered the kind.
	Aliases []string
	// Constants are inputs with one possible value, such as apiVersion and kind.
	Constants map[string]string
}

// register registers a resource of kind k. args is a pointer to a struct whose
// fields are tagged with the names of the provider's properties.
func register(
	ctx *pulumi.Context, k Kind, name string, args any, res pulumi.Resource, opts []pulumi.ResourceOption,
) error {
	props := inputMap(reflect.ValueOf(args))
	for _, p := range k.SecretInputs {
		if v, ok := props[p]; ok {
			props[p] = pulumi.ToSecret(v)
		}
	}
	for p, v := range k.Constants {
		props[p] = pulumi.String(v)
	}
	// The caller's options come last and win, as in the SDKs.
	all := []pulumi.ResourceOption{pulumi.Version(k.Version)}
	if len(k.SecretOutputs) > 0 {
		all = append(all, pulumi.AdditionalSecretOutputs(k.SecretOutputs))
	}
	if len(k.Aliases) > 0 {
		aliases := make([]pulumi.Alias, len(k.Aliases))
		for i, t := range k.Aliases {
			aliases[i] = pulumi.Alias{Type: pulumi.String(t)}
		}
		all = append(all, pulumi.Aliases(aliases))
	}
	return ctx.RegisterResource(k.Token, name, props, res, append(all, opts...)...)
}

// inputMap turns a tagged struct of inputs into the property map that is sent.
// Nil inputs, nil pointers and empty lists are left out: for the provider they
// mean "not set".
func inputMap(v reflect.Value) pulumi.Map {
	m := pulumi.Map{}
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return m
		}
		v = v.Elem()
	}
	t := v.Type()
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("pulumi")
		if name == "" {
			continue
		}
		if in := input(v.Field(i)); in != nil {
			m[name] = in
		}
	}
	return m
}

func input(v reflect.Value) pulumi.Input {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return v.Interface().(pulumi.Input)
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return inputMap(v)
	case reflect.Struct:
		return inputMap(v)
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		list := make(pulumi.Array, v.Len())
		for i := range v.Len() {
			list[i] = input(v.Index(i))
		}
		return list
	default:
		// Only a mistake in this package can get here; its tests find it.
		panic(fmt.Sprintf("resources: an argument of kind %s is not an input", v.Kind()))
	}
}

// missing reports a required argument that was not given, in the SDK's words.
func missing(argument string) error {
	return fmt.Errorf("invalid value for required argument '%s'", argument)
}
