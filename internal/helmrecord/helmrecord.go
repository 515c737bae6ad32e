// Package helmrecord reads what Helm keeps of a release in the cluster, tells
// whether it is stuck, and takes away the records that hold it. It neither
// installs nor renders: that is the provider's and internal/chartdiff's.
package helmrecord

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Record is one revision of a release. Only Helm's labels are read: what was
// installed, with all its values, stays in the cluster.
type Record struct {
	Revision int       `json:"revision"`
	Status   string    `json:"status"`
	Modified time.Time `json:"modified"`
	secret   string
	version  string
	uid      types.UID
}

// List are the revisions of a release, the oldest first.
func List(ctx context.Context, client kubernetes.Interface, namespace, name string) ([]Record, error) {
	found, err := client.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm,name=" + name})
	if err != nil {
		return nil, fmt.Errorf("listing the records of Helm release %s/%s: %w", namespace, name, err)
	}
	records := make([]Record, 0, len(found.Items))
	for _, s := range found.Items {
		revision, err := strconv.Atoi(s.Labels["version"])
		if err != nil {
			continue // not Helm's
		}
		r := Record{Revision: revision, Status: s.Labels["status"], secret: s.Name, version: s.ResourceVersion, uid: s.UID}
		for _, label := range []string{"modifiedAt", "createdAt"} {
			if seconds, err := strconv.ParseInt(s.Labels[label], 10, 64); err == nil {
				r.Modified = time.Unix(seconds, 0)
				break
			}
		}
		if r.Modified.IsZero() {
			r.Modified = s.CreationTimestamp.Time
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b Record) int { return a.Revision - b.Revision })
	return records, nil
}

// Verdict is what there is to say of a release.
type Verdict struct {
	// Status is that of the last revision; empty where there is none.
	Status string `json:"status"`
	// Stuck tells that the next update would fail because of the records.
	Stuck bool `json:"stuck"`
	// Explanation says what happened, and what becomes of it.
	Explanation string `json:"explanation"`
	// Remove are the records that hold the release, where taking them away is safe.
	Remove []Record `json:"remove,omitempty"`
	// Commands are what a person runs where it is not.
	Commands []string `json:"commands,omitempty"`
}

// Judge looks at the records of a release. ours tells that whoever began the last
// revision is known to be dead; otherwise an operation that is younger than limit
// may still be under way, and is left alone.
func Judge(namespace, name string, records []Record, ours bool, limit time.Duration, now time.Time) Verdict {
	if len(records) == 0 {
		return Verdict{Explanation: "nothing is installed; the next up installs it"}
	}
	last := records[len(records)-1]
	v := Verdict{Status: last.Status}
	deployed := slices.ContainsFunc(records, func(r Record) bool { return r.Status == "deployed" })
	switch {
	case last.Status == "deployed":
		v.Explanation = fmt.Sprintf("revision %d is deployed", last.Revision)
		return v
	case last.Status == "failed" && deployed:
		v.Explanation = fmt.Sprintf("revision %d failed, and an earlier one is deployed; the next up tries again from there", last.Revision)
		return v
	case last.Status == "uninstalling" || last.Status == "uninstalled":
		v.Explanation = "its removal had begun; run destroy again, or remove the rest by hand"
		v.Commands = []string{fmt.Sprintf("helm uninstall %s -n %s --wait", name, namespace)}
		return v
	case (last.Status == "pending-install" || last.Status == "failed") && never(records):
		v.Stuck = true
		v.Remove = slices.Clone(records)
		v.Explanation = fmt.Sprintf("its first installation did not end (%s), and Helm refuses to install over it; "+
			"without that record the next up installs it again and takes over what is there", last.Status)
		v.Commands = []string{fmt.Sprintf("helm uninstall %s -n %s --wait", name, namespace)}
	case strings.HasPrefix(last.Status, "pending-") && deployed:
		v.Stuck = true
		v.Remove = []Record{last}
		v.Explanation = fmt.Sprintf("revision %d did not end (%s), and Helm refuses the next one as long as its record is there; "+
			"without it the next up goes on from the revision that is deployed", last.Revision, last.Status)
		v.Commands = []string{
			fmt.Sprintf("helm history %s -n %s", name, namespace),
			fmt.Sprintf("helm rollback %s -n %s --wait --timeout 1h", name, namespace),
		}
	default:
		v.Stuck = true
		v.Explanation = fmt.Sprintf("revision %d is %q and no revision is deployed; choose the one to go back to", last.Revision, last.Status)
		v.Commands = []string{
			fmt.Sprintf("helm history %s -n %s", name, namespace),
			fmt.Sprintf("helm rollback %s REVISION -n %s --wait --timeout 1h", name, namespace),
		}
		return v
	}
	if age := now.Sub(last.Modified); !ours && age < limit {
		v.Remove = nil
		v.Explanation += fmt.Sprintf(". It was begun %s ago and may be under way: it has %s. See first who runs it",
			age.Round(time.Second), limit)
		return v
	}
	v.Commands = nil
	return v
}

// never tells that no revision was ever deployed.
func never(records []Record) bool {
	return !slices.ContainsFunc(records, func(r Record) bool {
		return r.Status != "pending-install" && r.Status != "failed"
	})
}

// Remove takes the records away, each only as it was when it was listed. What the
// release made stays.
func Remove(ctx context.Context, client kubernetes.Interface, namespace string, records []Record) error {
	for _, r := range slices.Backward(records) {
		conditions := &metav1.Preconditions{}
		if r.uid != "" {
			conditions.UID = &r.uid
		}
		if r.version != "" {
			conditions.ResourceVersion = &r.version
		}
		err := client.CoreV1().Secrets(namespace).Delete(ctx, r.secret, metav1.DeleteOptions{Preconditions: conditions})
		if err != nil {
			return fmt.Errorf("removing the record of revision %d: %w", r.Revision, err)
		}
	}
	return nil
}
