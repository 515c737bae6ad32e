package smoke

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
	ktest "k8s.io/client-go/testing"
)

// Lines of engines' logs, of several releases.
func TestDevices(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`INFO impeller: Setting GPU model cache size based on auto lookup table. gpu_id=Gpu(0) gpu_name="NVIDIA A40"`: "gpu",
		`INFO impeller::config: NVIDIA L4 implements CUDA Compute Capability 8.9`:                                     "gpu",
		`INFO impeller: Using devices: Gpu(0)`:                                                                        "gpu",
		`INFO impeller: Using devices: Cpu`:                                                                           "cpu",
		`WARN impeller: no CUDA devices`:                                                                              "cpu",
		`WARN impeller: No GPU was found`:                                                                             "cpu",
		`WARN falling back to CPU`:                                                                                    "cpu",
		`INFO impeller: cpu_threads=8`:                                                                                "",
	} {
		got := ""
		switch text := []byte("before\n" + line + "\nafter"); {
		case onCPU.Match(text):
			got = "cpu"
			assert.Equal(t, line, string(lineOf(text, onCPU)))
		case onGPU.Match(text):
			got = "gpu"
		}
		assert.Equal(t, want, got, line)
	}
}

func testPod(name, app string, ready corev1.ConditionStatus, gpus bool) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "dg", Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: app, Ports: []corev1.ContainerPort{{Name: "primary", ContainerPort: 8080}}}}},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
	if gpus {
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}
	}
	return p
}

func testService(target intstr.IntOrString) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: DefaultService, Namespace: "dg"},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "deepgram-api"}, Ports: []corev1.ServicePort{{Port: 80, TargetPort: target}}},
	}
}

func TestFindsTheAPI(t *testing.T) {
	t.Parallel()
	ready, waiting := testPod("api-1", "deepgram-api", corev1.ConditionTrue, false), testPod("api-0", "deepgram-api", corev1.ConditionFalse, false)
	for name, row := range map[string]struct {
		objects []runtime.Object
		pod     string
		port    int32
		says    string
	}{
		"port by name":   {[]runtime.Object{testService(intstr.FromString("primary")), waiting, ready}, "api-1", 8080, ""},
		"port by number": {[]runtime.Object{testService(intstr.FromInt32(9000)), ready}, "api-1", 9000, ""},
		"the same port":  {[]runtime.Object{testService(intstr.IntOrString{}), ready}, "api-1", 80, ""},
		"no service":     {[]runtime.Object{ready}, "", 0, "namespace dg has no Service deepgram-api-external"},
		"none ready":     {[]runtime.Object{testService(intstr.FromString("primary")), waiting}, "", 0, "none of the 1 API pods of Service deepgram-api-external is ready"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &Cluster{Client: fake.NewClientset(row.objects...), Namespace: "dg"}
			pod, port, err := c.apiPod(t.Context())
			if row.says != "" {
				require.ErrorContains(t, err, row.says)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, row.pod, pod)
			assert.Equal(t, row.port, port)
		})
	}
}

