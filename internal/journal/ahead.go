package journal

import (
	"context"
	"crypto/sha256"
	"hash"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A node tells of a running pod up to a second after it runs. A helper uses that
// time: it begins to hash the journals that it is going to be asked for.

const (
	// aheadKey is the variable with their paths. It is no flag, because a helper
	// of an older version would end at once with one that it does not know.
	aheadKey = "DEEPGRAM_OPS_AHEAD"
	// aheadLimit ends the reading where nobody asks.
	aheadLimit = 10 * time.Second
)

func aheadEnv(paths []string) []corev1.EnvVar {
	if len(paths) == 0 {
		return nil
	}
	return []corev1.EnvVar{{Name: aheadKey, Value: strings.Join(paths, string(filepath.ListSeparator))}}
}

// AheadFromEnv are the journals that a helper pod was told to read ahead.
func AheadFromEnv() []string { return filepath.SplitList(os.Getenv(aheadKey)) }

// Hashed is the digest of the beginning of a journal.
type Hashed struct {
	// Size is of how many bytes.
	Size   int64
	digest hash.Hash
}

// ahead is what was hashed before it was asked for.
type ahead struct {
	stop context.CancelFunc
	done sync.WaitGroup
	// made may be looked at when done.
	made map[string]Hashed
}

// readAhead begins to hash the journals, one after the other.
func readAhead(ctx context.Context, paths []string) *ahead {
	a := &ahead{made: map[string]Hashed{}}
	ctx, a.stop = context.WithTimeout(ctx, aheadLimit)
	a.done.Go(func() {
		for _, p := range paths {
			a.made[p] = hashBeginning(ctx, p)
		}
	})
	return a
}

// hashBeginning hashes a file until ctx ends, or as much of it as can be read.
func hashBeginning(ctx context.Context, path string) Hashed {
	made := Hashed{digest: sha256.New()}
	f, err := os.Open(path)
	if err != nil {
		return made // whoever asks for it hears why
	}
	defer f.Close()
	buf := make([]byte, chunkSize)
	for ctx.Err() == nil {
		n, err := f.Read(buf)
		_, _ = made.digest.Write(buf[:n]) // never fails
		made.Size += int64(n)
		if err != nil {
			break
		}
	}
	return made
}

// take ends the reading ahead and answers with what was made of a journal.
func (a *ahead) take(path string) Hashed {
	a.stop()
	a.done.Wait()
	made := a.made[path]
	if made.Size == 0 {
		return Hashed{}
	}
	made.digest, _ = made.digest.(hash.Cloner).Clone() // it may be asked for again
	return made
}
