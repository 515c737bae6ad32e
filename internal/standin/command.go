package standin

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// command stands in for the command provider. It never runs anything: it
// records what would have been run.
type command struct{ cloud *Cloud }

const (
	typeLocalCommand  = "command:local:Command"
	typeRemoteCommand = "command:remote:Command"
)

var commandFacts = func() map[string]*facts {
	s := func() *fact { return &fact{kind: "string"} }
	fields := func() map[string]*fact {
		return map[string]*fact{
			"addPreviousOutputInEnv": {kind: "bool"},
			"create":                 s(), "delete": s(), "update": s(), "logging": s(), "stdin": s(),
			"environment": {kind: "map", elem: s()},
			"triggers":    {kind: "list", replace: true, elem: &fact{kind: "any"}},
			"stdout":      {kind: "string", outputOnly: true},
			"stderr":      {kind: "string", outputOnly: true},
		}
	}
	local, remote := fields(), fields()
	local["dir"] = s()
	for _, n := range []string{"archivePaths", "assetPaths", "interpreter"} {
		local[n] = &fact{kind: "list", elem: s()}
	}
	// Connections are long and all of them optional but the host; the real
	// provider checks them when it dials.
	remote["connection"] = &fact{kind: "any", required: true, secret: true}
	return map[string]*facts{typeLocalCommand: {fields: local}, typeRemoteCommand: {fields: remote}}
}()

func (p *command) name() string    { return "command" }
func (p *command) version() string { return CommandVersion }

func (p *command) checkConfig(props, *complaints) {}
func (p *command) configure(props) error          { return nil }

func (p *command) check(r *request, out *complaints) props {
	f, ok := commandFacts[r.typ]
	if !ok {
		out.add("", "the stand-in for the command provider does not know %s", r.typ)
		return r.news
	}
	f.object().check("", resource.NewProperty(r.news), out)
	return r.news
}

func (p *command) diff(r *request) *pulumirpc.DiffResponse {
	d := &differ{changes: map[string]change{}, ignore: r.ignore}
	d.object("", r.oldInputs, r.news, nil, commandFacts[r.typ].fields)
	return d.response(false)
}

func (p *command) create(r *request) (string, props, error) {
	out := r.news.Copy()
	if r.preview {
		out["stdout"], out["stderr"] = unknown(), unknown()
		return "", out, nil
	}
	out["stdout"], out["stderr"] = text(""), text("")
	id := fmt.Sprintf("%s%06d", resource.URN(r.urn).Name(), p.cloud.sequence+1)
	p.cloud.put(&object{
		key: objectKey{Type: r.typ, ID: id}, provider: p.name(), inputs: r.news, outputs: out, createdBy: r.urn,
	})
	return id, out, nil
}

func (p *command) update(r *request) (props, error) {
	out := r.news.Copy()
	out["stdout"], out["stderr"] = text(""), text("")
	if r.preview {
		if !absent(r.news["update"]) || !absent(r.news["create"]) {
			out["stdout"], out["stderr"] = unknown(), unknown()
		}
		return out, nil
	}
	p.cloud.put(&object{
		key: objectKey{Type: r.typ, ID: r.id}, provider: p.name(), inputs: r.news, outputs: out, createdBy: r.urn,
	})
	return out, nil
}

func (p *command) remove(r *request) error {
	delete(p.cloud.objects, objectKey{Type: r.typ, ID: r.id})
	return nil
}

// read keeps the state: a command leaves nothing behind that could be read.
func (p *command) read(r *request) (string, props, props, bool, error) {
	return r.id, r.oldInputs, r.olds, true, nil
}

func (p *command) invoke(r *request) (props, error) {
	return nil, fmt.Errorf("invoke %s: the stand-in runs no commands", r.typ)
}
