package workloads

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deepgram-gke/deepgram-gke/components"
	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/journal"
	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
	"github.com/deepgram-gke/deepgram-gke/internal/kubetest/journalfile"
)

const replicas = 2

// backup is the component's backup in a namespace, with a target of one kind.
type backup struct {
	*kubetest.Node
	namespace string
	// url is the target as this process opens it.
	url string
	// refuse makes the target refuse what is written from now on.
	refuse func()
	// change says what differs from a real installation.
	change func(cronJob *unstructured.Unstructured)
	args   *components.BillingArgs
	// limit is how many lines billing writes; 0 means that it goes on.
	limit int
}

// TestBackupCronJob lets the controller fire the component's own CronJob, which
// copies the journals of running replicas to a target of each kind; and then the
// target refuses.
//
// What is not as in an installation: the schedule, every minute here, and for
// Cloud Storage a variable that names another server than Google's.
func TestBackupCronJob(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]func(*testing.T, *backup){"gcs": gcs, "s3": s3, "volume": volume} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := node(t)
			b := &backup{Node: n, namespace: n.Namespace(t)}
			b.arguments()
			target(t, b)
			b.install(t)

			job := b.fired(t, "a backup", func(j *batchv1.Job) bool { return j.Status.Succeeded > 0 })
			b.prove(t)
			b.marked(t, job.Status.StartTime.Time)

			before := b.leases(t)
			b.refuse()
			refused := time.Now()
			failed := b.fired(t, "a refused backup", func(j *batchv1.Job) bool {
				return j.Status.Failed > 0 && j.Status.StartTime.After(refused.Add(-time.Second))
			})
			b.failure(t, failed)
			assert.Equal(t, before, b.leases(t), "the age of the last good copy goes on growing")
			b.prove(t)
		})
	}
}

func (b *backup) arguments() {
	c := config.Default()
	c.Stack = "prod"
	c.Billing.Enabled, c.Billing.Replicas, c.Billing.StorageClass = true, replicas, "standard-rwx"
	c.Billing.Backup.Schedule = "* * * * *"
	b.args = &components.BillingArgs{
		Billing: c.Billing, Release: "deepgram", Namespace: b.namespace, OpsImage: pulumi.String(opsImage),
		LicenseKey: pulumi.String("canary-key"), LicenseFile: pulumi.String("canary-file"),
	}
}

// install makes the component's objects, and billing as the chart makes it.
func (b *backup) install(t *testing.T) {
	t.Helper()
	completed := config.Config{Billing: b.args.Billing}
	completed.Complete()
	b.args.Billing = completed.Billing
	objects := register(t, func(ctx *pulumi.Context) error {
		_, err := components.NewBilling(ctx, "billing", b.args)
		return err
	})
	require.Contains(t, objects, "billing-backup")
	if b.change != nil {
		b.change(objects["billing-backup"])
	}
	create(t, b.Node, objects)
	require.NoError(t, b.Apply(t.Context(), fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: deepgram-billing, namespace: %s, labels: {app: deepgram-billing}}
spec:
  replicas: %d
  serviceName: deepgram-billing-internal
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: deepgram-billing}}
  template:
    metadata: {labels: {app: deepgram-billing}}
    spec:
      containers:
        - name: deepgram-billing
          image: %s
          imagePullPolicy: IfNotPresent
          env:
            - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: RATE, value: "50"}
            - {name: SPLIT, value: "1"}
            - {name: SIZE, value: "200"}
            - {name: FIRST, value: "10000"}
            - {name: LIMIT, value: "%d"}
          readinessProbe: {tcpSocket: {port: 8443}, periodSeconds: 1}
          volumeMounts: [{name: journal, mountPath: /journal, subPathExpr: journal-$(POD_NAME)}]
      volumes: [{name: journal, persistentVolumeClaim: {claimName: dg-billing-journal}}]
