package journal

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHandover: all that is given arrives in order, whichever way, and whoever opened
// the stream has the last word.
func TestHandover(t *testing.T) {
	t.Parallel()
	want := content(1, 30000)
	half := len(want) / 2
	lost := errors.New("lost")
	for name, give := range map[string]func(w io.Writer) error{
		"a reader": func(w io.Writer) error {
			n, err := io.Copy(w, struct{ io.Reader }{iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(want)))})
			assert.EqualValues(t, len(want), n)
			return err
		},
		"pieces": func(w io.Writer) error {
			_, err := io.Copy(struct{ io.Writer }{w}, bytes.NewReader(want))
			return err
		},
		"a reader and a piece": func(w io.Writer) error {
			if _, err := io.Copy(w, struct{ io.Reader }{bytes.NewReader(want[:half])}); err != nil {
				return err
			}
			_, err := w.Write(want[half:])
			return err
		},
		"a piece and a reader": func(w io.Writer) error {
			if _, err := w.Write(want[:half]); err != nil {
				return err
			}
			_, err := io.Copy(w, struct{ io.Reader }{bytes.NewReader(want[half:])})
			return err
		},
		"a reader that is cut": func(w io.Writer) error {
			_, err := io.Copy(w, io.MultiReader(bytes.NewReader(want), iotest.ErrReader(lost)))
			return err
		},
		"a failure after a reader": func(w io.Writer) error {
			_, err := io.Copy(w, struct{ io.Reader }{bytes.NewReader(want)})
			return errors.Join(err, lost)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHandover()
			gave := make(chan error, 1)
			go func() {
				err := give(h)
				gave <- err
				h.CloseWithError(err)
			}()
			got, err := io.ReadAll(h)
			assert.True(t, bytes.Equal(want, got))
			require.ErrorIs(t, err, <-gave)
			h.Stop(errDone)
		})
	}
}

// TestHandoverOfNothing: an end without anything before it is heard.
func TestHandoverOfNothing(t *testing.T) {
	t.Parallel()
	h := newHandover()
	go h.CloseWithError(io.ErrNoProgress)
	_, err := h.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.ErrNoProgress)
}

// TestHandoverPassesWhatComesSlowly: a sign of life is not kept back.
func TestHandoverPassesWhatComesSlowly(t *testing.T) {
	t.Parallel()
	line, far := io.Pipe()
	h := newHandover()
	ended := make(chan error, 1)
	go func() {
		_, err := h.ReadFrom(line)
		ended <- err
	}()
	go func() { _, _ = far.Write([]byte("\n")) }()
	got := make([]byte, 100)
	n, err := h.Read(got)
	require.NoError(t, err)
	require.Equal(t, "\n", string(got[:n]))

	h.Stop(errDone)
	require.ErrorIs(t, <-ended, errDone, "who opened the stream need not wait for its end")
	_, err = h.Write([]byte("more"))
	require.ErrorIs(t, err, errDone)
}
