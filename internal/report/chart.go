package report

// ChartDiff is what a plan changes in the Kubernetes objects of a Helm release.
// internal/chartdiff makes it.
type ChartDiff struct {
	Release   string `json:"release"`
	Namespace string `json:"namespace"`
	// Old and New are the charts; Old is empty for a new release, New for one
	// that is deleted.
	Old ChartSource `json:"old"`
	New ChartSource `json:"new"`
	// Rendered tells that both charts were rendered, and Objects is complete.
	// Without it only Values are known.
	Rendered bool `json:"rendered"`
	// Notes say what the reader must know, such as why a chart could not be had.
	Notes []string `json:"notes,omitempty"`
	// Objects are the Kubernetes objects that are added, removed or changed.
	Objects []ObjectChange `json:"objects"`
	// Unchanged is how many objects stay as they are.
	Unchanged int `json:"unchanged"`
	// Relabelled is how many objects change only in labels that name the version of
	// their chart; they are not among Objects.
	Relabelled int `json:"relabelled,omitempty"`
	// Values is the diff of the values that the release is given.
	Values []FieldChange `json:"values"`
}

// ChartSource is a chart and where it came from.
type ChartSource struct {
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	// From is a repository, an oci:// address, a file, or Helm's cache.
	From string `json:"from,omitempty"`
}

// ObjectChange is a Kubernetes object that changes.
type ObjectChange struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	// Change is added, removed or changed.
	Change string `json:"change"`
	// Hook names the Helm events that run it; empty for an ordinary object.
	Hook string `json:"hook,omitempty"`
	// Effect is what the change does to what runs, such as that pods restart.
	Effect string        `json:"effect,omitempty"`
	Fields []FieldChange `json:"fields,omitempty"`
}

// RedactChart takes secrets out of a diff: the known ones, the data of Secrets,
// and what its name or form gives away as one.
func RedactChart(c ChartDiff, secrets []string) ChartDiff { return newRedactor(secrets).chart(c) }
