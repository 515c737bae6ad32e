package preflight_test

import (
	"context"
	"net"
	"net/http/httptest"
	"strings"
	"time"

	"google.golang.org/api/compute/v1"
	"google.golang.org/api/container/v1"
	"google.golang.org/api/dns/v1"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/certs/certtest"
	"github.com/deepgram-gke/deepgram-gke/internal/preflight"
)

const (
	pass = preflight.Pass
	skip = preflight.Skip
	fail = preflight.Fail
)

// try is one check in one world.
type try struct {
	id, name string
	change   func(*world)
	want     preflight.Status
	// message and fix must be in the answer; role is the role to grant.
	message, fix, role string
}

func deny(path string) func(*world) { return func(w *world) { w.cloud.Deny = path } }

func off(api string) func(*world) { return func(w *world) { w.cloud.Off[api] = true } }

func quota(metric string, limit, usage float64) func(*world) {
	return func(w *world) { w.cloud.Quotas[metric] = [2]float64{limit, usage} }
}

func all(changes ...func(*world)) func(*world) {
	return func(w *world) {
		for _, f := range changes {
			f(w)
		}
	}
}

// proxies adds a proxy-only subnet.
func proxies(name, cidr, role string) func(*world) {
	return func(w *world) {
		w.cloud.Subnets = append(w.cloud.Subnets, &compute.Subnetwork{
			Name: name, IpCidrRange: cidr, Role: role, Purpose: "REGIONAL_MANAGED_PROXY",
			Region: w.cloud.Subnets[0].Region, Network: w.cloud.Subnets[0].Network,
		})
	}
}

// running adds nodes of the cluster that run already.
func running(pool string, n int) func(*world) {
	return func(w *world) {
		for range n {
			w.cloud.Instances = append(w.cloud.Instances, &compute.Instance{Labels: map[string]string{
				"goog-k8s-cluster-name": "dev-deepgram-cluster", "goog-k8s-node-pool-name": pool,
			}})
		}
	}
}

func address(name, ip string) func(*world) {
	return func(w *world) {
		w.cloud.Addresses = append(w.cloud.Addresses, &compute.Address{Name: name, Address: ip, AddressType: "INTERNAL"})
	}
}

func cfg(f func(*config.Config)) func(*world) { return func(w *world) { f(w.cfg) } }

func zone(name, domain, visibility string) func(*world) {
	return func(w *world) {
		w.cfg.Ingress.DNSZone = "zone"
		w.cloud.Zones = append(w.cloud.Zones, &dns.ManagedZone{Name: name, DnsName: domain, Visibility: visibility})
	}
}

func record(host string, addresses ...string) func(*world) {
	return func(w *world) { w.records[host] = addresses }
}

func cluster(k *container.Cluster) func(*world) {
	return func(w *world) { w.cloud.Clusters = append(w.cloud.Clusters, k) }
}

func existingCluster(c *config.Config) { c.Cluster.Existing, c.Cluster.ExistingPools = "theirs", true }

func cases() []try {
	var list []try
	list = append(list, projectCases()...)
	list = append(list, machineCases()...)
	list = append(list, networkCases()...)
	list = append(list, nameCases()...)
	return append(list, releaseCases()...)
}

