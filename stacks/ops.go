package stacks

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/deepgram-gke/deepgram-gke/components"
	"github.com/deepgram-gke/deepgram-gke/internal/version"
)

// opsName is the program of day-2 work, and the image of the same name.
const opsName = "deepgram-ops"

// opsProgram is the deepgram-ops beside this program, which is of the same
// version; empty where there is none, and the one on PATH is used.
func opsProgram() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	return besides(self, opsName+filepath.Ext(self))
}

// opsBinary is what is published as an image: on Linux the program itself;
// elsewhere one built for Linux that lies beside it.
func opsBinary(program string) string {
	if program == "" || runtime.GOOS == "linux" {
		return ""
	}
	return besides(program, opsName+"-linux-amd64")
}

// besides is the file of that name in the folder of path, if it is there.
func besides(path, name string) string {
	file := filepath.Join(filepath.Dir(path), name)
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return file
}

// opsTag is the tag of the published image: the version. While developing every
// build has its own, or nodes would keep an older one.
func opsTag(program string) string {
	if version.Version != version.Development || program == "" {
		return version.Version
	}
	if binary := opsBinary(program); binary != "" {
		program = binary
	}
	digest, err := fileDigest(program)
	if err != nil {
		return version.Version
	}
	return version.Version + "-" + digest[:8]
}

// fileDigest is the SHA-256 of a file in hex.
func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// mirror says what is copied into the registry.
func (b *builder) mirror() (*components.Mirror, error) {
	c := b.cfg
	program := opsProgram()
	m := &components.Mirror{
		Release: c.Release.Tag, ChartVersion: c.Release.ChartVersion,
		LicenseProxy: c.LicenseProxy.Enabled, Billing: c.Billing.Enabled,
		Monitoring: c.Monitoring.Mode == "bundled" && (c.Scaling.Auto || c.Billing.Enabled),
		Program:    program, Lock: c.Registry.Lock,
	}
	if m.Lock != "" {
		var err error
		if m.LockDigest, err = fileDigest(m.Lock); err != nil {
			return nil, err
		}
	}
	if c.Registry.OpsImage == "" && b.needsOpsImage() {
		m.OpsTag, m.OpsBinary = opsTag(program), opsBinary(program)
	}
	return m, nil
}

// needsOpsImage tells whether jobs of the stack run deepgram-ops.
func (b *builder) needsOpsImage() bool {
	for _, set := range b.cfg.Models.ModelSets() {
		if len(set.Files) > 0 {
			return true
		}
	}
	return b.cfg.Billing.Enabled
}

// warnOfPostRenderer says in time what helm would say after the cluster was made:
// it looks for the post-renderer on PATH.
func (b *builder) warnOfPostRenderer(release *components.DeepgramReleaseArgs) error {
	name := release.PostRenderer()
	if name == "" {
		return nil
	}
	if _, err := exec.LookPath(name); err == nil {
		return nil
	}
	// A Deployer puts the folder of its program on the path that helm looks on.
	if self, err := os.Executable(); b.deployed && err == nil && besides(self, name+filepath.Ext(self)) != "" {
		return nil
	}
	return b.ctx.Log.Warn(name+" is not on PATH, where helm looks for it: the release would fail. It is deepgram-ops under "+
		"another name, and lies beside it in bin/ after `make build`: put that folder on PATH before `pulumi up`.", nil)
}
