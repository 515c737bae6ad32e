package journal

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sent is a connection that remembers what was written at a time.
type sent struct {
	net.Conn
	pieces []string
}

func (s *sent) Write(p []byte) (int, error) {
	s.pieces = append(s.pieces, string(p))
	return len(p), nil
}

// TestBulk: while an answer is gathered, large pieces go out; a sign of life and the
// end go out at once, and all in order.
func TestBulk(t *testing.T) {
	t.Parallel()
	line := &sent{}
	r := (&http.Request{}).WithContext(withBulk(context.Background(), &bulkConn{Conn: line}))
	c, ok := r.Context().Value(bulkKey{}).(*bulkConn)
	require.True(t, ok)
	write := func(p string) {
		n, err := c.Write([]byte(p))
		require.NoError(t, err)
		require.Len(t, p, n)
	}
	write("shaking hands")
	require.NoError(t, inBulk(r, true))
	write("one ")
	write("two")
	assert.Equal(t, []string{"shaking hands"}, line.pieces)
	require.NoError(t, inBulk(r, true))
	assert.Equal(t, []string{"shaking hands", "one two"}, line.pieces)

	record := string(bytes.Repeat([]byte("x"), 16<<10))
	for range bulkSize/len(record) + 1 {
		write(record)
	}
	require.Len(t, line.pieces, 3)
	assert.Len(t, line.pieces[2], bulkSize)
	require.NoError(t, inBulk(r, false))
	write("farewell")
	assert.Equal(t, []string{record, "farewell"}, line.pieces[3:])
	require.NoError(t, inBulk(r, false), "nothing is left")
	assert.Len(t, line.pieces, 5)

	require.NoError(t, inBulk(&http.Request{}, true), "on another listener nothing is gathered")
}