func projectCases() []try {
	return []try{
		{id: "configuration", name: "secret missing", change: cfg(func(c *config.Config) { c.Release.APIKey = config.Secret{} }), want: fail, message: "deepgram-stack:release.apiKey is missing", fix: "pulumi config set --secret --path 'deepgram-stack:release.apiKey'"},
		{id: "credentials", name: "a stand-in", change: func(w *world) { w.o.Credentials = nil }, want: skip, message: "is asked instead of Google Cloud"},
		{id: "credentials", name: "none", change: func(w *world) {
			w.o.Credentials = func(context.Context) (string, error) { return "", context.DeadlineExceeded }
		}, want: fail, fix: "gcloud auth application-default login"},
		{id: "project", name: "deleted", change: func(w *world) { w.cloud.Projects["acme-prod"] = "DELETE_REQUESTED" }, want: fail, message: "acme-prod is DELETE_REQUESTED", fix: "gcloud projects undelete acme-prod"},
		{id: "project", name: "none", change: func(w *world) { delete(w.cloud.Projects, "acme-prod") }, want: fail, message: "there is no project acme-prod", fix: "gcp:project"},
		{id: "project", name: "forbidden", change: deny("/v3/projects"), want: skip, message: "or there is no project acme-prod", role: "roles/browser"},
		{id: "project", name: "API off", change: off("cloudresourcemanager.googleapis.com"), want: skip, message: "is switched off", fix: "gcloud services enable cloudresourcemanager.googleapis.com --project acme-prod"},
		{id: "project", name: "Google's trouble", change: func(w *world) { w.cloud.Break = "/v3/projects" }, want: skip, message: "500 Internal error", fix: "again"},
		{id: "project", name: "no network", change: func(w *world) { w.o.Endpoint = "http://127.0.0.1:1/" }, want: skip, message: "could not be asked", fix: "network"},
		{id: "apis", name: "some off", change: all(off("container.googleapis.com"), off("artifactregistry.googleapis.com"), off("file.googleapis.com")), want: fail, message: "switched off in acme-prod: container.googleapis.com artifactregistry.googleapis.com", fix: "gcloud services enable container.googleapis.com artifactregistry.googleapis.com --project acme-prod"},
		{id: "apis", name: "Filestore's", change: all(off("file.googleapis.com"), cfg(func(c *config.Config) { c.Billing.Enabled = true })), want: fail, message: "file.googleapis.com"},
		{id: "apis", name: "Secret Manager's, of another project", change: all(off("secretmanager.googleapis.com"), cfg(func(c *config.Config) {
			c.Release.APIKey = config.SecretReference("projects/vault-prod/secrets/key/versions/1")
		})), want: fail, message: "switched off in vault-prod: secretmanager.googleapis.com", fix: "--project vault-prod"},
		{id: "apis", name: "Backup for GKE's", change: all(off("gkebackup.googleapis.com"), cfg(func(c *config.Config) { c.Backup.Mode = "gke" })), want: fail, message: "gkebackup.googleapis.com"},
		{id: "apis", name: "forbidden", change: deny("services:batchGet"), want: skip, role: "roles/serviceusage.serviceUsageViewer"},
	}
}

