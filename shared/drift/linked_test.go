package drift_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/awsfake"
	"rolekeeper/shared/model"
	"rolekeeper/shared/naming"
	"rolekeeper/shared/report"
)

// known gives what slrwatch may know of the service-linked roles.
func known(at time.Time) model.ServiceLinkedRoles {
	old, changed := model.LinkedPolicy{ARN: "arn:old", Version: "v1", Document: "{}"}, model.LinkedPolicy{ARN: "arn:new", Version: "v2", Document: "{}", Before: "v1", Was: "[]", Changed: at}
	unread := old
	unread.Unread = "denied"
	role := model.ServiceLinkedRole{
		Name: "AWSServiceRoleForBedrockAgentCoreNetwork", Service: "network.bedrock-agentcore.amazonaws.com", Verdict: model.LinkedRefused, Since: at,
		Reasons: []string{"nothing needs it"}, Fix: "keep it", ARN: "arn", ID: "AROA", Created: at, LastUsed: at, LastUsedRegion: "us-east-1",
		Needs: []model.LinkedNeed{{Kind: "runtime", Name: "arn", Region: "us-east-1", Status: "READY"}}, MoreNeeds: 3, Unread: []string{"browser"},
		NeededAt: at, UnneededAt: at, IdleSince: at, LingerUntil: at, Policy: &changed, Accessed: &model.LinkedAccess{At: at, Last: at},
		Job: &model.LinkedJob{ID: "job", At: at},
		Deletion: &model.LinkedDeletion{
			RoleID: "AROA", Request: "id", At: at, Task: "task", State: model.DeletionFailed, Reason: "in use", EndedAt: at,
			Usage: []model.LinkedUsage{{Region: "us-east-1", Resources: []string{"arn"}}},
		},
	}
	same, denied := model.ServiceLinkedRole{Name: "a", Reasons: []string{}, Policy: &old}, model.ServiceLinkedRole{Name: "b", Reasons: []string{}, Policy: &unread}
	return model.ServiceLinkedRoles{
		V: 1, BegunAt: at.Add(time.Minute), LookedAt: at, WakeAt: at, Roles: []model.ServiceLinkedRole{role, same, denied},
		Regions:  []model.LinkedRegion{{Name: "us-east-1", Resources: 2, Interfaces: 1, VPCSeen: at, VPCGone: at, Unread: []string{"gateway"}}},
		Requests: []model.LinkedRequest{{ID: "id", Role: role.Name, At: at}},
	}
}

func TestAPassTellsWhatIsKnownOfServiceLinkedRoles(t *testing.T) {
	w := kept(t)
	at := w.cloud.Now().Add(-time.Hour)
	was := known(at)
	w.write(naming.LinkedKey, was)
	w.cloud.ForgetCalls()
	r := w.run("id")

	want := &report.Linked{BegunAt: was.BegunAt, LookedAt: at, Regions: was.Regions, Roles: was.Roles}
	want.Regions[0].VPCSeen, want.Regions[0].VPCGone = time.Time{}, time.Time{}
	role := &want.Roles[0]
	role.ARN, role.ID, role.Job, role.Deletion.RoleID, role.Deletion.Task = "", "", nil, "", ""
	role.NeededAt, role.UnneededAt, role.IdleSince, role.LingerUntil = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	want.Roles[1].Policy, want.Roles[2].Policy = nil, &model.LinkedPolicy{ARN: "arn:old", Unread: "denied"}
	for name, got := range map[string]*report.Linked{"given": r.Linked, "written": w.latest().Linked} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	if page := string(w.cloud.Objects(bucket, "reports/")[naming.LatestReportKey]); !strings.Contains(page, role.Name) {
		t.Error("the page does not tell")
	}
	if len(r.Findings) > 0 || len(w.sent()) > 0 {
		t.Errorf("%q %q", rows(r), w.hints())
	}
	if reads := w.reads(naming.LinkedPrefix); reads != 1 {
		t.Errorf("%d reads", reads)
	}
}

func TestAPassGoesOnWithoutWhatIsKnownOfServiceLinkedRoles(t *testing.T) {
	data, err := json.Marshal(known(time.Unix(0, 0).UTC()))
	if err != nil {
		t.Fatal(err)
	}
	whole := string(data)
	for name, c := range map[string]struct{ body, told string }{
		"there is nothing": {"", ""},
		"it is damaged":    {whole[:len(whole)-5], "is damaged"},
		"a later version":  {strings.Replace(whole, `"v":1`, `"v":2`, 1), "is damaged"},
		"it is too large":  {whole + strings.Repeat(" ", 1<<20), "has more than 1048576 bytes"},
		"it is closed":     {whole, "AccessDenied"},
		"S3 is busy":       {whole, "SlowDown"},
	} {
		t.Run(name, func(t *testing.T) {
			w := kept(t)
			w.admin().trust(runtimeRole("my_agent"), evil)
			if c.body != "" {
				w.put(naming.LinkedKey, c.body)
			}
			w.cloud.Before = func(call awsfake.Call) error {
				if call.Resource == bucket+"/"+naming.LinkedKey && call.Operation == "GetObject" && c.body == whole {
					return awsfake.APIError(c.told, "not now, request id: RQ-77")
				}
				return nil
			}
			r := w.run("id")
			if len(r.Findings) != 1 || r.Totals.Enqueued != 1 || r.Failed != "" {
				t.Errorf("%+v", r)
			}
			l := r.Linked
			if c.told == "" {
				if diff := cmp.Diff(&report.Linked{}, l); diff != "" {
					t.Error(diff)
				}
				return
			}
			if !strings.Contains(l.Unread, c.told) || !strings.Contains(l.Unread, naming.LinkedKey) || strings.Contains(l.Unread, "RQ-77") || len(l.Roles)+len(l.Regions) > 0 {
				t.Errorf("%+v", l)
			}
		})
	}
}
