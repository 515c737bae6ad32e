// Package analyzer serves a policy pack to the Pulumi engine over the engine's
// own analyzer protocol.
//
// The SDK has a server too (policyx.Main), with which the pack works. This one
// closes its gaps: it answers before a stack is configured, so that `pulumi
// policy analyze` and `pulumi policy publish` work; settings given with
// --policy-pack-config also reach policies over the whole stack; a resource is
// read once and not once for each policy; and nothing that goes wrong in a
// policy ends the process, or hides what the others found.
//
// What belongs here: the protocol. What the rules are is not known here.
package analyzer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/policyx"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// Stack is what is known of the stack when the pack is made.
type Stack struct {
	// Config is its configuration, in plain, by "namespace:key".
	Config map[string]string
	// DryRun tells that it is a preview. It is also true where no stack is named,
	// as in an analysis of a state file.
	DryRun bool
}

// Factory makes the pack for a stack.
type Factory func(Stack) (policyx.PolicyPack, error)

// settingsKey carries a policy's settings to a policy over the stack, whose
// arguments have no place for them.
type settingsKey struct{}

// Settings are the settings that the engine gave a policy over the stack.
func Settings(ctx context.Context) map[string]any {
	s, _ := ctx.Value(settingsKey{}).(map[string]any)
	return s
}

// Main serves the pack until the engine ends it. It writes the port to out,
// which the engine reads: nothing else may be written there before.
func Main(out io.Writer, factory Factory) error {
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Init: func(s *grpc.Server) error {
			pulumirpc.RegisterAnalyzerServer(s, &server{factory: factory})
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("serving: %w", err)
	}
	if _, err := fmt.Fprintf(out, "%d\n", handle.Port); err != nil {
		return fmt.Errorf("telling the engine the port: %w", err)
	}
	return <-handle.Done
}

type server struct {
	pulumirpc.UnimplementedAnalyzerServer
	factory Factory

	mu   sync.Mutex
	made policyx.PolicyPack
	// info is kept: the engine asks for it once for each resource.
	info   *pulumirpc.AnalyzerInfo
	config map[string]policyConfig
}

type policyConfig struct {
	level    policyx.EnforcementLevel
	settings map[string]any
}

// pack is the pack of the stack, or of none where none is configured yet.
func (s *server) pack() (policyx.PolicyPack, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil {
		made, err := s.factory(Stack{DryRun: true})
		if err != nil {
			return nil, fmt.Errorf("making the policy pack: %w", err)
		}
		s.made = made
	}
	return s.made, nil
}

func (s *server) Handshake(context.Context, *pulumirpc.AnalyzerHandshakeRequest) (*pulumirpc.AnalyzerHandshakeResponse, error) {
	return &pulumirpc.AnalyzerHandshakeResponse{}, nil
}

func (s *server) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	pack, err := s.pack()
	if err != nil {
		return nil, err
	}
	return &pulumirpc.PluginInfo{Version: pack.Version().String()}, nil
}

