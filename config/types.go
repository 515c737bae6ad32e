package config

// Config is one environment: everything that `pulumi up` needs to know. Each
// field below GCP is one key of the project's configuration namespace
// ("deepgram-stack:<key>"). Build one with Default, FromTree or FromEngine; call
// Complete to derive what is derived and Validate before using it.
type Config struct {
	// Stack is the name of the environment (the Pulumi stack). It is not a key.
	Stack string `json:"-"`
	// GCP holds the keys of the gcp namespace that the project reads.
	GCP GCP `json:"-"`

	// Environment names the environment and says whether it is production.
	Environment Environment `json:"environment"`
	// Release is what is installed: image tag, chart, namespace, licence.
	Release Release `json:"release"`
	// Registry is where the cluster pulls images from.
	Registry Registry `json:"registry"`
	// Network is the VPC network and its proxy-only subnet.
	Network Network `json:"network"`
	// Ingress is the internal HTTPS entrance to the Deepgram API.
	Ingress Ingress `json:"ingress"`
	// Grafana is the dashboard and its public HTTPS entrance.
	Grafana Grafana `json:"grafana"`
	// Cluster is the GKE cluster, created or existing.
	Cluster Cluster `json:"cluster"`
	// Pools are the node pools by role.
	Pools Pools `json:"pools"`
	// Models are the model files and the disks that hold them.
	Models Models `json:"models"`
	// API sizes the API pods.
	API API `json:"api"`
	// Engine sizes the Engine pods.
	Engine Engine `json:"engine"`
	// LicenseProxy switches on and sizes the licence proxy.
	LicenseProxy LicenseProxy `json:"licenseProxy"`
	// Scaling says how many pods run and what makes their number change.
	Scaling Scaling `json:"scaling"`
	// Monitoring says whose Prometheus is used.
	Monitoring Monitoring `json:"monitoring"`
	// Billing is the airgapped licence terminal and its usage journal.
	Billing Billing `json:"billing"`
	// Backup is the backup of the namespace by Velero or Backup for GKE.
	Backup Backup `json:"backup"`
	// Values are raw chart values, merged last, for what has no key yet. Every
	// key is checked against the chart's known keys, because the chart ignores
	// unknown ones without a word.
	Values map[string]any `json:"values"`
	// Policy sets levels, settings and exemptions of the policy pack.
	Policy Policy `json:"policy"`
}

// GCP is what the project reads of the gcp provider's own configuration.
type GCP struct {
	// Project is the Google Cloud project. Required.
	Project string `json:"project" required:"true" format:"project"`
	// Region is the region of cluster, addresses and certificates. Required.
	Region string `json:"region" required:"true" format:"region"`
	// Zone is the zone of the engines and of the models disk. Required.
	Zone string `json:"zone" required:"true" format:"zone"`
}

// Environment names the environment and says whether it is production.
type Environment struct {
	// Production protects models disk, journals, bucket and cluster from
	// deletion and replacement.
	Production bool `json:"production" default:"false"`
	// NamePrefix starts the name of every cloud object.
	NamePrefix string `json:"namePrefix" derived:"<stack>-deepgram" format:"name" maxlen:"40"`
	// Labels are put on every Google Cloud object that can carry labels.
	Labels map[string]string `json:"labels" format:"labels"`
}

// Release is what is installed (guide G-D.1).
type Release struct {
	// Tag is the Deepgram release, one for all images, such as release-250331.
	// Required.
	Tag string `json:"tag" required:"true" format:"image-tag"`
	// ChartVersion is the version of the deepgram-self-hosted chart.
	ChartVersion string `json:"chartVersion" default:"0.42.0" format:"semver"`
	// ChartRepository is an https:// chart repository, or an oci:// address.
	ChartRepository string `json:"chartRepository" default:"https://deepgram.github.io/self-hosted-resources" format:"chart-repository"`
	// Name is the Helm release's name.
	Name string `json:"name" default:"deepgram" format:"dns-label" maxlen:"53"`
	// Namespace is the Kubernetes namespace (guide G-C.3).
	Namespace string `json:"namespace" default:"deepgram" format:"dns-label"`
	// APIKey is the self-hosted API key of the Deepgram console (guide G-I, G-K.1).
	// Required unless billing is enabled.
	APIKey Secret `json:"apiKey"`
	// TimeoutSeconds bounds an installation or upgrade; the guide asks for 1 h.
	TimeoutSeconds int `json:"timeoutSeconds" default:"3600" min:"300" max:"14400"`
}

