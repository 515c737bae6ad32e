package smoke

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"

	"github.com/deepgram-gke/deepgram-gke/internal/kube"
)

// Names that the chart gives.
const (
	// DefaultService is the Service of the API.
	DefaultService = "deepgram-api-external"
	// DefaultEngines selects the pods of the engines.
	DefaultEngines = "app=deepgram-engine"
)

// Cluster is the namespace in which Deepgram runs.
type Cluster struct {
	Client    kubernetes.Interface
	Config    *rest.Config
	Namespace string
	// Service is the Service of the API; empty means DefaultService.
	Service string
	// Engines selects the engines' pods; empty means DefaultEngines.
	Engines string
	// Note hears what is done; nil nobody.
	Note func(string)
}

// Connect reaches a cluster as kubectl does: by kubeconfig (empty means KUBECONFIG
// or the usual file) and context. An empty namespace is the kubeconfig's.
func Connect(kubeconfig, kubeContext, namespace string) (*Cluster, error) {
	cfg, namespace, err := kube.Connect(kubeconfig, kubeContext, namespace)
	if err != nil {
		return nil, err
	}
	client, cfg, err := kube.Client(cfg)
	if err != nil {
		return nil, err
	}
	return &Cluster{Client: client, Config: cfg, Namespace: namespace}, nil
}

func (c *Cluster) defaults() {
	c.Service = cmp.Or(c.Service, DefaultService)
	c.Engines = cmp.Or(c.Engines, DefaultEngines)
	if c.Note == nil {
		c.Note = func(string) {}
	}
}

// clusterFailure is the sentence of an error of the API server.
func (c *Cluster) clusterFailure(doing string, err error) error {
	var known *Failure
	switch {
	case errors.As(err, &known):
		return known
	case apierrors.IsForbidden(err):
		return fail(KindCluster, "grant it: container.developer in the project, or a Role of this namespace with it", "%s is forbidden: %v", doing, err)
	case apierrors.IsUnauthorized(err):
		return fail(KindCluster, "log in again: gcloud container clusters get-credentials", "%s: the cluster does not know this user", doing)
	}
	return fail(KindCluster, "check --kubeconfig, --context and --namespace, and that the cluster can be reached from here", "%s: %v", doing, err)
}

