package components

import (
	"cmp"
	"fmt"

	corev1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/core/v1"
	metav1 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/meta/v1"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/internal/chart"
	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// GKE's drivers.
const (
	filestoreDriver = "filestore.csi.storage.gke.io"
	diskDriver      = "pd.csi.storage.gke.io"
)

// claim is the claim of the journals.
func (a *BillingArgs) claim() string {
	switch {
	case a.Billing.ShareModels:
		return a.ModelsClaim
	case a.Billing.ExistingClaim != "":
		return a.Billing.ExistingClaim
	}
	return chart.JournalClaim
}

// ownClaim tells whether the claim is made here.
func (a *BillingArgs) ownClaim() bool { return !a.Billing.ShareModels && a.Billing.ExistingClaim == "" }

// ownClass tells whether the StorageClass is made here, too.
func (a *BillingArgs) ownClass() bool { return a.ownClaim() && a.Billing.StorageClass == "" }

// kind is what the volume is: Filestore's tier, or the disk's type.
func (a *BillingArgs) kind() string {
	if a.Billing.Storage == "shared" {
		return a.Billing.FilestoreTier
	}
	return a.Billing.DiskType
}

func (a *BillingArgs) className() string {
	if !a.ownClass() {
		return a.Billing.StorageClass
	}
	// Another kind is another class: the claim then shows the change, which the
	// class alone would hide, because volumes that are there stay as they are.
	return shorten(a.NamePrefix+"-journals", 40) + "-" + a.kind()
}

// storageNote says what the journals are on.
func (a *BillingArgs) storageNote() string {
	s := a.Billing
	switch {
	case s.ShareModels:
		return "shared: the models volume, claim " + a.ModelsClaim
	case s.ExistingClaim != "":
		return s.Storage + ": claim " + s.ExistingClaim
	case s.Filestore() && s.JournalGb == s.LeastJournalGb():
		return fmt.Sprintf("shared: Filestore, class %s, %d GiB, the least there is", a.className(), s.JournalGb)
	case s.Filestore():
		return fmt.Sprintf("shared: Filestore, class %s, %d GiB, of at least %d", a.className(), s.JournalGb, s.LeastJournalGb())
	}
	return fmt.Sprintf("%s: class %s, %d GiB", s.Storage, a.className(), s.JournalGb)
}

// journal makes the volume of the journals (guide A-STORE). It is a claim of the
// project's own, in the chart's existingPvcName: the chart's claim templates
// carry its version, are immutable, and so make every upgrade fail.
func (b *billing) journal() error {
	a := b.args
	b.ClaimName = pulumi.String(a.claim()).ToStringOutput()
	if !a.ownClaim() {
		return nil
	}
	before := []pulumi.Resource{}
	if a.ownClass() {
		class, err := b.storageClass()
		if err != nil {
			return fmt.Errorf("storage class: %w", err)
		}
		before = append(before, class)
	}
	mode := "ReadWriteMany"
	if a.Billing.Storage == "block" {
		mode = "ReadWriteOnce"
	}
	ready := pulumi.StringMap{}
	for k, v := range readyWhenThere {
		// The volume is made where the first pod that uses it runs: not before.
		ready[k] = pulumi.String(v)
	}
	meta := b.meta(a.claim(), ready)
	meta.Labels = stringMap(with(a.KubernetesLabels, map[string]string{BackupLabel: "journals"}))
	claim, err := corev1.NewPersistentVolumeClaim(b.ctx, b.name+"-journal", &corev1.PersistentVolumeClaimArgs{
		Metadata: meta,
		Spec: &corev1.PersistentVolumeClaimSpecArgs{
			AccessModes:      pulumi.ToStringArray([]string{mode}),
			StorageClassName: pulumi.String(a.className()),
			Resources: &corev1.VolumeResourceRequirementsArgs{
				Requests: pulumi.StringMap{"storage": pulumi.Sprintf("%dGi", a.Billing.JournalGb)},
			},
		},
	}, b.options(
		pulumi.DependsOn(before),
		pulumi.Protect(a.Production),
		pulumi.RetainOnDelete(a.Production),
	)...)
	if err != nil {
		return err
	}
	b.Ready = append(b.Ready, claim)
	b.JournalClass = a.className()
	return nil
}

// storageClass makes the class of the claim. GKE's own classes delete a volume
// with its claim, and its Filestore classes know the network "default" only.
func (b *billing) storageClass() (*resources.StorageClass, error) {
	a := b.args
	args := &resources.StorageClassArgs{
		Metadata:             &metav1.ObjectMetaArgs{Name: pulumi.String(a.className()), Labels: stringMap(a.KubernetesLabels)},
		ReclaimPolicy:        pulumi.String("Delete"),
		VolumeBindingMode:    pulumi.String("WaitForFirstConsumer"),
		AllowVolumeExpansion: pulumi.Bool(true),
	}
	if a.Production {
		args.ReclaimPolicy = pulumi.String("Retain")
	}
	var enabled pulumi.ResourceOption = pulumi.DependsOn(nil)
	if a.Billing.Storage == "block" {
		args.Provisioner = pulumi.String(diskDriver)
		args.Parameters = pulumi.ToStringMap(map[string]string{"type": a.kind(), "csi.storage.k8s.io/fstype": "ext4"})
	} else {
		parameters := map[string]string{"tier": a.kind(), "network": cmp.Or(a.Network, "default")}
		if a.NetworkProject != "" && a.NetworkProject != a.Project {
			parameters["network"] = networkPath(a.Project, a.NetworkProject, parameters["network"])
			parameters["connect-mode"] = "PRIVATE_SERVICE_ACCESS"
		}
		args.Provisioner = pulumi.String(filestoreDriver)
		args.Parameters = pulumi.ToStringMap(parameters)
		if !a.SkipServices {
			var err error
			if enabled, err = enableServices(b.ctx, b.Billing, b.name, a.Project, apiFilestore); err != nil {
				return nil, err
			}
		}
	}
	return resources.NewStorageClass(b.ctx, b.name+"-journal-class", args, childOptions(b.Billing, enabled)...)
}
