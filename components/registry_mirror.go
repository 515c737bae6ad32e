package components

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi-command/sdk/go/command/local"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Environment variables in which deepgram-ops looks for the distribution
// credentials.
const (
	envDistUsername = "DEEPGRAM_DIST_USERNAME"
	envDistPassword = "DEEPGRAM_DIST_PASSWORD"
)

// opsImageName is the name of the project's own image.
const opsImageName = "deepgram-ops"

// Mirror says which images are copied into a repository, and by which program
// (guide G-II.1). The program runs where Pulumi runs.
type Mirror struct {
	// Release is the Deepgram release, such as "release-250331". Required.
	Release string
	// ChartVersion decides the monitoring images. Required with Monitoring.
	ChartVersion string
	// LicenseProxy, Billing and Monitoring add their images.
	LicenseProxy, Billing, Monitoring bool
	// Lock is the path of a file that pins digests; empty pins none.
	Lock string
	// LockDigest changes when Lock does, so that a changed pin is copied.
	LockDigest string
	// Program is deepgram-ops; empty means the one on PATH.
	Program string
	// OpsTag publishes deepgram-ops as an image under this tag, for loader and
	// backup jobs; empty publishes none.
	OpsTag string
	// OpsBinary is the static Linux program to publish; empty means Program
	// itself, which must then be one.
	OpsBinary string
}

var (
	tagRule     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	versionRule = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+[-+.0-9A-Za-z]*$`)
	plainWord   = regexp.MustCompile(`^[-A-Za-z0-9._/:=@+]+$`)
)

func (m *Mirror) validate(errs *argumentErrors) {
	errs.require("Mirror.Release", m.Release, "release-250331")
	errs.match("Mirror.Release", m.Release, tagRule, "an image tag")
	errs.match("Mirror.OpsTag", m.OpsTag, tagRule, "an image tag")
	errs.match("Mirror.ChartVersion", m.ChartVersion, versionRule, `a version, such as "0.42.0"`)
	if m.Monitoring {
		errs.require("Mirror.ChartVersion", m.ChartVersion, "0.42.0")
	}
	for argument, path := range map[string]string{
		"Mirror.Program": m.Program, "Mirror.Lock": m.Lock, "Mirror.OpsBinary": m.OpsBinary,
	} {
		// The paths stand in a command line, for sh or for cmd.
		if strings.ContainsAny(path, "\"'`$%!\n\r") {
			errs.addf(argument, "%q holds a character that a shell would read; use a path without quotes, $, %%, ! and line ends", path)
		}
	}
}

func (m *Mirror) program() string { return cmp.Or(m.Program, opsImageName) }

// mirrorWords is the command that copies the images.
func (m *Mirror) mirrorWords(prefix string) []string {
	words := []string{m.program(), "images", "mirror", "--release", m.Release, "--to", prefix}
	if m.ChartVersion != "" {
		words = append(words, "--chart-version", m.ChartVersion)
	}
	for _, flag := range []struct {
		on   bool
		name string
	}{{m.Billing, "--billing"}, {m.Monitoring, "--monitoring"}, {!m.LicenseProxy, "--no-license-proxy"}} {
		if flag.on {
			words = append(words, flag.name)
		}
	}
	if m.Lock != "" {
		words = append(words, "--lock", m.Lock)
	}
	return append(words, "--progress", "30s")
}

// publishWords is the command that publishes the project's own image.
func (m *Mirror) publishWords(prefix string) []string {
	words := []string{m.program(), "images", "publish", "--to", prefix, "--tag", m.OpsTag}
	if m.OpsBinary != "" {
		words = append(words, "--binary", m.OpsBinary)
	}
	return append(words, "--progress", "30s")
}

// commandLine is words as a command line that sh and cmd read alike.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if quoted[i] = w; !plainWord.MatchString(w) {
			quoted[i] = `"` + w + `"`
		}
	}
	return strings.Join(quoted, " ")
}

// mirror copies the images, and publishes the project's own, beside each other.
// Both do nothing where there is nothing to do, so that running them again, after
// a change or an interruption, is always right. Nothing is undone when they go:
// the images go with the repository.
func (r *Registry) mirror(ctx *pulumi.Context, name string, a *RegistryArgs) error {
	m := a.Mirror
	if m == nil {
		return nil
	}
	credentials := pulumi.StringMap{}
	if a.Password != nil {
		credentials[envDistUsername] = a.Username
		credentials[envDistPassword] = a.Password
	}
	copied, err := r.command(ctx, name+"-mirror", m.mirrorWords(a.prefix()), credentials, pulumi.String(m.LockDigest))
	if err != nil {
		return fmt.Errorf("mirror: %w", err)
	}
	r.Ready = append(r.Ready, copied)
	if m.OpsTag == "" {
		return nil
	}
	published, err := r.command(ctx, name+"-ops-image", m.publishWords(a.prefix()), nil)
	if err != nil {
		return fmt.Errorf("ops image: %w", err)
	}
	r.OpsImage = pulumi.Sprintf("%s/%s:%s", r.Prefix, opsImageName, m.OpsTag)
	r.OpsReady = append(r.OpsReady, published)
	return nil
}

// command runs deepgram-ops when its words or triggers change. Credentials are in
// its environment only: a command line can be seen by everybody on the machine.
func (r *Registry) command(
	ctx *pulumi.Context, name string, words []string, credentials pulumi.StringMap, triggers ...pulumi.Input,
) (*local.Command, error) {
	line := pulumi.String(commandLine(words))
	args := &local.CommandArgs{
		Create: line, Update: line,
		AddPreviousOutputInEnv: pulumi.Bool(false),
		// Progress and errors; deepgram-ops keeps secrets out of both.
		Logging: local.LoggingStderr,
		// A new repository of the same name is an empty one.
		Triggers: append(pulumi.Array{line, r.Repository.CreateTime}, triggers...),
	}
	if len(credentials) > 0 {
		args.Environment = pulumi.ToSecret(credentials).(pulumi.StringMapOutput)
	}
	return local.NewCommand(ctx, name, args, childOptions(r,
		pulumi.DependsOn([]pulumi.Resource{r.Repository}),
		pulumi.AdditionalSecretOutputs([]string{"environment", "stdout", "stderr"}),
		// Tens of gigabytes, over whatever line there is.
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "3h", Update: "3h"}),
	)...)
}
