package preflight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"google.golang.org/api/cloudresourcemanager/v3"
	"google.golang.org/api/compute/v1"
	"google.golang.org/api/container/v1"
	"google.golang.org/api/dns/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/serviceusage/v1"
)

// Roles that let a check ask.
const (
	roleCompute  = "roles/compute.viewer"
	roleNetwork  = "roles/compute.networkViewer"
	roleCluster  = "roles/container.clusterViewer"
	roleServices = "roles/serviceusage.serviceUsageViewer"
	roleProject  = "roles/browser"
	roleDNS      = "roles/dns.reader"
)

// google are the clients of Google's APIs, and what several checks ask of them.
type google struct {
	compute   func() (*compute.Service, error)
	container func() (*container.Service, error)
	services  func() (*serviceusage.Service, error)
	projects  func() (*cloudresourcemanager.Service, error)
	dns       func() (*dns.Service, error)

	region  func() (*compute.Region, error)
	project func() (*compute.Project, error)
	nodes   func() ([]*compute.Instance, error)
	subnets func() ([]*compute.Subnetwork, error)
	network func() (*compute.Network, error)
}

func (g *google) prepare(ctx context.Context, r *run) {
	options := slices.Clone(r.o.Google)
	if r.o.Endpoint != "" {
		options = append(options, option.WithEndpoint(r.o.Endpoint))
	}
	g.compute = client(ctx, compute.NewService, options)
	g.container = client(ctx, container.NewService, options)
	g.services = client(ctx, serviceusage.NewService, options)
	g.projects = client(ctx, cloudresourcemanager.NewService, options)
	g.dns = client(ctx, dns.NewService, options)

	gcp := r.c.GCP
	g.region = ask(g.compute, func(s *compute.Service) (*compute.Region, error) {
		return s.Regions.Get(gcp.Project, gcp.Region).Context(ctx).Do()
	})
	g.project = ask(g.compute, func(s *compute.Service) (*compute.Project, error) {
		return s.Projects.Get(gcp.Project).Context(ctx).Do()
	})
	// The cluster's own nodes: they are in what is used of a quota already.
	g.nodes = ask(g.compute, func(s *compute.Service) (all []*compute.Instance, err error) {
		call := s.Instances.AggregatedList(gcp.Project).Filter(fmt.Sprintf("labels.goog-k8s-cluster-name = %q", r.clusterName()))
		err = call.Pages(ctx, func(page *compute.InstanceAggregatedList) error {
			for _, scope := range page.Items {
				all = append(all, scope.Instances...)
			}
			return nil
		})
		return all, err
	})
	g.subnets = ask(g.compute, func(s *compute.Service) (all []*compute.Subnetwork, err error) {
		err = s.Subnetworks.AggregatedList(r.networkProject()).Pages(ctx, func(page *compute.SubnetworkAggregatedList) error {
			for _, scope := range page.Items {
				for _, subnet := range scope.Subnetworks {
					if last(subnet.Network) == r.c.Network.Network {
						all = append(all, subnet)
					}
				}
			}
			return nil
		})
		slices.SortFunc(all, func(a, b *compute.Subnetwork) int { return strings.Compare(a.SelfLink, b.SelfLink) })
		return all, err
	})
	g.network = ask(g.compute, func(s *compute.Service) (*compute.Network, error) {
		return s.Networks.Get(r.networkProject(), r.c.Network.Network).Context(ctx).Do()
	})
}

func client[T any](
	ctx context.Context, open func(context.Context, ...option.ClientOption) (T, error), o []option.ClientOption,
) func() (T, error) {
	return sync.OnceValues(func() (T, error) { return open(ctx, o...) })
}

// ask asks once, whoever wants to know first.
func ask[S, T any](service func() (S, error), question func(S) (T, error)) func() (T, error) {
	return sync.OnceValues(func() (answer T, err error) {
		s, err := service()
		if err != nil {
			return answer, err
		}
		return question(s)
	})
}

// clusterName is the cluster that is made or used.
func (r *run) clusterName() string {
	if r.c.Cluster.Existing != "" {
		return r.c.Cluster.Existing
	}
	return r.c.Cluster.Name
}

// networkProject is where the network is.
func (r *run) networkProject() string {
	if r.c.Network.Project != "" {
		return r.c.Network.Project
	}
	return r.c.GCP.Project
}

// last is the last part of a path.
func last(path string) string { return path[strings.LastIndex(path, "/")+1:] }

// missing tells that what was asked for is not there.
func missing(err error) bool {
	var e *googleapi.Error
	return errors.As(err, &e) && e.Code == http.StatusNotFound
}

// unasked turns an answer that is none into a skip that says what to grant. api is
// the API that was asked.
func (r *run) unasked(err error, what, api, role, project string) verdict {
	var e *googleapi.Error
	if !errors.As(err, &e) {
		return skipped("check the network (proxy, firewall) and run it again", "%s could not be asked: %v", what, plain(err))
	}
	switch {
	case e.Code == http.StatusForbidden && disabled(e):
		return skipped(fmt.Sprintf("gcloud services enable %s --project %s", api, project), "%s could not be asked: %s is switched off", what, api)
	case e.Code == http.StatusForbidden:
		v := skipped(fmt.Sprintf("grant %s on project %s to %s", role, project, r.who()), "these credentials may not read %s", what)
		v.role = role
		return v
	case e.Code == http.StatusUnauthorized:
		return skipped("run gcloud auth application-default login", "%s could not be asked: the credentials were refused", what)
	}
	return skipped("run it again later", "%s could not be asked: %d %s", what, e.Code, firstLine(e.Message))
}

