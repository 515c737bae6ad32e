package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/deepgram-gke/deepgram-gke/config"
)

// full sets something of every kind: lists, maps, pointers, secrets, nulls.
const full = `
config:
  gcp:project: based-hardware
  gcp:region: us-central1
  gcp:zone: us-central1-a
  kubernetes:context: other
  gcp:userProjectOverride: true
  deepgram-stack:environment: {production: "true", labels: {team: speech}}
  deepgram-stack:release: {tag: release-250331, apiKey: {secure: djE6YWJj}}
  deepgram-stack:registry: {distribution: {username: deepgram+acme, password: {secretManager: projects/p/secrets/s/versions/3}}}
  deepgram-stack:ingress:
    host: dg.omi.me
    certificate: {existing: wild-2026}
    previousCertificate: {existing: wild-2025}
  deepgram-stack:grafana: {host: dg-monitor.omi.me, adminPassword: swordfish}
  deepgram-stack:cluster:
    location: us-central1-a
    deletionProtection: false
    maintenance:
      exclusions: [{name: christmas, start: 2026-12-20T00:00:00Z, end: 2026-12-27T00:00:00Z}]
  deepgram-stack:pools:
    api: {maxNodes: "12"}
    engine: {machineType: n1-standard-8, minNodes: 2, gpu: {type: nvidia-tesla-t4}}
    system: {upgrade: {maxSurge: 2}}
  deepgram-stack:models:
    disk: {sizeGb: 300}
    active: nova-3
    sets:
      nova-3: {files: [{url: "https://models.example.com/nova-3.dg?X-Sig=1", sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}]}
      nova-2: {disk: {existing: old-disk}, retire: 2027-01-31}
  deepgram-stack:engine: {resources: {requests: {cpu: 3.5}}, activeRequests: 40}
  deepgram-stack:scaling: {engine: {maxReplicas: 8, capacityRatio: 0.8}}
  deepgram-stack:values: {api: {features: {entityDetection: true}, extraEnv: [{name: A, value: "1"}]}}
  deepgram-stack:policy: {levels: {private-nodes: advisory}, settings: {engine-hardware: {allow16Gb: true}}, exemptions: []}
`

func parse(t *testing.T, text string) config.Tree {
	t.Helper()
	tree, err := config.ParseTree([]byte(text))
	require.NoError(t, err)
	return tree
}

func TestTreeRoundTrip(t *testing.T) {
	t.Parallel()
	c, err := config.FromTree("prod-omi", parse(t, full))
	require.NoError(t, err)
	tree, err := c.Tree(nil)
	require.NoError(t, err)
	again, err := config.FromTree("prod-omi", tree)
	require.NoError(t, err)
	assert.Equal(t, c, again)
	assert.True(t, c.Environment.Production, "a boolean given as text is parsed")
	assert.Equal(t, 12, c.Pools.API.MaxNodes, "a number given as text is parsed")
	assert.NotContains(t, tree, "gcp:userProjectOverride")
	assert.NotContains(t, tree["deepgram-stack:cluster"], "name", "a derived name is not written")
	assert.Equal(t, c, c.Clone())
}