func machineCases() []try {
	elsewhere := cfg(func(c *config.Config) { c.Pools.Engine.MachineType = "g2-standard-16" })
	t4 := cfg(func(c *config.Config) { c.Pools.Engine.GPU.Type = "nvidia-tesla-t4" })
	spot := cfg(func(c *config.Config) { c.Pools.Engine.Spot = true })
	return []try{
		{id: "machine-types", name: "not in the zone", change: elsewhere, want: fail, message: "g2-standard-16 (pools.engine) is not offered in us-central1-a", fix: "g2-standard-16 is offered in us-central1-b"},
		{id: "machine-types", name: "nowhere", change: cfg(func(c *config.Config) { c.Pools.System.MachineType = "n2-standard-3" }), want: fail, message: "n2-standard-3 (pools.system)", fix: "choose another machine type for pools.system"},
		{id: "machine-types", name: "in another zone of the nodes", change: cfg(func(c *config.Config) { c.Cluster.NodeZones = []string{"us-central1-a", "us-central1-c"} }), want: fail, message: "is not offered in us-central1-c"},
		{id: "machine-types", name: "forbidden", change: deny("/machineTypes/"), want: skip, role: "roles/compute.viewer"},
		{id: "machine-types", name: "pools are there", change: cfg(existingCluster), want: skip, message: "cluster.existingPools"},
		{id: "accelerators", name: "not in the zone", change: t4, want: fail, message: "nvidia-tesla-t4 (pools.engine) is not offered in us-central1-a", fix: "gcp:zone"},
		{id: "accelerators", name: "too many", change: cfg(func(c *config.Config) { c.Pools.Engine.GPU.Count = 8 }), want: fail, message: "pools.engine.gpu.count is 8", fix: "at most 4"},
		{id: "accelerators", name: "forbidden", change: deny("/acceleratorTypes/"), want: skip, role: "roles/compute.viewer"},

		// 11 nodes, and 1 for an upgrade.
		{id: "gpu-quota", name: "just enough", change: quota("NVIDIA_L4_GPUS", 12, 0), want: pass, message: "12 of 12 free, 12 needed"},
		{id: "gpu-quota", name: "the surge does not fit", change: quota("NVIDIA_L4_GPUS", 11, 0), want: fail, message: "NVIDIA_L4_GPUS in us-central1: 12 needed (11 at maxNodes, 1 for upgrades), 11 of 11 free", fix: "at least 12"},
		{id: "gpu-quota", name: "others use it", change: quota("NVIDIA_L4_GPUS", 16, 6), want: fail, message: "10 of 16 free", fix: "at least 18"},
		{id: "gpu-quota", name: "it runs already", change: all(quota("NVIDIA_L4_GPUS", 12, 4), running("engine-pool", 4)), want: pass, message: "12 of 12 free"},
		{id: "gpu-quota", name: "another cluster's nodes do not count", change: all(quota("NVIDIA_L4_GPUS", 12, 4), running("theirs", 4)), want: fail, message: "8 of 12 free"},
		{id: "gpu-quota", name: "blue-green", change: cfg(func(c *config.Config) { c.Pools.Engine.Upgrade.Strategy = "BLUE_GREEN" }), want: fail, message: "22 needed (11 at maxNodes, 11 for upgrades)"},
		{id: "gpu-quota", name: "all regions", change: func(w *world) { w.cloud.GlobalQuotas["GPUS_ALL_REGIONS"] = [2]float64{1, 0} }, want: fail, message: "GPUS_ALL_REGIONS in all regions: 12 needed", fix: "quotas"},
		{id: "gpu-quota", name: "spot", change: all(spot, quota("PREEMPTIBLE_NVIDIA_L4_GPUS", 4, 0)), want: fail, message: "PREEMPTIBLE_NVIDIA_L4_GPUS in us-central1: 12 needed"},
		{id: "gpu-quota", name: "spot without a quota of its own", change: spot, want: pass, message: " NVIDIA_L4_GPUS"[1:]},
		{id: "gpu-quota", name: "not listed", change: cfg(func(c *config.Config) { c.Pools.Engine.GPU.Type = "nvidia-h100-80gb" }), want: skip, message: "does not list NVIDIA_H100_80GB_GPUS", fix: "GPUs per GPU family"},
		{id: "gpu-quota", name: "forbidden", change: deny("/regions/us-central1"), want: skip, role: "roles/compute.viewer"},
		{id: "gpu-quota", name: "all regions forbidden", change: func(w *world) {
			w.cloud.Deny = "/projects/acme-prod"
			w.cloud.Quotas["NVIDIA_L4_GPUS"] = [2]float64{0, 0}
		}, want: skip, role: "roles/compute.viewer"},
		{id: "gpu-quota", name: "no such region", change: cfg(func(c *config.Config) { c.GCP.Region = "us-central9" }), want: fail, message: "no region us-central9", fix: "gcp:region"},

		{id: "cpu-quota", name: "a series' own", change: quota("N2_CPUS", 60, 0), want: fail, message: "N2_CPUS in us-central1: 62 needed (54 at maxNodes, 8 for upgrades)"},
		{id: "cpu-quota", name: "just enough", change: quota("N2_CPUS", 62, 0), want: pass, message: "62 of 62 free"},
		{id: "cpu-quota", name: "the shared one", change: cfg(func(c *config.Config) { c.Pools.API.MachineType = "e2-standard-4" }), want: fail, message: " CPUS in us-central1: 48 needed"[1:]},
		{id: "cpu-quota", name: "spot", change: all(spot, quota("PREEMPTIBLE_CPUS", 8, 0)), want: fail, message: "PREEMPTIBLE_CPUS in us-central1: 144 needed"},
		{id: "cpu-quota", name: "all regions", change: func(w *world) { w.cloud.GlobalQuotas["CPUS_ALL_REGIONS"] = [2]float64{32, 0} }, want: fail, message: "CPUS_ALL_REGIONS"},
		{id: "cpu-quota", name: "a series that is not listed", change: func(w *world) { delete(w.cloud.Quotas, "G2_CPUS") }, want: pass, message: "not listed by the region: G2_CPUS"},
		{id: "cpu-quota", name: "forbidden", change: deny("/regions/us-central1"), want: skip, role: "roles/compute.viewer"},
		{id: "disk-quota", name: "too small", change: quota("SSD_TOTAL_GB", 500, 0), want: fail, message: "SSD_TOTAL_GB in us-central1: 3300 needed"},
		{id: "disk-quota", name: "the models disk is there", change: all(quota("SSD_TOTAL_GB", 3100, 0), running("engine-pool", 1)), want: pass, message: "3100 needed"},
		{id: "disk-quota", name: "forbidden", change: deny("/regions/us-central1"), want: skip, role: "roles/compute.viewer"},
		{id: "address-quota", name: "too small", change: quota("IN_USE_ADDRESSES", 8, 0), want: fail, message: "IN_USE_ADDRESSES in us-central1: 31 needed"},
		{id: "address-quota", name: "private nodes", change: all(quota("IN_USE_ADDRESSES", 8, 0), cfg(func(c *config.Config) { c.Cluster.Private.Enabled = true })), want: skip, message: "private nodes"},
		{id: "address-quota", name: "forbidden", change: deny("/regions/us-central1"), want: skip, role: "roles/compute.viewer"},
	}
}

