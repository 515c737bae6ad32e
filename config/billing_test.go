package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// airgapped is the smallest airgapped configuration with changes.
func airgapped(t *testing.T, changes ...string) (*config.Config, error) {
	t.Helper()
	return config.FromTree("test", changed(t, append([]string{
		"-release.apiKey", "billing.enabled=true", "billing.licenseKey=key", "billing.licenseFile=file",
	}, changes...)...))
}

func TestArchitectureAndStorage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		architecture, storage string
		proxy                 bool
		gb                    int
		refused               string
	}{
		{"standard", "shared", false, 1024, ""},
		{"standard", "block", false, 10, ""},
		{"highly-available", "shared", true, 1024, ""},
		{"highly-available", "block", true, 10, `"highly-available" needs billing.storage shared`},
	} {
		cfg, err := airgapped(t, "billing.architecture="+c.architecture, "billing.storage="+c.storage)
		if c.refused != "" {
			assert.ErrorContains(t, err, c.refused)
			continue
		}
		require.NoError(t, err, "%s, %s", c.architecture, c.storage)
		assert.Equal(t, c.proxy, cfg.LicenseProxy.Enabled, "licence proxy with %s", c.architecture)
		assert.Equal(t, c.gb, cfg.Billing.JournalGb)
		assert.Equal(t, c.storage == "shared", cfg.Billing.Filestore())
	}
}

func TestJournalSizes(t *testing.T) {
	t.Parallel()
	for change, gb := range map[string]int{
		"billing.filestoreTier=premium":                                2560,
		"billing.filestoreTier=zonal":                                  1024,
		"billing.storageClass=premium-rwx":                             2560,
		"billing.storageClass=enterprise-multishare-rwx":               100,
		"billing.storageClass=efs-sc":                                  10,
		"billing={storage: block, storageClass: gp3}":                  10,
		"billing={existingClaim: journals, storage: shared}":           10,
		"billing={filestoreTier: premium, storageClass: standard-rwx}": 1024,
	} {
		cfg, err := config.FromTree("test", changed(t, change))
		require.NoError(t, err, change)
		assert.Equal(t, gb, cfg.Billing.JournalGb, change)
	}
}

