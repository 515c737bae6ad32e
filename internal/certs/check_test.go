package certs_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/certs"
	"github.com/deepgram-gke/deepgram-gke/internal/certs/certtest"
)

var now = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

const dayLong = 24 * time.Hour

// notOK are the findings that say something, one a line.
func notOK(r *certs.Report) (lines []string) {
	for _, f := range r.Findings {
		if f.Level != certs.OK {
			lines = append(lines, fmt.Sprintf("%s %s: %s", f.Level, f.Check, f.Message))
		}
	}
	return lines
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const host = "dg.example.com"
	good, other := certtest.New(t, now, host), certtest.New(t, now, host)
	leaf := func(s certtest.Spec) *certtest.Made {
		s.Name = "host"
		if s.Hosts == nil {
			s.Hosts = []string{host}
		}
		return certtest.Make(t, now, good.Intermediate, s)
	}
	of := func(m *certtest.Made) string { return certtest.Bundle(m, good.Intermediate, good.Root) }
	chain := of(good.Host)
	rsa2048, rsa1024, p384, p521 := leaf(certtest.Spec{Key: certtest.RSA(t, 2048)}), leaf(certtest.Spec{Key: certtest.RSA(t, 1024)}),
		leaf(certtest.Spec{Key: certtest.EC(t, elliptic.P384())}), leaf(certtest.Spec{Key: certtest.EC(t, elliptic.P521())})
	expired, future := leaf(certtest.Spec{From: -90 * dayLong, To: -dayLong}), leaf(certtest.Spec{From: dayLong, To: 90 * dayLong})
	wild, byIP := leaf(certtest.Spec{Hosts: []string{"*.example.com"}}), leaf(certtest.Spec{Hosts: []string{"10.128.0.50", "2001:db8::1"}})
	elsewhere, deep := leaf(certtest.Spec{Hosts: []string{"other.example.com"}}), leaf(certtest.Spec{Hosts: []string{"*.com"}})
	client := leaf(certtest.Spec{Client: true})
	nameless := certtest.Make(t, now, good.Intermediate, certtest.Spec{Name: host})
	itself := certtest.Make(t, now, nil, certtest.Spec{Name: "itself", Hosts: []string{host}})

	// A chain of old: an RSA CA that signs with SHA-1, and one with a short key.
	oldKey := certtest.RSA(t, 2048)
	oldRoot := certtest.Make(t, now, nil, certtest.Spec{Name: "Old root", CA: true, Key: oldKey, Signature: x509.SHA1WithRSA})
	sha1 := certtest.Make(t, now, oldRoot, certtest.Spec{Name: "host", Hosts: []string{host}, Signature: x509.SHA1WithRSA})
	shortRoot := certtest.Make(t, now, nil, certtest.Spec{Name: "Short root", CA: true, Key: certtest.RSA(t, 1024)})
	ofShort := certtest.Make(t, now, shortRoot, certtest.Spec{Name: "host", Hosts: []string{host}})
	forged := &certtest.Made{Cert: other.Intermediate.Cert, Key: other.Intermediate.Key}

	for name, test := range map[string]struct {
		bundle, key, host string
		roots             *x509.CertPool
		want              []string
	}{
		"good":                        {bundle: chain, key: good.Host.KeyPEM(t)},
		"without its root, trusted":   {bundle: certtest.Bundle(good.Host, good.Intermediate), key: good.Host.KeyPEM(t)},
		"RSA 2048":                    {bundle: of(rsa2048), key: rsa2048.KeyPEM(t)},
		"EC P-384":                    {bundle: of(p384), key: p384.KeyPEM(t)},
		"wildcard":                    {bundle: of(wild), key: wild.KeyPEM(t)},
		"wildcard, one level only":    {bundle: of(wild), key: wild.KeyPEM(t), host: "a.b.example.com", want: []string{"fail host: the first certificate is for *.example.com, which does not cover a.b.example.com"}},
		"wildcard of too much":        {bundle: of(deep), key: deep.KeyPEM(t), want: []string{"fail host: the first certificate is for *.com, which does not cover dg.example.com"}},
		"IP":                          {bundle: of(byIP), key: byIP.KeyPEM(t), host: "10.128.0.50"},
		"IPv6":                        {bundle: of(byIP), key: byIP.KeyPEM(t), host: "2001:db8::1"},
		"another IP":                  {bundle: of(byIP), key: byIP.KeyPEM(t), host: "10.128.0.51", want: []string{"fail host: the first certificate is for 10.128.0.50, 2001:db8::1, which does not cover 10.128.0.51"}},
		"another host":                {bundle: of(elsewhere), key: elsewhere.KeyPEM(t), want: []string{"fail host: the first certificate is for other.example.com, which does not cover dg.example.com"}},
		"common name only":            {bundle: of(nameless), key: nameless.KeyPEM(t), want: []string{"fail host: the first certificate names dg.example.com only as its common name, which clients ignore"}},
		"private root in the bundle":  {bundle: chain, key: good.Host.KeyPEM(t), roots: certtest.Pool(other.Root)},
		"private root left out":       {bundle: certtest.Bundle(good.Host, good.Intermediate), key: good.Host.KeyPEM(t), roots: certtest.Pool(other.Root), want: []string{`fail chain: the chain breaks off: "CN=Intermediate" was signed by "CN=Root", which is neither in the bundle nor a root that is trusted here`}},
		"signed by itself":            {bundle: itself.PEM(), key: itself.KeyPEM(t), want: []string{"warn chain: the certificate is signed by itself: only clients that trust it as it is accept it"}},
		"missing intermediate":        {bundle: good.Host.PEM(), key: good.Host.KeyPEM(t), want: []string{`fail chain: the chain breaks off: "CN=host" was signed by "CN=Intermediate", which is neither in the bundle nor a root that is trusted here`}},
		"missing intermediate, root":  {bundle: certtest.Bundle(good.Host, good.Root), key: good.Host.KeyPEM(t), want: []string{`fail order: certificate 1, "CN=host", is not signed by certificate 2, "CN=Root", but by "CN=Intermediate"`, "fail chain: the chain breaks off, see order"}},
		"wrong order":                 {bundle: certtest.Bundle(good.Root, good.Intermediate, good.Host), key: good.Host.KeyPEM(t), want: []string{`fail order: the certificates are in the wrong order: "CN=Root", "CN=Intermediate", "CN=host"`, "fail chain: the chain breaks off, see order", "fail key: the key does not belong to the first certificate, but to certificate 3, \"CN=host\"", "fail host: the first certificate has no name of a host, so it does not cover dg.example.com"}},
		"wrong order of the CAs":      {bundle: certtest.Bundle(good.Host, good.Root, good.Intermediate), key: good.Host.KeyPEM(t), want: []string{`fail order: the certificates are in the wrong order: "CN=host", "CN=Root", "CN=Intermediate"`, "fail chain: the chain breaks off, see order"}},
		"only CAs":                    {bundle: certtest.Bundle(good.Intermediate, good.Root), key: good.Intermediate.KeyPEM(t), want: []string{`fail order: the bundle begins with the certificate of a CA, "CN=Intermediate"`, "fail chain: the chain breaks off, see order", "fail host: the first certificate has no name of a host, so it does not cover dg.example.com"}},
		"another CA of the same name": {bundle: certtest.Bundle(good.Host, forged), key: good.Host.KeyPEM(t), want: []string{`fail order: certificate 1, "CN=host", was not signed with the key of certificate 2, "CN=Intermediate", although the names agree`, "fail chain: the chain breaks off, see order"}},
		"another key":                 {bundle: chain, key: other.Host.KeyPEM(t), want: []string{"fail key: the key does not belong to the first certificate"}},
		"no key":                      {bundle: chain, want: []string{"info key: not compared: no key was given"}},
		"a certificate for a key":     {bundle: chain, key: chain, want: []string{"fail key: the key is a PEM block of another kind"}},
		"RSA 1024":                    {bundle: of(rsa1024), key: rsa1024.KeyPEM(t), want: []string{"fail key: the key is of a kind that Google Cloud does not take", `fail strength: certificate 1, "CN=host", has a key that Google Cloud does not take: RSA 1024`}},
		"P-521":                       {bundle: of(p521), key: p521.KeyPEM(t), want: []string{"fail key: the key is of a kind that Google Cloud does not take", `fail strength: certificate 1, "CN=host", has a key that Google Cloud does not take: ECDSA P-521`}},
		"SHA-1":                       {bundle: certtest.Bundle(sha1, oldRoot), key: sha1.KeyPEM(t), want: []string{`fail strength: certificate 1, "CN=host", has a weak signature: SHA1-RSA`}},
		"a CA with a short key":       {bundle: certtest.Bundle(ofShort, shortRoot), key: ofShort.KeyPEM(t), want: []string{`fail strength: certificate 2, "CN=Short root", has a weak key: RSA 1024`}},
		"for clients":                 {bundle: of(client), key: client.KeyPEM(t), roots: certtest.Pool(good.Root), want: []string{"fail chain: clients refuse the chain: the first certificate is not made for servers (extended key usage serverAuth)"}},
		"expired":                     {bundle: of(expired), key: expired.KeyPEM(t), want: []string{`fail validity: certificate 1, "CN=host", expired on 2026-06-14`}},
		"not yet valid":               {bundle: of(future), key: future.KeyPEM(t), want: []string{`fail validity: certificate 1, "CN=host", is not valid before 2026-06-16`}},
		"no PEM":                      {bundle: "hello", want: []string{"fail bundle: the bundle is not PEM"}},
		"the key in the bundle":       {bundle: chain + good.Host.KeyPEM(t), want: []string{"fail bundle: the bundle holds a private key"}},
		"broken":                      {bundle: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", want: []string{"fail bundle: the bundle has a certificate 1 that cannot be read"}},
		"text after":                  {bundle: chain + "more", want: []string{"fail bundle: the bundle has text after its last certificate that is not PEM"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := certs.Options{Host: host, Key: test.key, Roots: certtest.Pool(good.Root), Now: now}
			if test.host != "" {
				o.Host = test.host
			}
			if test.roots != nil {
				o.Roots = test.roots
			}
			r := certs.CheckText(test.bundle, o)
			assert.Equal(t, test.want, notOK(r))
			for _, f := range r.Findings {
				if f.Level == certs.Fail || f.Level == certs.Warn {
					assert.NotEmpty(t, f.Fix, f.Message)
				}
			}
			if test.key != "" {
				secret := strings.Split(test.key, "\n")[1]
				assert.NotContains(t, fmt.Sprintf("%+v", r), secret, "no part of a key is shown")
			}
		})
	}
}

// TestExpiry shifts the clock over one chain.
func TestExpiry(t *testing.T) {
	t.Parallel()
	pki := certtest.New(t, now, "dg.example.com") // a year
	end := pki.Host.Cert.NotAfter
	for left, want := range map[time.Duration]certs.Level{
		365 * dayLong: certs.OK, 61 * dayLong: certs.OK, 60*dayLong + time.Second: certs.OK,
		60 * dayLong: certs.Info, 31 * dayLong: certs.Info, 30 * dayLong: certs.Warn, 8 * dayLong: certs.Warn,
		7 * dayLong: certs.Fail, time.Hour: certs.Fail, -time.Second: certs.Fail, -90 * dayLong: certs.Fail,
	} {
		r := certs.CheckText(certtest.Bundle(pki.Host, pki.Intermediate), certs.Options{
			Host: "dg.example.com", Key: pki.Host.KeyPEM(t), Roots: certtest.Pool(pki.Root), Now: end.Add(-left),
		})
		assert.Equal(t, want, r.Worst(), left)
		last := r.Findings[len(r.Findings)-1]
		assert.Equal(t, certs.CheckValidity, last.Check)
		assert.Equal(t, want, last.Level, left)
	}
	// The one that is replaced may end.
	r := certs.CheckText(certtest.Bundle(pki.Host, pki.Intermediate), certs.Options{
		Key: pki.Host.KeyPEM(t), Roots: certtest.Pool(pki.Root), Now: end.Add(time.Hour), Replaced: true,
	})
	assert.Equal(t, certs.Info, r.Worst())
	// The first to end decides, whichever it is.
	short := certtest.Make(t, now, pki.Root, certtest.Spec{Name: "Short CA", CA: true, To: 20 * dayLong})
	leaf := certtest.Make(t, now, short, certtest.Spec{Name: "host", Hosts: []string{"dg.example.com"}})
	r = certs.CheckText(certtest.Bundle(leaf, short), certs.Options{Roots: certtest.Pool(pki.Root), Key: leaf.KeyPEM(t), Now: now})
	assert.Equal(t, []string{`warn validity: certificate 2, "CN=Short CA", expires on 2026-07-05, in 20 days`}, notOK(r))
	assert.Equal(t, 365, r.Certificates[0].Days)
	assert.Equal(t, 20, r.Certificates[1].Days)
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	at := time.Now()
	old, fresh := certtest.New(t, at, "dg.example.com"), certtest.New(t, at, "dg.example.com")
	address, asked := certtest.Serve(t, fresh.Host, fresh.Intermediate)
	check := func(want ...*x509.Certificate) *certs.Report {
		return certs.CheckEndpoint(t.Context(), certs.Endpoint{Host: "dg.example.com", Address: address},
			certs.Options{Roots: certtest.Pool(old.Root, fresh.Root)}, want...)
	}
	r := check()
	assert.Empty(t, notOK(r))
	assert.Equal(t, []string{"dg.example.com"}, asked(), "the name is asked for")
	assert.Len(t, r.Certificates, 2)

	assert.Empty(t, notOK(check(fresh.Host.Cert)))
	assert.Equal(t, []string{"warn configured: still shows the previous certificate"}, notOK(check(old.Host.Cert, fresh.Host.Cert)))
	lines := notOK(check(old.Host.Cert))
	require.Len(t, lines, 1)
	assert.Contains(t, lines[0], fmt.Sprintf(`fail configured: shows "CN=host", serial %s, not the configured "CN=host", serial %s`, fresh.Host.Cert.SerialNumber, old.Host.Cert.SerialNumber))

	// What is wrong is told, and not that TLS failed.
	short, _ := certtest.Serve(t, fresh.Host)
	r = certs.CheckEndpoint(t.Context(), certs.Endpoint{Host: "other.example.com", Address: short}, certs.Options{Roots: certtest.Pool(fresh.Root)})
	require.Len(t, notOK(r), 2)
	assert.Contains(t, notOK(r)[0], "fail chain: the chain breaks off")
	assert.Contains(t, notOK(r)[1], "does not cover other.example.com")

	r = certs.CheckEndpoint(t.Context(), certs.Endpoint{Host: "dg.example.com", Address: "127.0.0.1:1"}, certs.Options{})
	assert.Contains(t, notOK(r)[0], "fail reachable: connecting to 127.0.0.1:1: ")
	assert.Equal(t, certs.Fail, r.Worst())
}
