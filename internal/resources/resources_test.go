package resources

import (
	"sync"
	"testing"

	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder is a Pulumi engine that writes down what it is asked for.
type recorder struct {
	mu    sync.Mutex
	regs  []pulumi.MockResourceArgs
	calls []pulumi.MockCallArgs
}

func (r *recorder) NewResource(a pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.regs = append(r.regs, a)
	return a.Name + "-id", a.Inputs, nil
}

func (r *recorder) Call(a pulumi.MockCallArgs) (resource.PropertyMap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, a)
	return resource.PropertyMap{
		"secretData":  resource.NewProperty("s3cret"),
		"ipCidrRange": resource.NewProperty("10.1.0.0/23"),
		"number":      resource.NewProperty("123"),
	}, nil
}

func (r *recorder) only(t *testing.T) pulumi.MockResourceArgs {
	t.Helper()
	require.Len(t, r.regs, 1)
	return r.regs[0]
}

func run(t *testing.T, body func(ctx *pulumi.Context) error) *recorder {
	t.Helper()
	r := &recorder{}
	require.NoError(t, pulumi.RunErr(body, pulumi.WithMocks("deepgram", "test", r)))
	return r
}

func TestRegistrationCarriesVersionSecretsAndAliases(t *testing.T) {
	t.Parallel()
	disk := run(t, func(ctx *pulumi.Context) error {
		_, err := NewDisk(ctx, "d", &DiskArgs{Name: pulumi.String("models"), Size: pulumi.Int(200)})
		return err
	}).only(t)
	assert.Equal(t, "7.38.0", disk.RegisterRPC.GetVersion())
	assert.ElementsMatch(t, []string{"effectiveLabels", "pulumiLabels"}, disk.RegisterRPC.GetAdditionalSecretOutputs())
	assert.Equal(t, resource.PropertyMap{
		"name": resource.NewProperty("models"), "size": resource.NewProperty(200.0),
	}, disk.Inputs, "what was not given is not sent")

	ingress := run(t, func(ctx *pulumi.Context) error {
		_, err := NewIngress(ctx, "i", &IngressArgs{
			Metadata: &metav1.ObjectMetaArgs{Name: pulumi.String("api")},
			Spec: &IngressSpec{Rules: []IngressRule{{
				Host: pulumi.String("api.example.com"),
				Http: &HTTPIngressRuleValue{Paths: []HTTPIngressPath{{
					Path: pulumi.String("/"), PathType: pulumi.String("Prefix"),
					Backend: IngressBackend{Service: &IngressServiceBackend{
						Name: pulumi.String("api"), Port: &ServiceBackendPort{Number: pulumi.Int(8080)},
					}},
				}}},
			}}},
		})
		return err
	}).only(t)
	assert.Equal(t, "4.33.0", ingress.RegisterRPC.GetVersion())
	var aliases []string
	for _, a := range ingress.RegisterRPC.GetAliases() {
		aliases = append(aliases, a.GetSpec().GetType())
	}
	assert.ElementsMatch(t, []string{
		"kubernetes:extensions/v1beta1:Ingress", "kubernetes:networking.k8s.io/v1beta1:Ingress",
	}, aliases)
	assert.Equal(t, map[string]any{
		"apiVersion": "networking.k8s.io/v1",
		"kind":       "Ingress",
		"metadata":   map[string]any{"name": "api"},
		"spec": map[string]any{"rules": []any{map[string]any{
			"host": "api.example.com",
			"http": map[string]any{"paths": []any{map[string]any{
				"path": "/", "pathType": "Prefix",
				"backend": map[string]any{"service": map[string]any{
					"name": "api", "port": map[string]any{"number": 8080.0},
				}},
			}}},
		}}},
	}, ingress.Inputs.Mappable())
}

