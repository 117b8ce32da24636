package model_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rolekeeper/shared/model"
)

const (
	goodLinked = `{
  "v": 1, "begunAt": "2026-11-22T12:00:00Z", "lookedAt": "2026-11-22T12:00:00Z", "wakeAt": "2026-11-22T12:15:00Z",
  "regions": [{"name": "us-east-1", "resources": 3, "interfaces": 1, "vpcSeen": "2026-11-22T12:00:00Z", "vpcGone": "2026-11-22T12:00:00Z", "unread": ["browser of us-east-1: denied"]}],
  "roles": [{
    "name": "AWSServiceRoleForBedrockAgentCoreNetwork", "service": "network.bedrock-agentcore.amazonaws.com",
    "verdict": "refused", "since": "2026-11-22T12:00:00Z", "reasons": ["AWS did not delete it"], "fix": "keep it",
    "arn": "arn:role", "id": "AROA1", "created": "2026-01-01T00:00:00Z", "lastUsed": "2026-11-01T00:00:00Z", "lastUsedRegion": "us-east-1",
    "needs": [{"kind": "runtime", "name": "arn:runtime", "region": "us-east-1", "status": "READY"}], "moreNeeds": 2, "unread": ["x"],
    "neededAt": "2026-11-20T12:00:00Z", "unneededAt": "2026-11-21T12:00:00Z", "idleSince": "2026-11-20T12:00:00Z", "lingerUntil": "2026-11-20T20:00:00Z",
    "policy": {"arn": "arn:policy", "version": "v2", "document": "{}", "changed": "2026-11-20T12:00:00Z", "before": "v1", "was": "{}", "unread": "denied", "updated": "2026-11-19T12:00:00Z"},
    "accessed": {"at": "2026-11-22T11:00:00Z", "last": "2026-11-01T00:00:00Z", "region": "us-east-1", "service": "ec2", "failed": "no"},
    "job": {"id": "job", "at": "2026-11-22T12:00:00Z"},
    "deletion": {"roleId": "AROA1", "request": "r1", "at": "2026-11-22T11:00:00Z", "task": "task/1", "state": "failed", "reason": "in use",
      "usage": [{"region": "us-east-1", "resources": ["arn:runtime"]}], "endedAt": "2026-11-22T11:01:00Z"}
  }],
  "requests": [{"id": "r1", "role": "AWSServiceRoleForBedrockAgentCoreNetwork", "outcome": "refused", "message": "in use", "at": "2026-11-22T11:01:00Z"}]
}`
	goodResources = `{"v": 1, "region": "us-east-1", "all": [{"kind": "runtime", "id": "a-0123456789", "arn": "arn:runtime", "status": "READY",
  "updated": "2026-11-22T11:00:00.123Z", "version": "2", "old": true, "vpc": true, "privateEndpoint": true}]}`
)

// Nothing that is written is left out when it is read: the compact text is the same.
func TestWhatIsKnownOfServiceLinkedRolesIsReadAsItWasWritten(t *testing.T) {
	s, err := model.ParseServiceLinkedRoles([]byte(goodLinked))
	if err != nil {
		t.Fatal(err)
	}
	r, err := model.ParseResources([]byte(goodResources))
	if err != nil {
		t.Fatal(err)
	}
	for good, v := range map[string]any{goodLinked: s, goodResources: r} {
		written, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var was, is any
		if err := json.Unmarshal([]byte(good), &was); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &is); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	if one, ok := s.Role(strings.ToLower("AWSServiceRoleForBedrockAgentCoreNetwork")); !ok || one.ID != "AROA1" {
		t.Errorf("%+v", one)
	}
	if one, ok := s.Role("AWSServiceRoleForBedrockAgentCore"); ok || one.Name != "" {
		t.Errorf("%+v", one)
	}
}

