package stacks

import (
	"encoding/json"
	"time"

	"github.com/deepgram-gke/deepgram-gke/config"
	"github.com/deepgram-gke/deepgram-gke/internal/report"
	"github.com/deepgram-gke/deepgram-gke/policy/rules"
)

// JudgePlan asks the policies that judge a plan: what a preview would replace or
// delete although it holds models, journals or the cluster, and disks that would
// shrink. The engine shows no policy pack its plan, so whoever previews asks here.
// An acknowledgement is an exemption of the configuration that names the URN. The
// disk of a model set that was retired, day and all, needs none.
func JudgePlan(cfg *config.Config, resources []report.Resource) []report.Violation {
	get := func(key string) (string, bool) {
		var value any
		switch key {
		case config.Namespace + ":policy":
			value = cfg.Policy
		case config.Namespace + ":environment":
			value = cfg.Environment
		default:
			return "", false
		}
		text, err := json.Marshal(value)
		return string(text), err == nil
	}
	var found []report.Violation
	for _, v := range rules.JudgePlan(steps(resources), rules.FromStack(get), time.Now()) {
		found = append(found, report.Violation{Policy: v.Policy, Level: string(v.Level), URN: v.URN, Message: v.Message})
	}
	return found
}

// steps are a plan as the policies judge it.
func steps(resources []report.Resource) []rules.Operation {
	parents := make(map[string]report.Resource, len(resources))
	for _, r := range resources {
		parents[r.URN] = r
	}
	list := make([]rules.Operation, 0, len(resources))
	for _, r := range resources {
		if r.Op == "delete" && parents[r.Parent].Old["retired"] == true {
			continue
		}
		list = append(list, rules.Operation{
			Op: r.Op, URN: r.URN, Type: r.Type, Name: r.Name, Because: r.Replaces,
			OldSizeGB: number(r.Old["size"]), NewSizeGB: number(r.New["size"]),
		})
	}
	return list
}

// number is a figure among a resource's inputs; 0 where it is not known.
func number(value any) float64 {
	n, _ := value.(float64)
	return n
}
