package config

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Complete fills in what is derived from other keys and was not given: names from
// the prefix, locations from the region, counts from other counts. It may be
// called again after a change; what is filled in already stays. The names of
// model disks are not among it: ModelSets has them.
func (c *Config) Complete() {
	setDefault(&c.Environment.NamePrefix, c.Stack+"-deepgram")
	prefix := c.Environment.NamePrefix
	c.Models.prefix = prefix

	setDefault(&c.Registry.Location, c.GCP.Region)
	setDefault(&c.Registry.Project, c.GCP.Project)
	setDefault(&c.Network.Project, c.GCP.Project)
	if c.Network.ProxyOnlySubnet.Existing == "" {
		setDefault(&c.Network.ProxyOnlySubnet.Name, prefix+"-proxy-only")
	}
	setDefault(&c.Ingress.AddressName, prefix+"-ilb-ip-address")
	c.Ingress.Certificate.complete(prefix)
	if c.Ingress.PreviousCertificate != nil {
		c.Ingress.PreviousCertificate.complete(prefix)
	}
	setDefault(&c.Grafana.AddressName, prefix+"-grafana-alb-ip-address")
	setDefault(&c.Grafana.CertificateName, prefix+"-grafana-alb-cert")

	setDefault(&c.Cluster.Name, prefix+"-cluster")
	setDefault(&c.Cluster.Location, c.GCP.Region)
	if len(c.Cluster.NodeZones) == 0 && c.GCP.Zone != "" {
		c.Cluster.NodeZones = []string{c.GCP.Zone}
	}
	if c.Cluster.DeletionProtection == nil {
		production := c.Environment.Production
		c.Cluster.DeletionProtection = &production
	}
	for _, p := range c.Pools.byRole() {
		setDefault(&p.pool.Name, p.role+"-pool")
	}
	c.Models.complete()
	e := &c.Scaling.Engine
	if e.StreamsPerPod == nil && e.BatchRequestsPerPod == nil && e.TTSRequestsPerPod == nil && e.CapacityRatio == nil {
		streams := 30 // what the guide's production uses on an L4
		e.StreamsPerPod = &streams
	}
	if c.Monitoring.Mode == "google" {
		setDefault(&c.Monitoring.Rules, "google")
	}
	setDefault(&c.Monitoring.Rules, "operator")
	setDefault(&c.Backup.Location, c.GCP.Region)
	c.Billing.complete()
	setDefault(&c.Billing.Backup.Location, c.GCP.Region)
	if c.Billing.Enabled && c.Billing.Architecture == "standard" {
		// API and Engine ask billing themselves: a proxy would run idle.
		c.LicenseProxy.Enabled = false
	}
	if c.GCP.Project != "" {
		setDefault(&c.Billing.Backup.Bucket, bucketName(c.GCP.Project, prefix))
	}
}

// complete chooses the size of the journals' volume: a block journal grows by
// megabytes a month, and Filestore has a least size.
func (b *Billing) complete() {
	if b.JournalGb == 0 {
		b.JournalGb = max(b.LeastJournalGb(), 10)
	}
	b.Backup.AlertHours = b.Backup.AlertAge()
}

// AlertAge is AlertHours or, where that is 0, what it is derived from: the longest
// pause of the schedule and what one backup may take.
func (k *BillingBackup) AlertAge() int {
	if k.AlertHours != 0 {
		return k.AlertHours
	}
	return k.longestPause() + backupLimitHours
}

// backupLimitHours is how long a backup may run: what it ends by itself after
// that time has failed.
const backupLimitHours = 6

// longestPause is the longest time between two backups in whole hours: 24 where
// the schedule cannot be read.
func (k *BillingBackup) longestPause() int {
	zone, err := time.LoadLocation(k.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	schedule, err := cron.ParseStandard(k.Schedule)
	if err != nil {
		return 24
	}
	// Any year will do; two of them have every pause of a yearly schedule, and the
	// number of runs ends the search in those that run every minute.
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, zone)
	end := first.AddDate(2, 0, 0)
	var longest time.Duration
	at := schedule.Next(first)
	for range 5000 {
		next := schedule.Next(at)
		if at.IsZero() || next.IsZero() || next.After(end) {
			break
		}
		longest = max(longest, next.Sub(at))
		at = next
	}
	if longest == 0 {
		return 24
	}
	return int((longest + time.Hour - 1) / time.Hour)
}

// Filestore tells whether the journals' volume is a Filestore instance.
func (b *Billing) Filestore() bool {
	return b.Storage == "shared" && b.ExistingClaim == "" && !b.ShareModels &&
		(b.StorageClass == "" || strings.HasSuffix(b.StorageClass, "-rwx"))
}

// LeastJournalGb is the least size of the journals' volume in GiB: Filestore's,
// or 1.
func (b *Billing) LeastJournalGb() int {
	switch {
	case !b.Filestore():
		return 1
	case b.StorageClass == "enterprise-multishare-rwx":
		return 100
	case b.StorageClass == "premium-rwx" || b.StorageClass == "" && b.FilestoreTier == "premium":
		return 2560
	}
	return 1024
}

