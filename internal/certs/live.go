package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"
)

// Endpoint is where a certificate is shown.
type Endpoint struct {
	// Host is the name that is asked for (SNI): a DNS name or an IP address.
	Host string
	// Address is where to connect, host:port; empty means Host at port 443.
	Address string
	// Dial connects; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// dialLimit bounds connection and handshake.
const dialLimit = 15 * time.Second

// Fetch asks an endpoint for the chain that it shows.
func Fetch(ctx context.Context, e Endpoint) ([]*x509.Certificate, error) {
	address := e.Address
	if address == "" {
		address = net.JoinHostPort(e.Host, "443")
	}
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	dial := e.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	raw, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	defer func() { _ = raw.Close() }()
	// The chain is judged by Check, which says what is wrong with it; a handshake
	// that ends at the first fault would say less. Nothing is sent.
	//nolint:gosec // see above
	conn := tls.Client(raw, &tls.Config{ServerName: e.Host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	chain := conn.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil, errors.New("TLS with " + address + ": it shows no certificate")
	}
	return chain, nil
}

// CheckEndpoint checks what an endpoint shows. want are the certificates of which
// it should show one, the first of each chain; empty accepts any.
func CheckEndpoint(ctx context.Context, e Endpoint, o Options, want ...*x509.Certificate) *Report {
	if o.Host == "" {
		o.Host = e.Host
	}
	o.Served = true
	chain, err := Fetch(ctx, e)
	if err != nil {
		r := &Report{Source: o.Source, Certificates: []Certificate{}}
		r.add(CheckReachable, Fail, err.Error(),
			"check name, address and port; an internal address answers only inside its network: run this there, or give --connect")
		return r
	}
	r := Check(chain, o)
	if len(want) == 0 {
		return r
	}
	for i, w := range want {
		if !w.Equal(chain[0]) {
			continue
		}
		if i == 0 {
			r.add(CheckConfigured, OK, "shows the configured certificate", "")
		} else {
			r.add(CheckConfigured, Warn, "still shows the previous certificate",
				"wait: a load balancer takes some minutes; then look at the events of the Ingress")
		}
		return r
	}
	r.add(CheckConfigured, Fail, fmt.Sprintf("shows %s, serial %s, not the configured %s, serial %s",
		name(chain[0]), chain[0].SerialNumber, name(want[0]), want[0].SerialNumber),
		"run pulumi up; if that changes nothing, the name leads to another server")
	return r
}
