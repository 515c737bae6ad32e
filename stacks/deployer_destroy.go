package stacks

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"github.com/deepgram-gke/deepgram-gke/internal/report"
	"github.com/deepgram-gke/deepgram-gke/internal/stateful"
)

const (
	clusterType   = "gcp:container/cluster:Cluster"
	namespaceType = "kubernetes:core/v1:Namespace"
)

// DestroyOptions change a destroy.
type DestroyOptions struct {
	// Acknowledge are reasons by URN for deleting what is protected, and what
	// cannot be made again.
	Acknowledge map[string]string
	// Confirm is asked when everything is acknowledged, with what goes and what
	// stays; false ends with ErrDeclined. nil is yes.
	Confirm func(*Teardown) bool
	// Message is kept in the history of the stack.
	Message string
}

// Teardown is what a destroy would do.
type Teardown struct {
	// Deleted counts what goes, without components and providers.
	Deleted int
	// Protected are the things that nothing deletes before their protection is
	// lifted; Stateful those that cannot be made again.
	Protected, Stateful []Refusal
	// Retained are the things that are let go and stay in the cloud on purpose.
	Retained []Refusal
}

// Destroy deletes everything in the stack but what is retained on purpose, which
// Result.Retained names. It refuses with a *GateError as long as something
// protected, or something that cannot be made again, is not acknowledged. Then it
// lifts the protection of what was acknowledged, of nothing else, and deletes: the
// entrances before the services behind them, then the release, which has the time
// that pods need to drain, then namespaces, nodes and cluster, the network last.
func (d *Deployer) Destroy(ctx context.Context, o DestroyOptions) (*Result, error) {
	if err := checkAcknowledgements(o.Acknowledge); err != nil {
		return nil, err
	}
	ctx, stack, leave, err := d.enter(ctx, toChange)
	if err != nil {
		return nil, err
	}
	defer leave()
	state, err := d.settledState(ctx)
	if err != nil {
		return nil, err
	}
	down := teardown(state)
	if refused := notAcknowledged(down, o.Acknowledge); len(refused) > 0 {
		return nil, &GateError{Operation: "destroy", Refused: refused}
	}
	if o.Confirm != nil && !o.Confirm(down) {
		return nil, ErrDeclined
	}
	if err := d.unprotect(ctx, o.Acknowledge); err != nil {
		return nil, err
	}
	result, err := d.run(ctx, "destroy", len(state.Resources), func(ctx context.Context, channel chan<- events.EngineEvent) error {
		options := []optdestroy.Option{
			optdestroy.EventStreams(channel), optdestroy.SuppressOutputs(), optdestroy.ShowSecrets(false),
		}
		if o.Message != "" {
			options = append(options, optdestroy.Message(o.Message))
		}
		_, err := stack.Destroy(ctx, options...)
		return err
	})
	for _, r := range down.Retained {
		result.Retained = append(result.Retained, r.Why)
	}
	explainNamespace(result, err)
	d.ended(result, err)
	return result, err
}

// Teardown tells what Destroy would do, and changes nothing.
func (d *Deployer) Teardown(ctx context.Context) (*Teardown, error) {
	ctx, _, leave, err := d.enter(ctx, toRead)
	if err != nil {
		return nil, err
	}
	defer leave()
	state, err := d.state(ctx)
	if err != nil {
		return nil, err
	}
	return teardown(state), nil
}

func teardown(state *apitype.DeploymentV3) *Teardown {
	down := &Teardown{}
	for _, r := range state.Resources {
		if !r.Custom || strings.HasPrefix(string(r.Type), "pulumi:") {
			continue
		}
		thing := Refusal{URN: string(r.URN), Type: string(r.Type), Name: r.URN.Name()}
		with := func(why string) Refusal { t := thing; t.Why = why; return t }
		locked := deletionProtected(&r)
		switch {
		case r.RetainOnDelete:
			down.Retained = append(down.Retained, with(fmt.Sprintf("%s %s (%s)", r.Type, thing.Name, r.ID)))
		default:
			down.Deleted++
		}
		switch {
		case r.Protect && r.RetainOnDelete:
			down.Protected = append(down.Protected, with("it is protected; it leaves the stack and stays in the cloud"))
		case r.Protect && locked:
			down.Protected = append(down.Protected, with("it is protected, by Pulumi and by deletionProtection; it is deleted"))
		case locked:
			down.Protected = append(down.Protected, with("deletionProtection protects it; it is deleted"))
		case r.Protect:
			down.Protected = append(down.Protected, with("it is protected; it is deleted"))
		case !r.RetainOnDelete && stateful.Is(string(r.Type), thing.Name):
			down.Stateful = append(down.Stateful, with("it is deleted, with everything on it"))
		}
	}
	return down
}

func notAcknowledged(down *Teardown, acknowledged map[string]string) (refused []Refusal) {
	for _, r := range slices.Concat(down.Protected, down.Stateful) {
		if acknowledged[r.URN] == "" {
			refused = append(refused, r)
		}
	}
	slices.SortFunc(refused, func(a, b Refusal) int { return strings.Compare(a.URN, b.URN) })
	return refused
}

// deletionProtected tells whether a cluster has deletionProtection. The provider
// keeps that in the state alone, the cloud does not know it.
func deletionProtected(r *apitype.ResourceV3) bool {
	return string(r.Type) == clusterType && r.Outputs["deletionProtection"] == true
}

func protectDeletion(r *apitype.ResourceV3, protected bool) {
	r.Inputs["deletionProtection"], r.Outputs["deletionProtection"] = protected, protected
}

// unprotect lifts the protection of what was acknowledged, in the state. For a
// cluster that includes deletionProtection.
func (d *Deployer) unprotect(ctx context.Context, acknowledged map[string]string) error {
	err := d.changeState(ctx, func(state *apitype.DeploymentV3) (changed bool) {
		for i := range state.Resources {
			r := &state.Resources[i]
			if acknowledged[string(r.URN)] == "" {
				continue
			}
			changed = changed || r.Protect
			r.Protect = false
			if deletionProtected(r) {
				protectDeletion(r, false)
				changed = true
			}
		}
		return changed
	})
	if err != nil {
		return fmt.Errorf("lifting protection: %w", err)
	}
	return nil
}

// explainNamespace says what holds a namespace that would not go.
func explainNamespace(result *Result, err error) {
	if err == nil {
		return
	}
	for _, r := range result.Resources {
		if r.Type == namespaceType && r.Op == "delete" && r.State == report.Failed {
			result.Warnings = append(result.Warnings, Diagnostic{Severity: "warning", URN: r.URN, Message: stuckNamespace(shown(r))})
		}
	}
}

func stuckNamespace(name string) string {
	return fmt.Sprintf("namespace %[1]s would not go: something in it has a finalizer whose controller is gone or waits. "+
		"See what is left:\n"+
		"  kubectl get namespace %[1]s -o jsonpath='{.status.conditions}'\n"+
		"  kubectl api-resources --verbs=list --namespaced -o name | xargs -n1 kubectl get -n %[1]s --ignore-not-found\n"+
		"Pods may still drain (up to 30 minutes): wait, and run destroy again. An Ingress or ManagedCertificate waits for GKE's "+
		"controller: while the cluster runs it needs minutes, and without the cluster it never ends. A volume claim waits for its pods.", name)
}