func TestEveryKindCarriesItsVersion(t *testing.T) {
	t.Parallel()
	s := pulumi.String("x")
	r := run(t, func(ctx *pulumi.Context) error {
		for _, register := range []func() error{
			func() error { _, err := NewAddress(ctx, "n", &AddressArgs{}); return err },
			func() error { _, err := NewGlobalAddress(ctx, "n", &GlobalAddressArgs{}); return err },
			func() error { _, err := NewDisk(ctx, "n", &DiskArgs{}); return err },
			func() error { _, err := NewFirewall(ctx, "n", &FirewallArgs{Network: s}); return err },
			func() error {
				_, err := NewRegionSslCertificate(ctx, "n", &RegionSslCertificateArgs{Certificate: s, PrivateKey: s})
				return err
			},
			func() error {
				_, err := NewSubnetwork(ctx, "n", &SubnetworkArgs{Network: s, IpCidrRange: s})
				return err
			},
			func() error { _, err := NewRouter(ctx, "n", &RouterArgs{Network: s}); return err },
			func() error {
				_, err := NewRouterNat(ctx, "n", &RouterNatArgs{Router: s, SourceSubnetworkIpRangesToNat: s})
				return err
			},
			func() error {
				_, err := NewRecordSet(ctx, "n", &RecordSetArgs{ManagedZone: s, Name: s, Type: s})
				return err
			},
			func() error { _, err := NewRelease(ctx, "n", &ReleaseArgs{Chart: s}); return err },
			func() error { _, err := NewIngress(ctx, "n", &IngressArgs{}); return err },
			func() error { _, err := NewBackendConfig(ctx, "n", &BackendConfigArgs{}); return err },
			func() error { _, err := NewFrontendConfig(ctx, "n", &FrontendConfigArgs{}); return err },
			func() error { _, err := NewManagedCertificate(ctx, "n", &ManagedCertificateArgs{}); return err },
			func() error { _, err := NewPrometheusRule(ctx, "n", &AlertRulesArgs{}); return err },
			func() error { _, err := NewClusterRules(ctx, "n", &AlertRulesArgs{}); return err },
			func() error { _, err := NewPodMonitoring(ctx, "n", &PodMonitoringArgs{}); return err },
			func() error { _, err := NewScaledObject(ctx, "n", &ScaledObjectArgs{}); return err },
			func() error { _, err := NewTriggerAuthentication(ctx, "n", &TriggerAuthenticationArgs{}); return err },
			func() error { _, err := NewVeleroSchedule(ctx, "n", &VeleroScheduleArgs{}); return err },
			func() error { _, err := NewProtectedApplication(ctx, "n", &ProtectedApplicationArgs{}); return err },
			func() error { _, err := NewBackupPlan(ctx, "n", &BackupPlanArgs{Cluster: s, Location: s}); return err },
			func() error { _, err := NewBucket(ctx, "n", &BucketArgs{Location: s}); return err },
			func() error {
				_, err := NewBucketIAMMember(ctx, "n", &BucketIAMMemberArgs{Bucket: s, Member: s, Role: s})
				return err
			},
			func() error { _, err := NewStorageClass(ctx, "n", &StorageClassArgs{Provisioner: s}); return err },
			func() error { _, err := NewCronJob(ctx, "n", &CronJobArgs{Spec: &CronJobSpec{}}); return err },
			func() error { _, err := NewJob(ctx, "n", &JobArgs{Spec: &JobSpec{}}); return err },
			func() error { _, err := NewRole(ctx, "n", &RoleArgs{}); return err },
			func() error { _, err := NewRoleBinding(ctx, "n", &RoleBindingArgs{RoleRef: &RoleRef{}}); return err },
		} {
			if err := register(); err != nil {
				return err
			}
		}
		return nil
	})
	require.Len(t, r.regs, 29)
	for _, reg := range r.regs {
		want := GCPVersion
		if reg.TypeToken[:4] == "kube" {
			want = KubernetesVersion
		}
		assert.Equal(t, want, reg.RegisterRPC.GetVersion(), reg.TypeToken)
		if want == KubernetesVersion && reg.TypeToken != ReleaseKind.Token {
			assert.True(t, reg.Inputs.HasValue("apiVersion") && reg.Inputs.HasValue("kind"), reg.TypeToken)
		}
	}
}