func networkCases() []try {
	existing := cfg(func(c *config.Config) {
		c.Network.ProxyOnlySubnet = config.ProxyOnlySubnet{Existing: "theirs"}
	})
	pods := func(cidr string) func(*world) { return cfg(func(c *config.Config) { c.Network.PodsCidr = cidr }) }
	own := "dev-deepgram-proxy-only"
	return []try{
		{id: "proxy-only-subnet", name: "none yet", want: pass, message: "192.168.100.0/23 is made"},
		{id: "proxy-only-subnet", name: "this environment's", change: proxies(own, "192.168.100.0/23", "ACTIVE"), want: pass, message: "is this environment's"},
		{id: "proxy-only-subnet", name: "another range", change: proxies(own, "192.168.200.0/23", "ACTIVE"), want: fail, message: "192.168.200.0/23, not 192.168.100.0/23"},
		{id: "proxy-only-subnet", name: "another's", change: proxies("theirs", "192.168.200.0/23", "ACTIVE"), want: fail, message: "there can be one active proxy-only subnet in network default in us-central1, and it is theirs", fix: "set network.proxyOnlySubnet.existing: theirs"},
		{id: "proxy-only-subnet", name: "another's backup", change: proxies("theirs", "192.168.200.0/23", "BACKUP"), want: pass},
		{id: "proxy-only-subnet", name: "existing", change: all(existing, proxies("theirs", "192.168.200.0/23", "ACTIVE")), want: pass, message: "theirs (192.168.200.0/23) is there and active"},
		{id: "proxy-only-subnet", name: "existing, gone", change: existing, want: fail, message: "there is no subnet theirs", fix: "network.proxyOnlySubnet.cidr"},
		{id: "proxy-only-subnet", name: "existing, another name", change: all(existing, proxies("ours", "192.168.200.0/23", "ACTIVE")), want: fail, message: "its proxy-only subnet is ours", fix: "network.proxyOnlySubnet.existing: ours"},
		{id: "proxy-only-subnet", name: "existing, a backup", change: all(existing, proxies("theirs", "192.168.200.0/23", "BACKUP")), want: fail, message: "is a backup", fix: "--role ACTIVE"},
		{id: "proxy-only-subnet", name: "existing, an ordinary one", change: cfg(func(c *config.Config) {
			c.Network.ProxyOnlySubnet = config.ProxyOnlySubnet{Existing: "default"}
		}), want: fail, message: "has the purpose PRIVATE", fix: "REGIONAL_MANAGED_PROXY"},
		{id: "proxy-only-subnet", name: "forbidden", change: deny("/aggregated/subnetworks"), want: skip, role: "roles/compute.networkViewer"},
		{id: "proxy-only-subnet", name: "no ingress", change: cfg(func(c *config.Config) { c.Ingress.Enabled = false }), want: skip},

		{id: "address", name: "free", want: pass, message: "10.128.0.50 is free"},
		{id: "address", name: "Google's choice", change: cfg(func(c *config.Config) { c.Ingress.Address = "" }), want: pass, message: "Google chooses"},
		{id: "address", name: "this environment's", change: address("dev-deepgram-ilb-ip-address", "10.128.0.50"), want: pass, message: "reserved for this environment"},
		{id: "address", name: "another value", change: address("dev-deepgram-ilb-ip-address", "10.128.0.9"), want: fail, message: "reserved as 10.128.0.9, not 10.128.0.50", fix: "10.128.0.9"},
		{id: "address", name: "another's", change: address("printer", "10.128.0.50"), want: fail, message: "is reserved by printer", fix: "choose another"},
		{id: "address", name: "an instance has it", change: func(w *world) {
			w.cloud.Instances = []*compute.Instance{{Name: "vm", NetworkInterfaces: []*compute.NetworkInterface{{Network: w.cloud.Subnets[0].Network, NetworkIP: "10.128.0.50"}}}}
		}, want: fail, message: "is in use by the instance vm"},
		{id: "address", name: "a load balancer has it", change: func(w *world) {
			w.cloud.Rules = []*compute.ForwardingRule{{Name: "lb", IPAddress: "10.128.0.50"}}
		}, want: fail, message: "is in use by the forwarding rule lb"},
		{id: "address", name: "outside the subnetwork", change: cfg(func(c *config.Config) { c.Ingress.Address = "10.129.0.50" }), want: fail, message: "10.129.0.50 is not in the subnetwork default (10.128.0.0/20)", fix: "10.128.0.0/20"},
		{id: "address", name: "Google's own, low", change: cfg(func(c *config.Config) { c.Ingress.Address = "10.128.0.1" }), want: fail, message: "one of the four addresses"},
		{id: "address", name: "Google's own, high", change: cfg(func(c *config.Config) { c.Ingress.Address = "10.128.15.254" }), want: fail, message: "one of the four addresses"},
		{id: "address", name: "the last that is free", change: cfg(func(c *config.Config) { c.Ingress.Address = "10.128.15.253" }), want: pass},
		{id: "address", name: "no such subnetwork", change: cfg(func(c *config.Config) { c.Network.Subnetwork = "nowhere" }), want: fail, message: "there is no subnetwork nowhere", fix: "network.subnetwork"},
		{id: "address", name: "forbidden", change: deny("/addresses"), want: skip, role: "roles/compute.viewer"},
		{id: "address", name: "instances forbidden", change: deny("/aggregated/instances"), want: skip, role: "roles/compute.viewer"},

		{id: "ranges", name: "auto mode", change: pods("10.200.0.0/16"), want: fail, message: "network.podsCidr 10.200.0.0/16 overlaps 10.128.0.0/9", fix: "outside 10.128.0.0/9"},
		{id: "ranges", name: "a custom network", change: all(pods("10.200.0.0/16"), func(w *world) { w.cloud.Networks[0].AutoCreateSubnetworks = false }), want: pass, message: "network.podsCidr 10.200.0.0/16"},
		{id: "ranges", name: "a subnet", change: all(pods("10.0.0.0/14"), func(w *world) {
			w.cloud.Subnets[0].SecondaryIpRanges = []*compute.SubnetworkSecondaryRange{{RangeName: "office", IpCidrRange: "10.2.0.0/16"}}
		}), want: fail, message: "network.podsCidr 10.0.0.0/14 overlaps 10.2.0.0/16 of the secondary range office of the subnet default", fix: "choose another network.podsCidr"},
		{id: "ranges", name: "the cluster's own", change: all(pods("10.0.0.0/14"), func(w *world) {
			w.cloud.Subnets[0].SecondaryIpRanges = []*compute.SubnetworkSecondaryRange{{RangeName: "gke-dev-deepgram-cluster-pods-1a2b", IpCidrRange: "10.0.0.0/14"}}
		}), want: pass},
		{id: "ranges", name: "the proxies' own", change: proxies(own, "192.168.100.0/23", "ACTIVE"), want: pass},
		{id: "ranges", name: "the proxies' is another's", change: proxies("theirs", "192.168.101.0/24", "BACKUP"), want: fail, message: "network.proxyOnlySubnet.cidr 192.168.100.0/23 overlaps 192.168.101.0/24 of the subnet theirs in us-central1"},
		{id: "ranges", name: "another cluster's control plane", change: all(cluster(&container.Cluster{
			Name: "other", Network: "default", PrivateClusterConfig: &container.PrivateClusterConfig{MasterIpv4CidrBlock: "172.16.0.0/28"},
		}), cfg(func(c *config.Config) {
			c.Cluster.Private.Enabled, c.Cluster.Private.ControlPlaneCidr = true, "172.16.0.0/28"
		})), want: fail, message: "overlaps 172.16.0.0/28 of the control plane of the cluster other"},
		{id: "ranges", name: "a cluster of another network", change: all(pods("10.0.0.0/14"), cluster(&container.Cluster{Name: "other", Network: "theirs", ClusterIpv4Cidr: "10.0.0.0/14"})), want: pass},
		{id: "ranges", name: "no such secondary range", change: cfg(func(c *config.Config) { c.Network.PodsRange = "pods" }), want: fail, message: "has no secondary range pods", fix: "add it"},
		{id: "ranges", name: "no such network", change: cfg(func(c *config.Config) { c.Network.Network = "nowhere" }), want: fail, message: "there is no network nowhere", fix: "network.network"},
		{id: "ranges", name: "forbidden", change: deny("/global/networks/"), want: skip, role: "roles/compute.networkViewer"},
		{id: "ranges", name: "clusters forbidden", change: deny("/locations/-/clusters"), want: skip, role: "roles/container.clusterViewer"},
		{id: "ranges", name: "clusters forbidden, but a fault is one", change: all(deny("/locations/-/clusters"), pods("10.200.0.0/16")), want: fail, message: "overlaps 10.128.0.0/9"},
	}
}