// ready tells whether a pod serves.
func ready(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// apiPod is a ready pod of the API and the port on which it serves.
func (c *Cluster) apiPod(ctx context.Context) (string, int32, error) {
	c.defaults()
	service, err := c.Client.CoreV1().Services(c.Namespace).Get(ctx, c.Service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", 0, fail(KindCluster, "check --namespace, or name it with --service (kubectl get services)", "namespace %s has no Service %s", c.Namespace, c.Service)
	}
	if err != nil {
		return "", 0, c.clusterFailure("reading Service "+c.Service, err)
	}
	if len(service.Spec.Ports) == 0 || len(service.Spec.Selector) == 0 {
		return "", 0, fail(KindCluster, "name the API's Service with --service", "Service %s selects no pods or has no port", c.Service)
	}
	pods, err := c.Client.CoreV1().Pods(c.Namespace).List(ctx,
		metav1.ListOptions{LabelSelector: labels.SelectorFromSet(service.Spec.Selector).String()})
	if err != nil {
		return "", 0, c.clusterFailure("listing the API's pods", err)
	}
	for i := range pods.Items {
		if p := &pods.Items[i]; ready(p) {
			if port := containerPort(p, service.Spec.Ports[0].TargetPort, service.Spec.Ports[0].Port); port > 0 {
				return p.Name, port, nil
			}
		}
	}
	return "", 0, fail(KindCluster, "an API pod is ready when an engine is: kubectl get pods, then the log of the first that is not",
		"none of the %d API pods of Service %s is ready", len(pods.Items), c.Service)
}

// containerPort is the port of a pod that a Service means.
func containerPort(p *corev1.Pod, target intstr.IntOrString, port int32) int32 {
	switch {
	case target.Type == intstr.Int && target.IntVal > 0:
		return target.IntVal
	case target.Type == intstr.Int:
		return port
	}
	for _, ct := range p.Spec.Containers {
		for _, cp := range ct.Ports {
			if cp.Name == target.StrVal {
				return cp.ContainerPort
			}
		}
	}
	return 0
}

// Forward opens a port of this machine that leads to a pod of the API, and says its
// URL. Call the function when done.
func (c *Cluster) Forward(ctx context.Context) (string, func(), error) {
	pod, port, err := c.apiPod(ctx)
	if err != nil {
		return "", nil, err
	}
	u := c.Client.CoreV1().RESTClient().Post().Resource("pods").Namespace(c.Namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.Config)
	if err != nil {
		return "", nil, fmt.Errorf("port-forward: %w", err)
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, u)
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(u, c.Config)
	if err != nil {
		return "", nil, fmt.Errorf("port-forward: %w", err)
	}
	dialer = portforward.NewFallbackDialer(tunnel, dialer, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	stop, up := make(chan struct{}), make(chan struct{})
	f, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, stop, up, io.Discard, io.Discard)
	if err != nil {
		return "", nil, fmt.Errorf("port-forward: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- f.ForwardPorts() }()
	done := func() {
		close(stop)
		<-ended
	}
	select {
	case <-ctx.Done():
		done()
		return "", nil, ctx.Err()
	case err := <-ended:
		return "", nil, c.clusterFailure("port-forward to pod "+pod, err)
	case <-up:
	}
	ports, err := f.GetPorts()
	if err != nil || len(ports) == 0 {
		done()
		return "", nil, c.clusterFailure("port-forward to pod "+pod, err)
	}
	c.Note(fmt.Sprintf("port-forward to pod %s:%d", pod, port))
	return "http://" + net.JoinHostPort("127.0.0.1", fmt.Sprint(ports[0].Local)), done, nil
}

// engines are the running engines.
func (c *Cluster) engines(ctx context.Context) ([]corev1.Pod, error) {
	c.defaults()
	list, err := c.Client.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: c.Engines})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return !ready(&p) }), nil
}

// CountEngines is how many engines are ready.
func (c *Cluster) CountEngines(ctx context.Context) (int, error) {
	pods, err := c.engines(ctx)
	if err != nil {
		return 0, c.clusterFailure("counting engines", err)
	}
	if len(pods) == 0 {
		return 0, fail(KindCluster, "check --namespace and --engine-selector, or give --engines N", "namespace %s has no ready pod with %s", c.Namespace, c.Engines)
	}
	return len(pods), nil
}

// What an engine writes into its log when it starts.
var (
	onGPU   = regexp.MustCompile(`(?i)using devices:.*gpu\(\d+\)|gpu_id=gpu\(\d+\)|implements cuda compute capability`)
	onCPU   = regexp.MustCompile(`(?i)using devices:.*cpu|(falling|falls|fell) back to (the )?cpu|no (nvidia )?gpus? (was |were |is |are )?(found|detected|available)|no (cuda|gpu) devices?`)
	gpuName = regexp.MustCompile(`(?i)gpu_name="([^"]+)"|(NVIDIA [A-Za-z0-9 -]+?) implements`)
)

// maxLog is how much of an engine's log is read, from its beginning.
const maxLog = 4 << 20

// needsGPU is the setting of an engine to start with a GPU or not at all.
var needsGPU = regexp.MustCompile(`(?m)^\s*gpu_required\s*=\s*true\b`)

