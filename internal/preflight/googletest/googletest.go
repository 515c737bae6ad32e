// Package googletest is a stand-in, on loopback, of what preflight asks of Google's
// APIs. It knows nothing else, answers as Google does where something is missing,
// forbidden or switched off, and keeps what was asked.
package googletest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"google.golang.org/api/cloudresourcemanager/v3"
	"google.golang.org/api/compute/v1"
	"google.golang.org/api/container/v1"
	"google.golang.org/api/dns/v1"
	"google.golang.org/api/serviceusage/v1"
)

// Cloud is what the stand-in has. Change it before anything is asked.
type Cloud struct {
	// Projects are the states of projects.
	Projects map[string]string
	// Off are APIs that are switched off, such as compute.googleapis.com.
	Off map[string]bool
	// Deny are parts of paths that are answered with 403; Break with 500.
	Deny, Break string
	// MachineTypes and Accelerators are by zone.
	MachineTypes, Accelerators map[string][]string
	// Quotas are limit and usage by metric, of the region and of the project.
	Quotas, GlobalQuotas map[string][2]float64
	Networks             []*compute.Network
	Subnets              []*compute.Subnetwork
	Addresses, Global    []*compute.Address
	Instances            []*compute.Instance
	Rules                []*compute.ForwardingRule
	Certificates         []*compute.SslCertificate
	Clusters             []*container.Cluster
	// Channels are the default versions of release channels.
	Channels map[string]string
	Zones    []*dns.ManagedZone

	mu    sync.Mutex
	asked []string
}

// Asked are the requests so far, "METHOD path".
func (c *Cloud) Asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.asked...)
}

