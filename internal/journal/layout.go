package journal

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// billingLabel selects the chart's StatefulSet and pods; the chart fixes it.
	billingLabel = "app=deepgram-billing"
	// journalMount is where billing has its journal, and journalFile what it is
	// called there.
	journalMount = "/journal"
	journalFile  = "journal"
	// podLabel is on every pod of a StatefulSet.
	podLabel = "statefulset.kubernetes.io/pod-name"
)

// Place is where one replica's journal is.
type Place struct {
	Pod   string `json:"pod"`
	Claim string `json:"claim"`
	// Path is the file's path on the claim's volume.
	Path string `json:"path"`
	// Shared says that pods on several nodes can mount the claim (ReadWriteMany
	// or ReadOnlyMany).
	Shared bool `json:"shared"`
	// Exclusive says that only one pod can (ReadWriteOncePod).
	Exclusive bool `json:"exclusive,omitempty"`
	// Node is where the pod runs; empty if it does not.
	Node string `json:"node,omitempty"`
	// Ready is the pod's own word.
	Ready bool `json:"ready"`
}

// Layout is where the journals of an installation are.
type Layout struct {
	Namespace   string `json:"namespace"`
	StatefulSet string `json:"statefulSet"`
	// Replicas is what the StatefulSet asks for now.
	Replicas int32   `json:"replicas"`
	Places   []Place `json:"places"`
	// Scaled is the run that has scaled billing down; nil normally.
	Scaled *Scaled `json:"scaledDown,omitempty"`
	set    *appsv1.StatefulSet
}

// Layout looks where the journals are: every replica's, also of replicas that
// are scaled away while their claim is still there.
func (c *Cluster) Layout(ctx context.Context) (*Layout, error) {
	c.init()
	set, err := c.statefulSet(ctx)
	if err != nil {
		return nil, err
	}
	l := &Layout{Namespace: c.Namespace, StatefulSet: set.Name, Replicas: replicas(set), set: set}
	l.Scaled, _ = scaledOf(set)
	where, err := journalVolume(set)
	if err != nil {
		return nil, fmt.Errorf("statefulset %s/%s: %w", c.Namespace, set.Name, err)
	}
	pods, err := c.billingPods(ctx, set)
	if err != nil {
		return nil, err
	}
	count := l.Replicas
	if l.Scaled != nil {
		count = max(count, l.Scaled.Replicas)
	}
	claims, err := c.claims(ctx, set, where, &count)
	if err != nil {
		return nil, err
	}
	for i := range count {
		p := Place{Pod: fmt.Sprintf("%s-%d", set.Name, i+ordinalStart(set))}
		p.Claim, p.Path = where.of(p.Pod)
		claim, ok := claims[p.Claim]
		if !ok {
			return nil, fmt.Errorf("claim %s/%s: is not there, though %s mounts it: %w", c.Namespace, p.Claim, p.Pod, ErrNotFound)
		}
		modes := claim.Spec.AccessModes
		p.Shared = slices.Contains(modes, corev1.ReadWriteMany) || slices.Contains(modes, corev1.ReadOnlyMany)
		p.Exclusive = !p.Shared && slices.Contains(modes, corev1.ReadWriteOncePod)
		if pod, ok := pods[p.Pod]; ok && pod.Status.Phase == corev1.PodRunning {
			p.Node, p.Ready = pod.Spec.NodeName, ready(pod)
		}
		l.Places = append(l.Places, p)
	}
	if len(l.Places) == 0 {
		return nil, fmt.Errorf("statefulset %s/%s: has 0 replicas, and nothing says how many it had: no journal to look for (scale it up first)", c.Namespace, set.Name)
	}
	return l, nil
}

// statefulSet finds billing's.
func (c *Cluster) statefulSet(ctx context.Context) (*appsv1.StatefulSet, error) {
	list, err := c.Client.AppsV1().StatefulSets(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: billingLabel})
	if err != nil {
		return nil, fmt.Errorf("looking for billing in namespace %s: %w", c.Namespace, err)
	}
	switch len(list.Items) {
	case 1:
		return &list.Items[0], nil
	case 0:
		return nil, fmt.Errorf("namespace %s: has no StatefulSet with the label %s: is billing enabled, and is this its namespace (--namespace)? %w", c.Namespace, billingLabel, ErrNotFound)
	}
	var names []string
	for _, s := range list.Items {
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("namespace %s: has %d StatefulSets with the label %s (%s), one is allowed", c.Namespace, len(names), billingLabel, strings.Join(names, ", "))
}

