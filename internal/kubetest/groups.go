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
	kind    string // of the file system
	options string // of the mount, such as "memory" or "none,name=systemd"
	own     string // the group of this process, relative to dir
}

const unified = "cgroup2" // the kind of version 2

// hierarchies are the trees that are mounted here: those of version 1, or where
// there is none, that of version 2.
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
	var first, second []hierarchy
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		// device, folder, type, options
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) < 4:
		case fields[2] == "cgroup":
			first = append(first, versionOne(fields[1], fields[3], own)...)
		case fields[2] == unified:
			second = append(second, hierarchy{dir: fields[1], kind: unified, own: own[""]})
		}
	}
	if len(first) > 0 {
		return first, lines.Err()
	}
	return second, lines.Err()
}

// versionOne is the tree that is mounted at dir, if this process is in it.
func versionOne(dir, options string, own map[string]string) []hierarchy {
	h := hierarchy{dir: dir, kind: "cgroup"}
	var controllers []string
	for option := range strings.SplitSeq(options, ",") {
		if path, known := own[option]; known {
			controllers = append(controllers, option)
			h.own = path
		}
	}
	if len(controllers) == 0 {
		return nil
	}
	h.options = strings.Join(controllers, ",")
	if strings.HasPrefix(h.options, "name=") {
		h.options = "none," + h.options
	}
	return []hierarchy{h}
}

// ownGroups are the groups of this process by controller, "" for version 2.
func ownGroups() (map[string]string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own := map[string]string{}
	for line := range strings.Lines(string(text)) {
		// number, controllers, path
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			own[controller] = fields[2]
		}
	}
	return own, nil
}

// group is where a run has its group: in that of this process, or with version 2,
// where a group with processes can have no groups with controllers, at the top.
func (h hierarchy) group(name string) string {
	if h.kind == unified {
		return filepath.Join(h.dir, name)
	}
	return filepath.Join(h.dir, h.own, name)
}

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
	if h.kind == unified {
		if err := delegate(h.dir); err != nil {
			return err
		}
	}
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

// settle makes the top of a tree, as the first process of new namespaces sees it,
// ready for the groups of pods: with version 2 no process may be in it.
func (h hierarchy) settle() error {
	if h.kind != unified {
		return nil
	}
	leaf := filepath.Join(h.dir, "init")
	if err := os.Mkdir(leaf, 0o755); err != nil {
		return err
	}
	if err := join(leaf); err != nil {
		return err
	}
	return delegate(h.dir)
}

// delegate gives the groups in a group of version 2 every controller that it has.
func delegate(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(text)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("controller %s in %s: %w", controller, dir, err)
		}
	}
	return nil
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
