package rehearsal

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	pulumiconfig "github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// project is the name of the Pulumi project, and the namespace of its keys.
const project = "deepgram-stack"

// createStack makes the stack in a project, a home and a backend of its own, and
// writes the configuration the way a real stack has it: secrets encrypted.
func (s *Session) createStack(ctx context.Context, command auto.PulumiCommand) (auto.Stack, error) {
	for _, folder := range []string{"project", "home", "state"} {
		if err := os.Mkdir(filepath.Join(s.folder, folder), 0o700); err != nil {
			return auto.Stack{}, err
		}
	}
	// The CLI keeps a log of each command under its home, which nobody could read
	// after a rehearsal, and which takes a fifth of the time of a preview. A file
	// in the place of that folder makes it go without.
	if err := os.WriteFile(filepath.Join(s.folder, "home", "logs"), nil, 0o600); err != nil {
		return auto.Stack{}, err
	}
	settings := "name: " + project + "\nruntime: go\n"
	if err := os.WriteFile(s.projectFile("Pulumi.yaml"), []byte(settings), 0o600); err != nil {
		return auto.Stack{}, err
	}
	var err error
	if s.passphrase, err = randomHex(24); err != nil {
		return auto.Stack{}, err
	}
	stack, err := auto.NewStackInlineSource(ctx, s.Stack, project, s.Program,
		auto.WorkDir(s.Project()),
		auto.PulumiHome(filepath.Join(s.folder, "home")),
		auto.Pulumi(command),
		auto.EnvVars(s.environment()),
	)
	if err != nil {
		if ctx.Err() != nil {
			return auto.Stack{}, ctx.Err()
		}
		return auto.Stack{}, fmt.Errorf("creating the rehearsal's stack: %w", err)
	}
	if err := s.writeConfig(ctx); err != nil {
		return auto.Stack{}, fmt.Errorf("writing the rehearsal's configuration: %w", err)
	}
	return stack, nil
}

// Environ are the variables with which the Pulumi CLI works on the session's
// stack, for those who run it themselves in the folder Project.
func (s *Session) Environ() map[string]string { return s.environment() }

// Project is the folder of the session's Pulumi project.
func (s *Session) Project() string { return filepath.Join(s.folder, "project") }

func (s *Session) environment() map[string]string {
	return map[string]string{
		"PULUMI_HOME":                                 filepath.Join(s.folder, "home"),
		"PULUMI_BACKEND_URL":                          "file://" + filepath.ToSlash(filepath.Join(s.folder, "state")),
		"PULUMI_CONFIG_PASSPHRASE":                    s.passphrase,
		"PULUMI_CONFIG_PASSPHRASE_FILE":               "",
		"PULUMI_DEBUG_PROVIDERS":                      s.servers.Attach(),
		"PULUMI_SKIP_UPDATE_CHECK":                    "true",
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
		"PULUMI_ACCESS_TOKEN":                         "",
		"PULUMI_STACK":                                "",
		"PULUMI_SKIP_CHECKPOINTS":                     "",
		"PULUMI_DISABLE_CHECKPOINT_BACKUPS":           "true",
		"PULUMI_SELF_MANAGED_STATE_NO_LEGACY_WARNING": "true",
	}
}

// writeConfig adds the configuration to the settings file that the CLI made, with
// secrets encrypted under the salt it chose.
func (s *Session) writeConfig(ctx context.Context) error {
	file := s.projectFile("Pulumi." + s.Stack + ".yaml")
	settings := map[string]any{}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, &settings); err != nil {
		return err
	}
	salt, _ := settings["encryptionsalt"].(string)
	crypter, err := crypterOf(s.passphrase, salt)
	if err != nil {
		return err
	}
	tree, err := s.cfg.Tree(func(_ string, secret config.Secret) (any, error) {
		if secret.Reference() != "" {
			return map[string]any{"secretManager": secret.Reference()}, nil
		}
		ciphertext, err := crypter.EncryptValue(ctx, secret.Reveal())
		return map[string]any{"secure": ciphertext}, err
	})
	if err != nil {
		return err
	}
	settings["config"] = map[string]any(tree)
	if text, err = yaml.Marshal(settings); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// crypterOf is the engine's own encryption with a passphrase: a salt has the form
// v1:<salt in base64>:<a known text, encrypted>.
func crypterOf(passphrase, salt string) (pulumiconfig.Crypter, error) {
	parts := strings.SplitN(salt, ":", 3)
	if len(parts) != 3 || parts[0] != "v1" {
		return nil, fmt.Errorf("the stack's encryption salt has an unknown form")
	}
	raw, err := base64.StdEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("the stack's encryption salt: %w", err)
	}
	return pulumiconfig.NewSymmetricCrypterFromPassphrase(passphrase, raw), nil
}
