package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	managedBy       = "app.kubernetes.io/managed-by"
	manager         = "deepgram-ops"
	component       = "app.kubernetes.io/component"
	helperComponent = "journal-helper"
	runLabel        = "deepgram-ops/run"
	beatKey         = "deepgram-ops/heartbeat"
	helperContainer = "helper"
	helperMount     = "/volume"
)

// HelperSpec sets up helper pods.
type HelperSpec struct {
	// Image holds deepgram-ops. Required.
	Image string
	// Program is its path there; empty means /deepgram-ops.
	Program string
	// PullPolicy may be empty.
	PullPolicy corev1.PullPolicy
	// PullSecret may be empty; billing's own are used anyway.
	PullSecret string
	// User is who reads the journal; nil means billing's own user or, where the
	// chart does not name one, 65532, which is not root.
	User *int64
	// Group likewise.
	Group *int64
}

// defaultUser is the user of the published image.
const defaultUser int64 = 65532

// helper is a running helper pod.
type helper struct {
	c    *Cluster
	name string
	uid  types.UID
	// token opens the helper's port; closed tells that the port cannot be reached,
	// narrow that it takes one request at a time.
	token          string
	closed, narrow atomic.Bool
}

// mount says what a helper mounts.
type mount struct {
	claim string
	// beside is the pod on whose node the helper must run; empty anywhere.
	beside string
	// write mounts the volume for writing.
	write bool
	// ahead are journals on the volume that are going to be asked for.
	ahead []string
	// like gives user, tolerations, node selector and pull secrets.
	like *corev1.PodSpec
}

// helperPod is the helper's pod: no shell, no token, no rights, and nothing that
// it may write to unless a restore needs it.
func (c *Cluster) helperPod(m mount, token string) *corev1.Pod {
	spec := c.Helper
	if spec.Program == "" {
		spec.Program = "/deepgram-ops"
	}
	no, yes := false, true
	user, group := defaultUser, defaultUser
	var secrets []corev1.LocalObjectReference
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "billing-journal-helper-", Namespace: c.Namespace,
			Labels:      map[string]string{managedBy: manager, component: helperComponent, runLabel: c.run},
			Annotations: map[string]string{beatKey: c.Now().UTC().Format(time.RFC3339), "deepgram-ops/by": c.by},
		},
	}
	if m.like != nil {
		secrets = slices.Clone(m.like.ImagePullSecrets)
		pod.Spec.Tolerations = slices.Clone(m.like.Tolerations)
		pod.Spec.NodeSelector = maps.Clone(m.like.NodeSelector)
		if u, g := userOf(m.like); u != nil {
			user, group = *u, *u
			if g != nil {
				group = *g
			}
		}
	}
	if spec.PullSecret != "" {
		secrets = append(secrets, corev1.LocalObjectReference{Name: spec.PullSecret})
	}
	if spec.User != nil {
		user, group = *spec.User, *spec.User
	}
	if spec.Group != nil {
		group = *spec.Group
	}
	nonRoot := user != 0
	deadline, grace := int64(c.Timing.Deadline.Seconds()), int64(1)
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Spec.ActiveDeadlineSeconds = &deadline
	pod.Spec.TerminationGracePeriodSeconds = &grace
	pod.Spec.AutomountServiceAccountToken = &no
	pod.Spec.EnableServiceLinks = &no
	pod.Spec.ImagePullSecrets = secrets
	// No fsGroup, except on a new volume: kubelet would change the group of every
	// file on it.
	var fsGroup *int64
	if m.write {
		fsGroup = &group
	}
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsUser: &user, RunAsGroup: &group, RunAsNonRoot: &nonRoot, FSGroup: fsGroup,
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	pod.Spec.Containers = []corev1.Container{{
		Name: helperContainer, Image: spec.Image, ImagePullPolicy: spec.PullPolicy,
		Command: []string{spec.Program},
		Args:    []string{"journal", "inside", "hold", "--for", c.Timing.Deadline.String(), "--root", helperMount, "--token-sha256", token},
		Env:     aheadEnv(m.ahead),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Privileged: &no,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		Resources: helperResources(),
		// The mount is read-only, the claim's volume is not: a disk that billing
		// has mounted for writing cannot be mounted read-only a second time.
		VolumeMounts: []corev1.VolumeMount{{Name: "volume", MountPath: helperMount, ReadOnly: !m.write}},
	}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "volume", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: m.claim},
	}}}
	if m.beside != "" {
		// ReadWriteOnce is about the node, not about the pod.
		pod.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{podLabel: m.beside}},
				TopologyKey:   corev1.LabelHostname,
			}},
		}}
	}
	return pod
}

