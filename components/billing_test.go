package components

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

const opsImage = "registry.example.com/deepgram/deepgram-ops:v1"

// billingArgs are those of a production environment with changes.
func billingArgs(change ...func(*BillingArgs)) *BillingArgs {
	c := config.Default()
	c.Stack, c.GCP.Project, c.GCP.Region = "prod", "acme-speech", "us-central1"
	c.Billing.Enabled = true
	a := &BillingArgs{
		Billing: c.Billing, Release: "deepgram", Namespace: "speech", Project: "acme-speech", NamePrefix: "prod",
		Labels: map[string]string{"team": "voice"}, KubernetesLabels: map[string]string{"team": "voice"}, Production: true,
		OpsImage: pulumi.String(opsImage), LicenseKey: pulumi.String("canary-license-key"), LicenseFile: pulumi.String("canary-license-file"),
	}
	for _, f := range change {
		f(a)
	}
	c.Billing = a.Billing
	c.Complete()
	a.Billing = c.Billing
	return a
}

func block(a *BillingArgs) { a.Billing.Storage = "block" }

// onPremises is a cluster that is not GKE, with an object store of its own.
func onPremises(a *BillingArgs) {
	a.Project, a.NamePrefix = "", ""
	a.Billing.StorageClass = "efs-sc"
	a.Billing.Backup.Target, a.Billing.Backup.Bucket = "s3", "journals"
	a.Billing.Backup.S3 = config.BackupS3{Region: "us-west-2", Endpoint: "https://s3.example.com:9000"}
	a.S3AccessKeyID, a.S3SecretAccessKey = pulumi.String("canary-access"), pulumi.String("canary-secret")
}

func recordBilling(t *testing.T, a *BillingArgs) (*releaseRecorder, map[string]string) {
	t.Helper()
	r := &releaseRecorder{}
	outputs := map[string]string{}
	require.NoError(t, pulumi.RunErr(func(ctx *pulumi.Context) error {
		b, err := NewBilling(ctx, "billing", a)
		if err != nil {
			return err
		}
		for name, o := range map[string]pulumi.StringOutput{
			"claim": b.ClaimName, "bucket": b.Bucket, "target": b.Target, "storage": b.Storage,
		} {
			outputs[name] = await[string](t, o)
		}
		assert.NotEmpty(t, b.Ready)
		return nil
	}, pulumi.WithMocks("deepgram", "test", r)))
	return r, outputs
}

func TestBillingSecretsHaveTheChartsKeys(t *testing.T) {
	t.Parallel()
	r, _ := recordBilling(t, billingArgs())
	for name, key := range map[string]string{"dg-license-key": "DEEPGRAM_LICENSE_KEY", "dg-license-file": "license.dg"} {
		in := inputsOf(r.named(t, "billing-"+name))
		assert.Equal(t, name, dig(t, in, "metadata/name"))
		assert.Equal(t, "speech", dig(t, in, "metadata/namespace"))
		data := r.named(t, "billing-"+name).Inputs["stringData"]
		if data.IsSecret() {
			data = data.SecretValue().Element
		}
		require.True(t, data.IsObject())
		assert.Equal(t, []resource.PropertyKey{resource.PropertyKey(key)}, data.ObjectValue().StableKeys())
	}
	for _, reg := range r.regs {
		text, err := json.Marshal(inputsOf(reg))
		require.NoError(t, err)
		assert.NotContains(t, string(text), "canary", "%s holds a secret in plain", reg.Name)
	}
}

