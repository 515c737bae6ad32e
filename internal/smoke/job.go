package smoke

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// SpecFile is where a Job finds what to do.
	SpecFile = "/etc/smoke-test/spec.json"
	specKey  = "spec.json"
	// answerMark begins the line of a Job's log that holds its answer.
	answerMark = "deepgram-smoke-test-answer "
	jobName    = "smoke-test"
)

// JobSpec says what a Job does. It is kept in a Secret, because of the key.
type JobSpec struct {
	Target Target `json:"target"`
	// APIKey is the target's.
	APIKey string `json:"apiKey,omitempty"`
	// One of Test and Load.
	Test *Options     `json:"test,omitempty"`
	Load *LoadOptions `json:"load,omitempty"`
}

// jobAnswer is what a Job found.
type jobAnswer struct {
	Test  *Report     `json:"test,omitempty"`
	Load  *LoadReport `json:"load,omitempty"`
	Error *Failure    `json:"error,omitempty"`
}

// Inside is what the Job runs: it does what spec says and writes the answer to out,
// notes to errs. Its error is for what was found to be written.
func Inside(ctx context.Context, spec io.Reader, out, errs io.Writer) error {
	var s JobSpec
	if err := json.NewDecoder(spec).Decode(&s); err != nil {
		return fmt.Errorf("reading the specification: %w", err)
	}
	s.Target.Key = Key(s.APIKey)
	note := func(line string) { fmt.Fprintln(errs, line) }
	var a jobAnswer
	var err error
	switch {
	case s.Load != nil:
		s.Load.Note = note
		a.Load, err = Load(ctx, &s.Target, *s.Load)
	case s.Test != nil:
		s.Test.Note = note
		a.Test, err = Run(ctx, &s.Target, *s.Test)
	default:
		return errors.New("reading the specification: it says nothing to do")
	}
	if err != nil && ctx.Err() == nil {
		a.Error = asFailure(err)
	}
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s%s\n", answerMark, text)
	return err
}

// JobOptions set up a Job in the cluster.
type JobOptions struct {
	// Image holds deepgram-ops. Required.
	Image string
	// Program is its path there; empty means /deepgram-ops.
	Program string
	// PullPolicy may be empty, PullSecret too.
	PullPolicy corev1.PullPolicy
	PullSecret string
	// Start is how long it may take to run; 0 means 3 minutes.
	Start time.Duration
	// Deadline ends it, whatever happens; 0 means 1 hour.
	Deadline time.Duration
	// Poll is how often it is looked at; 0 means 500 ms.
	Poll time.Duration
}

// job is a Job of this run.
type job struct {
	c    *Cluster
	o    JobOptions
	name string
}

// InCluster runs a smoke test or a load as a Job beside the API, where the network
// is that of the pods. A URL that is empty is that of the Service. The Job and its
// Secret are removed in every case; where this process is killed, Kubernetes
// removes both some minutes after the Job has ended.
func (c *Cluster) InCluster(ctx context.Context, spec JobSpec, o JobOptions) (*Report, *LoadReport, error) {
	c.defaults()
	o.Program = cmp.Or(o.Program, "/deepgram-ops")
	o.Start = cmp.Or(o.Start, 3*time.Minute)
	o.Deadline = cmp.Or(o.Deadline, time.Hour)
	o.Poll = cmp.Or(o.Poll, 500*time.Millisecond)
	if o.Image == "" {
		return nil, nil, errors.New("--image: is missing: the image of deepgram-ops, as the stack's registry.opsImage names it (deepgram-ops images publish puts it there)")
	}
	if spec.Target.URL == "" {
		url, err := c.serviceURL(ctx)
		if err != nil {
			return nil, nil, err
		}
		spec.Target.URL = url
	}
	if err := spec.Target.Check(); err != nil {
		return nil, nil, err
	}
	spec.APIKey = string(spec.Target.Key)
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, nil, err
	}
	if len(text) > 900<<10 {
		return nil, nil, errors.New("--audio: is too long for a Job, whose Secret holds it: at most 600 kB, 20 seconds at 16 kHz")
	}
	j := &job{c: c, o: o, name: "deepgram-smoke-test-" + strings.ToLower(rand.Text()[:8])}
	answer, err := j.run(ctx, text)
	err = errors.Join(err, j.remove(ctx))
	if answer == nil {
		return nil, nil, err
	}
	if answer.Error != nil {
		err = errors.Join(err, answer.Error)
	}
	return answer.Test, answer.Load, err
}