// Serve serves the stand-in until the test ends and gives its address.
func (c *Cloud) Serve(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// route is a path and the API that has it.
type route struct {
	path *regexp.Regexp
	api  string
	get  func(c *Cloud, r *http.Request, part []string) any
}

var routes = []route{
	{regexp.MustCompile(`^/v3/projects/([^/]+)$`), "cloudresourcemanager.googleapis.com", (*Cloud).project},
	{regexp.MustCompile(`^/v1/projects/([^/]+)/services:batchGet$`), "serviceusage.googleapis.com", (*Cloud).services},
	{regexp.MustCompile(`^/projects/([^/]+)$`), "compute.googleapis.com", func(c *Cloud, _ *http.Request, p []string) any {
		return &compute.Project{Name: p[1], Quotas: quotas(c.GlobalQuotas)}
	}},
	{regexp.MustCompile(`^/projects/[^/]+/regions/([^/]+)$`), "compute.googleapis.com", func(c *Cloud, _ *http.Request, p []string) any {
		if _, ok := c.MachineTypes[p[1]+"-a"]; !ok {
			return nil
		}
		return &compute.Region{Name: p[1], Quotas: quotas(c.Quotas)}
	}},
	{regexp.MustCompile(`^/projects/[^/]+/zones/([^/]+)/machineTypes/([^/]+)$`), "compute.googleapis.com", func(c *Cloud, _ *http.Request, p []string) any {
		if has(c.MachineTypes[p[1]], p[2]) {
			return &compute.MachineType{Name: p[2]}
		}
		return nil
	}},
	{regexp.MustCompile(`^/projects/[^/]+/zones/([^/]+)/acceleratorTypes/([^/]+)$`), "compute.googleapis.com", func(c *Cloud, _ *http.Request, p []string) any {
		if has(c.Accelerators[p[1]], p[2]) {
			return &compute.AcceleratorType{Name: p[2], MaximumCardsPerInstance: 4}
		}
		return nil
	}},
	{regexp.MustCompile(`^/projects/[^/]+/aggregated/machineTypes$`), "compute.googleapis.com", (*Cloud).allMachineTypes},
	{regexp.MustCompile(`^/projects/[^/]+/aggregated/instances$`), "compute.googleapis.com", (*Cloud).instances},
	{regexp.MustCompile(`^/projects/[^/]+/aggregated/subnetworks$`), "compute.googleapis.com", (*Cloud).subnets},
	{regexp.MustCompile(`^/projects/[^/]+/regions/[^/]+/subnetworks/([^/]+)$`), "compute.googleapis.com", func(c *Cloud, _ *http.Request, p []string) any {
		return named(c.Subnets, func(s *compute.Subnetwork) string { return s.Name }, p[1])
	}},
	{regexp.MustCompile(`^/projects/[^/]+/global/networks/([^/]+)$`), "compute.googleapis.com", func(c *Cloud, _ *http.Request, p []string) any {
		return named(c.Networks, func(n *compute.Network) string { return n.Name }, p[1])
	}},
	{regexp.MustCompile(`^/projects/[^/]+/regions/[^/]+/addresses$`), "compute.googleapis.com", func(c *Cloud, _ *http.Request, _ []string) any {
		return &compute.AddressList{Items: c.Addresses}
	}},
	{regexp.MustCompile(`^/projects/[^/]+/regions/[^/]+/addresses/([^/]+)$`), "compute.googleapis.com", func(c *Cloud, _ *http.Request, p []string) any {
		return named(c.Addresses, func(a *compute.Address) string { return a.Name }, p[1])
	}},
	{regexp.MustCompile(`^/projects/[^/]+/global/addresses/([^/]+)$`), "compute.googleapis.com", func(c *Cloud, _ *http.Request, p []string) any {
		return named(c.Global, func(a *compute.Address) string { return a.Name }, p[1])
	}},
	{regexp.MustCompile(`^/projects/[^/]+/regions/[^/]+/forwardingRules$`), "compute.googleapis.com", func(c *Cloud, _ *http.Request, _ []string) any {
		return &compute.ForwardingRuleList{Items: c.Rules}
	}},
	{regexp.MustCompile(`^/projects/[^/]+/regions/[^/]+/sslCertificates/([^/]+)$`), "compute.googleapis.com", func(c *Cloud, _ *http.Request, p []string) any {
		return named(c.Certificates, func(s *compute.SslCertificate) string { return s.Name }, p[1])
	}},
	{regexp.MustCompile(`^/v1/projects/[^/]+/locations/-/clusters$`), "container.googleapis.com", func(c *Cloud, _ *http.Request, _ []string) any {
		return &container.ListClustersResponse{Clusters: c.Clusters}
	}},
	{regexp.MustCompile(`^/v1/projects/[^/]+/locations/[^/]+/clusters/([^/]+)$`), "container.googleapis.com", func(c *Cloud, _ *http.Request, p []string) any {
		return named(c.Clusters, func(k *container.Cluster) string { return k.Name }, p[1])
	}},
	{regexp.MustCompile(`^/v1/projects/[^/]+/locations/[^/]+/serverConfig$`), "container.googleapis.com", func(c *Cloud, _ *http.Request, _ []string) any {
		answer := &container.ServerConfig{}
		for name, version := range c.Channels {
			answer.Channels = append(answer.Channels, &container.ReleaseChannelConfig{Channel: name, DefaultVersion: version})
		}
		return answer
	}},
	{regexp.MustCompile(`^/dns/v1/projects/[^/]+/managedZones/([^/]+)$`), "dns.googleapis.com", func(c *Cloud, _ *http.Request, p []string) any {
		return named(c.Zones, func(z *dns.ManagedZone) string { return z.Name }, p[1])
	}},
}

// ServeHTTP answers as Google does.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, r.Method+" "+r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	for _, route := range routes {
		part := route.path.FindStringSubmatch(r.URL.Path)
		if part == nil {
			continue
		}
		switch {
		case r.Method != http.MethodGet:
			refuse(w, http.StatusMethodNotAllowed, "methodNotAllowed", "only reading is allowed here", nil)
		case c.Break != "" && strings.Contains(r.URL.Path, c.Break):
			refuse(w, http.StatusInternalServerError, "backendError", "Internal error encountered.", nil)
		case c.Deny != "" && strings.Contains(r.URL.Path, c.Deny):
			refuse(w, http.StatusForbidden, "forbidden", "Required permission is missing for "+r.URL.Path, nil)
		case c.Off[route.api]:
			refuse(w, http.StatusForbidden, "accessNotConfigured", route.api+" has not been used in this project before or it is disabled.",
				[]any{map[string]any{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}})
		default:
			answer := route.get(c, r, part)
			if answer == nil {
				refuse(w, http.StatusNotFound, "notFound", "The resource '"+r.URL.Path+"' was not found", nil)
				return
			}
			_ = json.NewEncoder(w).Encode(answer)
		}
		return
	}
	refuse(w, http.StatusNotImplemented, "notImplemented", "the stand-in does not know "+r.URL.Path, nil)
}

