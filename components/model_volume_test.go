package components

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

func TestModelVolumeDisk(t *testing.T) {
	t.Parallel()
	bothModes(t, func(t *testing.T, mode pulumi.RunOption) {
		args := volumeArgs(settled(t, "prod-omi-deepgram"))
		args.Production, args.Labels = true, map[string]string{"team": "voice"}
		rec := record(t, nil, func(ctx *pulumi.Context) error {
			v, err := NewModelVolume(ctx, "models", args)
			require.NoError(t, err)
			assert.Equal(t, "projects/acme-speech/zones/us-central1-a/disks/prod-omi-deepgram-model-storage",
				await[string](t, v.VolumeHandle))
			assert.Equal(t, "200G", v.StorageCapacity)
			assert.Equal(t, "us-central1-a", v.Zone)
			assert.Equal(t, []pulumi.Resource{v.Disk}, v.Ready)
			return nil
		}, mode)
		disk := rec.reg(t, "models-disk")
		assert.Equal(t, map[string]any{
			"project": "acme-speech", "zone": "us-central1-a", "name": "prod-omi-deepgram-model-storage",
			"description": "Deepgram models", "type": "pd-ssd", "size": 200.0, "labels": map[string]any{"team": "voice"},
		}, inputsOf(disk))
		assert.True(t, disk.RegisterRPC.GetProtect())
		assert.True(t, disk.RegisterRPC.GetRetainOnDelete())
		assert.Equal(t, "deepgram:index:ModelVolume", typeOfURN(disk.RegisterRPC.GetParent()))
	})
}

func TestModelVolumeProtection(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		production, retired, protected bool
	}{
		"production":             {true, false, true},
		"production, but to go":  {true, true, false},
		"elsewhere":              {false, false, false},
		"elsewhere, and retired": {false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := volumeArgs(settled(t, "acme"))
			args.Production, args.Retired = test.production, test.retired
			disk := record(t, nil, func(ctx *pulumi.Context) error {
				v, err := NewModelVolume(ctx, "models", args)
				assert.Equal(t, test.protected, v.Protected)
				return err
			}).reg(t, "models-disk")
			assert.Equal(t, test.protected, disk.RegisterRPC.GetProtect())
			assert.Equal(t, test.protected, disk.RegisterRPC.GetRetainOnDelete())
		})
	}
}

func TestModelVolumeExistingDisk(t *testing.T) {
	t.Parallel()
	rec := record(t, nil, func(ctx *pulumi.Context) error {
		v, err := NewModelVolume(ctx, "models", &ModelVolumeArgs{
			Project: "acme-speech", Zone: "us-central1-a", NamePrefix: "dg-models-nova-3",
			Disk: config.Disk{Existing: "old-models", SizeGb: 100}, Production: true,
		})
		require.NoError(t, err)
		assert.Nil(t, v.Disk)
		assert.Empty(t, v.Ready)
		assert.False(t, v.Protected, "what is not ours is not protected by us")
		assert.Equal(t, "dg-models-nova-3", v.NamePrefix)
		assert.Equal(t, "projects/acme-speech/zones/us-central1-a/disks/old-models", await[string](t, v.VolumeHandle))
		return nil
	})
	assert.Equal(t, []string{"models"}, rec.names(""))
}

func TestModelVolumesHaveNamePrefixesOfTheirOwn(t *testing.T) {
	t.Parallel()
	prefixes := map[string]bool{}
	record(t, nil, func(ctx *pulumi.Context) error {
		for _, set := range []string{"nova-2", "nova-3"} {
			args := volumeArgs(settled(t, "acme"))
			args.SetName, args.Disk.Name = set, args.Disk.Name+"-"+set
			v, err := NewModelVolume(ctx, "models-"+set, args)
			require.NoError(t, err)
			prefixes[v.NamePrefix] = true
		}
		return nil
	})
	assert.Len(t, prefixes, 2, "the chart's volume cannot change its disk")
}

func TestModelVolumeReportsEveryMistake(t *testing.T) {
	t.Parallel()
	err := (&ModelVolumeArgs{
		Project: "Acme", Zone: "us-central1", NamePrefix: "DG", Disk: config.Disk{SizeGb: 5, Name: "Models"},
	}).Validate()
	require.EqualError(t, err, `Project: "Acme" is not a project id (6 to 30 lower-case letters, digits and hyphens)
Zone: "us-central1" is not a zone, such as "us-central1-a"
NamePrefix: "DG" is not a name (lower-case letters, digits and hyphens, a letter first, at most 63 characters)
Disk.Name: "Models" is not a name (lower-case letters, digits and hyphens, a letter first, at most 63 characters)
Disk.Type: is required, such as "pd-ssd"
Disk.SizeGb: 5 is not a size from 10 to 65536 GB`)
	require.ErrorContains(t, (&ModelVolumeArgs{Disk: config.Disk{Existing: "a", Name: "b"}}).Validate(), "give one of them")
}
