package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/blang/semver"
)

// MinVersion is the oldest Pulumi CLI that will do: since 3.255 a policy pack
// may be given as a compiled file.
var MinVersion = semver.MustParse("3.255.0")

// PathVariable names the environment variable that says which Pulumi CLI to use.
const PathVariable = "PULUMI"

// Find returns the Pulumi CLI to use: the file named by path, else the one named
// by the variable PULUMI, else "pulumi" beside this program, else "pulumi" on
// PATH. The error says where it looked and what to do, also where the CLI is too
// old.
func Find(ctx context.Context, path string) (*Command, error) {
	file, err := locate(path)
	if err != nil {
		return nil, err
	}
	ask := exec.CommandContext(ctx, file, "version")
	ask.Env = append(os.Environ(), "PULUMI_SKIP_UPDATE_CHECK=true")
	text, err := ask.Output()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("the Pulumi CLI %s cannot be used: asking for its version: %w", file, err)
	}
	version, err := semver.ParseTolerant(strings.TrimSpace(string(text)))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the Pulumi CLI %s cannot be used: it says that its version is %q (%s or newer is needed)",
			file, strings.TrimSpace(string(text)), MinVersion)
	case version.LT(MinVersion) || version.Major != MinVersion.Major:
		return nil, fmt.Errorf("the Pulumi CLI %s cannot be used: it is version %s (%s or newer is needed, and not another major)",
			file, version, MinVersion)
	}
	return &Command{file: file, version: version}, nil
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
