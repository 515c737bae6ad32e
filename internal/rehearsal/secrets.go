package rehearsal

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// fillSecrets gives every secret that is absent or encrypted a value of the right
// shape, made now: nothing is decrypted, and nothing of it is kept. References
// into Secret Manager stay; the stand-in answers them.
func fillSecrets(cfg *config.Config, dir string) error {
	if err := fillCertificates(cfg, dir); err != nil {
		return err
	}
	for _, field := range cfg.Secrets() {
		if field.Secret.Reference() != "" || field.Secret.Reveal() != "" || field.Secret.IsZero() && !field.Required {
			continue
		}
		value, err := madeUp(field.Kind)
		if err != nil {
			return fmt.Errorf("making up a value for %s: %w", field.Path, err)
		}
		*field.Secret = config.NewSecret(value)
	}
	fillNames(cfg)
	return nil
}

// fillNames gives the user name that belongs to a made-up password.
func fillNames(cfg *config.Config) {
	if cfg.Registry.Distribution.Username == "" && !cfg.Registry.Distribution.Password.IsZero() {
		cfg.Registry.Distribution.Username = "deepgram+rehearsal"
	}
}

// madeUp is a value of the shape that secrets of that kind have.
func madeUp(kind string) (string, error) {
	word, err := randomHex(20)
	if err != nil {
		return "", err
	}
	switch kind {
	case config.KindLicenseFile:
		return `{"license":"` + word + `"}`, nil
	case config.KindURL:
		return "https://models.rehearsal.invalid/" + word[:12] + ".dg?signature=" + word, nil
	}
	return word, nil
}

func randomHex(n int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}

// fillCertificates makes a chain and a key where the configuration has none that
// can be read here: no certificate, an encrypted key, or files that are elsewhere.
func fillCertificates(cfg *config.Config, dir string) error {
	if !cfg.Ingress.Enabled {
		return nil
	}
	for _, cert := range []*config.Certificate{&cfg.Ingress.Certificate, cfg.Ingress.PreviousCertificate} {
		if cert == nil || cert.Existing != "" || readable(cert, dir) {
			continue
		}
		bundle, key, err := chain(cfg.Ingress.Host, time.Now())
		if err != nil {
			return fmt.Errorf("making a certificate for %q: %w", cfg.Ingress.Host, err)
		}
		cert.Bundle, cert.BundleFile = bundle, ""
		cert.Key, cert.KeyFile = config.NewSecret(key), ""
	}
	return nil
}

// readable tells whether both parts of a certificate can be had here.
func readable(cert *config.Certificate, dir string) bool {
	have := func(text, file string) bool {
		if text != "" {
			return true
		}
		if file == "" {
			return false
		}
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		_, err := os.Stat(file)
		return err == nil
	}
	if !have(cert.Key.Reveal()+cert.Key.Reference(), cert.KeyFile) {
		return false
	}
	return have(cert.Bundle, cert.BundleFile)
}

// chain is a certificate for host, signed by a certificate authority of its own,
// as the bundle (host first, then the authority), and its key.
func chain(host string, now time.Time) (bundle, key string, err error) {
	serial := func() *big.Int {
		n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
		return n
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	ca := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Rehearsal CA"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return "", "", err
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, &leafKey.PublicKey, caKey)
	if err != nil {
		return "", "", err
	}
	keyDER, err := x509.MarshalECPrivateKey(leafKey)
	if err != nil {
		return "", "", err
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return encode("CERTIFICATE", leafDER) + encode("CERTIFICATE", caDER), encode("EC PRIVATE KEY", keyDER), nil
}