func TestSharedJournal(t *testing.T) {
	t.Parallel()
	r, out := recordBilling(t, billingArgs(func(a *BillingArgs) { a.Billing.Replicas = 2; a.Network = "speech-net" }))
	class := inputsOf(r.named(t, "billing-journal-class"))
	assert.Equal(t, "filestore.csi.storage.gke.io", class["provisioner"])
	assert.Equal(t, map[string]any{"tier": "standard", "network": "speech-net"}, class["parameters"])
	assert.Equal(t, "Retain", class["reclaimPolicy"], "a journal outlives its claim")
	reg := r.named(t, "billing-journal")
	claim := inputsOf(reg)
	assert.Equal(t, []any{"ReadWriteMany"}, dig(t, claim, "spec/accessModes"))
	assert.Equal(t, "1024Gi", dig(t, claim, "spec/resources/requests/storage"))
	assert.Equal(t, dig(t, class, "metadata/name"), dig(t, claim, "spec/storageClassName"))
	assert.True(t, reg.RegisterRPC.GetProtect() && reg.RegisterRPC.GetRetainOnDelete(), "protected and kept in production")
	assert.Equal(t, "dg-billing-journal", out["claim"])
	assert.Contains(t, out["storage"], "1024 GiB, the least there is")
}

func TestSharedVPCNeedsPrivateServicesAccess(t *testing.T) {
	t.Parallel()
	r, _ := recordBilling(t, billingArgs(func(a *BillingArgs) { a.Network, a.NetworkProject = "shared", "acme-network" }))
	assert.Equal(t, map[string]any{
		"tier": "standard", "network": "projects/acme-network/global/networks/shared", "connect-mode": "PRIVATE_SERVICE_ACCESS",
	}, inputsOf(r.named(t, "billing-journal-class"))["parameters"])
}

func TestBlockJournal(t *testing.T) {
	t.Parallel()
	r, _ := recordBilling(t, billingArgs(block, func(a *BillingArgs) { a.Production = false }))
	class := inputsOf(r.named(t, "billing-journal-class"))
	assert.Equal(t, "pd.csi.storage.gke.io", class["provisioner"])
	assert.Equal(t, "Delete", class["reclaimPolicy"], "nothing is left of an environment that is no production")
	reg := r.named(t, "billing-journal")
	assert.Equal(t, []any{"ReadWriteOnce"}, dig(t, inputsOf(reg), "spec/accessModes"))
	assert.Equal(t, "10Gi", dig(t, inputsOf(reg), "spec/resources/requests/storage"))
	assert.False(t, reg.RegisterRPC.GetProtect() || reg.RegisterRPC.GetRetainOnDelete())

	pod := dig(t, inputsOf(r.named(t, "billing-backup")), "spec/jobTemplate/spec/template/spec")
	term := dig(t, pod, "affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution/0")
	assert.Equal(t, "kubernetes.io/hostname", dig(t, term, "topologyKey"))
	assert.Equal(t, "deepgram-billing", dig(t, term, "labelSelector/matchLabels/app"))
	// Beside a billing that a killed command took away nothing can run.
	back := dig(t, inputsOf(r.named(t, "billing-recover")), "spec/jobTemplate/spec/template/spec")
	assert.NotContains(t, back, "affinity")
	assert.NotContains(t, back, "volumes")
	assert.Equal(t, []any{"journal", "list", "--quick", "--namespace", "speech"}, dig(t, back, "containers/0/args"))
}

func TestJournalOnAClaimThatIsThere(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*BillingArgs){
		"journals": func(a *BillingArgs) { a.Billing.ExistingClaim = "journals" },
		"models":   func(a *BillingArgs) { a.Billing.ShareModels, a.ModelsClaim = true, "models" },
	} {
		r, out := recordBilling(t, billingArgs(change))
		assert.Equal(t, name, out["claim"])
		assert.Empty(t, r.of("kubernetes:core/v1:PersistentVolumeClaim"))
		assert.Empty(t, r.of("kubernetes:storage.k8s.io/v1:StorageClass"))
		volumes := dig(t, inputsOf(r.named(t, "billing-backup")), "spec/jobTemplate/spec/template/spec/volumes")
		assert.Equal(t, name, dig(t, volumes, "0/persistentVolumeClaim/claimName"))
	}
}

