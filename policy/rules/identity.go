package rules

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const secretType = "kubernetes:core/v1:Secret"

var (
	iamTypes = []string{
		"gcp:projects/iAMMember:IAMMember", "gcp:projects/iAMBinding:IAMBinding",
		"gcp:folder/iAMMember:IAMMember", "gcp:folder/iAMBinding:IAMBinding",
		"gcp:organizations/iAMMember:IAMMember", "gcp:organizations/iAMBinding:IAMBinding",
	}
	publicTypes = []string{
		"gcp:storage/bucketIAMMember:BucketIAMMember", "gcp:storage/bucketIAMBinding:BucketIAMBinding",
		"gcp:artifactregistry/repositoryIamMember:RepositoryIamMember", "gcp:artifactregistry/repositoryIamBinding:RepositoryIamBinding",
		"gcp:secretmanager/secretIamMember:SecretIamMember", "gcp:secretmanager/secretIamBinding:SecretIamBinding",
		"gcp:serviceaccount/iAMMember:IAMMember", "gcp:serviceaccount/iAMBinding:IAMBinding",
	}
	basicRoles = []string{"roles/owner", "roles/editor", "roles/viewer"}
	// workloads have a pod template at the path.
	workloads = map[string][]string{
		"kubernetes:apps/v1:Deployment":  {"spec", "template", "spec"},
		"kubernetes:apps/v1:StatefulSet": {"spec", "template", "spec"},
		"kubernetes:apps/v1:DaemonSet":   {"spec", "template", "spec"},
		"kubernetes:batch/v1:Job":        {"spec", "template", "spec"},
		cronJobType:                      {"spec", "jobTemplate", "spec", "template", "spec"},
		"kubernetes:core/v1:Pod":         {"spec"},
	}
	// secretEnv and secretKey are names of what must not be written in plain.
	secretEnv = regexp.MustCompile(`(?i)(^|_)(key|token|secret|password|passwd|credentials?)$`)
	secretKey = regexp.MustCompile(`(?i)(password|passwd|api_?key|license_?key|private_?key|access_?key|client_?secret|^token|_token|authToken)$`)
)

const configMapType = "kubernetes:core/v1:ConfigMap"

