package stacks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"github.com/deepgram-gke/deepgram-gke/internal/engine"
)

// RecoverOptions change a recovery.
type RecoverOptions struct {
	// Export is the file that the state is copied to before anything is done, with
	// mode 0600; it must not exist. Secrets in it stay encrypted. Default:
	// <stack>-before-recover-<time>.json in the current folder.
	Export string
	// Force removes a lock although nobody can tell that its process is dead.
	Force bool
}

// Outcomes of a pending operation.
const (
	// Adopted is what was made, as the cloud says, and is in the state now.
	Adopted = "adopted"
	// Dropped is what was not made; the next Up makes it.
	Dropped = "dropped"
	// Repeated is what the next Up does again, which changes nothing where it was
	// done.
	Repeated = "repeated"
	// Refreshed is what the state now has as the cloud has it.
	Refreshed = "refreshed"
	// Gone is what the cloud does not have any more.
	Gone = "gone"
	// Unknown is what nobody can look for: it has no id before it is made.
	Unknown = "unknown"
)

// Resolved is what became of one pending operation.
type Resolved struct {
	PendingOperation
	// ID is that of the thing in the cloud; empty where it cannot be known.
	ID string `json:"id,omitempty"`
	// Outcome is adopted, dropped, repeated, refreshed, gone or unknown.
	Outcome string `json:"outcome"`
	// Note says what follows from it.
	Note string `json:"note,omitempty"`
}

// Lock is a lock that was in the way.
type Lock struct {
	// Holder is who took it.
	Holder string `json:"holder"`
	// Removed tells that it is gone; Why says why, or why not.
	Removed bool   `json:"removed"`
	Why     string `json:"why"`
}

// Recovery is what Recover found and did.
type Recovery struct {
	Stack string `json:"stack"`
	// Export is the file with the state as it was.
	Export     string     `json:"export"`
	Locks      []Lock     `json:"locks"`
	Operations []Resolved `json:"operations"`
	// Releases are Helm releases that were in the middle of something.
	Releases []ReleaseRepair `json:"releases"`
}

// LockError says that the stack is locked by somebody who may be at work.
type LockError struct {
	Stack string
	Locks []Lock
}

// Error says whose each lock is and how to go on.
func (e *LockError) Error() string {
	text := fmt.Sprintf("stack %s is locked, and nothing but a copy of its state was made:", e.Stack)
	for _, l := range e.Locks {
		text += "\n  " + l.Holder + ": " + l.Why
	}
	return text + "\nwait for it; where you know that it is dead, give --force"
}

// Recover brings a stack whose update was killed back to where Up can go on. It
// copies the state to a file first, removes our own lock where its process is
// dead, frees Helm releases that are stuck, and finds out of each operation that
// nobody saw the end of what became of it: what exists is adopted, what does not is
// dropped. It creates, changes and deletes nothing else in the cloud. It may be
// killed and called again at any point.
//
// The Recovery is there with an error, too. Errors: *LockError, ErrNoStack,
// *OperationError, the context's.
func (d *Deployer) Recover(ctx context.Context, o RecoverOptions) (*Recovery, error) {
	done := &Recovery{Stack: d.o.Stack, Locks: []Lock{}, Operations: []Resolved{}, Releases: []ReleaseRepair{}}
	ctx, end, err := d.begin(ctx)
	if err != nil {
		return done, err
	}
	defer end()
	release, err := d.alone()
	if err != nil {
		return done, err
	}
	defer release()
	for _, file := range d.mendFiles(ctx) {
		d.log(slog.LevelWarn, "removed attributes that were cut off", "file", file)
	}
	stack, err := d.open(ctx, false, true)
	if err != nil {
		return done, err
	}
	r := &recovery{d: d, stack: stack, done: done, force: o.Force}
	d.log(slog.LevelInfo, "recover begins")
	err = r.run(ctx, o.Export)
	d.log(slog.LevelInfo, "recover ended", "operations", len(done.Operations), "locks", len(done.Locks))
	return done, err
}

// recovery is a Recover under way.
type recovery struct {
	d     *Deployer
	stack *auto.Stack
	done  *Recovery
	force bool
}

func (r *recovery) run(ctx context.Context, file string) error {
	exported, state, err := r.export(ctx)
	if err != nil {
		return err
	}
	if r.done.Export, err = saveExport(file, r.d.stackName(), exported); err != nil {
		return err
	}
	settled, err := r.settle(ctx, exported, state)
	if settled == nil || err != nil {
		return err
	}
	r.releases(ctx, state)
	if targets := settled.targets(); len(targets) > 0 {
		if err := r.refresh(ctx, targets); err != nil {
			return fmt.Errorf("asking the cloud what became of it (nothing is lost, run recover again): %w", err)
		}
	}
	if exported, state, err = r.export(ctx); err != nil {
		return err
	}
	r.done.Operations = settled.conclude(state)
	return r.write(ctx, exported, state)
}