// Registry is where the cluster pulls images from (guide G-II).
type Registry struct {
	// Mode is mirror (copy the release's images by digest), pull-through (a
	// remote repository of quay.io), or existing (a registry that is there).
	Mode string `json:"mode" default:"mirror" enum:"mirror,pull-through,existing"`
	// Repository is the Artifact Registry repository.
	Repository string `json:"repository" default:"deepgram" format:"repository"`
	// Location is the repository's region or multi-region.
	Location string `json:"location" derived:"gcp:region" format:"location"`
	// Project is the repository's project.
	Project string `json:"project" derived:"gcp:project" format:"project"`
	// URL is the image prefix of an existing registry that is not Artifact
	// Registry, such as quay.io/deepgram or registry.example.com/deepgram.
	URL string `json:"url" format:"image-prefix"`
	// Distribution are the distribution credentials of the Deepgram console for
	// quay.io (guide G-I). Required for mirror and pull-through.
	Distribution Distribution `json:"distribution"`
	// Lock is a file that pins the digests of a mirror, relative to the project's
	// folder; make it with deepgram-ops images mirror --lock.
	Lock string `json:"lock"`
	// OpsImage is the image of deepgram-ops that jobs run (loading models, backups).
	// A mirror publishes it by itself; elsewhere deepgram-ops images publish does.
	OpsImage string `json:"opsImage" derived:"<registry>/deepgram-ops:<version>" format:"image"`
}

// Distribution are the credentials of quay.io (guide G-I).
type Distribution struct {
	// Username is the user name, such as deepgram+acme.
	Username string `json:"username"`
	// Password is the password that belongs to it.
	Password Secret `json:"password"`
}

// Network is the VPC network of the cluster (guide G-III).
type Network struct {
	// Network is the VPC network's name.
	Network string `json:"network" default:"default" format:"name"`
	// Subnetwork is the cluster's subnetwork, in gcp:region.
	Subnetwork string `json:"subnetwork" default:"default" format:"name"`
	// Project is the network's project, where it is a Shared VPC.
	Project string `json:"project" derived:"gcp:project" format:"project"`
	// ProxyOnlySubnet is the subnet of the load balancer's proxies.
	ProxyOnlySubnet ProxyOnlySubnet `json:"proxyOnlySubnet"`
	// PodsCidr is the range of the pods; empty lets GKE choose.
	PodsCidr string `json:"podsCidr" format:"cidr"`
	// ServicesCidr is the range of the services; empty lets GKE choose.
	ServicesCidr string `json:"servicesCidr" format:"cidr"`
	// PodsRange names a secondary range of the subnetwork, instead of PodsCidr.
	PodsRange string `json:"podsRange" format:"name"`
	// ServicesRange names a secondary range of the subnetwork, instead of ServicesCidr.
	ServicesRange string `json:"servicesRange" format:"name"`
}

// ProxyOnlySubnet is the subnet of the load balancer's proxies (guide G-III.1).
// There can be one active in each region of a network: give Cidr to create it, or
// Existing to use the one that is there.
type ProxyOnlySubnet struct {
	// Cidr is its range, /26 or larger. Also the source of the firewall rule.
	Cidr string `json:"cidr" default:"192.168.100.0/23" format:"cidr"`
	// Name is the name of the subnet to create.
	Name string `json:"name" derived:"<prefix>-proxy-only" format:"name"`
	// Existing is the name of the subnet to use instead of creating one. Its
	// range is looked up.
	Existing string `json:"existing" format:"name"`
}

// Ingress is the internal HTTPS entrance to the API (guide G-III, G-IV).
type Ingress struct {
	// Enabled creates the entrance.
	Enabled bool `json:"enabled" default:"true"`
	// Host is the DNS name clients use. Required when enabled.
	Host string `json:"host" format:"host"`
	// Address is the internal IP address; empty lets Google choose.
	Address string `json:"address" format:"ip"`
	// AddressName is the name of the address.
	AddressName string `json:"addressName" derived:"<prefix>-ilb-ip-address" format:"name"`
	// Certificate is the certificate the load balancer shows. Required when enabled.
	Certificate Certificate `json:"certificate"`
	// PreviousCertificate stays attached, second in the list, until it is
	// removed from the configuration: for a renewal without interruption.
	PreviousCertificate *Certificate `json:"previousCertificate"`
	// DNSZone is the Cloud DNS managed zone that gets the host's record; empty
	// gives the record to create by hand as the output dnsRecords.
	DNSZone string `json:"dnsZone" format:"name"`
	// StreamTimeoutSeconds is the longest a stream may last: the load
	// balancer's default of 30 s would cut every longer one.
	StreamTimeoutSeconds int `json:"streamTimeoutSeconds" default:"86400" min:"1" max:"2147483647"`
	// DrainSeconds is how long open streams may go on when a pod is taken out.
	DrainSeconds int `json:"drainSeconds" default:"1800" min:"0" max:"3600"`
	// HealthCheckPath is what the load balancer asks on port 8080.
	HealthCheckPath string `json:"healthCheckPath" default:"/v1/status" format:"path"`
}

