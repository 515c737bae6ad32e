package standin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const (
	typeJob   = "kubernetes:batch/v1:Job"
	typeClaim = "kubernetes:core/v1:PersistentVolumeClaim"
)

// replaceUnready is the annotation that makes the kubernetes provider replace a
// Job that failed.
const replaceUnready = "pulumi.com/replaceUnready"

// jobStatus is how a Job ends: complete at once, as nothing is run here, or
// failed where a fault says so.
func jobStatus(failed bool) value {
	condition, count := "Complete", "succeeded"
	if failed {
		condition, count = "Failed", "failed"
	}
	return resource.NewPropertyValue(map[string]any{
		count: 1, "conditions": []any{map[string]any{"type": condition, "status": "True"}},
	})
}

// jobFailed tells whether a Job's status says that it failed.
func jobFailed(out props) bool {
	conditions := bare(at(out, "status.conditions"))
	return conditions.IsArray() && slices.ContainsFunc(conditions.ArrayValue(), func(v value) bool {
		v = bare(v)
		return v.IsObject() && stringAt(v.ObjectValue(), "type") == "Failed"
	})
}

// replaceFailedJob replaces a Job that failed, where its annotation asks for it.
func replaceFailedJob(r *request, d *differ) {
	annotations := bare(at(r.news, "metadata.annotations"))
	if r.typ != typeJob || !jobFailed(r.olds) || !annotations.IsObject() ||
		!equal(annotations.ObjectValue()[replaceUnready], text("true")) {
		return
	}
	d.changes["metadata.annotations"] = change{kind: pulumirpc.PropertyDiff_UPDATE, replace: true}
}

// refuseJob says why a Job's pod would never start.
func (p *kubernetes) refuseJob(scope string, out props) error {
	name, ns := stringAt(out, "metadata.name"), stringAt(out, "metadata.namespace")
	never := func(format string, a ...any) error {
		return fmt.Errorf("job %s/%s: was active longer than its deadline: its pod never starts: %s", ns, name, fmt.Sprintf(format, a...))
	}
	find := func(typ, id string) *object { return p.cloud.objects[objectKey{Type: typ, Scope: scope, ID: id}] }
	spec := bare(at(out, "spec.template.spec"))
	if !spec.IsObject() {
		return nil
	}
	if account := stringAt(spec.ObjectValue(), "serviceAccountName"); account != "" && account != "default" &&
		find("kubernetes:core/v1:ServiceAccount", ns+"/"+account) == nil {
		return never("serviceaccount %q not found", account)
	}
	mounts := bare(spec.ObjectValue()["volumes"])
	if !mounts.IsArray() {
		return nil
	}
	for _, mount := range mounts.ArrayValue() {
		m := bare(mount)
		if !m.IsObject() {
			continue
		}
		if secret := stringAt(m.ObjectValue(), "secret.secretName"); secret != "" && find(typeK8sSecret, ns+"/"+secret) == nil {
			return never("secret %q not found", secret)
		}
		claim := stringAt(m.ObjectValue(), "persistentVolumeClaim.claimName")
		if claim == "" {
			continue
		}
		c := find(typeClaim, ns+"/"+claim)
		if c == nil {
			return never("persistentvolumeclaim %q not found", claim)
		}
		volume := find(typeVolume, stringAt(c.outputs, "spec.volumeName"))
		if volume == nil {
			continue // made on demand
		}
		handle := stringAt(volume.outputs, "spec.csi.volumeHandle")
		if reader := p.readerOf(handle); reader != "" && writes(volume) {
			return never("disk %s is attached for reading by release %s: googleapi: Error 400: RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", handle, reader)
		}
	}
	return nil
}

// writes tells whether a volume is attached for writing.
func writes(volume *object) bool {
	modes := bare(at(volume.outputs, "spec.accessModes"))
	return modes.IsArray() && slices.ContainsFunc(modes.ArrayValue(), func(v value) bool {
		v = bare(v)
		return v.IsString() && strings.HasPrefix(v.StringValue(), "ReadWrite")
	})
}

// readerOf is the release whose engines have a disk attached.
func (p *kubernetes) readerOf(handle string) string {
	for _, o := range p.cloud.ofType(typeRelease) {
		values := bare(o.inputs["values"])
		if !values.IsObject() {
			continue
		}
		for _, h := range volumes(values.ObjectValue()) {
			if h == handle {
				return o.key.ID
			}
		}
	}
	return ""
}