func TestBackupToCloudStorage(t *testing.T) {
	t.Parallel()
	r, out := recordBilling(t, billingArgs(func(a *BillingArgs) { a.Billing.Backup.Folder = "prod" }))
	reg := r.named(t, "billing-journals")
	bucket := inputsOf(reg)
	assert.Equal(t, out["bucket"], bucket["name"])
	assert.Equal(t, "gs://"+out["bucket"]+"/prod", out["target"])
	assert.Equal(t, true, bucket["uniformBucketLevelAccess"])
	assert.Equal(t, "enforced", bucket["publicAccessPrevention"])
	assert.Equal(t, true, bucket["defaultEventBasedHold"])
	assert.Equal(t, false, bucket["forceDestroy"])
	assert.InDelta(t, 365*86400, dig(t, bucket, "retentionPolicy/retentionPeriod"), 0)
	assert.Equal(t, true, dig(t, bucket, "versioning/enabled"))
	assert.True(t, reg.RegisterRPC.GetProtect() && reg.RegisterRPC.GetRetainOnDelete())

	roles := []string{}
	for _, m := range r.of("gcp:storage/bucketIAMMember:BucketIAMMember") {
		roles = append(roles, inputsOf(m)["role"].(string))
	}
	assert.ElementsMatch(t, []string{"roles/storage.objectCreator", "roles/storage.objectViewer"}, roles,
		"whoever takes the cluster can neither replace nor delete a copy")
	assert.Empty(t, r.of("gcp:serviceaccount/key:Key"), "no key")
	identity := inputsOf(r.named(t, "billing-writer-identity"))
	assert.Equal(t, "roles/iam.workloadIdentityUser", identity["role"])
	assert.Equal(t, "serviceAccount:acme-speech.svc.id.goog[speech/billing-journal-backup]", identity["member"])
	account := inputsOf(r.named(t, "billing-backup-account"))
	assert.Contains(t, dig(t, account, "metadata/annotations"), "iam.gke.io/gcp-service-account")
}

func TestExistingBucketOnlyGetsRoles(t *testing.T) {
	t.Parallel()
	r, out := recordBilling(t, billingArgs(func(a *BillingArgs) {
		a.Billing.Backup.ExistingBucket, a.Billing.Backup.Bucket = true, "company-journals"
	}))
	assert.Empty(t, r.of("gcp:storage/bucket:Bucket"))
	assert.Len(t, r.of("gcp:storage/bucketIAMMember:BucketIAMMember"), 2)
	assert.Equal(t, "company-journals", out["bucket"])
}

func TestBackupJob(t *testing.T) {
	t.Parallel()
	r, _ := recordBilling(t, billingArgs(func(a *BillingArgs) {
		a.Billing.Backup.Schedule, a.Billing.Backup.TimeZone, a.UsePullSecret = "30 1 * * *", "Europe/Berlin", true
	}))
	assert.Len(t, r.of("kubernetes:batch/v1:CronJob"), 1, "shared storage needs no job to put billing back")
	spec := dig(t, inputsOf(r.named(t, "billing-backup")), "spec")
	assert.Equal(t, "30 1 * * *", dig(t, spec, "schedule"))
	assert.Equal(t, "Europe/Berlin", dig(t, spec, "timeZone"))
	assert.Equal(t, "Forbid", dig(t, spec, "concurrencyPolicy"))
	pod := dig(t, spec, "jobTemplate/spec/template/spec")
	assert.NotContains(t, pod, "affinity")
	assert.Equal(t, true, dig(t, pod, "securityContext/runAsNonRoot"))
	assert.NotContains(t, dig(t, pod, "securityContext"), "fsGroup", "it would change the owner of the journals")
	assert.Equal(t, "dg-regcred", dig(t, pod, "imagePullSecrets/0/name"))
	container := dig(t, pod, "containers/0")
	assert.Equal(t, opsImage, dig(t, container, "image"))
	assert.Equal(t, []any{"/deepgram-ops"}, dig(t, container, "command"))
	args := dig(t, container, "args").([]any)
	assert.Equal(t, []any{"journal", "backup", "--source", "/journals", "--target"}, args[:5])
	assert.Contains(t, args, "--recover")
	assert.Equal(t, true, dig(t, container, "securityContext/readOnlyRootFilesystem"))
	assert.Equal(t, []any{"ALL"}, dig(t, container, "securityContext/capabilities/drop"))
	assert.Equal(t, map[string]any{"name": "journals", "mountPath": "/journals", "readOnly": true}, dig(t, container, "volumeMounts/0"))
}

