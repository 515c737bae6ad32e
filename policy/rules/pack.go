package rules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
)

// PackName is the pack's name.
const PackName = "deepgram"

// Options are what a pack is made from.
type Options struct {
	// Version is the pack's version. Required.
	Version semver.Version
	// Config is what the stack says about policies; see FromStack.
	Config Config
	// DryRun tells that it is a preview: unknown values are notes, not violations.
	DryRun bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Only restricts the pack to the rules named; empty has all. Mistakes in the
	// configuration are then not looked for.
	Only []string
	// Settings finds the settings that the engine gave a policy over the stack;
	// nil where the server has no way to pass them.
	Settings func(context.Context) map[string]any
}

// New is the pack with all rules. Mistakes in the configuration are no error,
// but a violation of policy-configuration-is-valid, so that the stack's other
// findings are seen too.
func New(o Options) (policyx.PolicyPack, error) {
	run := newRunner(o)
	var policies []policyx.Policy
	for i := range catalogue {
		if catalogue[i].Plan == nil && (len(o.Only) == 0 || slices.Contains(o.Only, catalogue[i].Name)) {
			policies = append(policies, run.policy(&catalogue[i]))
		}
	}
	// The engine does not read the pack's own level: each policy carries one.
	return policyx.NewPolicyPack(PackName, o.Version, policyx.EnforcementLevelMandatory, policies)
}

// FromContext is the pack for the stack that the engine is at work on.
func FromContext(ctx *pulumi.Context, version semver.Version) (policyx.PolicyPack, error) {
	return New(Options{Version: version, Config: FromStack(ctx.GetConfig), DryRun: ctx.DryRun()})
}

// Rules are all rules, in the order of their groups.
func Rules() []Rule { return slices.Clone(catalogue) }

// catalogue is set in the end of initialisation: rules refer to their readers.
var catalogue = slices.Concat(
	gpuRules, nodeRules, podRules, zoneRules, releaseRules, scalingRules, networkRules,
	identityRules, protectionRules, billingRules,
	// The last ones report what the others noted.
	metaRules,
)

// runner is what the rules of one operation share.
type runner struct {
	now        func() time.Time
	dryRun     bool
	production bool
	config     Config
	problems   []string
	exemptions *exemptions
	notes      notes
	settings   func(context.Context) map[string]any
	gone       sync.Map // URNs of components whose disk may be removed
}

// retired and isRetired remember components whose disk's day of removal has
// come. A component registers before its children.
func (r *runner) retired(urn string) { r.gone.Store(urn, true) }

func (r *runner) isRetired(urn string) bool { _, ok := r.gone.Load(urn); return ok }

func newRunner(o Options) *runner {
	r := &runner{now: o.Now, dryRun: o.DryRun, production: o.Config.Production, config: o.Config, settings: o.Settings}
	if r.now == nil {
		r.now = time.Now
	}
	r.exemptions = newExemptions(o.Config.Exemptions, r.now())
	for _, e := range r.exemptions.list {
		rule := find(e.Policy)
		e.acknowledges = rule != nil && rule.Plan != nil
	}
	r.problems = slices.Concat(o.Config.problems, r.checkConfig())
	return r
}

func (r *runner) policy(rule *Rule) policyx.Policy {
	schema := rule.schema(r.config.Settings[rule.Name])
	description := fmt.Sprintf("%s (guide %s)", rule.Summary, rule.Step)
	level := r.level(rule).policyx()
	if rule.Stack != nil {
		return policyx.NewStackValidationPolicy(rule.Name, policyx.StackValidationPolicyArgs{
			Description: description, EnforcementLevel: level, ConfigSchema: schema,
			ValidateStack: func(ctx context.Context, args policyx.StackValidationArgs) error {
				var pack map[string]any
				if r.settings != nil {
					pack = r.settings(ctx)
				}
				j := &Judge{
					rule: rule, run: r, settings: rule.values(r.config.Settings[rule.Name], pack),
					report: args.Manager.ReportViolation,
				}
				for _, a := range args.Resources {
					j.Resources = append(j.Resources, resource(a))
				}
				j.guard(stackOf(j.Resources), func() { rule.Stack(j) })
				return nil
			},
		})
	}
	return policyx.NewResourceValidationPolicy(rule.Name, policyx.ResourceValidationPolicyArgs{
		Description: description, EnforcementLevel: level, ConfigSchema: schema,
		ValidateResource: func(_ context.Context, args policyx.ResourceValidationArgs) error {
			if !rule.judges(args.Resource.Type) {
				return nil
			}
			j := &Judge{
				rule: rule, run: r, Resource: resource(args.Resource),
				settings: rule.values(r.config.Settings[rule.Name], args.Config), report: args.Manager.ReportViolation,
			}
			j.guard(j.Resource, func() { rule.Resource(j) })
			return nil
		},
	})
}

func resource(a policyx.AnalyzerResource) Resource {
	r := Resource{Type: a.Type, Name: a.Name, URN: a.URN, Parent: a.Parent, Properties: a.Properties, Protect: a.Options.Protect}
	if r.Name == "" {
		r.Name = a.URN[strings.LastIndex(a.URN, "::")+1:]
		r.Name = strings.TrimPrefix(r.Name, ":")
	}
	return r
}

const stackType = "pulumi:pulumi:Stack"

func stackOf(all []Resource) Resource {
	for _, r := range all {
		if r.Type == stackType {
			return r
		}
	}
	return Resource{}
}

func (rule *Rule) judges(resourceType string) bool {
	for _, t := range rule.Types {
		if t == resourceType || strings.HasSuffix(t, "*") && strings.HasPrefix(resourceType, strings.TrimSuffix(t, "*")) {
			return true
		}
	}
	return false
}

// violation reports, unless an exemption covers it.
func (r *runner) violation(j *Judge, on Resource, message string) {
	covered, note := r.exemptions.covers(j.rule.Name, on)
	if covered {
		return
	}
	if note != "" {
		message += " " + note
	}
	j.report(message, on.URN)
}