func replicas(set *appsv1.StatefulSet) int32 {
	if set.Spec.Replicas == nil {
		return 1
	}
	return *set.Spec.Replicas
}

func ordinalStart(set *appsv1.StatefulSet) int32 {
	if set.Spec.Ordinals == nil {
		return 0
	}
	return set.Spec.Ordinals.Start
}

func ready(p corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// billingPods are the StatefulSet's own pods, by name.
func (c *Cluster) billingPods(ctx context.Context, set *appsv1.StatefulSet) (map[string]corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil, err
	}
	list, err := c.Client.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, fmt.Errorf("looking for billing's pods: %w", err)
	}
	pods := map[string]corev1.Pod{}
	for _, p := range list.Items {
		if o := metav1.GetControllerOf(&p); o != nil && o.UID == set.UID {
			pods[p.Name] = p
		}
	}
	return pods, nil
}

// volume is how the StatefulSet mounts its journals.
type volume struct {
	// claim is the one that all replicas share; empty with a claim template.
	claim string
	// template is the claim template's name.
	template string
	// dir is the folder on the volume; $(POD_NAME) stands for the pod's.
	dir string
}

func journalVolume(set *appsv1.StatefulSet) (volume, error) {
	for _, ct := range set.Spec.Template.Spec.Containers {
		for _, m := range ct.VolumeMounts {
			if path.Clean(m.MountPath) != journalMount {
				continue
			}
			v := volume{dir: m.SubPath}
			if m.SubPathExpr != "" {
				v.dir = m.SubPathExpr
			}
			for _, t := range set.Spec.VolumeClaimTemplates {
				if t.Name == m.Name {
					v.template = t.Name
					return v, nil
				}
			}
			for _, p := range set.Spec.Template.Spec.Volumes {
				if p.Name == m.Name && p.PersistentVolumeClaim != nil {
					v.claim = p.PersistentVolumeClaim.ClaimName
					return v, nil
				}
			}
			return v, fmt.Errorf("volume %q at %s: is no claim: the journal would not survive the pod", m.Name, journalMount)
		}
	}
	return volume{}, fmt.Errorf("no container mounts %s: where is the journal?", journalMount)
}

// of is a pod's claim and the path of its journal there.
func (v volume) of(pod string) (claim, file string) {
	claim = v.claim
	if v.template != "" {
		claim = v.template + "-" + pod
	}
	return claim, path.Join(strings.ReplaceAll(v.dir, "$(POD_NAME)", pod), journalFile)
}

// claims finds the claims, and raises count to the replicas that have claims of
// their own: those of replicas that were scaled away hold journals too.
func (c *Cluster) claims(
	ctx context.Context, set *appsv1.StatefulSet, v volume, count *int32,
) (map[string]corev1.PersistentVolumeClaim, error) {
	found := map[string]corev1.PersistentVolumeClaim{}
	get := func(name string) (bool, error) {
		pvc, err := c.Client.CoreV1().PersistentVolumeClaims(c.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("claim %s: %w", name, err)
		}
		found[name] = *pvc
		return true, nil
	}
	if v.claim != "" {
		_, err := get(v.claim)
		return found, err
	}
	for i := int32(0); ; i++ {
		name, _ := v.of(fmt.Sprintf("%s-%d", set.Name, i+ordinalStart(set)))
		ok, err := get(name)
		if err != nil {
			return nil, err
		}
		if !ok && i >= *count {
			return found, nil
		}
		*count = max(*count, i+1)
	}
}

// Recovered is what an earlier, killed run had left behind.
type Recovered struct {
	// Replicas that billing was given back; 0 if it was not scaled down.
	Replicas int32
	// Helpers that were removed.
	Helpers []string
}

// Recover puts right what a killed run left: billing that is still scaled down,
// and helper pods. What a live run is using is left alone.
func (c *Cluster) Recover(ctx context.Context) (Recovered, error) {
	c.init()
	var r Recovered
	var errs []error
	n, err := c.recoverScale(ctx)
	r.Replicas = n
	if err != nil {
		errs = append(errs, err)
	}
	if r.Helpers, err = c.removeStale(ctx); err != nil {
		errs = append(errs, err)
	}
	return r, errors.Join(errs...)
}
