package preflight

import (
	"context"
	"strings"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/certs"
)

func (r *run) certificate(ctx context.Context) verdict {
	if !r.c.Ingress.Enabled {
		return skipped("", "there is no ingress")
	}
	return r.judge(ctx, r.c.Ingress.Certificate, "ingress.certificate", false)
}

func (r *run) previousCertificate(ctx context.Context) verdict {
	previous := r.c.Ingress.PreviousCertificate
	if !r.c.Ingress.Enabled || previous == nil {
		return skipped("", "there is none")
	}
	return r.judge(ctx, *previous, "ingress.previousCertificate", true)
}

// judge checks a certificate that is configured, or one that is in the cloud. The
// previous one may be at its end: that is why there is a new one.
func (r *run) judge(ctx context.Context, c config.Certificate, key string, previous bool) verdict {
	o := certs.Options{Host: r.c.Ingress.Host, Roots: r.o.Roots, Now: r.o.Now, Replaced: previous}
	bundle := c.Bundle
	switch {
	case c.Existing != "":
		var v *verdict
		if bundle, v = r.uploaded(ctx, c.Existing, key); v != nil {
			return *v
		}
		o.Served = true // its key is in the cloud, and cannot be read
	case bundle == "":
		return failed("pulumi config set --path 'deepgram-stack:"+key+".bundle' < bundle.pem", "%s has no bundle", key)
	default:
		o.Key, o.KeyUnseen = KeyOf(c.Key)
	}
	report := certs.CheckText(bundle, o)
	var t tally
	for _, f := range report.Findings {
		switch {
		case f.Level == certs.Fail:
			t.fail(f.Fix, "%s", f.Message)
		case f.Level != certs.OK || f.Check == certs.CheckValidity:
			t.ok("%s", f.Message)
		}
	}
	return t.verdict()
}

// KeyOf is a configured key, or why it cannot be seen.
func KeyOf(s config.Secret) (key, unseen string) {
	switch {
	case s.Encrypted():
		return "", "the key is encrypted in the stack file"
	case s.Reference() != "":
		return "", "the key is in Secret Manager"
	}
	return s.Reveal(), ""
}

// uploaded is the text of a regional certificate.
func (r *run) uploaded(ctx context.Context, name, key string) (string, *verdict) {
	none := func(v verdict) (string, *verdict) { return "", &v }
	if _, err := r.signIn(); err != nil {
		return none(skipped("", "not asked: there are no credentials, see credentials"))
	}
	s, err := r.g.compute()
	if err != nil {
		return none(r.unasked(err, "certificates", computeAPI, roleCompute, r.c.GCP.Project))
	}
	found, err := s.RegionSslCertificates.Get(r.c.GCP.Project, r.c.GCP.Region, name).Context(ctx).Do()
	switch {
	case missing(err):
		return none(failed("give the name of a regional certificate, or bundle and key", "%s: there is no regional certificate %s in %s",
			key, name, r.c.GCP.Region))
	case err != nil:
		return none(r.unasked(err, "certificates", computeAPI, roleCompute, r.c.GCP.Project))
	case strings.TrimSpace(found.Certificate) == "":
		return none(skipped("", "the certificate %s does not show its text", name))
	}
	return found.Certificate, nil
}
