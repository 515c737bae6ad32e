package components

import (
	"fmt"
	"slices"
	"strings"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/internal/chart"
	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// Ports of the containers.
const (
	apiPort     = 8080
	grafanaPort = 3000
)

// entrance is a load balancer in front of pods: Service, BackendConfig, Ingress.
// The chart has no Ingress, and its Services carry annotations only where they
// are of type LoadBalancer, so all three are our own.
type entrance struct {
	name, host  string
	port        int
	selector    map[string]string
	backend     *resources.BackendConfigSpec
	annotations pulumi.StringMap // of the Ingress
	before      []pulumi.Resource
}

// entrances makes the API's entrance and Grafana's (guide G-III, G-IV, G-V).
func (b *releaseBuilder) entrances() error {
	if b.args.Ingress.Enabled {
		if err := b.entrance(b.apiEntrance()); err != nil {
			return err
		}
	}
	if !b.args.grafana() {
		return nil
	}
	e, err := b.grafanaEntrance()
	if err != nil {
		return err
	}
	return b.entrance(e)
}

func (b *releaseBuilder) apiEntrance() entrance {
	a := b.args
	certificates := a.CertificateNames.ToStringArrayOutput().ApplyT(func(names []string) (string, error) {
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
		if len(names) == 0 {
			return "", fmt.Errorf("CertificateNames: is empty; the load balancer serves HTTPS only and needs one")
		}
		return strings.Join(names, ","), nil
	}).(pulumi.StringOutput)
	return entrance{
		name: chart.APIName + "-ingress", host: a.Ingress.Host, port: apiPort,
		selector: map[string]string{"app": chart.APIName, "app.kubernetes.io/instance": a.Release.Name},
		backend: &resources.BackendConfigSpec{
			// The API's own probe is a command, of which GKE can infer nothing: it
			// would ask for "/", which answers 404.
			HealthCheck: healthCheck(a.Ingress.HealthCheckPath, apiPort),
			// The default of 30 s would cut every longer stream.
			TimeoutSec:         pulumi.Int(a.Ingress.StreamTimeoutSeconds),
			ConnectionDraining: &resources.BackendConfigDraining{DrainingTimeoutSec: pulumi.Int(a.Ingress.DrainSeconds)},
		},
		annotations: pulumi.StringMap{
			// An annotation, because GKE reads no ingressClassName.
			"kubernetes.io/ingress.class":                   pulumi.String("gce-internal"),
			"kubernetes.io/ingress.regional-static-ip-name": a.IngressAddressName,
			"kubernetes.io/ingress.allow-http":              pulumi.String("false"),
			"ingress.gcp.kubernetes.io/pre-shared-cert":     certificates,
		},
	}
}

func (b *releaseBuilder) grafanaEntrance() (entrance, error) {
	a := b.args
	certificate, err := resources.NewManagedCertificate(b.ctx, b.name+"-grafana-certificate",
		&resources.ManagedCertificateArgs{
			Metadata: b.metaNamed(a.GrafanaCertificateName),
			Spec:     &resources.ManagedCertificateSpec{Domains: pulumi.ToStringArray([]string{a.Grafana.Host})},
		}, b.child()...)
	if err != nil {
		return entrance{}, fmt.Errorf("grafana certificate: %w", err)
	}
	return entrance{
		name: a.Release.Name + "-grafana-ingress", host: a.Grafana.Host, port: grafanaPort,
		selector: map[string]string{
			"app.kubernetes.io/name": "grafana", "app.kubernetes.io/instance": a.Release.Name,
		},
		backend: &resources.BackendConfigSpec{
			// "/" answers with a redirect to the login, which GKE takes as unhealthy.
			HealthCheck: healthCheck("/api/health", grafanaPort),
		},
		annotations: pulumi.StringMap{
			"kubernetes.io/ingress.class":                 pulumi.String("gce"),
			"kubernetes.io/ingress.global-static-ip-name": a.GrafanaAddressName,
			"kubernetes.io/ingress.allow-http":            pulumi.String("false"),
			"networking.gke.io/managed-certificates":      a.GrafanaCertificateName,
		},
		before: []pulumi.Resource{certificate},
	}, nil
}

func healthCheck(path string, port int) *resources.BackendConfigHealthCheck {
	return &resources.BackendConfigHealthCheck{
		Type: pulumi.String("HTTP"), RequestPath: pulumi.String(path), Port: pulumi.Int(port),
		CheckIntervalSec: pulumi.Int(10), TimeoutSec: pulumi.Int(5),
		HealthyThreshold: pulumi.Int(1), UnhealthyThreshold: pulumi.Int(3),
	}
}

// entrance makes BackendConfig, Service and Ingress, each after what it refers to,
// so that they go in the reverse order.
func (b *releaseBuilder) entrance(e entrance) error {
	what := b.name + "-" + e.name
	backend, err := resources.NewBackendConfig(b.ctx, what+"-backend",
		&resources.BackendConfigArgs{Metadata: b.meta(e.name), Spec: e.backend},
		b.child()...)
	if err != nil {
		return fmt.Errorf("%s: backend settings: %w", e.name, err)
	}
	there := pulumi.ToStringMap(readyWhenThere)
	service, err := corev1.NewService(b.ctx, what+"-service", &corev1.ServiceArgs{
		Metadata: b.meta(e.name, there, pulumi.StringMap{
			"cloud.google.com/neg":            pulumi.String(`{"ingress": true}`),
			"cloud.google.com/backend-config": pulumi.Sprintf(`{"default": %q}`, e.name),
		}),
		Spec: &corev1.ServiceSpecArgs{
			Type: pulumi.String("ClusterIP"), Selector: pulumi.ToStringMap(e.selector),
			Ports: corev1.ServicePortArray{&corev1.ServicePortArgs{
				Name: pulumi.String("http"), Port: pulumi.Int(e.port), TargetPort: pulumi.Int(e.port),
				Protocol: pulumi.String("TCP"),
			}},
		},
	}, b.child(pulumi.DependsOn([]pulumi.Resource{backend}))...)
	if err != nil {
		return fmt.Errorf("%s: service: %w", e.name, err)
	}
	_, err = resources.NewIngress(b.ctx, what, &resources.IngressArgs{
		Metadata: b.meta(e.name, there, e.annotations),
		Spec: &resources.IngressSpec{Rules: []resources.IngressRule{{
			Host: pulumi.String(e.host),
			Http: &resources.HTTPIngressRuleValue{Paths: []resources.HTTPIngressPath{{
				Path: pulumi.String("/"), PathType: pulumi.String("Prefix"),
				Backend: resources.IngressBackend{Service: &resources.IngressServiceBackend{
					Name: pulumi.String(e.name), Port: &resources.ServiceBackendPort{Number: pulumi.Int(e.port)},
				}},
			}}},
		}}},
	}, b.child(
		pulumi.DependsOn(append([]pulumi.Resource{service}, append(e.before, b.args.IngressAfter...)...)),
		// Taking a load balancer down takes minutes.
		pulumi.Timeouts(&pulumi.CustomTimeouts{Delete: "30m"}),
	)...)
	if err != nil {
		return fmt.Errorf("%s: ingress: %w", e.name, err)
	}
	return nil
}
