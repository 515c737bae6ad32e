package thread

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/certs/certtest"
	"github.com/deepgram-gke/deepgram-gke/internal/engine"
	"github.com/deepgram-gke/deepgram-gke/internal/rehearsal"
	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

const (
	certificateKind = "gcp:compute/regionSslCertificate:RegionSslCertificate"
	ingressKind     = "kubernetes:networking.k8s.io/v1:Ingress"
	sharedCerts     = "ingress.gcp.kubernetes.io/pre-shared-cert"
)

const aDay = 24 * time.Hour

// certificateFor is a value of ingress.certificate that is valid for left.
func certificateFor(t *testing.T, left time.Duration) string {
	t.Helper()
	now := time.Now()
	root := certtest.Make(t, now, nil, certtest.Spec{Name: "Root", CA: true, From: -400 * aDay})
	host := certtest.Make(t, now, root, certtest.Spec{Name: "dg.omi.me", Hosts: []string{"dg.omi.me"}, From: -300 * aDay, To: left})
	return fmt.Sprintf("{bundle: %q, key: %q}", certtest.Bundle(host, root), host.KeyPEM(t))
}

// entrance is what clients see: the certificates of the API's Ingress, the first of
// which is shown, and all certificates that there are.
func entrance(t *testing.T, cloud *standin.Cloud) (attached, there []string) {
	t.Helper()
	for _, o := range cloud.Objects() {
		switch o.Type {
		case certificateKind:
			there = append(there, o.CloudName)
		case ingressKind:
			if names := text(o.Outputs, `metadata.annotations["`+sharedCerts+`"]`); names != "" {
				attached = strings.Split(names, ",")
			}
		}
	}
	slices.Sort(there)
	return attached, there
}

// renew brings a configuration about one call at a time. After each, what is
// attached must be there.
func renew(t *testing.T, s *rehearsal.Session, when string, values ...string) {
	t.Helper()
	require.NoError(t, s.Configure(t.Context(), environment(t, "prod-omi", values...)), when)
	for stop := 1; ; stop++ {
		require.Less(t, stop, 10, "%s: does not come to an end", when)
		s.Cloud.Inject(standin.Fault{N: 2, Mode: standin.FailBefore, Message: "stopped"})
		_, err := s.Up(t.Context(), fmt.Sprintf("%s, stop %d", when, stop))
		done := len(s.Cloud.Pending()) > 0
		s.Cloud.ClearFaults()
		attached, there := entrance(t, s.Cloud)
		require.NotEmpty(t, attached, "%s: the entrance always has a certificate", when)
		for _, name := range attached {
			require.Contains(t, there, name, "%s, stopped %d times: the entrance shows a certificate that is gone", when, stop)
		}
		if done {
			require.NoError(t, err, when)
			return
		}
		require.ErrorContains(t, err, "stopped", when)
	}
}

// TestCertificateRotation renews the certificate without a moment in which the
// entrance has none: new one made, both attached, old one removed.
func TestCertificateRotation(t *testing.T) {
	t.Parallel()
	old, fresh := certificateFor(t, 45*aDay), certificateFor(t, 365*aDay)
	s := open(t, "ingress.certificate", old)
	first, there := entrance(t, s.Cloud)
	require.Len(t, first, 1)
	require.Equal(t, first, there)

	s.Cloud.ResetCalls()
	renew(t, s, "both", "ingress.certificate", fresh, "ingress.previousCertificate", old)
	both, there := entrance(t, s.Cloud)
	require.Len(t, both, 2)
	require.Len(t, there, 2)
	require.Equal(t, first[0], both[1], "the new one is shown, the old one stays second")
	order := calls(s)
	require.Less(t, slices.Index(order, "Create "+certificateKind), slices.Index(order, "Update "+ingressKind))
	for _, call := range order {
		// The release carries an alert on the days that are left.
		require.Contains(t, []string{"Create " + certificateKind, "Update " + ingressKind, "Update " + releaseKind}, call)
	}

	again, err := s.Up(t.Context(), "both, again")
	require.NoError(t, err)
	require.Zero(t, again.Changed())

	// Somebody has the old one attached elsewhere: the cloud refuses to delete it,
	// and says who has it. Nothing breaks.
	dashboards := ""
	for _, o := range s.Cloud.Objects() {
		if o.Type == ingressKind && text(o.Outputs, `metadata.annotations["`+sharedCerts+`"]`) == "" {
			dashboards = o.ID
		}
	}
	annotate := func(change func(resource.PropertyMap)) {
		require.NoError(t, s.Cloud.Mutate(dashboards, func(outputs resource.PropertyMap) {
			// The Service and its settings have the same name.
			annotations := outputs["metadata"].ObjectValue()["annotations"]
			if annotations.IsObject() && annotations.ObjectValue()["kubernetes.io/ingress.class"].IsString() {
				change(annotations.ObjectValue())
			}
		}))
	}
	annotate(func(m resource.PropertyMap) { m[sharedCerts] = resource.NewProperty(first[0]) })
	require.NoError(t, s.Configure(t.Context(), environment(t, "prod-omi", "ingress.certificate", fresh)))
	_, err = s.Up(t.Context(), "in use")
	require.ErrorContains(t, err, first[0]+"' is already being used by '"+dashboards+"'")
	annotate(func(m resource.PropertyMap) { delete(m, sharedCerts) })
	attached, there := entrance(t, s.Cloud)
	require.Equal(t, both[:1], attached)
	require.Len(t, there, 2)

	// The next up removes it, and only it.
	s.Cloud.ResetCalls()
	renew(t, s, "removed", "ingress.certificate", fresh)
	attached, there = entrance(t, s.Cloud)
	require.Equal(t, both[:1], attached)
	require.Equal(t, both[:1], there)
	require.NotContains(t, calls(s), "Create "+certificateKind)
}

