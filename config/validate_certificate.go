package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deepgram-gke/deepgram-gke/internal/certs"
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
	chain, err := certs.ParseBundle(text)
	if err != nil {
		v.problem(path, "", err.Error(), "PEM certificates, the host's first, then the CA's", "")
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
		if !certs.Signed(child, parent) {
			v.problem(path, "", fmt.Sprintf("has certificate %d, %s, which is not signed by certificate %d, %s",
				i+1, quote(child.Subject.String()), i+2, quote(parent.Subject.String())), "each certificate signed by the next",
				"put the certificates in order and leave out what is not in the chain")
		}
	}
	for i, cert := range chain {
		if certs.WeakSignature(cert) {
			v.problem(path, "", fmt.Sprintf("has certificate %d, %s, with the weak signature %s", i+1, quote(cert.Subject.String()), cert.SignatureAlgorithm),
				"SHA-256 or better", "ask the CA for another, or leave it out where it is a root's cross-signature")
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
	if !certs.AcceptedKey(leaf.PublicKey) {
		v.problem(path, "", "has a key that Google Cloud does not take", certs.AcceptedKeys, "make a new key and certificate")
	}
	return leaf
}

// validity checks the days of all certificates of a chain.
func (v *validator) validity(path string, chain []*x509.Certificate) {
	for i, cert := range chain {
		switch {
		case v.now.After(cert.NotAfter):
			fix := "renew it, see docs/certificates.md"
			if strings.HasPrefix(path, "ingress.previousCertificate.") {
				fix = "remove ingress.previousCertificate: nobody can use it any more"
			}
			v.problem(path, "", fmt.Sprintf("has certificate %d, %s, which expired on %s", i+1, quote(cert.Subject.String()),
				cert.NotAfter.UTC().Format(time.DateOnly)), "", fix)
		case v.now.Before(cert.NotBefore):
			v.problem(path, "", fmt.Sprintf("has certificate %d, %s, which is not valid before %s", i+1, quote(cert.Subject.String()),
				cert.NotBefore.UTC().Format(time.DateOnly)), "", "use one that is valid now")
		}
	}
}

// key checks a private key; no message shows any of it.
func (v *validator) key(path, text string, leaf *x509.Certificate) {
	key, err := certs.ParseKey(text)
	var unusable *certs.KeyError
	switch {
	case errors.As(err, &unusable):
		v.problem(path, "", unusable.Problem, unusable.Allowed, unusable.Fix)
	case leaf != nil && !certs.Matches(key, leaf):
		v.problem(path, "", "does not belong to the first certificate of the bundle", "the key of that certificate", "")
	}
}
