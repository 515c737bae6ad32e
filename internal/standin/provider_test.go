package standin_test

import (
	"context"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/deepgram-gke/deepgram-gke/internal/standin"
)

var wire = plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true}

// client speaks the provider protocol to one of the stand-ins.
type client struct {
	pulumirpc.ResourceProviderClient
	t *testing.T
}

func dial(t *testing.T, cloud *standin.Cloud, provider string) *client {
	t.Helper()
	servers, err := cloud.Serve(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, servers.Close()) })
	for _, part := range strings.Split(servers.Attach(), ",") {
		if name, port, _ := strings.Cut(part, ":"); name == provider {
			conn, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()))
			require.NoError(t, err)
			t.Cleanup(func() { _ = conn.Close() })
			return &client{pulumirpc.NewResourceProviderClient(conn), t}
		}
	}
	require.Fail(t, "no provider "+provider)
	return nil
}

type in = map[string]any

func (c *client) encode(v any) *structpb.Struct {
	c.t.Helper()
	m, ok := v.(resource.PropertyMap)
	if !ok {
		m = resource.NewPropertyMapFromMap(v.(in))
	}
	s, err := plugin.MarshalProperties(m, wire)
	require.NoError(c.t, err)
	return s
}

func (c *client) decode(s *structpb.Struct) resource.PropertyMap {
	c.t.Helper()
	m, err := plugin.UnmarshalProperties(s, wire)
	require.NoError(c.t, err)
	return m
}

func urn(typ string) string { return "urn:pulumi:test::p::" + typ + "::thing" }

func (c *client) check(typ string, v any) (resource.PropertyMap, map[string]string) {
	c.t.Helper()
	res, err := c.Check(c.t.Context(), &pulumirpc.CheckRequest{Urn: urn(typ), News: c.encode(v), RandomSeed: []byte("seed-seed-seed-seed-seed-seed-00")})
	require.NoError(c.t, err)
	failures := map[string]string{}
	for _, f := range res.GetFailures() {
		failures[f.GetProperty()] = f.GetReason()
	}
	return c.decode(res.GetInputs()), failures
}

func (c *client) create(typ string, v any, preview bool) (string, resource.PropertyMap, error) {
	c.t.Helper()
	res, err := c.Create(c.t.Context(), &pulumirpc.CreateRequest{Urn: urn(typ), Properties: c.encode(v), Preview: preview})
	if err != nil {
		return "", nil, err
	}
	return res.GetId(), c.decode(res.GetProperties()), nil
}

func (c *client) make(typ string, v any) (string, resource.PropertyMap) {
	c.t.Helper()
	id, out, err := c.create(typ, v, false)
	require.NoError(c.t, err)
	return id, out
}

func (c *client) diff(typ string, old, now any) *pulumirpc.DiffResponse {
	c.t.Helper()
	res, err := c.Diff(c.t.Context(), &pulumirpc.DiffRequest{Urn: urn(typ), OldInputs: c.encode(old), Olds: c.encode(old), News: c.encode(now)})
	require.NoError(c.t, err)
	return res
}

const (
	address    = "gcp:compute/address:Address"
	bucket     = "gcp:storage/bucket:Bucket"
	disk       = "gcp:compute/disk:Disk"
	gke        = "gcp:container/cluster:Cluster"
	nodePool   = "gcp:container/nodePool:NodePool"
	subnetwork = "gcp:compute/subnetwork:Subnetwork"
	account    = "gcp:serviceaccount/account:Account"
	filestore  = "gcp:filestore/instance:Instance"
	crt        = "gcp:compute/regionSslCertificate:RegionSslCertificate"
)

func TestCheckSaysEverythingAtOnce(t *testing.T) {
	t.Parallel()
	c := dial(t, standin.NewCloud(), "gcp")
	_, failures := c.check(nodePool, in{
		"autoscalling": in{"minNodeCount": 1},
		"nodeConfig": in{
			"machinetype": "n2-standard-4", "diskSizeGb": "many", "effectiveTaints": []any{},
			"guestAccelerators": []any{in{"type": "nvidia-l4"}},
		},
	})
	assert.Equal(t, map[string]string{
		"autoscalling":                          `unknown property, did you mean "autoscaling"?`,
		"cluster":                               "is required and missing",
		"nodeConfig.machinetype":                `unknown property, did you mean "machineType"?`,
		"nodeConfig.diskSizeGb":                 "must be a whole number, not a string",
		"nodeConfig.effectiveTaints":            "is set by the cloud and cannot be given",
		"nodeConfig.guestAccelerators[0].count": "is required and missing",
	}, failures)
}

