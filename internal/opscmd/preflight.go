package opscmd

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/option"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/images"
	"github.com/deepgram-gke/deepgram-gke/internal/preflight"
)

// envToken is an access token of Google Cloud, used before all other credentials,
// as the gcp provider does.
const envToken = "GOOGLE_OAUTH_ACCESS_TOKEN"

// envEndpoint is what --google-endpoint is where the flag is not given.
const envEndpoint = "DEEPGRAM_GOOGLE_ENDPOINT"

// preflightFlags are the flags of preflight.
type preflightFlags struct {
	environmentFlags
	o      preflight.Options
	roots  string
	strict bool
}

func newPreflightCmd(s Streams) *cobra.Command {
	var f preflightFlags
	var out output
	c := &cobra.Command{
		Use:   "preflight",
		Short: "Check, before anything is created, whether an environment can be",
		Long: `Check, before anything is created, whether an environment can be: credentials,
project, APIs, machine types, quotas, network, DNS, certificate, registry, images,
chart, licence server, versions. Everything is only read.

Each check says PASS, FAIL with what to do, or SKIP: it does not apply, or something
that it needs cannot be read; then it names the role to grant.

Google's credentials are the application default credentials, or the token in
` + envToken + `. Those of registries are as for deepgram-ops images;
the distribution credentials are also taken from the environment's configuration
where they are not encrypted.

The checks: ` + strings.Join(preflight.IDs(), ", ") + `.

Exit codes: 0 nothing failed; 1 a check failed (with --strict also where one was
skipped); 2 bad usage or configuration.`,
		Example: "  deepgram-ops preflight --stack prod-omi\n" +
			"  deepgram-ops preflight --stack prod-omi --set gcp:zone=us-central1-b --only machine-types,accelerators,gpu-quota\n" +
			"  deepgram-ops preflight --config Pulumi.dev.yaml --output json",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			report, err := f.run(c.Context(), s)
			if err != nil {
				return err
			}
			if err := out.print(s.Out, report, func(w io.Writer) error { return preflightText(w, report) }); err != nil {
				return err
			}
			switch {
			case report.Failed > 0:
				return fmt.Errorf("preflight: %d of %d checks failed", report.Failed, len(report.Checks))
			case f.strict && report.Skipped > 0:
				return fmt.Errorf("preflight: %d of %d checks were skipped, and --strict is given", report.Skipped, len(report.Checks))
			}
			return nil
		},
	}
	f.addTo(c)
	fl := c.Flags()
	fl.StringSliceVar(&f.o.Only, "only", nil, "run only these `CHECKS`, separated by commas")
	fl.StringSliceVar(&f.o.Skip, "skip", nil, "leave these `CHECKS` out, separated by commas")
	fl.BoolVar(&f.strict, "strict", false, "fail where a check was skipped")
	fl.StringVar(&f.roots, "roots", "", "a PEM `FILE` of the root certificates that clients trust; this system's otherwise")
	fl.StringVar(&f.o.Upstream, "from", images.QuayPrefix, "the `PREFIX` before /self-hosted-api upstream")
	fl.StringVar(&f.o.License, "license-server", "license.deepgram.com:443", "the licence server's `HOST:PORT`")
	fl.IntVar(&f.o.Parallel, "parallel", 8, "run this many checks at a time")
	fl.DurationVar(&f.o.Timeout, "timeout", 30*time.Second, "give each check this long")
	fl.StringVar(&f.o.Endpoint, "google-endpoint", "", "ask this `URL` instead of Google's APIs, without credentials: a stand-in (default: $"+envEndpoint+")")
	out.addTo(c)
	return c
}

func (f *preflightFlags) run(ctx context.Context, s Streams) (*preflight.Report, error) {
	// The licence server is the one thing to look at from within a cluster, where
	// there is no file of the environment.
	onlyLicense := len(f.o.Only) == 1 && f.o.Only[0] == "license-endpoint"
	switch {
	case f.o.Parallel < 1:
		return nil, Usagef("--parallel must be at least 1")
	case f.o.Timeout <= 0:
		return nil, Usagef("--timeout must be more than 0")
	case !f.given() && !onlyLicense:
		return nil, Usagef("give --stack STACK or --config FILE")
	case f.given():
		c, err := f.load()
		if err != nil {
			return nil, err
		}
		f.o.Config = c
	default:
		f.o.Config = config.Default()
		f.o.Config.Complete()
	}
	if _, err := os.Stat(f.roots); f.roots != "" && err != nil {
		return nil, &UsageError{fmt.Errorf("--roots: %w", err)}
	}
	var err error
	if f.o.Roots, err = rootPool(f.roots); err != nil {
		return nil, err
	}
	if err := f.registries(s); err != nil {
		return nil, err
	}
	f.credentials(s)
	fmt.Fprintf(s.Err, "checking %s; nothing is changed\n", environmentName(f.o.Config))
	report, err := preflight.Run(ctx, f.o)
	if err != nil && ctx.Err() == nil {
		return nil, &UsageError{err}
	}
	return report, err
}