func TestCertificateAndKeyBecomeSecrets(t *testing.T) {
	t.Parallel()
	c := run(t, func(ctx *pulumi.Context) error {
		_, err := NewRegionSslCertificate(ctx, "c", &RegionSslCertificateArgs{
			Name: pulumi.String("c"), Certificate: pulumi.String("PEM"), PrivateKey: pulumi.String("KEY"),
		})
		return err
	}).only(t)
	assert.True(t, c.Inputs["certificate"].IsSecret())
	assert.True(t, c.Inputs["privateKey"].IsSecret())
	assert.False(t, c.Inputs["name"].IsSecret())
}

func TestMissingArguments(t *testing.T) {
	t.Parallel()
	run(t, func(ctx *pulumi.Context) error {
		s := pulumi.String("x")
		for want, register := range map[string]func() error{
			"Network":     func() error { _, err := NewFirewall(ctx, "n", nil); return err },
			"Certificate": func() error { _, err := NewRegionSslCertificate(ctx, "n", nil); return err },
			"PrivateKey": func() error {
				_, err := NewRegionSslCertificate(ctx, "n", &RegionSslCertificateArgs{Certificate: s})
				return err
			},
			"IpCidrRange": func() error { _, err := NewSubnetwork(ctx, "n", nil); return err },
			"Router":      func() error { _, err := NewRouterNat(ctx, "n", nil); return err },
			"ManagedZone": func() error { _, err := NewRecordSet(ctx, "n", nil); return err },
			"Chart":       func() error { _, err := NewRelease(ctx, "n", nil); return err },
			"Location":    func() error { _, err := NewBucket(ctx, "n", nil); return err },
			"Bucket":      func() error { _, err := NewBucketIAMMember(ctx, "n", nil); return err },
			"Role": func() error {
				_, err := NewBucketIAMMember(ctx, "n", &BucketIAMMemberArgs{Bucket: s, Member: s})
				return err
			},
			"Provisioner": func() error { _, err := NewStorageClass(ctx, "n", nil); return err },
			"Spec":        func() error { _, err := NewCronJob(ctx, "n", nil); return err },
			"RoleRef":     func() error { _, err := NewRoleBinding(ctx, "n", nil); return err },
		} {
			require.EqualError(t, register(), "invalid value for required argument '"+want+"'")
		}
		return nil
	})
}

func TestLookups(t *testing.T) {
	t.Parallel()
	r := run(t, func(ctx *pulumi.Context) error {
		subnet, err := LookupSubnetwork(ctx, SubnetworkLookupArgs{Project: "p", Region: "r", Name: "n"})
		require.NoError(t, err)
		assert.Equal(t, "10.1.0.0/23", subnet.IpCidrRange)
		project, err := LookupProject(ctx, ProjectLookupArgs{ProjectID: "p"})
		require.NoError(t, err)
		assert.Equal(t, "123", project.Number)

		data := SecretVersionData(ctx, SecretVersionArgs{Project: "p", Secret: "s", Version: "3"})
		_, err = NewRecordSet(ctx, "use", &RecordSetArgs{ManagedZone: data, Name: data, Type: data})
		return err
	})
	data := r.only(t).Inputs["name"]
	require.True(t, data.IsSecret(), "the text is a secret")
	assert.Equal(t, "s3cret", data.SecretValue().Element.StringValue())
	require.Len(t, r.calls, 3)
	for _, c := range r.calls {
		if c.Token == SecretVersionAccessToken {
			assert.Equal(t, map[string]any{"project": "p", "secret": "s", "version": "3"}, c.Args.Mappable())
		}
	}
}
