package images

import (
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// release pushes a small release and returns its list, mirrored to host.
func release(t *testing.T, src *server, host string) []Image {
	t.Helper()
	list, err := List(Need{Tag: "release-250331", Upstream: src.host() + "/deepgram", Prefix: host + "/acme/deepgram", LicenseProxy: true, Billing: true})
	require.NoError(t, err)
	// The init image comes from elsewhere.
	list[4].Source = src.host() + "/library/ubuntu:22.04"
	shared := static.NewLayer(noise(7, 50_000), types.DockerLayer)
	for i, img := range list[:4] {
		m, err := mutate.AppendLayers(image(t, uint64(100*(i+1)), 20_000, 300), shared)
		require.NoError(t, err)
		push(t, img.Source, m)
	}
	push(t, list[4].Source, index(t, "linux/amd64", "linux/arm64"))
	src.requests()
	return list
}

func TestMirrorCopiesByDigestAndThenHasNothingToDo(t *testing.T) {
	t.Parallel()
	registries := map[string]func(t *testing.T) string{
		"library":         func(t *testing.T) string { return newServer(t).host() },
		"docker-registry": func(t *testing.T) string { return dockerRegistry(t, t.TempDir()) },
	}
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			src := newServer(t)
			list := release(t, src, start(t))
			results, err := quick(t).Mirror(background(), list, nil)
			require.NoError(t, err)
			require.Len(t, results, len(list))
			for i, r := range results {
				assert.Equal(t, Copied, r.Status, r.Name)
				assert.Equal(t, digestOf(t, list[i].Source), digestOf(t, list[i].Target), r.Name)
				whole(t, list[i].Target)
			}
			src.requests()
			results, err = quick(t).Mirror(background(), list, nil)
			require.NoError(t, err)
			for _, r := range results {
				assert.Equal(t, Present, r.Status, r.Name)
				assert.Zero(t, r.Bytes)
			}
			assert.Zero(t, count(src.requests(), "GET /v2/deepgram", "GET /v2/library"), "nothing is downloaded")
		})
	}
}

func TestNothingToDoCostsOneRequestPerImage(t *testing.T) {
	t.Parallel()
	src, dst := newServer(t), newServer(t)
	list := release(t, src, dst.host())
	lock := &Lock{Images: map[string]Pin{}}
	_, err := quick(t).Mirror(background(), list, lock)
	require.NoError(t, err)
	src.requests()
	dst.requests()

	_, err = quick(t).Mirror(background(), list, nil)
	require.NoError(t, err)
	for _, s := range []*server{src, dst} {
		log := s.requests()
		assert.Equal(t, len(list), count(log, "HEAD"), "one HEAD per image: %q", log)
		assert.Len(t, log, len(list)+1, "and one greeting per registry: %q", log)
	}

	_, err = quick(t).Mirror(background(), list, lock)
	require.NoError(t, err)
	assert.Empty(t, src.requests(), "pinned digests need no upstream")
	assert.Equal(t, len(list), count(dst.requests(), "HEAD"))
}

func TestMirrorMountsWhatImagesShare(t *testing.T) {
	t.Parallel()
	src := newServer(t)
	list := release(t, src, newServer(t).host())
	_, err := quick(t).Mirror(background(), list[:4], nil)
	require.NoError(t, err)
	shared, err := static.NewLayer(noise(7, 50_000), types.DockerLayer).Digest()
	require.NoError(t, err)
	downloads := 0
	for _, l := range src.requests() {
		if filepath.Base(l) == shared.String() {
			downloads++
		}
	}
	// The library's registry cannot mount and keeps blobs for all
	// repositories: it answers that the blob exists.
	assert.Equal(t, 1, downloads)
}