func (s *server) ConfigureStack(
	_ context.Context, req *pulumirpc.AnalyzerStackConfigureRequest,
) (*pulumirpc.AnalyzerStackConfigureResponse, error) {
	made, err := s.factory(Stack{Config: req.GetConfig(), DryRun: req.GetDryRun()})
	if err != nil {
		return nil, fmt.Errorf("making the policy pack: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made, s.info = made, nil
	return &pulumirpc.AnalyzerStackConfigureResponse{}, nil
}

func (s *server) GetAnalyzerInfo(context.Context, *emptypb.Empty) (*pulumirpc.AnalyzerInfo, error) {
	pack, err := s.pack()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.info == nil || s.made != pack {
		if s.info, err = infoOf(pack); err != nil {
			return nil, err
		}
	}
	return s.info, nil
}

func infoOf(pack policyx.PolicyPack) (*pulumirpc.AnalyzerInfo, error) {
	info := &pulumirpc.AnalyzerInfo{Name: pack.Name(), Version: pack.Version().String(), SupportsConfig: true}
	for _, p := range pack.Policies() {
		policy := &pulumirpc.PolicyInfo{
			Name: p.Name(), Description: p.Description(), EnforcementLevel: pulumirpc.EnforcementLevel(p.EnforcementLevel()),
		}
		if schema := p.ConfigSchema(); schema != nil {
			properties := make(map[string]any, len(schema.Properties))
			for k, v := range schema.Properties {
				properties[k] = v
			}
			proto, err := structpb.NewStruct(properties)
			if err != nil {
				return nil, fmt.Errorf("schema of policy %s: %w", p.Name(), err)
			}
			policy.ConfigSchema = &pulumirpc.PolicyConfigSchema{Properties: proto, Required: schema.Required}
		}
		info.Policies = append(info.Policies, policy)
	}
	return info, nil
}

func (s *server) Configure(_ context.Context, req *pulumirpc.ConfigureAnalyzerRequest) (*emptypb.Empty, error) {
	config := map[string]policyConfig{}
	for name, c := range req.GetPolicyConfig() {
		text, err := c.GetProperties().MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("settings of policy %s: %w", name, err)
		}
		var settings map[string]any
		if err := json.Unmarshal(text, &settings); err != nil {
			return nil, fmt.Errorf("settings of policy %s: %w", name, err)
		}
		config[name] = policyConfig{policyx.EnforcementLevel(c.GetEnforcementLevel()), settings}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = config
	return &emptypb.Empty{}, nil
}

func (s *server) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// Remediate changes nothing: the pack has no remediations.
func (s *server) Remediate(context.Context, *pulumirpc.AnalyzeRequest) (*pulumirpc.RemediateResponse, error) {
	return &pulumirpc.RemediateResponse{}, nil
}

// session is one analysis.
type session struct {
	pack   policyx.PolicyPack
	config map[string]policyConfig
	found  []*pulumirpc.AnalyzeDiagnostic
}

func (s *server) begin() (*session, error) {
	pack, err := s.pack()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return &session{pack: pack, config: s.config}, nil
}

func (s *session) level(p policyx.Policy) policyx.EnforcementLevel {
	if c, ok := s.config[p.Name()]; ok {
		return c.level
	}
	return p.EnforcementLevel()
}

// run runs one policy. An error or a panic is a finding of that policy.
func (s *session) run(p policyx.Policy, urn string, validate func(policyx.PolicyManager) error) {
	level := s.level(p)
	if level == policyx.EnforcementLevelDisabled {
		return
	}
	report := manager(func(message, on string) {
		if on == "" {
			on = urn
		}
		s.add(p.Name(), p.Description(), message, on, level)
	})
	defer func() {
		if cause := recover(); cause != nil {
			report("the policy could not be judged: it ended early", urn)
		}
	}()
	if err := validate(report); err != nil {
		report("the policy could not be judged: "+err.Error(), urn)
	}
}

func (s *session) add(policy, description, message, urn string, level policyx.EnforcementLevel) {
	text := description
	if message != "" {
		text += "\n" + message
	}
	s.found = append(s.found, &pulumirpc.AnalyzeDiagnostic{
		PolicyName: policy, PolicyPackName: s.pack.Name(), PolicyPackVersion: s.pack.Version().String(),
		Description: description, Message: text, EnforcementLevel: pulumirpc.EnforcementLevel(level), Urn: urn,
	})
}

// unreadable refuses a resource whose properties the protocol cannot give.
func (s *session) unreadable(urn string, err error) {
	s.add("resource-is-readable", "A resource that cannot be read cannot be judged", err.Error(), urn, policyx.EnforcementLevelMandatory)
}

type manager func(message, urn string)

func (m manager) ReportViolation(message, urn string) { m(message, urn) }

func (s *server) Analyze(ctx context.Context, req *pulumirpc.AnalyzeRequest) (*pulumirpc.AnalyzeResponse, error) {
	session, err := s.begin()
	if err != nil {
		return nil, err
	}
	properties, err := read(req.GetProperties())
	if err != nil {
		session.unreadable(req.GetUrn(), err)
		return &pulumirpc.AnalyzeResponse{Diagnostics: session.found}, nil
	}
	on := policyx.AnalyzerResource{
		Type: req.GetType(), Name: req.GetName(), URN: req.GetUrn(), Properties: properties,
		Options: options(req.GetOptions()), Parent: req.GetOptions().GetParent(),
	}
	for _, p := range session.pack.Policies() {
		if p, ok := p.(policyx.ResourceValidationPolicy); ok {
			session.run(p, on.URN, func(m policyx.PolicyManager) error {
				return p.Validate(ctx, policyx.ResourceValidationArgs{Manager: m, Resource: on, Config: session.config[p.Name()].settings})
			})
		}
	}
	return &pulumirpc.AnalyzeResponse{Diagnostics: session.found}, nil
}

func (s *server) AnalyzeStack(ctx context.Context, req *pulumirpc.AnalyzeStackRequest) (*pulumirpc.AnalyzeResponse, error) {
	session, err := s.begin()
	if err != nil {
		return nil, err
	}
	args := policyx.StackValidationArgs{}
	for _, r := range req.GetResources() {
		properties, err := read(r.GetProperties())
		if err != nil {
			session.unreadable(r.GetUrn(), err)
			continue
		}
		args.Resources = append(args.Resources, policyx.AnalyzerResource{
			Type: r.GetType(), Name: r.GetName(), URN: r.GetUrn(), Properties: properties, Options: options(r.GetOptions()),
			Parent: r.GetParent(), Dependencies: r.GetDependencies(),
		})
	}
	for _, p := range session.pack.Policies() {
		if p, ok := p.(policyx.StackValidationPolicy); ok {
			session.run(p, "", func(m policyx.PolicyManager) error {
				mine := args
				mine.Manager = m
				return p.Validate(context.WithValue(ctx, settingsKey{}, session.config[p.Name()].settings), mine)
			})
		}
	}
	return &pulumirpc.AnalyzeResponse{Diagnostics: session.found}, nil
}

func read(properties *structpb.Struct) (m property.Map, err error) {
	defer func() {
		if recover() != nil {
			// What was read may be a secret: it is not shown.
			err = errors.New("its properties are of a form that cannot be read")
		}
	}()
	all, err := plugin.UnmarshalProperties(properties, plugin.MarshalOptions{
		Label: "analyze", KeepUnknowns: true, KeepSecrets: true, KeepResources: true, KeepOutputValues: true,
	})
	if err != nil {
		return property.Map{}, errors.New("its properties are of a form that cannot be read")
	}
	return resource.FromResourcePropertyMap(all), nil
}

func options(o *pulumirpc.AnalyzerResourceOptions) pulumi.ResourceOptions {
	return pulumi.ResourceOptions{
		Protect: o.GetProtect(), IgnoreChanges: o.GetIgnoreChanges(), AdditionalSecretOutputs: o.GetAdditionalSecretOutputs(),
		DeleteBeforeReplace: o.GetDeleteBeforeReplace(),
	}
}
