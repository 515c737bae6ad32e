package stacks

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/components"
	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// Names of the components in the program. They are part of every URN: changing
// one replaces everything below it.
const (
	nameCluster  = "cluster"
	nameRegistry = "registry"
	nameIngress  = "ingress"
	nameModels   = "models"
	nameLoader   = "models-loader"
	nameRelease  = "deepgram"
	nameBilling  = "billing"
	nameBackup   = "backup"
)

// builder wires the components of one environment.
type builder struct {
	ctx *pulumi.Context
	cfg *config.Config
	now func() time.Time
	// deployed tells that a Deployer of this process runs the program.
	deployed bool
	// billing is made with the release; nil where it is not airgapped.
	billing *components.Billing
}

// build wires what the configuration asks for and exports the outputs. Nothing
// here waits for a component as a whole: what must come first is passed on as an
// output, or named one by one.
func build(ctx *pulumi.Context, cfg *config.Config) error {
	return (&builder{ctx: ctx, cfg: cfg, now: time.Now}).build()
}

func (b *builder) build() error {
	cluster, err := b.cluster()
	if err != nil {
		return err
	}
	registry, err := b.registry(cluster)
	if err != nil {
		return err
	}
	ingress, err := b.ingress(cluster)
	if err != nil {
		return err
	}
	active, err := b.models(cluster, registry)
	if err != nil {
		return err
	}
	release, err := b.release(cluster, registry, ingress, active)
	if err != nil {
		return err
	}
	if err := b.backup(cluster, release); err != nil {
		return err
	}
	b.export(cluster, registry, ingress, active, release)
	return nil
}

func (b *builder) cluster() (*components.GpuCluster, error) {
	c := b.cfg
	return components.NewGpuCluster(b.ctx, nameCluster, &components.GpuClusterArgs{
		Project: c.GCP.Project, Region: c.GCP.Region, EngineZone: c.GCP.Zone,
		NamePrefix: c.Environment.NamePrefix,
		Cluster:    c.Cluster, Pools: c.Pools, Network: c.Network,
		LicenseProxy: c.LicenseProxy.Enabled, Billing: c.Billing.Enabled,
		Filestore: c.Billing.Enabled && c.Billing.Filestore(),
		// NVIDIA's exporter comes with Google's Prometheus only.
		ManagedPrometheus: c.Monitoring.Mode == "google" || c.Monitoring.GPUMetrics,
		BackupAgent:       c.Backup.Mode == "gke",
		Production:        c.Environment.Production, Labels: b.labels(),
	})
}

func (b *builder) registry(cluster *components.GpuCluster) (*components.Registry, error) {
	c := b.cfg
	args := &components.RegistryArgs{
		Mode: c.Registry.Mode, Project: c.Registry.Project, Location: c.Registry.Location,
		Repository: c.Registry.Repository, URL: c.Registry.URL, NamePrefix: c.Environment.NamePrefix,
		Production: c.Environment.Production, Labels: b.labels(),
	}
	if c.Registry.URL == "" && !c.Cluster.ExistingPools {
		args.Readers = map[string]pulumi.StringInput{"nodes": cluster.NodeServiceAccountEmail}
	}
	if c.Registry.Mode == components.RegistryMirror {
		var err error
		if args.Mirror, err = b.mirror(); err != nil {
			return nil, fmt.Errorf("registry.lock: %w", err)
		}
	}
	if c.Registry.Mode != components.RegistryExisting {
		args.Username = pulumi.String(c.Registry.Distribution.Username)
		args.Password = b.secret(c.Registry.Distribution.Password)
	}
	return components.NewRegistry(b.ctx, nameRegistry, args)
}

