// Package upgrade previews states that earlier versions of this library left
// behind with today's code: an upgrade may change things, and it must replace and
// delete none.
//
// testdata holds one folder for each version, with a record for each environment.
// A record is written once, when a version is released, and never again:
//
//	make record-upgrade
package upgrade

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/enginetest"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

var recorded = flag.String("record", "", "record the state of this code as that of this `version`")

var environments = []string{"prod-omi", "dev", "airgapped"}

// record is what a version left behind in a rehearsal. Its secrets were made up
// for it.
type record struct {
	// Version is that of the library.
	Version string `json:"version"`
	// Config is the configuration, with every secret.
	Config map[string]any `json:"config"`
	// State is the exported state, and Cloud what was in the pretended cloud.
	State json.RawMessage `json:"state"`
	Cloud json.RawMessage `json:"cloud"`
}

func options(t *testing.T, stack string, tree config.Tree, cloud *standin.Cloud) rehearsal.Options {
	t.Helper()
	return rehearsal.Options{
		Program: stacks.Run, Stack: stack, Tree: tree, Dir: enginetest.Root(), Pulumi: enginetest.Pulumi(t), Cloud: cloud,
	}
}

// TestRecord writes the records of a version; only when asked to.
func TestRecord(t *testing.T) { //nolint:paralleltest // writes files
	if *recorded == "" {
		return // nothing to check: TestUpgrade reads what is there
	}
	for _, stack := range environments {
		tree, err := config.LoadTree(filepath.Join(enginetest.Root(), "Pulumi."+stack+".yaml"))
		require.NoError(t, err)
		lastingCertificate(t, tree, stack)
		s, err := rehearsal.Open(t.Context(), options(t, stack, tree, nil))
		require.NoError(t, err)
		_, err = s.Up(t.Context(), rehearsal.StepUp)
		require.NoError(t, err)
		state, err := s.Export(t.Context())
		require.NoError(t, err)
		cloud, err := s.Cloud.Snapshot()
		require.NoError(t, err)
		plain, err := s.Config().Tree(func(_ string, secret config.Secret) (any, error) {
			if reference := secret.Reference(); reference != "" {
				return map[string]any{"secretManager": reference}, nil
			}
			return secret.Reveal(), nil
		})
		require.NoError(t, err)
		s.Close()
		write(t, record{Version: *recorded, Config: plain, State: slim(t, state), Cloud: cloud}, stack)
	}
}

// lastingCertificate gives a certificate that a test in years to come still takes.
func lastingCertificate(t *testing.T, tree config.Tree, stack string) {
	t.Helper()
	cfg, err := config.FromTree(stack, tree, config.AllowMissingSecrets())
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	sign := func(name string, parent *x509.Certificate, authority bool, public any) (*x509.Certificate, string) {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{cfg.Ingress.Host},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(40, 0, 0), IsCA: authority,
			BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}
		if authority {
			template.KeyUsage, template.DNSNames, template.ExtKeyUsage = x509.KeyUsageCertSign, nil, nil
		}
		if parent == nil {
			parent = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
		require.NoError(t, err)
		return template, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	authority, above := sign("Throw-away CA", nil, true, key.Public())
	host, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	_, leaf := sign(cfg.Ingress.Host, authority, false, host.Public())
	der, err := x509.MarshalECPrivateKey(host)
	require.NoError(t, err)
	quoted := func(text string) string {
		out, err := json.Marshal(text)
		require.NoError(t, err)
		return string(out)
	}
	require.NoError(t, tree.Set("ingress.certificate.bundle", quoted(leaf+above)))
	require.NoError(t, tree.Set("ingress.certificate.key", quoted(string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})))))
}

// slim leaves out where in the code things were registered: most of a state, and
// paths of the machine.
func slim(t *testing.T, state json.RawMessage) json.RawMessage {
	t.Helper()
	var deployment map[string]any
	require.NoError(t, json.Unmarshal(state, &deployment))
	for _, r := range deployment["resources"].([]any) {
		delete(r.(map[string]any), "stackTrace")
		delete(r.(map[string]any), "sourcePosition")
	}
	text, err := json.Marshal(deployment)
	require.NoError(t, err)
	return text
}

func write(t *testing.T, r record, stack string) {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	require.NoError(t, json.NewEncoder(w).Encode(r))
	require.NoError(t, w.Close())
	folder := filepath.Join("testdata", r.Version)
	require.NoError(t, os.MkdirAll(folder, 0o750))
	file := filepath.Join(folder, stack+".json.gz")
	_, err := os.Stat(file)
	require.ErrorIs(t, err, os.ErrNotExist, "a record is never written again")
	require.NoError(t, os.WriteFile(file, packed.Bytes(), 0o600))
}

func read(t *testing.T, file string) (r record) {
	t.Helper()
	packed, err := os.Open(file)
	require.NoError(t, err)
	defer packed.Close()
	reader, err := gzip.NewReader(packed)
	require.NoError(t, err)
	text, err := io.ReadAll(reader)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &r))
	return r
}

// TestUpgrade previews each record with today's code.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*.json.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			r := read(t, file)
			stack := strings.TrimSuffix(filepath.Base(file), ".json.gz")
			cloud := standin.NewCloud()
			require.NoError(t, cloud.Restore(r.Cloud))
			s, err := rehearsal.Open(t.Context(), options(t, stack, config.Tree(r.Config), cloud))
			require.NoError(t, err)
			defer s.Close()
			require.NoError(t, s.Import(t.Context(), r.State))
			preview, err := s.Preview(t.Context())
			require.NoError(t, err)
			require.NotEmpty(t, preview.Resources())
			known := 0
			for _, resource := range preview.Resources() {
				require.NotContains(t, resource.Op, "replace", "%s: %v", resource.URN, resource.Replaces)
				require.NotContains(t, resource.Op, "delete", resource.URN)
				if resource.Op == "same" || resource.Op == "update" {
					known++
				}
			}
			require.Greater(t, known, 20, "the preview is that of the recorded state, not of an empty one")
		})
	}
}
