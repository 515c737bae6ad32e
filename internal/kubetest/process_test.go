package kubetest

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestPortIsKeptForThoseWhoShare(t *testing.T) {
	t.Parallel()
	local := net.IPv4(127, 0, 0, 1)
	p, err := reservePort(local)
	require.NoError(t, err)
	defer p.release()

	address := net.TCPAddr{IP: local, Port: p.number}
	_, err = net.Listen("tcp", address.String())
	require.ErrorIs(t, err, unix.EADDRINUSE)

	sharing := net.ListenConfig{Control: func(_, _ string, socket syscall.RawConn) error {
		return socket.Control(func(fd uintptr) {
			assert.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		})
	}}
	listener, err := sharing.Listen(t.Context(), "tcp", address.String())
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	connection, err := net.Dial("tcp", address.String())
	require.NoError(t, err, "connections go to the one that listens")
	require.NoError(t, connection.Close())
}

func TestProcessTellsItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := spawn(dir, "sh", "/bin/sh", "-c", "echo one; echo two; echo three >&2; exit 1")
	require.NoError(t, err)
	<-p.done
	assert.True(t, p.ended())
	assert.Equal(t, "two\nthree", p.tail(2))
	assert.FileExists(t, filepath.Join(dir, "sh.log"))

	p, err = spawn(dir, "sleep", "/bin/sleep", "1000")
	require.NoError(t, err)
	require.False(t, p.ended())
	p.kill()
	p.kill() // once is enough
	require.True(t, p.ended())

	_, err = spawn(dir, "none", filepath.Join(dir, "none"))
	require.ErrorContains(t, err, "starting none")
}
