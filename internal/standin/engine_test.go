package standin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

// cli finds the Pulumi command; the test is skipped where there is none.
func cli(t *testing.T) auto.PulumiCommand {
	t.Helper()
	root := os.Getenv("PULUMI")
	if root == "" {
		root, _ = filepath.Abs("../../bin/pulumi")
	}
	if _, err := os.Stat(root); err != nil {
		t.Skipf("no Pulumi engine: build bin/pulumi with make or set PULUMI to one (%v)", err)
	}
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, "bin"), 0o755))
	require.NoError(t, os.Symlink(root, filepath.Join(home, "bin", "pulumi")))
	cmd, err := auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: home, SkipVersionCheck: true})
	require.NoError(t, err)
	return cmd
}

type world struct {
	cloud   *standin.Cloud
	program func(*pulumi.Context) error
	stack   auto.Stack
	backend string // the folder that holds the state
}

func engine(t *testing.T, cloud *standin.Cloud) *world {
	t.Helper()
	cmd := cli(t)
	servers, err := cloud.Serve(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, servers.Close()) })
	w := &world{cloud: cloud, backend: t.TempDir()}
	w.stack, err = auto.UpsertStackInlineSource(t.Context(), "test", "standin", func(ctx *pulumi.Context) error { return w.program(ctx) },
		auto.Pulumi(cmd), auto.WorkDir(t.TempDir()), auto.PulumiHome(t.TempDir()),
		auto.EnvVars(map[string]string{
			"PULUMI_BACKEND_URL": "file://" + w.backend, "PULUMI_CONFIG_PASSPHRASE": "test", "PULUMI_SKIP_UPDATE_CHECK": "true",
			"PULUMI_DEBUG_PROVIDERS": servers.Attach(),
		}))
	require.NoError(t, err)
	return w
}

func (w *world) up(t *testing.T) map[string]int {
	t.Helper()
	res, err := w.stack.Up(t.Context(), optup.SuppressProgress())
	require.NoError(t, err)
	return *res.Summary.ResourceChanges
}

func (w *world) upErr(t *testing.T) string {
	t.Helper()
	_, err := w.stack.Up(t.Context(), optup.SuppressProgress())
	require.Error(t, err)
	return err.Error()
}

type made struct{ pulumi.CustomResourceState }

func register(ctx *pulumi.Context, typ, name string, in pulumi.Map, opts ...pulumi.ResourceOption) (*made, error) {
	version := standin.GCPVersion
	switch {
	case strings.HasPrefix(typ, "kubernetes:"), strings.HasPrefix(typ, "pulumi:providers:kubernetes"):
		version = standin.KubernetesVersion
	case strings.HasPrefix(typ, "command:"):
		version = standin.CommandVersion
	}
	m := &made{}
	return m, ctx.RegisterResource(typ, name, in, m, append([]pulumi.ResourceOption{pulumi.Version(version)}, opts...)...)
}

// chain is a certificate and its key for a host.
func chain(t *testing.T, host string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	require.NoError(t, err)
	raw, err := x509.MarshalECPrivateKey(k)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw}))
}

func TestEngineLife(t *testing.T) {
	t.Parallel()
	cloud := standin.NewCloud()
	w := engine(t, cloud)
	size, zone := 100, "us-central1-a"
	w.program = func(ctx *pulumi.Context) error {
		disk, err := register(ctx, "gcp:compute/disk:Disk", "models", pulumi.Map{"size": pulumi.Int(size), "zone": pulumi.String(zone)})
		if err != nil {
			return err
		}
		_, err = register(ctx, "gcp:serviceaccount/account:Account", "nodes", pulumi.Map{"accountId": pulumi.String("nodes-account")})
		if err != nil {
			return err
		}
		_, err = register(ctx, "command:local:Command", "load", pulumi.Map{"create": pulumi.String("exit 1"), "triggers": pulumi.Array{disk.ID()}})
		return err
	}
	preview, err := w.stack.Preview(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 4, preview.ChangeSummary["create"])
	created := 0
	for _, o := range cloud.Objects() {
		if o.CreatedBy != "" {
			created++
		}
	}
	assert.Zero(t, created, "a preview makes nothing")

	assert.Equal(t, map[string]int{"create": 4}, w.up(t))
	assert.Equal(t, map[string]int{"same": 4}, w.up(t))

	size = 200
	assert.Equal(t, map[string]int{"update": 1, "same": 3}, w.up(t))
	zone = "us-central1-b"
	assert.Equal(t, 2, w.up(t)["replace"], "disk and the command it triggers")
	size = 150
	assert.Contains(t, w.upErr(t), "cannot shrink")
	size = 200

	var id string
	for _, o := range cloud.Objects() {
		if o.Type == "gcp:compute/disk:Disk" {
			id = o.ID
		}
	}
	assert.Regexp(t, `^projects/rehearsal/zones/us-central1-b/disks/models-[0-9a-f]{7}$`, id)
	require.NoError(t, cloud.Mutate(id, func(out resource.PropertyMap) { out["size"] = resource.NewProperty(300.0) }))
	_, err = w.stack.Refresh(t.Context())
	require.NoError(t, err)
	size = 300
	assert.Equal(t, map[string]int{"same": 4}, w.up(t), "after the refresh the state holds what the cloud has")

	_, err = w.stack.Destroy(t.Context(), optdestroy.SuppressProgress())
	require.NoError(t, err)
	for _, o := range cloud.Objects() {
		assert.Empty(t, o.CreatedBy, o.ID)
	}
}

