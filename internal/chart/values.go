package chart

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// The chart's own name prefixes. They are kept as they are: its ratio rule and
// its Services hard-code them.
const (
	APIName    = "deepgram-api"
	EngineName = "deepgram-engine"
	// BillingName is also the label app of billing's pods.
	BillingName = "deepgram-billing"
)

// Annotations of the pods. A change of a hash restarts them, because the chart
// itself restarts nothing when a Secret changes.
const (
	annotationAPIKey      = "deepgram.com/api-key-hash"
	annotationLicense     = "deepgram.com/license-key-hash"
	annotationLicenseFile = "deepgram.com/license-file-hash"
	annotationSafeToEvict = "cluster-autoscaler.kubernetes.io/safe-to-evict"
)

// Values computes the chart's values (DeepgramRelease's heart): what GKE needs
// and the chart does not default to, what the environment says, and Extra on top.
// It reports every problem that would make helm or Kubernetes refuse them.
func Values(in Inputs) (map[string]any, error) {
	if in.Extra != nil {
		// Whatever way the raw values came in, they are plain maps from here on.
		extra, err := toMap(in.Extra)
		if err != nil {
			return nil, err
		}
		in.Extra = extra
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	t := tree{
		Global:  in.global(),
		Scaling: in.scaling(),
		API: apiValues{
			podValues:  in.pod("api", RoleAPI, in.API.Resources, nil, nil),
			NamePrefix: APIName,
		},
		Engine:       in.engine(),
		LicenseProxy: in.licenseProxy(),
		Billing:      in.billing(),
		// GKE installs the GPU drivers and scales the nodes itself.
		GPUOperator:       enabledValues{Enabled: false},
		ClusterAutoscaler: enabledValues{Enabled: false},
		PrometheusStack:   in.prometheusStack(),
		PrometheusAdapter: in.prometheusAdapter(),
	}
	values, err := toMap(t)
	if err != nil {
		return nil, err
	}
	return Merge(values, in.Extra), nil
}

// check finds what the chart or Kubernetes would refuse.
func (in *Inputs) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for name, v := range map[string]string{
		"release": in.Release, "namespace": in.Namespace, "tag": in.Tag,
		"image prefix": in.ImagePrefix, "zone": in.Zone,
		"models volume handle": in.Models.VolumeHandle, "models capacity": in.Models.Capacity,
		"models name prefix": in.Models.NamePrefix,
	} {
		if v == "" {
			fail("%s: is required", name)
		}
	}
	if in.Scaling.Auto {
		if n := in.Scaling.targets(); n != 1 {
			fail("scaling: exactly one target is needed (streams, batch requests, tts requests or capacity ratio), got %d", n)
		}
		if in.Scaling.CapacityRatio != 0 && in.Engine.ActiveRequests == 0 {
			fail("scaling: a capacity ratio needs the engine's activeRequests, of which it is a share")
		}
		if in.Scaling.MinReplicas < 1 || in.Scaling.MaxReplicas < in.Scaling.MinReplicas {
			fail("scaling: replicas %d to %d: need 1 <= min <= max", in.Scaling.MinReplicas, in.Scaling.MaxReplicas)
		}
		if in.Scaling.EngineToAPIRatio < 1 {
			fail("scaling: engine to api ratio %d: must be 1 or more, the chart divides by it", in.Scaling.EngineToAPIRatio)
		}
	}
	if in.LicenseProxy.Enabled && (in.LicenseProxy.Replicas < 1 || in.LicenseProxy.Replicas > 2) {
		fail("licence proxy: %d replicas: the chart knows 1 and 2", in.LicenseProxy.Replicas)
	}
	if in.Billing.Enabled && in.Billing.JournalClaim == "" {
		fail("billing: a journal claim is needed: the chart's own claim template breaks the next upgrade")
	}
	if !Supported(in.Version) {
		fail("chart version: %q is not supported: use one of %s", in.Version, strings.Join(Versions(), ", "))
	} else {
		for _, problem := range CheckKeys(in.Version, in.Extra) {
			fail("values: %s", problem)
		}
	}
	return errors.Join(sorted(errs)...)
}

func (s *Scaling) targets() (n int) {
	for _, set := range []bool{s.StreamsPerPod > 0, s.BatchRequestsPerPod > 0, s.TTSRequestsPerPod > 0, s.CapacityRatio > 0} {
		if set {
			n++
		}
	}
	return n
}