func refuse(w http.ResponseWriter, code int, reason, message string, details []any) {
	w.WriteHeader(code)
	body := map[string]any{"code": code, "message": message, "errors": []any{map[string]any{"reason": reason, "message": message}}}
	if details != nil {
		body["details"] = details
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"error": body})
}

func (c *Cloud) project(_ *http.Request, p []string) any {
	state, ok := c.Projects[p[1]]
	if !ok {
		return nil
	}
	return &cloudresourcemanager.Project{Name: "projects/123456789", ProjectId: p[1], State: state}
}

func (c *Cloud) services(r *http.Request, _ []string) any {
	answer := &serviceusage.BatchGetServicesResponse{}
	for _, name := range r.URL.Query()["names"] {
		state := "ENABLED"
		if c.Off[name[strings.LastIndex(name, "/")+1:]] {
			state = "DISABLED"
		}
		answer.Services = append(answer.Services, &serviceusage.GoogleApiServiceusageV1Service{Name: name, State: state})
	}
	return answer
}

// quoted is the value in a filter of the form field = "value".
var quoted = regexp.MustCompile(`^(\S+) = "([^"]*)"$`)

func filter(r *http.Request) (field, value string) {
	if m := quoted.FindStringSubmatch(r.URL.Query().Get("filter")); m != nil {
		return m[1], m[2]
	}
	return "", ""
}

func (c *Cloud) allMachineTypes(r *http.Request, _ []string) any {
	_, name := filter(r)
	answer := &compute.MachineTypeAggregatedList{Items: map[string]compute.MachineTypesScopedList{}}
	for zone, types := range c.MachineTypes {
		scope := compute.MachineTypesScopedList{}
		if has(types, name) {
			scope.MachineTypes = []*compute.MachineType{{Name: name}}
		}
		answer.Items["zones/"+zone] = scope
	}
	return answer
}

func (c *Cloud) instances(r *http.Request, _ []string) any {
	field, value := filter(r)
	scope := compute.InstancesScopedList{}
	for _, i := range c.Instances {
		switch label, isLabel := strings.CutPrefix(field, "labels."); {
		case isLabel && i.Labels[label] == value,
			field == "networkInterfaces.networkIP" && len(i.NetworkInterfaces) > 0 && i.NetworkInterfaces[0].NetworkIP == value:
			scope.Instances = append(scope.Instances, i)
		}
	}
	return &compute.InstanceAggregatedList{Items: map[string]compute.InstancesScopedList{"zones/us-central1-a": scope}}
}

func (c *Cloud) subnets(*http.Request, []string) any {
	answer := &compute.SubnetworkAggregatedList{Items: map[string]compute.SubnetworksScopedList{}}
	for _, s := range c.Subnets {
		scope := answer.Items[s.Region]
		scope.Subnetworks = append(scope.Subnetworks, s)
		answer.Items[s.Region] = scope
	}
	return answer
}

func quotas(m map[string][2]float64) (list []*compute.Quota) {
	for metric, q := range m {
		list = append(list, &compute.Quota{Metric: metric, Limit: q[0], Usage: q[1]})
	}
	return list
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func named[T any](list []*T, name func(*T) string, want string) any {
	for _, x := range list {
		if name(x) == want {
			return x
		}
	}
	return nil
}