func TestMirrorNeverFollowsAMovedTagByItself(t *testing.T) {
	t.Parallel()
	src, dst := newServer(t), newServer(t)
	img := Image{Name: "api", Source: src.host() + "/deepgram/self-hosted-api:r1", Target: dst.host() + "/m/self-hosted-api:r1"}
	first := push(t, img.Source, image(t, 1, 100))
	lock := &Lock{Images: map[string]Pin{}}
	_, err := quick(t).Mirror(background(), []Image{img}, lock)
	require.NoError(t, err)
	moved := push(t, img.Source, image(t, 2, 100))

	results, err := quick(t).Mirror(background(), []Image{img}, nil)
	require.NoError(t, err)
	assert.Equal(t, Moved, results[0].Status)
	assert.True(t, results[0].Different())
	assert.Equal(t, moved.String(), results[0].Upstream)
	assert.Equal(t, first, digestOf(t, img.Target), "the target keeps what it had")

	// With the lock file, a target that is empty gets the pinned image.
	img.Target = dst.host() + "/other/self-hosted-api:r1"
	results, err = quick(t).Mirror(background(), []Image{img}, lock)
	require.NoError(t, err)
	assert.Equal(t, Copied, results[0].Status)
	assert.Equal(t, first, digestOf(t, img.Target))
	results, err = quick(t).Verify(background(), []Image{img}, lock, true, false)
	require.NoError(t, err)
	assert.Equal(t, Moved, results[0].Status, "verify tells that upstream moved away from the lock file")

	results, err = quick(t, func(o *Options) { o.Follow = true }).Mirror(background(), []Image{img}, nil)
	require.NoError(t, err)
	assert.Equal(t, Updated, results[0].Status)
	assert.Equal(t, moved, digestOf(t, img.Target))
	results, err = quick(t).Verify(background(), []Image{img}, lock, false, true)
	require.NoError(t, err)
	assert.Equal(t, Differs, results[0].Status, "offline, the lock file is what the target is held against")
}

func TestMirrorNarrowsToOnePlatform(t *testing.T) {
	t.Parallel()
	src, dst := newServer(t), newServer(t)
	idx := index(t, "linux/arm64", "linux/amd64", "linux/s390x")
	img := Image{Name: "grafana", Source: src.host() + "/grafana/grafana:11.0.0", Target: dst.host() + "/m/grafana/grafana:11.0.0"}
	whole := push(t, img.Source, idx)
	m, err := idx.IndexManifest()
	require.NoError(t, err)
	narrow := func(o *Options) { o.Platform = "linux/amd64" }
	lock := &Lock{Images: map[string]Pin{}}
	results, err := quick(t, narrow).Mirror(background(), []Image{img}, lock)
	require.NoError(t, err)
	assert.Equal(t, m.Manifests[1].Digest.String(), results[0].Digest)
	assert.Equal(t, m.Manifests[1].Digest, digestOf(t, img.Target))
	assert.Equal(t, Pin{Digest: whole.String(), Mirrored: m.Manifests[1].Digest.String(), Platform: "linux/amd64"}, lock.Images[img.Source])

	for _, l := range []*Lock{nil, lock} {
		results, err = quick(t, narrow).Mirror(background(), []Image{img}, l)
		require.NoError(t, err)
		assert.Equal(t, Present, results[0].Status)
		results, err = quick(t, narrow).Verify(background(), []Image{img}, l, true, false)
		require.NoError(t, err)
		assert.Equal(t, Equal, results[0].Status)
	}
	_, err = quick(t, func(o *Options) { o.Platform = "windows/amd64" }).Mirror(background(), []Image{img}, nil)
	assert.ErrorContains(t, err, `no image for windows/amd64, only for ["linux/arm64" "linux/amd64" "linux/s390x"]`)
	_, err = NewClient(Options{Platform: "amd64"})
	assert.ErrorContains(t, err, `platform "amd64": must be os/architecture`)
}

// signed pushes an image with a cosign signature and a referrer (an SBOM), and
// a referrer of that.
func signed(t *testing.T, ref string) v1.Hash {
	t.Helper()
	d := push(t, ref, image(t, 5, 500))
	tag, err := name.NewTag(ref)
	require.NoError(t, err)
	push(t, tag.Repository.Tag("sha256-"+d.Hex+".sig").String(), image(t, 6, 60))
	subject := v1.Descriptor{MediaType: types.DockerManifestSchema2, Digest: d, Size: 1}
	for _, seed := range []uint64{8, 9} {
		sbom := mutate.MediaType(image(t, seed, 80), types.OCIManifestSchema1)
		attached := mutate.Subject(mutate.ConfigMediaType(sbom, "application/vnd.example.sbom"), subject).(v1.Image)
		digest, err := attached.Digest()
		require.NoError(t, err)
		require.NoError(t, remote.Write(tag.Repository.Digest(digest.String()), attached))
		subject = v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: digest, Size: 1}
	}
	return d
}

