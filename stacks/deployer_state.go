package stacks

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// Export is the stack's state as the backend holds it, with secrets encrypted: a
// copy to keep before something is tried.
func (d *Deployer) Export(ctx context.Context) ([]byte, error) {
	ctx, _, leave, err := d.enter(ctx, toRead)
	if err != nil {
		return nil, err
	}
	defer leave()
	text, err := d.cli(ctx, "reading the state", "stack", "export")
	return []byte(text), err
}

// Unlock removes the backend's lock of the stack. It asks nobody: do it only where
// the process that made the lock is dead, as it is after a hard Cancel.
func (d *Deployer) Unlock(ctx context.Context) error {
	ctx, _, leave, err := d.enter(ctx, toRead)
	if err != nil {
		return err
	}
	defer leave()
	_, err = d.cli(ctx, "unlocking stack "+d.o.Stack, "cancel", "--yes")
	return err
}

// cli runs a plain command of the CLI on the stack. The Automation API has most of
// them, too, but exports and imports a state with its secrets in plain text.
func (d *Deployer) cli(ctx context.Context, step string, args ...string) (stdout string, err error) {
	env := make([]string, 0, 16)
	for name, value := range d.environment() {
		env = append(env, name+"="+value)
	}
	if d.o.Home != "" {
		env = append(env, "PULUMI_HOME="+d.o.Home)
	}
	stdout, stderr, _, err := d.command.Run(ctx, d.work, nil, nil, nil, env, append(args, "--stack", d.o.Stack)...)
	if err != nil {
		return "", d.explain(ctx, step, fmt.Errorf("%w\nstderr: %s", err, stderr))
	}
	return stdout, nil
}

// state is the stack's state, with secrets encrypted.
func (d *Deployer) state(ctx context.Context) (*apitype.DeploymentV3, error) {
	_, state, err := d.stateFile(ctx)
	return state, err
}

func (d *Deployer) stateFile(ctx context.Context) (file apitype.UntypedDeployment, state *apitype.DeploymentV3, err error) {
	text, err := d.cli(ctx, "reading the state", "stack", "export")
	if err != nil {
		return file, nil, err
	}
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return file, nil, fmt.Errorf("reading the state: %w", err)
	}
	state = &apitype.DeploymentV3{}
	if len(file.Deployment) == 0 {
		return file, state, nil
	}
	if err := json.Unmarshal(file.Deployment, state); err != nil {
		return file, nil, fmt.Errorf("reading the state: %w", err)
	}
	return file, state, nil
}

// changeState reads the state, lets change work on it, and writes it back where
// change says that it did something.
func (d *Deployer) changeState(ctx context.Context, change func(*apitype.DeploymentV3) bool) error {
	file, state, err := d.stateFile(ctx)
	if err != nil || !change(state) {
		return err
	}
	if file.Deployment, err = json.Marshal(state); err != nil {
		return err
	}
	text, err := json.Marshal(file)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp(d.scratch, "state-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "state.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	_, err = d.cli(ctx, "writing the state", "stack", "import", "--file", path)
	return err
}