`, b.namespace, replicas, billingImage, b.limit)))
	for i := range replicas {
		b.PodReady(t, b.namespace, pod(i))
	}
}

func pod(i int) string { return fmt.Sprintf("deepgram-billing-%d", i) }

// fired waits for a Job of the CronJob that is as wanted.
func (b *backup) fired(t *testing.T, what string, wanted func(*batchv1.Job) bool) *batchv1.Job {
	t.Helper()
	var found *batchv1.Job
	b.Eventually(t, what, func(ctx context.Context) (bool, error) {
		jobs, err := b.Client().BatchV1().Jobs(b.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for i := range jobs.Items {
			j := &jobs.Items[i]
			if owner := metav1.GetControllerOf(j); owner == nil || owner.Kind != "CronJob" || owner.Name != components.BackupName {
				continue
			}
			if wanted(j) {
				found = j
				return true, nil
			}
		}
		return false, fmt.Errorf("%d jobs: %s", len(jobs.Items), b.Describe(ctx, b.namespace))
	})
	return found
}

// prove compares what the target holds, byte by byte, with the journals.
func (b *backup) prove(t *testing.T) {
	t.Helper()
	opening.Lock()
	target, err := journal.OpenTarget(t.Context(), b.url)
	opening.Unlock()
	require.NoError(t, err)
	defer target.Close()
	book, err := journal.ReadBook(t.Context(), target, "")
	require.NoError(t, err)
	require.Equal(t, []string{pod(0), pod(1)}, book.Pods())
	require.Empty(t, book.Missing())
	claim, err := b.VolumePath(t.Context(), b.namespace, "dg-billing-journal")
	require.NoError(t, err)
	for name, list := range book.Backups {
		source, err := os.ReadFile(filepath.Join(claim, "journal-"+name, "journal"))
		require.NoError(t, err)
		for _, record := range list {
			in, err := target.Get(t.Context(), record.Object)
			require.NoError(t, err)
			got, err := io.ReadAll(in)
			require.NoError(t, err)
			require.NoError(t, in.Close())
			lines, rest, err := journalfile.Check(bytes.NewReader(got), name)
			require.NoError(t, err)
			assert.Empty(t, rest)
			assert.GreaterOrEqual(t, lines, 10000)
			assert.True(t, bytes.HasPrefix(source, got), "%s is the journal up to there", record.Object)
		}
	}
}

// leases are the times that monitoring sees.
func (b *backup) leases(t *testing.T) map[string]time.Time {
	t.Helper()
	times := map[string]time.Time{}
	for i := range replicas {
		lease, err := b.Client().CoordinationV1().Leases(b.namespace).Get(t.Context(),
			"deepgram-journal-copy."+b.namespace+"."+pod(i), metav1.GetOptions{})
		require.NoError(t, err)
		times[pod(i)] = lease.Spec.RenewTime.Time
	}
	return times
}

func (b *backup) marked(t *testing.T, since time.Time) {
	t.Helper()
	for name, at := range b.leases(t) {
		assert.False(t, at.Before(since.Add(-time.Second)), "%s: copied at %s, the job began at %s", name, at, since)
	}
}

// failure proves that a refused upload is a failed Job, and that its log says why.
func (b *backup) failure(t *testing.T, job *batchv1.Job) {
	t.Helper()
	// The component gives it three more tries, in minutes.
	_, err := b.Client().BatchV1().Jobs(b.namespace).Patch(t.Context(), job.Name, types.MergePatchType,
		[]byte(`{"spec": {"backoffLimit": 0}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	b.Eventually(t, "the job to have failed", func(ctx context.Context) (bool, error) {
		j, err := b.Client().BatchV1().Jobs(b.namespace).Get(ctx, job.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		require.Zero(t, j.Status.Succeeded, "nothing was stored, so nothing may have succeeded")
		for _, c := range j.Status.Conditions {
			if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
	log := b.Kubectl(t, "-n", b.namespace, "logs", "-l", "job-name="+job.Name, "--tail=-1")
	assert.Contains(t, log, "error: ")
	assert.Contains(t, log, "backup of deepgram-billing-0")
	assert.NotContains(t, log, "canary")
	cronJob, err := b.Client().BatchV1().CronJobs(b.namespace).Get(t.Context(), components.BackupName, metav1.GetOptions{})
	require.NoError(t, err)
	assert.True(t, cronJob.Status.LastSuccessfulTime.Time.Before(job.Status.StartTime.Time))
}

// opening guards the environment, which a target reads when it is opened.
var opening sync.Mutex

// serve is a server that pods reach, and its address; refused turns uploads down.
func serve(t *testing.T, handler http.Handler) (address string, refused *atomic.Bool) {
	t.Helper()
	refused = &atomic.Bool{}
	listener, err := net.Listen("tcp", hostAddress+":0")
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused.Load() && (r.Method == http.MethodPut || r.Method == http.MethodPost) {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		handler.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String(), refused
}

func environment(t *testing.T, pairs map[string]string) {
	t.Helper()
	opening.Lock()
	defer opening.Unlock()
	for key, value := range pairs {
		require.NoError(t, os.Setenv(key, value)) //nolint:usetesting // t.Setenv does not go with parallel tests
	}
}

// gcs is Cloud Storage, as fake-gcs-server speaks it.
func gcs(t *testing.T, b *backup) {
	var handler atomic.Pointer[http.Handler]
	address, refused := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*handler.Load()).ServeHTTP(w, r) }))
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true, ExternalURL: address})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	h := server.HTTPHandler()
	handler.Store(&h)
	server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "acme-journals"})
	b.args.Project, b.args.NamePrefix = "acme-speech", "prod"
	b.args.Billing.Backup.Target, b.args.Billing.Backup.Bucket, b.args.Billing.Backup.Location = "gcs", "acme-journals", "us-central1"
	b.url = "gs://acme-journals"
	environment(t, map[string]string{"STORAGE_EMULATOR_HOST": address})
	b.refuse = func() { refused.Store(true) }
	b.change = func(cronJob *unstructured.Unstructured) {
		path := []string{"spec", "jobTemplate", "spec", "template", "spec", "containers"}
		containers, _, err := unstructured.NestedSlice(cronJob.Object, path...)
		require.NoError(t, err)
		containers[0].(map[string]any)["env"] = []any{map[string]any{"name": "STORAGE_EMULATOR_HOST", "value": address}}
		set(t, cronJob, containers, path...)
	}
}