// bucketName is <project>-<prefix>-journals; where that is too long for a bucket,
// its end is a hash.
func bucketName(project, prefix string) string {
	name := strings.NewReplacer(":", "-", ".", "-").Replace(project) + "-" + prefix + "-journals"
	if len(name) <= maxName {
		return name
	}
	return strings.TrimRight(name[:maxName-9], "-_.") + "-" + shortHash([]byte(name))
}

// setDefault sets what is empty.
func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// rolePool is a pool with the name of its role and its key.
type rolePool struct {
	role, key string
	pool      *Pool
}

// byRole are the pools in the order of the keys. The roles are the values of the
// label k8s.deepgram.com/node-type (guide G-C.2).
func (p *Pools) byRole() []rolePool {
	return []rolePool{
		{"system", "system", &p.System},
		{"api", "api", &p.API},
		{"engine", "engine", &p.Engine},
		{"license-proxy", "licenseProxy", &p.LicenseProxy},
		{"billing", "billing", &p.Billing},
	}
}

// complete derives the name from the certificate, so that another certificate has
// another name and can be made before the old one goes.
func (c *Certificate) complete(prefix string) {
	if c.Bundle != "" && c.Existing == "" {
		setDefault(&c.Name, prefix+"-ilb-cert-"+certificateHash(c.Bundle))
	}
}

// Expires is the end of the first certificate of the bundle to end; zero where the
// certificate is not known here.
func (c *Certificate) Expires() (end time.Time) {
	rest := []byte(c.Bundle)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return end
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue // Validate tells of it
		}
		if end.IsZero() || cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
}

// certificateHash is 8 hex digits of the host's certificate; of the text, where
// it is no certificate.
func certificateHash(bundle string) string {
	content := []byte(strings.Join(strings.Fields(bundle), "\n"))
	if block, _ := pem.Decode([]byte(bundle)); block != nil {
		content = block.Bytes
	}
	return shortHash(content)
}

// shortHash is the first 8 hex digits of the SHA-256 digest.
func shortHash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])[:8]
}

// complete gives each set's own disk settings what models.disk says.
func (m *Models) complete() {
	for name, set := range m.Sets {
		if set.Disk == nil {
			continue
		}
		disk := *set.Disk
		if disk.SizeGb == 0 {
			disk.SizeGb = m.Disk.SizeGb
		}
		setDefault(&disk.Type, m.Disk.Type)
		set.Disk = &disk
		m.Sets[name] = set
	}
}

// ResolveFiles reads the certificates' bundleFile and keyFile, relative to dir,
// into Bundle and Key, empties the file keys, completes what depends on them and
// validates the certificates. The error holds an *Error.
func (c *Config) ResolveFiles(dir string) error {
	var problems []Problem
	read := func(key string, name *string) string {
		if *name == "" {
			return ""
		}
		file := *name
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			reason := err
			var pathError *os.PathError
			if errors.As(err, &pathError) {
				reason = pathError.Err
			}
			problems = append(problems, Problem{
				Key: key, Value: quote(*name), Message: fmt.Sprintf("cannot be read: %v", reason),
				Fix: "give a file relative to the project's folder",
			})
			return ""
		}
		if len(text) == 0 {
			problems = append(problems, Problem{Key: key, Value: quote(*name), Message: "is an empty file"})
		}
		*name = ""
		return string(text)
	}
	if c.Registry.Lock != "" {
		if file, text := c.Registry.Lock, read("registry.lock", &c.Registry.Lock); text != "" {
			// The program that mirrors reads it, wherever it is started.
			if !filepath.IsAbs(file) {
				file = filepath.Join(dir, file)
			}
			if absolute, err := filepath.Abs(file); err == nil {
				file = absolute
			}
			c.Registry.Lock = file
		}
	}
	for _, at := range c.certificates() {
		// Both ways at once is a mistake that Validate reports: do not hide it.
		if at.cert.Bundle == "" {
			at.cert.Bundle = read(at.key+".bundleFile", &at.cert.BundleFile)
		}
		if at.cert.Key.IsZero() {
			if text := read(at.key+".keyFile", &at.cert.KeyFile); text != "" {
				at.cert.Key = NewSecret(text)
			}
		}
	}
	if len(problems) > 0 {
		return newError(problems)
	}
	c.Complete()
	v := validator{c: c, now: now()}
	v.certificates()
	return newError(v.problems)
}

// certificateAt is a certificate with its key.
type certificateAt struct {
	key  string
	cert *Certificate
}

// certificates are those that were given.
func (c *Config) certificates() []certificateAt {
	out := []certificateAt{{Namespace + ":ingress.certificate", &c.Ingress.Certificate}}
	if c.Ingress.PreviousCertificate != nil {
		out = append(out, certificateAt{Namespace + ":ingress.previousCertificate", c.Ingress.PreviousCertificate})
	}
	return out
}

// isZero tells that a certificate was not given.
func (c *Certificate) isZero() bool { return reflect.ValueOf(*c).IsZero() }
