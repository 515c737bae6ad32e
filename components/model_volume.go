package components

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/resources"
)

// ModelVolume is the disk of one set of models (guide G-S.1) and what the chart
// needs to mount it read-only in every engine. Sets live side by side, each on a
// disk of its own: an update is create, load, switch, remove.
type ModelVolume struct {
	pulumi.ResourceState

	// Disk is the disk, for callers that must wait for it; nil where an existing
	// disk is used.
	Disk *resources.Disk
	// DiskName is the disk's name.
	DiskName pulumi.StringOutput `pulumi:"diskName"`
	// VolumeHandle is "projects/P/zones/Z/disks/D", for the chart's
	// gpd.volumeHandle.
	VolumeHandle pulumi.StringOutput `pulumi:"volumeHandle"`
	// NamePrefix is the chart's gpd.namePrefix.
	NamePrefix string
	// StorageCapacity is the disk's size as the chart wants it, such as "200G".
	StorageCapacity string
	// Zone is the disk's zone, where the engines have to run.
	Zone string
	// Protected tells that the disk is protected from deletion and outlives the
	// deployment.
	Protected bool
	// Ready is what a dependent has to wait for: the disk, and the Job that fills it.
	Ready []pulumi.Resource
}

// ModelVolumeArgs says which disk holds a set of models.
type ModelVolumeArgs struct {
	// Project is the Google Cloud project. Required.
	Project string
	// Zone is the disk's zone, which is the engines' zone. Required.
	Zone string
	// SetName is the set's name; empty for the only set.
	SetName string
	// Disk is the disk, with Name or Existing settled. Its size can grow; asking
	// for less than it has would mean another disk, which protection refuses.
	Disk config.Disk
	// NamePrefix is the chart's gpd.namePrefix. The chart's volume and claim cannot
	// change their disk, so each disk needs its own; "" means "dg-models-" and 8
	// hex digits of VolumeHandle.
	NamePrefix string
	// Production protects the disk from deletion and replacement, and keeps it
	// when the deployment is destroyed.
	Production bool
	// Retired lifts that protection, so that the set can be taken out of the
	// program afterwards and its disk with it. Removal takes two updates, because
	// what protects the disk is what the last update recorded.
	Retired bool
	// Labels are put on the disk.
	Labels map[string]string
	// Files are loaded onto the disk before anything that waits for Ready. None
	// leaves the disk to be filled by other means.
	Files []ModelSource
	// Hash is 8 hex digits that tell this disk with these files from others; the
	// loader's objects are named after it. Required with Files.
	Hash string
	// Loader is where and by what they are loaded. Required with Files. Pass the
	// cluster's Kubernetes provider with pulumi.Provider.
	Loader *ModelLoader
}

var hashRule = regexp.MustCompile(`^[0-9a-f]{8}$`)

// Validate reports every mistake in the arguments.
func (a *ModelVolumeArgs) Validate() error {
	var errs argumentErrors
	errs.project("Project", a.Project)
	errs.zone("Zone", a.Zone)
	errs.optionalName("NamePrefix", a.NamePrefix)
	switch {
	case a.Disk.Existing != "":
		errs.optionalName("Disk.Existing", a.Disk.Existing)
		if a.Disk.Name != "" {
			errs.addf("Disk", "has a name %q and an existing disk %q; give one of them", a.Disk.Name, a.Disk.Existing)
		}
	case a.Disk.Name == "":
		errs.addf("Disk", "needs a name for the disk to create, or existing for one that is there")
	default:
		errs.optionalName("Disk.Name", a.Disk.Name)
		errs.require("Disk.Type", a.Disk.Type, "pd-ssd")
	}
	if a.Disk.SizeGb < 10 || a.Disk.SizeGb > 65536 {
		errs.addf("Disk.SizeGb", "%d is not a size from 10 to 65536 GB", a.Disk.SizeGb)
	}
	a.validateFiles(&errs)
	return errs.err()
}

func (a *ModelVolumeArgs) validateFiles(errs *argumentErrors) {
	if len(a.Files) == 0 {
		return
	}
	if a.Disk.Existing != "" {
		errs.addf("Files", "cannot be loaded onto the existing disk %q, which engines may be reading; make a new disk", a.Disk.Existing)
	}
	errs.require("Hash", a.Hash, "1a2b3c4d")
	errs.match("Hash", a.Hash, hashRule, "8 hex digits")
	if a.Loader == nil {
		errs.addf("Loader", "is required with Files")
	}
	for i, f := range a.Files {
		at := fmt.Sprintf("Files[%d].", i)
		if f.URL == nil {
			errs.addf(at+"URL", "is required")
		}
		errs.match(at+"SHA256", f.SHA256, digestRule, "64 hex digits")
	}
}