// Certificate is a self-managed certificate (guide G-IV): bundle and key as
// text, or as files, or the name of a regional certificate that exists.
type Certificate struct {
	// Bundle is the PEM chain: the host's certificate first, then the CA's.
	Bundle string `json:"bundle" format:"pem"`
	// BundleFile is a file with that text, relative to the project's folder.
	BundleFile string `json:"bundleFile"`
	// Key is the PEM private key.
	Key Secret `json:"key"`
	// KeyFile is a file with that text, relative to the project's folder.
	KeyFile string `json:"keyFile"`
	// Name overrides the name, <prefix>-ilb-cert-<8 hex of the certificate>.
	Name string `json:"name" derived:"<prefix>-ilb-cert-<8 hex>" format:"name"`
	// Existing is the name of a regional certificate that is there already.
	Existing string `json:"existing" format:"name"`
}

// Grafana is the dashboard (guide G-V).
type Grafana struct {
	// Enabled installs Grafana; needs the bundled monitoring.
	Enabled bool `json:"enabled" default:"true"`
	// Host is its public DNS name. Required when enabled.
	Host string `json:"host" format:"host"`
	// AdminPassword is the password of the user admin. Required when enabled.
	AdminPassword Secret `json:"adminPassword"`
	// StorageGb is the size of its volume in GB.
	StorageGb int `json:"storageGb" default:"20" min:"1" max:"65536"`
	// DNSZone is the Cloud DNS managed zone that gets the host's record.
	DNSZone string `json:"dnsZone" format:"name"`
	// AddressName is the name of its global address.
	AddressName string `json:"addressName" derived:"<prefix>-grafana-alb-ip-address" format:"name"`
	// CertificateName is the name of its Google-managed certificate.
	CertificateName string `json:"certificateName" derived:"<prefix>-grafana-alb-cert" format:"name"`
}

// Cluster is the GKE cluster (guide G-C.1).
type Cluster struct {
	// Name is the cluster's name.
	Name string `json:"name" derived:"<prefix>-cluster" format:"name" maxlen:"40"`
	// Existing is the name of a cluster to use instead of creating one. Node
	// pools are still created in it, unless existingPools says that they are there.
	Existing string `json:"existing" format:"name"`
	// ExistingPools says that the existing cluster already has node pools with
	// the labels k8s.deepgram.com/node-type.
	ExistingPools bool `json:"existingPools" default:"false"`
	// Location is the region or zone of the control plane.
	Location string `json:"location" derived:"gcp:region" format:"location"`
	// NodeZones are the zones of the system, API and licence proxy nodes.
	NodeZones []string `json:"nodeZones" derived:"[gcp:zone]" format:"zone"`
	// ReleaseChannel is GKE's release channel.
	ReleaseChannel string `json:"releaseChannel" default:"REGULAR" enum:"RAPID,REGULAR,STABLE"`
	// ImageStreaming starts containers before their image is complete; works for
	// images in Artifact Registry.
	ImageStreaming bool `json:"imageStreaming" default:"true"`
	// DeletionProtection refuses to delete the cluster.
	DeletionProtection *bool `json:"deletionProtection" derived:"environment.production"`
	// Maintenance is when Google may upgrade the cluster.
	Maintenance Maintenance `json:"maintenance"`
	// Private gives the nodes no public addresses.
	Private Private `json:"private"`
}

// Maintenance is when Google may upgrade the cluster.
type Maintenance struct {
	// Start is the first window's start, RFC 3339.
	Start string `json:"start" default:"2025-01-04T08:00:00Z" format:"time"`
	// End is the first window's end, RFC 3339; at least 4 hours later.
	End string `json:"end" default:"2025-01-04T16:00:00Z" format:"time"`
	// Recurrence is an RFC 5545 rule. GKE asks for 48 hours in any 32 days.
	Recurrence string `json:"recurrence" default:"FREQ=WEEKLY;BYDAY=SA,SU" format:"rrule"`
	// Exclusions are times without upgrades.
	Exclusions []MaintenanceExclusion `json:"exclusions"`
}

// MaintenanceExclusion is a time without upgrades.
type MaintenanceExclusion struct {
	// Name is the exclusion's name. Required.
	Name string `json:"name" required:"true"`
	// Start is RFC 3339. Required.
	Start string `json:"start" required:"true" format:"time"`
	// End is RFC 3339. Required.
	End string `json:"end" required:"true" format:"time"`
	// Scope is what is excluded.
	Scope string `json:"scope" default:"NO_MINOR_UPGRADES" enum:"NO_UPGRADES,NO_MINOR_UPGRADES,NO_MINOR_OR_NODE_UPGRADES"`
}

// Private gives the nodes no public addresses.
type Private struct {
	// Enabled makes nodes private.
	Enabled bool `json:"enabled" default:"false"`
	// ControlPlaneCidr is the control plane's /28 range. Required when enabled.
	ControlPlaneCidr string `json:"controlPlaneCidr" format:"cidr"`
	// PrivateEndpoint takes the control plane off the internet too.
	PrivateEndpoint bool `json:"privateEndpoint" default:"false"`
	// DNSEndpoint opens the control plane's DNS endpoint, guarded by IAM.
	DNSEndpoint bool `json:"dnsEndpoint" default:"false"`
	// AuthorizedNetworks may reach the control plane.
	AuthorizedNetworks []AuthorizedNetwork `json:"authorizedNetworks"`
	// Egress is nat (a Cloud Router and Cloud NAT are created), or existing (the
	// network has its own way out).
	Egress string `json:"egress" default:"nat" enum:"nat,existing"`
}

