package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/deepgram-gke/deepgram-gke/internal/chart"
)

// release checks registry, chart, entrances and monitoring.
func (v *validator) release() {
	c := v.c
	if c.Release.ChartVersion != "" && !v.has("release.chartVersion") && !chart.Supported(c.Release.ChartVersion) {
		v.problem("release.chartVersion", quote(c.Release.ChartVersion), "is not supported", strings.Join(chart.Versions(), ", "), "")
	} else if len(c.Values) > 0 {
		for _, message := range chart.CheckKeys(c.Release.ChartVersion, c.Values) {
			v.problem("values", "", message, "", "")
		}
	}
	if c.Registry.URL != "" && c.Registry.Mode != "existing" {
		v.problem("registry.url", quote(c.Registry.URL), "is only for registry.mode existing", "", "remove it, or set registry.mode to existing")
	}
	if c.Registry.Lock != "" && c.Registry.Mode != "mirror" {
		v.problem("registry.lock", quote(c.Registry.Lock), "is only for registry.mode mirror", "", "remove it, or set registry.mode to mirror")
	}
	for path, secret := range map[string]Secret{
		"release.apiKey": c.Release.APIKey, "registry.distribution.password": c.Registry.Distribution.Password, "billing.licenseKey": c.Billing.LicenseKey,
	} {
		if strings.ContainsAny(secret.Reveal(), " \t\r\n") {
			v.problem(path, "", "holds white space", "the key alone", setSecretCommand(Namespace+":"+path))
		}
	}
	if c.Grafana.Enabled {
		if c.Monitoring.Mode != "bundled" {
			v.problem("grafana.enabled", "true", "needs monitoring.mode bundled: Grafana comes with it", "false", "")
		}
		if c.Grafana.Host != "" && c.Ingress.Enabled && c.Grafana.Host == c.Ingress.Host {
			v.problem("grafana.host", quote(c.Grafana.Host), "is ingress.host as well", "another host name", "")
		}
	}
}

// cluster checks pools, maintenance and private nodes.
func (v *validator) cluster() {
	c := v.c.Cluster
	if c.ExistingPools && c.Existing == "" {
		v.problem("cluster.existingPools", "true", "needs cluster.existing", "false", "name the cluster in cluster.existing")
	}
	if c.Existing != "" {
		v.excludes(c.Name != v.c.Environment.NamePrefix+"-cluster", "cluster.existing", "cluster.name")
		v.excludes(c.Private.Enabled, "cluster.existing", "cluster.private.enabled")
	}
	if !c.Private.Enabled && (c.Private.PrivateEndpoint || c.Private.ControlPlaneCidr != "") {
		v.problem("cluster.private.enabled", "false", "does not go with privateEndpoint or controlPlaneCidr", "true", "set it to true, or remove them")
	}
	v.maintenance(c.Maintenance)
	names := map[string]string{}
	for _, p := range v.c.Pools.byRole() {
		path := "pools." + p.key
		v.pool(path, p)
		if other := names[p.pool.Name]; other != "" {
			v.problem(path+".name", quote(p.pool.Name), "is the name of "+other+" as well", "another name", "")
		}
		names[p.pool.Name] = path
	}
}

func (v *validator) pool(path string, p rolePool) {
	pool := p.pool
	if pool.MachineType == "" {
		v.problem(path+".machineType", "", "is missing", "a machine type such as g2-standard-12", "")
	}
	if pool.MinNodes > pool.MaxNodes && !v.has(path+".maxNodes") {
		v.problem(path+".minNodes", fmt.Sprint(pool.MinNodes), fmt.Sprintf("is more than maxNodes %d", pool.MaxNodes), fmt.Sprintf("at most %d", pool.MaxNodes), "")
	}
	v.excludes(pool.Spot && pool.Reservation != "", path+".reservation", path+".spot")
	if pool.Upgrade.Strategy == "SURGE" && pool.Upgrade.MaxSurge == 0 && pool.Upgrade.MaxUnavailable == 0 {
		v.problem(path+".upgrade", "", "has maxSurge 0 and maxUnavailable 0, so that no node could ever be replaced", "one of them 1 or more", "")
	}
	gpu := pool.GPU
	if gpu == nil {
		return
	}
	if p.role != "engine" {
		v.problem(path+".gpu", "", "is only for pools.engine", "", "remove it")
		return
	}
	if gpu.Sharing != "" && gpu.MaxSharedClients < 2 {
		v.problem(path+".gpu.maxSharedClients", fmt.Sprint(gpu.MaxSharedClients), "is too small for gpu.sharing "+gpu.Sharing, "2 to 48", "")
	}
	if gpu.Sharing == "" && gpu.MaxSharedClients != 0 {
		v.problem(path+".gpu.maxSharedClients", fmt.Sprint(gpu.MaxSharedClients), "needs gpu.sharing", "0", "set gpu.sharing, or remove it")
	}
}

