package components

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Validate reports every mistake in the arguments.
func (a *BillingArgs) Validate() error {
	var errs argumentErrors
	errs.require("Release", a.Release, "deepgram")
	errs.require("Namespace", a.Namespace, "deepgram")
	need := func(in pulumi.Input, argument, why string) {
		if in == nil {
			errs.addf(argument, "is required: %s", why)
		}
	}
	need(a.LicenseKey, "LicenseKey", "DEEPGRAM_LICENSE_KEY (guide A-PRE)")
	need(a.LicenseFile, "LicenseFile", "the text of the .dg licence file (guide A-PRE)")
	if a.Project != "" {
		errs.project("Project", a.Project)
		errs.name("NamePrefix", a.NamePrefix)
	}
	a.validateArchitecture(&errs)
	a.validateStorage(&errs)
	if a.Billing.Backup.Enabled {
		a.validateBackup(&errs)
	}
	return errs.err()
}

func (a *BillingArgs) validateArchitecture(errs *argumentErrors) {
	s := a.Billing
	switch s.Architecture {
	case "standard":
	case "highly-available":
		if s.Storage == "block" {
			errs.addf("Billing.Architecture", "highly-available needs Billing.Storage shared: a block journal means downtime")
		}
	default:
		errs.addf("Billing.Architecture", "%q must be standard or highly-available", s.Architecture)
	}
	switch {
	case s.Storage != "shared" && s.Storage != "block":
		errs.addf("Billing.Storage", "%q must be shared or block", s.Storage)
	case s.Storage == "block" && s.Replicas > 1:
		errs.addf("Billing.Replicas", "%d needs Billing.Storage shared: a block volume is for one pod", s.Replicas)
	}
	if s.Replicas < 1 {
		errs.addf("Billing.Replicas", "%d must be 1 or more", s.Replicas)
	}
}

func (a *BillingArgs) validateStorage(errs *argumentErrors) {
	s := a.Billing
	switch {
	case s.ShareModels && s.ExistingClaim != "":
		errs.addf("Billing.ShareModels", "excludes Billing.ExistingClaim; give one of them")
	case s.ShareModels && a.ModelsClaim == "":
		errs.addf("Billing.ShareModels", "needs ModelsClaim, a claim of the models that many pods can write; the models disk is read-only for its pods")
	case s.ShareModels && s.Storage == "block":
		errs.addf("Billing.ShareModels", "needs Billing.Storage shared: the engines have that volume, too")
	case s.ShareModels, s.ExistingClaim != "":
	case a.Project == "" && s.StorageClass == "":
		errs.addf("Billing.StorageClass", "is required without Project: a class of the cluster, such as efs-sc (shared) or gp3 (block)")
	case s.JournalGb < s.LeastJournalGb():
		errs.addf("Billing.JournalGb", "%d is less than the smallest Filestore instance of that tier, %d", s.JournalGb, s.LeastJournalGb())
	}
}

func (a *BillingArgs) validateBackup(errs *argumentErrors) {
	k := a.Billing.Backup
	if a.OpsImage == nil {
		errs.addf("OpsImage", "is required with Billing.Backup: the image of deepgram-ops, such as Registry.OpsImage")
	}
	errs.require("Billing.Backup.Schedule", k.Schedule, "0 2 * * *")
	if k.Target != "volume" {
		errs.require("Billing.Backup.Bucket", k.Bucket, "acme-deepgram-journals")
	}
	switch k.Target {
	case "gcs":
		if a.Project == "" {
			errs.addf("Billing.Backup.Target", "gcs needs Project; on a cluster that is not GKE use s3 or volume")
		}
		if !k.ExistingBucket {
			errs.require("Billing.Backup.Location", k.Location, "us-central1")
			if k.RetentionDays < 1 {
				errs.addf("Billing.Backup.RetentionDays", "%d must be 1 or more", k.RetentionDays)
			}
		}
	case "s3":
		errs.require("Billing.Backup.S3.Region", k.S3.Region, "us-west-2")
		keys := a.S3AccessKeyID != nil && a.S3SecretAccessKey != nil
		switch {
		case k.S3.RoleARN == "" && !keys:
			errs.addf("S3AccessKeyID, S3SecretAccessKey", "are required for target s3, unless Billing.Backup.S3.RoleARN is given")
		case k.S3.RoleARN != "" && (a.S3AccessKeyID != nil || a.S3SecretAccessKey != nil):
			errs.addf("S3AccessKeyID, S3SecretAccessKey", "exclude Billing.Backup.S3.RoleARN; give one of the two")
		}
	case "volume":
		nfs := k.Volume.Server != "" && k.Volume.Path != ""
		if (k.Volume.Claim != "") == nfs {
			errs.addf("Billing.Backup.Volume", "needs a claim, or server and path of an NFS share")
		}
		if k.Volume.Claim != "" && k.Volume.Claim == a.claim() {
			errs.addf("Billing.Backup.Volume.Claim", "%q is the journals' own claim: a copy beside the original is lost with it", k.Volume.Claim)
		}
	default:
		errs.addf("Billing.Backup.Target", "%q must be gcs, s3 or volume", k.Target)
	}
}