// AuthorizedNetwork may reach the control plane.
type AuthorizedNetwork struct {
	// Cidr is the network's range. Required.
	Cidr string `json:"cidr" required:"true" format:"cidr"`
	// Name says what it is.
	Name string `json:"name"`
}

// Pools are the node pools by role (guide G-C.2).
type Pools struct {
	// System carries GKE's own pods and monitoring.
	System Pool `json:"system" defaults:"{machineType: n2-standard-2, minNodes: 1, maxNodes: 3}"`
	// API carries API pods.
	API Pool `json:"api" defaults:"{machineType: n2-standard-4, minNodes: 1, maxNodes: 11}"`
	// Engine carries Engine pods, all in gcp:zone.
	Engine Pool `json:"engine" defaults:"{machineType: g2-standard-12, minNodes: 1, maxNodes: 11, gpu: {type: nvidia-l4, count: 1, driver: LATEST}}"`
	// LicenseProxy carries licence proxies; one node more than replicas, for the surge.
	LicenseProxy Pool `json:"licenseProxy" defaults:"{machineType: n2-standard-2, minNodes: 1, maxNodes: 2}"`
	// Billing carries the billing container; only with billing.enabled.
	Billing Pool `json:"billing" defaults:"{machineType: n2-standard-2, minNodes: 1, maxNodes: 2}"`
}

// Pool is one node pool.
type Pool struct {
	// Name is the pool's name.
	Name string `json:"name" derived:"<role>-pool" format:"name" maxlen:"40"`
	// MachineType is the Compute Engine machine type.
	MachineType string `json:"machineType" format:"machine-type"`
	// MinNodes is the fewest nodes, over all its zones.
	MinNodes int `json:"minNodes" min:"0" max:"1000"`
	// MaxNodes is the most nodes, over all its zones.
	MaxNodes int `json:"maxNodes" min:"1" max:"1000"`
	// DiskGb is the boot disk in GB.
	DiskGb int `json:"diskGb" default:"100" min:"10" max:"65536"`
	// DiskType is the boot disk's type.
	DiskType string `json:"diskType" default:"pd-balanced" enum:"pd-standard,pd-balanced,pd-ssd,hyperdisk-balanced"`
	// ImageType is the node image.
	ImageType string `json:"imageType" default:"COS_CONTAINERD" format:"image-type"`
	// GPU is the accelerator; engine pool only.
	GPU *GPU `json:"gpu"`
	// Spot uses spot VMs, which Google may take away at any time.
	Spot bool `json:"spot" default:"false"`
	// Reservation is the name of a Compute Engine reservation to use.
	Reservation string `json:"reservation" format:"name"`
	// Upgrade says how nodes are replaced.
	Upgrade Upgrade `json:"upgrade"`
}

// GPU is the accelerator of a pool.
type GPU struct {
	// Type is the accelerator type.
	Type string `json:"type" default:"nvidia-l4" format:"accelerator"`
	// Count is how many each node has.
	Count int `json:"count" default:"1" min:"1" max:"16"`
	// Driver is GKE's driver version: LATEST, DEFAULT or DISABLED.
	Driver string `json:"driver" default:"LATEST" enum:"LATEST,DEFAULT,DISABLED"`
	// Partition is a MIG partition size; Deepgram does not support MIG.
	Partition string `json:"partition"`
	// Sharing is a GPU sharing strategy; empty shares nothing.
	Sharing string `json:"sharing" enum:",TIME_SHARING,MPS"`
	// MaxSharedClients is how many pods share a GPU; only with sharing.
	MaxSharedClients int `json:"maxSharedClients" min:"0" max:"48"`
}

// Upgrade says how the nodes of a pool are replaced.
type Upgrade struct {
	// Strategy is SURGE or BLUE_GREEN.
	Strategy string `json:"strategy" default:"SURGE" enum:"SURGE,BLUE_GREEN"`
	// MaxSurge is how many nodes may be added at a time.
	MaxSurge int `json:"maxSurge" default:"1" min:"0" max:"20"`
	// MaxUnavailable is how many nodes may be missing at a time.
	MaxUnavailable int `json:"maxUnavailable" default:"0" min:"0" max:"20"`
}

// Models are the model files and the disks that hold them (guide G-S). Give
// files for one set, or sets and active for several.
type Models struct {
	// Disk is the disk of the only set, and the default of every set's disk.
	Disk Disk `json:"disk"`
	// Files are the model files of the only set.
	Files []ModelFile `json:"files"`
	// Active names the set that the engines use.
	Active string `json:"active" format:"dns-label"`
	// Sets are several sets, each on a disk of its own, for a rolling change and
	// for rollback. Every set listed keeps its disk.
	Sets map[string]ModelSet `json:"sets"`

	// prefix starts the names of disks; Complete sets it.
	prefix string
}