func nameCases() []try {
	unset := cfg(func(c *config.Config) { c.Ingress.Address = "" })
	certificate := func(f func(w *world) (bundle, key string)) func(*world) {
		return func(w *world) {
			bundle, key := f(w)
			w.cfg.Ingress.Certificate = config.Certificate{Bundle: bundle, Key: config.NewSecret(key)}
		}
	}
	uploaded := func(w *world) {
		w.cfg.Ingress.Certificate = config.Certificate{Existing: "theirs"}
		w.cloud.Certificates = []*compute.SslCertificate{{Name: "theirs", Certificate: certtest.Bundle(w.pki.Host, w.pki.Intermediate)}}
	}
	return []try{
		{id: "dns-api", name: "another address", change: record("dg.example.com", "10.128.0.9"), want: fail, message: "leads to 10.128.0.9, not to 10.128.0.50", fix: "dg.example.com. A 10.128.0.50"},
		{id: "dns-api", name: "two addresses", change: record("dg.example.com", "10.128.0.50", "10.128.0.51"), want: fail, message: "10.128.0.50, 10.128.0.51", fix: "and no other"},
		{id: "dns-api", name: "stray AAAA", change: record("dg.example.com", "10.128.0.50", "2001:db8::1"), want: fail, message: "AAAA record 2001:db8::1", fix: "delete the AAAA record"},
		{id: "dns-api", name: "no record", change: record("dg.example.com"), want: fail, message: "has no record", fix: "make the record: dg.example.com. A 10.128.0.50"},
		{id: "dns-api", name: "no record, nothing reserved", change: all(unset, record("dg.example.com")), want: skip, message: "no address is reserved", fix: "dnsRecords"},
		{id: "dns-api", name: "reserved", change: all(unset, address("dev-deepgram-ilb-ip-address", "10.128.0.50")), want: pass, message: "leads to 10.128.0.50"},
		{id: "dns-api", name: "reserved, forbidden", change: all(unset, deny("/addresses/")), want: skip, role: "roles/compute.viewer"},
		{id: "dns-api", name: "zone", change: all(zone("zone", "example.com.", "public")), want: pass},
		{id: "dns-api", name: "zone, first up", change: all(zone("zone", "example.com.", "public"), record("dg.example.com")), want: skip, fix: "pulumi up"},
		{id: "dns-api", name: "private zone", change: all(zone("zone", "example.com.", "private"), record("dg.example.com")), want: skip, message: "private zone", fix: "inside the network"},
		{id: "dns-api", name: "zone of another domain", change: zone("zone", "example.org.", "public"), want: fail, message: "is of example.org., not of dg.example.com", fix: "ingress.dnsZone"},
		{id: "dns-api", name: "zone of half a name", change: zone("zone", "ample.com.", "public"), want: fail},
		{id: "dns-api", name: "no such zone", change: zone("another", "example.com.", "public"), want: fail, message: "there is no zone zone"},
		{id: "dns-api", name: "zone forbidden", change: all(zone("zone", "example.com.", "public"), deny("/managedZones/")), want: skip, role: "roles/dns.reader"},
		{id: "dns-api", name: "DNS broken", change: func(w *world) { w.dnsBroken = true }, want: skip, message: "cannot be resolved here"},
		{id: "dns-grafana", name: "another address", change: record("monitor.example.com", "203.0.113.8"), want: fail, message: "leads to 203.0.113.8, not to 203.0.113.7"},
		{id: "dns-grafana", name: "stray AAAA", change: record("monitor.example.com", "203.0.113.7", "2001:db8::1"), want: fail, message: "AAAA"},
		{id: "dns-grafana", name: "forbidden", change: deny("/global/addresses"), want: skip, role: "roles/compute.viewer"},
		{id: "dns-grafana", name: "no Grafana", change: cfg(func(c *config.Config) { c.Grafana.Enabled = false }), want: skip},

		{id: "certificate", name: "wrong order", change: certificate(func(w *world) (string, string) {
			return certtest.Bundle(w.pki.Root, w.pki.Intermediate, w.pki.Host), ""
		}), want: fail, message: "wrong order", fix: `"CN=host", "CN=Intermediate", "CN=Root"`},
		{id: "certificate", name: "another key", change: certificate(func(w *world) (string, string) {
			return certtest.Bundle(w.pki.Host, w.pki.Intermediate), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
		}), want: fail, message: "the key cannot be read"},
		{id: "certificate", name: "6 days left", change: func(w *world) { w.o.Now = w.pki.Host.Cert.NotAfter.Add(-6 * 24 * time.Hour) }, want: fail, message: "in 6 days", fix: "ingress.previousCertificate"},
		{id: "certificate", name: "20 days left", change: func(w *world) { w.o.Now = w.pki.Host.Cert.NotAfter.Add(-20 * 24 * time.Hour) }, want: pass, message: "in 20 days"},
		{id: "certificate", name: "encrypted key", change: cfg(func(c *config.Config) { c.Ingress.Certificate.Key = config.EncryptedSecret() }), want: pass, message: "not compared: the key is encrypted in the stack file"},
		{id: "certificate", name: "none", change: cfg(func(c *config.Config) { c.Ingress.Certificate = config.Certificate{} }), want: fail, message: "has no bundle", fix: "pulumi config set"},
		{id: "certificate", name: "in the cloud", change: uploaded, want: pass, message: "expires on"},
		{id: "certificate", name: "in the cloud, for another host", change: all(uploaded, cfg(func(c *config.Config) { c.Ingress.Host = "other.example.com" })), want: fail, message: "does not cover other.example.com"},
		{id: "certificate", name: "in the cloud, gone", change: all(uploaded, func(w *world) { w.cloud.Certificates = nil }), want: fail, message: "no regional certificate theirs"},
		{id: "certificate", name: "in the cloud, forbidden", change: all(uploaded, deny("/sslCertificates/")), want: skip, role: "roles/compute.viewer"},
		{id: "previous-certificate", name: "at its end", change: func(w *world) {
			previous := w.cfg.Ingress.Certificate
			w.cfg.Ingress.PreviousCertificate = &previous
			w.o.Now = w.pki.Host.Cert.NotAfter.Add(-24 * time.Hour)
		}, want: pass, message: "in 1 day; another replaces it"},
		{id: "previous-certificate", name: "for another host", change: func(w *world) {
			previous := w.cfg.Ingress.Certificate
			w.cfg.Ingress.PreviousCertificate = &previous
			w.cfg.Ingress.Host = "other.example.com"
		}, want: fail, message: "does not cover"},
	}
}

