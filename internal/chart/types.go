package chart

import (
	"encoding/json"
	"fmt"
)

// The types below are the part of the chart's values that an environment on GKE
// sets. A boolean is a bool and a count an int: the chart's templates take the
// text "false" for true. Fields without omitempty are always explicit.

type tree struct {
	Global            globalValues   `json:"global"`
	Scaling           scalingValues  `json:"scaling"`
	API               apiValues      `json:"api"`
	Engine            engineValues   `json:"engine"`
	LicenseProxy      proxyValues    `json:"licenseProxy"`
	Billing           billingValues  `json:"billing"`
	GPUOperator       enabledValues  `json:"gpu-operator"`
	ClusterAutoscaler enabledValues  `json:"cluster-autoscaler"`
	PrometheusStack   map[string]any `json:"kube-prometheus-stack"`
	PrometheusAdapter map[string]any `json:"prometheus-adapter"`
}

type enabledValues struct {
	Enabled bool `json:"enabled"`
}

type globalValues struct {
	PullSecretRef                 string               `json:"pullSecretRef,omitempty"`
	DeepgramSecretRef             string               `json:"deepgramSecretRef,omitempty"`
	DeepgramLicenseSecretRef      string               `json:"deepgramLicenseSecretRef,omitempty"`
	InitContainer                 *initContainerValues `json:"initContainer,omitempty"`
	AdditionalLabels              map[string]string    `json:"additionalLabels,omitempty"`
	OutstandingRequestGracePeriod int                  `json:"outstandingRequestGracePeriod"`
}

type initContainerValues struct {
	Image initImageValues `json:"image"`
}

type initImageValues struct {
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
}

type imageValues struct {
	Path string `json:"path"`
	Tag  string `json:"tag"`
}

type resourceValues struct {
	Requests quantityValues `json:"requests"`
	Limits   quantityValues `json:"limits"`
}

type quantityValues struct {
	CPU    string `json:"cpu"`
	Memory string `json:"memory"`
	GPU    *int   `json:"gpu,omitempty"`
}

type pdbValues struct {
	Enabled        bool `json:"enabled"`
	MaxUnavailable int  `json:"maxUnavailable"`
}

type podValues struct {
	Image                 imageValues       `json:"image"`
	AdditionalAnnotations map[string]string `json:"additionalAnnotations,omitempty"`
	Affinity              map[string]any    `json:"affinity"`
	Resources             resourceValues    `json:"resources"`
	PDB                   pdbValues         `json:"pdb"`
}

type scalingValues struct {
	Replicas replicaValues `json:"replicas"`
	Auto     autoValues    `json:"auto"`
}

type replicaValues struct {
	API    int `json:"api"`
	Engine int `json:"engine"`
}

type autoValues struct {
	Enabled bool              `json:"enabled"`
	API     *autoAPIValues    `json:"api,omitempty"`
	Engine  *autoEngineValues `json:"engine,omitempty"`
}

type autoAPIValues struct {
	Metrics struct {
		EngineToAPIRatio int `json:"engineToApiRatio"`
	} `json:"metrics"`
	Behavior map[string]any `json:"behavior"`
}

type autoEngineValues struct {
	MinReplicas int            `json:"minReplicas"`
	MaxReplicas int            `json:"maxReplicas"`
	Metrics     metricValues   `json:"metrics"`
	Behavior    map[string]any `json:"behavior"`
}

type metricValues struct {
	RequestCapacityRatio float64        `json:"requestCapacityRatio,omitempty"`
	SpeechToText         *perKindValues `json:"speechToText,omitempty"`
	TextToSpeech         *perKindValues `json:"textToSpeech,omitempty"`
}

type perKindValues struct {
	Batch     *perPodValues `json:"batch,omitempty"`
	Streaming *perPodValues `json:"streaming,omitempty"`
}

type perPodValues struct {
	RequestsPerPod int `json:"requestsPerPod"`
}

type apiValues struct {
	podValues
	NamePrefix string `json:"namePrefix"`
}

type engineValues struct {
	podValues
	NamePrefix       string             `json:"namePrefix"`
	NodeSelector     map[string]string  `json:"nodeSelector"`
	Health           healthValues       `json:"health"`
	ConcurrencyLimit *concurrencyValues `json:"concurrencyLimit,omitempty"`
	ModelManager     modelManagerValues `json:"modelManager"`
}

type healthValues struct {
	GPURequired bool `json:"gpuRequired"`
}

type concurrencyValues struct {
	ActiveRequests int `json:"activeRequests"`
}

type modelManagerValues struct {
	Volumes volumeValues `json:"volumes"`
}

type volumeValues struct {
	GCP struct {
		GPD gpdValues `json:"gpd"`
	} `json:"gcp"`
}

type gpdValues struct {
	Enabled          bool   `json:"enabled"`
	NamePrefix       string `json:"namePrefix"`
	StorageClassName string `json:"storageClassName"`
	StorageCapacity  string `json:"storageCapacity"`
	VolumeHandle     string `json:"volumeHandle"`
	FSType           string `json:"fsType"`
}

type proxyValues struct {
	podValues
	Enabled                    bool `json:"enabled"`
	DeploySecondReplica        bool `json:"deploySecondReplica"`
	KeepUpstreamServerAsBackup bool `json:"keepUpstreamServerAsBackup"`
}

type billingValues struct {
	Enabled               bool               `json:"enabled"`
	Image                 imageValues        `json:"image"`
	Replicas              int                `json:"replicas,omitempty"`
	AdditionalAnnotations map[string]string  `json:"additionalAnnotations,omitempty"`
	LicenseFile           *licenseFileValues `json:"licenseFile,omitempty"`
	Journal               *journalValues     `json:"journal,omitempty"`
	UpdateStrategy        *strategyValues    `json:"updateStrategy,omitempty"`
	Affinity              map[string]any     `json:"affinity,omitempty"`
	PDB                   *pdbValues         `json:"pdb,omitempty"`
}

type licenseFileValues struct {
	SecretRef string `json:"secretRef"`
	SecretKey string `json:"secretKey"`
}

type journalValues struct {
	ExistingPvcName string `json:"existingPvcName"`
	AWS             struct {
		EFS enabledValues `json:"efs"`
	} `json:"aws"`
}

type strategyValues struct {
	RollingUpdate struct {
		MaxUnavailable int `json:"maxUnavailable"`
	} `json:"rollingUpdate"`
}

// toMap turns typed values into plain maps, with whole numbers as int.
func toMap(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding chart values: %w", err)
	}
	var out map[string]any
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("decoding chart values: %w", err)
	}
	return wholeNumbers(out).(map[string]any), nil
}

func wholeNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = wholeNumbers(x)
		}
	case []any:
		for i, x := range v {
			v[i] = wholeNumbers(x)
		}
	case float64:
		if v == float64(int(v)) {
			return int(v)
		}
	}
	return v
}

// Merge returns base with over laid on it: maps are merged, everything else,
// lists included, is replaced. Neither argument changes.
func Merge(base, over map[string]any) map[string]any {
	out := make(map[string]any, len(base)+len(over))
	for k, v := range base {
		out[k] = v
	}
	for k, v := range over {
		b, isMap := out[k].(map[string]any)
		if o, ok := v.(map[string]any); ok && isMap {
			out[k] = Merge(b, o)
			continue
		}
		out[k] = v
	}
	return out
}