func (in *Inputs) global() globalValues {
	g := globalValues{
		DeepgramSecretRef:             APIKeySecret,
		AdditionalLabels:              in.Labels,
		OutstandingRequestGracePeriod: in.GracePeriodSeconds,
	}
	if in.UsePullSecret {
		g.PullSecretRef = PullSecret
	}
	if in.Billing.Enabled {
		// Airgapped pods get the licence key; there is no API key.
		g.DeepgramSecretRef = ""
		g.DeepgramLicenseSecretRef = LicenseKeySecret
		g.InitContainer = &initContainerValues{Image: in.initImage()}
	}
	return g
}

// initImage is written so that the template's "registry/repository:tag" gives
// the mirrored image, whatever the prefix is.
func (in *Inputs) initImage() initImageValues {
	prefix := in.InitImageRegistry
	if prefix == "" {
		prefix = in.ImagePrefix
	}
	return initImageValues{Registry: prefix, Repository: "ubuntu", Tag: "22.04"}
}

func (in *Inputs) image(component string) imageValues {
	return imageValues{Path: in.ImagePrefix + "/self-hosted-" + component, Tag: in.Tag}
}

// Images maps each component of the release to its image reference.
func Images(in Inputs) map[string]string {
	ref := func(i imageValues) string { return i.Path + ":" + i.Tag }
	out := map[string]string{"api": ref(in.image("api")), "engine": ref(in.image("engine"))}
	if in.LicenseProxy.Enabled {
		out["licenseProxy"] = ref(in.image("license-proxy"))
	}
	if in.Billing.Enabled {
		out["billing"] = ref(in.image("billing"))
		init := in.initImage()
		out["init"] = init.Registry + "/" + init.Repository + ":" + init.Tag
	}
	return out
}

// pod is what all components have.
func (in *Inputs) pod(component, role string, r Resources, gpus *int, annotations map[string]string) podValues {
	for key, hash := range map[string]string{annotationAPIKey: in.APIKeyHash, annotationLicense: in.LicenseHash} {
		if hash == "" {
			continue
		}
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[key] = hash
	}
	return podValues{
		Image:                 in.image(component),
		AdditionalAnnotations: annotations,
		Affinity:              onNodes(role),
		Resources: resourceValues{
			Requests: quantityValues{CPU: r.RequestCPU, Memory: r.RequestMemory, GPU: gpus},
			Limits:   quantityValues{CPU: r.LimitCPU, Memory: r.LimitMemory, GPU: gpus},
		},
		// One pod at a time may be evicted. The chart drops 0, which would then
		// forbid every eviction and hang node upgrades.
		PDB: pdbValues{Enabled: true, MaxUnavailable: 1},
	}
}

// onNodes is the required affinity to the nodes of a role.
func onNodes(role string) map[string]any {
	return map[string]any{"nodeAffinity": map[string]any{
		"requiredDuringSchedulingIgnoredDuringExecution": map[string]any{
			"nodeSelectorTerms": []any{map[string]any{"matchExpressions": []any{map[string]any{
				"key": NodeTypeLabel, "operator": "In", "values": []any{role},
			}}}},
		},
	}}
}

func (in *Inputs) engine() engineValues {
	gpus := in.Engine.GPUs
	e := engineValues{
		// An Engine's streams last for hours: the node autoscaler, which waits ten
		// minutes at most, must not take its node away.
		podValues: in.pod("engine", RoleEngine, in.Engine.Resources, &gpus,
			map[string]string{annotationSafeToEvict: "false"}),
		NamePrefix: EngineName,
		// The chart's volume has no node affinity, so the pods need the disk's zone.
		NodeSelector: map[string]string{"topology.kubernetes.io/zone": in.Zone},
		Health:       healthValues{GPURequired: in.Engine.GPURequired},
	}
	if in.Engine.ActiveRequests > 0 {
		e.ConcurrencyLimit = &concurrencyValues{ActiveRequests: in.Engine.ActiveRequests}
	}
	e.ModelManager.Volumes.GCP.GPD = gpdValues{
		Enabled:          true,
		NamePrefix:       in.Models.NamePrefix,
		StorageClassName: cmp.Or(in.Models.StorageClass, "standard-rwo"),
		StorageCapacity:  in.Models.Capacity,
		VolumeHandle:     in.Models.VolumeHandle,
		FSType:           cmp.Or(in.Models.FSType, "ext4"),
	}
	return e
}

func (in *Inputs) licenseProxy() proxyValues {
	return proxyValues{
		podValues:           in.pod("license-proxy", RoleLicenseProxy, in.LicenseProxy.Resources, nil, nil),
		Enabled:             in.LicenseProxy.Enabled,
		DeploySecondReplica: in.LicenseProxy.Replicas == 2,
		// An airgapped deployment asks nobody outside.
		KeepUpstreamServerAsBackup: in.LicenseProxy.KeepUpstreamServerAsBackup && !in.Billing.Enabled,
	}
}

