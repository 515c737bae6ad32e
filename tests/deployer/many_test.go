package deployer

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/stacks"
)

// TestManyStacksAtOnce deploys environments of one backend side by side in this
// process: 3, and with SOAK set 20.
func TestManyStacksAtOnce(t *testing.T) {
	t.Parallel()
	count := 3
	if soak() {
		count = 20
	}
	backend, home := "file://"+t.TempDir(), t.TempDir()
	var group sync.WaitGroup
	errs := make([]error, count)
	for i := range count {
		p := newPlace(t, "dev")
		d := p.deployer(t, func(o *stacks.Options) {
			o.Stack, o.Backend, o.Home = fmt.Sprintf("dev-%d", i), backend, home
		})
		group.Go(func() {
			up, err := d.Up(t.Context(), stacks.UpOptions{})
			if err == nil && len(diskIDs(p)) != 1 {
				err = fmt.Errorf("%d disks in a cloud of its own, %v", len(diskIDs(p)), up)
			}
			errs[i] = err
		})
	}
	group.Wait()
	for i, err := range errs {
		require.NoError(t, err, "stack %d", i)
	}
}

// TestAServiceRunsForLong runs many operations in one process and looks whether
// it grows.
func TestAServiceRunsForLong(t *testing.T) { //nolint:paralleltest // it counts what the process has
	if !soak() {
		t.Skip("takes minutes; run it with make soak")
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	p := newPlace(t, "dev")
	p.options.Events = func(stacks.Event) {}
	p.options.Log = nil
	run := func(i int) {
		d, err := stacks.New(t.Context(), func() stacks.Options {
			o := p.options
			o.PolicyPack, o.Program = "", program(func(bool) pulumi.Map { return p.disk("pd-ssd") })
			return o
		}())
		require.NoError(t, err)
		if i%2 == 0 {
			_, err = d.Preview(t.Context(), stacks.PreviewOptions{})
		} else {
			_, err = d.Up(t.Context(), stacks.UpOptions{})
		}
		require.NoError(t, err)
		require.NoError(t, d.Close())
	}
	measure := func() (goroutines int, heap uint64) {
		p.cloud.ResetCalls()
		for range 3 {
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	for i := range 20 {
		run(i)
	}
	goroutines, heap := measure()
	for i := range 200 {
		run(i)
	}
	laterGoroutines, laterHeap := measure()
	t.Logf("goroutines %d → %d, heap %d → %d KiB", goroutines, laterGoroutines, heap>>10, laterHeap>>10)
	require.LessOrEqual(t, float64(laterGoroutines), 1.05*float64(goroutines))
	require.LessOrEqual(t, float64(laterHeap), 1.05*float64(heap))
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	for _, entry := range left {
		require.NotRegexp(t, `^deepgram-stack-\d+$`, entry.Name(), "a folder was left")
	}
}
