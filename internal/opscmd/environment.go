package opscmd

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// environmentFlags choose an environment.
type environmentFlags struct {
	stack, dir, file string
	sets             []string
}

func (f *environmentFlags) addTo(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVarP(&f.stack, "stack", "s", "", "take the environment from Pulumi.`STACK`.yaml")
	fl.StringVar(&f.dir, "config-dir", ".", "look for stack files in `DIR`")
	fl.StringVar(&f.file, "config", "", "read the environment from this `FILE`")
	fl.StringArrayVar(&f.sets, "set", nil, "change one key for this run, as `path=value` with a YAML value; may be repeated")
}

func (f *environmentFlags) given() bool { return f.stack != "" || f.file != "" }

var stackFile = regexp.MustCompile(`^Pulumi\.(.+)\.yaml$`)

// load reads the environment and its certificate files. Nothing is decrypted. What is
// wrong with the text of certificates is left to the checks, which say more.
func (f *environmentFlags) load() (*config.Config, error) {
	stack, file := f.stack, f.file
	switch m := stackFile.FindStringSubmatch(filepath.Base(file)); {
	case file == "":
		file = filepath.Join(f.dir, "Pulumi."+stack+".yaml")
	case stack == "" && m != nil:
		stack = m[1]
	case stack == "":
		return nil, Usagef("--config %s: give --stack too: names come from it, and the file is not called Pulumi.STACK.yaml", file)
	}
	tree, err := config.LoadTree(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, Usagef("there is no file %s: name an environment with --stack, its folder with --config-dir, or a file with --config", file)
	}
	if err != nil {
		return nil, &UsageError{err}
	}
	for _, set := range f.sets {
		path, value, found := strings.Cut(set, "=")
		if !found {
			return nil, Usagef("--set %q: must be path=value", set)
		}
		if err := tree.Set(path, value); err != nil {
			return nil, &UsageError{err}
		}
	}
	c, wrong := config.FromTree(stack, tree, config.AllowMissingSecrets())
	files := c.ResolveFiles(filepath.Dir(file))
	if err := withoutCertificates(config.Join(wrong, files)); err != nil {
		return nil, &UsageError{err}
	}
	return c, nil
}

var certificateText = regexp.MustCompile(`:ingress\.(certificate|previousCertificate)\.(bundle|key)$`)

// withoutCertificates leaves out what is wrong with the text of certificates and
// keys, and what is only missing.
func withoutCertificates(err error) error {
	var wrong *config.Error
	if !errors.As(err, &wrong) {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(wrong.Problems), func(p config.Problem) bool {
		return p.MissingSecret || certificateText.MatchString(p.Key)
	})
	if len(rest) == 0 {
		return nil
	}
	return &config.Error{Problems: rest}
}
