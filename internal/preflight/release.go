package preflight

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/blang/semver"

	"github.com/deepgram-gke/deepgram-gke/internal/chart"
	"github.com/deepgram-gke/deepgram-gke/internal/compat"
)

func (r *run) chartAndRelease(context.Context) verdict {
	version, tag := r.c.Release.ChartVersion, r.c.Release.Tag
	v, err := semver.Parse(version)
	if err != nil {
		return failed("give an exact version", "release.chartVersion %q is not a version", version)
	}
	if bad, ok := compat.Bad(v, tag); ok {
		return failed(bad.Fix, "chart %s with %s: %s (%s)", version, tag, bad.Why, bad.Source)
	}
	if !chart.Supported(version) {
		return failed("use one of "+strings.Join(chart.Versions(), ", "), "the keys of chart %s are not known here", version)
	}
	if own := compat.OwnTag(version); own != "" && own != tag {
		return passed("nothing speaks against chart %s with %s; it was published with %s", version, tag, own)
	}
	return passed("chart %s with %s", version, tag)
}

func (r *run) gpuDriver(context.Context) verdict {
	tag, gpu := r.c.Release.Tag, r.c.Pools.Engine.GPU
	if gpu == nil || len(r.madePools()) == 0 {
		return skipped("look with nvidia-smi on a node", "the GPU nodes are not made here")
	}
	need, ok := compat.DriverFor(tag)
	if !ok {
		return skipped("ask Deepgram which driver it needs", "it is not known which driver %s needs", tag)
	}
	const look = "look with nvidia-smi on a node after up"
	switch {
	case gpu.Driver == "DISABLED":
		return skipped(look, "pools.engine.gpu.driver is DISABLED: what you install must be %s or newer", need.Version)
	case gpu.Driver == "DEFAULT" && need.LatestOnly:
		return failed("set pools.engine.gpu.driver: LATEST", "%s needs driver %s, and GKE's default may be older (%s)", tag, need.Version, need.Source)
	case gpu.Driver == "DEFAULT":
		return skipped("set pools.engine.gpu.driver: LATEST, or "+look,
			"%s needs driver %s or newer; GKE's default depends on its version", tag, need.Version)
	}
	return passed("GKE's latest driver; %s needs %s or newer", tag, need.Version)
}

func (r *run) filestore(context.Context) verdict {
	b := &r.c.Billing
	if !b.Enabled || !b.Filestore() {
		return skipped("", "the journals are not on Filestore")
	}
	if least := b.LeastJournalGb(); b.JournalGb < least {
		return failed(fmt.Sprintf("set billing.journalGb: %d, or billing.storage: block", least),
			"billing.journalGb is %d; Filestore tier %s has nothing below %d GiB", b.JournalGb, b.FilestoreTier, least)
	}
	return passed("%d GiB, tier %s", b.JournalGb, b.FilestoreTier)
}

// leastKubernetes is what charts want that do not say it in their repository.
const leastKubernetes = ">=1.28.0-0"

func (r *run) kubernetesVersion(ctx context.Context) verdict {
	version, from, v := r.kubernetes(ctx)
	if v != nil {
		return *v
	}
	wanted := leastKubernetes
	if index, err := r.index(); err == nil && index.kubernetes[r.c.Release.ChartVersion] != "" {
		wanted = index.kubernetes[r.c.Release.ChartVersion]
	}
	parsed, err := semver.ParseTolerant(version)
	if err != nil {
		return skipped("", "%s is %q, which is not a version", from, version)
	}
	suits, err := semver.ParseRange(joined(wanted))
	if err != nil {
		return skipped("", "%s is %s; the chart wants %q, which cannot be compared here", from, version, wanted)
	}
	if !suits(parsed) {
		return failed("choose another cluster.releaseChannel, upgrade the cluster, or use another chart", "%s is %s; chart %s wants %s",
			from, version, r.c.Release.ChartVersion, wanted)
	}
	return passed("%s is %s; the chart wants %s", from, version, wanted)
}

// joined puts operators beside their versions, as the library wants it.
func joined(constraint string) string {
	for _, op := range []string{">", "<", "="} {
		for strings.Contains(constraint, op+" ") {
			constraint = strings.ReplaceAll(constraint, op+" ", op)
		}
	}
	return strings.ReplaceAll(constraint, ",", " ")
}

// kubernetes is the version of the cluster, or of the channel where there is none.
func (r *run) kubernetes(ctx context.Context) (version, from string, _ *verdict) {
	none := func(v verdict) (string, string, *verdict) { return "", "", &v }
	c, project := r.c.Cluster, r.c.GCP.Project
	s, err := r.g.container()
	if err != nil {
		return none(r.unasked(err, "Kubernetes versions", containerAPI, roleCluster, project))
	}
	place := fmt.Sprintf("projects/%s/locations/%s", project, c.Location)
	k, err := s.Projects.Locations.Clusters.Get(place + "/clusters/" + r.clusterName()).Context(ctx).Do()
	switch {
	case err == nil:
		return k.CurrentMasterVersion, "the cluster " + k.Name, nil
	case missing(err) && c.Existing != "":
		return none(failed("check cluster.existing and cluster.location", "there is no cluster %s in %s", c.Existing, c.Location))
	case !missing(err):
		return none(r.unasked(err, "the cluster", containerAPI, roleCluster, project))
	}
	answer, err := s.Projects.Locations.GetServerConfig(place).Context(ctx).Do()
	if err != nil {
		return none(r.unasked(err, "Kubernetes versions", containerAPI, roleCluster, project))
	}
	for _, channel := range answer.Channels {
		if channel.Channel == c.ReleaseChannel {
			return channel.DefaultVersion, "the default of channel " + c.ReleaseChannel, nil
		}
	}
	return none(failed("choose another cluster.releaseChannel", "there is no channel %s in %s", c.ReleaseChannel, c.Location))
}

// licenseHint says how to look from where it matters.
func (r *run) licenseHint() string {
	return fmt.Sprintf("what counts is the cluster: kubectl -n %s run license-check --rm -i --restart=Never --image=%s -- "+
		"preflight --only license-endpoint", r.c.Release.Namespace, r.c.Registry.OpsImage)
}

func (r *run) licenseEndpoint(ctx context.Context) verdict {
	if r.c.Billing.Enabled {
		return skipped("", "airgapped: billing answers, nobody asks %s", r.o.License)
	}
	const open = "open port 443 to it, also from the cluster's nodes"
	raw, err := r.o.Dial(ctx, "tcp", r.o.License)
	if err != nil {
		return failed(open, "%s cannot be reached from here: %v", r.o.License, err)
	}
	defer func() { _ = raw.Close() }()
	host, _, _ := net.SplitHostPort(r.o.License)
	// The server wants a client's certificate, which only Deepgram's containers have:
	// that it speaks TLS is all that can be seen. Nothing is sent.
	//nolint:gosec // see above
	conn := tls.Client(raw, &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	err = conn.HandshakeContext(ctx)
	var alert tls.AlertError
	var remote *net.OpError
	switch {
	case err == nil, errors.As(err, &alert), errors.As(err, &remote) && remote.Op == "remote error":
		v := passed("%s answers from here", r.o.License)
		v.fix = r.licenseHint()
		return v
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, syscall.ECONNRESET):
		return failed(open, "%s closes the connection: a firewall may be between", r.o.License)
	}
	return failed(open, "%s does not speak TLS, a proxy may be between: %v", r.o.License, err)
}