func (c *Cluster) serviceURL(ctx context.Context) (string, error) {
	service, err := c.Client.CoreV1().Services(c.Namespace).Get(ctx, c.Service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", fail(KindCluster, "check --namespace, or name it with --service (kubectl get services)", "namespace %s has no Service %s", c.Namespace, c.Service)
	}
	if err != nil {
		return "", c.clusterFailure("reading Service "+c.Service, err)
	}
	port := int32(80)
	if len(service.Spec.Ports) > 0 {
		port = service.Spec.Ports[0].Port
	}
	return fmt.Sprintf("http://%s.%s.svc:%d", c.Service, c.Namespace, port), nil
}

// object is the Job: no shell, no token, no rights, no file system of its own.
func (j *job) object() *batchv1.Job {
	no, yes := false, true
	user, zero, after := int64(65532), int32(0), int32(300)
	deadline, grace := int64(j.o.Deadline.Seconds()), int64(30)
	labels := map[string]string{
		"app.kubernetes.io/managed-by": "deepgram-ops", "app.kubernetes.io/component": jobName,
	}
	container := corev1.Container{
		Name: jobName, Image: j.o.Image, ImagePullPolicy: j.o.PullPolicy,
		Command: []string{j.o.Program}, Args: []string{"smoke-test", "inside", "--spec", SpecFile},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Privileged: &no,
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "spec", MountPath: strings.TrimSuffix(SpecFile, "/"+specKey), ReadOnly: true}},
	}
	var secrets []corev1.LocalObjectReference
	if j.o.PullSecret != "" {
		secrets = append(secrets, corev1.LocalObjectReference{Name: j.o.PullSecret})
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: j.name, Namespace: j.c.Namespace, Labels: labels},
		Spec: batchv1.JobSpec{
			BackoffLimit: &zero, ActiveDeadlineSeconds: &deadline, TTLSecondsAfterFinished: &after,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no, EnableServiceLinks: &no,
					TerminationGracePeriodSeconds: &grace, ImagePullSecrets: secrets,
					SecurityContext: &corev1.PodSecurityContext{
						RunAsUser: &user, RunAsGroup: &user, FSGroup: &user, RunAsNonRoot: &yes,
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{container},
					Volumes: []corev1.Volume{{Name: "spec", VolumeSource: corev1.VolumeSource{
						Secret: &corev1.SecretVolumeSource{SecretName: j.name},
					}}},
				},
			},
		},
	}
}

// run makes the Job and reads its answer.
func (j *job) run(ctx context.Context, spec []byte) (*jobAnswer, error) {
	made, err := j.c.Client.BatchV1().Jobs(j.c.Namespace).Create(ctx, j.object(), metav1.CreateOptions{})
	if err != nil {
		return nil, j.c.clusterFailure("creating Job "+j.name, err)
	}
	// The Secret comes second and belongs to the Job, so that it goes with it
	// whenever this process ends; the pod waits for it.
	yes := true
	if _, err := j.c.Client.CoreV1().Secrets(j.c.Namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: j.name, Labels: made.Labels, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "batch/v1", Kind: "Job", Name: made.Name, UID: made.UID, BlockOwnerDeletion: &yes,
		}}},
		Immutable: &yes, Data: map[string][]byte{specKey: spec},
	}, metav1.CreateOptions{}); err != nil {
		return nil, j.c.clusterFailure("creating Secret "+j.name, err)
	}
	j.c.Note(fmt.Sprintf("waiting ≤ %s for Job %s to start", j.o.Start, j.name))
	pod, err := j.started(ctx)
	if err != nil {
		return nil, err
	}
	return j.follow(ctx, pod)
}

