package hardware

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MachineType is one Compute Engine machine type, predefined or custom.
type MachineType struct {
	// Name is the machine type as written, such as g2-standard-12.
	Name string
	// Family is the series, such as g2.
	Family string
	// VCPUs is the number of virtual CPUs.
	VCPUs int
	// MemoryMiB is the memory.
	MemoryMiB int
	// SharedCore tells that its vCPUs are only fractions of a core.
	SharedCore bool
	// Custom tells that vCPUs and memory were chosen freely.
	Custom bool
	// GPU is what is built in; its Count is 0 where nothing is.
	GPU BuiltIn
}

// BuiltIn are the GPUs that belong to a machine type.
type BuiltIn struct {
	// Type is the accelerator type.
	Type string
	// Count is how many there are.
	Count int
	// Fraction says that a GPU is 1/Fraction of a whole one; 1 is whole.
	Fraction int
}

// MemoryGiB is the memory in GiB, as Google lists it ("GB").
func (m MachineType) MemoryGiB() float64 { return float64(m.MemoryMiB) / 1024 }

// UnknownFamilyError says that the catalogue has no such machine series.
type UnknownFamilyError struct{ MachineType string }

func (e *UnknownFamilyError) Error() string {
	return fmt.Sprintf("machine type %q: its series is not in the catalogue", e.MachineType)
}

// InvalidTypeError says that a series is known, but has no such type.
type InvalidTypeError struct{ MachineType, Reason string }

func (e *InvalidTypeError) Error() string {
	return fmt.Sprintf("machine type %q: %s", e.MachineType, e.Reason)
}

var predefined = func() map[string]MachineType {
	all := map[string]MachineType{}
	add := func(m MachineType) { all[m.Name] = m }
	for _, f := range families {
		for _, s := range f.series {
			for i, v := range s.vcpus {
				gib := s.perVCPU * float64(v)
				if s.mem != nil {
					gib = s.mem[i]
				}
				m := MachineType{Name: fmt.Sprintf("%s-%s-%d", f.Name, s.class, v), Family: f.Name, VCPUs: v, MemoryMiB: mib(gib)}
				add(m)
				if s.lssd > 0 && v >= s.lssd {
					m.Name += "-lssd"
					add(m)
				}
			}
		}
		for _, s := range f.singles {
			m := MachineType{Name: s.name, Family: f.Name, VCPUs: s.vcpus, MemoryMiB: mib(s.gib), SharedCore: s.shared}
			if s.gpus > 0 {
				m.GPU = BuiltIn{Type: s.gpu, Count: s.gpus, Fraction: max(s.fraction, 1)}
			}
			add(m)
		}
	}
	return all
}()

func mib(gib float64) int { return int(math.Floor(gib*1024 + 1e-6)) }

// MachineTypes are the predefined machine types of the catalogue, by name.
func MachineTypes() []MachineType {
	all := make([]MachineType, 0, len(predefined))
	for _, m := range predefined {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b MachineType) int { return strings.Compare(a.Name, b.Name) })
	return all
}

var (
	customName = regexp.MustCompile(`^(?:([a-z0-9]+)-)?custom-([0-9]+)-([0-9]+)(-ext)?$`)
	sharedName = regexp.MustCompile(`^e2-custom-(micro|small|medium)-([0-9]+)$`)
	familyName = regexp.MustCompile(`^([a-z][a-z0-9]*)-`)
)

// ParseMachineType reads a machine type: predefined (n2-standard-4) or custom
// (custom-8-32768, n2-custom-8-65536-ext, g2-custom-8-36864); the path form
// "zones/…/machineTypes/n2-standard-4" is taken too. The error is an
// *UnknownFamilyError or an *InvalidTypeError.
func ParseMachineType(name string) (MachineType, error) {
	short := name[strings.LastIndex(name, "/")+1:]
	if m, ok := predefined[short]; ok {
		return m, nil
	}
	if parts := sharedName.FindStringSubmatch(short); parts != nil {
		return sharedCustom(short, parts[1], parts[2])
	}
	if parts := customName.FindStringSubmatch(short); parts != nil {
		family := parts[1]
		if family == "" {
			family = "n1" // "custom-V-M" is N1's original form
		}
		return custom(short, family, parts[2], parts[3], parts[4] != "")
	}
	if parts := familyName.FindStringSubmatch(short); parts != nil {
		if _, ok := FamilyFor(parts[1]); ok {
			return MachineType{}, &InvalidTypeError{name, fmt.Sprintf("the %s series has no such type", parts[1])}
		}
	}
	return MachineType{}, &UnknownFamilyError{name}
}

