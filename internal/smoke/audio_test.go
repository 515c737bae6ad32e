package smoke_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/internal/smoke"
	"github.com/deepgram-gke/deepgram-gke/internal/smoke/smoketest"
)

func TestSample(t *testing.T) {
	t.Parallel()
	a := smoke.Sample()
	require.NoError(t, a.Check())
	pcm, err := a.Samples()
	require.NoError(t, err)
	assert.Equal(t, 16000, pcm.Rate)
	assert.InDelta(t, 4.5, pcm.Duration().Seconds(), .1)
	assert.Less(t, len(a.WAV), 200_000)
	assert.Len(t, smoke.Words(a.Text), 15)
}

func TestWAV(t *testing.T) {
	t.Parallel()
	good := smoketest.WAV(make([]byte, 16000), 8000)
	pcm, err := smoke.Audio{WAV: good, Text: "a"}.Samples()
	require.NoError(t, err)
	assert.Equal(t, time.Second, pcm.Duration())

	unknown := append([]byte{}, good...)
	copy(unknown[40:], []byte{0xff, 0xff, 0xff, 0xff}) // ffmpeg into a pipe
	pcm, err = smoke.Audio{WAV: unknown}.Samples()
	require.NoError(t, err)
	assert.Equal(t, time.Second, pcm.Duration())

	stereo, compressed := append([]byte{}, good...), append([]byte{}, good...)
	stereo[22], compressed[20] = 2, 6
	for name, b := range map[string][]byte{
		"nothing": nil, "text": []byte("hello, this is no sound at all"), "stereo": stereo, "compressed": compressed,
		"header only": good[:44], "no data": good[:36], "cut chunk": good[:30],
	} {
		assert.ErrorContains(t, smoke.Audio{WAV: b, Text: "a"}.Check(), "must be a WAV file", name)
	}
	assert.ErrorContains(t, smoke.Audio{WAV: good, Text: " … "}.Check(), "what it says is not given")
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		want, got string
		share     float64
	}{
		{"Please call me, now.", "please CALL me now", 1},
		{"Don't go", "dont go", 1},
		{"a b c d", "a b x d", .75},
		{"a b c d", "d c b a", .25},
		{"a b c d", "", 0},
		{"a b c d", "a b c d e f g h", .5}, // words too many
		{"¿Qué hora es?", "qué hora es", 1},
		{smoke.SampleText, "please call me tomorrow morning and we will talk about the weather in the garden", 14. / 15},
		{smoke.SampleText, "something else is being said", 0},
	} {
		assert.InDelta(t, row.share, smoke.Overlap(row.want, row.got), 1e-9, row.got)
	}
}
