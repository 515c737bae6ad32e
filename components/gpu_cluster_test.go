package components

import (
	"encoding/json"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/deepgram-gke/deepgram-gke/config"
)

func newCluster(t *testing.T, rec *cloudRecorder, args *GpuClusterArgs, opts ...pulumi.RunOption) (*GpuCluster, *cloudRecorder) {
	t.Helper()
	var c *GpuCluster
	rec = record(t, rec, func(ctx *pulumi.Context) (err error) {
		c, err = NewGpuCluster(ctx, "gke", args)
		return err
	}, opts...)
	return c, rec
}

func TestGpuCluster(t *testing.T) {
	t.Parallel()
	bothModes(t, func(t *testing.T, mode pulumi.RunOption) {
		args := clusterArgs(settled(t, "prod-omi-deepgram"))
		args.Production, args.Cluster.DeletionProtection = true, nil
		c, rec := newCluster(t, nil, args, mode)
		cluster := rec.reg(t, "gke-cluster")
		in := inputsOf(cluster)
		for path, want := range map[string]any{
			"name": "prod-omi-deepgram-cluster", "location": "us-central1", "networkingMode": "VPC_NATIVE",
			"network": "default", "subnetwork": "default", "deletionProtection": true,
			"removeDefaultNodePool": true, "initialNodeCount": 1.0, "enableShieldedNodes": true,
			"releaseChannel/channel": "REGULAR", "workloadIdentityConfig/workloadPool": "acme-speech.svc.id.goog",
			"addonsConfig/gcePersistentDiskCsiDriverConfig/enabled": true,
			"addonsConfig/httpLoadBalancing/disabled":               false,
			"addonsConfig/gcpFilestoreCsiDriverConfig/enabled":      false,
			"maintenancePolicy/recurringWindow/recurrence":          "FREQ=WEEKLY;BYDAY=SA,SU",
			"monitoringConfig/managedPrometheus/enabled":            false,
			"nodeConfig/serviceAccount":                             "prod-omi-deepgram-nodes@acme-speech.iam.gserviceaccount.com",
			"resourceLabels/team":                                   "voice",
		} {
			assert.Equal(t, want, dig(t, in, path), path)
		}
		assert.Contains(t, in, "ipAllocationPolicy")
		assert.NotContains(t, in, "privateClusterConfig")
		assert.True(t, cluster.RegisterRPC.GetProtect())
		assert.Equal(t, "60m", cluster.RegisterRPC.GetCustomTimeouts().GetCreate())
		assert.Equal(t, "prod-omi-deepgram-nodes", inputsOf(rec.reg(t, "gke-service-account"))["accountId"])
		assert.Equal(t, []string{"prod-omi-deepgram-nodes"}, c.NodeTags)
		assert.Len(t, c.Ready, 6, "two roles and four pools")
		assert.ElementsMatch(t, []string{
			"gke-api-compute", "gke-api-container", "gke-api-containerfilesystem",
		}, rec.names("gcp:projects/service:Service"))
		assert.Empty(t, rec.names("gcp:compute/router:Router"))
	})
}