func (b *builder) ingress(cluster *components.GpuCluster) (*components.IngressNetwork, error) {
	c := b.cfg
	args := &components.IngressNetworkArgs{
		Project: c.GCP.Project, Region: c.GCP.Region, NamePrefix: c.Environment.NamePrefix,
		Network: c.Network.Network, Subnetwork: c.Network.Subnetwork, NetworkProject: c.Network.Project,
		ProxyOnlySubnet: c.Network.ProxyOnlySubnet, Labels: b.labels(),
	}
	if c.Ingress.Enabled {
		args.TargetTags, args.TargetRanges = cluster.NodeTags, nil
		if len(cluster.NodeTags) == 0 {
			args.TargetRanges = cluster.PodRanges
		}
		args.API = &components.APIEntrance{
			Host: c.Ingress.Host, Address: c.Ingress.Address, AddressName: c.Ingress.AddressName,
			Certificate: b.certificate(c.Ingress.Certificate), DNSZone: c.Ingress.DNSZone,
		}
		if previous := c.Ingress.PreviousCertificate; previous != nil {
			certificate := b.certificate(*previous)
			args.API.PreviousCertificate = &certificate
		}
	}
	if c.Grafana.Enabled {
		args.Grafana = &components.GrafanaEntrance{
			Host: c.Grafana.Host, AddressName: c.Grafana.AddressName, DNSZone: c.Grafana.DNSZone,
		}
	}
	return components.NewIngressNetwork(b.ctx, nameIngress, args)
}

func (b *builder) certificate(c config.Certificate) components.CertificateArgs {
	if c.Existing != "" {
		return components.CertificateArgs{Existing: c.Existing}
	}
	return components.CertificateArgs{Bundle: c.Bundle, Key: b.secret(c.Key), Name: c.Name}
}

// retired tells whether the day has come from which a set's disk may be removed.
// The active set never retires; the configuration refuses that.
func (b *builder) retired(set config.NamedModelSet) bool {
	if set.Retire == "" || set.Active {
		return false
	}
	day, err := time.Parse(time.DateOnly, set.Retire)
	return err == nil && !b.now().UTC().Before(day)
}

func (b *builder) release(
	cluster *components.GpuCluster, registry *components.Registry,
	ingress *components.IngressNetwork, models *components.ModelVolume,
) (*components.DeepgramRelease, error) {
	c := b.cfg
	args := &components.DeepgramReleaseArgs{
		Release: c.Release, API: c.API, Engine: c.Engine, LicenseProxy: c.LicenseProxy, Scaling: c.Scaling,
		Monitoring: c.Monitoring, Grafana: c.Grafana, Ingress: c.Ingress, Billing: c.Billing, Values: c.Values,
		Zone: c.GCP.Zone, Labels: b.kubernetesLabels(), Production: c.Environment.Production,
		CreateNamespace: true, GCPProject: c.GCP.Project, CertificateExpires: c.Ingress.Certificate.Expires(),
		// Pods wait for nodes by themselves, and helm for pods. What the release
		// cannot do without is waited for here, because helm would give up on it.
		After:        append(append(append([]pulumi.Resource{}, cluster.Ready...), registry.Ready...), models.Ready...),
		IngressAfter: ingress.Ready,
		ImagePrefix:  registry.Prefix,
		APIKey:       b.secret(c.Release.APIKey),
		LicenseKey:   b.secret(c.Billing.LicenseKey), LicenseFile: b.secret(c.Billing.LicenseFile),
		VolumeHandle: models.VolumeHandle, StorageCapacity: pulumi.String(models.StorageCapacity),
		ModelNamePrefix: pulumi.String(models.NamePrefix),
	}
	if password := c.Registry.Distribution.Password; !password.IsZero() {
		args.PullUsername = pulumi.String(c.Registry.Distribution.Username)
		args.PullPassword = b.secret(password)
		args.UsePullSecret = strings.HasPrefix(c.Registry.URL, "quay.io/")
	}
	if c.Ingress.Enabled {
		args.IngressAddressName = ingress.AddressName
		args.CertificateNames = ingress.CertificateNames.ApplyT(func(names string) []string {
			return strings.Split(names, ",")
		}).(pulumi.StringArrayOutput)
	}
	if c.Grafana.Enabled {
		args.GrafanaPassword = b.secret(c.Grafana.AdminPassword)
		args.GrafanaAddressName = ingress.GrafanaAddressName
		args.GrafanaCertificateName = pulumi.String(c.Grafana.CertificateName)
	}
	if c.Billing.Enabled {
		if err := b.warnOfPostRenderer(args); err != nil {
			return nil, err
		}
		args.JournalClaim = pulumi.String(c.Billing.JournalClaim(c.Values))
		args.Prepare = func(namespace []pulumi.Resource) (_ []pulumi.Resource, err error) {
			b.billing, err = components.NewBilling(b.ctx, nameBilling,
				b.billingArgs(cluster, registry, args, namespace), pulumi.Provider(cluster.Provider))
			if err != nil {
				return nil, err
			}
			return b.billing.Ready, nil
		}
	}
	return components.NewDeepgramRelease(b.ctx, nameRelease, args, pulumi.Provider(cluster.Provider))
}