func environmentName(c *config.Config) string {
	if c.Stack == "" {
		return "the licence server"
	}
	return fmt.Sprintf("%s in project %s, zone %s", c.Stack, c.GCP.Project, c.GCP.Zone)
}

// registries makes the client of registries. The distribution credentials come from
// the process's environment, or from a configuration where they can be read.
func (f *preflightFlags) registries(s Streams) error {
	d := f.o.Config.Registry.Distribution
	lookup := s.LookupEnv
	if _, ok := lookup(images.EnvDistUsername); !ok && d.Username != "" && d.Password.Reveal() != "" {
		lookup = func(key string) (string, bool) {
			switch key {
			case images.EnvDistUsername:
				return d.Username, true
			case images.EnvDistPassword:
				return d.Password.Reveal(), true
			}
			return s.LookupEnv(key)
		}
	}
	upstream, _, _ := strings.Cut(f.o.Upstream, "/")
	target := ""
	if prefix, err := images.TargetPrefix(f.o.Config); err == nil {
		target, _, _ = strings.Cut(prefix, "/")
	}
	keychain, err := images.NewKeychain(lookup, upstream, target)
	if err != nil {
		return &UsageError{fmt.Errorf("credentials: %w", err)}
	}
	_, f.o.Distribution = lookup(images.EnvDistUsername)
	f.o.Images, err = images.NewClient(images.Options{Keychain: keychain, Tries: 2, MaxWait: 5 * time.Second})
	return err
}

// credentials says how Google's APIs are asked.
func (f *preflightFlags) credentials(s Streams) {
	const scope = "https://www.googleapis.com/auth/cloud-platform"
	if f.o.Endpoint == "" {
		f.o.Endpoint, _ = s.LookupEnv(envEndpoint)
	}
	if f.o.Endpoint != "" {
		f.o.Google = []option.ClientOption{option.WithoutAuthentication()}
		return
	}
	if token, ok := s.LookupEnv(envToken); ok && token != "" {
		f.o.Google = []option.ClientOption{option.WithTokenSource(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}))}
		f.o.Credentials = func(context.Context) (string, error) { return "the owner of the token in " + envToken, nil }
		return
	}
	if !slices.ContainsFunc(preflight.IDs(), func(id string) bool {
		return f.chosen(id) && (preflight.AsksGoogle(id) || id == "credentials" || strings.HasPrefix(id, "dns-") ||
			strings.HasSuffix(id, "certificate"))
	}) {
		return // looking for credentials may take seconds
	}
	found, err := google.FindDefaultCredentials(context.Background(), scope)
	if err != nil {
		// Not the library's text: it may quote the file.
		f.o.Credentials = func(context.Context) (string, error) {
			return "", errors.New("there are no application default credentials")
		}
		f.o.Google = []option.ClientOption{option.WithoutAuthentication()}
		return
	}
	f.o.Google = []option.ClientOption{option.WithCredentials(found)}
	f.o.Credentials = func(context.Context) (string, error) {
		if _, err := found.TokenSource.Token(); err != nil {
			return "", fmt.Errorf("the application default credentials give no token: %s", firstWords(err))
		}
		return accountOf(found.JSON), nil
	}
}

// chosen tells whether a check is to run.
func (f *preflightFlags) chosen(id string) bool {
	return (len(f.o.Only) == 0 || slices.Contains(f.o.Only, id)) && !slices.Contains(f.o.Skip, id)
}

// firstWords is the beginning of an error, on one line.
func firstWords(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return text[:min(len(text), 200)]
}

// accountOf is whose the credentials are, as IAM writes it where the file says so.
func accountOf(file []byte) string {
	var c struct {
		Type  string `json:"type"`
		Email string `json:"client_email"`
	}
	switch err := json.Unmarshal(file, &c); {
	case err != nil:
		return "this machine's service account"
	case c.Email != "":
		return "serviceAccount:" + c.Email
	case c.Type == "authorized_user":
		return "your user account (application default credentials)"
	}
	return "the account of the application default credentials (" + c.Type + ")"
}

// rootPool reads root certificates; nil, for this system's, where no file is given.
func rootPool(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // the system's
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, &UsageError{fmt.Errorf("--roots: %w", err)}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, Usagef("--roots %s: holds no certificate in PEM", file)
	}
	return pool, nil
}

// preflightText prints the report for people.
func preflightText(w io.Writer, report *preflight.Report) error {
	width := 0
	for _, k := range report.Checks {
		width = max(width, len(k.ID))
	}
	for _, k := range report.Checks {
		fmt.Fprintf(w, "%s  %-*s  %s\n", k.Status, width, k.ID, k.Message)
		if k.Fix != "" {
			fmt.Fprintf(w, "%*s→ %s\n", width+8, "", k.Fix)
		}
	}
	_, err := fmt.Fprintf(w, "%d passed, %d skipped, %d failed\n", report.Passed, report.Skipped, report.Failed)
	return err
}
