package stacks

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/components"
	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/hardware"
)

// models makes a volume for every set that is listed and returns the one in use.
// A program has no memory: a set that is no longer listed is a set to remove.
func (b *builder) models(cluster *components.GpuCluster, registry *components.Registry) (active *components.ModelVolume, err error) {
	c := b.cfg
	loader, err := b.loader(cluster, registry)
	if err != nil {
		return nil, err
	}
	for _, set := range c.Models.ModelSets() {
		args := &components.ModelVolumeArgs{
			Project: c.GCP.Project, Zone: c.GCP.Zone, SetName: set.Name, Disk: set.Disk,
			NamePrefix: set.ChartNamePrefix, Production: c.Environment.Production,
			Retired: b.retired(set), Labels: b.labels(),
			Hash: set.Hash, Loader: loader,
		}
		for _, file := range set.Files {
			args.Files = append(args.Files, components.ModelSource{
				URL: b.secret(file.URL), SHA256: file.Sha256, Name: file.FileName(),
			})
		}
		volume, err := components.NewModelVolume(b.ctx, b.volumeName(set), args, pulumi.Provider(cluster.Provider))
		if err != nil {
			return nil, err
		}
		if set.Active {
			active = volume
		}
	}
	return active, nil
}

var hashSuffix = regexp.MustCompile(`-[0-9a-f]{8}$`)

// volumeName is the name of a set's component: it follows the disk and not the
// set. So a set can be renamed, or move from models.files into models.sets, and
// keeps its disk; and other files, which need another disk, are another component
// beside the old one, never a replacement of it.
func (b *builder) volumeName(set config.NamedModelSet) string {
	disk := set.Disk.Name + set.Disk.Existing
	if disk == b.cfg.Environment.NamePrefix+"-model-storage" {
		return nameModels
	}
	if set.Hash != "" && strings.HasSuffix(disk, "-"+set.Hash) {
		return nameModels + hashSuffix.FindString(disk)
	}
	return nameModels + "-" + disk
}

// loader makes what loads models, where a set has files.
func (b *builder) loader(cluster *components.GpuCluster, registry *components.Registry) (*components.ModelLoader, error) {
	c := b.cfg
	var buckets []string
	files := false
	for _, set := range c.Models.ModelSets() {
		for _, file := range set.Files {
			files = true
			if u, err := url.Parse(file.URL.Reveal()); err == nil && u.Scheme == "gs" && !slices.Contains(buckets, u.Host) {
				buckets = append(buckets, u.Host)
			}
		}
	}
	if !files {
		return nil, nil //nolint:nilnil // nothing is to be loaded
	}
	args := &components.ModelLoaderArgs{
		Namespace: loaderNamespace(c.Environment.NamePrefix),
		Image:     b.opsImage(registry), Project: c.GCP.Project, Buckets: buckets, NodeRoles: b.loaderRoles(),
		Labels: b.kubernetesLabels(),
		After:  slices.Concat(cluster.Ready, registry.Ready, registry.OpsReady),
	}
	return components.NewModelLoader(b.ctx, nameLoader, args, pulumi.Provider(cluster.Provider))
}

// loaderNamespace is <prefix>-models; a prefix may be as long as a namespace.
func loaderNamespace(prefix string) string {
	return strings.TrimRight(prefix[:min(len(prefix), 56)], "-") + "-models"
}

// opsImage is the image that jobs run.
func (b *builder) opsImage(registry *components.Registry) pulumi.StringInput {
	switch given := b.cfg.Registry.OpsImage; {
	case given != "":
		return pulumi.String(given)
	case b.cfg.Registry.Mode == components.RegistryMirror:
		return registry.OpsImage
	}
	return pulumi.Sprintf("%s/%s:%s", registry.Prefix, opsName, opsTag(opsProgram()))
}

// loaderRoles are the pools that have nodes in the disks' zone which can attach
// every disk that is to be filled, the engines' only where there is no other.
func (b *builder) loaderRoles() []string {
	c := b.cfg
	if c.Cluster.ExistingPools {
		return nil
	}
	attaches := func(pool config.Pool) bool {
		m, err := hardware.ParseMachineType(pool.MachineType)
		if err != nil {
			return false
		}
		for _, set := range c.Models.ModelSets() {
			if len(set.Files) > 0 && !m.CanAttach(set.Disk.Type) {
				return false
			}
		}
		return true
	}
	var roles []string
	if slices.Contains(c.Cluster.NodeZones, c.GCP.Zone) {
		if attaches(c.Pools.System) {
			roles = append(roles, components.RoleSystem)
		}
		if attaches(c.Pools.API) {
			roles = append(roles, components.RoleAPI)
		}
	}
	if len(roles) == 0 {
		roles = []string{components.RoleEngine}
	}
	return roles
}
