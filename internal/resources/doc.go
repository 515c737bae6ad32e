// Package resources registers the few resource kinds whose SDK package costs
// more to compile than the rest of the program: of gcp/compute, gcp/dns,
// gcp/storage, gcp/gkebackup, kubernetes/helm/v3, kubernetes/networking/v1, kubernetes/batch/v1,
// kubernetes/rbac/v1 and kubernetes/storage/v1 the project uses one to eight
// kinds each. They are registered under the SDK's own type tokens, with the
// SDK's provider version, secret outputs, secret inputs and aliases, so that
// state written here and state written by the SDK are the same. A test compares
// all of that with the source of the SDK.
//
// What belongs here: typed arguments, typed outputs and lookups of such kinds,
// and custom Kubernetes kinds (BackendConfig, PrometheusRule, …) for which no
// SDK has types. What does not: any decision of the project.
package resources
