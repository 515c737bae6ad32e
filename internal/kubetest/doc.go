// Package kubetest runs a real Kubernetes for tests: etcd and the components of
// Kubernetes itself, built from their source by `make kubernetes`.
//
// [Start] gives a cluster with the API server, the controllers, the scheduler and
// as many pretended nodes as asked for. It needs no root and is ready in seconds;
// what the API server accepts, how objects are controlled and where pods are
// placed is real, but nothing runs in the pods.
//
// [RealNode] adds a node that runs pods for real, with containerd, runc and a
// kubelet, in namespaces of its own: it needs root, Debian's packages, and a
// TestMain that calls [Main].
//
// Both look like GKE where this project needs it: storage classes and custom
// resource definitions of the same names. Nothing is left behind, also by a run
// that was killed: its processes die with it, and the next run removes its files
// and control groups.
package kubetest
