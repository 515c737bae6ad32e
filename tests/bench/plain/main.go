// Command plain is what a program for the same deployment looks like that
// imports the SDKs' packages as their examples do. It exists to be compiled:
// make bench-build compares it with deepgram-stack.
package main

import (
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/artifactregistry"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/compute"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/container"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes"
	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/helm/v3"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func main() {
	pulumi.Run(deploy)
}

func deploy(ctx *pulumi.Context) error {
	if _, err := artifactregistry.NewRepository(ctx, "registry", &artifactregistry.RepositoryArgs{
		RepositoryId: pulumi.String("deepgram"),
		Location:     pulumi.String("us-central1"),
		Format:       pulumi.String("DOCKER"),
	}); err != nil {
		return err
	}
	disk, err := compute.NewDisk(ctx, "models", &compute.DiskArgs{
		Zone: pulumi.String("us-central1-a"),
		Type: pulumi.String("pd-ssd"),
		Size: pulumi.Int(200),
	})
	if err != nil {
		return err
	}
	cluster, err := container.NewCluster(ctx, "cluster", &container.ClusterArgs{
		Location:         pulumi.String("us-central1"),
		InitialNodeCount: pulumi.Int(1),
	})
	if err != nil {
		return err
	}
	provider, err := kubernetes.NewProvider(ctx, "cluster", &kubernetes.ProviderArgs{
		Cluster: cluster.Name,
	})
	if err != nil {
		return err
	}
	namespace, err := corev1.NewNamespace(ctx, "namespace", &corev1.NamespaceArgs{
		Metadata: &metav1.ObjectMetaArgs{Name: pulumi.String("deepgram")},
	}, pulumi.Provider(provider))
	if err != nil {
		return err
	}
	_, err = helm.NewRelease(ctx, "deepgram", &helm.ReleaseArgs{
		Chart:          pulumi.String("deepgram-self-hosted"),
		Version:        pulumi.String("0.42.0"),
		Namespace:      namespace.Metadata.Name(),
		RepositoryOpts: &helm.RepositoryOptsArgs{Repo: pulumi.String("https://deepgram.github.io/self-hosted-resources")},
		Values:         pulumi.Map{"disk": disk.SelfLink},
	}, pulumi.Provider(provider))
	return err
}