func TestCheckRefusesForms(t *testing.T) {
	t.Parallel()
	c := dial(t, standin.NewCloud(), "gcp")
	for _, row := range []struct {
		name, typ, property string
		inputs              in
	}{
		{"short account", account, "accountId", in{"accountId": "short"}},
		{"long account", account, "accountId", in{"accountId": strings.Repeat("a", 31)}},
		{"upper case", disk, "name", in{"name": "Models"}},
		{"machine type", nodePool, "nodeConfig.machineType", in{"cluster": "c", "nodeConfig": in{"machineType": "big"}}},
		{"range with host bits", subnetwork, "ipCidrRange", in{"name": "s", "network": "default", "ipCidrRange": "10.1.0.7/20"}},
		{"unknown type", "gcp:compute/instance:Instance", "", in{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := &client{c.ResourceProviderClient, t}
			_, failures := c.check(row.typ, row.inputs)
			assert.Contains(t, failures, row.property)
			assert.Len(t, failures, 1)
		})
	}
}

func TestCheckNamesWhatHasNoName(t *testing.T) {
	t.Parallel()
	c := dial(t, standin.NewCloud(), "gcp")
	news, failures := c.check(disk, in{})
	assert.Empty(t, failures)
	assert.Regexp(t, `^thing-[0-9a-f]{7}$`, news["name"].StringValue())
	assert.Equal(t, "pd-standard", news["type"].StringValue())
}

func TestCreateAnswersAsTheRealProviderDoes(t *testing.T) {
	t.Parallel()
	c := dial(t, standin.NewCloud(standin.Project("acme", "42")), "gcp")
	for _, row := range []struct {
		typ    string
		inputs in
		id     string
		has    map[resource.PropertyKey]any
	}{
		{
			address,
			in{"name": "a", "addressType": "INTERNAL"},
			"projects/acme/regions/us-central1/addresses/a",
			map[resource.PropertyKey]any{"address": "10.128.0.4", "selfLink": "https://www.googleapis.com/compute/v1/projects/acme/regions/us-central1/addresses/a"},
		},
		{
			account,
			in{"accountId": "deepgram-nodes"},
			"projects/acme/serviceAccounts/deepgram-nodes@acme.iam.gserviceaccount.com",
			map[resource.PropertyKey]any{"email": "deepgram-nodes@acme.iam.gserviceaccount.com", "member": "serviceAccount:deepgram-nodes@acme.iam.gserviceaccount.com"},
		},
		{bucket, in{"name": "acme-b", "location": "us-central1"}, "acme-b", map[resource.PropertyKey]any{"url": "gs://acme-b", "location": "US-CENTRAL1", "projectNumber": 42.0}},
		{
			"gcp:storage/bucketIAMMember:BucketIAMMember",
			in{"bucket": "acme-b", "role": "roles/storage.objectViewer", "member": "allUsers"},
			"b/acme-b/roles/storage.objectViewer/allUsers",
			map[resource.PropertyKey]any{"bucket": "b/acme-b"},
		},
		{"gcp:secretmanager/secret:Secret", in{"secretId": "s", "replication": in{"auto": in{}}}, "projects/acme/secrets/s", map[resource.PropertyKey]any{"name": "projects/acme/secrets/s"}},
		{
			"gcp:secretmanager/secretVersion:SecretVersion",
			in{"secret": "projects/acme/secrets/s", "secretData": "x"},
			"projects/acme/secrets/s/versions/1",
			map[resource.PropertyKey]any{"version": "1"},
		},
		{
			filestore,
			in{"name": "f", "tier": "BASIC_HDD", "fileShares": in{"name": "models", "capacityGb": 1024}, "networks": []any{in{"network": "default", "modes": []any{"MODE_IPV4"}}}},
			"projects/acme/locations/us-central1-a/instances/f", nil,
		},
	} {
		id, out := c.make(row.typ, row.inputs)
		assert.Equal(t, row.id, id)
		for k, v := range row.has {
			assert.Equal(t, v, out[k].V, "%s %s", row.typ, k)
		}
	}
}

func TestPreviewKnowsOnlyWhatCanBeKnown(t *testing.T) {
	t.Parallel()
	cloud := standin.NewCloud()
	c := dial(t, cloud, "gcp")
	before := len(cloud.Objects())
	id, out, err := c.create(gke, in{"name": "g", "location": "us-central1"}, true)
	require.NoError(t, err)
	assert.Empty(t, id)
	assert.Equal(t, "g", out["name"].StringValue())
	assert.Equal(t, "rehearsal", out["project"].StringValue())
	for _, k := range []resource.PropertyKey{"endpoint", "masterAuth", "selfLink", "masterVersion"} {
		assert.True(t, out[k].IsComputed(), k)
	}
	assert.Len(t, cloud.Objects(), before)
}

