package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deepgram-gke/deepgram-gke/internal/chart"
)

// Mark writes down in a Lease when the last good copy of a replica's journal was
// taken. kube-state-metrics shows it as kube_lease_renew_time, which needs no push
// gateway, and the alert rules read that.
func (c *Cluster) Mark(ctx context.Context, pod string, taken time.Time) error {
	c.init()
	leases := c.Client.CoordinationV1().Leases(c.Namespace)
	name, holder := chart.JournalLease(c.Namespace, pod), "deepgram-ops"
	at := metav1.NewMicroTime(taken.UTC())
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"renewTime": at}})
	if err != nil {
		return err
	}
	// Rights can be given for the Leases of the replicas alone, except to create
	// them: so the one that is there is tried first.
	_, err = leases.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.Namespace, Labels: map[string]string{managedBy: manager}},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, RenewTime: &at},
		}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) { // another backup was faster
			_, err = leases.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		}
	}
	if err != nil {
		return fmt.Errorf("writing the time of the copy for monitoring: lease %s: %w", name, err)
	}
	return nil
}