func (v *validator) maintenance(m Maintenance) {
	start, startErr := time.Parse(time.RFC3339, m.Start)
	end, endErr := time.Parse(time.RFC3339, m.End)
	if startErr == nil && endErr == nil {
		length := end.Sub(start)
		switch {
		case length < 4*time.Hour:
			v.problem("cluster.maintenance.end", m.End, "is less than 4 hours after start "+m.Start, "4 to 24 hours after start", "")
		case length > 24*time.Hour:
			v.problem("cluster.maintenance.end", m.End, "is more than 24 hours after start "+m.Start, "4 to 24 hours after start", "")
		default:
			v.recurrence(m.Recurrence, length)
		}
	}
	names := map[string]bool{}
	for i, x := range m.Exclusions {
		path := fmt.Sprintf("cluster.maintenance.exclusions[%d]", i)
		start, startErr := time.Parse(time.RFC3339, x.Start)
		end, endErr := time.Parse(time.RFC3339, x.End)
		if startErr == nil && endErr == nil && !end.After(start) {
			v.problem(path+".end", x.End, "is not after start "+x.Start, "a later time", "")
		}
		if x.Name != "" && names[x.Name] {
			v.problem(path+".name", quote(x.Name), "is given twice", "another name", "")
		}
		names[x.Name] = true
	}
}

// recurrence checks, for the plain rules, that GKE gets its 48 hours in 32 days.
func (v *validator) recurrence(rule string, length time.Duration) {
	parts := recurrenceParts(rule)
	if v.has("cluster.maintenance.recurrence") || parts["INTERVAL"] != "" && parts["INTERVAL"] != "1" {
		return
	}
	var times int
	switch parts["FREQ"] {
	case "DAILY":
		times = 32
	case "WEEKLY":
		times = 4 * (1 + strings.Count(parts["BYDAY"], ","))
	default:
		return
	}
	if total := time.Duration(times) * length; total < 48*time.Hour {
		v.problem("cluster.maintenance.recurrence", quote(rule), fmt.Sprintf("gives %d hours in 32 days", int(total.Hours())), "48 hours or more",
			"add days, or move cluster.maintenance.end")
	}
}

// models checks files, sets and disks.
func (v *validator) models() {
	m := &v.c.Models
	v.excludes(len(m.Files) > 0 && len(m.Sets) > 0, "models.files", "models.sets")
	switch _, found := m.Sets[m.Active]; {
	case m.Active == "" && len(m.Sets) > 1:
		v.problem("models.active", "", "is missing", strings.Join(sortedKeys(m.Sets), ", "), setCommand(Namespace+":models.active"))
	case m.Active != "" && !found && !v.has("models.active"):
		v.problem("models.active", quote(m.Active), "is not in models.sets", strings.Join(sortedKeys(m.Sets), ", "), "")
	}
	if len(m.Sets) > 1 {
		for key, value := range map[string]string{"name": m.Disk.Name, "existing": m.Disk.Existing} {
			if value != "" {
				v.problem("models.disk."+key, quote(value), "would be the disk of every set", "", "give it to one set, in models.sets.<set>.disk."+key)
			}
		}
	}
	disks := map[string]string{}
	for _, set := range m.ModelSets() {
		if set.Name != "" && !formats["dns-label"].valid(set.Name) {
			v.problem(set.Key, "", "is not a valid name of a set", formats["dns-label"].allowed, "")
		}
		at := set.Key + ".disk"
		if set.Disk.Existing != "" {
			v.excludes(set.Disk.Name != "" || m.diskName(set) != "", at+".existing", at+".name")
			v.excludes(len(set.Files) > 0, at+".existing", set.Key+".files")
		}
		if disk := set.Disk.Existing + set.Disk.Name; disks[disk] != "" && set.Name != "" {
			v.problem(at, quote(disk), "is the disk of "+disks[disk]+" as well", "a disk of its own", "give it other files, or a disk.name")
		} else {
			disks[disk] = set.Key
		}
		if set.Retire != "" && set.Active && !v.has(set.Key+".retire") {
			v.problem(set.Key+".retire", set.Retire, "would remove the active set", "", "remove it, or set models.active to another set")
		}
		v.files(set.Key, set.Files)
		if len(set.Files) > 0 && v.c.Registry.Mode == "pull-through" && v.c.Registry.OpsImage == "" {
			v.problem(set.Key+".files", "", "need registry.opsImage: a pull-through of quay.io does not have the image that loads them", "",
				"publish it elsewhere with deepgram-ops images publish, and name it in registry.opsImage")
		}
	}
}

// diskName is the name that was given for a set's disk.
func (m *Models) diskName(set NamedModelSet) string {
	if own := m.Sets[set.Name].Disk; own != nil {
		return own.Name
	}
	return m.Disk.Name
}

