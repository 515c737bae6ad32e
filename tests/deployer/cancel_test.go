package deployer

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/standin"
	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// TestCancelIsGracefulFirst cancels in the middle of a create: the provider is
// asked to end, the stack is unlocked, and the next update goes on.
func TestCancelIsGracefulFirst(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "dev")
	d := p.deployer(t, func(o *stacks.Options) { o.PolicyPack = "" })
	other := p.deployer(t)
	var conflict error
	p.cloud.Inject(standin.Fault{Type: diskType, Method: "Create", Mode: standin.Hang, Func: func() {
		_, conflict = other.Up(context.Background(), stacks.UpOptions{})
		d.Cancel()
	}})
	_, err := d.Up(t.Context(), stacks.UpOptions{})
	require.ErrorIs(t, err, context.Canceled)
	var busy *stacks.ConflictError
	require.ErrorAs(t, conflict, &busy, "one update of a stack at a time")
	require.True(t, busy.Here)
	p.hunt(t, err, conflict)

	_, err = d.Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err, "not locked, nothing pending")
	second, err := other.Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err)
	require.Zero(t, second.Changed())
}

// TestCancelIsHardTheSecondTime has a provider that does not listen.
func TestCancelIsHardTheSecondTime(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "dev")
	d := p.deployer(t, func(o *stacks.Options) { o.PolicyPack = "" })
	struck, deaf := make(chan struct{}), make(chan struct{})
	p.cloud.Inject(standin.Fault{Type: diskType, Method: "Create", Mode: standin.Die, Func: func() { close(struck); <-deaf }})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := d.Up(ctx, stacks.UpOptions{})
		ended <- err
	}()
	<-struck
	cancel() // the first time
	d.Cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	close(deaf)

	_, err := d.Up(t.Context(), stacks.UpOptions{})
	var pending *stacks.PendingOperationsError
	require.ErrorAs(t, err, &pending)
	require.Len(t, pending.Operations, 1)
	require.Equal(t, diskType, pending.Operations[0].Type)
	require.ErrorContains(t, err, "deepgram-stack recover --stack dev")

	// Somebody looked: it was never made, and the process that locked is dead.
	require.Empty(t, diskIDs(p))
	require.NoError(t, d.Unlock(t.Context()))
	_, err = d.Refresh(t.Context(), stacks.RefreshOptions{ForgetPending: true})
	require.NoError(t, err)
	_, err = d.Up(t.Context(), stacks.UpOptions{})
	require.NoError(t, err)
	require.Len(t, diskIDs(p), 1)
}

// TestALockOfAnotherProcess finds the backend's lock.
func TestALockOfAnotherProcess(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "dev")
	d := p.deployer(t, func(o *stacks.Options) { o.PolicyPack = "" })
	_, err := d.Preview(t.Context(), stacks.PreviewOptions{})
	require.NoError(t, err)
	folder := filepath.Join(strings.TrimPrefix(p.options.Backend, "file://"), ".pulumi", "locks", "organization", "deepgram-stack", "dev")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	lock := `{"pid": 4711, "username": "somebody", "hostname": "elsewhere", "timestamp": "2026-01-01T00:00:00Z"}`
	require.NoError(t, os.WriteFile(filepath.Join(folder, "0b9b6c1e-1111-4222-8333-444455556666.json"), []byte(lock), 0o600))
	_, err = d.Up(t.Context(), stacks.UpOptions{})
	var conflict *stacks.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.False(t, conflict.Here)
	require.Len(t, conflict.Holders, 1)
	require.Contains(t, conflict.Holders[0], "somebody@elsewhere")
	require.ErrorContains(t, err, "deepgram-stack recover --stack dev")
}
