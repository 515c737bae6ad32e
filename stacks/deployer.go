package stacks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/engine"
)

// DefaultProject is the name of the Pulumi project where none is given.
const DefaultProject = "deepgram-stack"

// Options say which environment a Deployer works on, and with what.
type Options struct {
	// Stack is the environment's name, for Pulumi Cloud also "organisation/name".
	// Default: Config.Stack.
	Stack string
	// Project is the name of the Pulumi project. Default: that of Dir, else
	// DefaultProject.
	Project string

	// Config is the environment's configuration; no file is needed then. The
	// Deployer takes a copy.
	Config *Config
	// Dir is a folder with a Pulumi project and Pulumi.<stack>.yaml, from which the
	// configuration is read when Config is nil. Files that the configuration names
	// are relative to it.
	Dir string
	// ConfigFile is read instead of Pulumi.<stack>.yaml; only with Dir.
	ConfigFile string
	// Sets change single keys, as "path=value" with a YAML value; only with Dir. No
	// file is changed.
	Sets []string

	// Backend is where the state is kept: file://…, gs://…, s3://…, azblob://… or the
	// address of Pulumi Cloud. Default: where the CLI is logged in.
	Backend string
	// SecretsProvider encrypts secrets in the state of a new stack: "passphrase",
	// gcpkms://…, awskms://…, or "default", which is the backend's own.
	SecretsProvider string
	// Passphrase is that of the secrets provider "passphrase". Default: the variable
	// PULUMI_CONFIG_PASSPHRASE.
	Passphrase Secret

	// Pulumi is the path of the Pulumi CLI. Default: $PULUMI, else beside this
	// program, else on PATH.
	Pulumi string
	// PolicyPack is the path of the policies to enforce, a compiled file or a folder.
	// Empty enforces none but those that judge a plan.
	PolicyPack string
	// Home is Pulumi's own folder, with plugins and credentials. Default: ~/.pulumi.
	Home string
	// Env are further variables for the CLI and its providers.
	Env map[string]string
	// SecretEnv are further variables that nobody may see, such as credentials.
	SecretEnv map[string]Secret
	// Providers attach running providers instead of starting plugins, as
	// "name:port,name:port". This is for tests.
	Providers string

	// Program is a program of your own, which gets Config all the same. Default:
	// the program of this package.
	Program pulumi.RunFunc
	// Events is called for everything that happens, one call at a time for each
	// operation. What takes long in it holds the operation up. It may be nil.
	Events func(Event)
	// Observe is called with the record of each operation of the engine as it
	// begins, and what it returns when it has ended. It may be nil.
	Observe func(*Operation) func(line string)
	// Log receives what is worth keeping: beginnings, ends, warnings. It may be nil.
	Log *slog.Logger
	// Grace is how long a cancelled operation may take to end what it has begun,
	// before it is abandoned as after a second Cancel. 0 means no limit.
	Grace time.Duration
}

// Deployer deploys one environment. It may be used by several goroutines: of the
// operations that change something, one runs at a time for each stack of a
// backend in a process, and the others get a *ConflictError. Make one for each
// environment, as many as there are.
//
// Nothing that a Deployer returns, logs or sends as an event holds a secret in
// plain text; secret outputs are of type Secret.
type Deployer struct {
	o       Options
	command *engine.Command
	// work is the folder of the Pulumi project.
	work string
	// scratch holds what may not outlive the Deployer.
	scratch string

	opening sync.Mutex
	stack   *auto.Stack

	mutex   sync.Mutex
	cfg     *Config
	redact  func(string) string
	running map[*operation]struct{}
	closed  bool
}

// New checks what is given and finds the Pulumi CLI. It creates nothing and asks
// no backend. The errors are a *ConfigError for a configuration with mistakes,
// and plain ones for wrong options and a CLI that is missing or too old. Close
// the Deployer when it is no longer needed.
func New(ctx context.Context, o Options) (_ *Deployer, err error) {
	if StartedByEngine() {
		return nil, errors.New("deployer: this process was started by the Pulumi engine as a program; " +
			"a program that deploys itself would never end")
	}
	d := &Deployer{o: o, running: map[*operation]struct{}{}}
	d.redact = d.redactor(nil)
	if err := d.checkOptions(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = d.Close()
		}
	}()
	if o.Config != nil {
		cfg := o.Config.Clone()
		cfg.Stack = d.stackName()
		if err := d.useConfig(cfg); err != nil {
			return nil, err
		}
	} else if err := d.checkFiles(); err != nil {
		return nil, err
	}
	if d.command, err = engine.Find(ctx, o.Pulumi); err != nil {
		return nil, fmt.Errorf("deployer: %w", err)
	}
	if d.scratch, err = os.MkdirTemp("", "deepgram-stack-"); err != nil {
		return nil, fmt.Errorf("deployer: %w", err)
	}
	d.work = o.Dir
	if o.Config != nil {
		d.work = filepath.Join(d.scratch, "project")
		if err := d.writeProject(); err != nil {
			return nil, fmt.Errorf("deployer: writing the project: %w", err)
		}
	}
	return d, nil
}