func attachedTo(t *testing.T, ref string, d v1.Hash) []v1.Descriptor {
	t.Helper()
	tag, err := name.NewTag(ref)
	require.NoError(t, err)
	idx, err := remote.Referrers(tag.Repository.Digest(d.String()))
	require.NoError(t, err)
	m, err := idx.IndexManifest()
	require.NoError(t, err)
	return m.Manifests
}

func TestMirrorTakesSignaturesAndReferrersAlong(t *testing.T) {
	t.Parallel()
	api := []registry.Option{registry.WithReferrersSupport(true)}
	for name, tc := range map[string]struct{ from, to []registry.Option }{
		"both know referrers": {api, api},
		"source by tag":       {nil, api},
		"target by tag":       {api, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst := newServer(t, tc.from...), newServer(t, tc.to...)
			img := Image{Name: "api", Source: src.host() + "/deepgram/self-hosted-api:r1", Target: dst.host() + "/m/self-hosted-api:r1"}
			d := signed(t, img.Source)
			results, err := quick(t).Mirror(background(), []Image{img}, nil)
			require.NoError(t, err)
			assert.EqualValues(t, 3, results[0].Attachments)
			digestOf(t, dst.host()+"/m/self-hosted-api:sha256-"+d.Hex+".sig")
			sbom := attachedTo(t, img.Target, d)
			require.Len(t, sbom, 1)
			assert.Len(t, attachedTo(t, img.Target, sbom[0].Digest), 1, "the referrer's own referrer")
		})
	}
}

func TestVerifyTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src, dst := newServer(t), newServer(t, registry.WithBlobHandler(registry.NewDiskBlobHandler(dir)))
	list := release(t, src, dst.host())
	_, err := quick(t).Mirror(background(), list[:3], nil)
	require.NoError(t, err)
	// The disk of the registry loses a blob.
	l, err := image(t, 100, 20_000).Layers()
	require.NoError(t, err)
	gone, err := l[0].Digest()
	require.NoError(t, err)
	require.NoError(t, dstRemove(dir, gone))

	results, err := quick(t).Verify(background(), append(list, Image{Name: OpsName, Target: dst.host() + "/acme/deepgram/deepgram-ops:v1"}), nil, true, false)
	require.NoError(t, err)
	states := map[string]string{}
	for _, r := range results {
		states[r.Name] = r.Status
	}
	assert.Equal(t, map[string]string{"api": Broken, "engine": Equal, "license-proxy": Equal, "billing": Missing, "init": Missing, OpsName: Missing}, states)
}

func TestExportAndImportThroughAFolder(t *testing.T) {
	t.Parallel()
	src, dst := newServer(t), newServer(t)
	list := release(t, src, dst.host())
	signed(t, src.host()+"/deepgram/self-hosted-api:release-250331")
	dir := filepath.Join(t.TempDir(), "transfer")
	l, err := OpenLayout(dir, true)
	require.NoError(t, err)
	_, err = quick(t).Export(background(), list, l, nil)
	require.NoError(t, err)
	results, err := quick(t).Export(background(), list, l, nil)
	require.NoError(t, err)
	for _, r := range results {
		assert.Equal(t, Present, r.Status, r.Name)
	}

	want := map[string]v1.Hash{}
	for _, i := range list {
		want[i.Target] = digestOf(t, i.Source)
	}
	src.Close() // the other site has no route

	l, err = OpenLayout(dir, false)
	require.NoError(t, err)
	assert.Len(t, l.References(), len(list))
	results, err = quick(t).Import(background(), list, l)
	require.NoError(t, err)
	for _, r := range results {
		assert.Equal(t, Copied, r.Status, r.Name)
		assert.Equal(t, want[r.Target], digestOf(t, r.Target))
		whole(t, r.Target)
	}
	api := list[0].Target
	assert.Len(t, attachedTo(t, api, want[api]), 1)
	assert.EqualValues(t, 3, results[0].Attachments)
	results, err = quick(t).Import(background(), list, l)
	require.NoError(t, err)
	for _, r := range results {
		assert.Equal(t, Present, r.Status, r.Name)
	}
	_, err = OpenLayout(t.TempDir(), false)
	assert.ErrorContains(t, err, "is not an OCI layout")
}
