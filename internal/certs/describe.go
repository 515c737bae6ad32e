package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

func describe(c *x509.Certificate, now time.Time) Certificate {
	return Certificate{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Names: certNames(c),
		Key: keyKind(c.PublicKey), Signature: c.SignatureAlgorithm.String(),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Days: daysLeft(c.NotAfter, now),
	}
}

// certNames are what a certificate is for.
func certNames(c *x509.Certificate) []string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func keyKind(key any) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return "unknown"
	}
}

// name is how a certificate is called in a sentence.
func name(c *x509.Certificate) string {
	if s := c.Subject.String(); s != "" {
		return strconv.Quote(s)
	}
	if names := certNames(c); len(names) > 0 {
		return strconv.Quote(names[0])
	}
	return "serial " + c.SerialNumber.String()
}

func names(chain []*x509.Certificate) string {
	all := make([]string, 0, len(chain))
	for _, c := range chain {
		all = append(all, name(c))
	}
	return strings.Join(all, ", ")
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// daysLeft are whole days; negative after the end.
func daysLeft(end, now time.Time) int { return int(math.Floor(end.Sub(now).Hours() / 24)) }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
