// Package components holds the Pulumi components that a Deepgram deployment on
// Google Kubernetes Engine is made of: Registry, IngressNetwork, GpuCluster,
// ModelVolume and DeepgramRelease. Each works alone, in anybody's program, with
// an existing registry, network, cluster or disk given instead of created.
//
// What belongs here: resources and how they hang together. A component reads no
// configuration, file or environment; plain structs of package config serve as
// arguments where they fit. What does not belong here: defaults of an
// environment (config), judgement about hardware (policy), the order of the
// whole (stacks).
//
// Waiting: nothing should depend on a component as a whole, because the engine
// cannot tell which of its children that means. Every component has a field
// Ready with the resources that a dependent has to wait for.
package components
