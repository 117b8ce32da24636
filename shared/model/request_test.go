package model_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"rolekeeper/shared/model"
)

var goodRequest = fmt.Sprintf(`{"v":1,"id":"20261122T120000Z-4f1d","action":"adopt","config":"configs/a.yaml","plans":{"my_agent":"%064d"},"expires":"2026-11-22T13:00:00Z","by":"somebody"}`, 0)

func TestARequestIsReadStrictly(t *testing.T) {
	if _, err := model.ParseRequest([]byte(goodRequest)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"of another version":      {`"v":1`, `"v":2`},
		"with an unknown field":   {`"v":1`, `"v":1,"force":true`},
		"twice":                   {`"by":"somebody"}`, `"by":"somebody"}{}`},
		"with another action":     {`adopt`, `delete-everything`},
		"without an action":       {`"action":"adopt",`, ``},
		"with a path for an id":   {`20261122T120000Z-4f1d`, `../../claims`},
		"without an id":           {`20261122T120000Z-4f1d`, ``},
		"without a plan":          {`{"my_agent":"` + strings.Repeat("0", 64) + `"}`, `{}`},
		"with a short plan":       {strings.Repeat("0", 64), "0"},
		"that never expires":      {`"expires":"2026-11-22T13:00:00Z",`, ``},
		"that is not JSON at all": {`{`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(goodRequest, change[0], change[1], 1)
			if r, err := model.ParseRequest([]byte(changed)); err == nil {
				t.Errorf("%s is read as %+v", changed, r)
			}
		})
	}
}

func TestOnlyAnApprovalIsForSeveralAgents(t *testing.T) {
	two := strings.Replace(goodRequest, `{"my_agent"`, `{"other":"`+strings.Repeat("1", 64)+`","my_agent"`, 1)
	for action, several := range map[model.RequestAction]bool{model.Adopt: false, model.Approve: true, model.BuildImage: false} {
		of := func(request string) string { return strings.Replace(request, "adopt", string(action), 1) }
		if r, err := model.ParseRequest([]byte(of(goodRequest))); err != nil || r.Action != action {
			t.Errorf("%s of one: %+v, %v", action, r, err)
		}
		if r, err := model.ParseRequest([]byte(of(two))); (err == nil) != several {
			t.Errorf("%s of two: %+v, %v", action, r, err)
		}
	}
}

// What is read as a request is one that can be answered: it has an id to answer
// to, and says what for.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(goodRequest))
	f.Add([]byte(strings.Replace(goodRequest, "adopt", "approve", 1)))
	f.Add([]byte(strings.Replace(goodRequest, "adopt", "build", 1)))
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := model.ParseRequest(data)
		if err != nil {
			return
		}
		if r.ID == "" || len(r.Plans) == 0 || r.Expires.IsZero() || strings.ContainsAny(r.ID, "/.") {
			t.Errorf("%+v", r)
		}
		if r.Action != model.Approve && len(r.Plans) != 1 {
			t.Errorf("%d agents for what is done for one: %+v", len(r.Plans), r)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := model.ParseRequest(again); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}
