package rehearsal

import (
	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

// NewCloud is a pretended world that holds what the configuration takes for
// granted: the project, what it names as existing, and the secrets it refers to.
// more change how it begins.
func NewCloud(cfg *config.Config, more ...standin.Option) (*standin.Cloud, error) {
	options := []standin.Option{
		standin.Project(cfg.GCP.Project, "100000000001"),
		standin.Location(cfg.GCP.Region, cfg.GCP.Zone),
	}
	if cfg.Backup.Mode == "velero" {
		options = append(options, standin.Namespaces(cfg.Backup.VeleroNamespace))
	}
	for _, field := range cfg.Secrets() {
		if reference := field.Secret.Reference(); reference != "" {
			value, err := madeUp(field.Kind)
			if err != nil {
				return nil, err
			}
			options = append(options, standin.SecretValue(reference, value))
		}
	}
	cloud := standin.NewCloud(append(options, more...)...)
	for _, thing := range existing(cfg) {
		if _, err := cloud.Seed(thing.kind, thing.inputs); err != nil {
			return nil, err
		}
	}
	return cloud, nil
}

// thing is something that the configuration says is there already.
type thing struct {
	kind   string
	inputs map[string]any
}

// existing lists what the configuration says is there already.
func existing(cfg *config.Config) []thing {
	var list []thing
	add := func(kind string, inputs map[string]any) { list = append(list, thing{kind, inputs}) }
	project, region, zone, network := cfg.GCP.Project, cfg.GCP.Region, cfg.GCP.Zone, cfg.Network.Network
	if network != "default" || cfg.Network.Project != project {
		add("gcp:compute/network:Network", map[string]any{
			"project": cfg.Network.Project, "name": network, "autoCreateSubnetworks": false,
		})
	}
	if network != "default" || cfg.Network.Subnetwork != "default" || cfg.Network.Project != project {
		add("gcp:compute/subnetwork:Subnetwork", map[string]any{
			"project": cfg.Network.Project, "name": cfg.Network.Subnetwork, "network": network, "region": region,
			"ipCidrRange": "10.0.0.0/20", "privateIpGoogleAccess": true,
		})
	}
	if subnet := cfg.Network.ProxyOnlySubnet; subnet.Existing != "" {
		add("gcp:compute/subnetwork:Subnetwork", map[string]any{
			"project": cfg.Network.Project, "name": subnet.Existing, "network": network, "region": region,
			"ipCidrRange": subnet.Cidr, "purpose": "REGIONAL_MANAGED_PROXY", "role": "ACTIVE",
		})
	}
	if cfg.Cluster.Existing != "" {
		add("gcp:container/cluster:Cluster", map[string]any{
			"project": project, "name": cfg.Cluster.Existing, "location": cfg.Cluster.Location,
			"network": network, "subnetwork": cfg.Network.Subnetwork, "initialNodeCount": 1,
		})
	}
	if cfg.Registry.Mode == "existing" && cfg.Registry.URL == "" {
		add("gcp:artifactregistry/repository:Repository", map[string]any{
			"project": cfg.Registry.Project, "location": cfg.Registry.Location,
			"repositoryId": cfg.Registry.Repository, "format": "DOCKER",
		})
	}
	for _, set := range cfg.Models.ModelSets() {
		if set.Disk.Existing != "" {
			add("gcp:compute/disk:Disk", map[string]any{
				"project": project, "zone": zone, "name": set.Disk.Existing, "size": set.Disk.SizeGb, "type": set.Disk.Type,
			})
		}
	}
	zones := map[string]bool{cfg.Ingress.DNSZone: true, cfg.Grafana.DNSZone: true}
	delete(zones, "")
	for name := range zones {
		add("gcp:dns/managedZone:ManagedZone", map[string]any{"project": project, "name": name, "dnsName": "example.invalid."})
	}
	return list
}

// keep takes over the secrets of before where cfg has none that can be read, so
// that a change of another key does not look like a rotation.
func keep(cfg, before *config.Config) {
	known := map[string]config.Secret{}
	for _, field := range before.Secrets() {
		known[field.Path] = *field.Secret
	}
	for _, field := range cfg.Secrets() {
		if old, found := known[field.Path]; found && field.Secret.Reveal() == "" && field.Secret.Reference() == "" {
			*field.Secret = old
		}
	}
	certificate, old := &cfg.Ingress.Certificate, before.Ingress.Certificate
	if certificate.Bundle == "" && certificate.Existing == "" && cfg.Ingress.Host == before.Ingress.Host {
		certificate.Bundle, certificate.Key = old.Bundle, old.Key
	}
}
