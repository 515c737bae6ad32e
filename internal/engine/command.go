package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
)

// MinVersion is the oldest Pulumi CLI that will do: since 3.255 a policy pack
// may be given as a compiled file.
var MinVersion = semver.MustParse("3.255.0")

// PathVariable names the environment variable that says which Pulumi CLI to use.
const PathVariable = "PULUMI"

// Find returns the Pulumi CLI to use: the file named by path, else the one named
// by the variable PULUMI, else "pulumi" beside this program, else "pulumi" on
// PATH. The error says where it looked and what to do. Call release when no
// operation will use the command any more.
func Find(ctx context.Context, path string) (command auto.PulumiCommand, release func(), err error) {
	file, err := locate(path)
	if err != nil {
		return nil, nil, err
	}
	root, release, err := commandRoot(file)
	if err != nil {
		return nil, nil, fmt.Errorf("using the Pulumi CLI %s: %w", file, err)
	}
	command, err = auto.NewPulumiCommand(&auto.PulumiCommandOptions{Root: root, Version: MinVersion})
	if err != nil {
		release()
		return nil, nil, fmt.Errorf("the Pulumi CLI %s cannot be used (%s or newer is needed): %w", file, MinVersion, err)
	}
	return command, release, ctx.Err()
}

func locate(path string) (string, error) {
	for _, asked := range []string{path, os.Getenv(PathVariable)} {
		if asked == "" {
			continue
		}
		file, err := exec.LookPath(asked)
		if err != nil {
			return "", fmt.Errorf("the Pulumi CLI %q, asked for by --pulumi or the variable %s: %w", asked, PathVariable, err)
		}
		return filepath.Abs(file)
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "pulumi")
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return beside, nil
		}
	}
	file, err := exec.LookPath("pulumi")
	if err != nil {
		return "", errors.New("no Pulumi CLI found: there is none beside this program, none on PATH, " +
			"and the variable PULUMI is not set; run `make build`, or set PULUMI to the path of one")
	}
	return filepath.Abs(file)
}

// commandRoot is a folder with bin/pulumi in it, which is the only form in which
// the Automation API takes the path of a CLI.
func commandRoot(file string) (root string, release func(), err error) {
	if filepath.Base(file) == "pulumi" && filepath.Base(filepath.Dir(file)) == "bin" {
		return filepath.Dir(filepath.Dir(file)), func() {}, nil
	}
	root, err = os.MkdirTemp("", "deepgram-stack-pulumi-")
	if err != nil {
		return "", nil, err
	}
	release = func() { _ = os.RemoveAll(root) }
	if err := os.Mkdir(filepath.Join(root, "bin"), 0o700); err != nil {
		release()
		return "", nil, err
	}
	if err := os.Symlink(file, filepath.Join(root, "bin", "pulumi")); err != nil {
		release()
		return "", nil, err
	}
	return root, release, nil
}
