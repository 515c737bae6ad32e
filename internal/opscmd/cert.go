package opscmd

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/certs"
	"github.com/deepgram-gke/deepgram-gke/internal/preflight"
)

func newCertCmd(s Streams) *cobra.Command {
	c := &cobra.Command{
		Use:     "cert",
		Short:   "Check the API's certificate",
		Long:    "Check the API's certificate (guide G-IV.1, G-M.cert).",
		Example: "  deepgram-ops cert check --stack prod-omi --live",
		RunE:    group,
		Args:    cobra.ArbitraryArgs,
	}
	c.AddCommand(newCertCheckCmd(s))
	return c
}

// certFlags are the flags of cert check.
type certFlags struct {
	environmentFlags
	bundle, key, host, connect, roots string
	live                              bool
}

func newCertCheckCmd(s Streams) *cobra.Command {
	var f certFlags
	var out output
	c := &cobra.Command{
		Use:   "check",
		Short: "Check a certificate: in files, in an environment, at its endpoint",
		Long: fmt.Sprintf(`Check a certificate: the order of the bundle, the chain up to a root, the key, the
host's name, weak keys and signatures, and the days that are left: told below %d,
warned of below %d, failed below %d.

  files        --bundle FILE [--key FILE] [--host NAME]
  environment  --stack STACK or --config FILE; with --live also what is shown at
               ingress.host, which must be what is configured
  endpoint     --host NAME[:PORT]

--connect gives another address than the name's, such as that of a port-forward.

Exit codes: 0 nothing failed; 1 something failed; 2 bad usage or configuration.`, certs.InfoDays, certs.WarnDays, certs.FailDays),
		Example: "  deepgram-ops cert check --bundle bundle.pem --key key.pem --host dg.example.com\n" +
			"  deepgram-ops cert check --stack prod-omi --live\n" +
			"  deepgram-ops cert check --host dg.example.com --connect 127.0.0.1:8443 --roots ca.pem",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			reports, err := f.run(c)
			if err != nil {
				return err
			}
			worst := certs.OK
			for _, r := range reports {
				if r.Worst() == certs.Fail {
					worst = certs.Fail
				}
			}
			if err := out.print(s.Out, struct {
				Chains []*certs.Report `json:"chains"`
			}{reports}, func(w io.Writer) error { return certText(w, reports) }); err != nil {
				return err
			}
			if worst == certs.Fail {
				return errors.New("cert check: clients or Google Cloud would refuse this; see above")
			}
			return nil
		},
	}
	f.addTo(c)
	fl := c.Flags()
	fl.StringVar(&f.bundle, "bundle", "", "check the PEM certificates in `FILE`")
	fl.StringVar(&f.key, "key", "", "with --bundle: the PEM private key in `FILE`")
	fl.StringVar(&f.host, "host", "", "the `NAME[:PORT]` to check; with --bundle only the name that it must cover")
	fl.BoolVar(&f.live, "live", false, "with --stack or --bundle: check what the endpoint shows too")
	fl.StringVar(&f.connect, "connect", "", "connect to `ADDRESS:PORT` instead of the name; means --live")
	fl.StringVar(&f.roots, "roots", "", "a PEM `FILE` of the root certificates that clients trust; this system's otherwise")
	out.addTo(c)
	return c
}

