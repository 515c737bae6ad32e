package helmrecord

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func records(age time.Duration, statuses ...string) (list []Record) {
	for i, status := range statuses {
		list = append(list, Record{Revision: i + 1, Status: status, Modified: now.Add(-age)})
	}
	return list
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		records  []Record
		ours     bool
		stuck    bool
		remove   []int
		says     string
		commands bool
	}{
		"nothing":                   {says: "next up installs it"},
		"deployed":                  {records: records(0, "superseded", "deployed"), says: "revision 2 is deployed"},
		"failed upgrade":            {records: records(0, "deployed", "failed"), says: "tries again from there"},
		"first, ours":               {records: records(0, "pending-install"), ours: true, stuck: true, remove: []int{1}, says: "installs it again"},
		"first, somebody's":         {records: records(time.Minute, "pending-install"), stuck: true, says: "may be under way", commands: true},
		"first, old":                {records: records(2*time.Hour, "pending-install"), stuck: true, remove: []int{1}, says: "installs it again"},
		"first failed twice":        {records: records(0, "failed", "failed"), ours: true, stuck: true, remove: []int{1, 2}, says: "installs it again"},
		"upgrade, ours":             {records: records(0, "superseded", "deployed", "pending-upgrade"), ours: true, stuck: true, remove: []int{3}, says: "goes on from"},
		"upgrade, somebody's":       {records: records(time.Minute, "deployed", "pending-upgrade"), stuck: true, says: "it has 1h0m0s", commands: true},
		"rollback, ours":            {records: records(0, "deployed", "failed", "pending-rollback"), ours: true, stuck: true, remove: []int{3}, says: "goes on from"},
		"upgrade, nothing deployed": {records: records(0, "superseded", "pending-upgrade"), ours: true, stuck: true, says: "choose", commands: true},
		"uninstalling":              {records: records(0, "uninstalling"), ours: true, says: "removal had begun", commands: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := Judge("dg", "deepgram", test.records, test.ours, time.Hour, now)
			require.Equal(t, test.stuck, v.Stuck)
			var remove []int
			for _, r := range v.Remove {
				remove = append(remove, r.Revision)
			}
			require.Equal(t, test.remove, remove)
			require.Contains(t, v.Explanation, test.says)
			require.Equal(t, test.commands, len(v.Commands) > 0, "%v", v.Commands)
		})
	}
}

func TestListAndRemove(t *testing.T) {
	t.Parallel()
	secret := func(revision int, release, status string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: "dg", Name: fmt.Sprintf("sh.helm.release.v1.%s.v%d", release, revision),
			Labels: map[string]string{
				"owner": "helm", "name": release, "status": status, "version": strconv.Itoa(revision),
				"modifiedAt": strconv.FormatInt(now.Unix(), 10),
			},
		}}
	}
	client := fake.NewClientset(secret(10, "deepgram", "pending-upgrade"), secret(9, "deepgram", "deployed"), secret(1, "other", "pending-install"))
	list, err := List(t.Context(), client, "dg", "deepgram")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, 10, list[1].Revision, "ordered by number, not by name")
	require.Equal(t, now.Unix(), list[1].Modified.Unix())

	v := Judge("dg", "deepgram", list, true, time.Hour, now)
	require.NoError(t, Remove(t.Context(), client, "dg", v.Remove))
	list, err = List(t.Context(), client, "dg", "deepgram")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "deployed", list[0].Status)
	others, err := List(t.Context(), client, "dg", "other")
	require.NoError(t, err)
	require.Len(t, others, 1, "another release's records are not ours to touch")
}