func releaseCases() []try {
	refuse := func(w *world) { *w.refuse = true }
	oci := func(w *world) { w.cfg.Release.ChartRepository = "oci://" + w.o.Upstream + "/charts/" }
	existing := func(path string) func(*world) {
		return func(w *world) {
			w.cfg.Registry.Mode, w.cfg.Registry.URL = "existing", strings.Replace(w.o.Upstream, "/deepgram", path, 1)
		}
	}
	return []try{
		{id: "registry", name: "refused", change: refuse, want: fail, message: "refused the credentials (401)", fix: "credentials"},
		{id: "registry", name: "refused, password encrypted", change: all(refuse, func(w *world) { w.o.Distribution = false }), want: skip, fix: "DEEPGRAM_DIST_PASSWORD"},
		{id: "registry", name: "no connection", change: func(w *world) { w.o.Upstream = "127.0.0.1:1/deepgram" }, want: fail, message: "refuses connections"},
		{id: "registry", name: "existing", change: existing("/deepgram"), want: pass},
		{id: "release-images", name: "no such tag", change: cfg(func(c *config.Config) { c.Release.Tag = "release-260813" }), want: fail, message: "self-hosted-engine:release-260813", fix: "release.tag"},
		{id: "release-images", name: "refused", change: refuse, want: skip, fix: "see registry"},
		{id: "release-images", name: "no connection", change: func(w *world) { w.o.Upstream = "127.0.0.1:1/deepgram" }, want: skip},
		{id: "release-images", name: "existing", change: existing("/deepgram"), want: pass, message: "self-hosted-api:release-260812"},
		{id: "release-images", name: "existing, not there", change: existing("/empty"), want: fail, message: "/empty/self-hosted-api:release-260812"},
		{id: "chart", name: "no such version", change: cfg(func(c *config.Config) { c.Release.ChartVersion = "0.43.9" }), want: fail, message: "has no deepgram-self-hosted 0.43.9", fix: "0.42.0, 0.41.1, 0.9.0"},
		{id: "chart", name: "no repository", change: func(w *world) { *w.charts = "" }, want: fail, message: "404 Not Found"},
		{id: "chart", name: "no index", change: func(w *world) { *w.charts = "<html>login</html>: {" }, want: fail, message: "is not the index of a chart repository"},
		{id: "chart", name: "OCI", change: oci, want: pass},
		{id: "chart", name: "OCI, no such version", change: all(oci, cfg(func(c *config.Config) { c.Release.ChartVersion = "0.43.9" })), want: fail, message: "has no deepgram-self-hosted 0.43.9"},
		{id: "chart-and-release", name: "known not to work", change: cfg(func(c *config.Config) { c.Release.Tag = "release-260812-fips" }), want: fail, message: "readiness probes fail", fix: "chart 0.43.0 or newer"},
		{id: "chart-and-release", name: "never published together", change: cfg(func(c *config.Config) { c.Release.Tag = "release-250331" }), want: pass, message: "published with release-260812"},
		{id: "chart-and-release", name: "unknown chart", change: cfg(func(c *config.Config) { c.Release.ChartVersion = "9.9.9" }), want: fail, message: "not known here", fix: "0.42.0"},
		{id: "license-endpoint", name: "it wants a client's certificate", want: pass, message: "answers from here", fix: "kubectl -n deepgram run license-check"},
		{id: "license-endpoint", name: "refused", change: func(w *world) { w.o.License = "127.0.0.1:1" }, want: fail, message: "cannot be reached from here", fix: "port 443"},
		{id: "license-endpoint", name: "a proxy's page", change: func(w *world) {
			s := httptest.NewServer(nil)
			w.cleanup(s.Close)
			w.o.License = strings.TrimPrefix(s.URL, "http://")
		}, want: fail, message: "does not speak TLS", fix: "port 443"},
		{id: "license-endpoint", name: "a firewall", change: func(w *world) {
			w.o.Dial = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				_ = theirs.Close()
				return ours, nil
			}
		}, want: fail, message: "closes the connection"},
		{id: "license-endpoint", name: "airgapped", change: cfg(func(c *config.Config) { c.Billing.Enabled = true }), want: skip, message: "airgapped"},
		{id: "filestore", name: "large enough", change: cfg(func(c *config.Config) { c.Billing.Enabled, c.Billing.JournalGb = true, 1024 }), want: pass, message: "1024 GiB"},
		{id: "filestore", name: "too small", change: cfg(func(c *config.Config) { c.Billing.Enabled, c.Billing.JournalGb = true, 100 }), want: fail, message: "nothing below 1024 GiB", fix: "billing.journalGb: 1024"},
		{id: "filestore", name: "too small for the tier", change: cfg(func(c *config.Config) {
			c.Billing.Enabled, c.Billing.JournalGb, c.Billing.FilestoreTier = true, 1024, "premium"
		}), want: fail, message: "nothing below 2560 GiB"},
		{id: "filestore", name: "a disk", change: cfg(func(c *config.Config) { c.Billing.Enabled, c.Billing.Storage = true, "block" }), want: skip},
		{id: "kubernetes-version", name: "too old a channel", change: cfg(func(c *config.Config) { c.Cluster.ReleaseChannel = "STABLE" }), want: fail, message: "the default of channel STABLE is 1.27.16-gke.1008000; chart 0.42.0 wants >= 1.28.0-0"},
		{id: "kubernetes-version", name: "the chart wants more", change: func(w *world) { *w.charts = strings.Replace(indexYAML, ">= 1.28.0-0", ">= 1.34.0-0", 1) }, want: fail, message: "wants >= 1.34.0-0"},
		{id: "kubernetes-version", name: "no index", change: func(w *world) { *w.charts = "" }, want: pass, message: ">=1.28.0-0"},
		{id: "kubernetes-version", name: "the cluster's own", change: cluster(&container.Cluster{Name: "dev-deepgram-cluster", CurrentMasterVersion: "1.27.3-gke.100"}), want: fail, message: "the cluster dev-deepgram-cluster is 1.27.3-gke.100"},
		{id: "kubernetes-version", name: "existing, gone", change: cfg(func(c *config.Config) { c.Cluster.Existing = "theirs" }), want: fail, message: "there is no cluster theirs", fix: "cluster.existing"},
		{id: "kubernetes-version", name: "no such channel", change: cfg(func(c *config.Config) { c.Cluster.ReleaseChannel = "RAPID" }), want: fail, message: "no channel RAPID"},
		{id: "kubernetes-version", name: "cluster forbidden", change: deny("/clusters/"), want: skip, role: "roles/container.clusterViewer"},
		{id: "kubernetes-version", name: "versions forbidden", change: deny("/serverConfig"), want: skip, role: "roles/container.clusterViewer"},
		{id: "gpu-driver", name: "default is too old", change: cfg(func(c *config.Config) { c.Release.Tag, c.Pools.Engine.GPU.Driver = "release-260915", "DEFAULT" }), want: fail, message: "needs driver 580", fix: "LATEST"},
		{id: "gpu-driver", name: "default may do", change: cfg(func(c *config.Config) { c.Pools.Engine.GPU.Driver = "DEFAULT" }), want: skip, message: "570.172.08"},
		{id: "gpu-driver", name: "one's own", change: cfg(func(c *config.Config) { c.Pools.Engine.GPU.Driver = "DISABLED" }), want: skip, message: "what you install must be"},
		{id: "gpu-driver", name: "unknown release", change: cfg(func(c *config.Config) { c.Release.Tag = "custom" }), want: skip, message: "not known"},
	}
}
