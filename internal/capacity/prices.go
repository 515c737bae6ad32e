package capacity

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/deepgram-gke/deepgram-gke/internal/hardware"
)

//go:embed prices.yaml
var listPrices []byte

// HoursAMonth is what a month counts as.
const HoursAMonth = 730

// Prices is a price table: US dollars, on demand, in one region.
type Prices struct {
	// Date is the table's day, YYYY-MM-DD.
	Date string `json:"date"`
	// Region is the region whose prices they are.
	Region string `json:"region"`
	// From is where they were read.
	From string `json:"from"`
	// VCPUHour and MemoryGBHour are by machine series.
	VCPUHour     map[string]float64 `json:"vcpuHour"`
	MemoryGBHour map[string]float64 `json:"memoryGbHour"`
	// GPUHour is for each GPU, by accelerator type.
	GPUHour map[string]float64 `json:"gpuHour"`
	// MachineHour is for whole machines that are not the sum of their parts.
	MachineHour map[string]float64 `json:"machineHour"`
	// SpotShare is what a spot machine costs of the price on demand, over 0 and at
	// most 1, by machine series; 1 where it is not given.
	SpotShare map[string]float64 `json:"spotShare"`
	// DiskGBMonth is by disk type, FilestoreGBMonth by tier.
	DiskGBMonth      map[string]float64 `json:"diskGbMonth"`
	FilestoreGBMonth map[string]float64 `json:"filestoreGbMonth"`
	// ClusterHour is GKE's fee for a cluster.
	ClusterHour float64 `json:"clusterHour"`
}

// ListPrices is the table that the program carries.
func ListPrices() *Prices {
	var p Prices
	if err := yaml.UnmarshalStrict(listPrices, &p); err != nil {
		panic(fmt.Sprintf("the built-in price table: %v", err)) // a test reads it
	}
	return &p
}

// LoadPrices lays a YAML file over the table that the program carries: keys that
// the file gives win. The file must give a date, so that nobody takes its prices for
// the built-in ones.
func LoadPrices(file string) (*Prices, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("price table: %w", err)
	}
	var over Prices
	if err := yaml.UnmarshalStrict(text, &over); err != nil {
		return nil, fmt.Errorf("price table %s: %w", file, err)
	}
	if err := over.validate(); err != nil {
		return nil, fmt.Errorf("price table %s: %w", file, err)
	}
	p := ListPrices()
	p.Date = over.Date
	p.From = "the table " + file
	if over.From != "" {
		p.From = over.From
	}
	if over.Region != "" {
		p.Region = over.Region
	}
	if over.ClusterHour != 0 {
		p.ClusterHour = over.ClusterHour
	}
	for _, m := range []struct{ to, from map[string]float64 }{
		{p.VCPUHour, over.VCPUHour},
		{p.MemoryGBHour, over.MemoryGBHour},
		{p.GPUHour, over.GPUHour},
		{p.MachineHour, over.MachineHour},
		{p.SpotShare, over.SpotShare},
		{p.DiskGBMonth, over.DiskGBMonth},
		{p.FilestoreGBMonth, over.FilestoreGBMonth},
	} {
		maps.Copy(m.to, m.from)
	}
	return p, nil
}

func (p *Prices) validate() error {
	var errs []error
	if _, err := time.Parse(time.DateOnly, p.Date); err != nil {
		errs = append(errs, fmt.Errorf("date: %q must be the day of the prices, such as 2026-06-22", p.Date))
	}
	for _, table := range []struct {
		key    string
		prices map[string]float64
	}{
		{"vcpuHour", p.VCPUHour},
		{"memoryGbHour", p.MemoryGBHour},
		{"gpuHour", p.GPUHour},
		{"machineHour", p.MachineHour},
		{"spotShare", p.SpotShare},
		{"diskGbMonth", p.DiskGBMonth},
		{"filestoreGbMonth", p.FilestoreGBMonth},
		{"", map[string]float64{"clusterHour": p.ClusterHour}},
	} {
		for _, name := range slices.Sorted(maps.Keys(table.prices)) {
			key, price := name, table.prices[name]
			if table.key != "" {
				key = table.key + "." + name
			}
			switch {
			case price < 0:
				errs = append(errs, fmt.Errorf("%s: %g must not be negative", key, price))
			case table.key == "spotShare" && (price == 0 || price > 1):
				errs = append(errs, fmt.Errorf("%s: %g must be a share over 0 and at most 1, such as 0.4", key, price))
			}
		}
	}
	return errors.Join(errs...)
}

// node is the price of one node an hour; false where the table lacks something.
func (p *Prices) node(machine, gpu string, gpus int, spot bool) (float64, bool) {
	m, err := hardware.ParseMachineType(machine)
	if err != nil {
		return 0, false
	}
	price, whole := p.MachineHour[m.Name]
	if !whole {
		cpu, known := p.VCPUHour[m.Family]
		memory, also := p.MemoryGBHour[m.Family]
		if !known || !also {
			return 0, false
		}
		price = cpu*float64(m.VCPUs) + memory*m.MemoryGiB()
		if gpus > 0 {
			each, known := p.GPUHour[gpu]
			if !known {
				return 0, false
			}
			price += each * float64(gpus)
		}
	}
	if share, known := p.SpotShare[m.Family]; spot && known {
		price *= share
	}
	return price, true
}