func TestBackupRoleIsNarrow(t *testing.T) {
	t.Parallel()
	r, _ := recordBilling(t, billingArgs())
	allowed := map[string][]any{}
	for _, rule := range inputsOf(r.named(t, "billing-backup-role"))["rules"].([]any) {
		rule := rule.(map[string]any)
		key := rule["resources"].([]any)[0].(string)
		if names, ok := rule["resourceNames"].([]any); ok {
			key += "/" + names[0].(string)
		}
		allowed[key] = rule["verbs"].([]any)
	}
	assert.Equal(t, map[string][]any{
		"pods": {"list", "delete"}, "persistentvolumeclaims": {"get"},
		"statefulsets": {"list"}, "statefulsets/deepgram-billing": {"update"},
		"leases": {"create"}, "leases/deepgram-journal-copy.speech.deepgram-billing-0": {"patch"},
	}, allowed)
	binding := inputsOf(r.named(t, "billing-backup-role-binding"))
	assert.Equal(t, "billing-journal-backup", dig(t, binding, "subjects/0/name"))
	assert.Empty(t, r.of("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"))
}

func TestBillingOnAnotherCluster(t *testing.T) {
	t.Parallel()
	r, out := recordBilling(t, billingArgs(onPremises))
	for _, reg := range r.regs {
		assert.False(t, strings.HasPrefix(reg.TypeToken, "gcp:"), "%s is made on a cluster that is not GKE", reg.TypeToken)
	}
	assert.Equal(t, "efs-sc", dig(t, inputsOf(r.named(t, "billing-journal")), "spec/storageClassName"))
	assert.Equal(t, "s3://journals?endpoint=https%3A%2F%2Fs3.example.com%3A9000&region=us-west-2&use_path_style=true", out["target"])
	container := dig(t, inputsOf(r.named(t, "billing-backup")), "spec/jobTemplate/spec/template/spec/containers/0")
	assert.Equal(t, "dg-journal-s3", dig(t, container, "envFrom/0/secretRef/name"))

	r, out = recordBilling(t, billingArgs(onPremises, func(a *BillingArgs) {
		a.S3AccessKeyID, a.S3SecretAccessKey = nil, nil
		a.Billing.Backup.S3 = config.BackupS3{Region: "us-west-2", RoleARN: "arn:aws:iam::123456789012:role/journals"}
	}))
	assert.Equal(t, "s3://journals?region=us-west-2", out["target"])
	account := inputsOf(r.named(t, "billing-backup-account"))
	assert.Equal(t, "arn:aws:iam::123456789012:role/journals", dig(t, account, "metadata/annotations/eks.amazonaws.com~role-arn"))
	assert.NotContains(t, r.of("kubernetes:core/v1:Secret"), "dg-journal-s3")
}

func TestBackupToAVolume(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		volume config.BackupVolume
		path   string
		want   any
	}{
		{config.BackupVolume{Claim: "copies"}, "persistentVolumeClaim", map[string]any{"claimName": "copies"}},
		{config.BackupVolume{Server: "10.0.0.2", Path: "/exports"}, "nfs", map[string]any{"server": "10.0.0.2", "path": "/exports"}},
	} {
		r, out := recordBilling(t, billingArgs(func(a *BillingArgs) {
			a.Billing.Backup.Target, a.Billing.Backup.Volume, a.Billing.Backup.Folder = "volume", v.volume, "prod"
		}))
		assert.Equal(t, "file:///backup/prod", out["target"])
		assert.Empty(t, out["bucket"])
		pod := dig(t, inputsOf(r.named(t, "billing-backup")), "spec/jobTemplate/spec/template/spec")
		assert.Equal(t, v.want, dig(t, pod, "volumes/2/"+v.path))
		assert.Equal(t, map[string]any{"name": "backup", "mountPath": "/backup"}, dig(t, pod, "containers/0/volumeMounts/2"))
	}
}

