package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Level says how much a finding matters.
type Level string

// Levels. Fail is what would break clients or be refused by Google Cloud.
const (
	OK   Level = "ok"
	Info Level = "info"
	Warn Level = "warn"
	Fail Level = "fail"
)

// What is looked at. The names are stable.
const (
	CheckBundle     = "bundle"     // it can be read
	CheckOrder      = "order"      // the host's certificate first, each signed by the next
	CheckChain      = "chain"      // it leads to a root
	CheckKey        = "key"        // it belongs to the first certificate
	CheckHost       = "host"       // the first certificate covers the name
	CheckStrength   = "strength"   // keys and signatures
	CheckValidity   = "validity"   // days
	CheckReachable  = "reachable"  // the endpoint answers
	CheckConfigured = "configured" // the endpoint shows what is configured
)

// Days before the end at which an expiry is told, warned of and refused. The
// policies certificate-is-fresh and certificate-is-not-about-to-expire use the
// same for what is deployed.
const (
	InfoDays = 60
	WarnDays = 30
	FailDays = 7
)

// Finding is one result.
type Finding struct {
	Check   string `json:"check"`
	Level   Level  `json:"level"`
	Message string `json:"message"`
	// Fix says what to do; empty where nothing is.
	Fix string `json:"fix,omitempty"`
}