func (v *validator) files(key string, files []ModelFile) {
	names := map[string]int{}
	for i, file := range files {
		path := fmt.Sprintf("%s.files[%d]", key, i)
		if text := file.URL.Reveal(); text != "" {
			// The address may be signed: none of it is shown.
			u, err := url.Parse(text)
			if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "gs" {
				v.problem(path+".url", "", "is not an https:// or gs:// address", "https://host/path or gs://bucket/object", "")
				continue
			}
		}
		name := file.FileName()
		switch before, twice := names[name]; {
		case name == "" && file.URL.Reveal() != "":
			v.problem(path+".name", "", "is missing, and the url does not end in a file name", formats["filename"].allowed, "")
		case name == "":
		case file.Name == "" && !formats["filename"].valid(name):
			v.problem(path+".name", "", "is missing, and the end of the url is no file name", formats["filename"].allowed, "")
		case twice:
			v.problem(path+".name", quote(name), fmt.Sprintf("is the name of %s.files[%d] as well", key, before), "another name", "")
		default:
			names[name] = i
		}
	}
}

// scaling checks targets, numbers and resources.
func (v *validator) scaling() {
	e := v.c.Scaling.Engine
	if e.MinReplicas > e.MaxReplicas {
		v.problem("scaling.engine.minReplicas", fmt.Sprint(e.MinReplicas), fmt.Sprintf("is more than maxReplicas %d", e.MaxReplicas),
			fmt.Sprintf("1 to %d", e.MaxReplicas), "")
	}
	var families []string
	for _, target := range []struct {
		key   string
		value *int
	}{{"streamsPerPod", e.StreamsPerPod}, {"batchRequestsPerPod", e.BatchRequestsPerPod}, {"ttsRequestsPerPod", e.TTSRequestsPerPod}} {
		if target.value == nil {
			continue
		}
		families = append(families, target.key)
		if limit := v.c.Engine.ActiveRequests; limit != nil && *target.value > *limit {
			v.problem("scaling.engine."+target.key, fmt.Sprint(*target.value), fmt.Sprintf("is more than engine.activeRequests %d, so that load could never reach it", *limit),
				fmt.Sprintf("1 to %d", *limit), "")
		}
	}
	if e.CapacityRatio != nil {
		families = append(families, "capacityRatio")
		switch {
		case *e.CapacityRatio == 0:
			v.problem("scaling.engine.capacityRatio", "0", "is out of range", "over 0, at most 1", "")
		case v.c.Engine.ActiveRequests == nil:
			v.problem("scaling.engine.capacityRatio", fmt.Sprint(*e.CapacityRatio), "needs engine.activeRequests: it is a share of that limit", "",
				setCommand(Namespace+":engine.activeRequests"))
		}
	}
	v.keda()
	if len(families) > 1 {
		v.problem("scaling.engine", "", "has "+strings.Join(families, " and "), "exactly one of streamsPerPod, batchRequestsPerPod, ttsRequestsPerPod, capacityRatio",
			"remove the others")
	}
	v.resources("api.resources", v.c.API.Resources.Requests, v.c.API.Resources.Limits)
	v.resources("engine.resources", v.c.Engine.Resources.Requests, v.c.Engine.Resources.Limits)
	v.resources("licenseProxy.resources", v.c.LicenseProxy.Resources.Requests, v.c.LicenseProxy.Resources.Limits)
}

// resources checks that no request is above its limit.
func (v *validator) resources(path string, requests, limits Quantities) {
	for _, x := range []struct {
		key            string
		request, limit Quantity
	}{{"cpu", requests.CPU, limits.CPU}, {"memory", requests.Memory, limits.Memory}} {
		request, ok := parseQuantity(string(x.request))
		limit, ok2 := parseQuantity(string(x.limit))
		if ok && ok2 && request.Cmp(limit) > 0 {
			v.problem(path+".requests."+x.key, string(x.request), fmt.Sprintf("is more than limits.%s %s", x.key, x.limit), "at most "+string(x.limit), "")
		}
	}
}

// policy checks the settings of the policy pack that can be checked without it.
func (v *validator) policy() {
	levels := []string{"advisory", "mandatory", "disabled"}
	for _, name := range sortedKeys(v.c.Policy.Levels) {
		if level := v.c.Policy.Levels[name]; !slices.Contains(levels, level) {
			fix := ""
			if near := nearest(level, levels); near != "" {
				fix = "did you mean " + near + "?"
			}
			v.problem("policy.levels."+name, quote(level), "is not a level", strings.Join(levels, ", "), fix)
		}
	}
	for i, x := range v.c.Policy.Exemptions {
		if x.URN != "" && !strings.Contains(x.URN, "::") {
			v.problem(fmt.Sprintf("policy.exemptions[%d].urn", i), quote(x.URN), "is neither a URN nor a pattern",
				"urn:pulumi:… or type::name with *, such as gcp:container/nodePool:NodePool::*-engine-pool", "")
		}
	}
}
