package smoke

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
)

// SampleText is what the bundled recording says.
const SampleText = "Please call me tomorrow morning, and we will talk about the weather and the garden."

//go:embed sample.wav
var sampleWAV []byte

// Audio is a recording and what it says.
type Audio struct {
	// WAV is the file: mono, 16 bits a sample, not compressed.
	WAV []byte `json:"wav"`
	// Text is what it says.
	Text string `json:"text"`
}

// Sample is the bundled recording: English, 4.5 seconds.
func Sample() Audio { return Audio{WAV: sampleWAV, Text: SampleText} }

// Check says what is wrong with a recording.
func (a Audio) Check() error {
	if _, err := a.Samples(); err != nil {
		return fmt.Errorf("audio: %w", err)
	}
	if len(Words(a.Text)) == 0 {
		return errors.New("audio: what it says is not given")
	}
	return nil
}

// PCM is the sound in a WAV file.
type PCM struct {
	// Data are samples of 16 bits, little endian, one channel.
	Data []byte
	// Rate is samples a second.
	Rate int
}

// Samples reads the WAV file.
func (a Audio) Samples() (PCM, error) { return readWAV(a.WAV) }

// readWAV finds the sound in a WAV file: mono, 16 bits.
func readWAV(b []byte) (PCM, error) {
	const want = "must be a WAV file, mono, 16 bits a sample, not compressed (sox in.mp3 -r 16000 -c 1 -b 16 out.wav)"
	if len(b) < 12 || !bytes.Equal(b[:4], []byte("RIFF")) || !bytes.Equal(b[8:12], []byte("WAVE")) {
		return PCM{}, errors.New(want)
	}
	var p PCM
	for rest := b[12:]; len(rest) >= 8; {
		size, body := int(binary.LittleEndian.Uint32(rest[4:])), rest[8:]
		// Who writes while he speaks does not know the length yet.
		size = max(0, min(size, len(body)))
		switch string(rest[:4]) {
		case "fmt ":
			if size < 16 || binary.LittleEndian.Uint16(body) != 1 || binary.LittleEndian.Uint16(body[2:]) != 1 ||
				binary.LittleEndian.Uint16(body[14:]) != 16 {
				return PCM{}, errors.New(want)
			}
			p.Rate = int(binary.LittleEndian.Uint32(body[4:]))
		case "data":
			p.Data = body[:size&^1]
			if p.Rate <= 0 || len(p.Data) == 0 {
				return PCM{}, errors.New(want)
			}
			return p, nil
		}
		size += size & 1
		if size > len(body) {
			break
		}
		rest = body[size:]
	}
	return PCM{}, errors.New(want)
}

// Duration is how long the sound is.
func (p PCM) Duration() time.Duration { return p.at(len(p.Data)) }

// at is the time of a byte.
func (p PCM) at(n int) time.Duration {
	return time.Duration(float64(n) / float64(2*p.Rate) * float64(time.Second))
}

// loudness is the loudest sample, 0 to 1.
func (p PCM) loudness() float64 {
	var peak float64
	for i := 0; i+1 < len(p.Data); i += 2 {
		peak = max(peak, math.Abs(float64(int16(binary.LittleEndian.Uint16(p.Data[i:])))/math.MaxInt16))
	}
	return peak
}

// Words are the words of a text, without case and punctuation.
func Words(text string) []string {
	text = strings.NewReplacer("'", "", "’", "").Replace(strings.ToLower(text))
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// Overlap is the share of words that two texts have in common, in their order: 1
// where they are the same, 0 where nothing is. Words too many count as words that
// are missing.
func Overlap(want, got string) float64 {
	a, b := Words(want), Words(got)
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	// The longest common subsequence.
	row := make([]int, len(b)+1)
	for _, x := range a {
		before := 0
		for j, y := range b {
			here := row[j+1]
			if x == y {
				row[j+1] = before + 1
			} else {
				row[j+1] = max(row[j+1], row[j])
			}
			before = here
		}
	}
	return float64(row[len(b)]) / float64(max(len(a), len(b)))
}