func TestBillingWithoutBackup(t *testing.T) {
	t.Parallel()
	r, out := recordBilling(t, billingArgs(func(a *BillingArgs) { a.Billing.Backup.Enabled, a.OpsImage = false, nil }))
	assert.Empty(t, r.of("kubernetes:batch/v1:CronJob"))
	assert.Empty(t, r.of("gcp:storage/bucket:Bucket"))
	assert.Empty(t, out["target"])
}

func TestBillingRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want   string
		change func(*BillingArgs)
	}{
		{"Namespace: is required", func(a *BillingArgs) { a.Namespace = "" }},
		{"LicenseKey: is required", func(a *BillingArgs) { a.LicenseKey = nil }},
		{"LicenseFile: is required", func(a *BillingArgs) { a.LicenseFile = nil }},
		{"OpsImage: is required", func(a *BillingArgs) { a.OpsImage = nil }},
		{"NamePrefix: is required", func(a *BillingArgs) { a.NamePrefix = "" }},
		{"Billing.Replicas: 2 needs Billing.Storage shared", func(a *BillingArgs) { block(a); a.Billing.Replicas = 2 }},
		{"highly-available needs Billing.Storage shared", func(a *BillingArgs) { block(a); a.Billing.Architecture = "highly-available" }},
		{`Billing.Architecture: "fast" must be`, func(a *BillingArgs) { a.Billing.Architecture = "fast" }},
		{`Billing.Storage: "tape" must be`, func(a *BillingArgs) { a.Billing.Storage = "tape" }},
		{"Billing.JournalGb: 10 is less than the smallest Filestore", func(a *BillingArgs) { a.Billing.JournalGb = 10 }},
		{"Billing.StorageClass: is required without Project", func(a *BillingArgs) { onPremises(a); a.Billing.StorageClass = "" }},
		{"Billing.Backup.Target: gcs needs Project", func(a *BillingArgs) {
			onPremises(a)
			a.Billing.Backup.Target = "gcs"
		}},
		{"S3AccessKeyID, S3SecretAccessKey: are required", func(a *BillingArgs) { onPremises(a); a.S3AccessKeyID = nil }},
		{"exclude Billing.Backup.S3.RoleARN", func(a *BillingArgs) {
			onPremises(a)
			a.Billing.Backup.S3.RoleARN = "arn:aws:iam::123456789012:role/journals"
		}},
		{"Billing.Backup.Volume: needs a claim", func(a *BillingArgs) { a.Billing.Backup.Target = "volume" }},
		{"is the journals' own claim", func(a *BillingArgs) {
			a.Billing.Backup.Target, a.Billing.Backup.Volume.Claim = "volume", "dg-billing-journal"
		}},
		{"Billing.ShareModels: needs ModelsClaim", func(a *BillingArgs) { a.Billing.ShareModels = true }},
	} {
		a := billingArgs(c.change)
		r := &releaseRecorder{}
		err := pulumi.RunErr(func(ctx *pulumi.Context) error {
			_, err := NewBilling(ctx, "billing", a)
			return err
		}, pulumi.WithMocks("deepgram", "test", r))
		assert.ErrorContains(t, err, c.want)
		assert.Empty(t, r.of("kubernetes:core/v1:Secret"), "nothing is registered: %s", c.want)
	}
}

func TestLicenseKeysThatTheChartCannotCarry(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"a|b", "a&b", `a\b`, `a"b`, "a\n", ""} {
		err := checkLicenseKey(key)
		require.Error(t, err, key)
		if key != "" {
			assert.NotContains(t, err.Error(), key, "the error does not show it")
		}
	}
	assert.NoError(t, checkLicenseKey("Ab1-_=/+.~"))

	a := billingArgs(func(a *BillingArgs) { a.LicenseKey = pulumi.ToSecret(pulumi.String("se&cret")).(pulumi.StringOutput) })
	err := pulumi.RunErr(func(ctx *pulumi.Context) error {
		_, err := NewBilling(ctx, "billing", a)
		return err
	}, pulumi.WithMocks("deepgram", "test", &releaseRecorder{}))
	assert.ErrorContains(t, err, "licence key: holds |, &")
}

