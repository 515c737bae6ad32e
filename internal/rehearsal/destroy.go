package rehearsal

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/deepgram-gke/deepgram-gke/internal/engine"
)

// clusterType has a protection of its own in the cloud, besides Pulumi's.
const clusterType = "gcp:container/cluster:Cluster"

// Destroy lifts every protection in the rehearsal's own state, destroys, and
// looks whether the pretended world is empty but for what is kept on purpose.
func (s *Session) Destroy(ctx context.Context) error {
	s.result.Retained = retained(s.result.Resources)
	if err := s.liftProtection(ctx); err != nil {
		return fmt.Errorf("lifting protection in the rehearsal's state: %s", s.redact(err.Error()))
	}
	if _, err := s.step(ctx, StepDestroy, s.destroy); err != nil {
		return err
	}
	if left := s.leftovers(); len(left) > 0 {
		return &engine.ChangesError{Where: "destroy left behind what nothing asks to be kept", What: left}
	}
	return nil
}

// liftProtection does in a throw-away state what people do in two steps: it
// clears Pulumi's protection, and the cluster's deletion protection in the state
// and in the pretended cloud.
func (s *Session) liftProtection(ctx context.Context) error {
	state, err := s.stack.Export(ctx)
	if err != nil {
		return err
	}
	var deployment apitype.DeploymentV3
	if err := json.Unmarshal(state.Deployment, &deployment); err != nil {
		return err
	}
	for i := range deployment.Resources {
		saved := &deployment.Resources[i]
		saved.Protect = false
		if string(saved.Type) != clusterType {
			continue
		}
		saved.Inputs["deletionProtection"] = false
		saved.Outputs["deletionProtection"] = false
		err := s.Cloud.Mutate(string(saved.ID), func(outputs resource.PropertyMap) {
			outputs["deletionProtection"] = resource.NewProperty(false)
		})
		if err != nil {
			return err
		}
	}
	if state.Deployment, err = json.Marshal(deployment); err != nil {
		return err
	}
	return s.stack.Import(ctx, state)
}

// leftovers are the objects of the pretended world that this program made and
// that are not kept on purpose.
func (s *Session) leftovers() []string {
	kept := map[string]bool{}
	for _, r := range s.result.Resources {
		if r.retain {
			kept[r.URN] = true
		}
	}
	var left []string
	for _, object := range s.Cloud.Objects() {
		if object.CreatedBy != "" && !kept[object.CreatedBy] {
			left = append(left, object.Type+" "+object.CloudName+" ("+object.ID+")")
		}
	}
	sort.Strings(left)
	return left
}
