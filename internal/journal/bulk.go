package journal

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// bulkSize is how much a connection gathers before it sends it, and reads at once.
const bulkSize = 256 << 10

// bulkListener accepts connections that can gather. TLS sends 16 KiB at a time, and
// with every one of them the network costs more than the encryption.
type bulkListener struct{ net.Listener }

func (l bulkListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &bulkConn{Conn: c}, nil
}

// bulkConn is a connection that gathers what is written to it while it is told to.
type bulkConn struct {
	net.Conn
	mu     sync.Mutex // TLS may write by itself, for example its farewell
	gather bool
	buf    []byte
}

func (c *bulkConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gather {
		return c.Conn.Write(p)
	}
	if len(c.buf)+len(p) > bulkSize {
		if err := c.send(); err != nil {
			return 0, err
		}
	}
	c.buf = append(c.buf, p...)
	return len(p), nil
}

func (c *bulkConn) send() error {
	if len(c.buf) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}

// bulk begins or ends the gathering, and sends what is gathered.
func (c *bulkConn) bulk(gather bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.buf == nil {
		c.buf = make([]byte, 0, bulkSize)
	}
	c.gather = gather
	return c.send()
}

type bulkKey struct{}

// withBulk lets a request find its connection; it is a http.Server's ConnContext.
func withBulk(ctx context.Context, c net.Conn) context.Context {
	if wrapped, ok := c.(*tls.Conn); ok {
		c = wrapped.NetConn()
	}
	return context.WithValue(ctx, bulkKey{}, c)
}

// inBulk begins or ends the gathering of a request's answer, and sends what is
// gathered.
func inBulk(r *http.Request, gather bool) error {
	c, ok := r.Context().Value(bulkKey{}).(*bulkConn)
	if !ok {
		return nil // not of a bulkListener
	}
	return c.bulk(gather)
}

// bulkDial makes connections that are read in large pieces, where TLS would ask for
// 16 KiB at a time. A nil dial is client-go's own.
func bulkDial(
	dial func(ctx context.Context, network, address string) (net.Conn, error),
) func(ctx context.Context, network, address string) (net.Conn, error) {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &bulkReader{Conn: c, in: bufio.NewReaderSize(c, bulkSize)}, nil
	}
}

// bulkReader is a connection that reads ahead what is there.
type bulkReader struct {
	net.Conn
	in *bufio.Reader
}

func (c *bulkReader) Read(p []byte) (int, error) { return c.in.Read(p) }