// TestCertificateSwap changes the certificate at once, without the step in which
// both are attached: the old one goes last, when the Ingress has let it go.
func TestCertificateSwap(t *testing.T) {
	t.Parallel()
	s := open(t, "ingress.certificate", certificateFor(t, 45*aDay))
	s.Cloud.ResetCalls()
	require.NoError(t, s.Configure(t.Context(), environment(t, "prod-omi", "ingress.certificate", certificateFor(t, 365*aDay))))
	_, err := s.Preview(t.Context())
	require.NoError(t, err)
	plan, err := s.Up(t.Context(), "swap")
	require.NoError(t, err)
	order := slices.DeleteFunc(calls(s), func(call string) bool { return call == "Update "+releaseKind })
	require.Equal(t, []string{"Create " + certificateKind, "Update " + ingressKind, "Delete " + certificateKind}, order)
	for _, r := range plan.Resources() {
		if r.Type == releaseKind {
			for path := range r.Detailed {
				require.Equal(t, "values.kube-prometheus-stack", path, "of the release, only the alert on the days left changes")
			}
		}
	}
}

// TestCertificateDays shifts the days that are left: the policies warn at 30 and
// refuse at 7, but not what is being replaced.
func TestCertificateDays(t *testing.T) {
	t.Parallel()
	year := certificateFor(t, 365*aDay)
	s := open(t, "ingress.certificate", year)
	for _, test := range []struct {
		left    time.Duration
		renewed bool
		policy  string
		refused bool
	}{
		{left: 31 * aDay},
		{left: 29 * aDay, policy: "certificate-is-fresh"},
		{left: 8 * aDay, policy: "certificate-is-fresh"},
		{left: 6 * aDay, policy: "certificate-is-not-about-to-expire", refused: true},
		{left: 6 * aDay, renewed: true},
	} {
		values := []string{"ingress.certificate", certificateFor(t, test.left)}
		if test.renewed {
			values = []string{"ingress.certificate", year, "ingress.previousCertificate", values[1]}
		}
		when := fmt.Sprintf("%s left, renewed %t", test.left, test.renewed)
		require.NoError(t, s.Configure(t.Context(), environment(t, "prod-omi", values...)), when)
		operation, err := s.Preview(t.Context())
		var found []string
		for _, v := range operation.Violations() {
			if strings.HasPrefix(v.Policy, "certificate-") {
				found = append(found, v.Policy)
			}
		}
		var refused *engine.PolicyError
		require.Equal(t, test.refused, errors.As(err, &refused), when)
		if !test.refused {
			require.NoError(t, err, when)
		}
		if test.policy == "" {
			require.Empty(t, found, when)
			continue
		}
		require.Equal(t, []string{test.policy}, found, when)
	}

	// After its end it is not taken at all.
	err := s.Configure(t.Context(), environment(t, "prod-omi", "ingress.certificate", certificateFor(t, -aDay)))
	var wrong *config.Error
	require.ErrorAs(t, err, &wrong)
	require.ErrorContains(t, err, "ingress.certificate.bundle: has certificate 1, \"CN=dg.omi.me\", which expired on")
	err = s.Configure(t.Context(), environment(t, "prod-omi", "ingress.certificate", year, "ingress.previousCertificate", certificateFor(t, -aDay)))
	require.ErrorContains(t, err, "remove ingress.previousCertificate")
}