var digestRule = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// NewModelVolume registers the disk of one set of models, or refers to an
// existing one.
func NewModelVolume(
	ctx *pulumi.Context, name string, args *ModelVolumeArgs, opts ...pulumi.ResourceOption,
) (*ModelVolume, error) {
	if args == nil {
		args = &ModelVolumeArgs{} // Validate tells what is missing
	}
	if err := args.Validate(); err != nil {
		return nil, fmt.Errorf("model volume %q: %w", name, err)
	}
	v, err := newModelVolume(ctx, name, args, opts)
	if err != nil {
		return nil, fmt.Errorf("model volume %q: %w", name, err)
	}
	return v, nil
}

func newModelVolume(
	ctx *pulumi.Context, name string, a *ModelVolumeArgs, opts []pulumi.ResourceOption,
) (*ModelVolume, error) {
	diskName := cmp.Or(a.Disk.Existing, a.Disk.Name)
	handle := "projects/" + a.Project + "/zones/" + a.Zone + "/disks/" + diskName
	v := &ModelVolume{
		NamePrefix:      cmp.Or(a.NamePrefix, "dg-models-"+shortHash([]byte(handle))),
		StorageCapacity: strconv.Itoa(a.Disk.SizeGb) + "G",
		Zone:            a.Zone,
		Protected:       a.Production && !a.Retired && a.Disk.Existing == "",
	}
	inputs := pulumi.Map{
		"project":  pulumi.String(a.Project),
		"zone":     pulumi.String(a.Zone),
		"set":      pulumi.String(a.SetName),
		"disk":     pulumi.String(diskName),
		"existing": pulumi.Bool(a.Disk.Existing != ""),
		"sizeGb":   pulumi.Int(a.Disk.SizeGb),
		"retired":  pulumi.Bool(a.Retired),
		"files":    pulumi.Int(len(a.Files)),
	}
	if err := ctx.RegisterComponentResourceV2("deepgram:index:ModelVolume", name, inputs, v, opts...); err != nil {
		return nil, err
	}

	v.DiskName = pulumi.String(diskName).ToStringOutput()
	if a.Disk.Existing == "" {
		disk, err := v.disk(ctx, name, a)
		if err != nil {
			return nil, fmt.Errorf("disk: %w", err)
		}
		v.Disk, v.DiskName, v.Ready = disk, disk.Name, []pulumi.Resource{disk}
	}
	v.VolumeHandle = pulumi.Sprintf("projects/%s/zones/%s/disks/%s", a.Project, a.Zone, v.DiskName)
	if len(a.Files) > 0 {
		if err := v.load(ctx, name, a); err != nil {
			return nil, fmt.Errorf("loader: %w", err)
		}
	}

	return v, ctx.RegisterResourceOutputs(v, pulumi.Map{
		"diskName":        v.DiskName,
		"volumeHandle":    v.VolumeHandle,
		"namePrefix":      pulumi.String(v.NamePrefix),
		"storageCapacity": pulumi.String(v.StorageCapacity),
		"zone":            pulumi.String(v.Zone),
		"protected":       pulumi.Bool(v.Protected),
	})
}

func (v *ModelVolume) disk(ctx *pulumi.Context, name string, a *ModelVolumeArgs) (*resources.Disk, error) {
	if a.Disk.Existing != "" {
		return nil, errors.New("an existing disk is not created")
	}
	return resources.NewDisk(ctx, name+"-disk", &resources.DiskArgs{
		Project:     pulumi.String(a.Project),
		Zone:        pulumi.String(a.Zone),
		Name:        pulumi.String(a.Disk.Name),
		Description: pulumi.String("Deepgram models"),
		Type:        pulumi.String(a.Disk.Type),
		Size:        pulumi.Int(a.Disk.SizeGb),
		Labels:      stringMap(a.Labels),
	}, childOptions(v,
		// Both: protection stops a plan that deletes or replaces the disk, and
		// retention keeps the disk of a whole deployment that is taken down.
		pulumi.Protect(v.Protected),
		pulumi.RetainOnDelete(v.Protected),
		keptDescription,
		pulumi.Timeouts(&pulumi.CustomTimeouts{Create: "20m", Update: "20m", Delete: "20m"}),
	)...)
}
