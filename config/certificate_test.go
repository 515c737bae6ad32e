package config_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// chain is a CA's and a host's certificate with the host's key.
type chain struct{ leaf, ca, key string }

// made says what differs from a good certificate.
type made struct {
	hosts    []string
	from, to time.Duration
	key      crypto.Signer
}

func makeChain(t *testing.T, m made) chain {
	t.Helper()
	if m.hosts == nil {
		m.hosts = []string{"dg.example.com"}
	}
	if m.to == 0 {
		m.from, m.to = -time.Hour, 90*24*time.Hour
	}
	if m.key == nil {
		m.key = ecdsaKey(t, elliptic.P256())
	}
	caKey := ecdsaKey(t, elliptic.P384())
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "host"}, DNSNames: m.hosts,
		NotBefore: time.Now().Add(m.from), NotAfter: time.Now().Add(m.to),
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	require.NoError(t, err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, m.key.Public(), caKey)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(m.key)
	require.NoError(t, err)
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return chain{text("CERTIFICATE", leafDER), text("CERTIFICATE", caDER), text("PRIVATE KEY", keyDER)}
}

func ecdsaKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

// with is the smallest configuration with a certificate of its own.
func with(t *testing.T, certificate map[string]any) (*config.Config, error) {
	t.Helper()
	tree := changed(t)
	tree["deepgram-stack:ingress"] = map[string]any{"host": "dg.example.com", "certificate": certificate}
	return config.FromTree("dev", tree)
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	good, other := makeChain(t, made{}), makeChain(t, made{})
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ofRSA := makeChain(t, made{key: rsa2048})
	expired := makeChain(t, made{from: -48 * time.Hour, to: -24 * time.Hour})
	future := makeChain(t, made{from: 24 * time.Hour, to: 48 * time.Hour})
	wild := makeChain(t, made{hosts: []string{"*.example.com"}})
	elsewhere := makeChain(t, made{hosts: []string{"*.example.org", "example.org"}})
	p521 := makeChain(t, made{key: ecdsaKey(t, elliptic.P521())})
	day := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.DateOnly) }
	const path = "deepgram-stack:ingress.certificate"
	for name, test := range map[string]struct {
		bundle, key string
		want        []string
	}{
		"chain and key":      {good.leaf + good.ca, good.key, nil},
		"without the CA":     {good.leaf, good.key, nil},
		"RSA":                {ofRSA.leaf + ofRSA.ca, ofRSA.key, nil},
		"wildcard":           {wild.leaf + wild.ca, wild.key, nil},
		"text before":        {"subject=host\n" + good.leaf, good.key, nil},
		"wrong order":        {good.ca + good.leaf, good.key, []string{path + `.bundle: begins with the certificate of a CA, "CN=Test CA"; allowed: the host's certificate first, then the CA's; put the certificates in the other order`}},
		"another CA":         {good.leaf + other.ca, good.key, []string{path + `.bundle: has certificate 1, "CN=host", which is not signed by certificate 2, "CN=Test CA"; allowed: each certificate signed by the next; put the certificates in order and leave out what is not in the chain`}},
		"another key":        {good.leaf + good.ca, other.key, []string{path + ".key: does not belong to the first certificate of the bundle; allowed: the key of that certificate"}},
		"expired":            {expired.leaf + expired.ca, expired.key, []string{path + `.bundle: has certificate 1, "CN=host", which expired on ` + day(-24*time.Hour) + "; renew it, see docs/certificates.md"}},
		"not yet valid":      {future.leaf + future.ca, future.key, []string{path + `.bundle: has certificate 1, "CN=host", which is not valid before ` + day(24*time.Hour) + "; use one that is valid now"}},
		"another host":       {elsewhere.leaf, elsewhere.key, []string{path + ".bundle: is for *.example.org, example.org, which does not cover ingress.host dg.example.com; allowed: a certificate for dg.example.com"}},
		"kind of key":        {p521.leaf, p521.key, []string{path + ".bundle: has a key that Google Cloud does not take; allowed: RSA of 2048 to 4096 bits, ECDSA P-256 or P-384; make a new key and certificate", path + ".key: is of a kind that Google Cloud does not take; allowed: RSA of 2048 to 4096 bits, ECDSA P-256 or P-384; make a new key and certificate"}},
		"key in bundle":      {good.leaf + good.key, good.key, []string{path + ".bundle: holds a private key; allowed: PEM certificates, the host's first, then the CA's"}},
		"text after":         {good.leaf + "more", good.key, []string{path + ".bundle: has text after its last certificate that is not PEM; allowed: PEM certificates, the host's first, then the CA's"}},
		"certificate as key": {good.leaf, good.ca, []string{path + ".key: is a PEM block of another kind; allowed: an unencrypted private key in PEM"}},
		"locked key": {
			good.leaf, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
			[]string{path + ".key: is encrypted with a passphrase; allowed: an unencrypted private key in PEM; remove the passphrase with openssl pkey; Pulumi encrypts it"},
		},
		"broken key": {good.leaf, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", []string{path + ".key: cannot be read; allowed: an unencrypted private key in PEM"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := with(t, map[string]any{"bundle": test.bundle, "key": test.key})
			assert.Equal(t, test.want, lines(err))
		})
	}
}

func TestCertificateNameFollowsTheCertificate(t *testing.T) {
	t.Parallel()
	one, two := makeChain(t, made{}), makeChain(t, made{})
	name := func(bundle, key string) string {
		c, err := with(t, map[string]any{"bundle": bundle, "key": key})
		require.NoError(t, err)
		return c.Ingress.Certificate.Name
	}
	assert.Regexp(t, `^dev-deepgram-ilb-cert-[0-9a-f]{8}$`, name(one.leaf, one.key))
	assert.Equal(t, name(one.leaf, one.key), name("\n"+one.leaf+one.ca, one.key), "spaces and the CA change nothing")
	assert.NotEqual(t, name(one.leaf, one.key), name(two.leaf, two.key))
}

func TestResolveFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := makeChain(t, made{})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bundle.pem"), []byte(good.leaf+good.ca), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.pem"), []byte(good.key), 0o600))
	c, err := with(t, map[string]any{"bundleFile": "bundle.pem", "keyFile": "key.pem"})
	require.NoError(t, err)
	require.NoError(t, c.ResolveFiles(dir))
	assert.Equal(t, good.key, c.Ingress.Certificate.Key.Reveal())
	assert.True(t, strings.HasPrefix(c.Ingress.Certificate.Name, "dev-deepgram-ilb-cert-"))
	require.NoError(t, c.Validate())

	c, err = with(t, map[string]any{"bundleFile": "none.pem", "keyFile": "key.pem"})
	require.NoError(t, err)
	assert.Equal(t, []string{`deepgram-stack:ingress.certificate.bundleFile: "none.pem" cannot be read: no such file or directory; give a file relative to the project's folder`},
		lines(c.ResolveFiles(dir)))
	c, err = with(t, map[string]any{"bundleFile": "key.pem", "keyFile": "bundle.pem"})
	require.NoError(t, err)
	assert.Len(t, lines(c.ResolveFiles(dir)), 2, "what is in the files is checked")
}