func (f *certFlags) run(c *cobra.Command) ([]*certs.Report, error) {
	live := f.live || f.connect != ""
	switch {
	case f.given() && (f.bundle != "" || f.host != ""):
		return nil, Usagef("--stack and --config cannot be combined with --bundle and --host")
	case f.key != "" && f.bundle == "":
		return nil, Usagef("--key needs --bundle")
	case f.bundle != "" && live && f.host == "":
		return nil, Usagef("--live needs --host NAME with --bundle")
	case !f.given() && f.bundle == "" && f.host == "":
		return nil, Usagef("give --bundle FILE, --host NAME, or --stack STACK")
	}
	if f.connect != "" {
		if _, _, err := net.SplitHostPort(f.connect); err != nil {
			return nil, Usagef("--connect %q: must be ADDRESS:PORT", f.connect)
		}
	}
	roots, err := rootPool(f.roots)
	if err != nil {
		return nil, err
	}
	o := certs.Options{Roots: roots}
	var reports []*certs.Report
	var want []*x509.Certificate
	add := func(source, text string, o certs.Options) {
		o.Source = source
		reports = append(reports, certs.CheckText(text, o))
		if chain, err := certs.ParseBundle(text); err == nil {
			want = append(want, chain[0])
		}
	}
	host, address := splitHost(f.host)
	switch {
	case f.given():
		cfg, err := f.load()
		if err != nil {
			return nil, err
		}
		host, address = cfg.Ingress.Host, ""
		if err := configured(cfg, o, add); err != nil && !live {
			return nil, err
		}
	case f.bundle != "":
		text, err := os.ReadFile(f.bundle)
		if err != nil {
			return nil, &UsageError{fmt.Errorf("--bundle: %w", err)}
		}
		file := o
		file.Host = host
		if f.key != "" {
			key, err := os.ReadFile(f.key)
			if err != nil {
				return nil, &UsageError{fmt.Errorf("--key: %w", err)}
			}
			file.Key = string(key)
			if file.Key == "" {
				return nil, Usagef("--key %s: is empty", f.key)
			}
		}
		add(f.bundle, string(text), file)
	}
	if live || f.bundle == "" && !f.given() {
		if f.connect != "" {
			address = f.connect
		}
		o.Source = host
		if address != "" {
			o.Source += " at " + address
		}
		reports = append(reports, certs.CheckEndpoint(c.Context(), certs.Endpoint{Host: host, Address: address}, o, want...))
	}
	return reports, nil
}

// configured checks the certificates of an environment.
func configured(cfg *config.Config, o certs.Options, add func(source, text string, o certs.Options)) error {
	if !cfg.Ingress.Enabled {
		return Usagef("%s: the environment has no ingress", cfg.Stack)
	}
	o.Host = cfg.Ingress.Host
	one := func(key string, c config.Certificate, replaced bool) error {
		switch {
		case c.Existing != "":
			return Usagef("%s.existing: the certificate %s is in Google Cloud: check what is shown with --live, or run deepgram-ops preflight --only certificate",
				key, c.Existing)
		case c.Bundle == "":
			return Usagef("%s: has no bundle; set it, or check files with --bundle", key)
		}
		mine := o
		mine.Replaced = replaced
		mine.Key, mine.KeyUnseen = preflight.KeyOf(c.Key)
		add(key, c.Bundle, mine)
		return nil
	}
	err := one("ingress.certificate", cfg.Ingress.Certificate, false)
	if previous := cfg.Ingress.PreviousCertificate; previous != nil {
		err = errors.Join(err, one("ingress.previousCertificate", *previous, true))
	}
	return err
}

// splitHost splits NAME[:PORT]; the address is empty where no port is given.
func splitHost(text string) (host, address string) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		return host, text
	}
	return strings.Trim(text, "[]"), ""
}

// certText prints reports for people.
func certText(w io.Writer, reports []*certs.Report) error {
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, r.Source)
		for j, c := range r.Certificates {
			fmt.Fprintf(w, "  %d  %s, from %s to %s (%d days), %s\n", j+1, c.Subject,
				c.NotBefore.Format("2006-01-02"), c.NotAfter.Format("2006-01-02"), c.Days, c.Key)
		}
		for _, f := range r.Findings {
			fmt.Fprintf(w, "  %-4s  %-10s  %s\n", strings.ToUpper(string(f.Level)), f.Check, f.Message)
			if f.Fix != "" {
				fmt.Fprintf(w, "%20s→ %s\n", "", f.Fix)
			}
		}
	}
	return nil
}
