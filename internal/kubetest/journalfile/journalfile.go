// Package journalfile is the form of the journals that the tests' billing program
// writes. Every line follows from the program's name and the line's number, so
// that a journal, or a copy of one, can be proven complete from itself alone.
package journalfile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// entry is a line as Deepgram's billing writes them: what happened, and a proof.
type entry struct {
	D string `json:"d"`
	S string `json:"s"`
}

// Line is line number n, from 1, of the journal of owner, with its newline. Its d
// is at least size bytes long.
func Line(owner string, n, size int) []byte {
	d := fmt.Sprintf("%s/%d/", owner, n)
	d += strings.Repeat("x", max(0, size-len(d)))
	sum := sha256.Sum256([]byte(d))
	line, err := json.Marshal(entry{D: d, S: hex.EncodeToString(sum[:])})
	if err != nil {
		panic(err) // two strings can be written
	}
	return append(line, '\n')
}

// Check reads a journal of owner. lines is how many complete lines it has, and
// rest what follows the last of them: the beginning of a line that was being
// written. A line that is missing, doubled, out of order, changed or cut in the
// middle is an error.
func Check(journal io.Reader, owner string) (lines int, rest []byte, err error) {
	reader := bufio.NewReader(journal)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return lines, line, nil
		}
		if err != nil {
			return lines, nil, err
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return lines, nil, fmt.Errorf("line %d: %w", lines+1, err)
		}
		if want := Line(owner, lines+1, len(e.D)); !bytes.Equal(line, want) {
			return lines, nil, fmt.Errorf("line %d of %s is %.60q, not %.60q", lines+1, owner, line, want)
		}
		lines++
	}
}
