package images

import (
	"os/exec"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/stretchr/testify/require"
)

// benchRelease is three images of two layers on a real registry.
func benchRelease(b *testing.B) (list func() []Image, bytes int64) {
	b.Helper()
	src := dockerRegistry(b, b.TempDir())
	const layer = 24 << 20
	names := []string{"api", "engine", "license-proxy"}
	for i, n := range names {
		push(b, src+"/deepgram/self-hosted-"+n+":r1", image(b, uint64(100*i+1), layer, layer))
	}
	return func() []Image {
		// A new registry each time: skopeo remembers which registry has which
		// blob, and would mount what an earlier run copied.
		b.StopTimer()
		defer b.StartTimer()
		to := dockerRegistry(b, b.TempDir()) + "/m"
		var l []Image
		for _, n := range names {
			l = append(l, Image{Name: n, Source: src + "/deepgram/self-hosted-" + n + ":r1", Target: to + "/self-hosted-" + n + ":r1"})
		}
		return l
	}, int64(len(names) * 2 * layer)
}

func BenchmarkFirstCopy(b *testing.B) {
	b.Run("mirror", func(b *testing.B) {
		list, bytes := benchRelease(b)
		b.SetBytes(bytes)
		for b.Loop() {
			_, err := quick(b).Mirror(background(), list(), nil)
			require.NoError(b, err)
		}
	})
	b.Run("crane", func(b *testing.B) {
		list, bytes := benchRelease(b)
		b.SetBytes(bytes)
		for b.Loop() {
			for _, i := range list() {
				require.NoError(b, crane.Copy(i.Source, i.Target))
			}
		}
	})
	b.Run("skopeo", func(b *testing.B) {
		if _, err := exec.LookPath("skopeo"); err != nil {
			b.Skip("skopeo is not installed")
		}
		list, bytes := benchRelease(b)
		b.SetBytes(bytes)
		for b.Loop() {
			for _, i := range list() {
				out, err := exec.Command("skopeo", "--insecure-policy", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false",
					"docker://"+i.Source, "docker://"+i.Target).CombinedOutput()
				require.NoError(b, err, "%s", out)
			}
		}
	})
}

func BenchmarkNothingToDo(b *testing.B) {
	list, _ := benchRelease(b)
	l := list()
	lock := &Lock{Images: map[string]Pin{}}
	_, err := quick(b).Mirror(background(), l, lock)
	require.NoError(b, err)
	for name, lock := range map[string]*Lock{"tags": nil, "lock file": lock} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				results, err := quick(b).Mirror(background(), l, lock)
				require.NoError(b, err)
				require.Equal(b, Present, results[0].Status)
			}
		})
	}
}