var identityRules = []Rule{
	{
		Name: "node-service-account-is-own", Step: "G-C.1", Level: Mandatory,
		Summary: "Nodes must have a service account of their own: the default one may do nearly everything in the project",
		Advice:  "Make a service account with roles/container.defaultNodeServiceAccount and give it as nodeConfig.serviceAccount.",
		Example: `node pool "engine": it runs as the default service account; needed: a service account of its own (guide G-C.1). Make a service account with roles/container.defaultNodeServiceAccount and give it as nodeConfig.serviceAccount.`,
		Types:   poolTypes,
		Resource: rolePools(func(pool) bool { return true }, func(j *Judge, p pool) {
			account := p.node.Get("serviceAccount").Text()
			if account == "" || account == "default" || strings.HasSuffix(account, "-compute@developer.gserviceaccount.com") {
				j.Violate(Finding{
					On: p.on, What: p.what, Found: "it runs as the default service account", Need: "a service account of its own",
				})
			}
		}),
	},
	{
		Name: "roles-are-not-basic", Step: "G-C.1", Level: Mandatory,
		Summary: "Nobody gets a basic role (owner, editor, viewer) from a Deepgram stack",
		Advice:  "Give the narrow roles that are needed, on the resource that needs them.",
		Example: `IAMMember "nodes": it gives roles/editor; needed: a narrow role (guide G-C.1). Give the narrow roles that are needed, on the resource that needs them.`,
		Types:   slices.Concat(iamTypes, publicTypes),
		Resource: func(j *Judge) {
			if role := j.In().Get("role").Text(); slices.Contains(basicRoles, role) {
				j.Violate(Finding{Found: "it gives " + role, Need: "a narrow role"})
			}
		},
	},
	{
		Name: "service-account-is-narrow", Step: "G-C.1", Level: Mandatory,
		Summary: "A service account gets no administrator's role over a whole project",
		Advice:  "Give a reader's or user's role, on the repository, bucket or secret itself.",
		Example: `IAMMember "nodes": it gives roles/storage.admin over the project to a service account; needed: a role without administration (guide G-C.1). Give a reader's or user's role, on the repository, bucket or secret itself.`,
		Types:   iamTypes,
		Settings: []Setting{{
			Name: "allowedRoles", Default: []string{}, Help: "Roles that are allowed all the same.",
		}},
		Resource: func(j *Judge) {
			role := j.In().Get("role").Text()
			if !powerful(role) || slices.Contains(j.Texts("allowedRoles"), role) {
				return
			}
			if slices.ContainsFunc(members(j.In()), func(m Value) bool {
				return !m.Known() || strings.HasPrefix(m.Text(), "serviceAccount:")
			}) {
				j.Violate(Finding{
					Found: fmt.Sprintf("it gives %s over the project to a service account", role), Need: "a role without administration",
				})
			}
		},
	},
	{
		Name: "access-is-not-public", Step: "G-I", Level: Mandatory,
		Summary: "Nothing is open to all users",
		Advice:  "Name the service accounts that need it.",
		Example: `BucketIAMMember "journals": it lets allUsers in; needed: named members (guide G-I). Name the service accounts that need it.`,
		Types:   slices.Concat(iamTypes, publicTypes),
		Resource: func(j *Judge) {
			for _, m := range members(j.In()) {
				if m.Known() && (m.Text() == "allUsers" || m.Text() == "allAuthenticatedUsers") {
					j.Violate(Finding{Found: fmt.Sprintf("it lets %s in", m.Text()), Need: "named members"})
				}
			}
		},
	},
	{
		Name: "service-account-has-no-key", Step: "A-CRON", Level: Mandatory,
		Summary: "Service accounts are used through Workload Identity, never with a key that can be copied",
		Advice:  "Bind the Kubernetes service account to the Google one (roles/iam.workloadIdentityUser) and remove the key.",
		Example: `Key "backup": it is a key of a service account; needed: Workload Identity (guide A-CRON). Bind the Kubernetes service account to the Google one (roles/iam.workloadIdentityUser) and remove the key.`,
		Types:   []string{"gcp:serviceaccount/key:Key", "gcp:storage/hmacKey:HmacKey", secretType},
		Resource: func(j *Judge) {
			if j.Resource.Type != secretType {
				j.Violate(Finding{Found: "it is a key of a service account", Need: "Workload Identity"})
				return
			}
			for _, field := range []string{"stringData", "data"} {
				if !j.In().Get(field).Known() {
					continue // secrets-are-marked notes it
				}
				for _, f := range j.In().Get(field).Fields() {
					if !f.Value.Known() || !f.Value.v.IsString() {
						continue
					}
					if text := decoded(field, f.Value.Text()); strings.Contains(text, `"private_key_id"`) {
						j.Violate(Finding{Found: f.Name + " holds a key of a service account", Need: "Workload Identity"})
					}
				}
			}
		},
	},
	{
		Name: "secrets-are-marked", Step: "G-K.1", Level: Mandatory,
		Summary: "The data of a Kubernetes Secret must be a Pulumi secret, or it stands in the state in plain",
		Advice:  "Take the value from a secret of the configuration, or mark it with pulumi.ToSecret.",
		Example: `Secret "dg-self-hosted-api-key": stringData.DEEPGRAM_API_KEY is not marked as a secret; needed: a Pulumi secret (guide G-K.1). Take the value from a secret of the configuration, or mark it with pulumi.ToSecret.`,
		Types:   []string{secretType},
		Resource: func(j *Judge) {
			for _, field := range []string{"stringData", "data"} {
				v := j.In().Get(field)
				if v.secret || !v.Known() {
					continue // what is unknown is marked when it becomes known, or refused then
				}
				for _, f := range v.Fields() {
					if f.Value.Known() && f.Value.Present() && !f.Value.secret {
						j.Violate(Finding{Found: fmt.Sprintf("%s.%s is not marked as a secret", field, f.Name), Need: "a Pulumi secret"})
					}
				}
			}
		},
	},
	{
		Name: "values-hold-no-plain-secret", Step: "G-K.1", Level: Mandatory,
		Summary: "Chart values, environment variables and ConfigMaps must not hold passwords, keys or tokens in plain",
		Advice:  "Put it into a Secret and refer to that.",
		Example: `release "deepgram": values.engine.extraEnv[0] sets LLM_API_KEY in plain; needed: a reference to a Secret (guide G-K.1). Put it into a Secret and refer to that.`,
		Types:   slices.Concat(releaseTypes, sortedKeys(workloads), []string{configMapType}),
		Resource: func(j *Judge) {
			if path, ok := workloads[j.Resource.Type]; ok {
				pod := j.In().Get(path...)
				for _, list := range []string{"containers", "initContainers"} {
					for _, c := range pod.Get(list).List() {
						plainEnv(j, c.Get("env"))
					}
				}
				return
			}
			if j.Resource.Type == configMapType {
				for _, f := range j.In().Get("data").Fields() {
					plainText(j, f)
				}
				return
			}
			plainValues(j, j.In().Get("values"), 0)
		},
	},
}

