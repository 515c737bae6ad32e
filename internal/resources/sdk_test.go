package resources

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gcpModule and kubernetesModule are the SDKs that this package stands in for.
const (
	gcpModule        = "github.com/pulumi/pulumi-gcp/sdk/v7"
	kubernetesModule = "github.com/pulumi/pulumi-kubernetes/sdk/v4"
)

// registrations are the kinds that an SDK has types for.
var registrations = []struct {
	module, dir, file, name string
	kind                    Kind
	args, result            any
}{
	{gcpModule, "go/gcp/compute", "address.go", "Address", AddressKind, AddressArgs{}, Address{}},
	{gcpModule, "go/gcp/compute", "globalAddress.go", "GlobalAddress", GlobalAddressKind, GlobalAddressArgs{}, GlobalAddress{}},
	{gcpModule, "go/gcp/compute", "disk.go", "Disk", DiskKind, DiskArgs{}, Disk{}},
	{gcpModule, "go/gcp/compute", "firewall.go", "Firewall", FirewallKind, FirewallArgs{}, Firewall{}},
	{
		gcpModule, "go/gcp/compute", "regionSslCertificate.go", "RegionSslCertificate",
		RegionSslCertificateKind,
		RegionSslCertificateArgs{},
		RegionSslCertificate{},
	},
	{gcpModule, "go/gcp/compute", "subnetwork.go", "Subnetwork", SubnetworkKind, SubnetworkArgs{}, Subnetwork{}},
	{gcpModule, "go/gcp/compute", "router.go", "Router", RouterKind, RouterArgs{}, Router{}},
	{gcpModule, "go/gcp/compute", "routerNat.go", "RouterNat", RouterNatKind, RouterNatArgs{}, RouterNat{}},
	{gcpModule, "go/gcp/dns", "recordSet.go", "RecordSet", RecordSetKind, RecordSetArgs{}, RecordSet{}},
	{kubernetesModule, "go/kubernetes/helm/v3", "release.go", "Release", ReleaseKind, ReleaseArgs{}, Release{}},
	{kubernetesModule, "go/kubernetes/networking/v1", "ingress.go", "Ingress", IngressKind, IngressArgs{}, Ingress{}},
	{gcpModule, "go/gcp/gkebackup", "backupPlan.go", "BackupPlan", BackupPlanKind, BackupPlanArgs{}, BackupPlan{}},
	{gcpModule, "go/gcp/storage", "bucket.go", "Bucket", BucketKind, BucketArgs{}, Bucket{}},
	{
		gcpModule, "go/gcp/storage", "bucketIAMMember.go", "BucketIAMMember",
		BucketIAMMemberKind,
		BucketIAMMemberArgs{},
		BucketIAMMember{},
	},
	{
		kubernetesModule, "go/kubernetes/storage/v1", "storageClass.go", "StorageClass",
		StorageClassKind,
		StorageClassArgs{},
		StorageClass{},
	},
	{kubernetesModule, "go/kubernetes/batch/v1", "job.go", "Job", JobKind, JobArgs{}, Job{}},
	{kubernetesModule, "go/kubernetes/batch/v1", "cronJob.go", "CronJob", CronJobKind, CronJobArgs{}, CronJob{}},
	{kubernetesModule, "go/kubernetes/rbac/v1", "role.go", "Role", RoleKind, RoleArgs{}, Role{}},
	{
		kubernetesModule, "go/kubernetes/rbac/v1", "roleBinding.go", "RoleBinding",
		RoleBindingKind,
		RoleBindingArgs{},
		RoleBinding{},
	},
}

// TestRegistrationsAreTheSDKs compares token, version, secret outputs, secret
// inputs, aliases, constants and property names with the SDK's source.
func TestRegistrationsAreTheSDKs(t *testing.T) {
	t.Parallel()
	for _, r := range registrations {
		t.Run(r.kind.Token, func(t *testing.T) {
			t.Parallel()
			root := moduleDir(t, r.module)
			pkg := parsePackage(t, filepath.Join(root, r.dir), r.file)
			got := pkg.registration(t, r.name)

			assert.Equal(t, got.Token, r.kind.Token, "type token")
			assert.Equal(t, sdkVersion(t, root), r.kind.Version, "provider version")
			assert.ElementsMatch(t, got.SecretOutputs, r.kind.SecretOutputs, "secret outputs")
			assert.ElementsMatch(t, got.SecretInputs, r.kind.SecretInputs, "secret inputs")
			assert.ElementsMatch(t, got.Aliases, r.kind.Aliases, "aliases")
			if len(got.Constants) == 0 {
				assert.Empty(t, r.kind.Constants, "constants")
			} else {
				assert.Equal(t, got.Constants, r.kind.Constants, "constants")
			}
			pkg.compareInputs(t, lowerFirst(r.name)+"Args", reflect.TypeOf(r.args))
			pkg.compareOutputs(t, r.name, reflect.TypeOf(r.result))
		})
	}
}

