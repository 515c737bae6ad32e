package chartdiff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
)

// compare finds what is added, removed and changed. Each side comes twice: what
// differs between two renderings of the same is made up at each of them, such as
// a random password, and is no change.
func compare(result *Result, old, oldAgain, next, newAgain *rendering, namespace string) {
	volatile := map[objectKey][]string{}
	for _, pair := range [][2]*rendering{{old, oldAgain}, {next, newAgain}} {
		for key, a := range pair[0].objects {
			b := pair[1].objects[key]
			for _, f := range report.DiffValues(a.content, b.content, true) {
				volatile[key] = append(volatile[key], f.Path)
			}
		}
	}
	keys := map[objectKey]bool{}
	for key := range old.objects {
		keys[key] = true
	}
	for key := range next.objects {
		keys[key] = true
	}
	made := map[string]bool{}
	for key := range keys {
		a, was := old.objects[key]
		b, will := next.objects[key]
		change := report.ObjectChange{Kind: key.kind, Namespace: cmp.Or(key.namespace, namespace), Name: key.name}
		switch {
		case !was:
			change.Change, change.Hook, change.APIVersion = report.Added, b.hook, text(b.content, "apiVersion")
			change.Fields = outline(b.content, report.Added)
		case !will:
			change.Change, change.Hook, change.APIVersion = report.Removed, a.hook, text(a.content, "apiVersion")
		default:
			change.Change, change.Hook, change.APIVersion = report.Changed, b.hook, text(b.content, "apiVersion")
			fields := report.DiffValues(a.content, b.content, true)
			all := len(fields)
			fields = slices.DeleteFunc(fields, func(f report.FieldChange) bool { return within(f.Path, volatile[key]) })
			if len(fields) < all {
				made[key.kind+" "+key.name] = true
			}
			all = len(fields)
			fields = slices.DeleteFunc(fields, func(f report.FieldChange) bool { return versionLabel(f.Path) })
			if len(fields) == 0 && all > 0 {
				result.Relabelled++
				continue
			}
			change.Fields = fields
			slices.SortStableFunc(change.Fields, func(a, b report.FieldChange) int { return cmp.Compare(echo(a.Path), echo(b.Path)) })
		}
		change.Effect = effect(change, a.content)
		if change.Change == report.Changed && len(change.Fields) == 0 && a.hook == b.hook {
			result.Unchanged++
			continue
		}
		result.Objects = append(result.Objects, change)
	}
	slices.SortFunc(result.Objects, func(a, b report.ObjectChange) int {
		return cmp.Or(cmp.Compare(order(a.Change), order(b.Change)), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.Namespace, b.Namespace))
	})
	if len(made) > 0 {
		result.Notes = append(result.Notes, "left out, because the chart makes them up at each rendering: parts of "+sorted(made))
	}
	compareDefinitions(result, old, next)
}

// compareDefinitions tells of what Helm leaves alone: it installs the definitions
// in a chart's crds folder once, and never again.
func compareDefinitions(result *Result, old, next *rendering) {
	changed := map[string]bool{}
	for name, text := range next.crds {
		if was, known := old.crds[name]; len(old.crds) > 0 && (!known || was != text) {
			changed[name] = true
		}
	}
	if len(changed) > 0 {
		result.Notes = append(result.Notes,
			"Helm does not update custom resource definitions; the new chart has others, to be applied by hand: "+sorted(changed))
	}
}

func sorted(set map[string]bool) string {
	list := make([]string, 0, len(set))
	for name := range set {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// order puts what is lost first.
func order(change string) int {
	return slices.Index([]string{report.Removed, report.Changed, report.Added}, change)
}

func within(path string, others []string) bool {
	return slices.ContainsFunc(others, func(other string) bool { return below(path, other) || below(other, path) })
}

// below tells whether a path is another, or inside it.
func below(path, other string) bool {
	return path == other || strings.HasPrefix(path, other) && (path[len(other)] == '.' || path[len(other)] == '[')
}

// versionLabel tells whether a field only says by which version of the chart the
// object was made. On pods it restarts them, and counts.
func versionLabel(path string) bool {
	switch path {
	case `metadata.labels["helm.sh/chart"]`, "metadata.labels.chart", `metadata.labels["app.kubernetes.io/version"]`,
		"metadata.labels.version":
		return true
	}
	return false
}

// echo tells whether a field only repeats that something else changed, and comes
// last: checksums, and labels of the version.
func echo(path string) int {
	if strings.Contains(path, "annotations[\"checksum/") || versionLabel(strings.TrimPrefix(path, "spec.template.")) {
		return 1
	}
	return 0
}

// outline shows an object's content, as a reviewer of something new wants it.
func outline(content map[string]any, change string) (fields []report.FieldChange) {
	for key, v := range content {
		switch key {
		case "apiVersion", "kind", "metadata", "status":
			continue
		}
		f := report.FieldChange{Path: key, Change: change, New: v}
		fields = append(fields, f)
	}
	slices.SortFunc(fields, func(a, b report.FieldChange) int { return cmp.Compare(a.Path, b.Path) })
	return fields
}

// workloads are kinds whose pods follow their template.
var workloads = []string{"Deployment", "StatefulSet", "DaemonSet"}

// fixed are fields that Kubernetes lets nobody change, by kind.
var fixed = map[string][]string{
	"Deployment":  {"spec.selector"},
	"DaemonSet":   {"spec.selector"},
	"StatefulSet": {"spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"},
	"Job":         {"spec.template", "spec.selector", "spec.completionMode"},
	"PersistentVolumeClaim": {
		"spec.accessModes", "spec.storageClassName", "spec.volumeName", "spec.selector", "spec.volumeMode", "spec.dataSource",
	},
	"PersistentVolume": {
		"spec.csi", "spec.gcePersistentDisk", "spec.nfs", "spec.volumeMode", "spec.nodeAffinity",
	},
	"StorageClass":       {"provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"},
	"RoleBinding":        {"roleRef"},
	"ClusterRoleBinding": {"roleRef"},
	"Service":            {"spec.clusterIP"},
}

// effect says what a change does to what runs.
func effect(o report.ObjectChange, old map[string]any) string {
	if o.Hook != "" {
		return ""
	}
	if o.Change == report.Removed {
		return removal(o, old)
	}
	if o.Change != report.Changed {
		return ""
	}
	paths := fixed[o.Kind]
	if (o.Kind == "ConfigMap" || o.Kind == "Secret") && old["immutable"] == true {
		paths = []string{"data", "binaryData", "stringData"}
	}
	for _, f := range o.Fields {
		for _, path := range paths {
			if below(f.Path, path) {
				return fmt.Sprintf("Kubernetes refuses to change %s: the object must be deleted first", path)
			}
		}
	}
	if slices.Contains(workloads, o.Kind) {
		for _, f := range o.Fields {
			if below(f.Path, "spec.template") {
				return "its pods are replaced"
			}
		}
	}
	return ""
}

func removal(o report.ObjectChange, old map[string]any) string {
	if text(old, "metadata", "annotations", "helm.sh/resource-policy") == "keep" {
		return "Helm keeps it, as its annotation asks"
	}
	switch o.Kind {
	case "PersistentVolumeClaim":
		return "the volume goes with it, unless its class retains volumes"
	case "PersistentVolume":
		if text(old, "spec", "persistentVolumeReclaimPolicy") == "Retain" {
			return ""
		}
		return "what is on it may go with it"
	case "Namespace":
		return "everything in it goes with it"
	case "CustomResourceDefinition":
		return "all objects of this kind go with it"
	}
	return ""
}
