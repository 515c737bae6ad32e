package standin

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil/rpcerror"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// backend is what the three providers differ in. Its methods are called with
// the cloud locked.
type backend interface {
	name() string
	version() string
	checkConfig(config props, out *complaints)
	configure(config props) error
	check(r *request, out *complaints) props
	diff(r *request) *pulumirpc.DiffResponse
	// create, update and remove do not touch the cloud in a preview.
	create(r *request) (id string, outputs props, err error)
	update(r *request) (outputs props, err error)
	remove(r *request) error
	// read returns false where nothing with the id exists.
	read(r *request) (id string, inputs, outputs props, found bool, err error)
	invoke(r *request) (props, error)
}

// request is one call of the engine. Which fields are set depends on the call.
type request struct {
	typ, urn, name, id string
	config             props // of the provider instance that is asked
	oldInputs, olds    props
	news               props
	ignore             []string
	preview            bool
	seed               []byte
	proposedName       string // by the engine's autonaming configuration
	nameDisabled       bool
	partial            bool // the call is to be reported as done, but not ready
}

// server speaks the provider protocol for a backend.
type server struct {
	pulumirpc.UnimplementedResourceProviderServer
	cloud   *Cloud
	backend backend

	mu        sync.Mutex
	cancelled chan struct{}
	stopped   bool
	// configs holds the configuration of each provider instance. The engine opens
	// one connection for each instance, which is the only way to tell them apart
	// when they are attached to the same port.
	configs map[string]props
	last    props
}

func newServer(c *Cloud, b backend) *server {
	return &server{cloud: c, backend: b, cancelled: make(chan struct{}), configs: map[string]props{}}
}

// cancelAll ends the calls that hang. Unless the server stops for good, the
// next engine run can hang again.
func (s *server) cancelAll(forGood bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = forGood
	close(s.cancelled)
	s.cancelled = make(chan struct{})
	if forGood {
		close(s.cancelled)
	}
}

// hit is a fault that strikes a call.
type hit struct {
	*Fault
	cancelled <-chan struct{}
}

// enter records a call. The signal of cancellation is taken first, so that a
// cancellation that a fault itself brings about is not missed.
func (s *server) enter(ctx context.Context, method string, r *request) *hit {
	s.mu.Lock()
	cancelled := s.cancelled
	s.mu.Unlock()
	if f := s.cloud.enter(ctx, s.call(method, r)); f != nil {
		return &hit{f, cancelled}
	}
	return nil
}

func connection(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}

func (s *server) config(ctx context.Context) props {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.configs[connection(ctx)]; ok {
		return c
	}
	return s.last
}

// GetPluginInfo answers a version above any SDK's, so that the engine does not
// warn about an old plugin.
func (s *server) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "99.0.0"}, nil
}

// Attach accepts any engine: nothing is called back.
func (s *server) Attach(context.Context, *pulumirpc.PluginAttach) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// GetSchema answers an empty schema.
func (s *server) GetSchema(context.Context, *pulumirpc.GetSchemaRequest) (*pulumirpc.GetSchemaResponse, error) {
	return &pulumirpc.GetSchemaResponse{Schema: fmt.Sprintf(`{"name":%q,"version":%q}`, s.backend.name(), s.backend.version())}, nil
}

// GetMapping answers that there is none.
func (s *server) GetMapping(context.Context, *pulumirpc.GetMappingRequest) (*pulumirpc.GetMappingResponse, error) {
	return &pulumirpc.GetMappingResponse{}, nil
}

// GetMappings answers that there are none.
func (s *server) GetMappings(context.Context, *pulumirpc.GetMappingsRequest) (*pulumirpc.GetMappingsResponse, error) {
	return &pulumirpc.GetMappingsResponse{}, nil
}

// Cancel ends the calls that hang.
func (s *server) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	s.cancelAll(false)
	return &emptypb.Empty{}, nil
}

// CheckConfig refuses providers of another version than the pinned one.
func (s *server) CheckConfig(_ context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	config, err := decode(req.GetNews())
	if err != nil {
		return nil, err
	}
	var out complaints
	s.checkVersion(config, true, &out)
	s.cloud.mu.Lock()
	s.backend.checkConfig(config, &out)
	s.cloud.mu.Unlock()
	return &pulumirpc.CheckResponse{Inputs: req.GetNews(), Failures: out}, nil
}

func (s *server) checkVersion(config props, required bool, out *complaints) {
	got, want := stringAt(config, "version"), s.backend.version()
	switch {
	case got == want || got == "" && !required:
	case got == "":
		out.add("version", "a %s resource or provider was registered without a version; the engine would fetch the newest provider: "+
			"register with the pinned SDK or with pulumi.Version(%q)", s.backend.name(), want)
	default:
		out.add("version", "%s provider %s was asked for; the project is pinned to %s", s.backend.name(), got, want)
	}
}