// Disk is a models disk (guide G-S.1).
type Disk struct {
	// SizeGb is its size in GB; it can grow and never shrinks.
	SizeGb int `json:"sizeGb" default:"200" min:"10" max:"65536"`
	// Type is the disk's type; it must suit the engine's machine family.
	Type string `json:"type" default:"pd-ssd" enum:"pd-standard,pd-balanced,pd-ssd,hyperdisk-balanced,hyperdisk-ml"`
	// Name overrides the name.
	Name string `json:"name" derived:"<prefix>-model-storage, with -<8 hex of the list> where files are given" format:"name"`
	// Existing is the name of a disk in gcp:zone that is already filled.
	Existing string `json:"existing" format:"name"`
}

// ModelFile is one model file (guide G-S.4).
type ModelFile struct {
	// URL is https:// (a signed link is a secret) or gs://. Required.
	URL Secret `json:"url" required:"true"`
	// Sha256 is the file's digest, 64 hex digits.
	Sha256 string `json:"sha256" format:"sha256"`
	// Name is the file's name on the disk.
	Name string `json:"name" derived:"last part of the url" format:"filename"`
}

// ModelSet is one set of models on a disk of its own.
type ModelSet struct {
	// Files are the model files of the set.
	Files []ModelFile `json:"files"`
	// Disk overrides models.disk for this set.
	Disk *Disk `json:"disk" inherits:"models.disk"`
	// Retire is the earliest day (YYYY-MM-DD) on which the set's disk may be
	// removed: the first up on or after it lifts the protection; then take the set
	// out of the list, and the next up deletes.
	Retire string `json:"retire" format:"date"`
}

// API sizes the API pods.
type API struct {
	// Resources are requests and limits of an API pod.
	Resources Resources `json:"resources" defaults:"{requests: {cpu: 2, memory: 4Gi}, limits: {cpu: 4, memory: 12Gi}}"`
}

// Engine sizes the Engine pods.
type Engine struct {
	// Resources are requests and limits of an Engine pod.
	Resources EngineResources `json:"resources"`
	// ActiveRequests is the hard limit of requests an Engine works on at the
	// same time (engine.concurrencyLimit.activeRequests, guide G-A).
	ActiveRequests *int `json:"activeRequests" min:"1" max:"100000"`
	// GPURequired makes an Engine refuse to start without a GPU.
	GPURequired bool `json:"gpuRequired" default:"true"`
}

// Resources are a pod's requests and limits.
type Resources struct {
	// Requests are what a pod is sure to get.
	Requests Quantities `json:"requests"`
	// Limits are what a pod may use.
	Limits Quantities `json:"limits"`
}

// EngineResources are an Engine pod's requests, limits and GPUs.
type EngineResources struct {
	// Requests are what a pod is sure to get.
	Requests Quantities `json:"requests" defaults:"{cpu: 5, memory: 24Gi}"`
	// Limits are what a pod may use.
	Limits Quantities `json:"limits" defaults:"{cpu: 12, memory: 40Gi}"`
	// GPUs is the number of GPUs of a pod.
	GPUs int `json:"gpus" default:"1" min:"0" max:"16"`
}

// Quantities are Kubernetes resource quantities.
type Quantities struct {
	// CPU in cores, such as 2, 0.5 or 500m.
	CPU Quantity `json:"cpu" format:"quantity"`
	// Memory, such as 4Gi.
	Memory Quantity `json:"memory" format:"quantity"`
}

// LicenseProxy switches on and sizes the licence proxy.
type LicenseProxy struct {
	// Enabled installs the licence proxy. With billing it follows
	// billing.architecture: standard has none, highly-available needs it.
	Enabled bool `json:"enabled" default:"true"`
	// Replicas is 1 or 2; the chart knows no other number.
	Replicas int `json:"replicas" default:"1" min:"1" max:"2"`
	// KeepUpstreamServerAsBackup lets API and Engine reach license.deepgram.com
	// themselves when the proxy cannot be reached. Without effect where billing is
	// enabled: an airgapped deployment never asks it.
	KeepUpstreamServerAsBackup bool `json:"keepUpstreamServerAsBackup" default:"true"`
	// Resources are requests and limits of a licence proxy pod.
	Resources Resources `json:"resources" defaults:"{requests: {cpu: 1, memory: 4Gi}, limits: {cpu: 2, memory: 8Gi}}"`
}

// Scaling says how many pods run (guide G-A).
type Scaling struct {
	// Auto lets the load decide.
	Auto bool `json:"auto" default:"true"`
	// Engine is the number of Engine pods and what changes it.
	Engine EngineScaling `json:"engine"`
	// API is the number of API pods where auto is off.
	API APIScaling `json:"api"`
	// EngineToAPIRatio is how many Engine pods one API pod serves: 1 to 16.
	EngineToAPIRatio int `json:"engineToApiRatio" default:"1" min:"1"`
	// KEDA lets KEDA scale, instead of the chart's own autoscalers.
	KEDA KEDA `json:"keda"`
}

