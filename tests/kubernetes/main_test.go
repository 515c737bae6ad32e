// Package kubernetes tests the real Kubernetes that other tests use, and what
// this project gives to one: that the API server takes every object, and that
// pods run as the guides say.
package kubernetes

import (
	"testing"

	"github.com/deepgram-gke/deepgram-gke/internal/kubetest"
)

func TestMain(m *testing.M) { kubetest.Main(m) }