func TestEngineFaults(t *testing.T) {
	t.Parallel()
	cloud := standin.NewCloud()
	w := engine(t, cloud)
	w.program = func(ctx *pulumi.Context) error {
		first, err := register(ctx, "gcp:compute/address:Address", "one", pulumi.Map{"name": pulumi.String("one")})
		if err != nil {
			return err
		}
		_, err = register(ctx, "gcp:compute/address:Address", "two", pulumi.Map{"name": pulumi.String("two")}, pulumi.DependsOn([]pulumi.Resource{first}))
		return err
	}
	cloud.Inject(standin.Fault{N: 2, Message: "quota exceeded"})
	assert.Contains(t, w.upErr(t), "quota exceeded")
	_, exists := cloud.Object("gcp:compute/address:Address", "projects/rehearsal/regions/us-central1/addresses/two")
	assert.False(t, exists)

	cloud.Inject(standin.Fault{Mode: standin.FailAfter, Message: "connection reset"})
	assert.Contains(t, w.upErr(t), "connection reset")
	assert.Contains(t, w.upErr(t), "409", "made, but not known to the engine")

	require.NoError(t, cloud.Remove("projects/rehearsal/regions/us-central1/addresses/two"))
	ctx, cancel := context.WithCancel(t.Context())
	cloud.Inject(standin.Fault{Mode: standin.Hang, Func: cancel})
	_, err := w.stack.Up(ctx)
	require.Error(t, err)
	require.Error(t, ctx.Err())
	assert.Empty(t, cloud.Pending())
	assert.Equal(t, map[string]int{"create": 1, "same": 2}, w.up(t))
}

func TestEngineRefusesOtherVersions(t *testing.T) {
	t.Parallel()
	w := engine(t, standin.NewCloud())
	for _, opts := range [][]pulumi.ResourceOption{nil, {pulumi.Version("9.29.0")}} {
		w.program = func(ctx *pulumi.Context) error {
			return ctx.RegisterResource("gcp:compute/disk:Disk", "d", pulumi.Map{"name": pulumi.String("d")}, &made{}, opts...)
		}
		assert.Contains(t, w.upErr(t), "7.38.0")
	}
}

func TestEngineImport(t *testing.T) {
	t.Parallel()
	cloud := standin.NewCloud()
	id, err := cloud.Seed("gcp:compute/disk:Disk", map[string]any{"name": "by-hand", "size": 50, "type": "pd-ssd"})
	require.NoError(t, err)
	w := engine(t, cloud)
	w.program = func(ctx *pulumi.Context) error {
		_, err := register(ctx, "gcp:compute/disk:Disk", "models",
			pulumi.Map{
				"name": pulumi.String("by-hand"), "size": pulumi.Int(50), "type": pulumi.String("pd-ssd"), "zone": pulumi.String("us-central1-a"),
				"project": pulumi.String("rehearsal"),
			},
			pulumi.Import(pulumi.ID(id)))
		return err
	}
	assert.Equal(t, 1, w.up(t)["import"])
	w.program = func(ctx *pulumi.Context) error {
		_, err := register(ctx, "gcp:compute/disk:Disk", "models",
			pulumi.Map{"name": pulumi.String("by-hand"), "size": pulumi.Int(50), "type": pulumi.String("pd-ssd"), "zone": pulumi.String("us-central1-a")})
		return err
	}
	assert.Equal(t, map[string]int{"same": 2}, w.up(t))
}
