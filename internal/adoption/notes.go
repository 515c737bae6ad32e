package adoption

import (
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// notes says what must change beforehand, and what a person who runs the
// environment will notice.
func (p *planner) notes() {
	c := p.cfg
	if certificate := c.Ingress.Certificate; c.Ingress.Enabled && certificate.Existing == "" {
		p.note(true, "certificate", "The certificate of the guide (G-IV.2) cannot be imported: the cloud never gives its key back, and one that is "+
			"uploaded a second time is another one. Name it as it is; a renewal then gives bundle and key.",
			"pulumi config rm --stack "+c.Stack+" --path deepgram-stack:ingress.certificate",
			"pulumi config set --stack "+c.Stack+" --path deepgram-stack:ingress.certificate.existing NAME",
			"gcloud compute ssl-certificates list --regions "+c.GCP.Region)
	}
	if c.Cluster.Existing == "" || !c.Cluster.ExistingPools {
		p.note(true, "cluster", "The guide's cluster and node pools run as the project's default service account and have no network tag. Neither can be "+
			"changed without replacing every node, and the guide's first pool belongs to the cluster itself. Use them as they are: with these "+
			"two keys the stack refers to them and manages neither. New pools can be made by the stack later, one at a time.",
			fmt.Sprintf("pulumi config set --stack %s --path deepgram-stack:cluster.existing %s", c.Stack, orName(c.Cluster.Existing, c.Cluster.Name)),
			fmt.Sprintf("pulumi config set --stack %s --path deepgram-stack:cluster.existingPools true", c.Stack))
	}
	p.filledDisk()
	if p.imports != nil && p.has(releaseType) {
		p.note(false, "chart", fmt.Sprintf("The guide installs a copy of the chart from a folder (G-D.1). The first up upgrades the release to chart %s of %s with the "+
			"values of this configuration: pods restart. See the difference first, and carry over by deepgram-stack:values what the copy was "+
			"changed for.", c.Release.ChartVersion, c.Release.ChartRepository),
			fmt.Sprintf("deepgram-stack values --stack %s > new.yaml", c.Stack),
			fmt.Sprintf("helm get values %s -n %s --all > old.yaml", c.Release.Name, c.Release.Namespace),
			"diff old.yaml new.yaml")
	}
	if c.Ingress.Enabled || c.Grafana.Enabled {
		p.note(false, "ingress", "The chart has no Ingress: those of the guide belong to its changed copy, and Helm deletes them in the first up. The stack's own "+
			"take over the same addresses and certificates as soon as these are free. Until then, some minutes, nobody reaches the API: "+
			"choose the hour. To choose the minute too, keep the old ones beforehand and delete them by hand after the up.",
			fmt.Sprintf("kubectl get ingress -n %s", c.Release.Namespace),
			fmt.Sprintf("kubectl annotate ingress -n %s NAME helm.sh/resource-policy=keep", c.Release.Namespace),
			fmt.Sprintf("kubectl delete ingress -n %s NAME", c.Release.Namespace))
	}
	if p.has("gcp:compute/firewall:Firewall") {
		p.note(false, "firewall", "The rule of the guide (G-III.2) is imported under the name that the stack gives it. Where yours has another one, --skip it: the up "+
			"makes the stack's own beside it, and afterwards yours can go.",
			"gcloud compute firewall-rules list --filter 'sourceRanges:("+c.Network.ProxyOnlySubnet.Cidr+")'")
	}
	p.note(false, "node account", "Nodes of the guide pull images as the project's default service account. Let it read the registry, if it cannot already.",
		fmt.Sprintf("gcloud artifacts repositories add-iam-policy-binding %s --location %s --role roles/artifactregistry.reader --member serviceAccount:ACCOUNT",
			c.Registry.Repository, c.Registry.Location))
}

func (p *planner) note(blocking bool, subject, text string, commands ...string) {
	p.plan.Notes = append(p.plan.Notes, Note{Subject: subject, Text: text, Commands: commands, Blocking: blocking})
}

// filledDisk warns of a loader that would write to the disk of the guide.
func (p *planner) filledDisk() {
	if !p.has("gcp:compute/disk:Disk") {
		return
	}
	loads := slices.ContainsFunc(p.state.Resources, func(r apitype.ResourceV3) bool { return string(r.Type) == "kubernetes:batch/v1:Job" })
	if loads {
		p.note(true, "models", "The disk of the guide (G-S) is filled already and engines have it mounted, so that a loader cannot write to it. Take the files of "+
			"this set out of the configuration for now; a new set later gets a disk of its own.",
			"pulumi config rm --stack "+p.cfg.Stack+" --path deepgram-stack:models.files")
	}
}

func (p *planner) has(typ string) bool {
	return slices.ContainsFunc(p.plan.Imported, func(i Item) bool { return i.Type == typ })
}

func orName(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Blocked are the notes that must be dealt with first.
func (p *Plan) Blocked() (notes []Note) {
	for _, n := range p.Notes {
		if n.Blocking {
			notes = append(notes, n)
		}
	}
	return notes
}
