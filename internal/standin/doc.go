// Package standin pretends to be Google Cloud, a Kubernetes cluster and the
// command provider, so that a whole Pulumi program can be run on the real
// engine without a cloud, a cluster or credentials.
//
// What belongs here: the pretended world (Cloud) with what exists in it, the
// three resource providers that speak the real provider protocol over it, the
// facts about resource types that they work from (data/), the refusals that
// the real services are known to give, and the faults that can be asked for.
// What does not: how the engine is started (internal/rehearsal) and what a
// run's result means.
//
// The providers work from facts: data/gcp.json says for each property of the
// supported types of the gcp provider 7.38.0 its type and whether it is
// required (!), computed (~), output only (@), secret (*) or replaces the
// resource when it changes (#); data/kubernetes.json holds the structure of
// the supported Kubernetes kinds. A type without facts is refused.
//
// They are an aid to see and to test a program. That a stand-in accepts
// something is never a claim that the real service does.
package standin
