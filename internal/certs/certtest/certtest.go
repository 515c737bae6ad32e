// Package certtest makes certificate authorities and certificates for tests.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Made is a certificate and its key.
type Made struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// Spec says what differs from a good certificate.
type Spec struct {
	// Name is the common name.
	Name string
	// Hosts are DNS names and IP addresses.
	Hosts []string
	// From and To are relative to the time that was given; 0 means a day before and
	// a year after.
	From, To time.Duration
	// Key is its key; nil makes an ECDSA P-256 key.
	Key crypto.Signer
	// Signature is the algorithm; 0 is the library's choice.
	Signature x509.SignatureAlgorithm
	// CA makes it one.
	CA bool
	// Client makes it one for clients, not for servers.
	Client bool
}

// EC makes a key.
func EC(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

// RSA makes a key.
func RSA(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return key
}

// Make makes a certificate, signed by parent, or by itself where that is nil.
func Make(t testing.TB, at time.Time, parent *Made, s Spec) *Made {
	t.Helper()
	if s.Key == nil {
		s.Key = EC(t, elliptic.P256())
	}
	if s.From == 0 {
		s.From = -24 * time.Hour
	}
	if s.To == 0 {
		s.To = 365 * 24 * time.Hour
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: s.Name}, NotBefore: at.Add(s.From), NotAfter: at.Add(s.To),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		SignatureAlgorithm: s.Signature,
	}
	if s.Client {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if s.CA {
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageCertSign, nil
	}
	for _, h := range s.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	issuer, signer := template, s.Key
	if parent != nil {
		issuer, signer = parent.Cert, parent.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, s.Key.Public(), signer)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &Made{Cert: cert, Key: s.Key}
}

// PEM is the certificate.
func (m *Made) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Cert.Raw}))
}

// KeyPEM is the key.
func (m *Made) KeyPEM(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(m.Key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Bundle is the PEM of all.
func Bundle(chain ...*Made) (text string) {
	for _, m := range chain {
		text += m.PEM()
	}
	return text
}

// Pool trusts roots.
func Pool(roots ...*Made) *x509.CertPool {
	p := x509.NewCertPool()
	for _, r := range roots {
		p.AddCert(r.Cert)
	}
	return p
}

// PKI is a root, an intermediate and a host's certificate.
type PKI struct{ Root, Intermediate, Host *Made }

// New makes a good chain for hosts.
func New(t testing.TB, at time.Time, hosts ...string) *PKI {
	t.Helper()
	root := Make(t, at, nil, Spec{Name: "Root", CA: true, To: 3650 * 24 * time.Hour, Key: EC(t, elliptic.P384())})
	between := Make(t, at, root, Spec{Name: "Intermediate", CA: true, To: 1000 * 24 * time.Hour})
	return &PKI{root, between, Make(t, at, between, Spec{Name: "host", Hosts: hosts})}
}

// Serve shows a chain on loopback until the test ends. It gives the address and the
// names that clients asked for (SNI).
func Serve(t testing.TB, chain ...*Made) (address string, asked func() []string) {
	t.Helper()
	var der [][]byte
	for _, m := range chain {
		der = append(der, m.Cert.Raw)
	}
	names := make(chan string, 100)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			names <- hello.ServerName
			return &tls.Certificate{Certificate: der, PrivateKey: chain[0].Key}, nil
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_ = conn.(*tls.Conn).HandshakeContext(t.Context())
			}()
		}
	}()
	return listener.Addr().String(), func() (all []string) {
		for {
			select {
			case n := <-names:
				all = append(all, n)
			default:
				return all
			}
		}
	}
}
