// Package config is the typed configuration of an environment: loading,
// defaults, derived names, validation, and the JSON schema and documentation
// made from its types. It knows the keys that people write and nothing of
// Pulumi, Google Cloud or Kubernetes libraries, so that the policy pack and
// the day-2 commands can use it and stay small.
//
// Validation here asks whether the configuration is coherent. Whether a
// machine can carry Deepgram is asked by the policies, where an exception can
// be recorded.
package config
