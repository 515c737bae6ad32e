package stacks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/engine"
)

// access is how an operation enters a stack.
type access struct {
	// create makes the stack where it is missing.
	create bool
	// lenient takes a configuration with mistakes, for what needs none.
	lenient bool
	// alone lets nobody else of this process change the stack meanwhile.
	alone bool
}

var (
	toRead    = access{lenient: true}
	toChange  = access{lenient: true, alone: true}
	toPreview = access{create: true}
	toDeploy  = access{create: true, alone: true}
)

// enter begins an operation on the open stack, which ends with leave.
func (d *Deployer) enter(ctx context.Context, a access) (_ context.Context, _ *auto.Stack, leave func(), err error) {
	ctx, leave, err = d.begin(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	if a.alone {
		release, err := d.alone()
		if err != nil {
			leave()
			return nil, nil, nil, err
		}
		end := leave
		leave = func() { release(); end() }
	}
	stack, err := d.open(ctx, a.create, a.lenient)
	if err != nil {
		leave()
		return nil, nil, nil, err
	}
	return ctx, stack, leave, nil
}

// open selects the stack, makes it where create says so and it is missing, and
// reads the configuration from its files. It does so once.
func (d *Deployer) open(ctx context.Context, create, lenient bool) (*auto.Stack, error) {
	d.opening.Lock()
	defer d.opening.Unlock()
	if d.stack == nil {
		stack, err := d.selectStack(ctx, create)
		if err != nil {
			return nil, err
		}
		d.stack = stack
	}
	if d.Config() == nil {
		if err := d.readConfig(ctx); err != nil {
			// Its secrets stay hidden, but it is not to be deployed.
			d.mutex.Lock()
			d.cfg = nil
			d.mutex.Unlock()
			var bad *ConfigError
			if !lenient || !errors.As(err, &bad) {
				return nil, err
			}
		}
	}
	return d.stack, nil
}

func (d *Deployer) selectStack(ctx context.Context, create bool) (*auto.Stack, error) {
	options := []auto.LocalWorkspaceOption{
		auto.WorkDir(d.work), auto.Pulumi(d.command), auto.EnvVars(d.environment()), auto.Program(d.program),
	}
	if d.o.Home != "" {
		options = append(options, auto.PulumiHome(d.o.Home))
	}
	if d.o.SecretsProvider != "" {
		options = append(options, auto.SecretsProvider(d.o.SecretsProvider))
	}
	workspace, err := auto.NewLocalWorkspace(ctx, options...)
	if err != nil {
		return nil, d.explain(ctx, "opening the workspace", err)
	}
	stack, err := auto.SelectStack(ctx, d.o.Stack, workspace)
	switch {
	case err == nil:
		return &stack, nil
	case !auto.IsSelectStack404Error(err):
		return nil, d.explain(ctx, "opening stack "+d.o.Stack, err)
	case !create:
		return nil, fmt.Errorf("opening stack %s: %w in %s; `deepgram-stack up` or `pulumi stack init` makes it",
			d.o.Stack, ErrNoStack, d.backendName())
	}
	stack, err = auto.NewStack(ctx, d.o.Stack, workspace)
	if err != nil && !auto.IsCreateStack409Error(err) { // somebody was quicker
		return nil, d.explain(ctx, "creating stack "+d.o.Stack, err)
	}
	if err != nil {
		stack, err = auto.SelectStack(ctx, d.o.Stack, workspace)
		if err != nil {
			return nil, d.explain(ctx, "opening stack "+d.o.Stack, err)
		}
	}
	return &stack, nil
}

func (d *Deployer) backendName() string {
	if d.o.Backend != "" {
		return d.o.Backend
	}
	return "the backend that the Pulumi CLI is logged in to"
}

// explain makes an error of what a plain command of the CLI said: its last lines,
// without secrets.
func (d *Deployer) explain(ctx context.Context, step string, cause error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: interrupted: %w", step, ctx.Err())
	}
	return fmt.Errorf("%s: %s", step, d.hide(engine.Said(cause)))
}