// GPU looks whether every engine uses a GPU: its log says so when it starts. Where
// the beginning of a log is gone, an engine that runs although it is set to start
// with a GPU or not at all has one; of others it cannot be said.
func (c *Cluster) GPU(ctx context.Context) (string, error) {
	pods, err := c.engines(ctx)
	switch {
	case apierrors.IsForbidden(err):
		return "", Skipped("not permitted: listing pods in namespace %s; grant the role container.viewer", c.Namespace)
	case err != nil && ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", Skipped("the cluster cannot be asked: %s", short(err.Error(), 200))
	case len(pods) == 0:
		return "", fail(KindCPU, "kubectl get pods; check --namespace and --engine-selector", "namespace %s has no ready engine (%s)", c.Namespace, c.Engines)
	}
	var seen, unsure []string
	for i := range pods {
		p := &pods[i]
		said, err := c.device(ctx, p)
		var skip skipped
		switch {
		case errors.As(err, &skip):
			unsure = append(unsure, string(skip))
		case err != nil:
			return "", err
		default:
			seen = append(seen, p.Name+": "+said)
		}
	}
	if len(unsure) > 0 {
		return "", skipped(strings.Join(unsure, "; "))
	}
	return short(strings.Join(seen, "; "), 300), nil
}

// device is what an engine computes on.
func (c *Cluster) device(ctx context.Context, p *corev1.Pod) (string, error) {
	limit := int64(maxLog)
	ct := 0 // the engine's container, if others are beside it
	for i := range p.Spec.Containers {
		if strings.Contains(p.Spec.Containers[i].Name, "engine") {
			ct = i
		}
	}
	rctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	log, err := c.Client.CoreV1().Pods(c.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{
		Container: p.Spec.Containers[ct].Name, LimitBytes: &limit,
	}).DoRaw(rctx)
	const asGPU = "kubectl describe the pod and its node: the driver (pools.engine.gpu.driver, release's floor), the pod's nvidia.com/gpu limit, engine.health.gpuRequired"
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case apierrors.IsForbidden(err):
		return "", Skipped("not permitted: reading the log of pod %s; grant the role container.developer (pods/log)", p.Name)
	case err != nil:
		return "", Skipped("the log of pod %s cannot be read: %s", p.Name, short(err.Error(), 200))
	case onCPU.Match(log):
		return "", fail(KindCPU, asGPU, "engine %s runs on the CPU: %s", p.Name, short(string(lineOf(log, onCPU)), 200))
	case onGPU.Match(log):
		if m := gpuName.FindSubmatch(log); m != nil {
			return string(m[1]) + string(m[2]), nil
		}
		return short(string(onGPU.Find(log)), 80), nil
	}
	if gpus := p.Spec.Containers[ct].Resources.Limits["nvidia.com/gpu"]; gpus.IsZero() {
		return "", fail(KindCPU, "set engine.resources.gpus to 1", "engine %s has no GPU: its container asks for none", p.Name)
	}
	if name := c.requires(ctx, p); name != "" {
		return "runs, and ConfigMap " + name + " lets it start with a GPU only (gpu_required)", nil
	}
	return "", Skipped("the log of %s no longer has its beginning, where the device is named: restart the engine, or look at its GPU use", p.Name)
}

// requires is the ConfigMap of a pod that lets its engine start with a GPU only.
func (c *Cluster) requires(ctx context.Context, p *corev1.Pod) string {
	for _, v := range p.Spec.Volumes {
		if v.ConfigMap == nil {
			continue
		}
		m, err := c.Client.CoreV1().ConfigMaps(c.Namespace).Get(ctx, v.ConfigMap.Name, metav1.GetOptions{})
		if err == nil && needsGPU.MatchString(m.Data["engine.toml"]) {
			return m.Name
		}
	}
	return ""
}

// lineOf is the line of the first match.
func lineOf(text []byte, re *regexp.Regexp) []byte {
	at := re.FindIndex(text)
	if at == nil {
		return nil
	}
	from, to := at[0], at[1]
	for from > 0 && text[from-1] != '\n' {
		from--
	}
	for to < len(text) && text[to] != '\n' {
		to++
	}
	return text[from:to]
}