func userOf(s *corev1.PodSpec) (user, group *int64) {
	for _, ct := range s.Containers {
		for _, m := range ct.VolumeMounts {
			if path.Clean(m.MountPath) == journalMount && ct.SecurityContext != nil && ct.SecurityContext.RunAsUser != nil {
				return ct.SecurityContext.RunAsUser, ct.SecurityContext.RunAsGroup
			}
		}
	}
	if s.SecurityContext != nil && s.SecurityContext.RunAsUser != nil {
		return s.SecurityContext.RunAsUser, s.SecurityContext.RunAsGroup
	}
	return nil, nil
}

// startHelper makes a helper and waits until it runs. A helper that does not
// start is removed.
func (c *Cluster) startHelper(ctx context.Context, m mount) (*helper, error) {
	if c.Helper.Image == "" {
		return nil, errors.New("helper pod: has no image: give --image REGISTRY/deepgram-ops:TAG, or let the backup CronJob be installed, whose image is used")
	}
	pods := c.Client.CoreV1().Pods(c.Namespace)
	c.Note(fmt.Sprintf("starting a helper pod on claim %s, at most %s", m.claim, c.Timing.Start))
	// Even where the answer to this call is lost, the pod carries our run's
	// label, and removeRun finds it.
	token, digest := newToken()
	p, err := pods.Create(ctx, c.helperPod(m, digest), metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("helper pod: %w", err)
	}
	h := &helper{c: c, name: p.Name, uid: p.UID, token: token}
	why := ""
	err = c.poll(ctx, c.Timing.Start, func(ctx context.Context) (bool, error) {
		p, err := pods.Get(ctx, h.name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return false, fatal{errors.New("was removed by somebody else")}
		case err != nil:
			return false, err
		}
		why = waitingFor(p)
		switch p.Status.Phase {
		case corev1.PodRunning:
			return true, nil
		case corev1.PodSucceeded, corev1.PodFailed:
			return false, fatal{fmt.Errorf("ended at once: %s", why)}
		case corev1.PodPending, corev1.PodUnknown:
		}
		return false, nil
	})
	if err != nil {
		if ctx.Err() == nil && why != "" && !strings.Contains(err.Error(), why) {
			err = fmt.Errorf("%w: %s", err, why)
		}
		return nil, errors.Join(fmt.Errorf("helper pod %s on claim %s: %w", h.name, m.claim, err), h.remove(ctx))
	}
	return h, nil
}

// waitingFor says in Kubernetes' words what a pod waits for.
func waitingFor(p *corev1.Pod) string {
	for _, s := range p.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil && w.Reason != "ContainerCreating" {
			return strings.TrimSpace(w.Reason + " " + w.Message)
		}
		if t := s.State.Terminated; t != nil {
			return strings.TrimSpace(fmt.Sprintf("%s (code %d) %s", t.Reason, t.ExitCode, t.Message))
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" {
			return c.Message
		}
	}
	return strings.TrimSpace(p.Status.Reason + " " + p.Status.Message)
}

// remove deletes the helper, also when ctx has ended, and waits until it is gone,
// so that its volume is free.
func (h *helper) remove(ctx context.Context) error {
	ctx, cancel := h.c.after(ctx)
	defer cancel()
	return h.c.removePod(ctx, h.name, h.uid, vanished)
}

// removal says when a removal has succeeded.
type removal bool

const (
	// vanished: the pod does not exist any more, and its volume is free.
	vanished removal = true
	// asked: the API server has promised it; the node takes some seconds for it.
	asked removal = false
)