// billingArgs are those of the airgapped part of a release.
func (b *builder) billingArgs(
	cluster *components.GpuCluster, registry *components.Registry,
	release *components.DeepgramReleaseArgs, namespace []pulumi.Resource,
) *components.BillingArgs {
	c := b.cfg
	return &components.BillingArgs{
		Billing: c.Billing, Release: c.Release.Name, Namespace: c.Release.Namespace,
		Project: c.GCP.Project, NamePrefix: c.Environment.NamePrefix,
		Network: c.Network.Network, NetworkProject: c.Network.Project, ModelsClaim: c.Billing.ModelsClaim(c.Values),
		Labels: b.labels(), KubernetesLabels: b.kubernetesLabels(), Production: c.Environment.Production,
		UsePullSecret: release.UsePullSecret,
		OpsImage:      b.opsImage(registry), OpsReady: slices.Concat(registry.Ready, registry.OpsReady),
		// Workload Identity needs the cluster's pool of identities.
		After:      slices.Concat(namespace, cluster.Ready),
		LicenseKey: release.LicenseKey, LicenseFile: release.LicenseFile,
		S3AccessKeyID: b.secret(c.Billing.Backup.S3.AccessKeyID), S3SecretAccessKey: b.secret(c.Billing.Backup.S3.SecretAccessKey),
	}
}

// secret is a secret of the configuration as an input: nil where none was given,
// read from Secret Manager where the configuration refers to it.
func (b *builder) secret(s config.Secret) pulumi.StringInput {
	switch {
	case s.IsZero():
		return nil
	case s.Reference() != "":
		// projects/P/secrets/S/versions/V; validated before.
		parts := strings.Split(s.Reference(), "/")
		return resources.SecretVersionData(b.ctx, resources.SecretVersionArgs{
			Project: parts[1], Secret: parts[3], Version: parts[5],
		})
	}
	return pulumi.ToSecret(pulumi.String(s.Reveal())).(pulumi.StringOutput)
}

// labels are on every object of Google Cloud that can carry labels.
func (b *builder) labels() map[string]string {
	labels := map[string]string{"app": "deepgram", "environment": labelValue(b.ctx.Stack())}
	maps.Copy(labels, b.cfg.Environment.Labels)
	return labels
}

// kubernetesLabels are on the program's own Kubernetes objects.
func (b *builder) kubernetesLabels() map[string]string {
	labels := map[string]string{"app.kubernetes.io/part-of": "deepgram", "deepgram-gke/environment": labelValue(b.ctx.Stack())}
	maps.Copy(labels, b.cfg.Environment.Labels)
	return labels
}

func (b *builder) export(
	cluster *components.GpuCluster, registry *components.Registry, ingress *components.IngressNetwork,
	models *components.ModelVolume, release *components.DeepgramRelease,
) {
	outputs := map[string]pulumi.Input{
		"apiUrl":         release.APIURL,
		"apiAddress":     ingress.Address,
		"grafanaUrl":     release.GrafanaURL,
		"grafanaAddress": ingress.GrafanaAddress,
		"registry":       registry.Prefix,
		"images":         release.Images,
		"cluster":        cluster.Name,
		"kubeconfig":     pulumi.ToSecret(cluster.Kubeconfig),
		"namespace":      release.Namespace,
		"modelVolume":    models.VolumeHandle,
		"dnsRecords":     ingress.DNSRecords,
		"licenseRoute":   release.LicenseRoute,
	}
	if b.billing != nil {
		maps.Copy(outputs, map[string]pulumi.Input{
			"journalBucket": b.billing.Bucket, "journalClaim": b.billing.ClaimName,
			"journalTarget": b.billing.Target, "journalStorage": b.billing.Storage,
		})
	}
	for name, value := range outputs {
		b.ctx.Export(name, value)
	}
}

// labelValue is a stack's name as a label: Google Cloud takes lower case, digits,
// hyphens and underscores.
func labelValue(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, name)
}