// KEDA lets KEDA scale: it gets a ScaledObject for the engines and one for the
// API, and the chart's autoscalers and their adapter are left out. KEDA itself must
// be in the cluster; it is not installed.
type KEDA struct {
	// Enabled uses KEDA; needs scaling.auto.
	Enabled bool `json:"enabled" default:"false"`
	// PrometheusURL is the Prometheus that KEDA asks. Required with
	// monitoring.mode existing.
	PrometheusURL string `json:"prometheusUrl" derived:"the bundled Prometheus, or with monitoring.mode google Google's" format:"https-url"`
	// PollingSeconds is how often KEDA asks.
	PollingSeconds int `json:"pollingSeconds" default:"15" min:"1" max:"600"`
}

// EngineScaling is the number of Engine pods and what changes it. Exactly one
// of the targets is used: streamsPerPod, batchRequestsPerPod,
// ttsRequestsPerPod or capacityRatio.
type EngineScaling struct {
	// Replicas is the number where auto is off, and with KEDA the number with which
	// an update of the release begins, unless minReplicas is more.
	Replicas int `json:"replicas" default:"1" min:"1" max:"1000"`
	// MinReplicas is the fewest.
	MinReplicas int `json:"minReplicas" default:"2" min:"1" max:"1000"`
	// MaxReplicas is the most.
	MaxReplicas int `json:"maxReplicas" default:"10" min:"1" max:"1000"`
	// StreamsPerPod is the target of active streams for each pod; 30 where no
	// other target is given.
	StreamsPerPod *int `json:"streamsPerPod" derived:"30 where no other target is given" min:"1" max:"100000"`
	// BatchRequestsPerPod is the target of active batch requests for each pod.
	BatchRequestsPerPod *int `json:"batchRequestsPerPod" min:"1" max:"100000"`
	// TTSRequestsPerPod is the target of active text-to-speech requests for each pod.
	TTSRequestsPerPod *int `json:"ttsRequestsPerPod" min:"1" max:"100000"`
	// CapacityRatio is the target share (over 0, at most 1) of engine.activeRequests.
	CapacityRatio *float64 `json:"capacityRatio" min:"0" max:"1"`
	// ScaleUpStabilizationSeconds is how long load must last before pods are added.
	ScaleUpStabilizationSeconds int `json:"scaleUpStabilizationSeconds" default:"120" min:"0" max:"3600"`
}

// APIScaling is the number of API pods where auto is off.
type APIScaling struct {
	// Replicas is the number where auto is off.
	Replicas int `json:"replicas" default:"1" min:"1" max:"1000"`
}

// Monitoring says whose Prometheus is used, and what it warns of.
type Monitoring struct {
	// Mode is bundled (this release brings Prometheus, its adapter and Grafana),
	// existing (another release's, or the cluster's own), or google (Google Managed
	// Prometheus, which is then switched on in a cluster that is made here).
	Mode string `json:"mode" default:"bundled" enum:"bundled,existing,google"`
	// Namespaces are further namespaces whose engines the bundled Prometheus
	// scrapes, for releases beside this one with mode existing.
	Namespaces []string `json:"namespaces" format:"dns-label"`
	// RetentionDays is how long measurements are kept.
	RetentionDays int `json:"retentionDays" default:"15" min:"1" max:"730"`
	// StorageGb is the size of Prometheus's volume in GB.
	StorageGb int `json:"storageGb" default:"50" min:"1" max:"65536"`
	// Rules says what takes the alert rules where mode is not bundled: operator (a
	// PrometheusRule, for the Prometheus operator), google (ClusterRules, for Google
	// Managed Prometheus) or none. The bundled Prometheus always has them.
	Rules string `json:"rules" derived:"google with mode google, otherwise operator" enum:",operator,google,none"`
	// RuleLabels are the labels by which the operator's Prometheus finds rules;
	// only with mode existing and rules operator.
	RuleLabels map[string]string `json:"ruleLabels" derived:"release: <release.name>" format:"labels"`
	// Dashboard makes the Grafana dashboard: a ConfigMap with the label
	// grafana_dashboard, which the sidecar of the bundled Grafana, or of yours, reads.
	Dashboard bool `json:"dashboard" default:"true"`
	// GPUMetrics lets GKE install NVIDIA's DCGM exporter in a cluster that is made
	// here, for the graphs of the GPUs and the alert DeepgramGPUIdle. GKE does so
	// only with its managed Prometheus, whose samples cost. Mode google has it.
	GPUMetrics bool `json:"gpuMetrics" default:"false"`
	// Alerts are the thresholds of the alerts (docs/alerts.md); 0 leaves one out.
	Alerts Alerts `json:"alerts"`
}