func (in *Inputs) billing() billingValues {
	b := billingValues{Enabled: in.Billing.Enabled, Image: in.image("billing")}
	if !in.Billing.Enabled {
		return b
	}
	b.Replicas = max(in.Billing.Replicas, 1)
	if in.LicenseFileHash != "" {
		b.AdditionalAnnotations = map[string]string{annotationLicenseFile: in.LicenseFileHash}
	}
	b.LicenseFile = &licenseFileValues{SecretRef: LicenseFileSecret, SecretKey: LicenseFileKey}
	// The default claim is an AWS one, which no GKE cluster has.
	b.Journal = &journalValues{ExistingPvcName: in.Billing.JournalClaim}
	// Kubernetes 1.35 and later refuse the chart's 0.
	b.UpdateStrategy = &strategyValues{}
	b.UpdateStrategy.RollingUpdate.MaxUnavailable = 1
	b.Affinity = onNodes(RoleBilling)
	b.PDB = &pdbValues{Enabled: true, MaxUnavailable: 1}
	return b
}

func (in *Inputs) scaling() scalingValues {
	s := scalingValues{Replicas: replicaValues{
		API: max(in.Scaling.APIReplicas, 1), Engine: max(in.Scaling.EngineReplicas, 1),
	}}
	if in.Scaling.KEDA {
		// The chart writes a number into its Deployments, which an update sets again.
		for _, scaler := range in.Scalers() {
			if scaler.Deployment == EngineName {
				s.Replicas.Engine = min(max(in.Scaling.EngineReplicas, scaler.Min), scaler.Max)
			} else {
				s.Replicas.API = scaler.Min
			}
		}
		s.Replicas.API = max(s.Replicas.API, perAPI(s.Replicas.Engine, in.Scaling.EngineToAPIRatio))
		return s
	}
	s.Auto.Enabled = in.Scaling.Auto
	if !in.Scaling.Auto {
		return s
	}
	e := &autoEngineValues{
		MinReplicas: in.Scaling.MinReplicas,
		MaxReplicas: in.Scaling.MaxReplicas,
		Behavior: map[string]any{
			"scaleUp":   map[string]any{"stabilizationWindowSeconds": in.Scaling.ScaleUpStabilizationSeconds},
			"scaleDown": scaleDown(),
		},
	}
	switch {
	case in.Scaling.StreamsPerPod > 0:
		e.Metrics.SpeechToText = &perKindValues{Streaming: &perPodValues{in.Scaling.StreamsPerPod}}
	case in.Scaling.BatchRequestsPerPod > 0:
		e.Metrics.SpeechToText = &perKindValues{Batch: &perPodValues{in.Scaling.BatchRequestsPerPod}}
	case in.Scaling.TTSRequestsPerPod > 0:
		e.Metrics.TextToSpeech = &perKindValues{Batch: &perPodValues{in.Scaling.TTSRequestsPerPod}}
	default:
		e.Metrics.RequestCapacityRatio = in.Scaling.CapacityRatio
	}
	a := &autoAPIValues{Behavior: map[string]any{"scaleDown": scaleDown()}}
	a.Metrics.EngineToAPIRatio = in.Scaling.EngineToAPIRatio
	s.Auto.API, s.Auto.Engine = a, e
	return s
}

// scaleDown is the chart's default, said aloud so that a chart version that
// changes it changes nothing here: the faster of one pod and a quarter a minute.
func scaleDown() map[string]any {
	policy := func(kind string, value int) any {
		return map[string]any{"type": kind, "value": value, "periodSeconds": 60}
	}
	return map[string]any{"policies": []any{policy("Pods", 1), policy("Percent", 25)}}
}

// Fingerprint is 16 hex digits that change when one of the values changes. Key
// must be a secret of high entropy, such as an API key or a licence key: then the
// values cannot be guessed from the result, which is published in annotations.
func Fingerprint(key string, values ...string) string {
	mac := hmac.New(sha256.New, []byte(key))
	for _, v := range values {
		// The length keeps ("ab", "c") apart from ("a", "bc").
		fmt.Fprintf(mac, "%d:%s;", len(v), v)
	}
	return hex.EncodeToString(mac.Sum(nil))[:16]
}

func sorted(errs []error) []error {
	for i := range errs {
		for j := i; j > 0 && strings.Compare(errs[j].Error(), errs[j-1].Error()) < 0; j-- {
			errs[j], errs[j-1] = errs[j-1], errs[j]
		}
	}
	return errs
}