// DiffConfig never replaces a provider: that would replace all it made.
func (s *server) DiffConfig(_ context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	olds, err := decode(req.GetOldInputs())
	if err != nil {
		return nil, err
	}
	news, err := decode(req.GetNews())
	if err != nil {
		return nil, err
	}
	d := &differ{changes: map[string]change{}, ignore: req.GetIgnoreChanges()}
	d.object("", olds, news, nil, nil)
	return d.response(false), nil
}

// Configure takes the configuration of a provider instance.
func (s *server) Configure(ctx context.Context, req *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	config, err := decode(req.GetArgs())
	if err != nil {
		return nil, err
	}
	var out complaints
	if s.checkVersion(config, false, &out); len(out) > 0 {
		return nil, status.Error(codes.InvalidArgument, out[0].GetReason())
	}
	s.cloud.mu.Lock()
	err = s.backend.configure(config)
	s.cloud.mu.Unlock()
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	s.mu.Lock()
	s.configs[connection(ctx)] = config
	s.last = config
	s.mu.Unlock()
	return &pulumirpc.ConfigureResponse{
		AcceptSecrets: true, SupportsPreview: true, AcceptResources: true, AcceptOutputs: false,
		SupportsAutonamingConfiguration: true,
	}, nil
}

// Check validates inputs and fills in names and defaults.
func (s *server) Check(ctx context.Context, req *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	r := s.request(ctx, req.GetUrn(), "")
	r.seed = req.GetRandomSeed()
	if a := req.GetAutonaming(); a != nil {
		r.proposedName = a.GetProposedName()
		r.nameDisabled = a.GetMode() == pulumirpc.CheckRequest_AutonamingOptions_DISABLE
	}
	if err := r.decode(req.GetOlds(), nil, req.GetNews()); err != nil {
		return nil, err
	}
	fault := s.enter(ctx, "Check", r)
	var out complaints
	inputs, _, err := guarded(ctx, s, fault, func() (props, error) { return s.backend.check(r, &out), nil })
	if err != nil {
		return nil, status.Error(codes.Unknown, err.Error())
	}
	encoded, err := encode(inputs)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.CheckResponse{Inputs: encoded, Failures: out}, nil
}

// Diff says what changes and whether that replaces the resource.
func (s *server) Diff(ctx context.Context, req *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	r := s.request(ctx, req.GetUrn(), req.GetId())
	r.ignore = req.GetIgnoreChanges()
	if err := r.decode(req.GetOldInputs(), req.GetOlds(), req.GetNews()); err != nil {
		return nil, err
	}
	fault := s.enter(ctx, "Diff", r)
	out, _, err := guarded(ctx, s, fault, func() (*pulumirpc.DiffResponse, error) { return s.backend.diff(r), nil })
	if err != nil {
		return nil, status.Error(codes.Unknown, err.Error())
	}
	return out, nil
}

// Create makes a resource, or says in a preview what is known of it.
func (s *server) Create(ctx context.Context, req *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	r := s.request(ctx, req.GetUrn(), "")
	r.preview = req.GetPreview()
	if err := r.decode(nil, nil, req.GetProperties()); err != nil {
		return nil, err
	}
	fault := s.enter(ctx, "Create", r)
	r.partial = fault != nil && fault.Mode == FailPartial
	type made struct {
		id  string
		out props
	}
	m, after, err := guarded(ctx, s, fault, func() (made, error) {
		id, out, err := s.backend.create(r)
		if err == nil && !r.preview {
			err = s.cloud.persist()
		}
		return made{id, out}, err
	})
	if err != nil {
		return nil, status.Error(codes.Unknown, err.Error())
	}
	outputs, err := encode(m.out)
	if err != nil {
		return nil, err
	}
	if after {
		return nil, fault.reported(m.id, outputs, req.GetProperties())
	}
	return &pulumirpc.CreateResponse{Id: m.id, Properties: outputs}, nil
}

// Update changes a resource in place.
func (s *server) Update(ctx context.Context, req *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	r := s.request(ctx, req.GetUrn(), req.GetId())
	r.preview, r.ignore = req.GetPreview(), req.GetIgnoreChanges()
	if err := r.decode(req.GetOldInputs(), req.GetOlds(), req.GetNews()); err != nil {
		return nil, err
	}
	fault := s.enter(ctx, "Update", r)
	r.partial = fault != nil && fault.Mode == FailPartial
	out, after, err := guarded(ctx, s, fault, func() (props, error) {
		out, err := s.backend.update(r)
		if err == nil && !r.preview {
			err = s.cloud.persist()
		}
		return out, err
	})
	if err != nil {
		return nil, status.Error(codes.Unknown, err.Error())
	}
	outputs, err := encode(out)
	if err != nil {
		return nil, err
	}
	if after {
		return nil, fault.reported(r.id, outputs, req.GetNews())
	}
	return &pulumirpc.UpdateResponse{Properties: outputs}, nil
}