// s3 is an object store in one's own data centre, as gofakes3 speaks it, with keys
// in a Secret.
func s3(t *testing.T, b *backup) {
	store := s3mem.New()
	require.NoError(t, store.CreateBucket("journals"))
	address, refused := serve(t, gofakes3.New(store).Server())
	b.args.Billing.Backup.Target, b.args.Billing.Backup.Bucket = "s3", "journals"
	b.args.Billing.Backup.S3 = config.BackupS3{Region: "us-west-2", Endpoint: address}
	b.args.S3AccessKeyID, b.args.S3SecretAccessKey = pulumi.String("canary-id"), pulumi.String("canary-secret")
	b.url = "s3://journals?region=us-west-2&use_path_style=true&endpoint=" + address
	environment(t, map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"})
	b.refuse = func() { refused.Store(true) }
}

// volume is a claim. It refuses when its folder may not be written to.
func volume(t *testing.T, b *backup) {
	require.NoError(t, b.Apply(t.Context(), fmt.Sprintf(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: copies, namespace: %[1]s}
spec: {storageClassName: standard-rwx, accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: first, namespace: %[1]s}
spec:
  restartPolicy: Never
  containers: [{name: a, image: "%[2]s", imagePullPolicy: IfNotPresent, command: [/bin/tar, cf, "-", /bin/tar]}]
  volumes: [{name: copies, persistentVolumeClaim: {claimName: copies}}]
`, b.namespace, billingImage)))
	b.args.Billing.Backup.Target, b.args.Billing.Backup.Volume.Claim = "volume", "copies"
	b.args.Billing.Backup.Folder = "journals"
	var dir string
	b.Eventually(t, "the claim's volume", func(ctx context.Context) (bool, error) {
		claim, err := b.Client().CoreV1().PersistentVolumeClaims(b.namespace).Get(ctx, "copies", metav1.GetOptions{})
		if err != nil || claim.Status.Phase != corev1.ClaimBound {
			return false, err
		}
		dir, err = b.VolumePath(ctx, b.namespace, "copies")
		return err == nil, err
	})
	// The backup makes no folder of its own: a share that is not mounted would
	// be taken for an empty one.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "journals"), 0o777))
	require.NoError(t, os.Chmod(filepath.Join(dir, "journals"), 0o777))
	b.url = "file://" + filepath.Join(dir, "journals")
	b.refuse = func() {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			return os.Chown(path, 0, 0)
		}))
		require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			return os.Chmod(path, 0o755)
		}))
	}
}