// powerful tells roles that administer what they are for, or act as others.
func powerful(role string) bool {
	name := role[strings.LastIndex(role, "/")+1:]
	last := strings.ToLower(name[strings.LastIndex(name, ".")+1:])
	return strings.HasPrefix(role, "roles/") && (strings.HasSuffix(last, "admin") || last == "serviceaccounttokencreator" ||
		last == "serviceaccountuser" || last == "serviceaccountkeyadmin")
}

func members(in Value) []Value {
	var all []Value
	if m := in.Get("member"); !m.Known() || m.Present() {
		all = append(all, m)
	}
	if list := in.Get("members"); !list.Known() {
		all = append(all, list)
	} else {
		all = append(all, list.List()...)
	}
	return all
}

func decoded(field, text string) string {
	if field != "data" {
		return text
	}
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
		return string(raw)
	}
	return text
}

// secretText is a value of a Kubernetes Secret, "" where it is not known.
func secretText(in Value, key string) string {
	for _, field := range []string{"stringData", "data"} {
		if !in.Get(field).Known() {
			continue
		}
		if v := in.Get(field, key); v.Known() && v.Present() {
			return decoded(field, v.Text())
		}
	}
	return ""
}

// plainEnv finds variables that hold what their name says is a secret. Marking
// it does not help: everyone who may read the pod reads it.
func plainEnv(j *Judge, list Value) {
	for _, e := range list.List() {
		name, v := e.Get("name"), e.Get("value")
		if !secretEnv.MatchString(name.Text()) || !v.Known() || !v.Present() {
			continue
		}
		text := v.Text()
		// A path is where a secret is mounted; the chart's own literal is none.
		if text == "" || strings.HasPrefix(text, "/") || text == "airgapped-mode" {
			continue
		}
		j.Violate(Finding{Found: fmt.Sprintf("%s sets %s in plain", e.path, name.Text()), Need: "a reference to a Secret"})
	}
}

func plainText(j *Judge, f Field) {
	if f.Value.Known() && f.Value.v.IsString() && !f.Value.secret && secretKey.MatchString(f.Name) && f.Value.Text() != "" {
		j.Violate(Finding{Found: f.Value.path + " holds a secret in plain", Need: "a reference to a Secret"})
	}
}

func plainValues(j *Judge, v Value, depth int) {
	if depth > deepest || !v.Known() {
		return
	}
	switch {
	case v.v.IsMap():
		for _, f := range v.Fields() {
			if f.Name == "extraEnv" || f.Name == "env" {
				if f.Value.Known() && f.Value.v.IsArray() {
					plainEnv(j, f.Value)
				}
				continue
			}
			plainText(j, f)
			plainValues(j, f.Value, depth+1)
		}
	case v.v.IsArray():
		for _, e := range v.List() {
			plainValues(j, e, depth+1)
		}
	}
}
