package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// AcceptedKeys says which keys Google Cloud's self-managed certificates may have.
const AcceptedKeys = "RSA of 2048 to 4096 bits, ECDSA P-256 or P-384"

// AcceptedKey tells whether Google Cloud's self-managed certificates take a
// public key.
func AcceptedKey(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 4096
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384()
	default:
		return false
	}
}

// ParseBundle reads PEM certificates. The error continues a sentence that begins
// with the bundle's name: "holds a private key".
func ParseBundle(text string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.Contains(block.Type, "PRIVATE KEY") {
			return nil, errors.New("holds a private key")
		}
		if block.Type != "CERTIFICATE" {
			return nil, errors.New("holds a PEM block " + strconv.Quote(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("has a certificate %d that cannot be read", len(chain)+1)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, errors.New("is not PEM")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("has text after its last certificate that is not PEM")
	}
	return chain, nil
}

// KeyError is a private key that cannot be used.
type KeyError struct {
	// Problem continues a sentence that begins with the key's name: "is not PEM".
	Problem string
	// Allowed says what may be given, Fix what to do; Fix may be empty.
	Allowed, Fix string
}

func (e *KeyError) Error() string {
	s := e.Problem + "; allowed: " + e.Allowed
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}

// ParseKey reads a private key in PEM that Google Cloud takes. The error is a
// *KeyError and shows nothing of the key.
func ParseKey(text string) (crypto.Signer, error) {
	const allowed = "an unencrypted private key in PEM"
	block, rest := pem.Decode([]byte(text))
	// Files made by openssl ecparam begin with a block of parameters.
	if block != nil && block.Type == "EC PARAMETERS" {
		block, _ = pem.Decode(rest)
	}
	if block == nil {
		return nil, &KeyError{Problem: "is not PEM", Allowed: allowed}
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, &KeyError{
			Problem: "is encrypted with a passphrase", Allowed: allowed,
			Fix: "remove the passphrase with openssl pkey; Pulumi encrypts it",
		}
	}
	var private any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, &KeyError{Problem: "is a PEM block of another kind", Allowed: allowed}
	}
	signer, ok := private.(crypto.Signer)
	if err != nil || !ok {
		return nil, &KeyError{Problem: "cannot be read", Allowed: allowed}
	}
	if !AcceptedKey(signer.Public()) {
		return nil, &KeyError{
			Problem: "is of a kind that Google Cloud does not take", Allowed: AcceptedKeys, Fix: "make a new key and certificate",
		}
	}
	return signer, nil
}

// Matches tells whether a private key belongs to a certificate.
func Matches(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}

// Signed tells whether parent signed child. A signature that is right but weak
// (SHA-1) counts as none where the library refuses to verify it; the names then
// decide, and the weakness is told by itself.
func Signed(child, parent *x509.Certificate) bool {
	if !bytes.Equal(child.RawIssuer, parent.RawSubject) {
		return false
	}
	err := child.CheckSignatureFrom(parent)
	var weak x509.InsecureAlgorithmError
	if errors.As(err, &weak) {
		return len(child.AuthorityKeyId) == 0 || len(parent.SubjectKeyId) == 0 || bytes.Equal(child.AuthorityKeyId, parent.SubjectKeyId)
	}
	return err == nil
}