func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	c := dial(t, standin.NewCloud(), "gcp")
	cert, key := chain(t, "dg.example.com")
	_, out := c.make(crt, in{"name": "c", "certificate": cert, "privateKey": key})
	assert.True(t, out["privateKey"].IsSecret(), "secret by the facts")
	_, out = c.make(disk, resource.PropertyMap{
		"name": resource.NewProperty("d"), "labels": resource.NewProperty(resource.PropertyMap{"a": resource.MakeSecret(resource.NewProperty("b"))}),
	})
	assert.True(t, out["labels"].ObjectValue()["a"].IsSecret(), "secret as it was given")
	_, out = c.make(gke, in{"name": "g", "location": "us-central1"})
	assert.True(t, out["masterAuth"].ObjectValue()["clientKey"].IsSecret())
}

func TestCloudRefuses(t *testing.T) {
	t.Parallel()
	cert, key := chain(t, "a.example.com")
	_, other := chain(t, "b.example.com")
	proxy := func(name, cidr string) in {
		return in{"name": name, "network": "default", "region": "us-central1", "ipCidrRange": cidr, "purpose": "REGIONAL_MANAGED_PROXY", "role": "ACTIVE"}
	}
	for _, row := range []struct {
		name, typ string
		before    []in // of the same type
		inputs    in
		want      string
	}{
		{"name taken", disk, []in{{"name": "d"}}, in{"name": "d"}, "409"},
		{"second active proxy-only subnetwork", subnetwork, []in{proxy("one", "192.168.0.0/23")}, proxy("two", "192.168.2.0/23"), "only one active"},
		{
			"overlap", subnetwork,
			[]in{proxy("one", "192.168.0.0/23")},
			in{"name": "s", "network": "default", "region": "us-east1", "ipCidrRange": "192.168.1.0/24"},
			"conflicts with existing subnetwork 'one'",
		},
		{"automatic range", subnetwork, nil, in{"name": "s", "network": "default", "ipCidrRange": "10.200.0.0/20"}, "10.128.0.0/9"},
		{
			"proxy-only without role", subnetwork, nil,
			in{"name": "s", "network": "default", "ipCidrRange": "192.168.0.0/23", "purpose": "REGIONAL_MANAGED_PROXY"},
			"role",
		},
		{"no such network", subnetwork, nil, in{"name": "s", "network": "nowhere", "ipCidrRange": "192.168.0.0/23"}, "404"},
		{"address outside", address, nil, in{"name": "a", "addressType": "INTERNAL", "address": "10.9.9.9"}, "not in range"},
		{
			"address taken", address,
			[]in{{"name": "a", "addressType": "INTERNAL", "address": "10.128.0.50"}},
			in{"name": "b", "addressType": "INTERNAL", "address": "10.128.0.50"},
			"already reserved",
		},
		{"garbage certificate", crt, nil, in{"name": "c", "certificate": "garbage", "privateKey": "garbage"}, "not usable"},
		{"another key", crt, nil, in{"name": "c", "certificate": cert, "privateKey": other}, "not usable"},
		{"own key", crt, nil, in{"name": "c", "certificate": cert, "privateKey": key}, ""},
		{"tiny filestore", filestore, nil, in{"name": "f", "tier": "BASIC_HDD", "fileShares": in{"name": "m", "capacityGb": 1}, "networks": []any{}}, "minimum"},
		{"zone elsewhere", gke, nil, in{"name": "g", "location": "us-central1", "nodeLocations": []any{"us-east1-b"}}, "not in region"},
		{"no such cluster", nodePool, nil, in{"name": "n", "cluster": "nowhere"}, "404"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, standin.NewCloud(), "gcp")
			for _, b := range row.before {
				c.make(row.typ, b)
			}
			_, _, err := c.create(row.typ, row.inputs, false)
			if row.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, row.want)
		})
	}
}

