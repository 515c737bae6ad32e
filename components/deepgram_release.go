package components

import (
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// DeepgramRelease is one installation of Deepgram in a cluster: its namespace
// and Secrets, the chart's release (guide G-D.1), the API's internal entrance
// and Grafana's public one.
type DeepgramRelease struct {
	pulumi.ResourceState

	// Release is the chart's Helm release, for callers that must wait for it.
	Release pulumi.Resource
	// Namespace is the namespace's name; it is known when the namespace is there.
	Namespace pulumi.StringOutput `pulumi:"namespace"`
	// ReleaseName is the Helm release's name.
	ReleaseName pulumi.StringOutput `pulumi:"releaseName"`
	// APIURL is where clients reach the API, "https://host"; empty without entrance.
	APIURL pulumi.StringOutput `pulumi:"apiUrl"`
	// GrafanaURL is "https://host"; empty where Grafana is not installed.
	GrafanaURL pulumi.StringOutput `pulumi:"grafanaUrl"`
	// Values are the chart's values as they are passed. They hold no secret.
	Values pulumi.MapOutput `pulumi:"values"`
	// Images maps a component (api, engine, licenseProxy, billing, init) to its
	// image reference.
	Images pulumi.StringMapOutput `pulumi:"images"`
	// LicenseRoute says whom API and Engine ask for their licence, and who asks
	// whom from there.
	LicenseRoute pulumi.StringOutput `pulumi:"licenseRoute"`
	// Status is the release's status, "deployed" once every pod is ready.
	Status pulumi.StringOutput `pulumi:"status"`
	// Ready is what a dependent has to wait for.
	Ready []pulumi.Resource
}

// DeepgramReleaseArgs says what is installed and how it is reached.
type DeepgramReleaseArgs struct {
	// Release names tag, chart, release and namespace. APIKey and the secrets of
	// the other plain fields are not read: secrets come as inputs, below.
	Release config.Release
	// API, Engine and LicenseProxy size the pods.
	API          config.API
	Engine       config.Engine
	LicenseProxy config.LicenseProxy
	// Scaling says how many pods run (guide G-A).
	Scaling config.Scaling
	// Monitoring says whose Prometheus is used.
	Monitoring config.Monitoring
	// Grafana is the dashboard; its DNS and names are not read.
	Grafana config.Grafana
	// Ingress is the API's entrance: host, timeouts, health check. Its address,
	// certificate and DNS are not read.
	Ingress config.Ingress
	// Billing is the airgapped mode.
	Billing config.Billing
	// CertificateExpires is when the API's certificate ends, for the alert and the
	// dashboard; zero where that is not known.
	CertificateExpires time.Time
	// GCPProject is the project of Google Managed Prometheus. Required with
	// Monitoring.Mode google and Scaling.KEDA.
	GCPProject string
	// Values are raw chart values merged last.
	Values map[string]any
	// Zone is the zone of the engines and of the models disk. Required.
	Zone string
	// Labels are put on every Kubernetes object, the chart's included. The chart's
	// own selectors (app, app.kubernetes.io/…) are not allowed.
	Labels map[string]string
	// Production protects the namespace from deletion.
	Production bool

	// CreateNamespace creates the namespace; otherwise it must be there.
	CreateNamespace bool
	// Prepare registers what must be in the namespace before the chart is installed,
	// such as a Billing. It is called once, with the namespace's resource (empty
	// where it is there already), which what it registers has to depend on, and
	// returns what the release has to wait for.
	Prepare func(namespace []pulumi.Resource) ([]pulumi.Resource, error)
	// After is what the release waits for beyond its own objects: the models disk,
	// the right to pull images.
	After []pulumi.Resource
	// IngressAfter is what both entrances wait for, and what therefore outlives
	// them: proxy-only subnet, firewall, addresses.
	IngressAfter []pulumi.Resource
	// ChartPath is a folder or archive of the chart, used instead of the
	// repository.
	ChartPath string
	// UsePullSecret makes the pods pull with the Secret dg-regcred: for images
	// that come straight from quay.io. Needs PullUsername and PullPassword.
	UsePullSecret bool

	// ImagePrefix is what comes before "/self-hosted-api", such as
	// us-central1-docker.pkg.dev/acme/deepgram. Required.
	ImagePrefix pulumi.StringInput
	// APIKey is the self-hosted API key (guide G-K.1). Required unless billing is
	// enabled. Marked secret, whatever is passed.
	APIKey pulumi.StringInput
	// PullServer is the registry of the Secret dg-regcred; nil means quay.io.
	PullServer pulumi.StringInput
	// PullUsername and PullPassword are the distribution credentials. With both
	// nil the Secret dg-regcred is not made.
	PullUsername pulumi.StringInput
	PullPassword pulumi.StringInput
	// GrafanaPassword is the password of Grafana's user admin. Required with Grafana.
	GrafanaPassword pulumi.StringInput
	// LicenseKey and LicenseFile are what the Secrets dg-license-key and
	// dg-license-file hold: here only for the hash that restarts pods when they
	// change. The Secrets belong to the Billing component.
	LicenseKey  pulumi.StringInput
	LicenseFile pulumi.StringInput
	// JournalClaim is the claim of the journals; nil means dg-billing-journal.
	JournalClaim pulumi.StringInput

	// VolumeHandle is the models disk, projects/P/zones/Z/disks/D. Required.
	VolumeHandle pulumi.StringInput
	// StorageCapacity is that disk's size, such as 200Gi. Required.
	StorageCapacity pulumi.StringInput
	// ModelNamePrefix names the models volume; another disk needs another one,
	// and so does a second release in the same cluster. Required.
	ModelNamePrefix pulumi.StringInput

	// IngressAddressName is the regional internal address. Required with ingress.
	IngressAddressName pulumi.StringInput
	// CertificateNames are regional certificates, the one in use first. Required
	// with ingress.
	CertificateNames pulumi.StringArrayInput
	// GrafanaAddressName is the global external address. Required with Grafana.
	GrafanaAddressName pulumi.StringInput
	// GrafanaCertificateName names the Google-managed certificate that is made.
	// Required with Grafana.
	GrafanaCertificateName pulumi.StringInput
}

// Validate reports every mistake in the arguments.
func (a *DeepgramReleaseArgs) Validate() error {
	_, err := a.compute()
	return err
}

// NewDeepgramRelease installs Deepgram. Pass the cluster's Kubernetes provider
// with pulumi.Provider. It fails before anything is registered where an argument
// is wrong.
func NewDeepgramRelease(
	ctx *pulumi.Context, name string, args *DeepgramReleaseArgs, opts ...pulumi.ResourceOption,
) (*DeepgramRelease, error) {
	if args == nil {
		args = &DeepgramReleaseArgs{} // compute tells what is missing
	}
	plan, err := args.compute()
	if err != nil {
		return nil, fmt.Errorf("deepgram release %q: %w", name, err)
	}
	d := &DeepgramRelease{}
	inputs := pulumi.Map{
		"release":      pulumi.String(args.Release.Name),
		"namespace":    pulumi.String(args.Release.Namespace),
		"tag":          pulumi.String(args.Release.Tag),
		"chartVersion": pulumi.String(args.Release.ChartVersion),
		"zone":         pulumi.String(args.Zone),
	}
	if err := ctx.RegisterComponentResourceV2("deepgram:index:DeepgramRelease", name, inputs, d, opts...); err != nil {
		return nil, err
	}
	b := &releaseBuilder{ctx: ctx, name: name, args: args, parent: d}
	if err := b.namespaceAndSecrets(plan); err != nil {
		return nil, err
	}
	if args.Prepare != nil {
		ready, err := args.Prepare(b.made)
		if err != nil {
			return nil, err
		}
		b.before = append(b.before, ready...)
	}
	if err := b.entrances(); err != nil {
		return nil, err
	}
	if err := b.monitoring(plan); err != nil {
		return nil, err
	}
	values := plan.resolve(args)
	release, err := b.release(values)
	if err != nil {
		return nil, err
	}
	if err := b.scaledObjects(plan, release); err != nil {
		return nil, err
	}

	d.Release = release
	d.Namespace = b.namespace
	d.ReleaseName = pulumi.String(args.Release.Name).ToStringOutput()
	d.APIURL = httpsURL(args.Ingress.Enabled, args.Ingress.Host)
	d.GrafanaURL = httpsURL(args.grafana(), args.Grafana.Host)
	d.Values = values.ToMapOutput()
	d.Images = plan.images(args)
	d.LicenseRoute = pulumi.String(args.licenseRoute()).ToStringOutput()
	d.Ready = []pulumi.Resource{release}
	d.Status = release.Status.ApplyT(func(status map[string]any) string {
		s, _ := status["status"].(string)
		return s
	}).(pulumi.StringOutput)
	return d, ctx.RegisterResourceOutputs(d, pulumi.Map{
		"namespace": d.Namespace, "releaseName": d.ReleaseName, "apiUrl": d.APIURL,
		"grafanaUrl": d.GrafanaURL, "values": d.Values, "images": d.Images, "status": d.Status,
		"licenseRoute": d.LicenseRoute,
	})
}

func httpsURL(there bool, host string) pulumi.StringOutput {
	if !there {
		return pulumi.String("").ToStringOutput()
	}
	return pulumi.String("https://" + host).ToStringOutput()
}
