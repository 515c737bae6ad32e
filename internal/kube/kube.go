// Package kube reaches a Kubernetes cluster as kubectl does. What is asked of the
// cluster belongs to whoever asks.
package kube

import (
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Connect finds a cluster by kubeconfig (empty means KUBECONFIG or the usual file)
// and context (empty means the current one), or by the service account inside a
// cluster. An empty namespace is the kubeconfig's, which is returned.
func Connect(kubeconfig, context, namespace string) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: context})
	cfg, err := loader.ClientConfig()
	if err == nil && namespace == "" {
		namespace, _, err = loader.Namespace()
	}
	if err != nil {
		return nil, "", fmt.Errorf("reaching the cluster: %w", err)
	}
	return cfg, namespace, nil
}

// Client is the client of deepgram-ops, and the configuration that it is made of.
// cfg is not changed.
func Client(cfg *rest.Config) (kubernetes.Interface, *rest.Config, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.UserAgent = "deepgram-ops"
	// Who waits does so by itself; the client's own brake only slows a poll down.
	cfg.QPS, cfg.Burst = 50, 100
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("reaching the cluster: %w", err)
	}
	return client, cfg, nil
}