// started waits until the pod runs or has run.
func (j *job) started(ctx context.Context) (string, error) {
	until := time.Now().Add(j.o.Start)
	why := "no pod was made"
	for {
		list, err := j.c.Client.CoreV1().Pods(j.c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "job-name=" + j.name})
		switch {
		case ctx.Err() != nil:
			return "", ctx.Err()
		case err != nil && time.Now().After(until):
			return "", j.c.clusterFailure("looking at Job "+j.name, err)
		case err == nil && len(list.Items) > 0:
			p := &list.Items[0]
			if p.Status.Phase != corev1.PodPending && p.Status.Phase != "" {
				return p.Name, nil
			}
			why = pending(p)
		}
		if time.Now().After(until) || strings.Contains(why, "ImagePullBackOff") || strings.Contains(why, "InvalidImageName") {
			return "", fail(KindCluster, "check --image and --pull-secret, and room on the nodes (kubectl describe pods)", "Job %s does not start: %s", j.name, why)
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(j.o.Poll):
		}
	}
}

// pending says in Kubernetes' words what a pod waits for.
func pending(p *corev1.Pod) string {
	for _, s := range p.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil && w.Reason != "ContainerCreating" {
			return short(w.Reason+" "+w.Message, 300)
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" {
			return short(c.Message, 300)
		}
	}
	return "its container is being created"
}

// follow passes the pod's notes on and reads its answer. When ctx ends, the pod is
// asked to end and may still say what it has found.
func (j *job) follow(ctx context.Context, pod string) (*jobAnswer, error) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(15*time.Second, cancel)
		_ = j.c.Client.CoreV1().Pods(j.c.Namespace).Delete(work, pod, metav1.DeleteOptions{})
	})()
	var answer *jobAnswer
	seen := 0 // lines, where the stream broke and begins again
	for tries := 0; ; tries++ {
		err := j.lines(work, pod, &seen, func(line []byte) {
			if text, ok := bytes.CutPrefix(line, []byte(answerMark)); ok {
				var a jobAnswer
				if json.Unmarshal(text, &a) == nil {
					answer = &a
				}
				return
			}
			j.c.Note("in the cluster: " + short(string(line), 400))
		})
		switch {
		case answer != nil:
			return answer, ctx.Err()
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
		// An API server that restarts breaks the stream; the pod runs on.
		p, perr := j.c.Client.CoreV1().Pods(j.c.Namespace).Get(ctx, pod, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(perr):
			return nil, fail(KindCluster, "run it again", "pod %s was removed before it had an answer", pod)
		case perr == nil && p.Status.Phase != corev1.PodRunning && tries > 0:
			return nil, fail(KindCluster, "check that --image is deepgram-ops of this version, and its memory", "Job %s ended without an answer: %s", j.name, ended(p))
		case tries > 20:
			return nil, j.c.clusterFailure("reading the log of pod "+pod, errors.Join(err, perr))
		}
		select {
		case <-ctx.Done():
		case <-time.After(j.o.Poll):
		}
	}
}

// lines hands the lines of the log on that were not seen yet.
func (j *job) lines(ctx context.Context, pod string, seen *int, line func([]byte)) error {
	log, err := j.c.Client.CoreV1().Pods(j.c.Namespace).GetLogs(pod, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		return err
	}
	defer log.Close()
	s := bufio.NewScanner(log)
	s.Buffer(nil, 8<<20)
	for n := 0; s.Scan(); n++ {
		if n >= *seen {
			*seen = n + 1
			line(s.Bytes())
		}
	}
	return s.Err()
}

// ended says how a pod ended.
func ended(p *corev1.Pod) string {
	for _, s := range p.Status.ContainerStatuses {
		if t := s.State.Terminated; t != nil {
			return short(fmt.Sprintf("%s (code %d) %s", t.Reason, t.ExitCode, t.Message), 300)
		}
	}
	return short(p.Status.Reason+" "+p.Status.Message, 300)
}

// remove deletes the Job with its pod and Secret, also when ctx has ended.
func (j *job) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	background := metav1.DeletePropagationBackground
	var last error
	for {
		last = j.c.Client.BatchV1().Jobs(j.c.Namespace).Delete(ctx, j.name, metav1.DeleteOptions{PropagationPolicy: &background})
		if last == nil || apierrors.IsNotFound(last) || apierrors.IsForbidden(last) {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("removing Job %s: %w (Kubernetes removes it 5 minutes after its end)", j.name, last)
		case <-time.After(j.o.Poll):
		}
	}
	if apierrors.IsForbidden(last) {
		return fmt.Errorf("removing Job %s: %w (Kubernetes removes it 5 minutes after its end)", j.name, last)
	}
	return nil
}