func TestReleaseWaitsForBilling(t *testing.T) {
	t.Parallel()
	args := prodRelease()
	args.APIKey = nil
	args.Billing.Enabled, args.Billing.Architecture, args.Billing.Replicas = true, "highly-available", 2
	args.LicenseKey, args.LicenseFile = pulumi.String("canary-license-key"), pulumi.String("canary-license-file")
	r := &releaseRecorder{}
	require.NoError(t, pulumi.RunErr(func(ctx *pulumi.Context) error {
		args.Prepare = func(namespace []pulumi.Resource) ([]pulumi.Resource, error) {
			b, err := NewBilling(ctx, "billing", billingArgs(func(a *BillingArgs) { a.After = namespace }))
			if err != nil {
				return nil, err
			}
			return b.Ready, nil
		}
		_, err := NewDeepgramRelease(ctx, "deepgram", args)
		return err
	}, pulumi.WithMocks("deepgram", "test", r)))
	release := r.named(t, "deepgram-release")
	assert.Subset(t, dependsOn(release), []string{"billing-dg-license-key", "billing-dg-license-file", "billing-journal"})
	assert.Contains(t, dependsOn(r.named(t, "billing-journal")), "deepgram-namespace")
	in := inputsOf(release)
	assert.Equal(t, "deepgram-postrender", in["postrender"])
	assert.Equal(t, false, dig(t, in, "values/licenseProxy/keepUpstreamServerAsBackup"))
	assert.Equal(t, "dg-billing-journal", dig(t, in, "values/billing/journal/existingPvcName"))
	text, err := json.Marshal(in)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "license.deepgram.com")
}

func TestLicenseRoute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change     func(*DeepgramReleaseArgs)
		route      string
		postrender bool
	}{
		{func(*DeepgramReleaseArgs) {}, "API and Engine → licence proxy → license.deepgram.com, which they ask themselves", false},
		{func(a *DeepgramReleaseArgs) { a.LicenseProxy.KeepUpstreamServerAsBackup = false }, "API and Engine → licence proxy → license.deepgram.com", false},
		{func(a *DeepgramReleaseArgs) { a.LicenseProxy.Enabled = false }, "API and Engine → license.deepgram.com", false},
		{func(a *DeepgramReleaseArgs) { a.Billing.Enabled, a.LicenseProxy.Enabled = true, false }, "API and Engine → deepgram-billing", false},
		// The chart sends them past a proxy that is installed all the same.
		{func(a *DeepgramReleaseArgs) { a.Billing.Enabled = true }, "API and Engine → deepgram-billing", false},
		{func(a *DeepgramReleaseArgs) { a.Billing.Enabled, a.Release.ChartVersion = true, "0.47.0" }, "API and Engine → licence proxy → deepgram-billing", false},
		{func(a *DeepgramReleaseArgs) { a.Billing.Enabled, a.Billing.Architecture = true, "highly-available" }, "(by the post-renderer deepgram-postrender)", true},
		{func(a *DeepgramReleaseArgs) {
			a.Billing.Enabled, a.Billing.Architecture, a.Release.ChartVersion = true, "highly-available", "0.47.0"
		}, "API and Engine → licence proxy → deepgram-billing", false},
	} {
		args := prodRelease()
		c.change(args)
		assert.Contains(t, args.licenseRoute(), c.route)
		assert.Equal(t, c.postrender, args.rerouted(), c.route)
	}
	args := prodRelease()
	args.Billing.Enabled, args.Billing.Architecture, args.LicenseProxy.Enabled = true, "highly-available", false
	args.LicenseKey, args.LicenseFile = pulumi.String("a"), pulumi.String("b")
	assert.ErrorContains(t, args.Validate(), "highly-available needs the licence proxy")
}