// Delete removes a resource. What is gone already is no error.
func (s *server) Delete(ctx context.Context, req *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	r := s.request(ctx, req.GetUrn(), req.GetId())
	if err := r.decode(req.GetOldInputs(), req.GetProperties(), nil); err != nil {
		return nil, err
	}
	fault := s.enter(ctx, "Delete", r)
	_, after, err := guarded(ctx, s, fault, func() (struct{}, error) {
		err := s.backend.remove(r)
		if err == nil {
			err = s.cloud.persist()
		}
		return struct{}{}, err
	})
	if err == nil && after {
		err = fault.error()
	}
	if err != nil {
		return nil, status.Error(codes.Unknown, err.Error())
	}
	return &emptypb.Empty{}, nil
}

// Read serves refresh and import.
func (s *server) Read(ctx context.Context, req *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	r := s.request(ctx, req.GetUrn(), req.GetId())
	if err := r.decode(req.GetInputs(), req.GetProperties(), nil); err != nil {
		return nil, err
	}
	fault := s.enter(ctx, "Read", r)
	type got struct {
		id      string
		in, out props
		found   bool
	}
	g, _, err := guarded(ctx, s, fault, func() (g got, err error) {
		g.id, g.in, g.out, g.found, err = s.backend.read(r)
		return g, err
	})
	if err != nil {
		return nil, status.Error(codes.Unknown, err.Error())
	}
	if !g.found {
		return &pulumirpc.ReadResponse{}, nil // an empty id says that it does not exist
	}
	in, err := encode(g.in)
	if err != nil {
		return nil, err
	}
	out, err := encode(g.out)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.ReadResponse{Id: g.id, Inputs: in, Properties: out}, nil
}

// Invoke calls a function of the provider.
func (s *server) Invoke(ctx context.Context, req *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	r := &request{typ: req.GetTok(), config: s.config(ctx)}
	if err := r.decode(nil, nil, req.GetArgs()); err != nil {
		return nil, err
	}
	fault := s.enter(ctx, "Invoke", r)
	out, _, err := guarded(ctx, s, fault, func() (props, error) { return s.backend.invoke(r) })
	if err != nil {
		return nil, status.Error(codes.Unknown, err.Error())
	}
	encoded, err := encode(out)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.InvokeResponse{Return: encoded}, nil
}

// guarded runs work with the cloud locked, unless a fault comes first. after
// says that the work was done and is to be reported as failed.
func guarded[T any](ctx context.Context, s *server, f *hit, work func() (T, error)) (out T, after bool, err error) {
	if f != nil {
		if after, err = f.strike(ctx, f.cancelled); err != nil {
			return out, false, err
		}
	}
	s.cloud.mu.Lock()
	defer s.cloud.mu.Unlock()
	out, err = work()
	return out, after, err
}

func (f *Fault) error() error { return fmt.Errorf("%s", f.Message) }

// reported is the error for what was done all the same.
func (f *Fault) reported(id string, outputs, inputs *structpb.Struct) error {
	if f.Mode == FailPartial {
		return rpcerror.WithDetails(rpcerror.New(codes.Unknown, f.Message), &pulumirpc.ErrorResourceInitFailed{
			Id: id, Properties: outputs, Inputs: inputs, Reasons: []string{f.Message},
		})
	}
	return status.Error(codes.Unknown, f.Message)
}

func (s *server) request(ctx context.Context, urn, id string) *request {
	u := resource.URN(urn)
	return &request{typ: string(u.Type()), urn: urn, name: u.Name(), id: id, config: s.config(ctx)}
}

func (s *server) call(method string, r *request) Call {
	return Call{Provider: s.backend.name(), Method: method, Type: r.typ, URN: r.urn, Name: r.name, Preview: r.preview}
}

func (r *request) decode(oldInputs, olds, news *structpb.Struct) (err error) {
	if r.oldInputs, err = decode(oldInputs); err != nil {
		return err
	}
	if r.olds, err = decode(olds); err != nil {
		return err
	}
	r.news, err = decode(news)
	return err
}

func decode(s *structpb.Struct) (props, error) {
	if s == nil {
		return props{}, nil
	}
	m, err := plugin.UnmarshalProperties(s, wire)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return m, nil
}

func encode(m props) (*structpb.Struct, error) {
	s, err := plugin.MarshalProperties(m, wire)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return s, nil
}

// autoName gives a name to what has none, as Pulumi does: the logical name and
// seven hexadecimal digits, kept from the first run on.
func (r *request) autoName(limit int) (value, error) {
	if old := bare(r.oldInputs["name"]); old.IsString() {
		return old, nil
	}
	return r.freshName(7, limit)
}

func (r *request) freshName(digits, limit int) (value, error) {
	if r.proposedName != "" {
		return text(r.proposedName), nil
	}
	if r.nameDisabled {
		return value{}, fmt.Errorf("autonaming is disabled: give a name")
	}
	name, err := resource.NewUniqueName(slices.Clone(r.seed), r.name+"-", digits, limit, nil)
	return text(name), err
}
