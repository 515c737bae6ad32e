package report

// Capacity is what a plan does to capacity and cost. internal/capacity makes it.
type Capacity struct {
	// Old is what there is, nil for a new environment; New is what there will be,
	// nil where everything goes.
	Old *CapacityFigures `json:"old,omitempty"`
	New *CapacityFigures `json:"new,omitempty"`
	// Prices say where the prices come from.
	Prices PriceSource `json:"prices"`
	// Notes say what is not counted, and why.
	Notes []string `json:"notes,omitempty"`
}

// PriceSource is the price table behind a cost.
type PriceSource struct {
	// Date is the table's day, YYYY-MM-DD.
	Date string `json:"date"`
	// Region is the region whose prices they are.
	Region string `json:"region"`
	// From is where they were read.
	From string `json:"from"`
}

// Range is the least and the most of something that scales.
type Range struct {
	Min int `json:"min"`
	Max int `json:"max"`
}

// CapacityFigures are capacity and cost at one time.
type CapacityFigures struct {
	// Engines are replicas of the engine.
	Engines Range `json:"engines"`
	// StreamsPerPod is the load at which engines are added; 0 where another
	// figure than streams is the target.
	StreamsPerPod int `json:"streamsPerPod,omitempty"`
	// Streams is Engines at that load.
	Streams Range `json:"streams"`
	// GPUs are those of the nodes, GPUTypes their types.
	GPUs     Range    `json:"gpus"`
	GPUTypes []string `json:"gpuTypes,omitempty"`
	// Nodes are all nodes of the environment.
	Nodes Range `json:"nodes"`
	// Items are what costs money, the dearest first.
	Items []CostItem `json:"items"`
	// MonthlyMin and MonthlyMax are US dollars a month (730 hours) with the fewest
	// and the most nodes.
	MonthlyMin float64 `json:"monthlyMin"`
	MonthlyMax float64 `json:"monthlyMax"`
}

// CostItem is one thing that costs money.
type CostItem struct {
	// Name is a node pool, a disk …
	Name string `json:"name"`
	// What says what it is, such as "1–11 × g2-standard-12".
	What string `json:"what"`
	// Min and Max are US dollars a month.
	Min float64 `json:"min"`
	Max float64 `json:"max"`
	// Unpriced tells that the table has no price for it.
	Unpriced bool `json:"unpriced,omitempty"`
}
