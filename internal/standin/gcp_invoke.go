package standin

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

func (p *gcp) invoke(r *request) (props, error) {
	e := p.environment(r.config)
	args := r.news
	if s := stringAt(args, "project"); s != "" {
		e.project = s
	}
	or := func(key, fallback string) string {
		if s := stringAt(args, key); s != "" {
			return s
		}
		return fallback
	}
	switch r.typ {
	case "gcp:secretmanager/getSecretVersionAccess:getSecretVersionAccess", "gcp:secretmanager/getSecretVersion:getSecretVersion":
		return p.secretVersion(e, args)
	case "gcp:container/getCluster:getCluster":
		location := or("location", e.zone)
		id := fmt.Sprintf("projects/%s/locations/%s/clusters/%s", e.project, location, stringAt(args, "name"))
		return p.lookedUpCluster(id)
	case "gcp:compute/getSubnetwork:getSubnetwork":
		if s := lastPart(stringAt(args, "selfLink")); s != "" {
			return p.result(typeSubnetwork, strings.TrimPrefix(stringAt(args, "selfLink"), computePrefix))
		}
		return p.result(typeSubnetwork, fmt.Sprintf("projects/%s/regions/%s/subnetworks/%s", e.project, or("region", e.region), stringAt(args, "name")))
	case "gcp:compute/getNetwork:getNetwork":
		return p.result(typeNetwork, fmt.Sprintf("projects/%s/global/networks/%s", e.project, stringAt(args, "name")))
	case "gcp:compute/getAddress:getAddress":
		return p.result(typeAddress, fmt.Sprintf("projects/%s/regions/%s/addresses/%s", e.project, or("region", e.region), stringAt(args, "name")))
	case "gcp:compute/getDisk:getDisk":
		return p.result(typeDisk, fmt.Sprintf("projects/%s/zones/%s/disks/%s", e.project, or("zone", e.zone), stringAt(args, "name")))
	case "gcp:organizations/getProject:getProject":
		id := or("projectId", e.project)
		return resource.NewPropertyMapFromMap(map[string]any{
			"id": "projects/" + id, "projectId": id, "name": id, "number": p.cloud.settings.projectNumber,
			"effectiveLabels": map[string]any{}, "labels": map[string]any{}, "pulumiLabels": map[string]any{},
			"autoCreateNetwork": true, "billingAccount": "", "folderId": "", "orgId": "", "skipDelete": false,
		}), nil
	case "gcp:organizations/getClientConfig:getClientConfig":
		out := resource.NewPropertyMapFromMap(map[string]any{
			"id": fmt.Sprintf("projects/%q/regions/%q/zones/%q", e.project, e.region, e.zone), "project": e.project,
			"region": e.region, "zone": e.zone, "defaultLabels": map[string]any{},
		})
		out["accessToken"] = secret(text("rehearsal-access-token"))
		return out, nil
	case "gcp:container/getEngineVersions:getEngineVersions":
		versions := []any{masterVersion, "1.32.9-gke.1108000"}
		channels := map[string]any{"RAPID": masterVersion, "REGULAR": masterVersion, "STABLE": "1.32.9-gke.1108000"}
		return resource.NewPropertyMapFromMap(map[string]any{
			"id": madeAt, "project": e.project, "location": or("location", e.zone), "latestMasterVersion": masterVersion,
			"latestNodeVersion": masterVersion, "defaultClusterVersion": masterVersion, "validMasterVersions": versions,
			"validNodeVersions": versions, "releaseChannelDefaultVersion": channels, "releaseChannelLatestVersion": channels,
		}), nil
	}
	return nil, fmt.Errorf("invoke %s: the stand-in for the gcp provider does not know this function", r.typ)
}

func (p *gcp) result(typ, id string) (props, error) {
	o := p.cloud.objects[objectKey{Type: typ, ID: id}]
	if o == nil {
		return nil, fmt.Errorf("googleapi: Error 404: the resource '%s' was not found, notFound", id)
	}
	out := deepCopy(o.outputs)
	out["id"] = text(id)
	return out, nil
}

// lookedUpCluster is a cluster as the function answers it: what a resource has as
// one block is a list there.
func (p *gcp) lookedUpCluster(id string) (props, error) {
	out, err := p.result(typeCluster, id)
	if err != nil {
		return nil, err
	}
	out["masterAuths"] = resource.NewProperty([]value{plain(out["masterAuth"])})
	pools := []value{}
	for _, o := range p.cloud.ofType(typeNodePool) {
		if strings.HasPrefix(o.key.ID, id+"/") {
			pools = append(pools, resource.NewProperty(props{
				"name":        o.outputs["name"],
				"nodeConfigs": resource.NewProperty([]value{plain(o.outputs["nodeConfig"])}),
			}))
		}
	}
	out["nodePools"] = resource.NewProperty(pools)
	return out, nil
}

// secretVersion reads what was seeded with SecretValue or created as a version.
func (p *gcp) secretVersion(e place, args props) (props, error) {
	name := stringAt(args, "secret")
	if !strings.Contains(name, "/") {
		name = "projects/" + e.project + "/secrets/" + name
	}
	version := stringAt(args, "version")
	if version == "" {
		version = "latest"
	}
	full := name + "/versions/" + version
	data, ok := p.cloud.settings.secrets[full]
	if !ok {
		var found *object
		for _, o := range p.cloud.ofType(typeSecretVersion) {
			if o.key.ID == full || version == "latest" && strings.HasPrefix(o.key.ID, name+"/versions/") {
				found = o
			}
		}
		if found == nil {
			return nil, fmt.Errorf("googleapi: Error 404: secret version [%s] not found", full)
		}
		full, data, version = found.key.ID, stringAt(found.outputs, "secretData"), lastPart(found.key.ID)
	}
	out := resource.NewPropertyMapFromMap(map[string]any{
		"id": full, "name": full, "project": segment(full, "projects"), "secret": lastPart(name), "version": version,
		"createTime": madeAt, "destroyTime": "", "enabled": true, "isSecretDataBase64": false,
	})
	out["secretData"] = secret(text(data))
	return out, nil
}