// environment are the variables of the CLI and its plugins, beside those of this
// process.
func (d *Deployer) environment() map[string]string {
	env := map[string]string{
		"PULUMI_SKIP_UPDATE_CHECK":                    "true",
		"PULUMI_SELF_MANAGED_STATE_NO_LEGACY_WARNING": "true",
		// A stack that somebody selected is not the one that is meant.
		"PULUMI_STACK": "",
	}
	for name, value := range d.o.Env {
		env[name] = value
	}
	for name, value := range d.o.SecretEnv {
		env[name] = value.Reveal()
	}
	if d.o.Backend != "" {
		env["PULUMI_BACKEND_URL"] = d.o.Backend
	}
	if !d.o.Passphrase.IsZero() {
		env["PULUMI_CONFIG_PASSPHRASE"], env["PULUMI_CONFIG_PASSPHRASE_FILE"] = d.o.Passphrase.Reveal(), ""
	}
	if d.o.Providers != "" {
		env["PULUMI_DEBUG_PROVIDERS"] = d.o.Providers
		env["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
	}
	return env
}

// program deploys the configuration at hand. It is never nil: without one the CLI
// would start the program of the project, which may be this very process's.
func (d *Deployer) program(ctx *pulumi.Context) error {
	if d.o.Program != nil {
		return d.o.Program(ctx)
	}
	d.mutex.Lock()
	cfg := d.cfg
	d.mutex.Unlock()
	if cfg == nil {
		return errors.New("there is no configuration to deploy")
	}
	return (&builder{ctx: ctx, cfg: cfg, now: time.Now, deployed: true}).build()
}

// writeProject makes a project of a configuration at hand. Secrets are not in it:
// the program has them. Policies read the rest from the stack's configuration.
func (d *Deployer) writeProject() error {
	if err := os.Mkdir(d.work, 0o700); err != nil {
		return err
	}
	tree, err := d.cfg.Tree(func(string, config.Secret) (any, error) { return nil, nil })
	if err != nil {
		return err
	}
	settings := map[string]any{"config": map[string]any(tree)}
	if p := d.o.SecretsProvider; p != "" && p != "default" && p != "passphrase" {
		settings["secretsprovider"] = p
	}
	for name, content := range map[string]any{
		"Pulumi.yaml":                       map[string]any{"name": d.o.Project, "runtime": "go"},
		"Pulumi." + d.stackName() + ".yaml": settings,
	} {
		text, err := yaml.Marshal(content)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(d.work, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// stackFile is where the configuration is read from.
func (d *Deployer) stackFile() string {
	if d.o.ConfigFile != "" {
		return d.o.ConfigFile
	}
	return filepath.Join(d.o.Dir, "Pulumi."+d.stackName()+".yaml")
}

// checkFiles looks at the files of the configuration before anything is started:
// secrets may be encrypted, everything else must be right. It cannot do so where
// the project file has configuration, too, which the CLI merges.
func (d *Deployer) checkFiles() error {
	text, err := os.ReadFile(filepath.Join(d.o.Dir, "Pulumi.yaml"))
	if err != nil {
		return optionsError([]error{fmt.Errorf("the folder Dir has no Pulumi project: %w", err)})
	}
	var project struct {
		Name   string         `json:"name"`
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal(text, &project); err != nil {
		return optionsError([]error{fmt.Errorf("reading Pulumi.yaml: %w", err)})
	}
	if project.Name != "" {
		d.o.Project = project.Name
	}
	tree, err := config.LoadTree(d.stackFile())
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) || d.o.ConfigFile != "" {
			return optionsError([]error{err})
		}
		tree = config.Tree{}
	}
	if err := setAll(tree, d.o.Sets); err != nil {
		return err
	}
	if len(project.Config) > 0 {
		return nil
	}
	_, err = config.FromTree(d.stackName(), tree, config.AllowMissingSecrets())
	return err
}

func setAll(tree config.Tree, sets []string) error {
	var errs []error
	for _, set := range sets {
		path, value, found := strings.Cut(set, "=")
		if !found {
			errs = append(errs, fmt.Errorf("set %q has no =; write it as path=value, such as pools.engine.maxNodes=12", set))
			continue
		}
		if err := tree.Set(path, value); err != nil {
			errs = append(errs, fmt.Errorf("set %s: %w", path, err))
		}
	}
	return optionsError(errs)
}

// configFile is the file to be given to the CLI: empty for the stack's own, else
// a copy with what Sets change, which keeps secrets encrypted as they are.
func (d *Deployer) configFile() (string, error) {
	if d.o.Config != nil || d.o.ConfigFile == "" && len(d.o.Sets) == 0 {
		return "", nil
	}
	settings := map[string]any{}
	for _, file := range []string{filepath.Join(d.o.Dir, "Pulumi."+d.stackName()+".yaml"), d.o.ConfigFile} {
		text, err := os.ReadFile(file)
		if file == "" || errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		var layer map[string]any
		if err := yaml.Unmarshal(text, &layer); err != nil {
			return "", fmt.Errorf("reading %s: %w", file, err)
		}
		// What encrypts the secrets belongs to the stack, the rest to the file.
		delete(settings, "config")
		for key, value := range layer {
			settings[key] = value
		}
	}
	tree, _ := settings["config"].(map[string]any)
	if tree == nil {
		tree = map[string]any{}
	}
	if err := setAll(tree, d.o.Sets); err != nil {
		return "", err
	}
	settings["config"] = tree
	text, err := yaml.Marshal(settings)
	if err != nil {
		return "", err
	}
	file := filepath.Join(d.scratch, "Pulumi."+d.stackName()+".yaml")
	return file, os.WriteFile(file, text, 0o600)
}

// readConfig asks the CLI for the configuration, which decrypts it.
func (d *Deployer) readConfig(ctx context.Context) error {
	file, err := d.configFile()
	if err != nil {
		return fmt.Errorf("preparing the configuration: %w", err)
	}
	all, err := d.stack.GetAllConfigWithOptions(ctx, &auto.GetAllConfigOptions{ConfigFile: file, ShowSecrets: true})
	if err != nil {
		return d.explain(ctx, "reading the configuration", err)
	}
	values := make(map[string]string, len(all))
	for key, value := range all {
		values[key] = value.Value
	}
	cfg, mistakes := config.FromEngine(d.stackName(), values)
	// From here on its secrets are hidden, whatever is wrong with it.
	problems := d.useConfig(cfg)
	if mistakes != nil {
		return mistakes // the same, and what could not be read
	}
	return problems
}