// Alerts are the thresholds of the alerts; 0 leaves one out.
type Alerts struct {
	// StreamLatencyMilliseconds is the longest p99 of the latency of streams.
	StreamLatencyMilliseconds int `json:"streamLatencyMilliseconds" default:"1500" min:"0" max:"60000"`
	// ErrorPercent is the largest share of requests answered with 5xx.
	ErrorPercent int `json:"errorPercent" default:"5" min:"0" max:"100"`
	// RefusedPercent is the largest share of requests answered with 4xx, of which
	// 429 is the one for missing capacity.
	RefusedPercent int `json:"refusedPercent" default:"5" min:"0" max:"100"`
	// CapacityPercent is the largest share of the engines' capacity in use (guide G-A).
	CapacityPercent int `json:"capacityPercent" default:"70" min:"0" max:"100"`
	// CertificateDays is the least time that the API's certificate has left, in
	// days; below 7 days the alert is critical (guide G-M.cert).
	CertificateDays int `json:"certificateDays" default:"30" min:"0" max:"365"`
	// Runbooks is the page with a heading for each alert, to which alerts link.
	Runbooks string `json:"runbooks" default:"https://github.com/deepgram-gke/deepgram-gke/blob/main/docs/alerts.md" format:"https-url"`
}

// Billing is the airgapped licence terminal and its usage journal (airgapped guide).
type Billing struct {
	// Enabled installs it: the deployment is then airgapped.
	Enabled bool `json:"enabled" default:"false"`
	// Architecture is standard (API and Engine ask billing; no licence proxy is
	// installed) or highly-available (they ask the licence proxy, and it asks billing).
	Architecture string `json:"architecture" default:"standard" enum:"standard,highly-available"`
	// Storage is shared (ReadWriteMany) or block (ReadWriteOnce).
	Storage string `json:"storage" default:"shared" enum:"shared,block"`
	// Replicas is the number of billing pods; more than 1 needs shared storage.
	Replicas int `json:"replicas" default:"1" min:"1" max:"10"`
	// LicenseKey is DEEPGRAM_LICENSE_KEY. Required when enabled.
	LicenseKey Secret `json:"licenseKey"`
	// LicenseFile is the text of the .dg licence file. Required when enabled.
	LicenseFile Secret `json:"licenseFile"`
	// JournalGb is the size of the journal's volume in GiB. Filestore has nothing
	// below 1024 GiB (tier premium: 2560), about 164 USD a month at the list price
	// of us-central1; a block volume of 10 GiB costs about 1 USD.
	JournalGb int `json:"journalGb" derived:"the least of the Filestore tier with shared storage, 10 otherwise" min:"1" max:"65536"`
	// StorageClass is a class that the cluster has, such as efs-sc or gp3 on a
	// cluster that is not GKE. Empty makes one for the journals, with Filestore or
	// a persistent disk, that keeps the volume when its claim is deleted.
	StorageClass string `json:"storageClass" format:"class-name"`
	// FilestoreTier is Filestore's tier; only with shared storage and without
	// storageClass.
	FilestoreTier string `json:"filestoreTier" default:"standard" enum:"standard,premium,zonal,enterprise"`
	// DiskType is the disk's type; only with block storage and without storageClass.
	DiskType string `json:"diskType" default:"pd-balanced" enum:"pd-standard,pd-balanced,pd-ssd,hyperdisk-balanced"`
	// ExistingClaim is a claim in the release's namespace to use instead of making
	// one. Its access mode must be that of storage.
	ExistingClaim string `json:"existingClaim" format:"claim-name"`
	// ShareModels keeps the journals on the models volume (guide A-SHARED-MODELS),
	// in a folder for each pod. Only where the engines' volume is writable by many:
	// a claim given by values.engine.modelManager.volumes.customVolumeClaim.
	ShareModels bool `json:"shareModels" default:"false"`
	// DeliveryDays is the longest time between two deliveries of the journals to
	// Deepgram: as long, at least, every copy has to be kept.
	DeliveryDays int `json:"deliveryDays" default:"31" min:"1" max:"3650"`
	// Backup is the daily copy of the journals.
	Backup BillingBackup `json:"backup"`
}

