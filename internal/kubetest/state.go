package kubetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A run keeps its files in a folder of its own in the system's folder for
// temporary files, and locks it for as long as it lives. The name is short, for
// the path of a Unix socket is.
const (
	statePrefix = "kubetest-"
	stateDraft  = "kubetest.new-"
	socketLimit = 107
)

// state is the folder of one run.
type state struct {
	dir  string
	lock *os.File
}

// newState makes a locked folder, and removes those that killed runs left.
func newState() (*state, error) {
	if err := removeStale(); err != nil {
		return nil, fmt.Errorf("removing what an earlier run left: %w", err)
	}
	draft, err := os.MkdirTemp("", stateDraft)
	if err != nil {
		return nil, err
	}
	if path := filepath.Join(draft, etcdSocket); len(path) > socketLimit {
		return nil, errors.Join(os.Remove(draft), fmt.Errorf("TMPDIR %s: its name must be %d bytes shorter: %s is too long for a Unix socket",
			os.TempDir(), len(path)-socketLimit, path))
	}
	lock, err := lockDir(draft)
	if err == nil {
		// Only a folder that is locked already has a name that others look for.
		dir := filepath.Join(filepath.Dir(draft), statePrefix+strings.TrimPrefix(filepath.Base(draft), stateDraft))
		if err = os.Rename(draft, dir); err == nil {
			// Pods whose user is not root reach their volumes through it.
			err = os.Chmod(dir, 0o711)
		}
		if err == nil {
			return &state{dir: dir, lock: lock}, nil
		}
	}
	return nil, errors.Join(err, os.RemoveAll(draft))
}

// lockDir locks a folder; it is an error when another process has it.
func lockDir(dir string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return lock, nil
}

// remove removes the folder and the control groups of the run.
func (s *state) remove() error {
	defer s.lock.Close()
	if err := removeGroups(s.dir); err != nil {
		return err
	}
	return os.RemoveAll(s.dir)
}

// removeStale removes the folders and control groups whose run is dead.
func removeStale() error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), statePrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		lock, err := lockDir(dir)
		if err != nil {
			continue // alive, or somebody else's
		}
		s := &state{dir: dir, lock: lock}
		errs = append(errs, s.remove())
	}
	return errors.Join(errs...)
}
