//go:build !linux

package kubetest

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// unable says why this process cannot have a real node.
var unable = "Linux"

const cniPlugins = ""

var errSystem = errors.New("kubetest needs Linux")

// Main runs the tests; only on Linux there is more to do.
func Main(m *testing.M) { os.Exit(m.Run()) } //nolint:forbidigo // a TestMain is a main

func ip(string) error { return errSystem }

func bind(string, string) error { return errSystem }

func bound() *syscall.SysProcAttr { return nil }