// BillingBackup is the scheduled copy of the journals (guide A-CRON).
type BillingBackup struct {
	// Enabled installs the CronJob.
	Enabled bool `json:"enabled" default:"true"`
	// Schedule is a cron expression.
	Schedule string `json:"schedule" default:"0 2 * * *" format:"cron"`
	// TimeZone is the schedule's time zone.
	TimeZone string `json:"timeZone" default:"Etc/UTC" format:"timezone"`
	// AlertHours is how old the last good copy of a replica's journal may be, in
	// hours, before an alert is raised.
	AlertHours int `json:"alertHours" derived:"the longest pause of the schedule and 6" min:"1" max:"9600"`
	// Target is gcs (Cloud Storage, by Workload Identity), s3 (S3 and what speaks
	// it) or volume (a claim or an NFS share, where there is no object store).
	Target string `json:"target" default:"gcs" enum:"gcs,s3,volume"`
	// Bucket is the bucket of gcs or s3.
	Bucket string `json:"bucket" derived:"<project>-<prefix>-journals" format:"bucket"`
	// ExistingBucket says that the Cloud Storage bucket is there. Its retention is
	// then its owner's business. A bucket of s3 is always there.
	ExistingBucket bool `json:"existingBucket" default:"false"`
	// Folder is where in the bucket or volume the copies are; empty means its root.
	Folder string `json:"folder" format:"folder"`
	// Location is the new bucket's region or multi-region.
	Location string `json:"location" derived:"gcp:region" format:"location"`
	// RetentionDays is how long a copy in the new bucket cannot be deleted.
	RetentionDays int `json:"retentionDays" default:"365" min:"1" max:"3650"`
	// HoldUntilDelivered puts a hold on every new object of the new bucket: until it
	// is released, nobody can delete the object; then the retention begins.
	HoldUntilDelivered bool `json:"holdUntilDelivered" default:"true"`
	// RunAsUser is the user that reads the journals: one that may read billing's
	// files, and write to volume. 0, root, is needed only where billing's are its own.
	RunAsUser int `json:"runAsUser" default:"65532" min:"0" max:"2147483647"`
	// S3 is how s3 is reached.
	S3 BackupS3 `json:"s3"`
	// Volume is where volume is.
	Volume BackupVolume `json:"volume"`
}

// BackupS3 is how S3, or what speaks it, is reached: by a role of the service
// account (EKS), or by keys.
type BackupS3 struct {
	// Endpoint is the store's https:// address; empty means Amazon's.
	Endpoint string `json:"endpoint" format:"https-url"`
	// Region is the bucket's region. Required for s3; most stores that are not
	// Amazon's take any.
	Region string `json:"region" format:"s3-region"`
	// RoleARN is the IAM role of the service account, instead of keys.
	RoleARN string `json:"roleArn" format:"role-arn"`
	// AccessKeyID and SecretAccessKey are keys that may create, read and list.
	AccessKeyID Secret `json:"accessKeyId"`
	// SecretAccessKey belongs to AccessKeyID.
	SecretAccessKey Secret `json:"secretAccessKey"`
}

// BackupVolume is a volume for the copies: a claim, or an NFS share.
type BackupVolume struct {
	// Claim is a claim in the release's namespace, not that of the journals.
	Claim string `json:"claim" format:"claim-name"`
	// Server is an NFS server's name or address.
	Server string `json:"server" format:"server"`
	// Path is the path that the NFS server exports.
	Path string `json:"path" format:"path"`
}

// Backup is a scheduled backup of the release's namespace: its objects, its
// Secrets and the volume of the journals (guide G-M.backup). The models disk is
// never in it: models can be loaded again. See docs/backup.md.
type Backup struct {
	// Mode is none, gke (Backup for GKE: plans are made, and its agent is switched on
	// in a cluster that is made here) or velero (a Schedule for a Velero that is in
	// the cluster; it is not installed).
	Mode string `json:"mode" default:"none" enum:"none,gke,velero"`
	// Schedule is a cron expression in UTC.
	Schedule string `json:"schedule" default:"0 3 * * *" format:"cron"`
	// RetentionDays is how long a backup is kept. With billing it must be
	// billing.deliveryDays or more.
	RetentionDays int `json:"retentionDays" default:"90" min:"1" max:"3650"`
	// LockDays is how long nobody can delete a backup; only with mode gke.
	LockDays int `json:"lockDays" default:"0" min:"0" max:"90"`
	// Location is the region of the backups; only with mode gke.
	Location string `json:"location" derived:"gcp:region" format:"region"`
	// VeleroNamespace is Velero's own namespace; only with mode velero.
	VeleroNamespace string `json:"veleroNamespace" default:"velero" format:"dns-label"`
	// StorageLocation is Velero's BackupStorageLocation; empty means its default.
	StorageLocation string `json:"storageLocation" format:"dns-label"`
}

// Policy sets up the policy pack.
type Policy struct {
	// Levels are advisory, mandatory or disabled, by policy.
	Levels map[string]string `json:"levels"`
	// Settings are the policies' settings, by policy.
	Settings map[string]map[string]any `json:"settings"`
	// Exemptions are recorded exceptions.
	Exemptions []Exemption `json:"exemptions"`
}

// Exemption is a recorded exception of a policy.
type Exemption struct {
	// Policy is the policy's name. Required.
	Policy string `json:"policy" required:"true"`
	// URN is a resource's URN, or a pattern "type::name" with *. Required.
	URN string `json:"urn" required:"true"`
	// Reason says why. Required.
	Reason string `json:"reason" required:"true"`
	// Owner says who answers for it. Required.
	Owner string `json:"owner" required:"true"`
	// Expires is its last day, YYYY-MM-DD. Required.
	Expires string `json:"expires" required:"true" format:"date"`
}