// Read as nothing, the one would say that nothing needs a role, the other that
// nothing was ever asked of AWS.
func TestWhatIsDamagedIsNotReadAsNothing(t *testing.T) {
	parsers := map[string]func(string) error{
		goodLinked:    func(s string) error { _, err := model.ParseServiceLinkedRoles([]byte(s)); return err },
		goodResources: func(s string) error { _, err := model.ParseResources([]byte(s)); return err },
	}
	for good, parse := range parsers {
		readsNothingDamaged(t, good, parse)
	}
	// What failed gives nothing, not a part.
	if s, err := model.ParseServiceLinkedRoles([]byte(strings.Replace(goodLinked, `"v": 1`, `"v": 2`, 1))); err == nil || len(s.Roles) > 0 {
		t.Errorf("%+v", s)
	}
	if r, err := model.ParseResources([]byte(strings.Replace(goodResources, `"v": 1`, `"v": 2`, 1))); err == nil || len(r.All) > 0 {
		t.Errorf("%+v", r)
	}
}

func TestAPlanToDeleteAServiceLinkedRoleIsOfTheRoleAndItsLastUse(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	r := model.ServiceLinkedRole{Name: "n", ID: "AROA1", LastUsed: at}
	plan := r.DeletionPlan()
	if len(plan) != 64 || strings.Trim(plan, "0123456789abcdef") != "" {
		t.Errorf("%q", plan)
	}
	for name, change := range map[string]func(r *model.ServiceLinkedRole){
		"another role":       func(r *model.ServiceLinkedRole) { r.Name = "m" },
		"made anew":          func(r *model.ServiceLinkedRole) { r.ID = "AROA2" },
		"used since":         func(r *model.ServiceLinkedRole) { r.LastUsed = at.Add(time.Second) },
		"never used":         func(r *model.ServiceLinkedRole) { r.LastUsed = time.Time{} },
		"split in two ways":  func(r *model.ServiceLinkedRole) { r.Name, r.ID = "nA", "ROA1" },
		"used in the future": func(r *model.ServiceLinkedRole) { r.LastUsed = at.AddDate(100, 0, 0) },
	} {
		other := r
		if change(&other); other.DeletionPlan() == plan {
			t.Errorf("%s: the plan is the same", name)
		}
	}
	same := r
	same.LastUsed, same.Verdict, same.Reasons, same.Since = at.In(time.FixedZone("", 7200)), model.LinkedRemovable, []string{"x"}, at
	if same.DeletionPlan() != plan {
		t.Error("a look changes the plan though the role is the same")
	}
}

func TestWhatAnOperatorMayHaveDeleted(t *testing.T) {
	for verdict, want := range map[model.Verdict]bool{
		model.LinkedMissing: false, model.LinkedNeeded: false, model.LinkedUsed: false, model.LinkedIdle: true, model.LinkedRemovable: true,
		model.LinkedDeleting: false, model.LinkedRefused: true, model.LinkedAbsent: false, model.LinkedUnknown: false, "": false, "else": false,
	} {
		if verdict.Deletable() != want {
			t.Errorf("%q: %v", verdict, verdict.Deletable())
		}
	}
}

// Of what is read nothing is lost when it is written and read again.
func FuzzParseServiceLinkedRoles(f *testing.F) {
	for _, seed := range []string{goodLinked, `{"v":1}`, `{"v":1,"begunAt":"2026-11-22T12:00:00+14:00","roles":[{"deletion":{}}]}`, `{"v":1,"roles":[null],"regions":[{}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := model.ParseServiceLinkedRoles(data)
		if err != nil {
			if s.V != 0 || s.Roles != nil || s.Requests != nil {
				t.Fatalf("%+v, %v", s, err)
			}
			return
		}
		readAgain(t, s, model.ParseServiceLinkedRoles)
		for _, r := range s.Roles {
			if one, ok := s.Role(r.Name); !ok || !strings.EqualFold(one.Name, r.Name) || len(r.DeletionPlan()) != 64 {
				t.Fatalf("%q is found as %+v", r.Name, one)
			}
		}
	})
}

// Likewise of the resources of a Region.
func FuzzParseResources(f *testing.F) {
	for _, seed := range []string{goodResources, `{"v":1}`, `{"v":1,"all":[{},{}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := model.ParseResources(data)
		if err != nil {
			if r.V != 0 || r.All != nil {
				t.Fatalf("%+v, %v", r, err)
			}
			return
		}
		readAgain(t, r, model.ParseResources)
	})
}
