package workloads

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deepgram-gke/deepgram-gke/components"
	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/images"
	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
)

const loaderUser = 65532

// modelServer serves files over HTTPS to pods. Every first answer is cut in its
// middle; what it does not have is a 404.
type modelServer struct {
	url         string
	certificate []byte
}

func newModelServer(t *testing.T, files map[string][]byte) *modelServer {
	t.Helper()
	kubetest.RealNode(t) // which makes the address
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "models.acme.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(hostAddress)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", hostAddress+":0")
	require.NoError(t, err)
	cut := make(chan struct{}, 1)
	cut <- struct{}{}
	server := &http.Server{
		ReadHeaderTimeout: time.Minute, ErrorLog: log.New(&bytes.Buffer{}, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			data, found := files[strings.TrimPrefix(r.URL.Path, "/")]
			if !found {
				http.NotFound(w, r)
				return
			}
			if r.Method == http.MethodGet {
				select {
				case <-cut:
					w.Header().Set("Content-Length", fmt.Sprint(len(data)))
					_, _ = w.Write(data[:len(data)/2])
					panic(http.ErrAbortHandler)
				default:
				}
			}
			http.ServeContent(w, r, "", time.Unix(0, 0), bytes.NewReader(data))
		}),
	}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	return &modelServer{
		url:         "https://" + listener.Addr().String(),
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}
}

// loader is the component's loader of one disk, on the real node.
type loader struct {
	*kubetest.Node
	namespace, object, disk string
}

// startLoader creates the very objects of ModelVolume's loader. What is not as in
// an installation: the volume is a folder, as there is no disk to attach, and the
// image trusts the test's server.
func startLoader(t *testing.T, server *modelServer, hash string, files ...components.ModelSource) *loader {
	t.Helper()
	n := kubetest.RealNode(t)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(authority, server.certificate, 0o600))
	reference := "registry.acme.example/deepgram/deepgram-ops:" + hash
	image, err := images.Build(images.PublishOptions{Binary: opsProgram(t), Certificates: authority, Target: reference})
	require.NoError(t, err)
	n.Give(t, reference, image)
	// GKE's driver puts the zone onto the node under this label, too.
	_, err = n.Client().CoreV1().Nodes().Patch(t.Context(), kubetest.RealNodeName, types.MergePatchType,
		[]byte(`{"metadata": {"labels": {"topology.gke.io/zone": "us-central1-a"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)

	l := &loader{Node: n, namespace: "models-" + hash, object: "models-" + hash, disk: filepath.Join(n.Dir(), "disk-"+hash)}
	objects := register(t, func(ctx *pulumi.Context) error {
		shared, err := components.NewModelLoader(ctx, "loader", &components.ModelLoaderArgs{
			Namespace: l.namespace, Image: pulumi.String(reference), NodeRoles: []string{"billing"},
		})
		if err != nil {
			return err
		}
		_, err = components.NewModelVolume(ctx, "models", &components.ModelVolumeArgs{
			Project: "acme-speech", Zone: "us-central1-a", Disk: config.Disk{Name: "models", SizeGb: 10, Type: "pd-ssd"},
			Loader: shared, Hash: hash, Files: files,
		})
		return err
	})
	// The folder is what a new file system is after the driver has set its group.
	require.NoError(t, os.Mkdir(l.disk, 0o700))
	require.NoError(t, os.Chown(l.disk, 0, loaderUser))
	require.NoError(t, os.Chmod(l.disk, 0o2775))
	spec := objects["models-volume"].Object["spec"].(map[string]any)
	require.Contains(t, spec, "csi")
	delete(spec, "csi")
	spec["hostPath"] = map[string]any{"path": l.disk}

	require.NoError(t, n.Create(t.Context(), objects["loader-namespace"]))
	delete(objects, "loader-namespace")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if t.Failed() {
			t.Log(n.Describe(ctx, l.namespace))
		}
		_ = n.Client().CoreV1().Namespaces().Delete(ctx, l.namespace, metav1.DeleteOptions{})
	})
	create(t, n, objects)
	return l
}

func (l *loader) job(ctx context.Context) (*batchv1.Job, error) {
	return l.Client().BatchV1().Jobs(l.namespace).Get(ctx, l.object, metav1.GetOptions{})
}

func (l *loader) log(t *testing.T) string {
	t.Helper()
	return l.Kubectl(t, "-n", l.namespace, "logs", "-l", "job-name="+l.object, "--tail=-1")
}

// TestLoaderJob loads over a connection that is cut; then an engine mounts the
// files read-only.
func TestLoaderJob(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"nova-3.dg": bytes.Repeat([]byte("nova"), 2<<20), "aura-2.dg": bytes.Repeat([]byte("aura"), 1<<20)}
	server := newModelServer(t, files)
	sum := sha256.Sum256(files["nova-3.dg"])
	l := startLoader(t, server, "0a1b2c3d",
		components.ModelSource{URL: pulumi.String(server.url + "/nova-3.dg?signature=canary"), SHA256: hex.EncodeToString(sum[:])},
		components.ModelSource{URL: pulumi.String(server.url + "/aura-2.dg?signature=canary"), Name: "voice.dg"})
	l.Eventually(t, "the loader to be finished", func(ctx context.Context) (bool, error) {
		job, err := l.job(ctx)
		return err == nil && job.Status.Succeeded == 1, err
	})
	assert.NotContains(t, l.log(t), "canary", "links are credentials")
	for name, want := range map[string]string{"nova-3.dg": "nova-3.dg", "voice.dg": "aura-2.dg"} {
		got, err := os.ReadFile(filepath.Join(l.disk, name))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(files[want], got), name)
	}

	// An engine: the disk, mounted a second time and read-only, after the loader.
	require.NoError(t, l.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolume
metadata: {name: engine-%[1]s}
spec:
  accessModes: [ReadOnlyMany]
  capacity: {storage: 10G}
  storageClassName: ""
  persistentVolumeReclaimPolicy: Retain
  claimRef: {namespace: %[2]s, name: engine}
  hostPath: {path: %[3]s}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: engine, namespace: %[2]s}
spec: {storageClassName: "", volumeName: engine-%[1]s, accessModes: [ReadOnlyMany], resources: {requests: {storage: 10G}}}
---
apiVersion: v1
kind: Pod
metadata: {name: engine, namespace: %[2]s}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext: {runAsUser: 65532, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: engine
      image: registry.acme.example/deepgram/deepgram-ops:0a1b2c3d
      imagePullPolicy: IfNotPresent
      args: [models, verify, --dir, /models]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      volumeMounts: [{name: models, mountPath: /models, readOnly: true}]
  volumes: [{name: models, persistentVolumeClaim: {claimName: engine, readOnly: true}}]
`, "0a1b2c3d", l.namespace, l.disk)))
	var engine *corev1.Pod
	l.Eventually(t, "the engine to have read its models", func(ctx context.Context) (bool, error) {
		var err error
		engine, err = l.Client().CoreV1().Pods(l.namespace).Get(ctx, "engine", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		require.NotEqual(t, corev1.PodFailed, engine.Status.Phase, "%v", engine.Status)
		return engine.Status.Phase == corev1.PodSucceeded, nil
	})
	text := l.Kubectl(t, "-n", l.namespace, "logs", "engine")
	assert.Contains(t, text, "nova-3.dg")
	assert.Contains(t, text, "voice.dg")
	job, err := l.job(t.Context())
	require.NoError(t, err)
	assert.False(t, engine.Status.StartTime.Time.Before(job.Status.CompletionTime.Time), "nobody writes any more")
}