func TestGpuClusterPools(t *testing.T) {
	t.Parallel()
	args := clusterArgs(settled(t, "acme"))
	args.Cluster.NodeZones = []string{"us-central1-a", "us-central1-b"}
	args.Billing = true
	c, rec := newCluster(t, nil, args)
	assert.Len(t, c.Pools, 5)
	for role, machine := range map[string]string{
		"system": "n2-standard-2", "api": "n2-standard-4", "engine": "g2-standard-12",
		"license-proxy": "n2-standard-2", "billing": "n2-standard-2",
	} {
		reg := rec.reg(t, "gke-pool-"+role)
		in := inputsOf(reg)
		for path, want := range map[string]any{
			"name": role + "-pool", "location": "us-central1", "cluster": "acme-cluster",
			"management/autoRepair": true, "management/autoUpgrade": true,
			"upgradeSettings/strategy": "SURGE", "upgradeSettings/maxSurge": 1.0, "upgradeSettings/maxUnavailable": 0.0,
			"nodeConfig/machineType": machine, "nodeConfig/imageType": "COS_CONTAINERD",
			"nodeConfig/labels":                                           map[string]any{NodeTypeLabel: role},
			"nodeConfig/tags":                                             []any{"acme-nodes"},
			"nodeConfig/serviceAccount":                                   "acme-nodes@acme-speech.iam.gserviceaccount.com",
			"nodeConfig/gcfsConfig/enabled":                               true,
			"nodeConfig/oauthScopes":                                      []any{"https://www.googleapis.com/auth/cloud-platform"},
			"nodeConfig/spot":                                             false,
			"nodeConfig/workloadMetadataConfig/mode":                      "GKE_METADATA",
			"nodeConfig/shieldedInstanceConfig/enableSecureBoot":          role != "engine",
			"nodeConfig/shieldedInstanceConfig/enableIntegrityMonitoring": true,
		} {
			assert.Equal(t, want, dig(t, in, path), "%s: %s", role, path)
		}
		assert.ElementsMatch(t, []string{
			"nodeConfig.kubeletConfig", "nodeConfig.resourceLabels", "nodeCount", "initialNodeCount",
		}, reg.RegisterRPC.GetIgnoreChanges())
	}
	engine := inputsOf(rec.reg(t, "gke-pool-engine"))
	assert.Equal(t, []any{"us-central1-a"}, engine["nodeLocations"], "the zone of the models disk")
	assert.Equal(t, map[string]any{
		"totalMinNodeCount": 1.0, "totalMaxNodeCount": 11.0, "locationPolicy": "BALANCED",
	}, engine["autoscaling"])
	assert.Equal(t, []any{map[string]any{
		"type": "nvidia-l4", "count": 1.0, "gpuDriverInstallationConfig": map[string]any{"gpuDriverVersion": "LATEST"},
	}}, dig(t, engine, "nodeConfig/guestAccelerators"))
	api := inputsOf(rec.reg(t, "gke-pool-api"))
	assert.Equal(t, []any{"us-central1-a", "us-central1-b"}, api["nodeLocations"])
	assert.NotContains(t, api["nodeConfig"], "guestAccelerators")
}

func TestGpuClusterPoolOptions(t *testing.T) {
	t.Parallel()
	args := clusterArgs(settled(t, "acme"))
	args.LicenseProxy = false
	args.Cluster.ImageStreaming = false
	args.Pools.Engine.Spot = true
	args.Pools.Engine.GPU = &config.GPU{
		Type: "nvidia-tesla-t4", Count: 2, Driver: "DISABLED", Partition: "1g.5gb", Sharing: "TIME_SHARING", MaxSharedClients: 4,
	}
	args.Pools.Engine.Upgrade = config.Upgrade{Strategy: "BLUE_GREEN"}
	args.Pools.API.Reservation = "api-machines"
	c, rec := newCluster(t, nil, args)
	assert.NotContains(t, c.Pools, RoleLicenseProxy)
	assert.Equal(t, []string{"gke-role-node"}, rec.names("gcp:projects/iAMMember:IAMMember"))
	engine := inputsOf(rec.reg(t, "gke-pool-engine"))
	for path, want := range map[string]any{
		"nodeConfig/spot": true, "nodeConfig/gcfsConfig/enabled": false, "autoscaling/locationPolicy": "ANY",
		"upgradeSettings/strategy": "BLUE_GREEN",
		"upgradeSettings/blueGreenSettings/standardRolloutPolicy/batchNodeCount": 1.0,
	} {
		assert.Equal(t, want, dig(t, engine, path), path)
	}
	assert.NotContains(t, engine["upgradeSettings"], "maxSurge")
	assert.Equal(t, []any{map[string]any{
		"type": "nvidia-tesla-t4", "count": 2.0, "gpuPartitionSize": "1g.5gb",
		"gpuDriverInstallationConfig": map[string]any{"gpuDriverVersion": "INSTALLATION_DISABLED"},
		"gpuSharingConfig":            map[string]any{"gpuSharingStrategy": "TIME_SHARING", "maxSharedClientsPerGpu": 4.0},
	}}, dig(t, engine, "nodeConfig/guestAccelerators"))
	assert.Equal(t, map[string]any{
		"consumeReservationType": "SPECIFIC_RESERVATION", "key": "compute.googleapis.com/reservation-name",
		"values": []any{"api-machines"},
	}, dig(t, inputsOf(rec.reg(t, "gke-pool-api")), "nodeConfig/reservationAffinity"))
}

func TestInitialNodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ least, most, zones, want int }{
		{0, 8, 1, 0}, {1, 8, 1, 1}, {3, 9, 3, 1}, {4, 9, 3, 2}, {1, 2, 3, 0}, {2, 11, 1, 2},
	} {
		assert.Equal(t, c.want, initialNodes(c.least, c.most, c.zones), c)
	}
}

func TestGpuClusterPrivate(t *testing.T) {
	t.Parallel()
	args := clusterArgs(settled(t, "acme"))
	args.Cluster.Private = config.Private{
		Enabled: true, ControlPlaneCidr: "172.16.0.0/28", PrivateEndpoint: true, Egress: "nat",
		AuthorizedNetworks: []config.AuthorizedNetwork{{Cidr: "10.0.0.0/8", Name: "office"}},
	}
	_, rec := newCluster(t, nil, args)
	cluster := inputsOf(rec.reg(t, "gke-cluster"))
	assert.Equal(t, map[string]any{
		"enablePrivateNodes": true, "enablePrivateEndpoint": true, "masterIpv4CidrBlock": "172.16.0.0/28",
	}, cluster["privateClusterConfig"])
	assert.Equal(t, map[string]any{
		"cidrBlocks":                  []any{map[string]any{"cidrBlock": "10.0.0.0/8", "displayName": "office"}},
		"gcpPublicCidrsAccessEnabled": false,
	}, cluster["masterAuthorizedNetworksConfig"])
	rule := inputsOf(rec.reg(t, "gke-control-plane-firewall"))
	assert.Equal(t, []any{map[string]any{"protocol": "tcp", "ports": []any{"6443", "8443", "10250"}}}, rule["allows"])
	assert.Equal(t, []any{"172.16.0.0/28"}, rule["sourceRanges"])
	assert.Equal(t, []any{"acme-nodes"}, rule["targetTags"])
	nat := inputsOf(rec.reg(t, "gke-nat"))
	assert.Equal(t, "LIST_OF_SUBNETWORKS", nat["sourceSubnetworkIpRangesToNat"])
	assert.Equal(t, []any{map[string]any{
		"name":                 "projects/acme-speech/regions/us-central1/subnetworks/default",
		"sourceIpRangesToNats": []any{"ALL_IP_RANGES"},
	}}, nat["subnetworks"])
	engine := rec.reg(t, "gke-pool-engine")
	assert.Contains(t, dependsOn(engine), "gke-nat", "a node without a way out pulls nothing")
	assert.Equal(t, true, dig(t, inputsOf(engine), "networkConfig/enablePrivateNodes"))
	assert.NotContains(t, dependsOn(rec.reg(t, "gke-cluster")), "gke-nat")

	args.Cluster.Private.Egress = "existing"
	_, rec = newCluster(t, nil, args)
	assert.Empty(t, rec.names("gcp:compute/routerNat:RouterNat"))
}

func TestGpuClusterSharedVPC(t *testing.T) {
	t.Parallel()
	args := clusterArgs(settled(t, "acme"))
	args.Network.Project = "shared-vpc"
	args.Network.PodsRange, args.Network.ServicesRange = "pods", "services"
	args.Cluster.Private = config.Private{Enabled: true, ControlPlaneCidr: "172.16.0.0/28"}
	_, rec := newCluster(t, nil, args)
	cluster := inputsOf(rec.reg(t, "gke-cluster"))
	assert.Equal(t, "projects/shared-vpc/global/networks/default", cluster["network"])
	assert.Equal(t, "projects/shared-vpc/regions/us-central1/subnetworks/default", cluster["subnetwork"])
	assert.Equal(t, map[string]any{
		"clusterSecondaryRangeName": "pods", "servicesSecondaryRangeName": "services",
	}, cluster["ipAllocationPolicy"])
	for _, name := range []string{"gke-router", "gke-nat", "gke-control-plane-firewall"} {
		assert.Equal(t, "shared-vpc", inputsOf(rec.reg(t, name))["project"], name)
	}
}