// TestCustomKinds keeps the kinds without SDK types in the form that the
// provider expects of a custom resource.
func TestCustomKinds(t *testing.T) {
	t.Parallel()
	for _, k := range []Kind{
		BackendConfigKind, FrontendConfigKind, ManagedCertificateKind, PrometheusRuleKind, ClusterRulesKind, PodMonitoringKind,
		ScaledObjectKind, TriggerAuthenticationKind, VeleroScheduleKind, ProtectedApplicationKind,
	} {
		assert.Equal(t, "kubernetes:"+k.Constants["apiVersion"]+":"+k.Constants["kind"], k.Token)
		assert.Equal(t, KubernetesVersion, k.Version)
	}
}

// TestLookupsAreTheSDKs compares the lookups' tokens and names with the SDK's.
func TestLookupsAreTheSDKs(t *testing.T) {
	t.Parallel()
	root := moduleDir(t, gcpModule)
	for _, l := range []struct {
		file, token  string
		args, result string
		ours, answer any
	}{
		{
			"compute/getSubnetwork.go", SubnetworkLookupToken, "LookupSubnetworkArgs", "LookupSubnetworkResult",
			SubnetworkLookupArgs{},
			SubnetworkLookupResult{},
		},
		{
			"organizations/getProject.go", ProjectLookupToken, "LookupProjectArgs", "LookupProjectResult",
			ProjectLookupArgs{},
			ProjectLookupResult{},
		},
		{
			"secretmanager/getSecretVersionAccess.go", SecretVersionAccessToken, "GetSecretVersionAccessArgs",
			"GetSecretVersionAccessResult",
			SecretVersionArgs{},
			struct {
				SecretData string `pulumi:"secretData"`
			}{},
		},
	} {
		pkg := parsePackage(t, filepath.Join(root, "go/gcp", filepath.Dir(l.file)), filepath.Base(l.file))
		assert.Contains(t, pkg.literals(), l.token)
		assert.Subset(t, keys(pkg.fields(t, l.args)), tags(reflect.TypeOf(l.ours)), l.token)
		assert.Subset(t, keys(pkg.fields(t, l.result)), tags(reflect.TypeOf(l.answer)), l.token)
	}
}

// moduleDir is where the module's source lies. The build needs the modules, so
// it is there wherever the tests can be compiled at all, unless it is vendored.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skipf("SKIPPED: the source of %s is not in the module cache (%v); run `go mod download %s`", module, err, module)
	}
	return dir
}

var versionRule = regexp.MustCompile(`semver\.MustParse\("([^"]+)"\)`)

// sdkVersion is the provider version that the SDK's own registrations carry.
func sdkVersion(t *testing.T, root string) string {
	t.Helper()
	matches, err := filepath.Glob(filepath.Join(root, "go/*/*/pulumiUtilities.go"))
	require.NoError(t, err)
	require.Len(t, matches, 1)
	file, err := parser.ParseFile(token.NewFileSet(), matches[0], nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if m := versionRule.FindStringSubmatch(source(call)); m != nil {
				found = append(found, m[1])
			}
		}
		return true
	})
	slices.Sort(found)
	found = slices.Compact(found)
	require.Len(t, found, 1, "one version in %s", matches[0])
	return found[0]
}

// sdkPackage is the part of an SDK package that a comparison needs.
type sdkPackage struct {
	dir   string
	files []*ast.File
}

func parsePackage(t *testing.T, dir, name string) *sdkPackage {
	t.Helper()
	p := &sdkPackage{dir: dir}
	p.parse(t, filepath.Join(dir, name))
	return p
}

func (p *sdkPackage) parse(t *testing.T, path string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	p.files = append(p.files, file)
}

// registration reads a constructor.
func (p *sdkPackage) registration(t *testing.T, name string) Kind {
	t.Helper()
	var k Kind
	for _, d := range p.files[0].Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "New"+name {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				switch source(n.Fun) {
				case "ctx.RegisterResource":
					k.Token = text(n.Args[0])
				case "pulumi.AdditionalSecretOutputs":
					for _, e := range n.Args[0].(*ast.CompositeLit).Elts {
						k.SecretOutputs = append(k.SecretOutputs, text(e))
					}
				case "pulumi.ToSecret":
					k.SecretInputs = append(k.SecretInputs, lowerFirst(strings.TrimPrefix(source(n.Args[0]), "args.")))
				}
			case *ast.KeyValueExpr:
				if call, ok := n.Value.(*ast.CallExpr); ok && source(n.Key) == "Type" {
					k.Aliases = append(k.Aliases, text(call.Args[0]))
				}
			case *ast.AssignStmt:
				call, ok := n.Rhs[0].(*ast.CallExpr)
				if ok && source(call.Fun) == "pulumi.StringPtr" {
					if k.Constants == nil {
						k.Constants = map[string]string{}
					}
					k.Constants[lowerFirst(strings.TrimPrefix(source(n.Lhs[0]), "args."))] = text(call.Args[0])
				}
			}
			return true
		})
	}
	require.NotEmpty(t, k.Token, "constructor New%s in %s", name, p.dir)
	return k
}