func TestCloudRefusesRemoval(t *testing.T) {
	t.Parallel()
	cloud := standin.NewCloud()
	c := dial(t, cloud, "gcp")
	remove := func(typ, id string, state any) error {
		_, err := c.Delete(t.Context(), &pulumirpc.DeleteRequest{Urn: urn(typ), Id: id, Properties: c.encode(state)})
		return err
	}
	id, out := c.make(bucket, in{"name": "b-b", "location": "US"})
	require.NoError(t, cloud.PutBucketObject("b-b", "journal/1"))
	require.ErrorContains(t, remove(bucket, id, out), "not empty")
	out["forceDestroy"] = resource.NewProperty(true)
	require.NoError(t, remove(bucket, id, out))

	id, out = c.make(gke, in{"name": "g", "location": "us-central1", "deletionProtection": true})
	require.ErrorContains(t, remove(gke, id, out), "deletionProtection")
	out["deletionProtection"] = resource.NewProperty(false)
	require.NoError(t, remove(gke, id, out))
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	c := dial(t, standin.NewCloud(standin.Project("acme", "42"), standin.SecretValue("projects/acme/secrets/key/versions/latest", "hush")), "gcp")
	call := func(tok string, args in) (resource.PropertyMap, error) {
		res, err := c.Invoke(t.Context(), &pulumirpc.InvokeRequest{Tok: tok, Args: c.encode(args)})
		if err != nil {
			return nil, err
		}
		return c.decode(res.GetReturn()), nil
	}
	out, err := call("gcp:secretmanager/getSecretVersionAccess:getSecretVersionAccess", in{"secret": "key"})
	require.NoError(t, err)
	require.True(t, out["secretData"].IsSecret())
	assert.Equal(t, "hush", out["secretData"].SecretValue().Element.StringValue())
	out, err = call("gcp:organizations/getProject:getProject", in{})
	require.NoError(t, err)
	assert.Equal(t, "42", out["number"].StringValue())
	out, err = call("gcp:compute/getSubnetwork:getSubnetwork", in{"name": "default"})
	require.NoError(t, err)
	assert.Equal(t, "10.128.0.0/20", out["ipCidrRange"].StringValue())
	_, err = call("gcp:container/getCluster:getCluster", in{"name": "nowhere"})
	require.ErrorContains(t, err, "404")
	_, err = call("gcp:sql/getDatabase:getDatabase", in{})
	require.ErrorContains(t, err, "does not know this function")
}

func TestCloudSurvivesInAFile(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/cloud.json"
	c := dial(t, standin.NewCloud(standin.File(file)), "gcp")
	id, _ := c.make(disk, in{"name": "d", "size": 7})
	again := standin.NewCloud(standin.File(file))
	o, ok := again.Object(disk, id)
	require.True(t, ok)
	assert.InDelta(t, 7, o.Outputs["size"].NumberValue(), 0)
	_, _, err := dial(t, again, "gcp").create(disk, in{"name": "d"}, false)
	require.ErrorContains(t, err, "409")
}

func TestPartialFailureIsRecorded(t *testing.T) {
	t.Parallel()
	cloud := standin.NewCloud()
	c := dial(t, cloud, "gcp")
	cloud.Inject(standin.Fault{Mode: standin.FailPartial, Type: disk, Message: "not ready"})
	c.make(address, in{"name": "a"})
	_, _, err := c.create(disk, in{"name": "d"}, false)
	require.ErrorContains(t, err, "not ready")
	_, ok := cloud.Object(disk, "projects/rehearsal/zones/us-central1-a/disks/d")
	assert.True(t, ok)
	calls := cloud.Calls()
	require.Len(t, calls, 2)
	assert.Equal(t, standin.Call{N: 2, Provider: "gcp", Method: "Create", Type: disk, URN: urn(disk), Name: "thing"}, calls[1])
}

// TestUpdateKeepsTheCloudsNames updates, without a change, what names another
// thing by its short name: what the engine does after a creation that half failed.
func TestUpdateKeepsTheCloudsNames(t *testing.T) {
	t.Parallel()
	const repository, member = "gcp:artifactregistry/repository:Repository", "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"
	c := dial(t, standin.NewCloud(), "gcp")
	c.make(repository, in{"repositoryId": "deepgram", "location": "us-central1", "format": "DOCKER"})
	inputs := in{"repository": "deepgram", "location": "us-central1", "role": "roles/artifactregistry.reader", "member": "serviceAccount:nodes@p.iam.gserviceaccount.com"}
	id, made := c.make(member, inputs)
	answer, err := c.Update(t.Context(), &pulumirpc.UpdateRequest{
		Id: id, Urn: urn(member), Olds: c.encode(made), OldInputs: c.encode(inputs), News: c.encode(inputs),
	})
	require.NoError(t, err)
	assert.Equal(t, made["repository"], c.decode(answer.GetProperties())["repository"])
}

func TestCancelEndsWhatHangs(t *testing.T) {
	t.Parallel()
	cloud := standin.NewCloud()
	started := make(chan struct{})
	cloud.Inject(standin.Fault{Mode: standin.Hang, Func: func() { close(started) }})
	c := dial(t, cloud, "gcp")
	failed := make(chan error, 1)
	go func() {
		_, err := c.Create(context.WithoutCancel(t.Context()), &pulumirpc.CreateRequest{Urn: urn(disk), Properties: &structpb.Struct{}})
		failed <- err
	}()
	<-started
	_, err := c.Cancel(t.Context(), &emptypb.Empty{})
	require.NoError(t, err)
	require.ErrorContains(t, <-failed, "cancelled")
}
