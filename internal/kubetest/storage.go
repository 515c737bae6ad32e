package kubetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// storageClass is one of the classes that clusters of the guides have.
type storageClass struct {
	provisioner string
	shared      bool // many nodes may write
	standard    bool // taken by claims that name no class
}

// storageClasses are those of GKE and, for the guides' examples on AWS, EKS.
var storageClasses = map[string]storageClass{
	"standard-rwo":   {provisioner: "pd.csi.storage.gke.io", standard: true},
	"premium-rwo":    {provisioner: "pd.csi.storage.gke.io"},
	"standard-rwx":   {provisioner: "filestore.csi.storage.gke.io", shared: true},
	"premium-rwx":    {provisioner: "filestore.csi.storage.gke.io", shared: true},
	"enterprise-rwx": {provisioner: "filestore.csi.storage.gke.io", shared: true},
	"zonal-rwx":      {provisioner: "filestore.csi.storage.gke.io", shared: true},
	"gp3":            {provisioner: "ebs.csi.aws.com"},
	"efs-sc":         {provisioner: "efs.csi.aws.com", shared: true},
}

const (
	selectedNode  = "volume.kubernetes.io/selected-node"
	provisionedBy = "pv.kubernetes.io/provisioned-by"
	// provisionInterval is how often claims are looked at.
	provisionInterval = 200 * time.Millisecond
)

// provisioner does what the storage drivers of a cloud do: it makes a volume for
// every claim that a pod needs, and removes it with its claim. A volume is a
// folder of the cluster.
type provisioner struct {
	client kubernetes.Interface
	dir    string
	cancel context.CancelFunc
	done   chan struct{}
}

// startStorage adds the classes and begins to serve claims.
func (c *Cluster) startStorage(ctx context.Context) error {
	for name, class := range storageClasses {
		mode, expand := storagev1.VolumeBindingWaitForFirstConsumer, true
		object := &storagev1.StorageClass{
			ObjectMeta:  metav1.ObjectMeta{Name: name},
			Provisioner: class.provisioner, VolumeBindingMode: &mode, AllowVolumeExpansion: &expand,
		}
		if class.standard {
			object.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
		}
		if _, err := c.client.StorageV1().StorageClasses().Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	dir := filepath.Join(c.state.dir, "volumes")
	if err := os.Mkdir(dir, 0o711); err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.Background())
	c.storage = &provisioner{client: c.client, dir: dir, cancel: cancel, done: make(chan struct{})}
	go c.storage.run(running)
	return nil
}

func (p *provisioner) stop() {
	p.cancel()
	<-p.done
}

func (p *provisioner) run(ctx context.Context) {
	defer close(p.done)
	tick := time.NewTicker(provisionInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// What fails now, also because the API server is away, is tried again.
			_ = p.provision(ctx)
			_ = p.reclaim(ctx)
		}
	}
}

// provision makes volumes for the claims that wait for one.
func (p *provisioner) provision(ctx context.Context) error {
	claims, err := p.client.CoreV1().PersistentVolumeClaims("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var errs []error
	for i := range claims.Items {
		claim := &claims.Items[i]
		name := claim.Spec.StorageClassName
		if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || name == nil || claim.Annotations[selectedNode] == "" {
			continue
		}
		if class, known := storageClasses[*name]; known && class.serves(claim) {
			errs = append(errs, p.create(ctx, claim, class))
		}
	}
	return errors.Join(errs...)
}

// serves tells whether the driver can do what a claim wants: a disk can be
// written to by one node.
func (s storageClass) serves(claim *corev1.PersistentVolumeClaim) bool {
	return s.shared || !slices.Contains(claim.Spec.AccessModes, corev1.ReadWriteMany)
}

func (p *provisioner) create(ctx context.Context, claim *corev1.PersistentVolumeClaim, class storageClass) error {
	name := "pvc-" + string(claim.UID)
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	// A driver sets the group that a pod asks for; a folder must be open to all.
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{provisionedBy: class.provisioner}},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName: *claim.Spec.StorageClassName, AccessModes: claim.Spec.AccessModes,
			Capacity:                      claim.Spec.Resources.Requests,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef: &corev1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}},
		},
	}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// reclaim removes the volumes whose claim is gone.
func (p *provisioner) reclaim(ctx context.Context) error {
	volumes, err := p.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var errs []error
	for _, volume := range volumes.Items {
		if volume.Annotations[provisionedBy] == "" || volume.Status.Phase != corev1.VolumeReleased ||
			volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
			continue
		}
		errs = append(errs, os.RemoveAll(filepath.Join(p.dir, volume.Name)),
			p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{}))
	}
	return errors.Join(errs...)
}

// VolumePath is the folder that holds the data of a bound claim.
func (c *Cluster) VolumePath(ctx context.Context, namespace, claim string) (string, error) {
	object, err := c.client.CoreV1().PersistentVolumeClaims(namespace).Get(ctx, claim, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if object.Spec.VolumeName == "" {
		return "", fmt.Errorf("claim %s/%s is not bound", namespace, claim)
	}
	volume, err := c.client.CoreV1().PersistentVolumes().Get(ctx, object.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if volume.Spec.HostPath == nil {
		return "", fmt.Errorf("volume %s of claim %s/%s is no folder", volume.Name, namespace, claim)
	}
	return volume.Spec.HostPath.Path, nil
}
