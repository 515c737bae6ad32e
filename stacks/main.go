package stacks

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// StartedByEngine tells whether the Pulumi engine started this process as a program.
func StartedByEngine() bool {
	return os.Getenv(pulumi.EnvMonitor) != "" && os.Getenv(pulumi.EnvEngine) != ""
}

// Main runs the program for the engine that started this process, and ends it
// with an exit code that the engine understands.
func Main() {
	var values map[string]string
	pulumi.Run(func(ctx *pulumi.Context) error {
		return run(ctx, values)
	}, func(info *pulumi.RunInfo) { values = info.Config })
}

// Run is the program as an inline program: it reads the stack's configuration and
// deploys it. Unlike Main it cannot see keys that it does not know; our own
// commands look for those before they start the engine.
func Run(ctx *pulumi.Context) error {
	values := map[string]string{}
	for _, key := range configKeys() {
		if value, given := ctx.GetConfig(key); given {
			values[key] = value
		}
	}
	return run(ctx, values)
}

// Program is an inline program for a configuration at hand.
func Program(cfg *Config) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error { return deploy(ctx, cfg) }
}

func run(ctx *pulumi.Context, values map[string]string) error {
	cfg, err := config.FromEngine(ctx.Stack(), values)
	if err != nil {
		return err
	}
	return deploy(ctx, cfg)
}

// deploy validates everything before it creates anything.
func deploy(ctx *pulumi.Context, cfg *Config) error {
	files := cfg.ResolveFiles(projectFolder(ctx))
	cfg.Complete()
	if err := config.Join(files, cfg.Validate()); err != nil {
		return err
	}
	return build(ctx, cfg)
}

// projectFolder is where files named in the configuration are looked for. An
// inline program has none: its caller resolves files before.
func projectFolder(ctx *pulumi.Context) string {
	if root := ctx.RootDirectory(); root != "" {
		return filepath.Clean(root)
	}
	return "."
}

// configKeys are all keys that a stack's configuration may hold.
func configKeys() []string {
	keys := []string{"gcp:project", "gcp:region", "gcp:zone"}
	t := reflect.TypeFor[config.Config]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			keys = append(keys, config.Namespace+":"+name)
		}
	}
	return keys
}