// fields are the tagged fields of a struct, with their types. Types of nested
// structs lie in files of their own, which are read when one is asked for.
func (p *sdkPackage) fields(t *testing.T, name string) map[string]string {
	t.Helper()
	if f := p.structFields(name); f != nil {
		return f
	}
	more, err := filepath.Glob(filepath.Join(p.dir, "pulumiTypes*.go"))
	require.NoError(t, err)
	for _, path := range more {
		p.parse(t, path)
	}
	f := p.structFields(name)
	require.NotNil(t, f, "struct %s in %s", name, p.dir)
	return f
}

func (p *sdkPackage) structFields(name string) map[string]string {
	for _, file := range p.files {
		for _, d := range file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range g.Specs {
				spec, ok := s.(*ast.TypeSpec)
				if !ok || spec.Name.Name != name {
					continue
				}
				fields := map[string]string{}
				for _, f := range spec.Type.(*ast.StructType).Fields.List {
					if f.Tag == nil {
						continue
					}
					tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("pulumi")
					fields[tag] = source(f.Type)
				}
				return fields
			}
		}
	}
	return nil
}

func (p *sdkPackage) literals() (found []string) {
	ast.Inspect(p.files[0], func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			found = append(found, text(lit))
		}
		return true
	})
	return found
}

// inputTypes are our types for the SDK's plain ones.
var inputTypes = map[string]string{
	"string": "StringInput", "int": "IntInput", "bool": "BoolInput", "float64": "Float64Input",
	"[]string": "StringArrayInput", "map[string]string": "StringMapInput", "map[string]interface{}": "MapInput",
}

// compareInputs finds properties that the SDK does not have, or has with another
// type, in nested structs too.
func (p *sdkPackage) compareInputs(t *testing.T, name string, ours reflect.Type) {
	t.Helper()
	theirs := p.fields(t, name)
	for i := range ours.NumField() {
		field := ours.Field(i)
		tag := field.Tag.Get("pulumi")
		require.NotEmpty(t, tag, "%s.%s has no property name", ours.Name(), field.Name)
		typ, ok := theirs[tag]
		if !assert.True(t, ok, "the SDK's %s has no property %q", name, tag) {
			continue
		}
		typ = strings.TrimPrefix(typ, "*")
		switch nested := field.Type; nested.Kind() {
		case reflect.Struct:
			p.compareInputs(t, typ, nested)
		case reflect.Pointer, reflect.Slice:
			p.compareInputs(t, strings.TrimPrefix(typ, "[]"), nested.Elem())
		default:
			if want := inputTypes[typ]; want != "" {
				assert.Equal(t, want, nested.Name(), "type of %s.%s", name, tag)
			} else {
				// Types of the cheap packages are the SDK's own.
				_, local, _ := strings.Cut(typ, ".")
				assert.Equal(t, local+"PtrInput", nested.Name(), "type of %s.%s", name, tag)
			}
		}
	}
}

// compareOutputs finds outputs that the SDK's resource does not have, or has
// with another type.
func (p *sdkPackage) compareOutputs(t *testing.T, name string, ours reflect.Type) {
	t.Helper()
	theirs := p.fields(t, name)
	for i := range ours.NumField() {
		tag := ours.Field(i).Tag.Get("pulumi")
		if tag == "" {
			continue // the embedded state
		}
		typ, ok := theirs[tag]
		if !assert.True(t, ok, "the SDK's %s has no output %q", name, tag) {
			continue
		}
		if strings.HasPrefix(typ, "pulumi.") {
			assert.Equal(t, strings.Replace(strings.TrimPrefix(typ, "pulumi."), "PtrOutput", "Output", 1),
				ours.Field(i).Type.Name(), "type of output %s.%s", name, tag)
		}
	}
}

func tags(t reflect.Type) (out []string) {
	for i := range t.NumField() {
		out = append(out, t.Field(i).Tag.Get("pulumi"))
	}
	return out
}

func keys(m map[string]string) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	return out
}

func source(n ast.Node) string {
	var b bytes.Buffer
	_ = printer.Fprint(&b, token.NewFileSet(), n)
	return b.String()
}

func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		return ""
	}
	s, _ := strconv.Unquote(lit.Value)
	return s
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
