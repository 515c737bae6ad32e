package chart

// Node roles: the values of the node label NodeTypeLabel.
const (
	NodeTypeLabel    = "k8s.deepgram.com/node-type"
	RoleAPI          = "api"
	RoleEngine       = "engine"
	RoleLicenseProxy = "license-proxy"
	RoleBilling      = "billing"
)

// Names of the Secrets and of the journal's claim that the values refer to.
const (
	PullSecret         = "dg-regcred"
	APIKeySecret       = "dg-self-hosted-api-key"
	APIKeyKey          = "DEEPGRAM_API_KEY"
	LicenseKeySecret   = "dg-license-key"
	LicenseKeyKey      = "DEEPGRAM_LICENSE_KEY"
	LicenseFileSecret  = "dg-license-file"
	LicenseFileKey     = "license.dg"
	GrafanaSecret      = "dg-grafana-admin"
	GrafanaUserKey     = "admin-user"
	GrafanaPasswordKey = "admin-password"
	JournalClaim       = "dg-billing-journal"
)

// Name is the chart's name in its repository.
const Name = "deepgram-self-hosted"

// QuayPrefix is where Deepgram publishes its images.
const QuayPrefix = "quay.io/deepgram"

// Inputs are what the values of one release are computed from. Zero values mean
// off, absent or none; defaults are the configuration's business.
type Inputs struct {
	// Version is the chart version.
	Version string
	// Release and Namespace are where the chart is installed. Required.
	Release, Namespace string
	// Tag is the tag of all four images. Required.
	Tag string
	// ImagePrefix is what comes before /self-hosted-api. Required.
	ImagePrefix string
	// InitImageRegistry is what comes before /ubuntu:22.04, the init container
	// of the airgapped mode; empty means ImagePrefix.
	InitImageRegistry string
	// MonitoringRegistry is the registry of the monitoring images, put before
	// their usual repository names; empty leaves them where their charts say.
	MonitoringRegistry string
	// UsePullSecret makes the pods pull with PullSecret.
	UsePullSecret bool
	// Zone is the zone of the engines and of the models disk. Required.
	Zone string
	// Labels are put on every object of the chart and on its pods.
	Labels map[string]string
	// GracePeriodSeconds is how long API and Engine may finish their requests.
	GracePeriodSeconds int
	// APIKeyHash, LicenseHash and LicenseFileHash go into pod annotations, so
	// that a rotation restarts the pods. Fingerprint makes them.
	APIKeyHash, LicenseHash, LicenseFileHash string
	// API, Engine and LicenseProxy are the components.
	API          API
	Engine       Engine
	LicenseProxy LicenseProxy
	// Models is the volume of the model files.
	Models Models
	// Scaling says how many pods run.
	Scaling Scaling
	// Monitoring is Prometheus, its adapter and Grafana.
	Monitoring Monitoring
	// Alerts are the thresholds of the alert rules.
	Alerts Alerts
	// Host is what the API's certificate is for, and CertificateExpires when that
	// certificate ends, in seconds since 1970; 0 where that is not known.
	Host               string
	CertificateExpires int64
	// Billing is the airgapped mode.
	Billing Billing
	// Extra are raw values merged last: maps are merged, lists replaced.
	Extra map[string]any
}

// Resources are Kubernetes quantities.
type Resources struct {
	RequestCPU, RequestMemory string
	LimitCPU, LimitMemory     string
}

// API sizes the API pods.
type API struct {
	Resources Resources
}

// Engine sizes the Engine pods.
type Engine struct {
	Resources Resources
	// GPUs is both request and limit.
	GPUs int
	// GPURequired makes an Engine refuse to start without a GPU.
	GPURequired bool
	// ActiveRequests is the hard limit of concurrent requests; 0 means none.
	ActiveRequests int
}

// LicenseProxy switches on and sizes the licence proxy.
type LicenseProxy struct {
	Enabled bool
	// Replicas is 1 or 2.
	Replicas                   int
	KeepUpstreamServerAsBackup bool
	Resources                  Resources
}

// Models is the read-only volume of the model files.
type Models struct {
	// VolumeHandle is projects/P/zones/Z/disks/D. Required.
	VolumeHandle string
	// Capacity is the disk's size, such as 200Gi. Required.
	Capacity string
	// NamePrefix names PV and PVC; a new disk needs a new one. Required.
	NamePrefix string
	// StorageClass is declarative only; empty means standard-rwo.
	StorageClass string
	// FSType is the file system; empty means ext4.
	FSType string
}

// Scaling says how many pods run. In Auto exactly one of the four targets is set.
type Scaling struct {
	Auto                        bool
	APIReplicas, EngineReplicas int
	MinReplicas, MaxReplicas    int
	StreamsPerPod               int
	BatchRequestsPerPod         int
	TTSRequestsPerPod           int
	CapacityRatio               float64
	ScaleUpStabilizationSeconds int
	// EngineToAPIRatio is how many Engine pods one API pod serves.
	EngineToAPIRatio int
	// KEDA leaves the autoscalers out: Scalers has what KEDA does instead.
	KEDA bool
}

// Monitoring is Prometheus, its adapter and Grafana.
type Monitoring struct {
	// Bundled installs them with the release.
	Bundled bool
	// Namespaces are further namespaces whose engines are scraped.
	Namespaces []string
	// RetentionDays and StorageGb are Prometheus's.
	RetentionDays, StorageGb int
	// Grafana installs Grafana, with a volume of GrafanaStorageGb.
	Grafana          bool
	GrafanaStorageGb int
}

// Alerts are the thresholds of the alert rules; 0 leaves the rule out.
type Alerts struct {
	// StreamLatencyMilliseconds is the longest p99 of the latency of streams.
	StreamLatencyMilliseconds int
	// ErrorPercent and RefusedPercent are the largest shares of requests that
	// fail (5xx) and that are refused (4xx, of which 429 is the one for capacity).
	ErrorPercent, RefusedPercent int
	// CapacityPercent is the largest share of the engines' capacity in use.
	CapacityPercent int
	// CertificateDays is the least time that the API's certificate has left.
	CertificateDays int
	// Runbooks is the address of the page with a heading for each alert; empty
	// links none.
	Runbooks string
}

// Billing is the airgapped mode.
type Billing struct {
	Enabled bool
	// Replicas is the number of billing pods; more than 1 needs a shared claim.
	Replicas int
	// JournalClaim is the claim of the journals. Required when enabled.
	JournalClaim string
	// BackupAlertHours is how old the last good copy of a journal may be before an
	// alert is raised; 0 where there is no backup.
	BackupAlertHours int
}
