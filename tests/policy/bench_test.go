package policy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/emptypb"
)

// benchResources is the size of the stack that is previewed.
const benchResources = 500

// many is a stack of 500 resources, of which a fifth are node pools.
func many(machine string) func(*pulumi.Context) error {
	return func(ctx *pulumi.Context) error {
		for i := range benchResources {
			var err error
			name := fmt.Sprintf("r%03d", i)
			switch i % 5 {
			case 0:
				_, err = register(ctx, "gcp:container/nodePool:NodePool", name, pulumi.Map{
					"cluster": pulumi.String("theirs"), "location": pulumi.String("us-central1-a"), "nodeCount": pulumi.Int(1),
					"nodeConfig": pulumi.Map{
						"machineType": pulumi.String(machine), "imageType": pulumi.String("COS_CONTAINERD"), "diskSizeGb": pulumi.Int(100),
						"serviceAccount": pulumi.String("nodes@p.iam.gserviceaccount.com"),
						"labels":         pulumi.StringMap{"k8s.deepgram.com/node-type": pulumi.String("engine")},
					},
				})
			case 1:
				_, err = register(ctx, "gcp:compute/disk:Disk", name, pulumi.Map{"zone": pulumi.String("us-central1-a"), "size": pulumi.Int(200)})
			case 2:
				_, err = register(ctx, "gcp:serviceaccount/account:Account", name, pulumi.Map{"accountId": pulumi.String("account-" + name)})
			case 3:
				_, err = register(ctx, "gcp:compute/address:Address", name, pulumi.Map{"region": pulumi.String("us-central1")})
			default:
				_, err = register(ctx, "gcp:projects/service:Service", name, pulumi.Map{"service": pulumi.String(name + ".googleapis.com")})
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// nodePack installs the Node pack into a folder of its own and puts the
// analyzer programs on a PATH; the benchmark is skipped where that cannot be.
func nodePack(b *testing.B) (folder, path string) {
	b.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			b.Skipf("the comparison needs %s: %v", program, err)
		}
	}
	folder, bin := b.TempDir(), b.TempDir()
	for _, name := range []string{"package.json", "PulumiPolicy.yaml", "index.js"} {
		text, err := os.ReadFile(filepath.Join("node", name))
		require.NoError(b, err)
		require.NoError(b, os.WriteFile(filepath.Join(folder, name), text, 0o600))
	}
	install := exec.CommandContext(b.Context(), "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = folder
	if out, err := install.CombinedOutput(); err != nil {
		b.Skipf("npm install: %v\n%s", err, out)
	}
	script := fmt.Sprintf("#!/bin/sh\nexec node %s/node_modules/@pulumi/pulumi/cmd/run-policy-pack \"$@\"\n", folder)
	for _, name := range []string{"pulumi-analyzer-policy", "pulumi-analyzer-policy-nodejs"} {
		require.NoError(b, os.WriteFile(filepath.Join(bin, name), []byte(script), 0o700))
	}
	return folder, bin + string(os.PathListSeparator) + os.Getenv("PATH")
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// samePack is a Go pack with the rules that the Node pack has, or with only one.
func samePack(b *testing.B, only string) string {
	b.Helper()
	same := filepath.Join(b.TempDir(), "same-rules")
	build := exec.CommandContext(b.Context(), "go", "build", "-ldflags", "-X main.only="+only, "-o", same, "./samerules")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(b, err, string(out))
	return same
}

// BenchmarkPreview previews 500 resources without a pack, with the hardware
// rules as a Go pack, with the same rules as a Node pack, and with this pack,
// which has five times as many rules. The metrics are medians in milliseconds;
// added is what a pack adds to the preview. A Go pack of one rule shows how much
// of that the engine itself takes for any pack: two calls for each resource, and
// the events about them.
func BenchmarkPreview(b *testing.B) {
	folder, path := nodePack(b)
	w := newWorld(b, many("g2-standard-12"), "PATH", path)
	const rounds = 3
	same, one := samePack(b, ""), samePack(b, "engine-gpu-is-present")
	times := map[string][]time.Duration{}
	for b.Loop() {
		// The ways take turns, so that a busy machine is busy for all of them.
		for range rounds {
			for name, p := range map[string]string{"none": "", "one": one, "same": same, "node": folder, "all": pack} {
				began := time.Now()
				_, err := w.previewWith(b, p)
				require.NoError(b, err, name)
				times[name] = append(times[name], time.Since(began))
			}
		}
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	none, oneRule, goPack, node, all := median(times["none"]), median(times["one"]), median(times["same"]), median(times["node"]), median(times["all"])
	b.ReportMetric(ms(none), "ms-none")
	b.ReportMetric(ms(oneRule-none), "ms-added-one-rule")
	b.ReportMetric(ms(goPack-none), "ms-added-go")
	b.ReportMetric(ms(node-none), "ms-added-node")
	b.ReportMetric(ms(all-none), "ms-added-all-rules")
	b.ReportMetric(float64(goPack-none)/float64(node-none), "go/node")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPacksAgree keeps the comparison honest: both packs refuse the
// same stack. It runs where the benchmark can.
func BenchmarkPacksAgree(b *testing.B) {
	folder, path := nodePack(b)
	w := newWorld(b, foreign(pulumi.String("g2-standard-4")), "PATH", path)
	for b.Loop() {
		for _, p := range []string{pack, folder} {
			found, err := w.previewWith(b, p)
			require.Error(b, err)
			require.Equal(b, []string{"engine-node-has-memory"}, policies(found, "mandatory"), p)
		}
	}
}

// BenchmarkStart is the time from the start of the pack to its port.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		cmd := exec.CommandContext(ctx, pack)
		out, err := cmd.StdoutPipe()
		require.NoError(b, err)
		require.NoError(b, cmd.Start())
		_, err = bufio.NewReader(out).ReadString('\n')
		require.NoError(b, err)
		cancel()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}
}

// BenchmarkAnalyze is the time of one answer about one node pool.
func BenchmarkAnalyze(b *testing.B) {
	client := started(b)
	_, err := client.GetAnalyzerInfo(b.Context(), &emptypb.Empty{})
	require.NoError(b, err)
	in := poolOf("g2-standard-12")
	for b.Loop() {
		if found := analyze(b, client, in); len(found) > 0 && strings.Contains(found[0].GetMessage(), "needed") {
			b.Fatal(found)
		}
	}
}
