package kubetest

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// hierarchy is one mounted tree of control groups. With version 1 there is one a
// controller, with version 2 there is one.
type hierarchy struct {
	dir     string // where it is mounted
	options string // of the mount, such as "memory" or "none,name=systemd"
	own     string // the group of this process, relative to dir
}

// hierarchies are the trees of version 1 that are mounted here. There are none
// where the machine has version 2 only.
func hierarchies() ([]hierarchy, error) {
	own, err := ownGroups()
	if err != nil {
		return nil, err
	}
	file, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []hierarchy
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		// device, folder, type, options
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || fields[2] != "cgroup" {
			continue
		}
		h := hierarchy{dir: fields[1]}
		var controllers []string
		for option := range strings.SplitSeq(fields[3], ",") {
			if path, known := own[option]; known {
				controllers = append(controllers, option)
				h.own = path
			}
		}
		if len(controllers) == 0 {
			continue
		}
		h.options = strings.Join(controllers, ",")
		if strings.HasPrefix(h.options, "name=") {
			h.options = "none," + h.options
		}
		found = append(found, h)
	}
	return found, lines.Err()
}

// ownGroups are the groups of this process by controller.
func ownGroups() (map[string]string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own := map[string]string{}
	for line := range strings.Lines(string(text)) {
		// number, controllers, path
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || fields[1] == "" {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			own[controller] = fields[2]
		}
	}
	return own, nil
}

func (h hierarchy) group(name string) string { return filepath.Join(h.dir, h.own, name) }

// enterGroups makes a group of a name in every tree and moves this process into
// it. leave moves it back.
func enterGroups(name string) (leave func() error, err error) {
	trees, err := hierarchies()
	if err != nil {
		return nil, err
	}
	leave = func() error {
		var errs []error
		for _, h := range trees {
			errs = append(errs, join(filepath.Join(h.dir, h.own)))
		}
		return errors.Join(errs...)
	}
	for _, h := range trees {
		if err := h.enter(name); err != nil {
			return nil, errors.Join(fmt.Errorf("control group %s: %w", h.group(name), err), leave())
		}
	}
	return leave, nil
}

func (h hierarchy) enter(name string) error {
	dir := h.group(name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	// A new group of cpuset may use nothing until it is told.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), value, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return join(dir)
}

// join moves this process into a group.
func join(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o644)
}

// groupList is the file of a run's folder that names its groups. They are found
// by it also when the next run is in groups of its own.
const groupList = "groups"

// listGroups writes the list into the run's folder.
func listGroups(dir, name string) error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, h := range trees {
		text.WriteString(h.group(name) + "\n")
	}
	return os.WriteFile(filepath.Join(dir, groupList), []byte(text.String()), 0o600)
}

// removeGroups removes the groups that the list in dir names with all that are in
// them. No process may be left in any.
func removeGroups(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, groupList))
	errs := []error{ignoreMissing(err)}
	for group := range strings.Lines(string(text)) {
		errs = append(errs, removeGroup(strings.TrimSpace(group)))
	}
	return errors.Join(errs...)
}

// removeGroup removes a group from its leaves on.
func removeGroup(dir string) error {
	var groups []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return ignoreMissing(err)
	})
	if err != nil {
		return err
	}
	for _, group := range slices.Backward(groups) {
		err := os.Remove(group)
		// A process that was killed counts for a moment after its end.
		for range 100 {
			if !errors.Is(err, syscall.EBUSY) {
				break
			}
			time.Sleep(poll)
			err = os.Remove(group)
		}
		if ignoreMissing(err) != nil {
			return err
		}
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