func (c *Cluster) removePod(ctx context.Context, name string, uid types.UID, until removal) error {
	pods := c.Client.CoreV1().Pods(c.Namespace)
	err := c.poll(ctx, c.Timing.Cleanup, func(ctx context.Context) (bool, error) {
		grace := int64(1)
		err := pods.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, GracePeriodSeconds: &grace})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return true, nil // a conflict is another pod of that name
		}
		return err == nil && until == asked, err
	})
	if err != nil {
		return fmt.Errorf("removing helper pod %s: %w (the next journal command removes it)", name, err)
	}
	return nil
}

// removeRun removes every helper of this run.
func (c *Cluster) removeRun(ctx context.Context, until removal) error {
	_, err := c.removeHelpers(ctx, runLabel+"="+c.run, until, func(*corev1.Pod) bool { return true })
	return err
}

// removeStale removes the helpers that killed runs left: their run's last beat
// is old, or they have ended.
func (c *Cluster) removeStale(ctx context.Context) ([]string, error) {
	return c.removeHelpers(ctx, runLabel+"!="+c.run, vanished, func(p *corev1.Pod) bool {
		last := p.CreationTimestamp.Time
		if t, err := time.Parse(time.RFC3339, p.Annotations[beatKey]); err == nil && t.After(last) {
			last = t
		}
		ended := p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		// Clocks differ between machines, so be slow to call a run dead: a helper
		// that is left for some minutes more does no harm.
		return c.Now().Sub(last) > 5*c.Timing.Dead || ended && c.Now().Sub(last) > c.Timing.Dead
	})
}

func (c *Cluster) removeHelpers(
	ctx context.Context, selector string, until removal, which func(*corev1.Pod) bool,
) ([]string, error) {
	list, err := c.Client.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: fmt.Sprintf("%s=%s,%s=%s,%s", managedBy, manager, component, helperComponent, selector),
	})
	if err != nil {
		return nil, fmt.Errorf("looking for helper pods: %w", err)
	}
	var names []string
	var errs []error
	for _, p := range list.Items {
		if !which(&p) {
			continue
		}
		if err := c.removePod(ctx, p.Name, p.UID, until); err != nil {
			errs = append(errs, err)
			continue
		}
		names = append(names, p.Name)
	}
	return names, errors.Join(errs...)
}

// beat tells that the run lives.
func (h *helper) beat(ctx context.Context) {
	patch, _ := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{beatKey: h.c.Now().UTC().Format(time.RFC3339)}}})
	_, _ = h.c.Client.CoreV1().Pods(h.c.Namespace).Patch(ctx, h.name, types.MergePatchType, patch, metav1.PatchOptions{})
}

// exec runs deepgram-ops journal inside … in the helper.
func (h *helper) exec(ctx context.Context, in io.Reader, out io.Writer, args ...string) error {
	program := h.c.Helper.Program
	if program == "" {
		program = "/deepgram-ops"
	}
	var errs bytes.Buffer
	err := h.c.Exec.Exec(ctx, h.c.Namespace, h.name, append([]string{program, "journal", "inside"}, args...), in, out, &limited{w: &errs, left: 4 << 10})
	var code *ExitError
	if errors.As(err, &code) {
		text := strings.TrimPrefix(strings.TrimSpace(errs.String()), "error: ")
		if text == "" {
			text = code.Error()
		}
		if strings.Contains(text, "permission denied") {
			text += " (the helper pod is not the journal's owner: give --run-as-user UID)"
		}
		// 1 and 2 are the program's own answers; another code is a program that
		// was killed, and may be tried again.
		if code.Code == 1 || code.Code == 2 {
			return fatal{errors.New(text)}
		}
		return errors.New(text)
	}
	return err
}

// limited keeps the beginning of what is written to it.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) > l.left {
		p = p[:l.left]
	}
	l.left -= len(p)
	_, err := l.w.Write(p)
	return n, err
}

// helperResources are enough to stream at full speed, and no more.
func helperResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
	}
}
