package adoption

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/cloudid"
)

// Names of the two import files: what is in Google Cloud, and what is in the
// cluster, whose provider needs the first.
const (
	CloudFile   = "1-cloud.json"
	ClusterFile = "2-cluster.json"
)

// Options change a plan.
type Options struct {
	// IDs are ids by logical name, for what was made under another name than the
	// configuration can say.
	IDs map[string]string
	// Skip are logical names of what was not made by hand: the next up makes it.
	Skip []string
	// Dir is the folder of the import files, as the commands name it.
	Dir string
}

// Item is one resource of the program.
type Item struct {
	URN  string `json:"urn"`
	Type string `json:"type"`
	// Name is its logical name.
	Name string `json:"name"`
	// ID is its id in the cloud; only of what is imported.
	ID string `json:"id,omitempty"`
	// Guide is the step of the guide that made it by hand.
	Guide string `json:"guide,omitempty"`
	// Change is what the first up after the import changes; empty for nothing.
	Change string `json:"change,omitempty"`
}

// Note is something to be done or known before.
type Note struct {
	// Subject is what it is about.
	Subject string `json:"subject"`
	Text    string `json:"text"`
	// Commands are what to run; may be empty.
	Commands []string `json:"commands,omitempty"`
	// Blocking tells that the plan must not be carried out before.
	Blocking bool `json:"blocking,omitempty"`
}

// Step is one thing to do, in order.
type Step struct {
	Title    string   `json:"title"`
	Commands []string `json:"commands"`
}

// Plan is how to adopt an environment.
type Plan struct {
	Stack string `json:"stack"`
	// Notes come first: what must change before, and what will behave differently.
	Notes []Note `json:"notes"`
	// Imported is what comes under the stack; Created is what the next up makes.
	Imported []Item `json:"imported"`
	Created  []Item `json:"created"`
	Steps    []Step `json:"steps"`
	// Files are the import files by name.
	Files map[string]ImportFile `json:"-"`
}

// ImportFile is what `pulumi import --file` reads.
type ImportFile struct {
	NameTable map[string]string `json:"nameTable,omitempty"`
	Resources []ImportResource  `json:"resources"`
}

// ImportResource is one entry of an ImportFile.
type ImportResource struct {
	Type        string `json:"type"`
	Name        string `json:"name"`
	LogicalName string `json:"logicalName"`
	ID          string `json:"id,omitempty"`
	Parent      string `json:"parent,omitempty"`
	Provider    string `json:"provider,omitempty"`
	Version     string `json:"version,omitempty"`
	Component   bool   `json:"component,omitempty"`
}

// byHand are the steps of the guide that make a resource, by type, and what the
// first up changes of it.
var byHand = map[string]struct{ guide, change string }{
	"gcp:artifactregistry/repository:Repository": {"G-II.2", "labels and description"},
	"gcp:compute/address:Address":                {"G-III.3", "labels"},
	"gcp:compute/disk:Disk":                      {"G-S.1", "labels"},
	"gcp:compute/firewall:Firewall":              {"G-III.2", "description, and limited to the cluster's nodes"},
	"gcp:compute/globalAddress:GlobalAddress":    {"G-V.1", "labels"},
	"gcp:compute/subnetwork:Subnetwork":          {"G-III.1", ""},
	"gcp:container/cluster:Cluster":              {"G-C.1", "labels, identities, what it logs and measures"},
	"gcp:container/nodePool:NodePool":            {"G-C.2", "its settings"},
	"gcp:dns/recordSet:RecordSet":                {"G-IV.3", "time to live"},
	"kubernetes:core/v1:Namespace":               {"G-C.3", "labels"},
	releaseType:                                  {"G-D.1", "chart and values"},
	certificateType:                              {"G-V.2", "labels"},
}

const (
	releaseType     = "kubernetes:helm.sh/v3:Release"
	secretType      = "kubernetes:core/v1:Secret"
	certificateType = "kubernetes:networking.gke.io/v1:ManagedCertificate"
	stackType       = "pulumi:pulumi:Stack"
)

// guideSecrets are the Secrets that the guide makes.
var guideSecrets = []string{"dg-regcred", "dg-self-hosted-api-key"}

// Make plans. deployment is the state of a rehearsal of cfg; none of its secrets
// comes into the plan.
func Make(cfg *config.Config, deployment *apitype.DeploymentV3, o Options) (*Plan, error) {
	p := &planner{
		cfg: cfg, o: o, used: map[string]bool{}, state: deployment,
		plan: &Plan{Stack: cfg.Stack, Notes: []Note{}, Imported: []Item{}, Created: []Item{}, Files: map[string]ImportFile{}},
		keys: map[string]string{},
	}
	if err := p.sort(); err != nil {
		return nil, err
	}
	p.files()
	p.notes()
	p.steps()
	return p.plan, nil
}

type planner struct {
	cfg   *config.Config
	o     Options
	used  map[string]bool
	state *apitype.DeploymentV3
	plan  *Plan
	// imports are the resources to import; keys are their names in the files.
	imports  []apitype.ResourceV3
	keys     map[string]string
	provider string
}