// The log of the fake client says "fake logs": its beginning is gone.
func TestGPUIsNotGuessed(t *testing.T) {
	t.Parallel()
	forbid := func(verb, what string) func(*fake.Clientset) {
		return func(c *fake.Clientset) {
			c.PrependReactor(verb, what, func(ktest.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: what}, "x", nil)
			})
		}
	}
	configured := testPod("e", "deepgram-engine", corev1.ConditionTrue, true)
	configured.Spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "deepgram-engine-config"}},
	}}}
	config := func(text string) func(*fake.Clientset) {
		return func(c *fake.Clientset) {
			require.NoError(t, c.Tracker().Add(&corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: "deepgram-engine-config", Namespace: "dg"}, Data: map[string]string{"engine.toml": text},
			}))
		}
	}
	for name, row := range map[string]struct {
		pod     *corev1.Pod
		change  func(*fake.Clientset)
		outcome Outcome
		says    string
	}{
		"log without its beginning": {testPod("e", "deepgram-engine", corev1.ConditionTrue, true), nil, Skip, "no longer has its beginning"},
		"starts with a GPU only":    {configured, config("[health]\n  gpu_required = true\n"), Pass, "lets it start with a GPU only"},
		"starts without one too":    {configured, config("[health]\n  gpu_required = false\n"), Skip, "no longer has its beginning"},
		"no GPU asked for":          {testPod("e", "deepgram-engine", corev1.ConditionTrue, false), nil, Fail, "engine e has no GPU: its container asks for none"},
		"none ready":                {testPod("e", "deepgram-engine", corev1.ConditionFalse, true), nil, Fail, "namespace dg has no ready engine"},
		"may not list pods":         {testPod("e", "deepgram-engine", corev1.ConditionTrue, true), forbid("list", "pods"), Skip, "not permitted: listing pods in namespace dg; grant the role container.viewer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := fake.NewClientset(row.pod)
			if row.change != nil {
				row.change(client)
			}
			c := &Cluster{Client: client, Namespace: "dg"}
			got := NewCheck(t.Context(), CheckGPU, c.GPU)
			assert.Equal(t, row.outcome, got.Outcome)
			assert.Contains(t, got.Message, row.says)
		})
	}
}

// Before anything of a Job is made, what cannot work is said; and nothing stays
// where the second object is refused.
func TestJobLeavesNothing(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	c := &Cluster{Client: client, Namespace: "dg"}
	_, _, err := c.InCluster(t.Context(), JobSpec{Target: Target{URL: "http://x"}, Test: &Options{}}, JobOptions{})
	require.ErrorContains(t, err, "--image: is missing")
	_, _, err = c.InCluster(t.Context(), JobSpec{Test: &Options{}}, JobOptions{Image: "i"})
	require.ErrorContains(t, err, "no Service deepgram-api-external")
	_, _, err = c.InCluster(t.Context(), JobSpec{Target: Target{URL: "http://x"}, Test: &Options{Audio: &Audio{WAV: make([]byte, 1<<20)}}}, JobOptions{Image: "i"})
	require.ErrorContains(t, err, "--audio: is too long for a Job")
	for _, action := range client.Actions() {
		assert.NotEqual(t, "create", action.GetVerb())
	}

	var job *batchv1.Job
	client.PrependReactor("create", "jobs", func(a ktest.Action) (bool, runtime.Object, error) {
		job = a.(ktest.CreateAction).GetObject().(*batchv1.Job)
		return false, nil, nil
	})
	var secret string
	client.PrependReactor("create", "secrets", func(a ktest.Action) (bool, runtime.Object, error) {
		s := a.(ktest.CreateAction).GetObject().(*corev1.Secret)
		secret = string(s.Data[specKey])
		require.Len(t, s.OwnerReferences, 1, "it goes with its Job")
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, s.Name, nil)
	})
	_, _, err = c.InCluster(t.Context(), JobSpec{Target: Target{URL: "http://x", Key: "canary"}, Test: &Options{}}, JobOptions{Image: "i"})
	require.ErrorContains(t, err, "is forbidden")
	require.ErrorContains(t, err, "grant it")
	assert.NotContains(t, err.Error(), "canary")
	assert.Contains(t, secret, "canary", "the key is in the Secret and nowhere else")
	jobs, err := client.BatchV1().Jobs("dg").List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, jobs.Items)

	// Where this process is killed, the Job ends and goes by itself.
	require.NotNil(t, job.Spec.TTLSecondsAfterFinished)
	require.NotNil(t, job.Spec.ActiveDeadlineSeconds)
	assert.Equal(t, int64(3600), *job.Spec.ActiveDeadlineSeconds)
	assert.False(t, *job.Spec.Template.Spec.AutomountServiceAccountToken)
	assert.True(t, *job.Spec.Template.Spec.SecurityContext.RunAsNonRoot)
	text, err := json.Marshal(job)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "canary")
}
