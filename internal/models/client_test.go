package models

import (
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestServersThatOfferHTTP2 are most of those that give out models.
func TestServersThatOfferHTTP2(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	// What was used before has left its protocols in the transport that is copied.
	_, _ = http.DefaultClient.Get(server.URL)

	c := newClient(Options{Parallel: 1})
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	c.http.Transport.(*http.Transport).TLSClientConfig.RootCAs = trusted
	response, err := c.http.Get(server.URL)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1", string(text))
}