// sort tells what is imported from what is made.
func (p *planner) sort() error {
	var errs []error
	for _, r := range p.state.Resources {
		typ, name := string(r.Type), r.URN.Name()
		if typ == "pulumi:providers:kubernetes" {
			p.provider = string(r.URN)
		}
		if !r.Custom || strings.HasPrefix(typ, "pulumi:") {
			continue
		}
		item := Item{URN: string(r.URN), Type: typ, Name: name}
		guide, change, made := madeByHand(r)
		given, named := p.o.IDs[name]
		skipped := slices.Contains(p.o.Skip, name)
		p.used[name] = p.used[name] || named || skipped
		if named && skipped {
			errs = append(errs, fmt.Errorf("%s is both skipped and given an id; give one of both", name))
		}
		if skipped || !made && !named {
			p.plan.Created = append(p.plan.Created, item)
			continue
		}
		id, known := cloudid.Of(typ, r.Inputs, p.inputsOf(r.Provider))
		if named {
			id, known = given, true
		}
		if !known {
			errs = append(errs, fmt.Errorf("%s (%s): its id does not follow from the configuration; give it as %s=ID", name, typ, name))
			continue
		}
		item.ID, item.Guide, item.Change = id, guide, change
		p.plan.Imported = append(p.plan.Imported, item)
		p.imports = append(p.imports, r)
	}
	for _, name := range slices.Sorted(slices.Values(append(keysOf(p.o.IDs), p.o.Skip...))) {
		if !p.used[name] {
			errs = append(errs, fmt.Errorf("%s is no logical name of this environment; take one from the plan", name))
		}
	}
	return errors.Join(errs...)
}

func madeByHand(r apitype.ResourceV3) (guide, change string, made bool) {
	if string(r.Type) == secretType {
		metadata, _ := r.Inputs["metadata"].(map[string]any)
		name, _ := metadata["name"].(string)
		return "G-K.1", "labels, and its content as configured", slices.Contains(guideSecrets, name)
	}
	step, made := byHand[string(r.Type)]
	return step.guide, step.change, made
}

func keysOf(m map[string]string) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

// inputsOf are the inputs of a provider by its reference, URN::id.
func (p *planner) inputsOf(reference string) map[string]any {
	urn := reference[:max(0, strings.LastIndex(reference, "::"))]
	for _, r := range p.state.Resources {
		if string(r.URN) == urn {
			return r.Inputs
		}
	}
	return nil
}

// files writes the import files: components first, which are parents.
func (p *planner) files() {
	cloud := ImportFile{Resources: []ImportResource{}}
	for _, r := range p.state.Resources {
		if r.Custom || string(r.Type) == stackType {
			continue
		}
		key := p.key(r)
		cloud.Resources = append(cloud.Resources, ImportResource{
			Type: string(r.Type), Name: key, LogicalName: r.URN.Name(), Parent: p.keys[string(r.Parent)], Component: true,
		})
	}
	cluster := ImportFile{NameTable: map[string]string{"kubernetes": p.provider}, Resources: []ImportResource{}}
	for i, r := range p.imports {
		item := p.plan.Imported[i]
		entry := ImportResource{
			Type: item.Type, Name: p.key(r), LogicalName: item.Name, ID: item.ID, Parent: p.keys[string(r.Parent)],
		}
		entry.Version, _ = p.inputsOf(r.Provider)["version"].(string)
		if !strings.HasPrefix(item.Type, "kubernetes:") {
			cloud.Resources = append(cloud.Resources, entry)
			continue
		}
		entry.Provider = "kubernetes"
		if entry.Parent != "" {
			cluster.NameTable[entry.Parent] = string(r.Parent)
		}
		cluster.Resources = append(cluster.Resources, entry)
	}
	p.plan.Files[CloudFile] = cloud
	if len(cluster.Resources) > 0 {
		p.plan.Files[ClusterFile] = cluster
	}
}

// key is a resource's name in the files, which is unique in both.
func (p *planner) key(r apitype.ResourceV3) string {
	typ := string(r.Type)
	key := r.URN.Name() + "-" + typ[cmp.Or(strings.LastIndex(typ, ":")+1, 0):]
	p.keys[string(r.URN)] = key
	return key
}

// steps are the order to do it in.
func (p *planner) steps() {
	stack := p.cfg.Stack
	importing := func(file string) string {
		return fmt.Sprintf("pulumi import --stack %s --file %s --protect=false --generate-code=false --yes", stack, path.Join(p.o.Dir, file))
	}
	add := func(title string, commands ...string) {
		p.plan.Steps = append(p.plan.Steps, Step{title, commands})
	}
	add("Copy the state, to go back to", fmt.Sprintf("pulumi stack export --stack %s --file %s-before-adopt.json", stack, stack))
	add("Import what is in Google Cloud, and the components", importing(CloudFile))
	if _, inCluster := p.plan.Files[ClusterFile]; inCluster {
		add("Make the stack's access to the cluster, and nothing else",
			fmt.Sprintf("pulumi up --stack %s --target '%s' --yes", stack, p.provider))
		add("Import what is in the cluster", importing(ClusterFile))
	}
	add("Look: nothing may be replaced or deleted", fmt.Sprintf("deepgram-stack preview --stack %s", stack))
	add("Where something is, go back and say so with --skip or --id", fmt.Sprintf("pulumi stack import --stack %s --file %s-before-adopt.json", stack, stack))
	add("Deploy", fmt.Sprintf("deepgram-stack up --stack %s", stack))
}