// settle enters into the state what is presumed of pending operations; nil where
// there are none. Whoever does so needs the lock, and learns who has it: without
// anything to enter, the smallest operation that asks for it refreshes the stack's
// own entry, which asks no cloud. (Where operations are pending a refresh would
// forget some of them.)
func (r *recovery) settle(ctx context.Context, exported apitype.UntypedDeployment, state *apitype.DeploymentV3) (*settlement, error) {
	for unlocked := false; ; unlocked = true {
		var settled *settlement
		var err error
		if len(state.PendingOperations) > 0 {
			settled = settle(state)
			err = r.write(ctx, exported, state)
		} else if !unlocked {
			err = r.refresh(ctx, root(state))
		}
		var conflict *ConflictError
		if unlocked || !errors.As(err, &conflict) {
			return settled, err
		}
		if err := r.unlock(ctx, conflict); err != nil {
			return nil, err
		}
		// The lock's owner may have written until it died.
		fresh, now, err := r.export(ctx)
		if err != nil {
			return nil, err
		}
		exported, *state = fresh, *now
	}
}

// export is the state as the backend holds it, with its secrets encrypted.
func (r *recovery) export(ctx context.Context) (apitype.UntypedDeployment, *apitype.DeploymentV3, error) {
	var exported apitype.UntypedDeployment
	text, err := r.d.cli(ctx, "reading the state", "stack", "export")
	if err != nil {
		return exported, nil, err
	}
	if err := json.Unmarshal([]byte(text), &exported); err != nil {
		return exported, nil, fmt.Errorf("reading the state: %w", err)
	}
	state := &apitype.DeploymentV3{}
	if len(exported.Deployment) > 0 {
		if err := json.Unmarshal(exported.Deployment, state); err != nil {
			return exported, nil, fmt.Errorf("reading the state: %w", err)
		}
	}
	return exported, state, nil
}

func (r *recovery) write(ctx context.Context, exported apitype.UntypedDeployment, state *apitype.DeploymentV3) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	exported.Deployment = text
	if err := r.stack.Import(ctx, exported); err != nil {
		if e := engine.Conflict(r.d.o.Stack, r.d.hide, err); e != nil {
			return e
		}
		return r.d.explain(ctx, "writing the state", err)
	}
	return nil
}

// saveExport keeps the state in a new file that nobody else can read.
func saveExport(file, stack string, exported apitype.UntypedDeployment) (string, error) {
	if file == "" {
		file = fmt.Sprintf("%s-before-recover-%s.json", stack, time.Now().UTC().Format("20060102-150405"))
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(exported, "", "  ")
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("copying the state first: %w; name another file", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("copying the state first: %w", err)
	}
	return file, nil
}

// unlock removes the locks where that is right: all of them, or none.
func (r *recovery) unlock(ctx context.Context, conflict *ConflictError) error {
	locks := make([]Lock, 0, len(conflict.Holders))
	dead := len(conflict.Holders) > 0
	for _, text := range conflict.Holders {
		l := Lock{Holder: text}
		if holder, known := engine.ParseHolder(text); known {
			l.Holder = holder.String()
			l.Removed, l.Why = holder.Dead()
		} else {
			l.Why = "who holds it cannot be told"
		}
		dead = dead && l.Removed
		locks = append(locks, l)
	}
	if len(locks) == 0 {
		locks = append(locks, Lock{Holder: "another update", Why: "the backend does not say whose it is"})
	}
	if !dead && !r.force {
		for i := range locks {
			locks[i].Removed = false // all go, or none
		}
		r.done.Locks = locks
		return &LockError{Stack: r.d.o.Stack, Locks: locks}
	}
	if err := r.stack.Cancel(ctx); err != nil {
		return r.d.explain(ctx, "removing the lock", err)
	}
	for i := range locks {
		if !locks[i].Removed {
			locks[i].Removed, locks[i].Why = true, "removed by force: "+locks[i].Why
		}
	}
	r.done.Locks = locks
	return nil
}

// root is the stack's own entry; empty where nothing was ever deployed.
func root(state *apitype.DeploymentV3) []string {
	for _, resource := range state.Resources {
		if resource.Type == "pulumi:pulumi:Stack" {
			return []string{string(resource.URN)}
		}
	}
	return nil
}

// refresh asks the cloud for what is named; nothing named asks for everything.
func (r *recovery) refresh(ctx context.Context, urns []string) error {
	file, err := r.d.configFile()
	if err != nil {
		return fmt.Errorf("preparing the configuration: %w", err)
	}
	result, err := r.d.run(ctx, "recover", len(urns), func(ctx context.Context, channel chan<- events.EngineEvent) error {
		options := []optrefresh.Option{
			optrefresh.EventStreams(channel), optrefresh.SuppressOutputs(), optrefresh.ShowSecrets(false),
		}
		if file != "" {
			options = append(options, optrefresh.ConfigFile(file))
		}
		if len(urns) > 0 {
			options = append(options, optrefresh.Target(urns))
		}
		_, err := r.stack.Refresh(ctx, options...)
		return err
	})
	r.d.ended(result, err)
	return err
}

// providerOf are the inputs of the provider that a resource is made with.
func providerOf(state *apitype.DeploymentV3, r apitype.ResourceV3) map[string]any {
	urn := r.Provider
	if i := strings.LastIndex(urn, "::"); i >= 0 {
		urn = urn[:i]
	}
	i := slices.IndexFunc(state.Resources, func(p apitype.ResourceV3) bool { return string(p.URN) == urn && !p.Delete })
	if i < 0 {
		return nil
	}
	return state.Resources[i].Inputs
}