func TestGpuClusterKubeconfig(t *testing.T) {
	t.Parallel()
	_, rec := newCluster(t, nil, clusterArgs(settled(t, "acme")))
	reg := rec.reg(t, "gke-kubernetes")
	require.True(t, reg.Inputs["kubeconfig"].IsSecret())
	text := reg.Inputs["kubeconfig"].SecretValue().Element.StringValue()
	read, err := clientcmd.RESTConfigFromKubeConfig([]byte(text))
	require.NoError(t, err)
	assert.Equal(t, "https://198.51.100.1", read.Host)
	assert.Equal(t, "CA", string(read.CAData))
	assert.Equal(t, "gke-gcloud-auth-plugin", read.ExecProvider.Command)
	assert.Empty(t, read.BearerToken, "it holds no credentials")
	assert.True(t, json.Valid([]byte(text)))
	assert.Equal(t, "projects/acme-speech/locations/us-central1/clusters/acme-cluster",
		reg.Inputs["clusterIdentifier"].StringValue())
	assert.Len(t, reg.RegisterRPC.GetReplaceWith(), 1)
}

func TestGpuClusterDNSEndpoint(t *testing.T) {
	t.Parallel()
	args := clusterArgs(settled(t, "acme"))
	args.Cluster.Private.DNSEndpoint = true
	computed := &cloudRecorder{stdout: "gke-0123456789abcdef.us-central1.gke.goog\n"}
	_, rec := newCluster(t, computed, args)
	command := rec.reg(t, "gke-dns-endpoint")
	assert.Contains(t, command.Inputs["create"].StringValue(),
		"gcloud container clusters update acme-cluster --location=us-central1 --project=acme-speech --enable-dns-access")
	assert.Contains(t, dependsOn(rec.reg(t, "gke-pool-api")), "gke-dns-endpoint", "one change of a cluster at a time")
	text := rec.reg(t, "gke-kubernetes").Inputs["kubeconfig"].SecretValue().Element.StringValue()
	assert.Contains(t, text, `"https://gke-0123456789abcdef.us-central1.gke.goog"`)
	assert.NotContains(t, text, "certificate-authority-data", "that endpoint has a public certificate")
}

func TestGpuClusterZonal(t *testing.T) {
	t.Parallel()
	args := clusterArgs(settled(t, "acme"))
	args.Cluster.Location = "us-central1-a"
	_, rec := newCluster(t, nil, args)
	assert.NotContains(t, inputsOf(rec.reg(t, "gke-cluster")), "nodeLocations", "a zonal cluster must not name its own zone")
	assert.Equal(t, []any{"us-central1-a"}, inputsOf(rec.reg(t, "gke-pool-api"))["nodeLocations"])
}

// existing is what GKE tells of a cluster that is there.
func existing(pools ...any) map[string]map[string]any {
	return map[string]map[string]any{"gcp:container/getCluster:getCluster": {
		"name": "there", "endpoint": "198.51.100.9", "clusterIpv4Cidr": "10.4.0.0/14",
		"masterAuths": []any{map[string]any{"clusterCaCertificate": "Q0E="}}, "nodePools": pools,
	}}
}