// who is the account that asks.
func (r *run) who() string {
	if account, err := r.signIn(); err == nil && account != "" {
		return account
	}
	return "the account that runs this"
}

// disabled tells that the API itself is switched off.
func disabled(e *googleapi.Error) bool {
	for _, item := range e.Errors {
		if item.Reason == "accessNotConfigured" {
			return true
		}
	}
	details, _ := json.Marshal(e.Details)
	return strings.Contains(string(details), "SERVICE_DISABLED") || strings.Contains(e.Body, "SERVICE_DISABLED")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// plain is an error in one line.
func plain(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func (r *run) project(ctx context.Context) verdict {
	id := r.c.GCP.Project
	s, err := r.g.projects()
	if err != nil {
		return r.unasked(err, "the project", "cloudresourcemanager.googleapis.com", roleProject, id)
	}
	p, err := s.Projects.Get("projects/" + id).Context(ctx).Do()
	switch {
	case missing(err):
		return failed("check gcp:project", "there is no project %s", id)
	case err != nil:
		v := r.unasked(err, "the project", "cloudresourcemanager.googleapis.com", roleProject, id)
		if v.role != "" {
			// Google does not tell a stranger which projects exist.
			v.message += fmt.Sprintf(", or there is no project %s", id)
		}
		return v
	case p.State != "ACTIVE":
		return failed("restore it with gcloud projects undelete "+id+", or use another", "the project %s is %s", id, p.State)
	}
	return passed("%s (%s) is active", id, last(p.Name))
}

// neededAPIs are the APIs that the environment uses, by project.
func (r *run) neededAPIs() map[string][]string {
	c := r.c
	need := map[string][]string{}
	add := func(needed bool, project string, apis ...string) {
		for _, api := range apis {
			if needed && project != "" && !slices.Contains(need[project], api) {
				need[project] = append(need[project], api)
			}
		}
	}
	own := c.GCP.Project
	artifact := c.Registry.URL == "" || strings.Contains(c.Registry.URL, "docker.pkg.dev")
	add(true, own, "serviceusage.googleapis.com", "cloudresourcemanager.googleapis.com", "iam.googleapis.com",
		"compute.googleapis.com", "container.googleapis.com")
	add(true, r.networkProject(), "compute.googleapis.com")
	add(artifact, c.Registry.Project, "artifactregistry.googleapis.com")
	add(c.Registry.Mode == "pull-through", own, "secretmanager.googleapis.com")
	for _, field := range c.Secrets() {
		// projects/P/secrets/S/versions/V
		if part := strings.Split(field.Secret.Reference(), "/"); len(part) > 1 {
			add(true, part[1], "secretmanager.googleapis.com")
		}
	}
	add(c.Backup.Mode == "gke", own, "gkebackup.googleapis.com")
	add(c.Cluster.Existing == "" && c.Cluster.ImageStreaming, own, "containerfilesystem.googleapis.com")
	add(c.Ingress.DNSZone != "" || c.Grafana.Enabled && c.Grafana.DNSZone != "", own, "dns.googleapis.com")
	add(c.Billing.Enabled && c.Billing.Filestore(), own, "file.googleapis.com")
	add(c.Billing.Enabled && c.Billing.Backup.Enabled && c.Billing.Backup.Target == "gcs", own,
		"storage.googleapis.com", "iamcredentials.googleapis.com")
	return need
}

func (r *run) apis(ctx context.Context) verdict {
	var t tally
	s, err := r.g.services()
	if err != nil {
		return r.unasked(err, "the APIs", "serviceusage.googleapis.com", roleServices, r.c.GCP.Project)
	}
	need := r.neededAPIs()
	for _, project := range sortedKeys(need) {
		names := make([]string, 0, len(need[project]))
		for _, api := range need[project] {
			names = append(names, "projects/"+project+"/services/"+api)
		}
		answer, err := s.Services.BatchGet("projects/" + project).Names(names...).Context(ctx).Do()
		if err != nil {
			t.skip(r.unasked(err, "the APIs of project "+project, "serviceusage.googleapis.com", roleServices, project))
			continue
		}
		on := map[string]bool{}
		for _, service := range answer.Services {
			on[last(service.Name)] = service.State == "ENABLED"
		}
		var off []string
		for _, api := range need[project] {
			if !on[api] {
				off = append(off, api)
			}
		}
		if len(off) > 0 {
			list := strings.Join(off, " ")
			t.fail(fmt.Sprintf("gcloud services enable %s --project %s", list, project), "switched off in %s: %s", project, list)
			continue
		}
		t.ok("%d in %s", len(names), project)
	}
	return t.verdict()
}
