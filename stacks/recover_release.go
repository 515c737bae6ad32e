package stacks

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/deepgram-gke/deepgram-gke/internal/helmrecord"
)

const releaseType = "kubernetes:helm.sh/v3:Release"

// clusterPatience is how long a cluster has to answer a question of Recover.
const clusterPatience = 20 * time.Second

// ReleaseRepair is what was found of a Helm release that was in the middle of
// something.
type ReleaseRepair struct {
	// Name is namespace/name.
	Name string `json:"name"`
	// Status is that of its last revision; empty where nothing is installed, or the
	// cluster does not answer.
	Status string `json:"status"`
	// Repaired tells that records that held it were removed.
	Repaired bool   `json:"repaired"`
	Note     string `json:"note"`
	// Commands are what a person runs where it was not.
	Commands []string `json:"commands,omitempty"`
}

// releases frees the Helm releases among the pending operations. Their lock was
// ours or is removed, so that nobody of this stack is at work on them. A cluster
// that does not answer is no reason to stop: what to run is said instead.
func (r *recovery) releases(ctx context.Context, state *apitype.DeploymentV3) {
	for _, pending := range state.PendingOperations {
		if string(pending.Resource.Type) != releaseType {
			continue
		}
		id, known := idOf(state, pending.Resource)
		if pending.Resource.ID != "" {
			id, known = string(pending.Resource.ID), true
		}
		namespace, name, split := strings.Cut(id, "/")
		if !known || !split {
			continue
		}
		r.done.Releases = append(r.done.Releases, r.release(ctx, pending.Resource, namespace, name))
	}
}

func (r *recovery) release(ctx context.Context, resource apitype.ResourceV3, namespace, name string) ReleaseRepair {
	repair := ReleaseRepair{Name: namespace + "/" + name}
	ctx, cancel := context.WithTimeout(ctx, clusterPatience)
	defer cancel()
	client, err := r.cluster(ctx, resource)
	var records []helmrecord.Record
	if err == nil {
		records, err = helmrecord.List(ctx, client, namespace, name)
	}
	if err != nil {
		repair.Note = "its cluster could not be asked: " + r.d.hide(err.Error()) + ". Where the next up says that an operation is in progress, " +
			"or that the name is in use, look at its history first"
		repair.Commands = []string{fmt.Sprintf("helm history %s -n %s", name, namespace)}
		return repair
	}
	verdict := helmrecord.Judge(namespace, name, records, true, time.Hour, time.Now())
	repair.Status, repair.Note, repair.Commands = verdict.Status, verdict.Explanation, verdict.Commands
	if len(verdict.Remove) == 0 {
		return repair
	}
	if err := helmrecord.Remove(ctx, client, namespace, verdict.Remove); err != nil {
		repair.Note += ". Removing it failed: " + r.d.hide(err.Error())
		repair.Commands = []string{fmt.Sprintf("helm history %s -n %s", name, namespace)}
		return repair
	}
	repair.Repaired = true
	return repair
}

// cluster is the cluster of a resource's provider. Its kubeconfig is a secret of
// the state, which is decrypted in memory only.
func (r *recovery) cluster(ctx context.Context, resource apitype.ResourceV3) (kubernetes.Interface, error) {
	state, err := r.decrypted(ctx)
	if err != nil {
		return nil, err
	}
	text, err := plainText(providerOf(state, resource)["kubeconfig"])
	if err != nil || text == "" {
		return nil, fmt.Errorf("the state has no kubeconfig for it")
	}
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("its kubeconfig cannot be used")
	}
	config.Timeout = clusterPatience
	return kubernetes.NewForConfig(config)
}

// decrypted is the state with its secrets in plain text. It must never be kept,
// logged or returned.
func (r *recovery) decrypted(ctx context.Context) (*apitype.DeploymentV3, error) {
	exported, err := r.stack.Export(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: the state cannot be decrypted")
	}
	state := &apitype.DeploymentV3{}
	if err := json.Unmarshal(exported.Deployment, state); err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: the state cannot be read")
	}
	return state, nil
}

// plainText is a text in a state with secrets in plain.
func plainText(value any) (string, error) {
	if secret, is := value.(map[string]any); is {
		text, _ := secret["plaintext"].(string)
		var inner string
		err := json.Unmarshal([]byte(text), &inner)
		return inner, err
	}
	text, _ := value.(string)
	return text, nil
}