// Certificate is what a report tells of a certificate.
type Certificate struct {
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	// Names are what it is for: DNS names and IP addresses.
	Names []string `json:"names,omitempty"`
	// Key and Signature are their kinds, such as "RSA 2048" and "SHA256-RSA".
	Key       string    `json:"key"`
	Signature string    `json:"signature"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	// Days are the whole days left; negative after the end.
	Days int `json:"days"`
}

// Report is everything about one chain.
type Report struct {
	// Source says where the chain comes from.
	Source       string        `json:"source"`
	Certificates []Certificate `json:"certificates"`
	Findings     []Finding     `json:"findings"`
}

// Worst is the highest level of the findings.
func (r *Report) Worst() Level {
	worst := OK
	order := []Level{OK, Info, Warn, Fail}
	for _, f := range r.Findings {
		if slices.Index(order, f.Level) > slices.Index(order, worst) {
			worst = f.Level
		}
	}
	return worst
}

func (r *Report) add(check string, level Level, message, fix string) {
	r.Findings = append(r.Findings, Finding{Check: check, Level: level, Message: message, Fix: fix})
}

// Options say against what a chain is checked.
type Options struct {
	// Source says where the chain comes from.
	Source string
	// Host is the DNS name or IP address that it must cover; empty asks for none.
	Host string
	// Key is the private key in PEM; empty where it is not at hand, and KeyUnseen
	// then says why.
	Key, KeyUnseen string
	// Roots are the roots that clients trust; nil means this system's.
	Roots *x509.CertPool
	// Now is the time to judge by; zero means now.
	Now time.Time
	// Served tells that the chain was shown by an endpoint: the root may then be
	// left out, and there is no key.
	Served bool
	// Replaced tells that another certificate takes over: that this one ends is only
	// told.
	Replaced bool
}

// CheckText checks a PEM bundle.
func CheckText(bundle string, o Options) *Report {
	chain, err := ParseBundle(bundle)
	if err != nil {
		r := &Report{Source: o.Source, Certificates: []Certificate{}}
		r.add(CheckBundle, Fail, "the bundle "+err.Error(), "give PEM certificates: the host's first, then the CA's")
		return r
	}
	return Check(chain, o)
}

// Check checks a chain, the host's certificate first. It must not be empty.
func Check(chain []*x509.Certificate, o Options) *Report {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	r := &Report{Source: o.Source}
	for _, c := range chain {
		r.Certificates = append(r.Certificates, describe(c, o.Now))
	}
	c := checker{Report: r, o: o, chain: chain}
	c.order()
	c.complete()
	c.key()
	c.host()
	c.strength()
	c.validity()
	return r
}

type checker struct {
	*Report
	o     Options
	chain []*x509.Certificate
	// disordered tells that the order is wrong, so that the chain says nothing.
	disordered bool
}

// order checks that each certificate is signed by the next.
func (c *checker) order() {
	broken := -1
	for i := range len(c.chain) - 1 {
		if !Signed(c.chain[i], c.chain[i+1]) {
			broken = i
			break
		}
	}
	leafFirst := !c.chain[0].IsCA || len(c.chain) == 1
	if broken < 0 && leafFirst {
		c.add(CheckOrder, OK, fmt.Sprintf("%s, the host's first, each signed by the next", count(len(c.chain), "certificate")), "")
		return
	}
	c.disordered = true
	if right := sortedChain(c.chain); right != nil {
		c.add(CheckOrder, Fail, "the certificates are in the wrong order: "+names(c.chain),
			"put them in this order: "+names(right))
		return
	}
	if !leafFirst {
		c.add(CheckOrder, Fail, "the bundle begins with the certificate of a CA, "+name(c.chain[0]),
			"put the host's certificate first")
		return
	}
	child, parent := c.chain[broken], c.chain[broken+1]
	message := fmt.Sprintf("certificate %d, %s, is not signed by certificate %d, %s, but by %q",
		broken+1, name(child), broken+2, name(parent), child.Issuer.String())
	if bytes.Equal(child.RawIssuer, parent.RawSubject) {
		message = fmt.Sprintf("certificate %d, %s, was not signed with the key of certificate %d, %s, although the names agree",
			broken+1, name(child), broken+2, name(parent))
	}
	c.add(CheckOrder, Fail, message,
		fmt.Sprintf("put the certificate of %q between them, and leave out what is not in the chain", child.Issuer.String()))
}

// sortedChain is the only order in which each certificate is signed by the next;
// nil where there is none.
func sortedChain(chain []*x509.Certificate) []*x509.Certificate {
	left := slices.Clone(chain)
	leaf := slices.IndexFunc(left, func(c *x509.Certificate) bool { return !c.IsCA })
	if leaf < 0 {
		return nil
	}
	right := []*x509.Certificate{left[leaf]}
	left = slices.Delete(left, leaf, leaf+1)
	for len(left) > 0 {
		next := slices.IndexFunc(left, func(p *x509.Certificate) bool { return Signed(right[len(right)-1], p) })
		if next < 0 {
			return nil
		}
		right = append(right, left[next])
		left = slices.Delete(left, next, next+1)
	}
	return right
}

// complete checks that the chain ends in a root: its own, or one that is trusted.
func (c *checker) complete() {
	if c.disordered {
		c.add(CheckChain, Fail, "the chain breaks off, see order", "put the bundle in order first")
		return
	}
	last := c.chain[len(c.chain)-1]
	trusted, err := c.trusted()
	switch {
	case trusted:
		c.add(CheckChain, OK, "complete: it leads to a root that is trusted here", "")
	case err != nil:
		c.add(CheckChain, Fail, "clients refuse the chain: "+err.Error(), "ask the CA for the right certificates")
	case selfSigned(last) && len(c.chain) == 1:
		c.add(CheckChain, Warn, "the certificate is signed by itself: only clients that trust it as it is accept it",
			"use one that a CA signed")
	case selfSigned(last):
		c.add(CheckChain, OK, fmt.Sprintf("complete: it ends in the root %s, which is not among the roots trusted here; every client must know it",
			name(last)), "")
	default:
		c.add(CheckChain, Fail, fmt.Sprintf("the chain breaks off: %s was signed by %q, which is neither in the bundle nor a root that is trusted here",
			name(last), last.Issuer.String()),
			fmt.Sprintf("append the certificate of %q, or name the root that your clients trust with --roots", last.Issuer.String()))
	}
}

// trusted tells whether the chain leads to a trusted root, days and host aside. The
// error is a reason other than an unknown root.
func (c *checker) trusted() (bool, error) {
	between := x509.NewCertPool()
	for _, p := range c.chain[1:] {
		between.AddCert(p)
	}
	// Days are judged by themselves: a chain is whole or not at the time when it was
	// made as well.
	at := c.chain[0].NotBefore
	for _, p := range c.chain {
		if p.NotBefore.After(at) {
			at = p.NotBefore
		}
	}
	if now := c.o.Now; !now.Before(at) && now.Before(c.chain[0].NotAfter) {
		at = now
	}
	_, err := c.chain[0].Verify(x509.VerifyOptions{
		Roots: c.o.Roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var weak x509.InsecureAlgorithmError
	var noRoots x509.SystemRootsError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &unknown), errors.As(err, &noRoots), errors.As(err, &weak):
		return false, nil
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return false, nil // told under validity
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return false, errors.New("the first certificate is not made for servers (extended key usage serverAuth)")
	}
	return false, err
}

// key checks that the private key belongs to the first certificate.
func (c *checker) key() {
	switch {
	case c.o.Served:
	case c.o.Key == "":
		why := c.o.KeyUnseen
		if why == "" {
			why = "no key was given"
		}
		c.add(CheckKey, Info, "not compared: "+why, "")
	default:
		key, err := ParseKey(c.o.Key)
		var unusable *KeyError
		switch {
		case errors.As(err, &unusable):
			c.add(CheckKey, Fail, "the key "+unusable.Problem, strings.TrimPrefix(unusable.Fix+"; needed: "+unusable.Allowed, "; "))
		case !Matches(key, c.chain[0]):
			message, fix := "the key does not belong to the first certificate", "give the key of "+name(c.chain[0])
			for i, other := range c.chain[1:] {
				if Matches(key, other) {
					message += fmt.Sprintf(", but to certificate %d, %s", i+2, name(other))
				}
			}
			c.add(CheckKey, Fail, message, fix)
		default:
			c.add(CheckKey, OK, "the key belongs to the first certificate", "")
		}
	}
}

// host checks the name.
func (c *checker) host() {
	if c.o.Host == "" {
		return
	}
	leaf := c.chain[0]
	covered := certNames(leaf)
	if leaf.VerifyHostname(c.o.Host) == nil {
		c.add(CheckHost, OK, "covers "+c.o.Host, "")
		return
	}
	message := "is for " + strings.Join(covered, ", ") + ", which does not cover " + c.o.Host
	switch {
	case len(covered) == 0 && strings.EqualFold(leaf.Subject.CommonName, c.o.Host):
		message = "names " + c.o.Host + " only as its common name, which clients ignore"
	case len(covered) == 0:
		message = "has no name of a host, so it does not cover " + c.o.Host
	}
	c.add(CheckHost, Fail, "the first certificate "+message, "get a certificate with the subject alternative name "+c.o.Host)
}

// strength checks keys and signatures of all certificates.
func (c *checker) strength() {
	good := true
	tell := func(message, fix string) {
		good = false
		c.add(CheckStrength, Fail, message, fix)
	}
	for i, cert := range c.chain {
		where := fmt.Sprintf("certificate %d, %s, ", i+1, name(cert))
		switch {
		case i == 0 && !AcceptedKey(cert.PublicKey):
			tell(where+"has a key that Google Cloud does not take: "+keyKind(cert.PublicKey), "make a new key: "+AcceptedKeys)
		case i > 0 && weakKey(cert.PublicKey):
			tell(where+"has a weak key: "+keyKind(cert.PublicKey), "ask the CA for a chain with stronger keys")
		}
		if WeakSignature(cert) {
			tell(where+"has a weak signature: "+cert.SignatureAlgorithm.String(), "ask the CA for one with SHA-256 or better")
		}
	}
	if good {
		c.add(CheckStrength, OK, "keys and signatures are strong enough: "+keyKind(c.chain[0].PublicKey)+", "+c.chain[0].SignatureAlgorithm.String(), "")
	}
}

// WeakSignature tells that a certificate is signed with SHA-1 or older, which
// clients refuse. A root's own signature does not matter.
func WeakSignature(cert *x509.Certificate) bool {
	if bytes.Equal(cert.RawIssuer, cert.RawSubject) && cert.IsCA {
		return false
	}
	switch cert.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	default:
		return false
	}
}

func weakKey(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() < 2048
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize < 256
	case ed25519.PublicKey:
		return false
	default:
		return true
	}
}

// validity checks the days of all certificates, and tells of the one that ends
// first.
func (c *checker) validity() {
	first, good := 0, true
	ends := func(level Level) Level {
		if c.o.Replaced {
			return Info
		}
		return level
	}
	for i, cert := range c.chain {
		where := fmt.Sprintf("certificate %d, %s, ", i+1, name(cert))
		switch {
		case c.o.Now.After(cert.NotAfter):
			good = false
			c.add(CheckValidity, ends(Fail), where+"expired on "+day(cert.NotAfter), "renew it now")
		case c.o.Now.Before(cert.NotBefore):
			good = false
			c.add(CheckValidity, Fail, where+"is not valid before "+day(cert.NotBefore), "use one that is valid now, or set the clock right")
		}
		if cert.NotAfter.Before(c.chain[first].NotAfter) {
			first = i
		}
	}
	if !good {
		return
	}
	cert := c.chain[first]
	left := daysLeft(cert.NotAfter, c.o.Now)
	what := fmt.Sprintf("certificate %d, %s, expires on %s, in %s", first+1, name(cert), day(cert.NotAfter), count(left, "day"))
	if c.o.Replaced {
		c.add(CheckValidity, Info, what+"; another replaces it", "")
		return
	}
	const renew = "renew it: the new one as ingress.certificate, the old one as ingress.previousCertificate"
	within := func(days int) bool { return cert.NotAfter.Sub(c.o.Now) <= time.Duration(days)*24*time.Hour }
	switch {
	case within(FailDays):
		c.add(CheckValidity, Fail, what, renew+", now")
	case within(WarnDays):
		c.add(CheckValidity, Warn, what, renew)
	case within(InfoDays):
		c.add(CheckValidity, Info, what, "plan the renewal")
	default:
		c.add(CheckValidity, OK, what, "")
	}
}
