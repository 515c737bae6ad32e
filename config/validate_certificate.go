package config

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// certificates checks that each certificate is given in one way, and, where its
// text is known, that Google Cloud and clients will take it (guide G-IV.1).
func (v *validator) certificates() {
	if !v.c.Ingress.Enabled {
		return
	}
	if v.c.Ingress.Certificate.isZero() {
		v.missingCertificate("ingress.certificate", "is missing")
	} else {
		v.certificate("ingress.certificate", v.c.Ingress.Certificate)
	}
	previous := v.c.Ingress.PreviousCertificate
	if previous == nil {
		return
	}
	if previous.isZero() {
		v.problem("ingress.previousCertificate", "", "is empty", "", "give a certificate or remove the key")
		return
	}
	v.certificate("ingress.previousCertificate", *previous)
	if current := v.c.Ingress.Certificate; current.Existing+current.Name != "" && current.Existing+current.Name == previous.Existing+previous.Name {
		v.problem("ingress.previousCertificate", quote(previous.Existing+previous.Name), "is the same as ingress.certificate", "",
			"remove it, or give the new certificate in ingress.certificate")
	}
}

// missingCertificate tells how to give one.
func (v *validator) missingCertificate(path, message string) {
	key := Namespace + ":" + path
	v.add(Problem{
		Key: key, Message: message, MissingSecret: true,
		Allowed: "bundle or bundleFile with key or keyFile; or existing",
		Fix: fmt.Sprintf(`set it with pulumi config set --path '%s.bundle' < bundle.pem and pulumi config set --secret --path '%s.key' < key.pem`,
			key, key),
	})
}

func (v *validator) certificate(path string, c Certificate) {
	bundle, key := c.Bundle != "" || c.BundleFile != "", !c.Key.IsZero() || c.KeyFile != ""
	v.excludes(c.Bundle != "" && c.BundleFile != "", path+".bundle", path+".bundleFile")
	v.excludes(!c.Key.IsZero() && c.KeyFile != "", path+".key", path+".keyFile")
	switch {
	case c.Existing != "":
		v.excludes(bundle || key || c.Name != "", path+".existing", path+".{bundle, bundleFile, key, keyFile, name}")
		return
	case !bundle:
		v.missingCertificate(path, "has no bundle")
	case !key:
		v.missingCertificate(path, "has no key")
	}
	var leaf *x509.Certificate
	if c.Bundle != "" {
		leaf = v.bundle(path+".bundle", c.Bundle)
	}
	if text := c.Key.Reveal(); text != "" {
		v.key(path+".key", text, leaf)
	}
}

// bundle checks a chain and gives its first certificate.
func (v *validator) bundle(path, text string) *x509.Certificate {
	chain, problem := parseChain(text)
	if problem != "" {
		v.problem(path, "", problem, "PEM certificates, the host's first, then the CA's", "")
		return nil
	}
	leaf := chain[0]
	if leaf.IsCA && len(chain) > 1 {
		v.problem(path, "", "begins with the certificate of a CA, "+quote(leaf.Subject.String()), "the host's certificate first, then the CA's",
			"put the certificates in the other order")
		return nil
	}
	for i := range len(chain) - 1 {
		child, parent := chain[i], chain[i+1]
		if !bytes.Equal(child.RawIssuer, parent.RawSubject) || child.CheckSignatureFrom(parent) != nil {
			v.problem(path, "", fmt.Sprintf("has certificate %d, %s, which is not signed by certificate %d, %s",
				i+1, quote(child.Subject.String()), i+2, quote(parent.Subject.String())), "each certificate signed by the next",
				"put the certificates in order and leave out what is not in the chain")
		}
	}
	v.validity(path, chain)
	if host := v.c.Ingress.Host; host != "" && leaf.VerifyHostname(host) != nil {
		names := strings.Join(leaf.DNSNames, ", ")
		if names == "" {
			names = "no DNS name"
		}
		v.problem(path, "", "is for "+names+", which does not cover ingress.host "+host, "a certificate for "+host, "")
	}
	if !acceptedKey(leaf.PublicKey) {
		v.problem(path, "", "has a key that Google Cloud does not take", acceptedKeys, "make a new key and certificate")
	}
	return leaf
}

// validity checks the days of all certificates of a chain.
func (v *validator) validity(path string, chain []*x509.Certificate) {
	for i, cert := range chain {
		switch {
		case v.now.After(cert.NotAfter):
			v.problem(path, "", fmt.Sprintf("has certificate %d, %s, which expired on %s", i+1, quote(cert.Subject.String()),
				cert.NotAfter.UTC().Format(time.DateOnly)), "", "renew it, see docs/configuration.md")
		case v.now.Before(cert.NotBefore):
			v.problem(path, "", fmt.Sprintf("has certificate %d, %s, which is not valid before %s", i+1, quote(cert.Subject.String()),
				cert.NotBefore.UTC().Format(time.DateOnly)), "", "use one that is valid now")
		}
	}
}

// parseChain reads PEM certificates.
func parseChain(text string) (chain []*x509.Certificate, problem string) {
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.Contains(block.Type, "PRIVATE KEY") {
			return nil, "holds a private key"
		}
		if block.Type != "CERTIFICATE" {
			return nil, "holds a PEM block " + quote(block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Sprintf("has a certificate %d that cannot be read", len(chain)+1)
		}
		chain = append(chain, cert)
	}
	if len(chain) == 0 {
		return nil, "is not PEM"
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, "has text after its last certificate that is not PEM"
	}
	return chain, ""
}

const acceptedKeys = "RSA of 2048 to 4096 bits, ECDSA P-256 or P-384"

// acceptedKey tells whether Google Cloud's self-managed certificates take a key.
func acceptedKey(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && k.N.BitLen() <= 4096
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384()
	default:
		return false
	}
}

// key checks a private key; no message shows any of it.
func (v *validator) key(path, text string, leaf *x509.Certificate) {
	const allowed = "an unencrypted private key in PEM"
	block, _ := pem.Decode([]byte(text))
	// Files made by openssl ecparam begin with a block of parameters.
	if block != nil && block.Type == "EC PARAMETERS" {
		_, rest := pem.Decode([]byte(text))
		block, _ = pem.Decode(rest)
	}
	if block == nil {
		v.problem(path, "", "is not PEM", allowed, "")
		return
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		v.problem(path, "", "is encrypted with a passphrase", allowed, "remove the passphrase with openssl pkey; Pulumi encrypts it")
		return
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
		v.problem(path, "", "is a PEM block of another kind", allowed, "")
		return
	}
	signer, ok := private.(crypto.Signer)
	if err != nil || !ok {
		v.problem(path, "", "cannot be read", allowed, "")
		return
	}
	if !acceptedKey(signer.Public()) {
		v.problem(path, "", "is of a kind that Google Cloud does not take", acceptedKeys, "make a new key and certificate")
		return
	}
	if public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); ok && leaf != nil && !public.Equal(leaf.PublicKey) {
		v.problem(path, "", "does not belong to the first certificate of the bundle", "the key of that certificate", "")
	}
}