func custom(name, family, vcpuText, memText string, extended bool) (MachineType, error) {
	f, ok := FamilyFor(family)
	if !ok {
		return MachineType{}, &UnknownFamilyError{name}
	}
	invalid := func(format string, args ...any) (MachineType, error) {
		return MachineType{}, &InvalidTypeError{name, fmt.Sprintf(format, args...)}
	}
	r := f.custom
	if r == nil {
		return invalid("the %s series has no custom types", family)
	}
	vcpus, err1 := strconv.Atoi(vcpuText)
	memory, err2 := strconv.Atoi(memText)
	if err1 != nil || err2 != nil {
		return invalid("its numbers are out of range")
	}
	m := MachineType{Name: name, Family: family, VCPUs: vcpus, MemoryMiB: memory, Custom: true}
	gib := float64(memory) / 1024
	if r.ranges != nil {
		g, ok := r.ranges[vcpus]
		if !ok {
			return invalid("vCPUs must be %s", r.vcpuRule)
		}
		if extended || gib < g.minGiB || gib > g.maxGiB || memory%1024 != 0 {
			return invalid("with %d vCPUs memory must be %g to %g GB in whole GB", vcpus, g.minGiB, g.maxGiB)
		}
		m.GPU = BuiltIn{Type: f.singles[0].gpu, Count: g.gpus, Fraction: 1}
		return m, nil
	}
	if !r.validVCPUs(vcpus) {
		return invalid("vCPUs must be %s", r.vcpuRule)
	}
	if memory%256 != 0 {
		return invalid("memory must be a multiple of 256 MB")
	}
	least, most := r.minPer*float64(vcpus), r.maxPer*float64(vcpus)
	if r.maxTotal > 0 {
		most = min(most, r.maxTotal)
	}
	if extended {
		if r.maxExtended == 0 {
			return invalid("the %s series has no extended memory", family)
		}
		most = r.maxExtended
	}
	if gib < least-1e-9 || gib > most+1e-9 {
		return invalid("with %d vCPUs memory must be %g to %g GB", vcpus, least, most)
	}
	return m, nil
}

// sharedCustom are E2's custom shared-core types (sourceCustom): 1 to 2 GB for
// micro, 1 to 4 for small, 1 to 8 for medium.
func sharedCustom(name, size, memText string) (MachineType, error) {
	most := map[string]int{"micro": 2048, "small": 4096, "medium": 8192}[size]
	memory, err := strconv.Atoi(memText)
	if err != nil || memory < 1024 || memory > most || memory%256 != 0 {
		return MachineType{}, &InvalidTypeError{name, fmt.Sprintf("memory must be 1024 to %d MB, a multiple of 256", most)}
	}
	return MachineType{Name: name, Family: "e2", VCPUs: 2, MemoryMiB: memory, SharedCore: true, Custom: true}, nil
}

// FamilyFor is the series of that name.
func FamilyFor(name string) (Family, bool) {
	for _, f := range families {
		if f.Name == name {
			return f, true
		}
	}
	return Family{}, false
}

// Families are all series of the catalogue.
func Families() []Family { return slices.Clone(families) }

func (m MachineType) family() Family { f, _ := FamilyFor(m.Family); return f }

// Arch is X86 or ARM.
func (m MachineType) Arch() string { return m.family().Arch }

// DiskTypes are the disk types the machine can attach.
func (m MachineType) DiskTypes() []string { return slices.Clone(m.family().Disks) }

// CanAttach tells whether a disk of that type can be attached.
func (m MachineType) CanAttach(diskType string) bool {
	return slices.Contains(m.family().Disks, diskType)
}

// CanAttachRegional tells whether a regional persistent disk can be attached.
func (m MachineType) CanAttachRegional() bool { return m.family().RegionalDisks }

// AllowedCounts are the numbers of GPUs of that type the machine can have; nil
// where it can have none.
func (m MachineType) AllowedCounts(accelerator string) []int {
	g, err := GPUFor(accelerator)
	if err != nil {
		return nil
	}
	if m.GPU.Count > 0 {
		if m.GPU.Type == g.Type {
			return []int{m.GPU.Count}
		}
		return nil
	}
	if m.SharedCore {
		return nil
	}
	var counts []int
	for _, a := range m.family().attachable {
		if a.gpu != g.Type {
			continue
		}
		for n, l := range a.limits {
			if m.VCPUs <= l.vcpus && m.MemoryMiB <= mib(l.gib) {
				counts = append(counts, n)
			}
		}
	}
	slices.Sort(counts)
	return counts
}

// AttachableGPUs are the accelerator types the machine can have besides those
// that are built in.
func (m MachineType) AttachableGPUs() []string {
	var all []string
	for _, a := range m.family().attachable {
		if len(m.AllowedCounts(a.gpu)) > 0 {
			all = append(all, a.gpu)
		}
	}
	return all
}