func (d *Deployer) checkOptions() error {
	var errs []error
	o := &d.o
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Stack == "" && o.Config != nil {
		o.Stack = o.Config.Stack
	}
	if o.Stack == "" {
		wrong("no Stack: name the environment, such as prod")
	}
	switch {
	case o.Config == nil && o.Dir == "":
		wrong("neither Config nor Dir: give a configuration, or a folder with Pulumi.<stack>.yaml")
	case o.Config != nil && (o.ConfigFile != "" || len(o.Sets) > 0):
		wrong("ConfigFile and Sets are for configurations from files, and Config is given")
	}
	if p := o.SecretsProvider; p != "" && p != "passphrase" && p != "default" && !strings.Contains(p, "://") {
		wrong("SecretsProvider %q is not known; allowed: passphrase, default, or a key's address such as gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K", p)
	}
	if b := o.Backend; b != "" && !strings.Contains(b, "://") {
		wrong("Backend %q is no address; allowed: file://…, gs://…, s3://…, https://api.pulumi.com", b)
	}
	if o.PolicyPack != "" {
		path, err := filepath.Abs(o.PolicyPack)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			wrong("PolicyPack: %w", err)
		}
		o.PolicyPack = path
	}
	if o.Dir != "" {
		path, err := filepath.Abs(o.Dir)
		if err != nil {
			wrong("Dir: %w", err)
		}
		o.Dir = path
	}
	if o.Project == "" {
		o.Project = DefaultProject
	}
	return optionsError(errs)
}

// stackName is the stack's name without organisation and project.
func (d *Deployer) stackName() string {
	return d.o.Stack[strings.LastIndex(d.o.Stack, "/")+1:]
}

// useConfig resolves files, validates, and makes cfg the configuration.
func (d *Deployer) useConfig(cfg *Config) error {
	files := cfg.ResolveFiles(d.o.Dir)
	cfg.Complete()
	problems := config.Join(files, cfg.Validate())
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.cfg, d.redact = cfg, d.redactor(cfg)
	return problems
}

// redactor hides every secret that the Deployer knows.
func (d *Deployer) redactor(cfg *Config) func(string) string {
	var known []string
	if cfg != nil {
		known = engine.Revealed(cfg)
	}
	for _, value := range d.o.SecretEnv {
		known = append(known, value.Reveal())
	}
	return engine.Redactor(append(known, d.o.Passphrase.Reveal()))
}

func (d *Deployer) hide(text string) string {
	d.mutex.Lock()
	redact := d.redact
	d.mutex.Unlock()
	return redact(text)
}

// Config is a copy of the configuration that is deployed; nil as long as it was
// not read from its files.
func (d *Deployer) Config() *Config {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.cfg == nil {
		return nil
	}
	return d.cfg.Clone()
}

// Project is the name of the Pulumi project.
func (d *Deployer) Project() string { return d.o.Project }

// CLIVersion is the version of the Pulumi CLI in use.
func (d *Deployer) CLIVersion() string { return d.command.Version().String() }

// Close cancels what is running, as Cancel does twice, and removes what the
// Deployer wrote for itself. The state stays where it is.
func (d *Deployer) Close() error {
	d.mutex.Lock()
	d.closed = true
	d.mutex.Unlock()
	d.Cancel()
	d.Cancel()
	d.waitForAll()
	if d.scratch == "" {
		return nil
	}
	return os.RemoveAll(d.scratch)
}

// String names the environment and shows nothing else.
func (d *Deployer) String() string { return "deployer of stack " + d.o.Stack }

// Format shows no more than String, whatever the verb.
func (d *Deployer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(d.String())) }