func TestBillingRefusals(t *testing.T) {
	t.Parallel()
	const s3 = "billing.backup={target: s3, s3: {region: us-west-2, "
	for _, c := range []struct{ change, want string }{
		{"billing.journalGb=100", "billing.journalGb: 100 is less than the smallest Filestore instance of that tier; allowed: 1024 or more"},
		{"billing={filestoreTier: premium, journalGb: 1024, enabled: true, licenseKey: a, licenseFile: b}", "allowed: 2560 or more"},
		{"billing.storageClass=gp3", `billing.storageClass: "gp3" is block storage`},
		{"billing.storageClass=Bad_Class", "billing.storageClass: \"Bad_Class\" is not valid"},
		{"billing={storage: block, storageClass: efs-sc, enabled: true, licenseKey: a, licenseFile: b}", `"efs-sc" is shared storage`},
		{"billing={architecture: highly-available, enabled: true, licenseKey: a, licenseFile: b}\nlicenseProxy.enabled=false", "needs licenseProxy.enabled"},
		{"billing.shareModels=true", "needs a models volume that many can write"},
		{"billing={shareModels: true, existingClaim: x, enabled: true, licenseKey: a, licenseFile: b}", "billing.shareModels: excludes billing.existingClaim"},
		{"billing={existingClaim: x, storageClass: gp3, enabled: true, licenseKey: a, licenseFile: b}", "billing.storageClass: excludes a claim that is there"},
		{`billing.licenseKey='a\b'`, `holds |, & or \`},
		{"billing.licenseKey=a&b", `holds |, & or \`},
		{"billing.backup.bucket=google-journals", "may not begin with goog"},
		{"billing.backup={target: s3}", "billing.backup.s3.region: is missing"},
		{s3 + "accessKeyId: a}}", "billing.backup.s3.secretAccessKey: is missing"},
		{s3 + "accessKeyId: a, secretAccessKey: b, roleArn: 'arn:aws:iam::123456789012:role/journals'}}", "billing.backup.s3.roleArn: excludes"},
		{s3 + "roleArn: nobody}}", "billing.backup.s3.roleArn: \"nobody\" is not valid"},
		{"billing.backup={target: gcs, s3: {region: us-west-2}}", "billing.backup.s3: excludes billing.backup.target gcs"},
		{"billing.backup={target: volume}", "billing.backup.volume: is missing"},
		{"billing.backup={target: volume, volume: {server: nas}}", "needs server and path"},
		{"billing.backup={target: volume, volume: {claim: x, server: nas, path: /x}}", "has a claim and an NFS share"},
		{"billing.backup={target: volume, volume: {claim: dg-billing-journal}}", "is the journals' own claim"},
		{"billing.backup={target: gcs, volume: {claim: x}}", "billing.backup.volume: excludes billing.backup.target gcs"},
		{"billing.backup={target: volume, existingBucket: true, volume: {claim: x}}", "is for target gcs only"},
		{"billing.backup.target=ftp", "billing.backup.target: \"ftp\" is not known; allowed: gcs, s3, volume"},
	} {
		_, err := airgapped(t, splitLines(c.change)...)
		assert.ErrorContains(t, err, c.want, c.change)
	}
}

func TestBillingAccepts(t *testing.T) {
	t.Parallel()
	for _, change := range []string{
		"billing.backup={target: s3, s3: {region: us-west-2, accessKeyId: a, secretAccessKey: b, endpoint: 'https://s3.example.com:9000'}}",
		"billing.backup={target: s3, s3: {region: us-west-2, roleArn: 'arn:aws:iam::123456789012:role/journals'}}",
		"billing.backup={target: volume, folder: journals/prod, volume: {server: 10.0.0.2, path: /exports/journals}}",
		"billing.backup={enabled: false, target: s3}",
		"billing.replicas=3\npools.billing.maxNodes=3",
	} {
		_, err := airgapped(t, splitLines(change)...)
		assert.NoError(t, err, change)
	}
	cfg, err := airgapped(t, "billing.shareModels=true",
		"values={engine: {modelManager: {volumes: {gcp: {gpd: {enabled: false}}, customVolumeClaim: {enabled: true, name: models-rwx}}}}}")
	require.NoError(t, err)
	assert.Equal(t, "models-rwx", cfg.Billing.JournalClaim(cfg.Values))
	cfg, err = airgapped(t, "billing.existingClaim=journals")
	require.NoError(t, err)
	assert.Equal(t, "journals", cfg.Billing.JournalClaim(cfg.Values))
}

// TestAlertAge: an alert on old copies waits for the longest pause of the schedule
// and for the backup itself.
func TestAlertAge(t *testing.T) {
	t.Parallel()
	for change, hours := range map[string]int{
		"billing.enabled=false":                                           30, // daily, in UTC
		"billing.backup.schedule='*/5 * * * *'":                           7,
		"billing.backup.schedule='@weekly'":                               174,
		"billing.backup.schedule='0 2 * * 1-5'":                           78, // Friday to Monday
		"billing.backup.schedule='0 2,14 * * *'":                          18,
		"billing.backup={schedule: '0 2 * * *', timeZone: Europe/Berlin}": 53, // one night in spring has no 2 o'clock
		"billing.backup.alertHours=48":                                    48,
	} {
		cfg, err := config.FromTree("test", changed(t, change))
		require.NoError(t, err, change)
		assert.Equal(t, hours, cfg.Billing.Backup.AlertHours, change)
	}
}

func TestAlertRulesGoWithTheMode(t *testing.T) {
	t.Parallel()
	for change, want := range map[string]string{
		"monitoring={mode: bundled, rules: google}":                        "monitoring.rules",
		"monitoring={mode: bundled, ruleLabels: {a: b}}":                   "monitoring.ruleLabels",
		"monitoring={mode: existing, rules: google, ruleLabels: {a: b}}":   "monitoring.ruleLabels",
		"monitoring={mode: existing, rules: operator, ruleLabels: {a: b}}": "",
		"monitoring={mode: existing, rules: none}":                         "",
	} {
		_, err := config.FromTree("test", changed(t, change, "grafana.enabled=false"))
		if want == "" {
			assert.NoError(t, err, change)
		} else {
			assert.ErrorContains(t, err, want, change)
		}
	}
}