func TestGpuClusterExisting(t *testing.T) {
	t.Parallel()
	tagged := map[string]any{"nodeConfigs": []any{map[string]any{"tags": []any{"gpu-nodes"}}}}
	bare := map[string]any{"nodeConfigs": []any{map[string]any{}}}
	t.Run("with pools of ours", func(t *testing.T) {
		t.Parallel()
		args := clusterArgs(settled(t, "acme"))
		args.Cluster.Existing = "there"
		c, rec := newCluster(t, &cloudRecorder{lookup: existing(tagged)}, args)
		assert.Nil(t, c.Cluster)
		assert.Empty(t, rec.names("gcp:container/cluster:Cluster"))
		assert.Len(t, c.Pools, 4)
		assert.Equal(t, "there", inputsOf(rec.reg(t, "gke-pool-engine"))["cluster"])
		assert.Equal(t, []string{"acme-nodes"}, c.NodeTags)
		assert.Contains(t, rec.reg(t, "gke-kubernetes").Inputs["kubeconfig"].SecretValue().Element.StringValue(), "198.51.100.9")
	})
	t.Run("with pools of its own", func(t *testing.T) {
		t.Parallel()
		args := clusterArgs(settled(t, "acme"))
		args.Cluster.Existing, args.Cluster.ExistingPools, args.SkipServices = "there", true, true
		c, rec := newCluster(t, &cloudRecorder{lookup: existing(tagged, tagged)}, args)
		assert.Equal(t, []string{"gke", "gke-kubernetes"}, rec.names(""))
		assert.Equal(t, []string{"gpu-nodes"}, c.NodeTags)
		assert.Equal(t, []string{"10.4.0.0/14"}, c.PodRanges)
		assert.Empty(t, c.Ready)

		c, _ = newCluster(t, &cloudRecorder{lookup: existing(tagged, bare)}, args)
		assert.Empty(t, c.NodeTags, "the tags would leave a pool closed")
	})
	t.Run("not there", func(t *testing.T) {
		t.Parallel()
		args := clusterArgs(settled(t, "acme"))
		args.Cluster.Existing = "there"
		err := pulumi.RunErr(func(ctx *pulumi.Context) error {
			_, err := NewGpuCluster(ctx, "gke", args)
			return err
		}, pulumi.WithMocks("deepgram", "test", &cloudRecorder{}))
		require.ErrorContains(t, err, `gpu cluster "gke": Cluster.Existing: "there" has no control plane in us-central1 of project `+
			`acme-speech; check name and location`)
	})
}

func TestGpuClusterTakesAServiceAccount(t *testing.T) {
	t.Parallel()
	args := clusterArgs(settled(t, "acme"))
	args.NodeServiceAccount = pulumi.String("nodes@acme-speech.iam.gserviceaccount.com")
	_, rec := newCluster(t, nil, args)
	assert.Empty(t, rec.names("gcp:serviceaccount/account:Account"))
	assert.Empty(t, rec.names("gcp:projects/iAMMember:IAMMember"))
	assert.Equal(t, "nodes@acme-speech.iam.gserviceaccount.com",
		dig(t, inputsOf(rec.reg(t, "gke-pool-system")), "nodeConfig/serviceAccount"))
}

func TestGpuClusterReportsEveryMistake(t *testing.T) {
	t.Parallel()
	args := clusterArgs(settled(t, "acme"))
	args.EngineZone = "europe-west4-a"
	args.Cluster.ReleaseChannel = "EXTENDED"
	args.Cluster.Private = config.Private{Enabled: true, ControlPlaneCidr: "172.16.0.0/24", Egress: "vpn"}
	args.Pools.API.Name = "system-pool"
	args.Pools.API.MinNodes, args.Pools.API.MaxNodes = 3, 2
	args.Pools.Engine.GPU = nil
	args.Pools.LicenseProxy.Upgrade = config.Upgrade{Strategy: "SURGE"}
	require.EqualError(t, args.Validate(), `Cluster.ReleaseChannel: "EXTENDED" is not a channel that the gcp provider 7.38.0 knows: RAPID, REGULAR or STABLE
Cluster.Private.ControlPlaneCidr: "172.16.0.0/24" is not a /28 range
Cluster.Private.Egress: "vpn" is not nat or existing
EngineZone and Cluster.NodeZones: "europe-west4-a" is not in region "us-central1"
Pools.API.Name: "system-pool" is also the name of Pools.System
Pools.API: minNodes 3 and maxNodes 2 are no range; give 0 <= minNodes <= maxNodes, maxNodes >= 1
Pools.Engine.GPU: is required: an engine without a GPU does not start
Pools.LicenseProxy.Upgrade: maxSurge and maxUnavailable are both 0: no node could ever be replaced`)
}
