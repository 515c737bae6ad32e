package config

import (
	"fmt"
	"strings"
)

// billing checks the airgapped settings (airgapped guide, A-ARCH and A-STORE).
func (v *validator) billing() {
	b := v.c.Billing
	if strings.ContainsAny(b.LicenseKey.Reveal(), "|&\\") {
		v.problem("billing.licenseKey", "", `holds |, & or \, which the chart cannot carry`,
			"a licence key without these characters", "ask Deepgram for another key")
	}
	if !b.Enabled {
		return
	}
	v.excludes(!v.c.Release.APIKey.IsZero(), "release.apiKey", "billing.enabled")
	if b.Storage == "block" && b.Replicas > 1 {
		v.problem("billing.replicas", fmt.Sprint(b.Replicas), "needs billing.storage shared: a block volume is for one pod", "1", "")
	}
	if b.Architecture == "highly-available" {
		if !v.c.LicenseProxy.Enabled {
			v.problem("billing.architecture", quote(b.Architecture), "needs licenseProxy.enabled",
				"standard", "set licenseProxy.enabled to true")
		}
		if b.Storage == "block" {
			v.problem("billing.architecture", quote(b.Architecture), "needs billing.storage shared: a block journal means downtime",
				"standard", "set billing.storage to shared")
		}
	}
	v.journalVolume(b)
	if b.Backup.Enabled {
		v.backup(b)
	}
}

// journalVolume checks where the journals are.
func (v *validator) journalVolume(b Billing) {
	v.excludes(b.ShareModels && b.ExistingClaim != "", "billing.shareModels", "billing.existingClaim")
	if b.ShareModels {
		if b.Storage == "block" {
			v.problem("billing.shareModels", "true", "needs billing.storage shared: the engines have that volume, too", "false", "")
		}
		if b.ModelsClaim(v.c.Values) == "" {
			v.problem("billing.shareModels", "true", "needs a models volume that many can write: the models disk is read-only for its pods", "false",
				"set values.engine.modelManager.volumes.customVolumeClaim.enabled and .name, and .gcp.gpd.enabled to false, or leave shareModels out")
		}
	}
	if b.ShareModels || b.ExistingClaim != "" {
		v.excludes(b.StorageClass != "", "billing.storageClass", "a claim that is there")
		return
	}
	if b.StorageClass != "" {
		block := b.StorageClass == "gp2" || b.StorageClass == "gp3" || strings.HasSuffix(b.StorageClass, "-rwo")
		if block && b.Storage == "shared" {
			v.problem("billing.storageClass", quote(b.StorageClass), "is block storage, for one node (ReadWriteOnce)",
				"a class of shared storage, such as standard-rwx or efs-sc", "or set billing.storage to block")
		}
		if b.Storage == "block" && (strings.HasSuffix(b.StorageClass, "-rwx") || b.StorageClass == "efs-sc") {
			v.problem("billing.storageClass", quote(b.StorageClass), "is shared storage",
				"a class of block storage, such as standard-rwo or gp3", "or set billing.storage to shared")
		}
	}
	if least := b.LeastJournalGb(); b.JournalGb < least && !v.has("billing.journalGb") {
		v.problem("billing.journalGb", fmt.Sprint(b.JournalGb), "is less than the smallest Filestore instance of that tier",
			fmt.Sprintf("%d or more", least), "or set billing.storage to block, which needs 10")
	}
}

// ModelsClaim is the claim of the models where the raw values name one that the
// pods may write; otherwise "".
func (b *Billing) ModelsClaim(values map[string]any) string {
	var at any = values
	for _, key := range []string{"engine", "modelManager", "volumes", "customVolumeClaim"} {
		m, _ := at.(map[string]any)
		at = m[key]
	}
	claim, _ := at.(map[string]any)
	if on, _ := claim["enabled"].(bool); !on {
		return ""
	}
	name, _ := claim["name"].(string)
	return name
}

// backup checks the scheduled copy (guide A-CRON).
func (v *validator) backup(b Billing) {
	k := b.Backup
	keys := !k.S3.AccessKeyID.IsZero() || !k.S3.SecretAccessKey.IsZero()
	if k.Target != "s3" {
		v.excludes(k.S3.Endpoint+k.S3.Region+k.S3.RoleARN != "" || keys, "billing.backup.s3", "billing.backup.target "+k.Target)
	}
	if k.Target != "gcs" && k.ExistingBucket {
		v.problem("billing.backup.existingBucket", "true", "is for target gcs only", "false", "")
	}
	if k.Target != "volume" {
		v.excludes(k.Volume != BackupVolume{}, "billing.backup.volume", "billing.backup.target "+k.Target)
	}
	switch k.Target {
	case "gcs":
		// Google refuses these names.
		if strings.HasPrefix(k.Bucket, "goog") || strings.Contains(k.Bucket, "google") {
			v.problem("billing.backup.bucket", quote(k.Bucket), "may not begin with goog or contain google", "another name", "")
		}
	case "s3":
		if k.S3.Region == "" {
			v.problem("billing.backup.s3.region", "", "is missing", "a region such as us-west-2", "")
		}
		v.excludes(keys && k.S3.RoleARN != "", "billing.backup.s3.roleArn", "billing.backup.s3.accessKeyId")
	case "volume":
		nfs := k.Volume.Server != "" || k.Volume.Path != ""
		switch {
		case k.Volume.Claim == "" && !nfs:
			v.problem("billing.backup.volume", "", "is missing", "claim, or server and path of an NFS share", "")
		case k.Volume.Claim != "" && nfs:
			v.problem("billing.backup.volume", "", "has a claim and an NFS share", "one of the two", "remove one")
		case nfs && (k.Volume.Server == "" || k.Volume.Path == ""):
			v.problem("billing.backup.volume", "", "needs server and path of the NFS share", "both", "")
		case k.Volume.Claim != "" && k.Volume.Claim == b.JournalClaim(v.c.Values):
			v.problem("billing.backup.volume.claim", quote(k.Volume.Claim), "is the journals' own claim: a copy beside the original is lost with it", "another claim", "")
		}
	}
}

// DefaultJournalClaim is the claim that is made for the journals.
const DefaultJournalClaim = "dg-billing-journal"

// JournalClaim is the claim of the journals.
func (b *Billing) JournalClaim(values map[string]any) string {
	switch {
	case b.ShareModels:
		return b.ModelsClaim(values)
	case b.ExistingClaim != "":
		return b.ExistingClaim
	}
	return DefaultJournalClaim
}