// TestLoaderFails: a link that does not work fails the Job, whose log says what to
// do in one sentence and does not show the link.
func TestLoaderFails(t *testing.T) {
	t.Parallel()
	server := newModelServer(t, nil)
	l := startLoader(t, server, "0000dead", components.ModelSource{URL: pulumi.String(server.url + "/gone.dg?signature=canary")})
	l.Eventually(t, "a pod of the loader to have failed", func(ctx context.Context) (bool, error) {
		job, err := l.job(ctx)
		return err == nil && job.Status.Failed > 0, err
	})
	// The component gives it six more tries, in ten minutes.
	_, err := l.Client().BatchV1().Jobs(l.namespace).Patch(t.Context(), l.object, types.MergePatchType,
		[]byte(`{"spec": {"backoffLimit": 0}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	l.Eventually(t, "the job to have failed", func(ctx context.Context) (bool, error) {
		job, err := l.job(ctx)
		if err != nil {
			return false, err
		}
		for _, c := range job.Status.Conditions {
			if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
	var errorsTold []string
	for line := range strings.Lines(l.log(t)) {
		if strings.HasPrefix(line, "error: ") {
			errorsTold = append(errorsTold, line)
		}
	}
	require.NotEmpty(t, errorsTold)
	assert.Contains(t, errorsTold[0], "gone.dg")
	assert.Contains(t, errorsTold[0], "404")
	assert.NotContains(t, l.log(t), "canary")
	pods, err := l.Pods(t.Context(), l.namespace)
	require.NoError(t, err)
	require.NotEmpty(t, pods)
	ended := pods[0].Status.ContainerStatuses[0].State.Terminated
	require.NotNil(t, ended)
	assert.Contains(t, ended.Message, "404", "kubectl describe shows it, too")
	entries, err := os.ReadDir(l.disk)
	require.NoError(t, err)
	for _, e := range entries {
		assert.NotEqual(t, "gone.dg", e.Name())
	}
}
